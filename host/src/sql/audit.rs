//! The audit log's rows: written with the change that they tell of, then sealed.

use async_trait::async_trait;
use serde_json::Value;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe};

use super::errors::failed;
use super::rows::{millis, name, page, plain, rows_of_places};
use super::transaction::Transaction;
use super::{Database, Engine, Statement, lock_key};
use crate::clock::Millis;
use crate::names::{Digest, Tenant};
use crate::registry::audit::AuditRecord;
use crate::registry::audit::chain::{AuditRow, nothing};
use crate::registry::store::{AuditSpan, AuditStatus, AuditStore, Page, StoreError};

const SEALING: &str = "to seal the audit log";
const READING: &str = "to read the audit log";

/// Versions without a row that are named.
const UNRECORDED_MAX: i64 = 10;

/// Rows of one statement: its arguments are counted in 16 bits.
const INSERTED_AT_ONCE_MAX: usize = 1_000;

/// Writes rows, in the transaction of what they tell.
pub(super) async fn insert(
    connection: &mut AnyConnection,
    tenant: &Tenant,
    records: &[AuditRecord],
) -> Result<(), StoreError> {
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
        let text = "SELECT MIN(CASE WHEN created_at >= $2 THEN place END) AS first,
                           MAX(CASE WHEN created_at < $3 THEN place END) AS last
                    FROM audit WHERE tenant_id = $1 AND place IS NOT NULL";
        if since.is_none() && until.is_none() {
            return Ok(AuditSpan { after: 0, last: i64::MAX });
        }
        let (from, to) = (since.map_or(i64::MIN, |at| at.0), until.map_or(i64::MAX, |at| at.0));
        let statement = sqlx::query(text).bind(tenant.to_string()).bind(from).bind(to);
        let Some(row) = self.read_one(READING, statement).await? else { return Ok(AuditSpan { after: 0, last: 0 }) };
        match (plain::<Option<i64>>(&row, "first")?, plain::<Option<i64>>(&row, "last")?) {
            (Some(first), Some(last)) => Ok(AuditSpan { after: first - 1, last }),
            _ => Ok(AuditSpan { after: 0, last: 0 }),
        }
    }

    async fn audit_rows(&self, tenant: &Tenant, span: AuditSpan, limit: u32) -> Result<Page<AuditRow>, StoreError> {
        let statement = sqlx::query(
            "SELECT tenant_id, id, what, actor, subject, body, created_at, place, hash
             FROM audit WHERE tenant_id = $1 AND place IS NOT NULL AND place > $2 AND place <= $3
             ORDER BY place LIMIT $4",
        )
        .bind(tenant.to_string())
        .bind(span.after)
        .bind(span.last)
        .bind(i64::from(limit) + 1);
        page(&self.read_all(READING, statement).await?, limit, row)
    }

    async fn audit_status(&self, tenant: &Tenant) -> Result<AuditStatus, StoreError> {
        let head = self.read_one(READING, select_head(tenant)).await?;
        let head = head.map(|row| Ok::<_, StoreError>((plain(&row, "place")?, plain(&row, "hash")?))).transpose()?;
        let counts = sqlx::query(
            "SELECT (SELECT COUNT(*) FROM audit WHERE tenant_id = $1 AND place IS NULL) AS waiting,
                    (SELECT COUNT(*) FROM versions WHERE tenant_id = $1) AS versions",
        );
        let counts = self.read_one(READING, counts.bind(tenant.to_string())).await?;
        let counted = |column| counts.as_ref().map_or(Ok(0), |row| plain::<i64>(row, column));
        let unrecorded = self.read_all(READING, select_unrecorded(tenant)).await?;
        let unrecorded = unrecorded.iter().map(|row| plain(row, "subject")).collect::<Result<_, _>>()?;
        Ok(AuditStatus { head, waiting: counted("waiting")?, versions: counted("versions")?, unrecorded })
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
    for waits in &waiting {
        place += 1;
        let mut row = content(waits, place)?;
        row.seal(&previous);
        previous = row.hash.parse().map_err(|_| StoreError::Broken("a seal is no digest".to_owned(), None))?;
        sealed.push((plain(waits, "sequence")?, place, previous.clone()));
    }
    let Some(last) = sealed.last().cloned() else { return Ok(0) };
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

fn select_head(tenant: &Tenant) -> Statement {
    sqlx::query("SELECT place, hash FROM audit WHERE tenant_id = $1 AND place IS NOT NULL ORDER BY place DESC LIMIT 1")
        .bind(tenant.to_string())
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

/// Versions that no row tells of, or of another digest. The rows are gathered first and joined by their subject alone:
/// SQLite would else go through all of the tenant's for each version, by the index of those that wait.
fn select_unrecorded(tenant: &Tenant) -> Statement {
    sqlx::query(
        "WITH told AS MATERIALIZED (
             SELECT subject, body FROM audit WHERE tenant_id = $1 AND what = 'entry.published'
         )
         SELECT v.kind || '/' || v.entry_id || '@' || v.version AS subject
         FROM versions v
         LEFT JOIN told ON told.subject = v.kind || '/' || v.entry_id || '@' || v.version
                        AND told.body LIKE '%' || v.digest || '%'
         WHERE v.tenant_id = $1 AND told.subject IS NULL
         LIMIT $2",
    )
    .bind(tenant.to_string())
    .bind(UNRECORDED_MAX)
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
