//! What is asked of the database about decisions, beside writing them and reading one.

use async_trait::async_trait;

use super::{DecisionRow, Page, StoreError};
use crate::clock::Millis;
use crate::names::{DecisionId, EntryId, KindName, Scope, Tenant};
use crate::registry::Outcome;

/// Which decisions are asked for; what is none is not compared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DecisionFilter {
    /// Of this kind.
    pub kind: Option<KindName>,
    /// About this entry.
    pub entry: Option<EntryId>,
    /// That ended so.
    pub outcome: Option<Outcome>,
    /// That this release judged.
    pub release: Option<(Scope, i64)>,
    /// Of submissions from this instant on.
    pub since: Option<Millis>,
}

/// What is asked of the database about decisions.
#[async_trait]
pub trait DecisionStore {
    /// Decisions that the filter lets through, newest first, before `before`, at most `limit`.
    async fn decisions(
        &self,
        tenant: &Tenant,
        filter: &DecisionFilter,
        before: Option<&DecisionId>,
        limit: u32,
    ) -> Result<Page<DecisionRow>, StoreError>;
}
