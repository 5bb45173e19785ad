//! The inbox.

use async_trait::async_trait;

use super::Database;
use super::rows::{millis, page, plain};
use crate::clock::Millis;
use crate::names::Tenant;
use crate::registry::audit::AuditRecord;
use crate::registry::store::{InboxRow, InboxStore, Page, StoreError};

#[async_trait]
impl InboxStore for Database {
    async fn inbox(
        &self,
        tenant: &Tenant,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Page<InboxRow>, StoreError> {
        let characters = i64::try_from(prefix.chars().count()).unwrap_or(i64::MAX);
        // What begins with the prefix is not before it, so that the index finds the place.
        let statement = sqlx::query(
            "SELECT key, created_at FROM inbox
             WHERE tenant_id = $1 AND key > $2 AND key >= $3 AND substr(key, 1, CAST($4 AS INTEGER)) = $3
             ORDER BY key LIMIT $5",
        )
        .bind(tenant.to_string())
        .bind(after.unwrap_or_default().to_owned())
        .bind(prefix.to_owned())
        .bind(characters)
        .bind(i64::from(limit) + 1);
        let rows = self.read_all("to read the inbox", statement).await?;
        page(&rows, limit, |row| Ok(InboxRow { key: plain(row, "key")?, created_at: millis(row, "created_at")? }))
    }

    async fn forget_inbox(&self, tenant: &Tenant, key: &str, by: &str, at: Millis) -> Result<bool, StoreError> {
        let statement = sqlx::query("DELETE FROM inbox WHERE tenant_id = $1 AND key = $2");
        let statement = statement.bind(tenant.to_string()).bind(key.to_owned());
        let record = AuditRecord::inbox_forgotten(by, key, at);
        self.write_told(tenant, "to forget a key of the inbox", statement, record).await
    }
}
