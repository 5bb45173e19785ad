//! Which release of a scope is active, who may change that, and what comes of a wish to.

use async_trait::async_trait;

use super::{HeldExemptions, ShadowEnd, StoreError};
use crate::clock::Millis;
use crate::names::{Reason, Scope, Tenant};
use crate::registry::release::ReleaseRef;
use crate::registry::shadow::ShadowRow;

/// An activation's request.
#[derive(Debug, Clone, Copy)]
pub struct Activate<'a> {
    /// Whose release.
    pub scope: &'a Scope,
    /// Its number.
    pub number: i64,
    /// The number that the caller believes active (`Some(None)`: none); not compared where it is `None`.
    pub expected: Option<Option<i64>>,
    /// The active releases of the other scopes that it was proved beside, in order; not compared where it is `None`.
    pub beside: Option<&'a [ReleaseRef]>,
    /// The exemptions that it was previewed with; not compared where it is `None`.
    pub exemptions: Option<HeldExemptions>,
    /// The number of the keys and signatures that its plugins were looked for in; not compared where it is `None`.
    pub trust: Option<i64>,
    /// The staged release that is put in force by itself, with what ends it: only while it is staged still.
    pub staged: Option<(&'a ShadowRow, ShadowEnd<'a>)>,
    /// Who asks.
    pub actor: &'a str,
    /// When.
    pub at: Millis,
}

/// What came of an activation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Activation {
    /// It is active now.
    Activated,
    /// It was already.
    Unchanged,
    /// The release was to be put in force by itself, and is not staged any more.
    NotStaged,
    /// Another release is active than the caller believed.
    Moved {
        /// The one that is.
        active: Option<ActiveRelease>,
    },
    /// The scope is frozen.
    Frozen(Freeze),
    /// The releases of other scopes changed since it was proved beside them. Prove again.
    RulesMoved,
    /// An exemption came, went or ended since it was previewed.
    ExemptionsMoved,
    /// A key or a signature changed since its plugins were looked for. Look again.
    TrustMoved,
    /// No such release.
    Missing,
}

/// A scope's active release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActiveRelease {
    /// Its number.
    pub number: i64,
    /// Who activated it; none where that was not kept yet.
    pub by: Option<String>,
    /// When.
    pub at: Millis,
}

/// A scope's active release may not be replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Freeze {
    /// Who says so.
    pub by: String,
    /// Since when.
    pub at: Millis,
    /// Why.
    pub reason: Reason,
}

/// What holds of a scope, whatever its rules say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScopeState {
    /// Its active release.
    pub active: Option<ActiveRelease>,
    /// Its freeze.
    pub freeze: Option<Freeze>,
}

/// What the activation of rules asks of the database.
#[async_trait]
pub trait ActivationStore {
    /// Makes a release the scope's active one.
    async fn activate(&self, tenant: &Tenant, wish: &Activate<'_>) -> Result<Activation, StoreError>;
    /// What holds of a scope; none where it has no release and never had.
    async fn scope_state(&self, tenant: &Tenant, scope: &Scope) -> Result<Option<ScopeState>, StoreError>;
    /// Freezes a scope. What is returned held before: one that was frozen stays so, as it was.
    async fn freeze(&self, tenant: &Tenant, scope: &Scope, freeze: &Freeze) -> Result<Option<ScopeState>, StoreError>;
    /// Ends a freeze. What is returned held before: where the scope was not frozen, nothing is written.
    async fn unfreeze(
        &self,
        tenant: &Tenant,
        scope: &Scope,
        actor: &str,
        at: Millis,
    ) -> Result<Option<ScopeState>, StoreError>;
}
