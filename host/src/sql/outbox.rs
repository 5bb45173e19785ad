//! The outbox: events in the order in which they were committed, each given its place once, and the deliveries that
//! follow from them.

use async_trait::async_trait;
use serde_json::{Value, json};
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe};

use super::errors::failed;
use super::rows::{millis, name, places, plain, rows_of_places};
use super::transaction::Transaction;
use super::{Database, Engine, Statement, deliveries, lock_key, webhooks};
use crate::clock::Millis;
use crate::names::{EntryId, KindName, Tenant};
use crate::registry::audit::AuditRecord;
use crate::registry::store::{Event, EventRow, EventStore, NewHappening, PlacedEvent, PlacesKept, StoreError};

/// Rows of one statement.
const ROWS_AT_ONCE_MAX: usize = 500;

/// Milliseconds for which giving places waits for another host that does.
const PLACING_WAIT_MAX_MS: u64 = 5_000;

const PLACING: &str = "to give events their places";
const READING: &str = "to read events";

/// What the audit log says of entries stands in the outbox already, as the event that says it.
const OF_ENTRIES: &str = "entry.";

/// Writes events, in the transaction of what they tell. Of two with one id the first stays.
pub(super) async fn insert(
    connection: &mut AnyConnection,
    tenant: &Tenant,
    happenings: &[NewHappening],
) -> Result<(), StoreError> {
    for happenings in happenings.chunks(ROWS_AT_ONCE_MAX) {
        let text = format!(
            "INSERT INTO events (tenant_id, id, what, subject, body, created_at) VALUES {}
             ON CONFLICT (tenant_id, id) DO NOTHING",
            rows_of_places(6, happenings.len())
        );
        let query = happenings.iter().fold(sqlx::query(AssertSqlSafe(text)), |query, happening| {
            query
                .bind(tenant.to_string())
                .bind(happening.id.clone())
                .bind(happening.what.clone())
                .bind(happening.subject.clone())
                .bind(happening.body.clone())
                .bind(happening.created_at.0)
        });
        query.execute(&mut *connection).await.map_err(failed("to write events"))?;
    }
    Ok(())
}

/// What rows of the audit log tell whoever listens.
pub(super) fn told(records: &[AuditRecord]) -> Vec<NewHappening> {
    let told = records.iter().filter(|record| !record.what.starts_with(OF_ENTRIES));
    told.map(|record| {
        let mut body = json!({"actor": record.actor});
        if let (Value::Object(body), Value::Object(more)) = (&mut body, &record.body) {
            body.extend(more.clone());
        }
        NewHappening {
            id: record.id.clone(),
            what: record.what.to_owned(),
            subject: record.subject.clone(),
            body: body.to_string(),
            created_at: record.at,
        }
    })
    .collect()
}

fn event(row: &AnyRow) -> Result<Event, StoreError> {
    let entry = match plain::<Option<String>>(row, "kind")? {
        None => None,
        Some(_) => Some((name::<KindName>(row, "kind")?, name::<EntryId>(row, "entry_id")?)),
    };
    Ok(Event {
        id: plain(row, "id")?,
        what: plain(row, "what")?,
        entry,
        subject: plain(row, "subject")?,
        body: plain(row, "body")?,
        created_at: millis(row, "created_at")?,
    })
}

/// An event with its place, from a row that has its columns.
pub(super) fn placed(row: &AnyRow) -> Result<PlacedEvent, StoreError> {
    Ok(PlacedEvent { tenant: name(row, "tenant_id")?, place: plain(row, "place")?, event: event(row)? })
}

fn pending(row: &AnyRow) -> Result<EventRow, StoreError> {
    Ok(EventRow { tenant: name(row, "tenant_id")?, sequence: plain(row, "sequence")?, event: event(row)? })
}

const PLACED: &str = "SELECT tenant_id, place, id, what, kind, entry_id, subject, body, created_at FROM events";

#[async_trait]
impl EventStore for Database {
    async fn pending_events(&self, limit: u32) -> Result<Vec<EventRow>, StoreError> {
        let statement = sqlx::query(
            "SELECT sequence, tenant_id, id, what, kind, entry_id, subject, body, created_at
             FROM events WHERE announced_at IS NULL ORDER BY sequence LIMIT $1",
        );
        let rows = self.read_all(READING, statement.bind(i64::from(limit))).await?;
        rows.iter().map(pending).collect()
    }

    async fn place_events(&self, tenant: &Tenant, events: &[EventRow], at: Millis) -> Result<(), StoreError> {
        for events in events.chunks(ROWS_AT_ONCE_MAX) {
            let mut transaction = self.writers.begin().await.map_err(failed(PLACING))?;
            take_line(self.engine, &mut transaction, tenant).await?;
            let placed = place(&mut transaction, tenant, events, at).await?;
            if placed.is_empty() {
                transaction.roll_back().await.map_err(failed(PLACING))?;
                continue;
            }
            let listening = webhooks::select_all(&mut transaction, tenant).await?;
            deliveries::insert_for(&mut transaction, &listening, &placed, at).await?;
            transaction.commit().await.map_err(failed(PLACING))?;
        }
        Ok(())
    }

    async fn events_after(&self, tenant: &Tenant, after: i64, limit: u32) -> Result<Vec<PlacedEvent>, StoreError> {
        let text = format!("{PLACED} WHERE tenant_id = $1 AND place > $2 ORDER BY place LIMIT $3");
        let statement = about(text, tenant).bind(after).bind(i64::from(limit));
        self.read_all(READING, statement).await?.iter().map(placed).collect()
    }

    async fn places_kept(&self, tenant: &Tenant) -> Result<PlacesKept, StoreError> {
        // Two looks into an index, however many events there are.
        let text = "SELECT (SELECT MIN(place) FROM events WHERE tenant_id = $1) AS first,
                           (SELECT MAX(place) FROM events WHERE tenant_id = $1) AS last";
        let row = self.read_one(READING, about(text.to_owned(), tenant)).await?;
        let Some(row) = row else { return Ok(PlacesKept::default()) };
        let number = |column| Ok::<_, StoreError>(plain::<Option<i64>>(&row, column)?.unwrap_or(0));
        Ok(PlacesKept { first: number("first")?, last: number("last")? })
    }

    async fn forget_events(&self, tenant: &Tenant, before: Millis) -> Result<u64, StoreError> {
        let failed = failed("to forget events");
        // From the oldest on: what is kept has no gap, whatever the clocks of the hosts said.
        let text =
            "SELECT MIN(place) AS kept FROM events WHERE tenant_id = $1 AND place IS NOT NULL AND created_at >= $2";
        let row = self.read_one("to forget events", about(text.to_owned(), tenant).bind(before.0)).await?;
        let kept = row.map_or(Ok(None), |row| plain::<Option<i64>>(&row, "kept"))?;
        let PlacesKept { first, last } = self.places_kept(tenant).await?;
        let kept = kept.unwrap_or(last).min(last);
        if kept <= first {
            return Ok(0);
        }
        let mut transaction = self.writers.begin().await.map_err(&failed)?;
        for table in ["deliveries", "events"] {
            let text = format!("DELETE FROM {table} WHERE tenant_id = $1 AND place < $2");
            about(text, tenant).bind(kept).execute(&mut *transaction).await.map_err(&failed)?;
        }
        transaction.commit().await.map_err(&failed)?;
        Ok(u64::try_from(kept - first).unwrap_or(0))
    }
}

fn about(text: String, tenant: &Tenant) -> Statement {
    sqlx::query(AssertSqlSafe(text)).bind(tenant.to_string())
}

/// Waits until this transaction alone may give places to the tenant's events. On SQLite every one that writes may.
async fn take_line(engine: Engine, transaction: &mut Transaction, tenant: &Tenant) -> Result<(), StoreError> {
    if engine == Engine::Sqlite {
        return Ok(());
    }
    // In a statement before those that read: what they read was committed before the lock was given.
    let key = lock_key("events", tenant);
    let text = format!("SET LOCAL lock_timeout = {PLACING_WAIT_MAX_MS}; SELECT pg_advisory_xact_lock({key})");
    sqlx::Executor::execute(&mut **transaction, AssertSqlSafe(text)).await.map(|_| ()).map_err(failed(PLACING))
}

/// Gives places to those of the events that have none; gives them back in order.
async fn place(
    connection: &mut AnyConnection,
    tenant: &Tenant,
    events: &[EventRow],
    at: Millis,
) -> Result<Vec<PlacedEvent>, StoreError> {
    let Some(last) = events.last() else { return Ok(Vec::new()) };
    let failed = failed(PLACING);
    // The last number is repeated up to the next power of two: few texts, each prepared once for a connection.
    let count = events.len().next_power_of_two();
    let numbers = events.iter().chain(std::iter::repeat(last)).take(count).map(|row| row.sequence);
    let text = format!(
        "UPDATE events SET announced_at = $2, place = numbered.given FROM (
             SELECT sequence AS number, ROW_NUMBER() OVER (ORDER BY sequence)
                 + (SELECT COALESCE(MAX(place), 0) FROM events WHERE tenant_id = $1) AS given
             FROM events WHERE tenant_id = $1 AND announced_at IS NULL AND sequence IN ({})
         ) AS numbered
         WHERE sequence = numbered.number RETURNING sequence, place",
        places(3, count)
    );
    let query = numbers.fold(about(text, tenant).bind(at.0), |query, number| query.bind(number));
    let rows = query.fetch_all(connection).await.map_err(&failed)?;
    let mut placed = Vec::with_capacity(rows.len());
    for row in &rows {
        let sequence: i64 = plain(row, "sequence")?;
        let Some(event) = events.iter().find(|event| event.sequence == sequence) else { continue };
        placed.push(PlacedEvent { tenant: tenant.clone(), place: plain(row, "place")?, event: event.event.clone() });
    }
    placed.sort_by_key(|event| event.place);
    Ok(placed)
}
