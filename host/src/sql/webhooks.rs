//! Webhooks. What is sent to them is in `deliveries`.

use async_trait::async_trait;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe};

use super::errors::failed;
use super::rows::{millis, page, plain};
use super::{Database, Statement, deliveries};
use crate::clock::Millis;
use crate::names::Tenant;
use crate::registry::audit::AuditRecord;
use crate::registry::store::{DeliveryRow, Lease, Page, Settled, StoreError, WebhookRow, WebhookStore};

const COLUMNS: &str = "id, url, types, kinds, key_id, salt, previous_salt, previous_until, failures, disabled_at, \
                       disabled_reason, created_by, created_at FROM webhooks";

const READING: &str = "to read webhooks";

#[async_trait]
impl WebhookStore for Database {
    async fn insert_webhook(&self, tenant: &Tenant, webhook: &WebhookRow, most: u32) -> Result<bool, StoreError> {
        let record = AuditRecord::webhook_added(webhook);
        self.write_told(tenant, "to write a webhook", insert(tenant, webhook, most), record).await
    }

    async fn webhook(&self, tenant: &Tenant, id: &str) -> Result<Option<WebhookRow>, StoreError> {
        let statement = select("WHERE tenant_id = $1 AND id = $2", tenant).bind(id.to_owned());
        let row = self.read_one(READING, statement).await?;
        row.as_ref().map(webhook).transpose()
    }

    async fn webhooks(
        &self,
        tenant: &Tenant,
        before: Option<&str>,
        limit: u32,
    ) -> Result<Page<WebhookRow>, StoreError> {
        // No id is above `~`.
        let statement = select("WHERE tenant_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3", tenant)
            .bind(before.unwrap_or("~").to_owned())
            .bind(i64::from(limit) + 1);
        page(&self.read_all(READING, statement).await?, limit, webhook)
    }

    async fn remove_webhook(&self, tenant: &Tenant, id: &str, by: &str, at: Millis) -> Result<bool, StoreError> {
        let statement = about("DELETE FROM webhooks WHERE tenant_id = $1 AND id = $2", tenant, id);
        self.write_told(tenant, "to remove a webhook", statement, AuditRecord::webhook_removed(by, id, at)).await
    }

    async fn rotate_webhook(
        &self,
        tenant: &Tenant,
        webhook: &WebhookRow,
        by: &str,
        at: Millis,
    ) -> Result<bool, StoreError> {
        let text = "UPDATE webhooks SET key_id = $3, salt = $4, previous_salt = $5, previous_until = $6
                    WHERE tenant_id = $1 AND id = $2";
        let statement = about(text, tenant, &webhook.id)
            .bind(webhook.key_id.clone())
            .bind(webhook.salt.clone())
            .bind(webhook.previous.as_ref().map(|(salt, _)| salt.clone()))
            .bind(webhook.previous.as_ref().map(|(_, until)| until.0));
        let record = AuditRecord::webhook_rotated(by, webhook, at);
        self.write_told(tenant, "to rotate a webhook's secret", statement, record).await
    }

    async fn enable_webhook(&self, tenant: &Tenant, id: &str, by: &str, at: Millis) -> Result<bool, StoreError> {
        let text = "UPDATE webhooks SET disabled_at = NULL, disabled_reason = NULL, failures = 0
                    WHERE tenant_id = $1 AND id = $2 AND disabled_at IS NOT NULL";
        let record = AuditRecord::webhook_enabled(by, id, at);
        self.write_told(tenant, "to enable a webhook", about(text, tenant, id), record).await
    }

    async fn deliveries(
        &self,
        tenant: &Tenant,
        webhook: &str,
        before: Option<&str>,
        limit: u32,
    ) -> Result<Page<DeliveryRow>, StoreError> {
        deliveries::list(self, tenant, webhook, before, limit).await
    }

    async fn delivery(&self, tenant: &Tenant, webhook: &str, id: &str) -> Result<Option<DeliveryRow>, StoreError> {
        deliveries::one(self, tenant, webhook, id).await
    }

    async fn insert_replay(&self, tenant: &Tenant, delivery: &DeliveryRow) -> Result<(), StoreError> {
        deliveries::insert_replay(self, tenant, delivery).await
    }

    async fn due_webhooks(&self, tenant: &Tenant, at: Millis) -> Result<Vec<WebhookRow>, StoreError> {
        let condition = "WHERE tenant_id = $1 AND disabled_at IS NULL AND EXISTS (
             SELECT 1 FROM deliveries WHERE deliveries.tenant_id = $1 AND webhook_id = webhooks.id
                 AND state = 'waiting' AND next_at <= $2 AND leased_until <= $2)
             ORDER BY id";
        let rows = self.read_all(READING, select(condition, tenant).bind(at.0)).await?;
        rows.iter().map(webhook).collect()
    }

    async fn take_deliveries(
        &self,
        tenant: &Tenant,
        webhook: &str,
        lease: Lease,
        limit: u32,
    ) -> Result<Vec<DeliveryRow>, StoreError> {
        deliveries::take(self, tenant, webhook, lease, limit).await
    }

    async fn settle_delivery(
        &self,
        tenant: &Tenant,
        delivery: &DeliveryRow,
        leased_until: Millis,
        settled: &Settled<'_>,
        at: Millis,
    ) -> Result<(), StoreError> {
        deliveries::settle(self, tenant, delivery, leased_until, settled, at).await
    }
}

/// Every webhook of the tenant, disabled ones too.
pub(super) async fn select_all(connection: &mut AnyConnection, tenant: &Tenant) -> Result<Vec<WebhookRow>, StoreError> {
    let rows =
        select("WHERE tenant_id = $1 ORDER BY id", tenant).fetch_all(connection).await.map_err(failed(READING))?;
    rows.iter().map(webhook).collect()
}

/// Counts a delivery that was given up, or forgets those that were: gives how many there are now in a row.
pub(super) async fn count_failures(
    connection: &mut AnyConnection,
    tenant: &Tenant,
    id: &str,
    is_failure: bool,
) -> Result<Option<i64>, StoreError> {
    let text = if is_failure {
        "UPDATE webhooks SET failures = failures + 1 WHERE tenant_id = $1 AND id = $2 RETURNING failures"
    } else {
        "UPDATE webhooks SET failures = 0 WHERE tenant_id = $1 AND id = $2 AND failures <> 0 RETURNING failures"
    };
    let row = about(text, tenant, id).fetch_optional(connection).await.map_err(failed("to count failures"))?;
    row.map(|row| plain(&row, "failures")).transpose()
}

/// Sends no more to it; false where that is so already.
pub(super) async fn disable(
    connection: &mut AnyConnection,
    tenant: &Tenant,
    id: &str,
    reason: &str,
    at: Millis,
) -> Result<bool, StoreError> {
    let text = "UPDATE webhooks SET disabled_at = $3, disabled_reason = $4
                WHERE tenant_id = $1 AND id = $2 AND disabled_at IS NULL";
    let statement = about(text, tenant, id).bind(at.0).bind(reason.to_owned());
    let done = statement.execute(connection).await.map_err(failed("to disable a webhook"))?;
    Ok(done.rows_affected() > 0)
}

fn select(condition: &str, tenant: &Tenant) -> Statement {
    sqlx::query(AssertSqlSafe(format!("SELECT {COLUMNS} {condition}"))).bind(tenant.to_string())
}

fn about(text: &'static str, tenant: &Tenant, id: &str) -> Statement {
    sqlx::query(text).bind(tenant.to_string()).bind(id.to_owned())
}

/// Two who add at once may be one over the limit: it keeps a mistake small, and guards nothing.
fn insert(tenant: &Tenant, webhook: &WebhookRow, most: u32) -> Statement {
    let list = |words: &[String]| serde_json::to_string(words).expect("words are text");
    let kinds: Vec<String> = webhook.kinds.iter().map(ToString::to_string).collect();
    about(
        "INSERT INTO webhooks (tenant_id, id, url, types, kinds, key_id, salt, created_by, created_at)
         SELECT $1, $2, $3, $4, $5, $6, $7, $8, CAST($9 AS BIGINT)
         WHERE (SELECT COUNT(*) FROM webhooks WHERE tenant_id = $1) < $10",
        tenant,
        &webhook.id,
    )
    .bind(webhook.url.clone())
    .bind(list(&webhook.types))
    .bind(list(&kinds))
    .bind(webhook.key_id.clone())
    .bind(webhook.salt.clone())
    .bind(webhook.created_by.clone())
    .bind(webhook.created_at.0)
    .bind(i64::from(most))
}

fn webhook(row: &AnyRow) -> Result<WebhookRow, StoreError> {
    let broken = |error: serde_json::Error| {
        StoreError::Broken("a webhook's filter cannot be read".to_owned(), Some(Box::new(error)))
    };
    let instant = |column| Ok::<_, StoreError>(plain::<Option<i64>>(row, column)?.map(Millis));
    let previous_salt: Option<String> = plain(row, "previous_salt")?;
    let reason: Option<String> = plain(row, "disabled_reason")?;
    Ok(WebhookRow {
        id: plain(row, "id")?,
        url: plain(row, "url")?,
        types: serde_json::from_str(plain(row, "types")?).map_err(broken)?,
        kinds: serde_json::from_str(plain(row, "kinds")?).map_err(broken)?,
        key_id: plain(row, "key_id")?,
        salt: plain(row, "salt")?,
        previous: previous_salt.zip(instant("previous_until")?),
        failures: plain(row, "failures")?,
        disabled: instant("disabled_at")?.map(|at| (at, reason.unwrap_or_default())),
        created_by: plain(row, "created_by")?,
        created_at: millis(row, "created_at")?,
    })
}
