//! The preview's runs, their chunks, and the versions that a chunk judges. A chunk's result and the run's progress are
//! one transaction, so that a chunk that two hosts judged counts once.

mod versions;

use async_trait::async_trait;
use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use super::errors::failed;
use super::rows::{self, millis, name, page, plain};
use super::{Database, Statement};
use crate::clock::Millis;
use crate::names::{EntryId, KindName, Tenant, VersionName};
use crate::registry::store::{
    ChunkDone, HeldExemptions, ImpactBegun, ImpactChunk, ImpactRow, ImpactRules, ImpactState, ImpactStore, Judged,
    NewImpact, Page, PublishMark, Reading, StoreError, StoredVersion,
};

const COLUMNS: &str = "id, scope, candidate_digest, candidate_number, active, what, state, why, versions, judged, \
                       chunks, chunks_done, events, last_event, exemptions_number, exemptions_held, \
                       exemptions_until, not_independent, author, created_at, ended_at";

/// Chunks that one statement writes.
const CHUNKS_AT_ONCE: usize = 50;

#[async_trait]
impl ImpactStore for Database {
    async fn publish_mark(&self, tenant: &Tenant) -> Result<PublishMark, StoreError> {
        let statement = sqlx::query(
            "SELECT COUNT(*) AS events, COALESCE(MAX(sequence), 0) AS last FROM events WHERE tenant_id = $1",
        )
        .bind(tenant.to_string());
        let row = self.read_one("to count events", statement).await?;
        let row = row.ok_or_else(|| StoreError::Broken("to count events".to_owned(), None))?;
        Ok(PublishMark { events: plain(&row, "events")?, last: plain(&row, "last")? })
    }

    async fn next_entries(
        &self,
        tenant: &Tenant,
        kind: &KindName,
        after: &str,
        since: Option<Millis>,
        count: u32,
    ) -> Result<Option<(String, i64)>, StoreError> {
        let statement = sqlx::query(
            "SELECT MAX(id) AS last, COUNT(*) AS entries FROM
                 (SELECT id FROM entries WHERE tenant_id = $1 AND kind = $2 AND id > $3 AND updated_at >= $4
                    AND status <> 'disabled'
                  ORDER BY id LIMIT $5) AS next",
        )
        .bind(tenant.to_string())
        .bind(kind.to_string())
        .bind(after.to_owned())
        .bind(since.map_or(i64::MIN, |since| since.0))
        .bind(i64::from(count));
        let Some(row) = self.read_one("to plan a preview", statement).await? else { return Ok(None) };
        let last: Option<String> = plain(&row, "last")?;
        Ok(last.map(|last| plain(&row, "entries").map(|entries| (last, entries))).transpose()?)
    }

    async fn entry_ids(
        &self,
        tenant: &Tenant,
        kind: &KindName,
        after: &str,
        count: u32,
    ) -> Result<Vec<EntryId>, StoreError> {
        let statement = sqlx::query(
            "SELECT id FROM entries WHERE tenant_id = $1 AND kind = $2 AND id > $3 AND status <> 'disabled'
                 ORDER BY id LIMIT $4",
        )
        .bind(tenant.to_string())
        .bind(kind.to_string())
        .bind(after.to_owned())
        .bind(i64::from(count));
        self.read_all("to plan a preview", statement).await?.iter().map(|row| name(row, "id")).collect()
    }

    async fn begin_impact(
        &self,
        tenant: &Tenant,
        impact: NewImpact<'_>,
        running_max: u32,
        kept_max: u32,
    ) -> Result<ImpactBegun, StoreError> {
        let failed = failed("to begin a preview");
        let mut transaction = self.writers.begin().await.map_err(&failed)?;
        let running = sqlx::query("SELECT COUNT(*) AS running FROM impacts WHERE tenant_id = $1 AND state = 'running'")
            .bind(tenant.to_string())
            .fetch_one(&mut *transaction)
            .await
            .map_err(&failed)?;
        if plain::<i64>(&running, "running")? >= i64::from(running_max) {
            transaction.roll_back().await.map_err(&failed)?;
            return Ok(ImpactBegun::TooMany);
        }
        for statement in remove_oldest(tenant, kept_max) {
            statement.execute(&mut *transaction).await.map_err(&failed)?;
        }
        insert_impact(tenant, &impact).execute(&mut *transaction).await.map_err(&failed)?;
        for some in impact.chunks.chunks(CHUNKS_AT_ONCE) {
            insert_chunks(tenant, &impact.row.id, some).execute(&mut *transaction).await.map_err(&failed)?;
        }
        transaction.commit().await.map_err(&failed)?;
        Ok(ImpactBegun::Begun)
    }

    async fn impact(&self, tenant: &Tenant, id: &str) -> Result<Option<ImpactRow>, StoreError> {
        let text = format!("SELECT {COLUMNS} FROM impacts WHERE tenant_id = $1 AND id = $2");
        let statement = sqlx::query(AssertSqlSafe(text)).bind(tenant.to_string()).bind(id.to_owned());
        self.read_one("to read a preview", statement).await?.as_ref().map(impact).transpose()
    }

    async fn impact_rules(&self, tenant: &Tenant, id: &str) -> Result<Option<ImpactRules>, StoreError> {
        let statement = sqlx::query("SELECT candidate_rules, exemptions FROM impacts WHERE tenant_id = $1 AND id = $2")
            .bind(tenant.to_string())
            .bind(id.to_owned());
        let row = self.read_one("to read a preview's rules", statement).await?;
        let rules =
            |row| Ok(ImpactRules { rules: plain(row, "candidate_rules")?, exemptions: json(row, "exemptions")? });
        row.as_ref().map(rules).transpose()
    }

    async fn impacts(&self, tenant: &Tenant, before: Option<&str>, limit: u32) -> Result<Page<ImpactRow>, StoreError> {
        let text = format!("SELECT {COLUMNS} FROM impacts WHERE tenant_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3");
        let statement = sqlx::query(AssertSqlSafe(text))
            .bind(tenant.to_string())
            // Ids are hexadecimal: this is after each.
            .bind(before.unwrap_or("g").to_owned())
            .bind(i64::from(limit) + 1);
        let rows = self.read_all("to read the previews", statement).await?;
        page(&rows, limit, impact)
    }

    async fn open_chunk(&self, tenant: &Tenant, id: &str, number: i64) -> Result<Option<ImpactChunk>, StoreError> {
        let statement = sqlx::query(
            "SELECT c.number, c.kind, c.after_id, c.until_id, c.ids FROM impact_chunks c
             JOIN impacts i ON i.tenant_id = c.tenant_id AND i.id = c.impact_id
             WHERE c.tenant_id = $1 AND c.impact_id = $2 AND c.number = $3 AND c.done_at IS NULL
               AND i.state = 'running'",
        )
        .bind(tenant.to_string())
        .bind(id.to_owned())
        .bind(number);
        self.read_one("to read a chunk", statement).await?.as_ref().map(chunk).transpose()
    }

    async fn chunk_results(
        &self,
        tenant: &Tenant,
        id: &str,
        after: i64,
        limit: u32,
    ) -> Result<Vec<(i64, String)>, StoreError> {
        let statement = sqlx::query(
            "SELECT number, result FROM impact_chunks
             WHERE tenant_id = $1 AND impact_id = $2 AND number > $3 AND result IS NOT NULL ORDER BY number LIMIT $4",
        )
        .bind(tenant.to_string())
        .bind(id.to_owned())
        .bind(after)
        .bind(i64::from(limit));
        let rows = self.read_all("to read a preview's results", statement).await?;
        rows.iter().map(|row| Ok((plain(row, "number")?, plain(row, "result")?))).collect()
    }

    async fn finish_chunk(&self, tenant: &Tenant, id: &str, done: ChunkDone<'_>) -> Result<bool, StoreError> {
        let failed = failed("to write a chunk's result");
        let mut transaction = self.writers.begin().await.map_err(&failed)?;
        // The run's row first, and always: it is what two hosts with one chunk wait for each other at.
        let running = sqlx::query(
            "UPDATE impacts SET judged = judged + $3, chunks_done = chunks_done + 1, progressed_at = $4, repeated = 0
             WHERE tenant_id = $1 AND id = $2 AND state = 'running' AND (not_independent IS NULL OR $5 = 0)",
        )
        .bind(tenant.to_string())
        .bind(id.to_owned())
        .bind(done.judged)
        .bind(done.at.0)
        .bind(i64::from(done.rests_on_claim))
        .execute(&mut *transaction)
        .await
        .map_err(&failed)?;
        let written = sqlx::query(
            "UPDATE impact_chunks SET done_at = $4, result = $5
             WHERE tenant_id = $1 AND impact_id = $2 AND number = $3 AND done_at IS NULL",
        )
        .bind(tenant.to_string())
        .bind(id.to_owned())
        .bind(done.number)
        .bind(done.at.0)
        .bind(done.result.to_owned())
        .execute(&mut *transaction)
        .await
        .map_err(&failed)?;
        if running.rows_affected() == 0 || written.rows_affected() == 0 {
            transaction.roll_back().await.map_err(&failed)?;
            return Ok(false);
        }
        sqlx::query(
            "UPDATE impacts SET state = 'done', ended_at = $3
             WHERE tenant_id = $1 AND id = $2 AND chunks_done = chunks",
        )
        .bind(tenant.to_string())
        .bind(id.to_owned())
        .bind(done.at.0)
        .execute(&mut *transaction)
        .await
        .map_err(&failed)?;
        transaction.commit().await.map_err(&failed)?;
        Ok(true)
    }

    async fn begin_again(
        &self,
        tenant: &Tenant,
        id: &str,
        not_independent: &str,
        at: Millis,
    ) -> Result<Vec<i64>, StoreError> {
        let failed = failed("to begin a preview again");
        let mut transaction = self.writers.begin().await.map_err(&failed)?;
        let begun = sqlx::query(
            "UPDATE impacts SET not_independent = $3, judged = 0, chunks_done = 0, progressed_at = $4, repeated = 0
             WHERE tenant_id = $1 AND id = $2 AND state = 'running' AND not_independent IS NULL",
        )
        .bind(tenant.to_string())
        .bind(id.to_owned())
        .bind(not_independent.to_owned())
        .bind(at.0)
        .execute(&mut *transaction)
        .await
        .map_err(&failed)?;
        if begun.rows_affected() == 0 {
            transaction.roll_back().await.map_err(&failed)?;
            return Ok(Vec::new());
        }
        // Those that are not done wait in the queue, or a host has them: it learns of this when it would finish one.
        let open = sqlx::query(
            "UPDATE impact_chunks SET done_at = NULL, result = NULL
             WHERE tenant_id = $1 AND impact_id = $2 AND done_at IS NOT NULL RETURNING number",
        )
        .bind(tenant.to_string())
        .bind(id.to_owned())
        .fetch_all(&mut *transaction)
        .await
        .map_err(&failed)?;
        let mut numbers = open.iter().map(|row| plain(row, "number")).collect::<Result<Vec<i64>, _>>()?;
        numbers.sort_unstable();
        transaction.commit().await.map_err(&failed)?;
        Ok(numbers)
    }

    async fn end_impact(
        &self,
        tenant: &Tenant,
        id: &str,
        state: ImpactState,
        why: Option<&str>,
        at: Millis,
    ) -> Result<bool, StoreError> {
        let statement = sqlx::query(
            "UPDATE impacts SET state = $3, why = $4, ended_at = $5
             WHERE tenant_id = $1 AND id = $2 AND state = 'running'",
        )
        .bind(tenant.to_string())
        .bind(id.to_owned())
        .bind(state.as_str())
        .bind(why.map(str::to_owned))
        .bind(at.0);
        self.write("to end a preview", statement).await
    }

    async fn stalled_impacts(
        &self,
        tenant: &Tenant,
        before: Millis,
        at: Millis,
    ) -> Result<Vec<(String, i64)>, StoreError> {
        let looked =
            sqlx::query("SELECT id FROM impacts WHERE tenant_id = $1 AND state = 'running' AND progressed_at < $2")
                .bind(tenant.to_string())
                .bind(before.0);
        // Most often there is none, and looking takes no lock.
        if self.read_all("to look for stalled previews", looked).await?.is_empty() {
            return Ok(Vec::new());
        }
        let taken = sqlx::query(
            "UPDATE impacts SET progressed_at = $3, repeated = repeated + 1
             WHERE tenant_id = $1 AND state = 'running' AND progressed_at < $2 RETURNING id, repeated",
        )
        .bind(tenant.to_string())
        .bind(before.0)
        .bind(at.0);
        let rows = taken.fetch_all(&self.writers.pool).await.map_err(failed("to take stalled previews"))?;
        rows.iter().map(|row| Ok((plain(row, "id")?, plain(row, "repeated")?))).collect()
    }

    async fn open_chunks(&self, tenant: &Tenant, id: &str) -> Result<Vec<i64>, StoreError> {
        let statement = sqlx::query(
            "SELECT number FROM impact_chunks
             WHERE tenant_id = $1 AND impact_id = $2 AND done_at IS NULL ORDER BY number",
        )
        .bind(tenant.to_string())
        .bind(id.to_owned());
        self.read_all("to read a preview's chunks", statement).await?.iter().map(|row| plain(row, "number")).collect()
    }

    async fn versions_to_judge(
        &self,
        tenant: &Tenant,
        chunk: &ImpactChunk,
        (judged, reading): (Judged, Reading),
        after: Option<(&EntryId, &VersionName)>,
        limit: u32,
    ) -> Result<Vec<StoredVersion>, StoreError> {
        let statement = match &chunk.ids {
            Some(ids) => versions::select_named(tenant, (&chunk.kind, ids), reading, after, limit),
            None => Some(versions::select_range(tenant, chunk, (judged, reading), after, limit)),
        };
        let Some(statement) = statement else { return Ok(Vec::new()) };
        let rows = self.read_all("to read versions to judge", statement).await?;
        rows.iter().map(|row| versions::version(row, reading)).collect()
    }

    async fn enqueue_chunks(&self, tenant: &Tenant, id: &str, numbers: &[i64]) -> Result<(), StoreError> {
        self.queue.push(tenant, id, numbers).await
    }
}

fn insert_impact(tenant: &Tenant, NewImpact { row: impact, rules, exemptions, .. }: &NewImpact<'_>) -> Statement {
    let is_empty = impact.chunks == 0;
    let state = if is_empty { ImpactState::Done } else { ImpactState::Running };
    sqlx::query(
        "INSERT INTO impacts (tenant_id, id, scope, candidate_digest, candidate_rules, candidate_number, active, what,
                              state, versions, judged, chunks, chunks_done, events, last_event, author, created_at,
                              progressed_at, repeated, ended_at, exemptions, exemptions_number, exemptions_held,
                              exemptions_until)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 0, $11, 0, $12, $13, $14, $15, $15, 0, $16, $17, $18, $19, $20)",
    )
    .bind(tenant.to_string())
    .bind(impact.id.clone())
    .bind(impact.scope.to_string())
    .bind(impact.candidate.to_string())
    .bind((*rules).to_owned())
    .bind(impact.number)
    .bind(serde_json::to_string(&impact.active).expect("releases are plain data"))
    .bind(impact.what.clone())
    .bind(state.as_str())
    .bind(impact.versions)
    .bind(impact.chunks)
    .bind(impact.mark.events)
    .bind(impact.mark.last)
    .bind(impact.author.clone())
    .bind(impact.created_at.0)
    .bind(is_empty.then_some(impact.created_at.0))
    .bind(serde_json::to_string(exemptions).expect("exemptions are plain data"))
    .bind(impact.exemptions.number)
    .bind(impact.exemptions.count)
    .bind(impact.exemptions.until.map(|until| until.0))
}

fn insert_chunks(tenant: &Tenant, id: &str, chunks: &[ImpactChunk]) -> Statement {
    let text = format!(
        "INSERT INTO impact_chunks (tenant_id, impact_id, number, kind, after_id, until_id, ids) VALUES {}",
        rows::rows_of_places(7, chunks.len())
    );
    chunks.iter().fold(sqlx::query(AssertSqlSafe(text)), |query, chunk| {
        query
            .bind(tenant.to_string())
            .bind(id.to_owned())
            .bind(chunk.number)
            .bind(chunk.kind.to_string())
            .bind(chunk.after.clone())
            .bind(chunk.until.clone())
            .bind(chunk.ids.as_ref().map(|ids| serde_json::to_string(ids).expect("ids are plain data")))
    })
}

/// Leaves room for one more.
fn remove_oldest(tenant: &Tenant, kept_max: u32) -> [Statement; 2] {
    const OLDEST: &str = "SELECT id FROM (SELECT id, state FROM impacts WHERE tenant_id = $1
                                          ORDER BY id DESC LIMIT 1000000 OFFSET $2) AS old WHERE state <> 'running'";
    ["impact_chunks WHERE tenant_id = $1 AND impact_id", "impacts WHERE tenant_id = $1 AND id"].map(|of| {
        sqlx::query(AssertSqlSafe(format!("DELETE FROM {of} IN ({OLDEST})")))
            .bind(tenant.to_string())
            .bind(i64::from(kept_max.saturating_sub(1)))
    })
}

fn impact(row: &AnyRow) -> Result<ImpactRow, StoreError> {
    Ok(ImpactRow {
        id: plain(row, "id")?,
        scope: name(row, "scope")?,
        candidate: name(row, "candidate_digest")?,
        number: plain(row, "candidate_number")?,
        active: json(row, "active")?,
        what: plain(row, "what")?,
        state: state(row)?,
        why: plain(row, "why")?,
        versions: plain(row, "versions")?,
        judged: plain(row, "judged")?,
        chunks: plain(row, "chunks")?,
        chunks_done: plain(row, "chunks_done")?,
        mark: PublishMark { events: plain(row, "events")?, last: plain(row, "last_event")? },
        exemptions: HeldExemptions {
            number: plain(row, "exemptions_number")?,
            count: plain(row, "exemptions_held")?,
            until: plain::<Option<i64>>(row, "exemptions_until")?.map(Millis),
        },
        not_independent: plain(row, "not_independent")?,
        author: plain(row, "author")?,
        created_at: millis(row, "created_at")?,
        ended_at: plain::<Option<i64>>(row, "ended_at")?.map(Millis),
    })
}

fn chunk(row: &AnyRow) -> Result<ImpactChunk, StoreError> {
    let ids: Option<String> = plain(row, "ids")?;
    Ok(ImpactChunk {
        number: plain(row, "number")?,
        kind: name(row, "kind")?,
        after: plain(row, "after_id")?,
        until: plain(row, "until_id")?,
        ids: ids.map(|_| json(row, "ids")).transpose()?,
    })
}

fn state(row: &AnyRow) -> Result<ImpactState, StoreError> {
    match plain(row, "state")? {
        "running" => Ok(ImpactState::Running),
        "done" => Ok(ImpactState::Done),
        "cancelled" => Ok(ImpactState::Cancelled),
        "failed" => Ok(ImpactState::Failed),
        _ => Err(StoreError::Broken("column state holds no known word".to_owned(), None)),
    }
}

fn json<T: serde::de::DeserializeOwned>(row: &AnyRow, column: &'static str) -> Result<T, StoreError> {
    let text: &str = plain(row, column)?;
    serde_json::from_str(text)
        .map_err(|error| StoreError::Broken(format!("column {column} cannot be read"), Some(Box::new(error))))
}
