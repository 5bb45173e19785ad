//! What the registry asks of its database. One implementation serves both engines (`sql`); this trait turns the
//! dependency round, so that the registry knows no SQL.

mod activation;
mod audit;
mod decisions;
mod events;
mod exemptions;
mod filling;
mod fleet;
mod idempotency;
mod impact;
mod inbox;
mod keys;
mod life;
mod places;
mod publishers;
mod reading;
mod shadow;
mod tokens;
mod webhooks;

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::publish::Approved;
use super::release::ReleaseRef;
use super::words::EntryText;
use crate::clock::Millis;
use crate::names::{DecisionId, Digest, EntryId, KindName, ModuleName, Scope, Tenant, VersionName};

pub use activation::{Activate, Activation, ActivationStore, ActiveRelease, Freeze, ScopeState};
pub use audit::{AuditSpan, AuditStatus, AuditStore, AuditedPlace, AuditedVersion};
pub use decisions::{DecisionFilter, DecisionStore};
pub use events::{Event, EventRow, EventStore, NewHappening, PlacedEvent, PlacesKept};
pub use exemptions::{ExemptionMade, ExemptionStore};
pub use filling::{Filled, FilledTo, FillingStore, Unfilled};
pub use fleet::{FleetStore, Happened, Listener, Notice};
pub use idempotency::IdempotencyStore;
pub use impact::{
    ChunkDone, HeldExemptions, ImpactBegun, ImpactChunk, ImpactRow, ImpactRules, ImpactState, ImpactStore, Judged,
    KeptSubmission, NewImpact, PublishMark, Reading, StoredVersion,
};
pub use inbox::{InboxRow, InboxStore};
pub use keys::{KeyRow, KeyStore, SIGNERS_MAX, SignatureRow, Signatures, Trust};
pub use life::{EntryAct, EntryChange, EntryChanged, EntryName, EntryStatus, Expected, LifeStore, Withdrawal};
pub use places::{PluginPlace, VersionPlace};
pub use publishers::{PublisherRow, PublisherStore};
pub use reading::{
    ChangePlace, Direction, EntriesAsked, EntryOrder, EntryPlace, Followed, FoundEntry, FoundPlace, ListedEntry,
    POPULAR_DAYS, RatingRow, ReadingStore, Reference, ReferencePlace, ReferenceRow, Search, Standing, day,
};
pub use shadow::{
    Observation, ObservationCode, ObservationExample, Progress, ProgressAsked, RulesStamp, ShadowEnd, ShadowStore,
};
pub use tokens::{TokenRow, TokenStore};
pub use webhooks::{DeliveryRow, DeliveryState, Lease, SendAttempt, Settled, WebhookRow, WebhookStore};

/// The database could not do what was asked. Causes go to the log; strangers see none of them.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It cannot be reached, or has no free connection: worth trying again.
    #[error("the database cannot be reached")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It holds what this host does not understand, or refused a statement.
    #[error("the database refused: {0}")]
    Broken(String, #[source] Option<Box<dyn std::error::Error + Send + Sync>>),
}

/// A plugin's row; its bytes are in the object store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PluginRow {
    /// SHA-256 of the component.
    pub digest: Digest,
    /// Its own name.
    pub name: String,
    /// Its own version.
    pub version: String,
    /// The contract it follows.
    pub contract: String,
    /// What `plugin::Inspection` says, as JSON text.
    pub inspection: String,
    /// Bytes.
    pub size_bytes: i64,
    /// Who pushed it.
    pub pushed_by: String,
    /// When.
    pub pushed_at: Millis,
}

/// A release without its rules, which may be large.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseHead {
    /// Scope, number and digest.
    pub release: ReleaseRef,
    /// Who made it.
    pub author: String,
    /// Why.
    pub message: String,
    /// When.
    pub created_at: Millis,
}

/// A release's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseRow {
    /// Scope, number and digest.
    pub release: ReleaseRef,
    /// Canonical JSON of its `Rules`.
    pub rules: String,
    /// Who made it.
    pub author: String,
    /// Why.
    pub message: String,
    /// When.
    pub created_at: Millis,
}

/// A release to be written; the store numbers it.
#[derive(Debug, Clone)]
pub struct NewRelease {
    /// Whose rules.
    pub scope: Scope,
    /// Digest of `rules`.
    pub digest: Digest,
    /// Canonical JSON.
    pub rules: String,
    /// Who makes it.
    pub author: String,
    /// Why.
    pub message: String,
    /// When.
    pub created_at: Millis,
}

/// One named thing of a kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryRow {
    /// The kind.
    pub kind: KindName,
    /// The id.
    pub id: EntryId,
    /// Display name of the active version.
    pub name: String,
    /// Its description.
    pub description: Option<String>,
    /// Where it stands in its life.
    pub status: EntryStatus,
    /// Why it has this status.
    pub status_reason: Option<String>,
    /// What to take instead.
    pub replacement: Option<EntryName>,
    /// The category of the active version.
    pub category: Option<String>,
    /// The active version.
    pub current_version: VersionName,
    /// The highest version ever published.
    pub highest_version: VersionName,
    /// Tags of the active version, as a JSON array.
    pub tags: String,
    /// When the first version was published.
    pub created_at: Millis,
    /// When it last changed.
    pub updated_at: Millis,
}

impl EntryRow {
    /// Which of its states this is: higher after every change.
    pub fn revision(&self) -> i64 {
        self.updated_at.0
    }
}

/// What lists and searches know of an entry: what its active version says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Shown {
    /// Display name.
    pub name: String,
    /// Description.
    pub description: Option<String>,
    /// Tags, as a JSON array.
    pub tags: String,
    /// Category.
    pub category: Option<String>,
    /// What it is found by.
    pub text: EntryText,
}

/// One immutable version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionRow {
    /// The kind.
    pub kind: KindName,
    /// The entry.
    pub id: EntryId,
    /// Its name.
    pub version: VersionName,
    /// `active`, `archived` or `withdrawn`.
    pub status: String,
    /// Why it was taken back, where it was.
    pub withdrawal: Option<Withdrawal>,
    /// Digest of `manifest`.
    pub digest: Digest,
    /// Digest of what was sent, variables included (secret values left out).
    pub submitted_digest: Digest,
    /// The resolved submission, as canonical JSON.
    pub manifest: Arc<str>,
    /// The decision that let it in.
    pub decision: DecisionId,
    /// Who published it.
    pub published_by: String,
    /// When.
    pub published_at: Millis,
}

/// A version without its manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionHead {
    /// Its name.
    pub version: VersionName,
    /// `active`, `archived` or `withdrawn`.
    pub status: String,
    /// Why it was taken back, where it was.
    pub withdrawal: Option<Withdrawal>,
    /// When it was published.
    pub published_at: Millis,
    /// The decision that let it in.
    pub decision: DecisionId,
}

/// A stored decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecisionRow {
    /// Its id.
    pub id: DecisionId,
    /// The kind.
    pub kind: KindName,
    /// The entry.
    pub entry: EntryId,
    /// The version.
    pub version: VersionName,
    /// `approved`, `rejected` or `failed`.
    pub outcome: String,
    /// The whole record, as JSON text.
    pub body: String,
    /// What was sent, secrets masked, as `Decision::submitted_digest` is over it; none where it can be had from the
    /// version that the decision let in.
    pub submission: Option<String>,
    /// When.
    pub created_at: Millis,
}

/// Everything that one publish writes, in one transaction.
pub struct Commit<'a> {
    /// The tenant.
    pub tenant: &'a Tenant,
    /// Proof that the gate approved, with the releases that judged.
    pub approved: &'a Approved,
    /// `registry:<singular>:<id>:<version>`.
    pub inbox_key: String,
    /// What is shown of the version.
    pub shown: Shown,
    /// The status of an entry that is new: `Draft`, which no other entry then is published to as, or `Active`.
    pub status: EntryStatus,
    /// What the entry must be.
    pub expected: Expected,
    /// What the version refers to.
    pub references: Vec<Reference>,
    /// The version to write; `status` is `active`.
    pub version: VersionRow,
    /// The decision to write.
    pub decision: DecisionRow,
    /// The event to write.
    pub event: NewEvent,
    /// What is told beside it: plugins that broke where they observed.
    pub happenings: Vec<NewHappening>,
    /// What was observed of the decision, to be written with it.
    pub observations: Vec<Observation>,
    /// Of two versions, the higher: true where the first is higher than the second.
    pub is_higher: fn(&str, &str) -> bool,
}

/// What came of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Committed {
    /// Written.
    Written {
        /// The entry as it is now.
        entry: EntryRow,
    },
    /// The version exists; nothing was written. Whether it is the same content is the caller's to compare.
    Exists {
        /// The version that is there.
        existing: VersionRow,
    },
    /// A release that judged is not active any more; nothing was written. Judge again.
    RulesMoved,
    /// The entry is not what was expected of it; nothing was written.
    Overtaken {
        /// What it is; none where there is none.
        entry: Option<EntryRow>,
    },
    /// The entry's status lets nothing be published to it, or no draft; nothing was written.
    Refused {
        /// What it is.
        status: EntryStatus,
    },
}

/// A row of the outbox, about an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// Its id.
    pub id: String,
    /// `entry.published`, `entry.rolled-back`.
    pub what: String,
    /// The kind.
    pub kind: KindName,
    /// The entry.
    pub entry: EntryId,
    /// JSON text.
    pub body: String,
    /// When.
    pub created_at: Millis,
}

/// One page of a stable order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// True where more follow.
    pub more: bool,
}

/// The database. Every method but `ping`, `tenants` and `token_by_hash` is within one tenant, and sees no other's rows. Not found is `Ok(None)`. Whatever changes
/// rules, tokens or entries writes its row of the audit log in the same transaction.
#[async_trait]
pub trait Store:
    ActivationStore
    + AuditStore
    + DecisionStore
    + EventStore
    + ExemptionStore
    + FillingStore
    + FleetStore
    + IdempotencyStore
    + ImpactStore
    + InboxStore
    + KeyStore
    + PublisherStore
    + LifeStore
    + ReadingStore
    + ShadowStore
    + TokenStore
    + WebhookStore
    + Send
    + Sync
{
    /// One round trip.
    async fn ping(&self) -> Result<(), StoreError>;

    /// Every tenant, by name.
    async fn tenants(&self) -> Result<Vec<Tenant>, StoreError>;

    /// Makes sure that the tenant exists.
    async fn ensure_tenant(&self, tenant: &Tenant, at: Millis) -> Result<(), StoreError>;

    /// Writes a plugin's row; false where it is there.
    async fn insert_plugin(&self, tenant: &Tenant, plugin: &PluginRow) -> Result<bool, StoreError>;
    /// One plugin.
    async fn plugin(&self, tenant: &Tenant, digest: &Digest) -> Result<Option<PluginRow>, StoreError>;
    /// Plugins by name, then time pushed, then digest, after `after`, at most `limit`.
    async fn plugins(
        &self,
        tenant: &Tenant,
        after: Option<&PluginPlace>,
        limit: u32,
    ) -> Result<Page<PluginRow>, StoreError>;

    /// Writes a release under the scope's next number. Two at once get two numbers.
    async fn create_release(&self, tenant: &Tenant, release: &NewRelease) -> Result<ReleaseRow, StoreError>;
    /// One release.
    async fn release(&self, tenant: &Tenant, scope: &Scope, number: i64) -> Result<Option<ReleaseRow>, StoreError>;
    /// The releases of a scope without their rules, newest first, below the number `before`, at most `limit`.
    async fn releases(
        &self,
        tenant: &Tenant,
        scope: &Scope,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Page<ReleaseHead>, StoreError>;
    /// The active release of every scope that has one, by scope.
    async fn active_releases(&self, tenant: &Tenant) -> Result<Vec<ReleaseRow>, StoreError>;
    /// The active releases of modules by the module's name, after `after`, at most `limit`.
    async fn active_modules(
        &self,
        tenant: &Tenant,
        after: Option<&ModuleName>,
        limit: u32,
    ) -> Result<Page<ReleaseRow>, StoreError>;
    /// The active release of one scope.
    async fn active_release(&self, tenant: &Tenant, scope: &Scope) -> Result<Option<ReleaseRow>, StoreError>;
    /// All of them without the rules: what a host compares to know that it is behind.
    async fn active_release_refs(&self, tenant: &Tenant) -> Result<Vec<ReleaseRef>, StoreError>;

    /// Writes a publish: the inbox key, the version (archiving the one that was active), the entry, the decision
    /// and the event, after checking under a lock that `approved.releases()` are still active and that no
    /// exemption changed.
    async fn commit(&self, commit: &Commit<'_>) -> Result<Committed, StoreError>;
    /// Writes a decision that let nothing in.
    async fn insert_decision(&self, tenant: &Tenant, decision: &DecisionRow) -> Result<(), StoreError>;
    /// One decision.
    async fn decision(&self, tenant: &Tenant, id: &DecisionId) -> Result<Option<DecisionRow>, StoreError>;

    /// One entry.
    async fn entry(&self, tenant: &Tenant, kind: &KindName, id: &EntryId) -> Result<Option<EntryRow>, StoreError>;
    /// One version; the active one where `version` is none.
    async fn version(
        &self,
        tenant: &Tenant,
        kind: &KindName,
        id: &EntryId,
        version: Option<&VersionName>,
    ) -> Result<Option<VersionRow>, StoreError>;
    /// The versions of an entry without their manifests, newest first, after `after`, at most `limit`.
    async fn versions(
        &self,
        tenant: &Tenant,
        kind: &KindName,
        id: &EntryId,
        after: Option<&VersionPlace>,
        limit: u32,
    ) -> Result<Page<VersionHead>, StoreError>;
}
