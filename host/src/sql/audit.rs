//! The audit log's rows: written with the change that they tell of, then sealed.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde_json::Value;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe};

use super::errors::failed;
use super::rows::{millis, name, page, plain, rows_of_places};
use super::transaction::Transaction;
use super::{Database, Engine, Statement, lock_key, outbox};
use crate::clock::Millis;
use crate::names::{Digest, Tenant};
use crate::registry::audit::AuditRecord;
use crate::registry::audit::chain::{AuditRow, nothing};
use crate::registry::store::{AuditSpan, AuditStatus, AuditStore, AuditedPlace, AuditedVersion, Page, StoreError};

/// What reads the log, each statement by what it reads: none goes through more of it than it gives.
pub const READS: [(&str, &str); 6] = [
    ("rows", ROWS),
    ("versions", VERSIONS),
    ("waiting", WAITING),
    ("head", HEAD),
    ("first since", FIRST_SINCE),
    ("last before", LAST_BEFORE),
];

const ROWS: &str = "SELECT tenant_id, id, what, actor, subject, body, created_at, place, hash
     FROM audit WHERE tenant_id = $1 AND place IS NOT NULL AND place > $2 AND place <= $3
     ORDER BY place LIMIT $4";

const HEAD: &str = "SELECT place, hash FROM audit WHERE tenant_id = $1 AND place IS NOT NULL
     ORDER BY place DESC LIMIT 1";

const WAITING: &str = "SELECT COUNT(*) AS waiting FROM audit WHERE tenant_id = $1 AND place IS NULL";

/// The first block whose latest time is not before the instant has the first such row, and blocks are small.
const FIRST_SINCE: &str = "SELECT place FROM audit
     WHERE tenant_id = $1 AND place IS NOT NULL AND created_at >= $2 AND place > 256 * (
         SELECT block FROM audit_blocks WHERE tenant_id = $1 AND latest_at >= $2 ORDER BY latest_at, block LIMIT 1)
     ORDER BY place LIMIT 1";

/// The same from the end: after the last block whose earliest time is before the instant, no row is.
const LAST_BEFORE: &str = "SELECT place FROM audit
     WHERE tenant_id = $1 AND place IS NOT NULL AND created_at < $2 AND place <= 256 + 256 * (
         SELECT block FROM audit_blocks WHERE tenant_id = $1 AND earliest_at < $2
         ORDER BY earliest_at DESC, block DESC LIMIT 1)
     ORDER BY place DESC LIMIT 1";

/// With the rows that wait, which are few: what is read as not waiting was sealed before.
const VERSIONS: &str = "WITH waiting AS MATERIALIZED (
         SELECT subject, body FROM audit WHERE tenant_id = $1 AND place IS NULL AND what = 'entry.published'
     ), page AS MATERIALIZED (
         SELECT kind, entry_id, version, digest, kind || '/' || entry_id || '@' || version AS subject
         FROM versions WHERE tenant_id = $1 AND (kind, entry_id, version) > ($2, $3, $4)
         ORDER BY kind, entry_id, version LIMIT $5
     )
     SELECT page.kind, page.entry_id, page.version, page.digest, waiting.subject AS waits
     FROM page LEFT JOIN waiting ON waiting.subject = page.subject AND waiting.body LIKE '%' || page.digest || '%'
     ORDER BY page.kind, page.entry_id, page.version";

const SEALING: &str = "to seal the audit log";
const READING: &str = "to read the audit log";

/// Places of one row of `audit_blocks`; the migration that made it has the same number.
const BLOCK_ROWS: i64 = 256;

/// Rows of one statement: its arguments are counted in 16 bits.
const INSERTED_AT_ONCE_MAX: usize = 1_000;

/// Writes rows, in the transaction of what they tell, and the events that tell the same to whoever listens.
pub(super) async fn insert(
    connection: &mut AnyConnection,
    tenant: &Tenant,
    records: &[AuditRecord],
) -> Result<(), StoreError> {
    outbox::insert(connection, tenant, &outbox::told(records)).await?;
    for records in records.chunks(INSERTED_AT_ONCE_MAX) {
        let text = format!(
            "INSERT INTO audit (tenant_id, id, what, actor, subject, body, created_at) VALUES {}",
            rows_of_places(7, records.len())
        );
        let query = records.iter().fold(sqlx::query(AssertSqlSafe(text)), |query, record| {
            query
                .bind(tenant.to_string())
                .bind(record.id.clone())
                .bind(record.what)
                .bind(record.actor.clone())
                .bind(record.subject.clone())
                .bind(record.body.to_string())
                .bind(record.at.0)
        });
        query.execute(&mut *connection).await.map_err(failed("to write the audit log"))?;
    }
    Ok(())
}

impl Database {
    async fn place(&self, statement: Statement) -> Result<Option<i64>, StoreError> {
        let row = self.read_one(READING, statement).await?;
        row.map(|row| plain(&row, "place")).transpose()
    }
}

#[async_trait]
impl AuditStore for Database {
    async fn seal_audit(&self, tenant: &Tenant, limit: u32) -> Result<usize, StoreError> {
        // Where nothing waits, no writer is kept from its work.
        if self.read_one(SEALING, select_waiting(tenant, 1)).await?.is_none() {
            return Ok(0);
        }
        let mut transaction = self.writers.begin().await.map_err(failed(SEALING))?;
        if !take_chain(self.engine, &mut transaction, tenant).await? {
            transaction.roll_back().await.map_err(failed(SEALING))?;
            return Ok(0);
        }
        let sealed = seal(&mut transaction, tenant, limit).await?;
        transaction.commit().await.map_err(failed(SEALING))?;
        Ok(sealed)
    }

    async fn audit_span(
        &self,
        tenant: &Tenant,
        since: Option<Millis>,
        until: Option<Millis>,
    ) -> Result<AuditSpan, StoreError> {
        let last = match until {
            Some(until) => self.place(select_last_before(tenant, until)).await?,
            None => self.place(select_head(tenant)).await?,
        };
        let first = match since {
            Some(since) => self.place(select_first_since(tenant, since)).await?,
            None => Some(1),
        };
        match (first, last) {
            (Some(first), Some(last)) => Ok(AuditSpan { after: first - 1, last }),
            _ => Ok(AuditSpan { after: 0, last: 0 }),
        }
    }

    async fn audit_rows(&self, tenant: &Tenant, span: AuditSpan, limit: u32) -> Result<Page<AuditRow>, StoreError> {
        let statement =
            sqlx::query(ROWS).bind(tenant.to_string()).bind(span.after).bind(span.last).bind(i64::from(limit) + 1);
        page(&self.read_all(READING, statement).await?, limit, row)
    }

    async fn audit_versions(
        &self,
        tenant: &Tenant,
        after: &AuditedPlace,
        limit: u32,
    ) -> Result<Page<AuditedVersion>, StoreError> {
        let statement = sqlx::query(VERSIONS)
            .bind(tenant.to_string())
            .bind(after.kind.clone())
            .bind(after.entry.clone())
            .bind(after.version.clone())
            .bind(i64::from(limit) + 1);
        page(&self.read_all(READING, statement).await?, limit, stored)
    }

    async fn audit_status(&self, tenant: &Tenant) -> Result<AuditStatus, StoreError> {
        let head = self.read_one(READING, select_head(tenant)).await?;
        let head = head.map(|row| Ok::<_, StoreError>((plain(&row, "place")?, plain(&row, "hash")?))).transpose()?;
        let waiting = self.read_one(READING, sqlx::query(WAITING).bind(tenant.to_string())).await?;
        Ok(AuditStatus { head, waiting: waiting.map_or(Ok(0), |row| plain(&row, "waiting"))? })
    }
}

/// True where this transaction alone may add to the tenant's chain. On SQLite every transaction that writes may.
async fn take_chain(engine: Engine, transaction: &mut Transaction, tenant: &Tenant) -> Result<bool, StoreError> {
    if engine == Engine::Sqlite {
        return Ok(true);
    }
    // In a statement before those that read the chain: what they read was committed before the lock was given.
    let row = sqlx::query("SELECT pg_try_advisory_xact_lock($1) AS taken")
        .bind(lock_key("audit", tenant))
        .fetch_one(&mut **transaction)
        .await
        .map_err(failed(SEALING))?;
    plain(&row, "taken")
}

async fn seal(connection: &mut AnyConnection, tenant: &Tenant, limit: u32) -> Result<usize, StoreError> {
    let head = select_head(tenant).fetch_optional(&mut *connection).await.map_err(failed(SEALING))?;
    let (mut place, mut previous) = match head {
        Some(head) => (plain(&head, "place")?, name(&head, "hash")?),
        None => (0, nothing()),
    };
    let waiting = select_waiting(tenant, limit).fetch_all(&mut *connection).await.map_err(failed(SEALING))?;
    let mut sealed: Vec<(i64, i64, Digest)> = Vec::with_capacity(waiting.len());
    let mut blocks: BTreeMap<i64, Times> = BTreeMap::new();
    for waits in &waiting {
        place += 1;
        let mut row = content(waits, place)?;
        row.seal(&previous);
        previous = row.hash.parse().map_err(|_| StoreError::Broken("a seal is no digest".to_owned(), None))?;
        sealed.push((plain(waits, "sequence")?, place, previous.clone()));
        blocks.entry((place - 1) / BLOCK_ROWS).or_insert(Times { latest: row.at.0, earliest: row.at.0 }).take(row.at.0);
    }
    let Some(last) = sealed.last().cloned() else { return Ok(0) };
    note_blocks(connection, tenant, blocks).await?;
    let count = sealed.len();
    // The last is repeated up to the next power of two: few texts, each prepared once for a connection.
    sealed.resize(count.next_power_of_two(), last);
    let text = format!(
        "WITH sealed (sequence, place, hash) AS (VALUES {})
         UPDATE audit SET place = sealed.place, hash = sealed.hash FROM sealed WHERE audit.sequence = sealed.sequence",
        rows_of_places(3, sealed.len())
    );
    let query = sealed.into_iter().fold(sqlx::query(AssertSqlSafe(text)), |query, (sequence, place, hash)| {
        query.bind(sequence).bind(place).bind(hash.to_string())
    });
    let done = query.execute(connection).await.map_err(failed(SEALING))?;
    if done.rows_affected() != u64::try_from(count).unwrap_or(u64::MAX) {
        return Err(StoreError::Broken(SEALING.to_owned(), Some("a row that waited is gone".into())));
    }
    Ok(count)
}

/// The latest and the earliest of some times.
struct Times {
    latest: i64,
    earliest: i64,
}

impl Times {
    fn take(&mut self, at: i64) {
        self.latest = self.latest.max(at);
        self.earliest = self.earliest.min(at);
    }
}

/// Keeps what finds a time in the log: a block's latest time is that of its rows and all before, its earliest that of its
/// rows and all after. A clock that goes behind the others costs one look at each block that it is behind, once.
async fn note_blocks(
    connection: &mut AnyConnection,
    tenant: &Tenant,
    blocks: BTreeMap<i64, Times>,
) -> Result<(), StoreError> {
    let newest = sqlx::query("SELECT latest_at FROM audit_blocks WHERE tenant_id = $1 ORDER BY block DESC LIMIT 1")
        .bind(tenant.to_string())
        .fetch_optional(&mut *connection)
        .await
        .map_err(failed(SEALING))?;
    let mut latest = newest.map_or(Ok(i64::MIN), |row| plain(&row, "latest_at"))?;
    for (block, times) in blocks {
        latest = latest.max(times.latest);
        sqlx::query(
            "INSERT INTO audit_blocks (tenant_id, block, latest_at, earliest_at) VALUES ($1, $2, $3, $4)
             ON CONFLICT (tenant_id, block) DO UPDATE SET latest_at = excluded.latest_at,
                 earliest_at = CASE WHEN excluded.earliest_at < audit_blocks.earliest_at
                                    THEN excluded.earliest_at ELSE audit_blocks.earliest_at END",
        )
        .bind(tenant.to_string())
        .bind(block)
        .bind(latest)
        .bind(times.earliest)
        .execute(&mut *connection)
        .await
        .map_err(failed(SEALING))?;
        sqlx::query(
            "UPDATE audit_blocks SET earliest_at = $3 WHERE tenant_id = $1 AND earliest_at > $3 AND block < $2",
        )
        .bind(tenant.to_string())
        .bind(block)
        .bind(times.earliest)
        .execute(&mut *connection)
        .await
        .map_err(failed(SEALING))?;
    }
    Ok(())
}

fn select_head(tenant: &Tenant) -> Statement {
    sqlx::query(HEAD).bind(tenant.to_string())
}

fn select_first_since(tenant: &Tenant, since: Millis) -> Statement {
    sqlx::query(FIRST_SINCE).bind(tenant.to_string()).bind(since.0)
}

fn select_last_before(tenant: &Tenant, until: Millis) -> Statement {
    sqlx::query(LAST_BEFORE).bind(tenant.to_string()).bind(until.0)
}

/// By their flag and never by a cursor: on PostgreSQL numbers become visible out of order, and none may be missed.
fn select_waiting(tenant: &Tenant, limit: u32) -> Statement {
    sqlx::query(
        "SELECT sequence, tenant_id, id, what, actor, subject, body, created_at
         FROM audit WHERE tenant_id = $1 AND place IS NULL ORDER BY sequence LIMIT $2",
    )
    .bind(tenant.to_string())
    .bind(i64::from(limit))
}

fn stored(row: &AnyRow) -> Result<AuditedVersion, StoreError> {
    let place =
        AuditedPlace { kind: plain(row, "kind")?, entry: plain(row, "entry_id")?, version: plain(row, "version")? };
    Ok(AuditedVersion { place, digest: plain(row, "digest")?, waits: plain::<Option<String>>(row, "waits")?.is_some() })
}

fn row(row: &AnyRow) -> Result<AuditRow, StoreError> {
    Ok(AuditRow { hash: plain(row, "hash")?, ..content(row, plain(row, "place")?)? })
}

/// A row as it stands, its hash left out. What cannot be read as what it should be is shown as it is: the chain says of
/// such a row that it was edited.
fn content(row: &AnyRow, place: i64) -> Result<AuditRow, StoreError> {
    let body: String = plain(row, "body")?;
    Ok(AuditRow {
        place,
        hash: String::new(),
        tenant: name(row, "tenant_id")?,
        id: plain(row, "id")?,
        what: plain(row, "what")?,
        actor: plain(row, "actor")?,
        subject: plain(row, "subject")?,
        body: serde_json::from_str(&body).unwrap_or(Value::String(body)),
        at: millis(row, "created_at")?,
    })
}
