//! Tenants and their tokens.

use sqlx::any::AnyRow;

use super::errors::failed;
use super::rows::{millis, name, plain};
use super::{Database, Statement};
use crate::clock::Millis;
use crate::names::{Scope, Tenant};
use crate::registry::store::{StoreError, TokenRow};

pub(super) async fn ensure(database: &Database, tenant: &Tenant, at: Millis) -> Result<(), StoreError> {
    let failed = failed("to write a tenant");
    let mut transaction = database.writers.begin().await.map_err(&failed)?;
    sqlx::query("INSERT INTO tenants (id, created_at) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING")
        .bind(tenant.to_string())
        .bind(at.0)
        .execute(&mut *transaction)
        .await
        .map_err(&failed)?;
    // The policies' row is there before there are policies, so that a publish has something to lock.
    sqlx::query(
        "INSERT INTO rulesets (tenant_id, scope, last_number) VALUES ($1, $2, 0)
         ON CONFLICT (tenant_id, scope) DO NOTHING",
    )
    .bind(tenant.to_string())
    .bind(Scope::Policies.to_string())
    .execute(&mut *transaction)
    .await
    .map_err(&failed)?;
    transaction.commit().await.map_err(&failed)
}

pub(super) fn insert_token(token: &TokenRow) -> Statement {
    sqlx::query(
        "INSERT INTO tokens (id, tenant_id, name, prefix, hash, role, created_at, revoked_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (hash) DO NOTHING",
    )
    .bind(token.id.clone())
    .bind(token.tenant.to_string())
    .bind(token.name.clone())
    .bind(token.prefix.clone())
    .bind(token.hash.clone())
    .bind(token.role.clone())
    .bind(token.created_at.0)
    .bind(token.revoked_at.map(|at| at.0))
}

pub(super) fn token_by_hash(hash: &str) -> Statement {
    sqlx::query("SELECT id, tenant_id, name, prefix, hash, role, created_at, revoked_at FROM tokens WHERE hash = $1")
        .bind(hash.to_owned())
}

pub(super) fn token(row: &AnyRow) -> Result<TokenRow, StoreError> {
    Ok(TokenRow {
        id: plain(row, "id")?,
        tenant: name(row, "tenant_id")?,
        name: plain(row, "name")?,
        prefix: plain(row, "prefix")?,
        hash: plain(row, "hash")?,
        role: plain(row, "role")?,
        created_at: millis(row, "created_at")?,
        revoked_at: plain::<Option<i64>>(row, "revoked_at")?.map(Millis),
    })
}
