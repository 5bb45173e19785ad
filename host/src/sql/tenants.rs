//! Tenants.

use super::Database;
use super::errors::failed;
use crate::clock::Millis;
use crate::names::{Scope, Tenant};
use crate::registry::store::StoreError;

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
