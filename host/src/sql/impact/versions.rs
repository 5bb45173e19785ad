//! The versions that a chunk of a preview judges, as they are stored or with what was sent.

use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use crate::names::{EntryId, KindName, Tenant, VersionName};
use crate::registry::store::{ImpactChunk, Judged, KeptSubmission, Reading, StoreError, StoredVersion};
use crate::sql::Statement;
use crate::sql::rows::{name, places, plain};

/// A decision without substituted values need not be read: what is looked for is how it is written, with no spaces.
const STORED: &str = "v.entry_id, v.version, v.manifest, v.published_by,
                      CASE WHEN d.body LIKE '%\"substituted\":[]%' THEN NULL ELSE d.body END AS decision";
const SENT: &str = "v.entry_id, v.version, v.manifest, v.published_by, v.submitted_digest, d.submission";

fn columns(reading: Reading) -> &'static str {
    match reading {
        Reading::Stored => STORED,
        Reading::Sent => SENT,
    }
}

/// A row of these columns.
pub(super) fn version(row: &AnyRow, reading: Reading) -> Result<StoredVersion, StoreError> {
    let (decision, sent) = match reading {
        Reading::Stored => (plain(row, "decision")?, None),
        Reading::Sent => {
            (None, Some(KeptSubmission { digest: name(row, "submitted_digest")?, text: plain(row, "submission")? }))
        }
    };
    Ok(StoredVersion {
        id: name(row, "entry_id")?,
        version: name(row, "version")?,
        manifest: plain(row, "manifest")?,
        published_by: plain(row, "published_by")?,
        decision,
        sent,
    })
}

/// Versions of a range of entries.
pub(super) fn select_range(
    tenant: &Tenant,
    chunk: &ImpactChunk,
    (judged, reading): (Judged, Reading),
    after: Option<(&EntryId, &VersionName)>,
    limit: u32,
) -> Statement {
    let (id, version) = after.map_or((chunk.after.clone(), None), |(id, version)| (id.to_string(), Some(version)));
    let columns = columns(reading);
    let text = match judged {
        Judged::Active => format!(
            "SELECT {columns}
             FROM entries e
             JOIN versions v ON v.tenant_id = e.tenant_id AND v.kind = e.kind AND v.entry_id = e.id
                            AND v.version = e.current_version
             JOIN decisions d ON d.tenant_id = v.tenant_id AND d.id = v.decision_id
             WHERE e.tenant_id = $1 AND e.kind = $2 AND e.id > $3 AND e.id <= $4 AND e.status <> 'disabled'
             ORDER BY e.id LIMIT $5"
        ),
        // Versions of one entry follow each other, so the first page starts from none of an id.
        Judged::Since(_) => format!(
            "SELECT {columns}
             FROM versions v
             JOIN decisions d ON d.tenant_id = v.tenant_id AND d.id = v.decision_id
             JOIN entries e ON e.tenant_id = v.tenant_id AND e.kind = v.kind AND e.id = v.entry_id
                           AND e.status <> 'disabled'
             LEFT JOIN withdrawals w ON w.tenant_id = v.tenant_id AND w.kind = v.kind AND w.entry_id = v.entry_id
                                    AND w.version = v.version
             WHERE w.version IS NULL AND v.tenant_id = $1 AND v.kind = $2 AND v.entry_id >= $3 AND v.entry_id <= $4 AND v.published_at >= $6
               AND (v.entry_id > $3 OR v.version > $7) ORDER BY v.entry_id, v.version LIMIT $5"
        ),
    };
    let query = sqlx::query(AssertSqlSafe(text))
        .bind(tenant.to_string())
        .bind(chunk.kind.to_string())
        .bind(id)
        .bind(chunk.until.clone())
        .bind(i64::from(limit));
    match judged {
        Judged::Active => query,
        // `~` is after everything that a version's name may have: of the entry before the range none is read.
        Judged::Since(since) => query.bind(since.0).bind(version.map_or("~", VersionName::as_str).to_owned()),
    }
}

/// Entries by name; none where no more follow.
pub(super) fn select_named(
    tenant: &Tenant,
    (kind, ids): (&KindName, &[EntryId]),
    reading: Reading,
    after: Option<(&EntryId, &VersionName)>,
    limit: u32,
) -> Option<Statement> {
    let rest = ids.iter().filter(|id| after.is_none_or(|(last, _)| *id > last));
    let asked: Vec<&EntryId> = rest.take(usize::try_from(limit).unwrap_or(usize::MAX)).collect();
    if asked.is_empty() {
        return None;
    }
    let columns = columns(reading);
    let text = format!(
        "SELECT {columns}
         FROM entries e
         JOIN versions v ON v.tenant_id = e.tenant_id AND v.kind = e.kind AND v.entry_id = e.id
                        AND v.version = e.current_version
         JOIN decisions d ON d.tenant_id = v.tenant_id AND d.id = v.decision_id
         WHERE e.tenant_id = $1 AND e.kind = $2 AND e.id IN ({}) AND e.status <> 'disabled' ORDER BY e.id",
        places(3, asked.len())
    );
    let query = sqlx::query(AssertSqlSafe(text)).bind(tenant.to_string()).bind(kind.to_string());
    Some(asked.into_iter().fold(query, |query, id| query.bind(id.to_string())))
}
