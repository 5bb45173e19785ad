//! Trusted publishers.

use async_trait::async_trait;
use sqlx::any::AnyRow;

use super::rows::{millis, page, plain};
use super::{Database, Statement};
use crate::clock::Millis;
use crate::names::Tenant;
use crate::registry::audit::AuditRecord;
use crate::registry::store::{Page, PublisherRow, PublisherStore, StoreError};

const COLUMNS: &str =
    "id, name, issuer, claims, entries, added_by, added_at, removed_by, removed_at FROM trusted_publishers";

#[async_trait]
impl PublisherStore for Database {
    async fn insert_publisher(&self, tenant: &Tenant, publisher: &PublisherRow) -> Result<(), StoreError> {
        let record = AuditRecord::publisher_trusted(publisher);
        self.write_told(tenant, "to write a trusted publisher", insert(tenant, publisher), record).await.map(|_| ())
    }

    async fn publisher(&self, tenant: &Tenant, id: &str) -> Result<Option<PublisherRow>, StoreError> {
        let statement = select("WHERE tenant_id = $1 AND id = $2").bind(tenant.to_string()).bind(id.to_owned());
        let row = self.read_one(tenant, "to read a trusted publisher", statement).await?;
        row.as_ref().map(publisher).transpose()
    }

    async fn publishers(
        &self,
        tenant: &Tenant,
        before: Option<&str>,
        limit: u32,
    ) -> Result<Page<PublisherRow>, StoreError> {
        // No id is above `~`.
        let statement = select("WHERE tenant_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3")
            .bind(tenant.to_string())
            .bind(before.unwrap_or("~").to_owned())
            .bind(i64::from(limit) + 1);
        let rows = self.read_all(tenant, "to read the trusted publishers", statement).await?;
        page(&rows, limit, publisher)
    }

    async fn publishers_trusted(&self, tenant: &Tenant, limit: u32) -> Result<Vec<PublisherRow>, StoreError> {
        let statement = select("WHERE tenant_id = $1 AND removed_at IS NULL ORDER BY id LIMIT $2")
            .bind(tenant.to_string())
            .bind(i64::from(limit));
        let rows = self.read_all(tenant, "to read the trusted publishers", statement).await?;
        rows.iter().map(publisher).collect()
    }

    async fn remove_publisher(
        &self,
        tenant: &Tenant,
        publisher: &PublisherRow,
        by: &str,
        at: Millis,
    ) -> Result<bool, StoreError> {
        let statement = sqlx::query(
            "UPDATE trusted_publishers SET removed_by = $3, removed_at = $4
             WHERE tenant_id = $1 AND id = $2 AND removed_at IS NULL",
        );
        let statement = statement.bind(tenant.to_string()).bind(publisher.id.clone()).bind(by.to_owned()).bind(at.0);
        let record = AuditRecord::publisher_removed(by, publisher, at);
        self.write_told(tenant, "to remove a trusted publisher", statement, record).await
    }
}

fn select(condition: &str) -> Statement {
    sqlx::query(sqlx::AssertSqlSafe(format!("SELECT {COLUMNS} {condition}")))
}

fn insert(tenant: &Tenant, publisher: &PublisherRow) -> Statement {
    let claims = serde_json::to_string(&publisher.claims).expect("claims are texts");
    let entries = serde_json::to_string(&publisher.entries).expect("patterns are texts");
    sqlx::query(
        "INSERT INTO trusted_publishers (id, tenant_id, name, issuer, claims, entries, added_by, added_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(publisher.id.clone())
    .bind(tenant.to_string())
    .bind(publisher.name.clone())
    .bind(publisher.issuer.clone())
    .bind(claims)
    .bind(entries)
    .bind(publisher.added_by.clone())
    .bind(publisher.added_at.0)
}

fn publisher(row: &AnyRow) -> Result<PublisherRow, StoreError> {
    let broken = |error: serde_json::Error| {
        StoreError::Broken("a trusted publisher cannot be read".to_owned(), Some(Box::new(error)))
    };
    let removed_by: Option<String> = plain(row, "removed_by")?;
    let removed_at: Option<i64> = plain(row, "removed_at")?;
    Ok(PublisherRow {
        id: plain(row, "id")?,
        name: plain(row, "name")?,
        issuer: plain(row, "issuer")?,
        claims: serde_json::from_str(plain(row, "claims")?).map_err(broken)?,
        entries: serde_json::from_str(plain(row, "entries")?).map_err(broken)?,
        added_by: plain(row, "added_by")?,
        added_at: millis(row, "added_at")?,
        removed: removed_by.zip(removed_at.map(Millis)),
    })
}
