//! What is sent to webhooks: rows that hosts take for a while, send and settle. In a lane, which is what one entry's
//! events share, the first that waits is sent alone, so that they arrive in order; lanes go on beside each other.

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe};

use super::errors::failed;
use super::rows::{millis, page, plain, rows_of_places};
use super::{Database, Statement, audit, outbox, webhooks};
use crate::clock::{Millis, new_id};
use crate::names::Tenant;
use crate::registry::audit::AuditRecord;
use crate::registry::store::{DeliveryRow, DeliveryState, Lease, Page, PlacedEvent, Settled, StoreError, WebhookRow};

/// Rows of one statement.
const ROWS_AT_ONCE_MAX: usize = 500;

/// A delivery with its event.
const COLUMNS: &str = "SELECT deliveries.id AS delivery_id, webhook_id, state, attempts, next_at,
     deliveries.created_at AS waits_since, finished_at, replay_of, events.tenant_id, events.place, events.id, what, kind,
     entry_id, subject, body, events.created_at
     FROM deliveries JOIN events ON events.tenant_id = deliveries.tenant_id AND events.place = deliveries.place";

const READING: &str = "to read deliveries";
const WRITING: &str = "to write deliveries";
const SETTLING: &str = "to settle a delivery";

/// Writes a delivery of each event for each webhook that wants it, in the transaction that gives the events their places.
/// One that is disabled gets its own as well: they wait for it to be enabled.
pub(super) async fn insert_for(
    connection: &mut AnyConnection,
    webhooks: &[WebhookRow],
    placed: &[PlacedEvent],
    at: Millis,
) -> Result<(), StoreError> {
    let wanted: Vec<(&WebhookRow, &PlacedEvent)> = placed
        .iter()
        .flat_map(|event| webhooks.iter().filter(|webhook| webhook.wants(&event.event)).map(move |one| (one, event)))
        .collect();
    for wanted in wanted.chunks(ROWS_AT_ONCE_MAX) {
        let text = format!(
            "INSERT INTO deliveries (tenant_id, webhook_id, id, place, lane, state, attempts, next_at, created_at)
             VALUES {}",
            rows_of_places(9, wanted.len())
        );
        let query = wanted.iter().fold(sqlx::query(AssertSqlSafe(text)), |query, (webhook, placed)| {
            query
                .bind(placed.tenant.to_string())
                .bind(webhook.id.clone())
                .bind(new_id(at))
                .bind(placed.place)
                .bind(placed.event.lane())
                .bind(DeliveryState::Waiting.as_str())
                .bind("[]")
                .bind(at.0)
                .bind(at.0)
        });
        query.execute(&mut *connection).await.map_err(failed(WRITING))?;
    }
    Ok(())
}

pub(super) async fn insert_replay(
    database: &Database,
    tenant: &Tenant,
    delivery: &DeliveryRow,
) -> Result<(), StoreError> {
    let text = "INSERT INTO deliveries
                    (tenant_id, webhook_id, id, place, lane, state, attempts, next_at, created_at, replay_of)
                VALUES ($1, $2, $3, $4, $5, $6, '[]', $7, $8, $9)";
    let statement = about(text, tenant, &delivery.webhook)
        .bind(delivery.id.clone())
        .bind(delivery.event.place)
        // A lane of its own: it waits for nobody, and nobody for it.
        .bind(format!("replay:{}", delivery.id))
        .bind(delivery.state.as_str())
        .bind(delivery.next_at.0)
        .bind(delivery.created_at.0)
        .bind(delivery.replay_of.clone());
    database.write(WRITING, statement).await.map(|_| ())
}

pub(super) async fn list(
    database: &Database,
    tenant: &Tenant,
    webhook: &str,
    before: Option<&str>,
    limit: u32,
) -> Result<Page<DeliveryRow>, StoreError> {
    let text = format!(
        "{COLUMNS} WHERE deliveries.tenant_id = $1 AND webhook_id = $2 AND deliveries.id < $3
         ORDER BY deliveries.id DESC LIMIT $4"
    );
    let statement = sqlx::query(AssertSqlSafe(text))
        .bind(tenant.to_string())
        .bind(webhook.to_owned())
        .bind(before.unwrap_or("~").to_owned())
        .bind(i64::from(limit) + 1);
    page(&database.read_all(READING, statement).await?, limit, delivery)
}

pub(super) async fn one(
    database: &Database,
    tenant: &Tenant,
    webhook: &str,
    id: &str,
) -> Result<Option<DeliveryRow>, StoreError> {
    let text = format!("{COLUMNS} WHERE deliveries.tenant_id = $1 AND webhook_id = $2 AND deliveries.id = $3");
    let statement = sqlx::query(AssertSqlSafe(text)).bind(tenant.to_string()).bind(webhook.to_owned());
    let row = database.read_one(READING, statement.bind(id.to_owned())).await?;
    row.as_ref().map(delivery).transpose()
}

/// Looks for what is due, then takes each by itself: two hosts that look at once find the same, and one of them gets it.
/// A lane's first can only become another's when it is settled, so what was found first is so still.
pub(super) async fn take(
    database: &Database,
    tenant: &Tenant,
    webhook: &str,
    lease: Lease,
    limit: u32,
) -> Result<Vec<DeliveryRow>, StoreError> {
    let text = format!(
        "{COLUMNS} WHERE deliveries.tenant_id = $1 AND webhook_id = $2 AND state = 'waiting' AND next_at <= $3
             AND leased_until <= $3 AND NOT EXISTS (
                 SELECT 1 FROM deliveries AS ahead WHERE ahead.tenant_id = $1 AND ahead.webhook_id = $2
                     AND ahead.lane = deliveries.lane AND ahead.state = 'waiting' AND ahead.place < deliveries.place)
         ORDER BY deliveries.place LIMIT $4"
    );
    let statement = sqlx::query(AssertSqlSafe(text))
        .bind(tenant.to_string())
        .bind(webhook.to_owned())
        .bind(lease.at.0)
        .bind(i64::from(limit));
    let mut taken = Vec::new();
    for row in &database.read_all(READING, statement).await? {
        let found = delivery(row)?;
        let text = "UPDATE deliveries SET leased_until = $4
                    WHERE tenant_id = $1 AND webhook_id = $2 AND id = $3 AND state = 'waiting' AND next_at <= $5
                        AND leased_until <= $5";
        let statement = about(text, tenant, webhook).bind(found.id.clone()).bind(lease.until.0).bind(lease.at.0);
        if database.write("to take a delivery", statement).await? {
            taken.push(found);
        }
    }
    Ok(taken)
}

pub(super) async fn settle(
    database: &Database,
    tenant: &Tenant,
    delivery: &DeliveryRow,
    leased_until: Millis,
    settled: &Settled<'_>,
    at: Millis,
) -> Result<(), StoreError> {
    let failed = failed(SETTLING);
    let (state, next_at) = match settled {
        Settled::Delivered => (DeliveryState::Delivered, at),
        Settled::Again(next_at) => (DeliveryState::Waiting, *next_at),
        Settled::GivenUp { .. } => (DeliveryState::GivenUp, at),
    };
    let text = "UPDATE deliveries SET state = $5, attempts = $6, next_at = $7, finished_at = $8, leased_until = 0
                WHERE tenant_id = $1 AND webhook_id = $2 AND id = $3 AND state = 'waiting' AND leased_until = $4";
    let statement = about(text, tenant, &delivery.webhook)
        .bind(delivery.id.clone())
        .bind(leased_until.0)
        .bind(state.as_str())
        .bind(serde_json::to_string(&delivery.attempts).expect("attempts are plain data"))
        .bind(next_at.0)
        .bind((state != DeliveryState::Waiting).then_some(at.0));
    let mut transaction = database.writers.begin().await.map_err(&failed)?;
    let done = statement.execute(&mut *transaction).await.map_err(&failed)?;
    if done.rows_affected() == 0 {
        return transaction.roll_back().await.map_err(&failed);
    }
    match settled {
        Settled::Delivered => {
            webhooks::count_failures(&mut transaction, tenant, &delivery.webhook, false).await?;
        }
        Settled::Again(_) => {}
        Settled::GivenUp { failures_max, gone } => {
            let count = webhooks::count_failures(&mut transaction, tenant, &delivery.webhook, true).await?.unwrap_or(0);
            let reason = match gone {
                Some(why) => Some((*why).to_owned()),
                None if count >= *failures_max => Some(format!("{count} deliveries in a row were given up")),
                None => None,
            };
            if let Some(reason) = reason
                && webhooks::disable(&mut transaction, tenant, &delivery.webhook, &reason, at).await?
            {
                let record = AuditRecord::webhook_disabled(&delivery.webhook, &reason, at);
                audit::insert(&mut transaction, tenant, &[record]).await?;
            }
        }
    }
    transaction.commit().await.map_err(&failed)
}

fn about(text: &'static str, tenant: &Tenant, webhook: &str) -> Statement {
    sqlx::query(text).bind(tenant.to_string()).bind(webhook.to_owned())
}

fn delivery(row: &AnyRow) -> Result<DeliveryRow, StoreError> {
    let attempts = serde_json::from_str(plain(row, "attempts")?)
        .map_err(|error| StoreError::Broken("column attempts cannot be read".to_owned(), Some(Box::new(error))))?;
    let state = match plain::<&str>(row, "state")? {
        "waiting" => DeliveryState::Waiting,
        "delivered" => DeliveryState::Delivered,
        "given-up" => DeliveryState::GivenUp,
        other => return Err(StoreError::Broken(format!("column state holds '{other}'"), None)),
    };
    Ok(DeliveryRow {
        id: plain(row, "delivery_id")?,
        webhook: plain(row, "webhook_id")?,
        event: outbox::placed(row)?,
        state,
        attempts,
        next_at: millis(row, "next_at")?,
        created_at: millis(row, "waits_since")?,
        finished_at: plain::<Option<i64>>(row, "finished_at")?.map(Millis),
        replay_of: plain(row, "replay_of")?,
    })
}
