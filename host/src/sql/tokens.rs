//! Tokens.

use async_trait::async_trait;
use sqlx::AnyConnection;
use sqlx::any::AnyRow;

use super::errors::failed;
use super::rows::{millis, name, page, plain};
use super::whose::Whose;
use super::{Database, Statement, audit};
use crate::clock::Millis;
use crate::names::Tenant;
use crate::registry::access::{Grants, Role};
use crate::registry::audit::AuditRecord;
use crate::registry::store::{Page, StoreError, TokenRow, TokenStore};

const COLUMNS: &str = "id, tenant_id, name, prefix, hash, roles, entries, created_by, created_at, expires_at, \
                       last_used_at, revoked_by, revoked_at FROM tokens";

#[async_trait]
impl TokenStore for Database {
    async fn insert_token(&self, token: &TokenRow) -> Result<bool, StoreError> {
        let record = AuditRecord::token_created(token);
        self.write_told(&token.tenant, "to write a token", insert(token), record).await
    }

    async fn token_by_hash(&self, hash: &str) -> Result<Option<TokenRow>, StoreError> {
        let statement = select("WHERE hash = $1").bind(hash.to_owned());
        let row = self.read_one(Whose::Token(hash), "to read a token", statement).await?;
        row.as_ref().map(token).transpose()
    }

    async fn token(&self, tenant: &Tenant, id: &str) -> Result<Option<TokenRow>, StoreError> {
        let statement = select("WHERE tenant_id = $1 AND id = $2").bind(tenant.to_string()).bind(id.to_owned());
        let row = self.read_one(tenant, "to read a token", statement).await?;
        row.as_ref().map(token).transpose()
    }

    async fn tokens(&self, tenant: &Tenant, before: Option<&str>, limit: u32) -> Result<Page<TokenRow>, StoreError> {
        // No id is above `~`.
        let statement = select("WHERE tenant_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3")
            .bind(tenant.to_string())
            .bind(before.unwrap_or("~").to_owned())
            .bind(i64::from(limit) + 1);
        let rows = self.read_all(tenant, "to read the tokens", statement).await?;
        page(&rows, limit, token)
    }

    async fn token_used(&self, tenant: &Tenant, id: &str, at: Millis) -> Result<(), StoreError> {
        let statement = sqlx::query(
            "UPDATE tokens SET last_used_at = $3
             WHERE tenant_id = $1 AND id = $2 AND (last_used_at IS NULL OR last_used_at < $3)",
        )
        .bind(tenant.to_string())
        .bind(id.to_owned())
        .bind(at.0);
        self.write(tenant, "to write a token's use", statement).await.map(|_| ())
    }

    async fn revoke_token(&self, token: &TokenRow, by: &str, at: Millis) -> Result<bool, StoreError> {
        let record = AuditRecord::token_revoked(by, &token.id, &token.name, at);
        self.write_told(&token.tenant, "to revoke a token", revoke(&token.tenant, &token.id, by, at), record).await
    }

    async fn revoke_tokens(
        &self,
        tenant: &Tenant,
        before: Millis,
        own: &str,
        by: &str,
        at: Millis,
    ) -> Result<u64, StoreError> {
        let failed = failed("to revoke tokens");
        let mut transaction = self.writers.begin(tenant).await.map_err(&failed)?;
        let held = select_made_before(&mut transaction, tenant, before, own).await?;
        let mut records = Vec::new();
        for (id, name) in held {
            // Another host may have been faster: then the row is its own to tell of.
            let done = revoke(tenant, &id, by, at).execute(&mut *transaction).await.map_err(&failed)?;
            if done.rows_affected() > 0 {
                records.push(AuditRecord::token_revoked(by, &id, &name, at));
            }
        }
        audit::insert(&mut transaction, tenant, &records).await?;
        transaction.commit().await.map_err(&failed)?;
        Ok(records.len() as u64)
    }
}

async fn select_made_before(
    connection: &mut AnyConnection,
    tenant: &Tenant,
    before: Millis,
    own: &str,
) -> Result<Vec<(String, String)>, StoreError> {
    let rows = sqlx::query(
        "SELECT id, name FROM tokens
         WHERE tenant_id = $1 AND created_at < $2 AND id <> $3 AND revoked_at IS NULL ORDER BY id",
    )
    .bind(tenant.to_string())
    .bind(before.0)
    .bind(own.to_owned())
    .fetch_all(connection)
    .await
    .map_err(failed("to read the tokens"))?;
    rows.iter().map(|row| Ok((plain(row, "id")?, plain(row, "name")?))).collect()
}

fn select(condition: &str) -> Statement {
    sqlx::query(sqlx::AssertSqlSafe(format!("SELECT {COLUMNS} {condition}")))
}

fn insert(token: &TokenRow) -> Statement {
    let entries = serde_json::to_string(token.grants.entries()).expect("patterns are text");
    let roles: Vec<&str> = token.grants.roles().iter().map(|role| role.as_str()).collect();
    sqlx::query(
        "INSERT INTO tokens (id, tenant_id, name, prefix, hash, roles, entries, created_by, created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (hash) DO NOTHING",
    )
    .bind(token.id.clone())
    .bind(token.tenant.to_string())
    .bind(token.name.clone())
    .bind(token.prefix.clone())
    .bind(token.hash.clone())
    .bind(roles.join(" "))
    .bind(entries)
    .bind(token.created_by.clone())
    .bind(token.created_at.0)
    .bind(token.expires_at.map(|at| at.0))
}

fn revoke(tenant: &Tenant, id: &str, by: &str, at: Millis) -> Statement {
    sqlx::query(
        "UPDATE tokens SET revoked_by = $3, revoked_at = $4 WHERE tenant_id = $1 AND id = $2 AND revoked_at IS NULL",
    )
    .bind(tenant.to_string())
    .bind(id.to_owned())
    .bind(by.to_owned())
    .bind(at.0)
}

fn token(row: &AnyRow) -> Result<TokenRow, StoreError> {
    let instant = |column| Ok::<_, StoreError>(plain::<Option<i64>>(row, column)?.map(Millis));
    // Of the time before it was kept who revoked a token.
    let revoked_by = plain::<Option<String>>(row, "revoked_by")?.unwrap_or_default();
    Ok(TokenRow {
        id: plain(row, "id")?,
        tenant: name(row, "tenant_id")?,
        name: plain(row, "name")?,
        prefix: plain(row, "prefix")?,
        hash: plain(row, "hash")?,
        grants: grants(plain(row, "roles")?, plain(row, "entries")?)?,
        created_by: plain(row, "created_by")?,
        created_at: millis(row, "created_at")?,
        expires_at: instant("expires_at")?,
        last_used_at: instant("last_used_at")?,
        revoked: instant("revoked_at")?.map(|at| (revoked_by, at)),
    })
}

fn grants(roles: &str, entries: &str) -> Result<Grants, StoreError> {
    let broken = |error: Box<dyn std::error::Error + Send + Sync>| {
        StoreError::Broken("a token's grants cannot be read".to_owned(), Some(error))
    };
    let roles = roles.split(' ').map(|word| word.parse::<Role>()).collect::<Result<Vec<_>, _>>();
    let entries = serde_json::from_str(entries).map_err(|error| broken(Box::new(error)))?;
    roles.and_then(|roles| Grants::new(roles, entries)).map_err(|error| broken(Box::new(error)))
}
