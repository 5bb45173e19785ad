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
    /// Versions that are stored.
    pub versions: i64,
    /// Some versions of which no row tells that they were published with this digest: `agents/planner@1.0.0`.
    pub unrecorded: Vec<String>,
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
    /// whatever lies between.
    async fn audit_span(
        &self,
        tenant: &Tenant,
        since: Option<Millis>,
        until: Option<Millis>,
    ) -> Result<AuditSpan, StoreError>;
    /// Sealed rows in the order of their places, at most `limit`.
    async fn audit_rows(&self, tenant: &Tenant, span: AuditSpan, limit: u32) -> Result<Page<AuditRow>, StoreError>;
    /// How the log is.
    async fn audit_status(&self, tenant: &Tenant) -> Result<AuditStatus, StoreError>;
}

/// Rows that a head is told of.
impl AuditStatus {
    /// The head, where its hash has its form.
    pub fn head(&self) -> Option<Head> {
        let (place, hash) = self.head.as_ref()?;
        Some(Head { place: *place, hash: hash.parse().ok()? })
    }
}
