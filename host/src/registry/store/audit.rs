//! The audit log, read, and sealed row after row.

use std::fmt;
use std::str::FromStr;

use async_trait::async_trait;

use super::{Page, StoreError};
use crate::clock::Millis;
use crate::names::{NameError, Tenant};
use crate::registry::audit::chain::{AuditRow, Head};

/// How the log is, beside its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditStatus {
    /// The last row of the chain; its hash as it stands in the database.
    pub head: Option<(i64, String)>,
    /// Rows that wait to be sealed.
    pub waiting: i64,
}

/// A version that is stored, for a comparison with what the log tells of it. All of it is as it stands in the database,
/// whatever that is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditedVersion {
    /// Which one.
    pub place: AuditedPlace,
    /// Its digest.
    pub digest: String,
    /// The row that tells of it waits to be sealed. One that is read as not waiting was sealed before, or is not there.
    pub waits: bool,
}

/// Where a version stands among all, whose order is by kind, entry and version, byte by byte.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditedPlace {
    /// The kind.
    pub kind: String,
    /// The entry's id.
    pub entry: String,
    /// The version.
    pub version: String,
}

impl AuditedPlace {
    /// What the log's row of its publish is about: `agents/planner@1.0.0`.
    pub fn subject(&self) -> String {
        format!("{}/{}@{}", self.kind, self.entry, self.version)
    }
}

impl fmt::Display for AuditedPlace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", serde_json::json!([self.kind, self.entry, self.version]))
    }
}

impl FromStr for AuditedPlace {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let parts: Option<[String; 3]> = serde_json::from_str(text).ok();
        // It comes from a cursor, which anybody can write, and goes to the database, which takes all but this one. Rows
        // that somebody put in with other control characters must not stop the check that finds them.
        let parts = parts.filter(|parts| !parts.iter().any(|part| part.contains('\0')));
        let [kind, entry, version] =
            parts.ok_or_else(|| NameError::new("place", text, "a kind, an entry and a version"))?;
        Ok(Self { kind, entry, version })
    }
}

/// Which rows are read: those after one place up to another. As text: `0-120`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditSpan {
    /// The place that they follow.
    pub after: i64,
    /// The last place.
    pub last: i64,
}

impl fmt::Display for AuditSpan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}-{}", self.after, self.last)
    }
}

impl FromStr for AuditSpan {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let read = || {
            let (after, last) = text.split_once('-')?;
            Some(Self { after: after.parse().ok()?, last: last.parse().ok()? })
        };
        read().ok_or_else(|| NameError::new("span of rows", text, "two places with a dash between"))
    }
}

/// What the audit log asks of the database.
#[async_trait]
pub trait AuditStore {
    /// Gives rows that wait, at most `limit`, their places and hashes, in the order in which they were written; says how
    /// many. Where another host is at it, none.
    async fn seal_audit(&self, tenant: &Tenant, limit: u32) -> Result<usize, StoreError>;
    /// The span of rows from the first that was written at or after `since` to the last written before `until`, with
    /// whatever lies between. It ends at a row that is there now, so that reading it comes to an end.
    async fn audit_span(
        &self,
        tenant: &Tenant,
        since: Option<Millis>,
        until: Option<Millis>,
    ) -> Result<AuditSpan, StoreError>;
    /// Sealed rows in the order of their places, at most `limit`.
    async fn audit_rows(&self, tenant: &Tenant, span: AuditSpan, limit: u32) -> Result<Page<AuditRow>, StoreError>;
    /// Stored versions after a place, at most `limit`.
    async fn audit_versions(
        &self,
        tenant: &Tenant,
        after: &AuditedPlace,
        limit: u32,
    ) -> Result<Page<AuditedVersion>, StoreError>;
    /// How the log is.
    async fn audit_status(&self, tenant: &Tenant) -> Result<AuditStatus, StoreError>;
}

impl AuditStatus {
    /// The head, where its hash has its form.
    pub fn head(&self) -> Option<Head> {
        let (place, hash) = self.head.as_ref()?;
        Some(Head { place: *place, hash: hash.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_is_written_whatever_somebody_put_into_a_row() {
        let place = |entry: &str| AuditedPlace {
            kind: "agents".to_owned(),
            entry: entry.to_owned(),
            version: "1.0.0".to_owned(),
        };
        for entry in ["planner", "a\u{1}b", "\n", "\"]"] {
            let place = place(entry);
            assert_eq!(place.to_string().parse::<AuditedPlace>().as_ref(), Ok(&place), "{entry:?}");
        }
        place("\0").to_string().parse::<AuditedPlace>().expect_err("no database takes it");
    }
}
