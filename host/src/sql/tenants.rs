//! Tenants.

use sqlx::AnyConnection;

use super::errors::failed;
use super::rows::name;
use super::whose::{Whose, carry};
use super::{Database, Engine};
use crate::clock::Millis;
use crate::names::{Scope, Tenant};
use crate::registry::store::StoreError;

const LIST: &str = "SELECT id FROM tenants ORDER BY id";

const LISTING: &str = "to list the tenants";

/// Every tenant, by name. What is about more than one is done for each by itself: no transaction sees the rows of two.
pub(super) async fn list(database: &Database) -> Result<Vec<Tenant>, StoreError> {
    let rows = database.read_all(Whose::Tenants, LISTING, sqlx::query(LIST)).await?;
    rows.iter().map(|row| name(row, "id")).collect()
}

/// The same within a transaction.
pub(super) async fn list_within(connection: &mut AnyConnection, engine: Engine) -> Result<Vec<Tenant>, StoreError> {
    carry(connection, engine, Whose::Tenants).await?;
    let rows = sqlx::query(LIST).fetch_all(connection).await.map_err(failed(LISTING))?;
    rows.iter().map(|row| name(row, "id")).collect()
}

pub(super) async fn ensure(database: &Database, tenant: &Tenant, at: Millis) -> Result<(), StoreError> {
    let failed = failed("to write a tenant");
    let mut transaction = database.writers.begin(tenant).await.map_err(&failed)?;
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
