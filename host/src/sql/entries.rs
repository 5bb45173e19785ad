//! Reading entries and their versions.

use sqlx::any::AnyRow;

use super::Statement;
use super::rows::{millis, name, plain};
use crate::names::{EntryId, KindName, Tenant, VersionName};
use crate::registry::store::{EntryRow, StoreError, VersionHead, VersionPlace, VersionRow};

pub(super) fn select_entry(tenant: &Tenant, kind: &KindName, id: &EntryId) -> Statement {
    sqlx::query(
        "SELECT kind, id, name, description, status, current_version, highest_version, tags, created_at, updated_at
         FROM entries WHERE tenant_id = $1 AND kind = $2 AND id = $3",
    )
    .bind(tenant.to_string())
    .bind(kind.to_string())
    .bind(id.to_string())
}

/// One row more than the page holds, which tells whether more follow. No id is empty, so none starts from the first.
pub(super) fn select_page(tenant: &Tenant, kind: &KindName, after: Option<&EntryId>, limit: u32) -> Statement {
    sqlx::query(
        "SELECT kind, id, name, description, status, current_version, highest_version, tags, created_at, updated_at
         FROM entries WHERE tenant_id = $1 AND kind = $2 AND id > $3 ORDER BY id LIMIT $4",
    )
    .bind(tenant.to_string())
    .bind(kind.to_string())
    .bind(after.map(EntryId::to_string).unwrap_or_default())
    .bind(i64::from(limit) + 1)
}

pub(super) fn entry(row: &AnyRow) -> Result<EntryRow, StoreError> {
    Ok(EntryRow {
        kind: name(row, "kind")?,
        id: name(row, "id")?,
        name: plain(row, "name")?,
        description: plain(row, "description")?,
        status: plain(row, "status")?,
        current_version: name(row, "current_version")?,
        highest_version: name(row, "highest_version")?,
        tags: plain(row, "tags")?,
        created_at: millis(row, "created_at")?,
        updated_at: millis(row, "updated_at")?,
    })
}

pub(super) fn select_version(
    tenant: &Tenant,
    kind: &KindName,
    id: &EntryId,
    version: Option<&VersionName>,
) -> Statement {
    let statement = match version {
        None => {
            "SELECT v.kind, v.entry_id, v.version, v.digest, v.submitted_digest, v.manifest, v.decision_id,
                    v.published_by, v.published_at, e.current_version
             FROM entries e
             JOIN versions v ON v.tenant_id = e.tenant_id AND v.kind = e.kind AND v.entry_id = e.id
                            AND v.version = e.current_version
             WHERE e.tenant_id = $1 AND e.kind = $2 AND e.id = $3"
        }
        Some(_) => {
            "SELECT v.kind, v.entry_id, v.version, v.digest, v.submitted_digest, v.manifest, v.decision_id,
                    v.published_by, v.published_at, e.current_version
             FROM versions v
             JOIN entries e ON e.tenant_id = v.tenant_id AND e.kind = v.kind AND e.id = v.entry_id
             WHERE v.tenant_id = $1 AND v.kind = $2 AND v.entry_id = $3 AND v.version = $4"
        }
    };
    let query = sqlx::query(statement).bind(tenant.to_string()).bind(kind.to_string()).bind(id.to_string());
    match version {
        None => query,
        Some(version) => query.bind(version.to_string()),
    }
}

pub(super) fn version(row: &AnyRow) -> Result<VersionRow, StoreError> {
    let version = name(row, "version")?;
    Ok(VersionRow {
        kind: name(row, "kind")?,
        id: name(row, "entry_id")?,
        status: status(&version, row)?,
        version,
        digest: name(row, "digest")?,
        submitted_digest: name(row, "submitted_digest")?,
        manifest: plain::<&str>(row, "manifest")?.into(),
        decision: name(row, "decision_id")?,
        published_by: plain(row, "published_by")?,
        published_at: millis(row, "published_at")?,
    })
}

/// Of versions published in the same millisecond the decision made later comes first: its id sorts by time.
pub(super) fn select_versions(
    tenant: &Tenant,
    kind: &KindName,
    id: &EntryId,
    after: Option<&VersionPlace>,
    limit: u32,
) -> Statement {
    let (published_at, decision) =
        after.map_or((i64::MAX, String::new()), |place| (place.published_at.0, place.decision.to_string()));
    sqlx::query(
        "SELECT v.version, v.published_at, v.decision_id,
                (SELECT current_version FROM entries WHERE tenant_id = $1 AND kind = $2 AND id = $3) AS current_version
         FROM versions v
         WHERE v.tenant_id = $1 AND v.kind = $2 AND v.entry_id = $3 AND (v.published_at, v.decision_id) < ($4, $5)
         ORDER BY v.published_at DESC, v.decision_id DESC LIMIT $6",
    )
    .bind(tenant.to_string())
    .bind(kind.to_string())
    .bind(id.to_string())
    .bind(published_at)
    .bind(decision)
    .bind(i64::from(limit) + 1)
}

pub(super) fn version_head(row: &AnyRow) -> Result<VersionHead, StoreError> {
    let version = name(row, "version")?;
    Ok(VersionHead {
        status: status(&version, row)?,
        version,
        published_at: millis(row, "published_at")?,
        decision: name(row, "decision_id")?,
    })
}

/// A version is active where its entry says so, and archived else: it is written in one place.
fn status(version: &VersionName, row: &AnyRow) -> Result<String, StoreError> {
    let current: &str = plain(row, "current_version")?;
    Ok(if version.as_str() == current { "active" } else { "archived" }.to_owned())
}
