//! What is kept of entries beside their versions, for versions from before it was kept.

use async_trait::async_trait;

use super::{Reference, StoreError};
use crate::clock::Millis;
use crate::names::{EntryId, KindName, Tenant, VersionName};
use crate::registry::words::EntryText;

/// How far the versions of a kind were gone through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FilledTo {
    /// Nobody has begun.
    Nowhere,
    /// To this version, in the order of entries and versions.
    Version(EntryId, VersionName),
    /// To the end.
    End,
}

/// A version that may lack something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfilled {
    /// Its entry.
    pub entry: EntryId,
    /// Its name.
    pub version: VersionName,
    /// Its resolved submission.
    pub manifest: String,
    /// The body of the decision that let it in.
    pub decision: Option<String>,
    /// It is its entry's active one.
    pub is_active: bool,
}

/// What a version is given where it lacks it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filled {
    /// Its entry.
    pub entry: EntryId,
    /// Its name.
    pub version: VersionName,
    /// What it refers to.
    pub references: Vec<Reference>,
    /// Of an active version, the entry's words and category.
    pub found_by: Option<(EntryText, Option<String>)>,
}

/// Goes through versions of before. Every method is within one tenant.
#[async_trait]
pub trait FillingStore: Send + Sync {
    /// How far a kind was gone through.
    async fn filled_to(&self, tenant: &Tenant, kind: &KindName) -> Result<FilledTo, StoreError>;
    /// The versions that follow, at most `limit`.
    async fn unfilled(
        &self,
        tenant: &Tenant,
        kind: &KindName,
        after: Option<(&EntryId, &VersionName)>,
        limit: u32,
    ) -> Result<Vec<Unfilled>, StoreError>;
    /// Gives versions what they lack, and leaves what there is; `finished` where they are the kind's last.
    async fn fill(
        &self,
        tenant: &Tenant,
        kind: &KindName,
        filled: &[Filled],
        finished: Option<Millis>,
    ) -> Result<(), StoreError>;
}
