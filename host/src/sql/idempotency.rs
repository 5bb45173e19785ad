//! Requests that are run once.

use async_trait::async_trait;
use sqlx::any::AnyRow;

use super::rows::{name, plain};
use super::{Database, Statement};
use crate::clock::Millis;
use crate::names::{Digest, Tenant};
use crate::registry::idempotency::{Attempt, Begin, KeptAnswer};
use crate::registry::store::{IdempotencyStore, StoreError};

#[async_trait]
impl IdempotencyStore for Database {
    async fn begin_once(&self, tenant: &Tenant, begin: &Begin<'_>) -> Result<bool, StoreError> {
        self.write(tenant, "to take an idempotency key", take(tenant, begin)).await
    }

    async fn once(
        &self,
        tenant: &Tenant,
        caller: &str,
        key: &str,
    ) -> Result<Option<(Digest, Option<KeptAnswer>)>, StoreError> {
        let statement = sqlx::query(
            "SELECT fingerprint, status, content_type, location, etag, body FROM idempotency_keys
             WHERE tenant_id = $1 AND caller = $2 AND key = $3",
        );
        let statement = statement.bind(tenant.to_string()).bind(caller.to_owned()).bind(key.to_owned());
        let row = self.read_one(tenant, "to read an idempotency key", statement).await?;
        row.as_ref().map(|row| Ok((name(row, "fingerprint")?, answer(row)?))).transpose()
    }

    async fn finish_once(&self, tenant: &Tenant, attempt: &Attempt, answer: &KeptAnswer) -> Result<(), StoreError> {
        let statement = sqlx::query(
            "UPDATE idempotency_keys SET status = $5, content_type = $6, location = $7, etag = $8, body = $9
             WHERE tenant_id = $1 AND caller = $2 AND key = $3 AND attempt = $4",
        );
        let statement = of_attempt(statement, tenant, attempt)
            .bind(i64::from(answer.status))
            .bind(answer.content_type.clone())
            .bind(answer.location.clone())
            .bind(answer.etag.clone())
            .bind(answer.body.clone());
        self.write(tenant, "to keep an answer", statement).await.map(|_| ())
    }

    async fn give_back_once(&self, tenant: &Tenant, attempt: &Attempt) -> Result<(), StoreError> {
        let statement = sqlx::query(
            "DELETE FROM idempotency_keys
             WHERE tenant_id = $1 AND caller = $2 AND key = $3 AND attempt = $4 AND status IS NULL",
        );
        self.write(tenant, "to give back an idempotency key", of_attempt(statement, tenant, attempt)).await.map(|_| ())
    }

    async fn forget_once(&self, tenant: &Tenant, at: Millis) -> Result<u64, StoreError> {
        let statement = sqlx::query("DELETE FROM idempotency_keys WHERE tenant_id = $1 AND expires_at <= $2");
        let statement = statement.bind(tenant.to_string()).bind(at.0);
        self.write_rows(tenant, "to forget idempotency keys", statement).await
    }
}

/// One statement, so that of two who take a key at once one gets it.
fn take(tenant: &Tenant, begin: &Begin<'_>) -> Statement {
    let Attempt { caller, key, id } = begin.attempt;
    sqlx::query(
        "INSERT INTO idempotency_keys (tenant_id, caller, key, attempt, fingerprint, leased_until, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (tenant_id, caller, key) DO UPDATE
         SET attempt = $4, fingerprint = $5, leased_until = $6, expires_at = $7, status = NULL, content_type = NULL,
             location = NULL, etag = NULL, body = NULL
         WHERE idempotency_keys.expires_at <= $8
            OR (idempotency_keys.status IS NULL AND idempotency_keys.leased_until <= $8
                AND idempotency_keys.fingerprint = $5)",
    )
    .bind(tenant.to_string())
    .bind(caller.clone())
    .bind(key.clone())
    .bind(id.clone())
    .bind(begin.fingerprint.to_string())
    .bind(begin.leased_until.0)
    .bind(begin.expires_at.0)
    .bind(begin.at.0)
}

fn of_attempt(statement: Statement, tenant: &Tenant, attempt: &Attempt) -> Statement {
    statement.bind(tenant.to_string()).bind(attempt.caller.clone()).bind(attempt.key.clone()).bind(attempt.id.clone())
}

fn answer(row: &AnyRow) -> Result<Option<KeptAnswer>, StoreError> {
    let Some(status) = plain::<Option<i64>>(row, "status")? else { return Ok(None) };
    let status = u16::try_from(status)
        .map_err(|error| StoreError::Broken("column status holds no status".to_owned(), Some(Box::new(error))))?;
    Ok(Some(KeptAnswer {
        status,
        content_type: plain::<Option<String>>(row, "content_type")?.unwrap_or_default(),
        location: plain(row, "location")?,
        etag: plain(row, "etag")?,
        body: plain(row, "body")?,
    }))
}
