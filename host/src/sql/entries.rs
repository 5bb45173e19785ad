//! Reading entries and their versions, one at a time.

use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use super::Statement;
use super::rows::{millis, name, plain};
use crate::names::{EntryId, KindName, Tenant, VersionName};
use crate::registry::store::{EntryName, EntryRow, StoreError, VersionHead, VersionPlace, VersionRow, Withdrawal};

/// The columns of an entry's row.
pub(super) const COLUMNS: &str = "kind, id, name, description, status, status_reason, replacement, category, \
                                  current_version, highest_version, tags, created_at, updated_at";

/// The same of a table that is called so in a statement.
pub(super) fn columns_of(table: &str) -> String {
    COLUMNS.split(", ").map(|column| format!("{table}.{column}")).collect::<Vec<_>>().join(", ")
}

pub(super) fn select_entry(tenant: &Tenant, kind: &KindName, id: &EntryId, take: &str) -> Statement {
    let text = format!("SELECT {COLUMNS} FROM entries WHERE tenant_id = $1 AND kind = $2 AND id = $3{take}");
    of_entry(text, tenant, kind, id)
}

fn of_entry(text: String, tenant: &Tenant, kind: &KindName, id: &EntryId) -> Statement {
    sqlx::query(AssertSqlSafe(text)).bind(tenant.to_string()).bind(kind.to_string()).bind(id.to_string())
}

pub(super) fn entry(row: &AnyRow) -> Result<EntryRow, StoreError> {
    let replacement: Option<&str> = plain(row, "replacement")?;
    Ok(EntryRow {
        kind: name(row, "kind")?,
        id: name(row, "id")?,
        name: plain(row, "name")?,
        description: plain(row, "description")?,
        status: name(row, "status")?,
        status_reason: plain(row, "status_reason")?,
        replacement: replacement.map(|_| name::<EntryName>(row, "replacement")).transpose()?,
        category: plain(row, "category")?,
        current_version: name(row, "current_version")?,
        highest_version: name(row, "highest_version")?,
        tags: plain(row, "tags")?,
        created_at: millis(row, "created_at")?,
        updated_at: millis(row, "updated_at")?,
    })
}

const VERSION: &str = "v.kind, v.entry_id, v.version, v.digest, v.submitted_digest, v.manifest, v.decision_id, \
                       v.published_by, v.published_at, e.current_version, w.reason, w.withdrawn_by, w.withdrawn_at";

/// Why a version `v` was taken back, where it was.
const WITHDRAWAL: &str = "LEFT JOIN withdrawals w ON w.tenant_id = v.tenant_id AND w.kind = v.kind \
                          AND w.entry_id = v.entry_id AND w.version = v.version";

pub(super) fn select_version(
    tenant: &Tenant,
    kind: &KindName,
    id: &EntryId,
    version: Option<&VersionName>,
) -> Statement {
    let which = if version.is_some() { "$4" } else { "e.current_version" };
    let text = format!(
        "SELECT {VERSION}
         FROM entries e
         JOIN versions v ON v.tenant_id = e.tenant_id AND v.kind = e.kind AND v.entry_id = e.id AND v.version = {which}
         {WITHDRAWAL}
         WHERE e.tenant_id = $1 AND e.kind = $2 AND e.id = $3"
    );
    let query = of_entry(text, tenant, kind, id);
    match version {
        None => query,
        Some(version) => query.bind(version.to_string()),
    }
}

/// The newest version that was not taken back, other than `but`.
pub(super) fn select_newest(tenant: &Tenant, kind: &KindName, id: &EntryId, but: &VersionName) -> Statement {
    let text = format!(
        "SELECT {VERSION}
         FROM entries e
         JOIN versions v ON v.tenant_id = e.tenant_id AND v.kind = e.kind AND v.entry_id = e.id
         {WITHDRAWAL}
         WHERE e.tenant_id = $1 AND e.kind = $2 AND e.id = $3 AND v.version <> $4 AND w.version IS NULL
         ORDER BY v.published_at DESC, v.decision_id DESC LIMIT 1"
    );
    of_entry(text, tenant, kind, id).bind(but.to_string())
}

pub(super) fn version(row: &AnyRow) -> Result<VersionRow, StoreError> {
    let (version, withdrawal) = (name(row, "version")?, withdrawal(row)?);
    Ok(VersionRow {
        kind: name(row, "kind")?,
        id: name(row, "entry_id")?,
        status: status(&version, row, withdrawal.as_ref())?,
        withdrawal,
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
    let text = format!(
        "SELECT v.version, v.published_at, v.decision_id, w.reason, w.withdrawn_by, w.withdrawn_at,
                (SELECT current_version FROM entries WHERE tenant_id = $1 AND kind = $2 AND id = $3) AS current_version
         FROM versions v
         {WITHDRAWAL}
         WHERE v.tenant_id = $1 AND v.kind = $2 AND v.entry_id = $3 AND (v.published_at, v.decision_id) < ($4, $5)
         ORDER BY v.published_at DESC, v.decision_id DESC LIMIT $6"
    );
    of_entry(text, tenant, kind, id).bind(published_at).bind(decision).bind(i64::from(limit) + 1)
}

pub(super) fn version_head(row: &AnyRow) -> Result<VersionHead, StoreError> {
    let (version, withdrawal) = (name(row, "version")?, withdrawal(row)?);
    Ok(VersionHead {
        status: status(&version, row, withdrawal.as_ref())?,
        withdrawal,
        version,
        published_at: millis(row, "published_at")?,
        decision: name(row, "decision_id")?,
    })
}

fn withdrawal(row: &AnyRow) -> Result<Option<Withdrawal>, StoreError> {
    let Some(reason) = plain(row, "reason")? else { return Ok(None) };
    Ok(Some(Withdrawal { reason, by: plain(row, "withdrawn_by")?, at: millis(row, "withdrawn_at")? }))
}

/// A version is active where its entry says so, withdrawn where it was taken back, and archived else.
fn status(version: &VersionName, row: &AnyRow, withdrawal: Option<&Withdrawal>) -> Result<String, StoreError> {
    let current: &str = plain(row, "current_version")?;
    let status = match withdrawal {
        Some(_) => "withdrawn",
        None if version.as_str() == current => "active",
        None => "archived",
    };
    Ok(status.to_owned())
}
