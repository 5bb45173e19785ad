//! Versions from before words, categories and references were kept: gone through once, each statement of which leaves what
//! is there, so that several hosts may do it and publishes go on meanwhile.

use async_trait::async_trait;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe};

use super::errors::failed;
use super::publishing::beside;
use super::rows::{name, plain};
use super::{Database, search};
use crate::clock::Millis;
use crate::names::{EntryId, KindName, Tenant, VersionName};
use crate::registry::store::{Filled, FilledTo, FillingStore, StoreError, Unfilled};

const FILLING: &str = "to complete versions of before";

#[async_trait]
impl FillingStore for Database {
    async fn filled_to(&self, tenant: &Tenant, kind: &KindName) -> Result<FilledTo, StoreError> {
        let text = "SELECT entry_id, version, finished_at FROM filled_kinds WHERE tenant_id = $1 AND kind = $2";
        let statement = sqlx::query(text).bind(tenant.to_string()).bind(kind.to_string());
        let Some(row) = self.read_one(tenant, FILLING, statement).await? else { return Ok(FilledTo::Nowhere) };
        if plain::<Option<i64>>(&row, "finished_at")?.is_some() {
            return Ok(FilledTo::End);
        }
        Ok(FilledTo::Version(name(&row, "entry_id")?, name(&row, "version")?))
    }

    async fn unfilled(
        &self,
        tenant: &Tenant,
        kind: &KindName,
        after: Option<(&EntryId, &VersionName)>,
        limit: u32,
    ) -> Result<Vec<Unfilled>, StoreError> {
        let text = "SELECT v.entry_id, v.version, v.manifest, d.body, e.current_version
             FROM versions v
             JOIN entries e ON e.tenant_id = v.tenant_id AND e.kind = v.kind AND e.id = v.entry_id
             LEFT JOIN decisions d ON d.tenant_id = v.tenant_id AND d.id = v.decision_id
             WHERE v.tenant_id = $1 AND v.kind = $2 AND (v.entry_id, v.version) > ($3, $4)
             ORDER BY v.entry_id, v.version LIMIT $5";
        // No name is before the empty one.
        let (entry, version) = after.map_or(("", ""), |(entry, version)| (entry.as_str(), version.as_str()));
        let statement = sqlx::query(text)
            .bind(tenant.to_string())
            .bind(kind.to_string())
            .bind(entry.to_owned())
            .bind(version.to_owned())
            .bind(i64::from(limit));
        self.read_all(tenant, FILLING, statement).await?.iter().map(unfilled).collect()
    }

    async fn fill(
        &self,
        tenant: &Tenant,
        kind: &KindName,
        filled: &[Filled],
        finished: Option<Millis>,
    ) -> Result<(), StoreError> {
        let mut transaction = self.writers.begin(tenant).await.map_err(failed(FILLING))?;
        for version in filled {
            if let Some((text, category)) = &version.found_by {
                let insert = sqlx::query(AssertSqlSafe(search::insert_missing_text()));
                let insert = search::bind_text(insert, tenant, (kind, &version.entry), text);
                insert.execute(&mut *transaction).await.map_err(failed(FILLING))?;
                give_category(&mut transaction, (tenant, kind), version, category.as_deref()).await?;
            }
            let of = (tenant, kind, &version.entry, &version.version);
            beside::insert_missing_references(&mut transaction, of, &version.references).await?;
        }
        note(&mut transaction, (tenant, kind), filled.last(), finished).await?;
        transaction.commit().await.map_err(failed(FILLING))
    }
}

fn unfilled(row: &AnyRow) -> Result<Unfilled, StoreError> {
    let (version, current): (VersionName, VersionName) = (name(row, "version")?, name(row, "current_version")?);
    Ok(Unfilled {
        entry: name(row, "entry_id")?,
        manifest: plain(row, "manifest")?,
        decision: plain(row, "body")?,
        is_active: version == current,
        version,
    })
}

async fn give_category(
    connection: &mut AnyConnection,
    (tenant, kind): (&Tenant, &KindName),
    version: &Filled,
    category: Option<&str>,
) -> Result<(), StoreError> {
    let Some(category) = category else { return Ok(()) };
    // It is no change of the entry: nobody did anything.
    let text = "UPDATE entries SET category = $4
         WHERE tenant_id = $1 AND kind = $2 AND id = $3 AND current_version = $5 AND category IS NULL";
    let statement = sqlx::query(text)
        .bind(tenant.to_string())
        .bind(kind.to_string())
        .bind(version.entry.to_string())
        .bind(category.to_owned())
        .bind(version.version.to_string());
    statement.execute(connection).await.map(|_| ()).map_err(failed(FILLING))
}

async fn note(
    connection: &mut AnyConnection,
    (tenant, kind): (&Tenant, &KindName),
    last: Option<&Filled>,
    finished: Option<Millis>,
) -> Result<(), StoreError> {
    let text = "INSERT INTO filled_kinds (tenant_id, kind, entry_id, version, finished_at) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (tenant_id, kind) DO UPDATE
         SET entry_id = excluded.entry_id, version = excluded.version, finished_at = excluded.finished_at
         WHERE filled_kinds.finished_at IS NULL";
    let (entry, version) = last.map_or(("", ""), |last| (last.entry.as_str(), last.version.as_str()));
    let statement = sqlx::query(text)
        .bind(tenant.to_string())
        .bind(kind.to_string())
        .bind(entry.to_owned())
        .bind(version.to_owned())
        .bind(finished.map(|at| at.0));
    statement.execute(connection).await.map(|_| ()).map_err(failed(FILLING))
}
