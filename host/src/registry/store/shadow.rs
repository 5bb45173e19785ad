//! What shadows, and bindings that observe, ask of the database: which run, what they would have said, and what became
//! of them.

use async_trait::async_trait;

use super::{DecisionRow, NewHappening, StoreError};
use crate::clock::Millis;
use crate::names::{DecisionId, EntryId, KindName, Scope, Tenant, VersionName};
use crate::registry::release::ReleaseRef;
use crate::registry::shadow::{Agreement, Change, ShadowRow, ShadowState};

/// What a host compares to know that it is behind; read in one statement.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RulesStamp {
    /// The active releases, by scope.
    pub releases: Vec<ReleaseRef>,
    /// The number of the exemptions.
    pub exemptions: i64,
    /// The number of the shadows.
    pub shadows: i64,
}

/// What would have been said of one decision, written with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// By whom: a shadow's id, or a binding of a release (`policies#7/house`).
    pub observer: String,
    /// How that compares.
    pub agreement: Agreement,
    /// Microseconds that a run takes more by it: than by the active release, or than without the binding.
    pub slower_micros: i64,
    /// The codes that only one of the two finds, each once, with the one that does.
    pub codes: Vec<(Change, String)>,
}

/// How a shadow is to end.
#[derive(Debug, Clone, Copy)]
pub struct ShadowEnd<'a> {
    /// The state that it gets.
    pub to: ShadowState,
    /// Why.
    pub reason: &'a str,
    /// Who ends it.
    pub by: &'a str,
    /// When.
    pub at: Millis,
}

/// How far an observer has come. Nothing is counted past what was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Publishes that it judged.
    pub judged: i64,
    /// Those that it would newly reject.
    pub newly_rejected: i64,
    /// Those that it would newly reject or newly approve, or of which it finds something else.
    pub disagreed: i64,
    /// Those that it failed over.
    pub failed: i64,
    /// Microseconds by which it was slower on average over the newest that it judged, and how many those are.
    pub slower_micros: (i64, i64),
}

/// How far the counts of `Progress` go.
#[derive(Debug, Clone, Copy)]
pub struct ProgressAsked {
    /// Of `judged`.
    pub judged: i64,
    /// Of `newly_rejected`.
    pub newly_rejected: i64,
    /// Of `disagreed`.
    pub disagreed: i64,
    /// Of `failed`.
    pub failed: i64,
    /// Of the newest whose time counts.
    pub timed: i64,
}

/// A decision that shows what is counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservationExample {
    /// The decision.
    pub decision: DecisionId,
    /// The kind.
    pub kind: KindName,
    /// The entry.
    pub entry: EntryId,
    /// The version.
    pub version: VersionName,
}

/// Publishes in which only one of the two finds a code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservationCode {
    /// Which of the two.
    pub change: Change,
    /// The code.
    pub code: String,
    /// How many.
    pub publishes: i64,
}

/// Shadows. Each change raises the tenant's number of them.
#[async_trait]
pub trait ShadowStore: Send + Sync {
    /// What is in force, in numbers.
    async fn rules_stamp(&self, tenant: &Tenant) -> Result<RulesStamp, StoreError>;
    /// Writes a shadow that begins; false where one of its scope runs.
    async fn insert_shadow(&self, tenant: &Tenant, shadow: &ShadowRow) -> Result<bool, StoreError>;
    /// Ends a shadow; false where it is in another state by now.
    async fn end_shadow(&self, tenant: &Tenant, shadow: &ShadowRow, end: ShadowEnd<'_>) -> Result<bool, StoreError>;
    /// Those that run, by scope.
    async fn running_shadows(&self, tenant: &Tenant) -> Result<Vec<ShadowRow>, StoreError>;
    /// The newest of a scope, running or not.
    async fn newest_shadow(&self, tenant: &Tenant, scope: &Scope) -> Result<Option<ShadowRow>, StoreError>;

    /// Writes a decision that let nothing in, with what was observed of it and what it tells: plugins that broke.
    async fn insert_observed_decision(
        &self,
        tenant: &Tenant,
        decision: &DecisionRow,
        observations: &[Observation],
        happenings: &[NewHappening],
    ) -> Result<(), StoreError>;
    /// How far an observer has come.
    async fn observation_progress(
        &self,
        tenant: &Tenant,
        observer: &str,
        asked: ProgressAsked,
    ) -> Result<Progress, StoreError>;
    /// All that it observed, by how the two compare.
    async fn observation_counts(&self, tenant: &Tenant, observer: &str) -> Result<Vec<(Agreement, i64)>, StoreError>;
    /// The codes that only one of the two finds, those of the most publishes first, at most `limit`.
    async fn observation_codes(
        &self,
        tenant: &Tenant,
        observer: &str,
        limit: u32,
    ) -> Result<Vec<ObservationCode>, StoreError>;
    /// The newest decisions that compare so, at most `limit`.
    async fn observation_examples(
        &self,
        tenant: &Tenant,
        observer: &str,
        agreement: Agreement,
        limit: u32,
    ) -> Result<Vec<ObservationExample>, StoreError>;
    /// The newest decisions in which only one of the two finds the code, at most `limit`.
    async fn observation_code_examples(
        &self,
        tenant: &Tenant,
        observer: &str,
        code: &ObservationCode,
        limit: u32,
    ) -> Result<Vec<ObservationExample>, StoreError>;
}
