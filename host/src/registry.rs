//! The gate and the only door to the core: publish, validate, roll back, read, and change the rules. It knows no
//! HTTP and no SQL; it runs plugins through `plugin` and writes through `store::Store`.

pub mod activation;
pub mod audit;
pub mod blobs;
pub mod decode;
pub mod events;
pub mod exemptions;
pub mod gate;
pub mod impact;
pub mod publish;
pub mod release;
pub mod rules;
pub mod sample;
pub mod shadow;
pub mod staging;
pub mod store;
pub mod tenants;
pub mod webhooks;

pub mod access;
mod canonical;
mod committing;
pub mod decisions;
pub mod difference;
mod error;
pub mod explain;
mod facts;
mod filling;
pub mod fleet;
mod health;
pub mod idempotency;
mod inbox;
pub mod keys;
pub mod life;
mod looking;
pub mod rating;
pub mod reading;
mod releasing;
pub mod replay;
pub mod schema;
pub mod signing;
pub mod statement;
pub mod submission;
pub mod words;

pub use error::RegistryError;
pub use health::Health;

use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::{Notify, Semaphore, watch};

use crate::clock::Millis;
use crate::config::Limits;
use crate::names::{DecisionId, Digest, EntryId, KindName, Tenant, VersionName};
use crate::plugin::{Failure, Inspection, Lookup, Sandbox};
use crate::registry::access::Grants;
use crate::registry::blobs::Blobs;
use crate::registry::fleet::Behind;
use crate::registry::release::{Kind, ReleaseRef, Rules};
use crate::registry::rules::RulesInForce;
use crate::registry::shadow::{ObservingRecord, ShadowRecord, ShadowRow, ShadowsInForce};
use crate::registry::signing::SigningKey;
use crate::registry::store::{EntryRow, Page, PluginRow, ReleaseHead, ReleaseRow, ScopeState, Store, VersionRow};
use crate::report::{Finding, Placeholder, Substitution, Timing};

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// The tenant that the token belongs to.
    pub tenant: Tenant,
    /// The token's name.
    pub name: String,
    /// What the token lets its holder do.
    pub grants: Grants,
    /// The token's id; none where the host itself acts, or an issuer vouches for who asks.
    pub token: Option<String>,
    /// The first instant at which what was shown does not hold, where no token's row says it.
    pub until: Option<Millis>,
}

impl Actor {
    /// Somebody who may do everything and holds no token: the host itself.
    pub fn trusted(tenant: Tenant, name: &str) -> Self {
        Self { tenant, name: name.to_owned(), grants: Grants::everything(), token: None, until: None }
    }
}

/// What one run of the gate found: the answer of `validate`, and the body of every decision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// No enforcing binding objects.
    pub valid: bool,
    /// Everything that was said, by stage, then binding, then as given.
    pub findings: Vec<Finding>,
    /// Every placeholder that the resolvers met.
    pub placeholders: Vec<Placeholder>,
    /// The resolved submission; none where the run ended before it.
    pub resolved: Option<Value>,
    /// Digest of the resolved submission's canonical JSON.
    pub digest: Option<Digest>,
    /// What each step took.
    pub timings: Vec<Timing>,
}

impl Report {
    /// What a dry run says of a submission that does not say what it is: it did not get as far as the gate.
    pub fn unidentified(findings: Vec<Finding>) -> Self {
        Self { valid: false, findings, placeholders: Vec::new(), resolved: None, digest: None, timings: Vec::new() }
    }
}

/// The stored record of one run of the gate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// Its id.
    pub id: DecisionId,
    /// The kind.
    pub kind: KindName,
    /// The entry.
    pub entry: EntryId,
    /// The version.
    pub version: VersionName,
    /// Who published.
    pub publisher: String,
    /// Milliseconds since the Unix epoch; every guest's clock showed it.
    pub submitted_at: i64,
    /// `approved`, `rejected` or `failed`.
    pub outcome: Outcome,
    /// Digest of what was sent.
    pub submitted_digest: Digest,
    /// Digest of the resolved submission; none where resolution failed.
    pub digest: Option<Digest>,
    /// The releases that judged.
    pub releases: Vec<ReleaseRef>,
    /// Everything that was said.
    pub findings: Vec<Finding>,
    /// The plugins that broke.
    pub failures: Vec<FailureRecord>,
    /// Every placeholder that the resolvers met.
    pub placeholders: Vec<Placeholder>,
    /// Where each substituted value came from; the values stand in the stored manifest.
    pub substituted: Vec<SubstitutionRecord>,
    /// What the plugins asked the registry.
    pub lookups: Vec<LookupRecord>,
    /// What each step took.
    pub timings: Vec<Timing>,
    /// What releases that ran beside those would have said; none decides anything.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shadows: Vec<ShadowRecord>,
    /// What the bindings that observed it would have changed; none decides anything.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub observing: Vec<ObservingRecord>,
}

/// How a run of the gate ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It may be stored.
    Approved,
    /// Findings reject it.
    Rejected,
    /// An enforcing plugin broke.
    Failed,
}

impl Outcome {
    /// The word used in JSON and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Failed => "failed",
        }
    }
}

/// A binding that broke, as a decision keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Failure)]
pub struct FailureRecord {
    /// The binding.
    pub plugin: String,
    /// Its component.
    pub digest: Digest,
    /// Whether it decides.
    pub mode: crate::report::Mode,
    /// How it broke.
    pub cause: String,
    /// The machine made it so and not the submission: another run may well end otherwise.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub passing: bool,
}

/// Where a substituted value came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = Substitution)]
pub struct SubstitutionRecord {
    /// JSON Pointer into the submission.
    pub path: String,
    /// The variables in the value.
    pub origins: Vec<crate::report::Origin>,
}

impl From<&Substitution> for SubstitutionRecord {
    fn from(substitution: &Substitution) -> Self {
        Self { path: substitution.path.clone(), origins: substitution.origins.clone() }
    }
}

/// A question that a binding asked the registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = Lookup)]
pub struct LookupRecord {
    /// The binding.
    pub plugin: String,
    /// The question and its answer.
    #[serde(flatten)]
    pub lookup: Lookup,
}

/// What came of a publish that was not refused.
#[derive(Debug, Clone)]
pub enum Published {
    /// A new version is stored.
    Created {
        /// Its kind.
        kind: Arc<Kind>,
        /// The entry as it is now.
        entry: EntryRow,
        /// The version.
        version: VersionRow,
        /// The decision that let it in.
        decision: Box<Decision>,
        /// How long it took to write them.
        commit: Duration,
    },
    /// The same content was stored before; nothing was written.
    Skipped {
        /// Its kind.
        kind: Arc<Kind>,
        /// The version that is there.
        existing: VersionRow,
    },
}

/// What came of a rollback.
#[derive(Debug, Clone)]
pub struct RolledBackTo {
    /// The kind.
    pub kind: Arc<Kind>,
    /// The entry as it is now.
    pub entry: EntryRow,
    /// The version that was active before.
    pub previous: VersionName,
    /// What today's rules say of the target.
    pub report: Result<Report, NotJudged>,
}

/// Why today's rules said nothing of a version that is stored.
#[derive(Debug, Clone, thiserror::Error)]
pub enum NotJudged {
    /// A plugin broke over it.
    #[error(transparent)]
    Broke(Failure),
    /// The gate had no room for it.
    #[error("the host is busy: {0}")]
    Busy(String),
}

/// What came of a push.
#[derive(Debug, Clone)]
pub struct Pushed {
    /// The plugin.
    pub plugin: PluginRow,
    /// What it says and needs.
    pub inspection: Inspection,
    /// False where the same bytes were there.
    pub created: bool,
}

/// What came of a request for a release.
#[derive(Debug, Clone)]
pub struct Released {
    /// The release: the new one, or the active one where it has the same rules.
    pub release: ReleaseRow,
    /// False where the active release has the same rules.
    pub created: bool,
}

/// Releases of a scope, with what holds of it.
#[derive(Debug, Clone)]
pub struct Releases {
    /// A page of them, newest first.
    pub page: Page<ReleaseHead>,
    /// Which is active, and whether it may be replaced.
    pub state: ScopeState,
    /// What runs beside it.
    pub shadow: Option<ShadowRow>,
}

/// A scope with its active rules.
#[derive(Debug, Clone)]
pub struct ActiveScope {
    /// The active release.
    pub release: ReleaseRow,
    /// Its rules.
    pub rules: Rules,
}

/// The registry of one tenant, on one host.
pub struct Registry {
    store: Arc<dyn Store>,
    blobs: Blobs,

    sandbox: Arc<Sandbox>,
    limits: Arc<Limits>,
    tenant: Tenant,
    rules: ArcSwap<InForce>,
    shadows: ArcSwap<ShadowsInForce>,
    /// One loading of shadows at a time.
    shadowing: tokio::sync::Mutex<()>,
    /// Components and rules that are tried now.
    trials: Arc<Semaphore>,
    /// Decisions that are run again now.
    replays: Arc<Semaphore>,
    /// Reports of what was observed that are counted now.
    tallies: Arc<Semaphore>,
    /// Pages of the audit log that are read now.
    audit_reads: Arc<Semaphore>,
    /// What statements are signed with; a registry that nobody gave a key signs none.
    signing_key: Arc<OnceLock<SigningKey>>,
    /// One refresh at a time; the others wait and find its work done.
    refreshing: tokio::sync::Mutex<()>,
    /// Looks at the store for what this host does not know.
    looks: looking::Looks,
    /// The sets of rules that are ready to judge by, the newest first.
    kept: Mutex<Vec<Arc<RulesInForce>>>,
    /// Those of every tenant of the host.
    tokens: Arc<access::KnownTokens>,
    /// The issuers that are believed; a registry that was told of none believes none.
    believed: Arc<OnceLock<access::Believed>>,
    /// Those of every tenant of the host.
    publishers: Arc<access::KnownPublishers>,
    /// What sessions are signed with; a registry that nobody gave a key begins none.
    session_key: Arc<OnceLock<access::SessionKey>>,
    plans: impact::Plans,
    committed: Arc<Notify>,
    /// Rings after events got places.
    placed: watch::Sender<()>,
    /// How webhooks are sent to; a registry that nobody told sends to none.
    webhook_settings: Arc<OnceLock<webhooks::WebhookSettings>>,
}

/// The rules this host judges by, and why it may not, where it may not.
struct InForce {
    loaded: Arc<RulesInForce>,
    /// Rules are active that this host could not load.
    behind: Option<Behind>,
}

impl Registry {
    /// Opens the registry of one tenant and loads its active rules.
    ///
    /// # Errors
    /// The database or the object store cannot be used. Rules that cannot be loaded are no error here: the registry
    /// opens, is not ready, and says why in `health`.
    pub async fn open(
        store: Arc<dyn Store>,
        blobs: Blobs,
        sandbox: Arc<Sandbox>,
        limits: Arc<Limits>,
        tenant: Tenant,
    ) -> Result<Arc<Self>, RegistryError> {
        store.ensure_tenant(&tenant, Millis::now()).await?;
        let nothing = InForce { loaded: Arc::default(), behind: None };
        let trials = Arc::new(Semaphore::new(limits.changes_in_flight_max.min(Semaphore::MAX_PERMITS)));
        let replays = Arc::new(Semaphore::new(limits.replays_in_flight_max.min(Semaphore::MAX_PERMITS)));
        let looks = looking::Looks::every(Duration::from_millis(limits.kind_look_ms));
        let registry = Arc::new(Self {
            trials,
            replays,
            tallies: Arc::new(Semaphore::new(shadow::TALLIES_AT_ONCE)),
            audit_reads: Arc::new(Semaphore::new(limits.audit_reads_in_flight_max.min(Semaphore::MAX_PERMITS))),
            signing_key: Arc::default(),
            store,
            blobs,
            sandbox,
            limits,
            tenant,
            rules: ArcSwap::from_pointee(nothing),
            shadows: ArcSwap::default(),
            shadowing: tokio::sync::Mutex::new(()),
            refreshing: tokio::sync::Mutex::new(()),
            looks,
            kept: Mutex::default(),
            tokens: Arc::default(),
            believed: Arc::default(),
            publishers: Arc::default(),
            session_key: Arc::default(),
            plans: impact::Plans::default(),
            committed: Arc::new(Notify::new()),
            placed: watch::Sender::new(()),
            webhook_settings: Arc::default(),
        });
        registry.refresh_rules().await?;
        Ok(registry)
    }

    /// Opens the registry of another tenant, which is there, on the same host: what is the machine's is shared, whatever
    /// is a tenant's is its own.
    ///
    /// # Errors
    /// As of `open`.
    async fn beside(&self, tenant: Tenant) -> Result<Arc<Self>, RegistryError> {
        let registry = Arc::new(Self {
            store: Arc::clone(&self.store),
            blobs: self.blobs.clone(),
            sandbox: Arc::clone(&self.sandbox),
            limits: Arc::clone(&self.limits),
            trials: Arc::clone(&self.trials),
            replays: Arc::clone(&self.replays),
            tallies: Arc::clone(&self.tallies),
            audit_reads: Arc::clone(&self.audit_reads),
            signing_key: Arc::clone(&self.signing_key),
            webhook_settings: Arc::clone(&self.webhook_settings),
            tokens: Arc::clone(&self.tokens),
            believed: Arc::clone(&self.believed),
            publishers: Arc::clone(&self.publishers),
            session_key: Arc::clone(&self.session_key),
            tenant,
            rules: ArcSwap::from_pointee(InForce { loaded: Arc::default(), behind: None }),
            shadows: ArcSwap::default(),
            shadowing: tokio::sync::Mutex::new(()),
            refreshing: tokio::sync::Mutex::new(()),
            looks: looking::Looks::every(Duration::from_millis(self.limits.kind_look_ms)),
            kept: Mutex::default(),
            plans: impact::Plans::default(),
            committed: Arc::new(Notify::new()),
            placed: watch::Sender::new(()),
        });
        registry.refresh_rules().await?;
        Ok(registry)
    }

    /// Rings after every commit that wrote an event.
    pub fn committed(&self) -> Arc<Notify> {
        Arc::clone(&self.committed)
    }
}
