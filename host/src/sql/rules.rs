//! Plugins, releases, and which release of a scope is active.

use sqlx::any::AnyRow;

use super::errors::failed;
use super::rows::{millis, name, plain};
use super::{Database, Statement, audit, fleet};
use crate::names::{Digest, ModuleName, Scope, Tenant};
use crate::registry::audit::AuditRecord;
use crate::registry::release::ReleaseRef;
use crate::registry::store::{Happened, NewRelease, PluginPlace, PluginRow, ReleaseHead, ReleaseRow, StoreError};

pub(super) fn insert_plugin(tenant: &Tenant, plugin: &PluginRow) -> Statement {
    sqlx::query(
        "INSERT INTO plugins
             (tenant_id, digest, name, version, contract, inspection, size_bytes, pushed_by, pushed_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (tenant_id, digest) DO NOTHING",
    )
    .bind(tenant.to_string())
    .bind(plugin.digest.to_string())
    .bind(plugin.name.clone())
    .bind(plugin.version.clone())
    .bind(plugin.contract.clone())
    .bind(plugin.inspection.clone())
    .bind(plugin.size_bytes)
    .bind(plugin.pushed_by.clone())
    .bind(plugin.pushed_at.0)
}

pub(super) fn select_plugin(tenant: &Tenant, digest: &Digest) -> Statement {
    sqlx::query(
        "SELECT digest, name, version, contract, inspection, size_bytes, pushed_by, pushed_at
         FROM plugins WHERE tenant_id = $1 AND digest = $2",
    )
    .bind(tenant.to_string())
    .bind(digest.to_string())
}

/// One row more than the page holds, as of every page. No name is empty, so none starts from the first.
pub(super) fn select_plugins(tenant: &Tenant, after: Option<&PluginPlace>, limit: u32) -> Statement {
    let (name, pushed_at, digest) = match after {
        Some(place) => (place.name.clone(), place.pushed_at.0, place.digest.to_string()),
        None => (String::new(), 0, String::new()),
    };
    sqlx::query(
        "SELECT digest, name, version, contract, inspection, size_bytes, pushed_by, pushed_at
         FROM plugins WHERE tenant_id = $1 AND (name, pushed_at, digest) > ($2, $3, $4)
         ORDER BY name, pushed_at, digest LIMIT $5",
    )
    .bind(tenant.to_string())
    .bind(name)
    .bind(pushed_at)
    .bind(digest)
    .bind(i64::from(limit) + 1)
}

pub(super) fn plugin(row: &AnyRow) -> Result<PluginRow, StoreError> {
    Ok(PluginRow {
        digest: name(row, "digest")?,
        name: plain(row, "name")?,
        version: plain(row, "version")?,
        contract: plain(row, "contract")?,
        inspection: plain(row, "inspection")?,
        size_bytes: plain(row, "size_bytes")?,
        pushed_by: plain(row, "pushed_by")?,
        pushed_at: millis(row, "pushed_at")?,
    })
}

/// Two at once get two numbers: the first statement holds the scope's row until the commit.
pub(super) async fn create_release(
    database: &Database,
    tenant: &Tenant,
    new: &NewRelease,
) -> Result<ReleaseRow, StoreError> {
    let failed = failed("to write a release");
    let mut transaction = database.writers.begin(tenant).await.map_err(&failed)?;
    let row = sqlx::query(
        "INSERT INTO rulesets (tenant_id, scope, last_number) VALUES ($1, $2, 1)
         ON CONFLICT (tenant_id, scope) DO UPDATE SET last_number = rulesets.last_number + 1
         RETURNING last_number",
    )
    .bind(tenant.to_string())
    .bind(new.scope.to_string())
    .fetch_one(&mut *transaction)
    .await
    .map_err(&failed)?;
    let number = plain(&row, "last_number")?;
    sqlx::query(
        "INSERT INTO releases (tenant_id, scope, number, digest, rules, author, message, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(tenant.to_string())
    .bind(new.scope.to_string())
    .bind(number)
    .bind(new.digest.to_string())
    .bind(new.rules.clone())
    .bind(new.author.clone())
    .bind(new.message.clone())
    .bind(new.created_at.0)
    .execute(&mut *transaction)
    .await
    .map_err(&failed)?;
    let row = ReleaseRow {
        release: ReleaseRef { scope: new.scope.clone(), number, digest: new.digest.clone() },
        rules: new.rules.clone(),
        author: new.author.clone(),
        message: new.message.clone(),
        created_at: new.created_at,
    };
    audit::insert(&mut transaction, tenant, &[AuditRecord::released(&row)]).await?;
    fleet::tell(database, &mut transaction, tenant, (Happened::Created, &new.scope, number)).await?;
    transaction.commit().await.map_err(&failed)?;
    Ok(row)
}

pub(super) fn select_release(tenant: &Tenant, scope: &Scope, number: i64) -> Statement {
    sqlx::query(
        "SELECT scope, number, digest, rules, author, message, created_at
         FROM releases WHERE tenant_id = $1 AND scope = $2 AND number = $3",
    )
    .bind(tenant.to_string())
    .bind(scope.to_string())
    .bind(number)
}

pub(super) fn select_releases(tenant: &Tenant, scope: &Scope, before: Option<i64>, limit: u32) -> Statement {
    sqlx::query(
        "SELECT scope, number, digest, author, message, created_at
         FROM releases WHERE tenant_id = $1 AND scope = $2 AND number < $3 ORDER BY number DESC LIMIT $4",
    )
    .bind(tenant.to_string())
    .bind(scope.to_string())
    .bind(before.unwrap_or(i64::MAX))
    .bind(i64::from(limit) + 1)
}

pub(super) fn select_active(tenant: &Tenant) -> Statement {
    sqlx::query(
        "SELECT l.scope, l.number, l.digest, l.rules, l.author, l.message, l.created_at
         FROM rulesets r
         JOIN releases l ON l.tenant_id = r.tenant_id AND l.scope = r.scope AND l.number = r.active_number
         WHERE r.tenant_id = $1 ORDER BY r.scope",
    )
    .bind(tenant.to_string())
}

/// Modules' scopes are those that begin with `module:`, and ';' is the byte after ':'.
pub(super) fn select_modules(tenant: &Tenant, after: Option<&ModuleName>, limit: u32) -> Statement {
    let after = after.map_or_else(|| "module:".to_owned(), |name| Scope::Module(name.clone()).to_string());
    sqlx::query(
        "SELECT l.scope, l.number, l.digest, l.rules, l.author, l.message, l.created_at
         FROM rulesets r
         JOIN releases l ON l.tenant_id = r.tenant_id AND l.scope = r.scope AND l.number = r.active_number
         WHERE r.tenant_id = $1 AND r.scope > $2 AND r.scope < 'module;' ORDER BY r.scope LIMIT $3",
    )
    .bind(tenant.to_string())
    .bind(after)
    .bind(i64::from(limit) + 1)
}

pub(super) fn select_active_of(tenant: &Tenant, scope: &Scope) -> Statement {
    sqlx::query(
        "SELECT l.scope, l.number, l.digest, l.rules, l.author, l.message, l.created_at
         FROM rulesets r
         JOIN releases l ON l.tenant_id = r.tenant_id AND l.scope = r.scope AND l.number = r.active_number
         WHERE r.tenant_id = $1 AND r.scope = $2",
    )
    .bind(tenant.to_string())
    .bind(scope.to_string())
}

pub(super) fn select_active_refs(tenant: &Tenant) -> Statement {
    sqlx::query(
        "SELECT scope, active_number AS number, active_digest AS digest
         FROM rulesets WHERE tenant_id = $1 AND active_number IS NOT NULL ORDER BY scope",
    )
    .bind(tenant.to_string())
}

pub(super) fn release_ref(row: &AnyRow) -> Result<ReleaseRef, StoreError> {
    Ok(ReleaseRef { scope: name(row, "scope")?, number: plain(row, "number")?, digest: name(row, "digest")? })
}

/// The release that is active in a scope, where one is.
pub(super) fn active_ref(row: &AnyRow) -> Result<Option<ReleaseRef>, StoreError> {
    match plain::<Option<i64>>(row, "number")? {
        Some(_) => release_ref(row).map(Some),
        None => Ok(None),
    }
}

pub(super) fn release_head(row: &AnyRow) -> Result<ReleaseHead, StoreError> {
    Ok(ReleaseHead {
        release: release_ref(row)?,
        author: plain(row, "author")?,
        message: plain(row, "message")?,
        created_at: millis(row, "created_at")?,
    })
}

pub(super) fn release(row: &AnyRow) -> Result<ReleaseRow, StoreError> {
    Ok(ReleaseRow {
        release: release_ref(row)?,
        rules: plain(row, "rules")?,
        author: plain(row, "author")?,
        message: plain(row, "message")?,
        created_at: millis(row, "created_at")?,
    })
}
