//! The transaction that puts a release in force.

use super::errors::failed;
use super::rows::plain;
use super::rules::select_release;
use super::{Database, RulesLock, audit};
use crate::names::Tenant;
use crate::registry::audit::AuditRecord;
use crate::registry::store::{Activate, Activation, StoreError};

/// Waits for the publishes that are committing under the scope's rules, and they for it.
pub(super) async fn activate(
    database: &Database,
    tenant: &Tenant,
    wish: &Activate<'_>,
) -> Result<Activation, StoreError> {
    let failed = failed("to activate a release");
    let Activate { scope, number, expected, actor, at } = *wish;
    let mut transaction = database.writers.begin_with(RulesLock::Change, tenant).await.map_err(&failed)?;
    let ruleset = sqlx::query("SELECT active_number FROM rulesets WHERE tenant_id = $1 AND scope = $2")
        .bind(tenant.to_string())
        .bind(scope.to_string())
        .fetch_optional(&mut *transaction)
        .await
        .map_err(&failed)?;
    let target = select_release(tenant, scope, number).fetch_optional(&mut *transaction).await.map_err(&failed)?;
    let active: Option<i64> = ruleset.as_ref().map(|row| plain(row, "active_number")).transpose()?.flatten();
    let decided = match target.as_ref().map(|row| plain::<String>(row, "digest")).transpose()? {
        None => Err(Activation::Missing),
        Some(_) if expected.is_some_and(|expected| expected != active) => Err(Activation::Moved { active }),
        Some(_) if active == Some(number) => Err(Activation::Unchanged),
        Some(digest) => Ok(digest),
    };
    let digest = match decided {
        Ok(digest) => digest,
        Err(unchanged) => {
            transaction.roll_back().await.map_err(&failed)?;
            return Ok(unchanged);
        }
    };
    sqlx::query(
        "UPDATE rulesets SET active_number = $3, active_digest = $4, activated_at = $5
         WHERE tenant_id = $1 AND scope = $2",
    )
    .bind(tenant.to_string())
    .bind(scope.to_string())
    .bind(number)
    .bind(digest)
    .bind(at.0)
    .execute(&mut *transaction)
    .await
    .map_err(&failed)?;
    audit::insert(&mut transaction, tenant, &[AuditRecord::activated(actor, scope, number, active, at)]).await?;
    transaction.commit().await.map_err(&failed)?;
    Ok(Activation::Activated)
}
