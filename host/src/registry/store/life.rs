//! Where an entry stands in its life, what becomes of its versions, and how both change.

use std::fmt;
use std::str::FromStr;

use async_trait::async_trait;
use serde::{Serialize, Serializer};

use super::{EntryRow, NewEvent, Shown, StoreError, VersionRow};
use crate::clock::Millis;
use crate::names::{EntryId, KindName, NameError, Reason, Tenant, VersionName};
use crate::registry::audit::AuditRecord;

/// Where an entry stands in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, utoipa::ToSchema)]
#[schema(rename_all = "lowercase")]
pub enum EntryStatus {
    /// Published for its makers: lists and searches leave it out until it is activated.
    Draft,
    /// For everybody.
    Active,
    /// It works, and something else is better: its reason says why, and its replacement what.
    Deprecated,
    /// Out of service: nothing is published to it, and plugins that look it up find nothing.
    Disabled,
}

impl EntryStatus {
    /// Every status.
    pub const ALL: [Self; 4] = [Self::Draft, Self::Active, Self::Deprecated, Self::Disabled];
    /// What lists and searches show where nobody asks for others.
    pub const OFFERED: [Self; 2] = [Self::Active, Self::Deprecated];

    /// The word that is stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Active => "active",
            Self::Deprecated => "deprecated",
            Self::Disabled => "disabled",
        }
    }
}

impl fmt::Display for EntryStatus {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for EntryStatus {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let known = Self::ALL.into_iter().find(|status| status.as_str() == text);
        known.ok_or_else(|| NameError::new("status", text, "draft, active, deprecated or disabled"))
    }
}

impl Serialize for EntryStatus {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// An entry, by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, utoipa::ToSchema)]
pub struct EntryName {
    /// Its kind.
    pub kind: KindName,
    /// Its id.
    pub id: EntryId,
}

impl fmt::Display for EntryName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.kind, self.id)
    }
}

impl FromStr for EntryName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let (kind, id) = text.split_once('/').ok_or_else(|| NameError::new("entry", text, "KIND/ID"))?;
        Ok(Self { kind: kind.parse()?, id: id.parse()? })
    }
}

/// Why a version was taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Withdrawal {
    /// Why.
    pub reason: String,
    /// Who took it back.
    pub by: String,
    /// When.
    pub at: Millis,
}

/// What is done to an entry.
#[derive(Debug, Clone)]
pub enum EntryAct<'a> {
    /// It gets another status.
    SetStatus {
        /// Which.
        status: EntryStatus,
        /// Why; an entry that is active has none.
        reason: Option<&'a Reason>,
        /// What to take instead.
        replacement: Option<&'a EntryName>,
    },
    /// An earlier version becomes the active one.
    RollBack {
        /// Which.
        target: &'a VersionName,
        /// What is shown of it.
        shown: &'a Shown,
    },
    /// A version is taken back.
    Withdraw {
        /// Which.
        version: &'a VersionName,
        /// Why.
        reason: &'a Reason,
        /// Where it is the active one: which becomes active instead, and what is shown of that.
        successor: Option<(&'a VersionName, &'a Shown)>,
    },
}

/// What an entry must be for something to be published to it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Expected {
    /// Whatever it is, also where there is none.
    #[default]
    Anything,
    /// There is none yet.
    Nothing,
    /// There is one.
    Something,
    /// It is at one of these revisions (`EntryRow::revision`).
    Revisions(Vec<i64>),
}

impl Expected {
    /// Whether it is so.
    pub fn is_met_by(&self, entry: Option<&EntryRow>) -> bool {
        match (self, entry) {
            (Self::Anything, _) | (Self::Nothing, None) | (Self::Something, Some(_)) => true,
            (Self::Revisions(revisions), Some(entry)) => revisions.contains(&entry.revision()),
            (Self::Nothing, Some(_)) | (Self::Something | Self::Revisions(_), None) => false,
        }
    }
}

/// A change of an entry, with what is written beside it.
#[derive(Debug, Clone)]
pub struct EntryChange<'a> {
    /// The tenant.
    pub tenant: &'a Tenant,
    /// The kind.
    pub kind: &'a KindName,
    /// The entry.
    pub id: &'a EntryId,
    /// What is done.
    pub act: EntryAct<'a>,
    /// The revisions (`EntryRow::revision`) of which the entry must be at one.
    pub expected: Option<&'a [i64]>,
    /// Who asks.
    pub actor: &'a str,
    /// When.
    pub at: Millis,
    /// The event to write.
    pub event: NewEvent,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryChanged {
    /// It is so, or was so before: both are equal then, and nothing is written.
    Done {
        /// The entry as it was.
        before: EntryRow,
        /// The entry as it is now.
        entry: EntryRow,
    },
    /// No such entry.
    NoEntry,
    /// No such version.
    NoVersion,
    /// The entry is at another revision.
    Overtaken(EntryRow),
    /// A disabled entry has no other version made active.
    Disabled(EntryRow),
    /// The version that would become active was taken back.
    Withdrawn(Withdrawal),
    /// The successor is not the newest version that is left, or is needed and not there: look again.
    SuccessorMoved,
}

impl EntryChange<'_> {
    /// What the audit log says of it.
    pub fn record(&self, before: &EntryRow) -> AuditRecord {
        let (of, at) = ((self.kind, self.id), self.at);
        match &self.act {
            EntryAct::SetStatus { status, reason, replacement } => {
                AuditRecord::status_set(self.actor, of, (before.status, *status), (*reason, *replacement), at)
            }
            EntryAct::RollBack { target, .. } => {
                AuditRecord::rolled_back(self.actor, of, target, &before.current_version, at)
            }
            EntryAct::Withdraw { version, reason, successor } => {
                AuditRecord::withdrawn(self.actor, of, version, (reason, successor.map(|(name, _)| name)), at)
            }
        }
    }
}

/// How entries change beside publishes. Every method is within one tenant.
#[async_trait]
pub trait LifeStore: Send + Sync {
    /// Does it under a lock of the entry, with its event and its row of the audit log.
    async fn change_entry(&self, change: &EntryChange<'_>) -> Result<EntryChanged, StoreError>;
    /// The newest version of an entry that was not taken back, other than this one.
    async fn newest_version(
        &self,
        tenant: &Tenant,
        kind: &KindName,
        id: &EntryId,
        but: &VersionName,
    ) -> Result<Option<VersionRow>, StoreError>;
}
