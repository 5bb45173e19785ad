//! How a release comes in force, and how a scope is kept as it is. What is slow is done before the transaction, and
//! what it found is checked again inside.

use std::fmt;
use std::sync::Arc;

use super::publish::not_found;
use super::release::{ReleaseRef, Rules};
use super::shadow::ShadowRow;
use super::store::{Activate, Activation, ActiveRelease, Freeze, HeldExemptions, ReleaseRow, ScopeState, ShadowEnd};
use super::{Actor, Registry, RegistryError};
use crate::clock::{Instant, Millis};
use crate::names::{Reason, Scope};

/// How often a release is proved again because the releases beside it, or the trusted keys, changed before it was
/// activated.
const TRIES_MAX: u32 = 8;

/// Why a release was not activated that others overtook: which one is active now, since when, and by whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overtaken {
    /// The scope.
    pub scope: Scope,
    /// The release that was to be activated.
    pub wanted: i64,
    /// The release that the caller believed active.
    pub expected: Option<i64>,
    /// The release that is.
    pub active: Option<ActiveRelease>,
}

impl fmt::Display for Overtaken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scope, wanted, expected, active } = self;
        match active {
            None => write!(formatter, "no release of {scope} is active")?,
            Some(ActiveRelease { number, by: Some(by), at }) => {
                write!(formatter, "release {number} of {scope} is active: {by} activated it at {}", Instant(*at))?;
            }
            Some(ActiveRelease { number, by: None, at }) => {
                write!(formatter, "release {number} of {scope} is active since {}", Instant(*at))?;
            }
        }
        match expected {
            Some(expected) => write!(formatter, ", not release {expected} as expected")?,
            None => write!(formatter, ", and none was expected to be")?,
        }
        match active {
            Some(active) => {
                let from = expected.unwrap_or(*wanted);
                write!(formatter, "; look at `hallmark {} {from} {}`", command(scope, "diff"), active.number)
            }
            None => Ok(()),
        }
    }
}

/// Why a release was not activated in a scope that is frozen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frozen {
    /// The scope.
    pub scope: Scope,
    /// Who froze it, when and why.
    pub freeze: Freeze,
}

impl fmt::Display for Frozen {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scope, freeze: Freeze { by, at, reason } } = self;
        let (at, command) = (Instant(*at), command(scope, "unfreeze"));
        write!(formatter, "{scope} is frozen: {by} froze it at {at}, saying \"{reason}\"; `hallmark {command}` ends it")
    }
}

/// The subcommand for a scope: `policy diff`, `module diff agents`.
pub(super) fn command(scope: &Scope, verb: &str) -> String {
    match scope {
        Scope::Policies => format!("policy {verb}"),
        Scope::Module(module) => format!("module {verb} {module}"),
    }
}

/// What must hold beside what the caller believes active.
#[derive(Clone, Copy, Default)]
pub(super) struct Conditions<'a> {
    /// The releases of the other scopes, in order, that it was previewed beside.
    pub(super) beside: Option<&'a [ReleaseRef]>,
    /// The exemptions that it was previewed with.
    pub(super) exemptions: Option<HeldExemptions>,
    /// The staged release that is put in force by itself, with what ends it.
    pub(super) staged: Option<(&'a ShadowRow, ShadowEnd<'a>)>,
}

impl Registry {
    /// Puts a release in force. `expected`: the number the caller believes active (`Some(None)`: none).
    ///
    /// # Errors
    /// `NotFound`, `ReleaseMoved`, `ScopeFrozen`; `BadRules`, `Unfit` where it does not load beside what is active
    /// now; `Unsigned`; `Busy` where other scopes or the trusted keys kept changing; `Store`.
    pub async fn activate(
        self: &Arc<Self>,
        actor: &Actor,
        scope: &Scope,
        number: i64,
        expected: Option<Option<i64>>,
    ) -> Result<ReleaseRow, RegistryError> {
        self.activate_if(actor, scope, number, expected, Conditions::default()).await
    }

    /// The same under further conditions.
    pub(super) async fn activate_if(
        self: &Arc<Self>,
        actor: &Actor,
        scope: &Scope,
        number: i64,
        expected: Option<Option<i64>>,
        conditions: Conditions<'_>,
    ) -> Result<ReleaseRow, RegistryError> {
        let (row, rules) = self.release(actor, scope, number).await?;
        for _ in 0..TRIES_MAX {
            let beside = self.prove_beside(actor, &row, &rules).await?;
            if conditions.beside.is_some_and(|previewed| previewed != beside) {
                let what = "the rules of other scopes changed since the preview: ask again".to_owned();
                return Err(RegistryError::Busy { what });
            }
            // Proving takes its time, in which a key may have been revoked; the transaction asks whether one was since.
            let trust = Some(self.demand_signatures(actor, &rules.bindings).await?);
            let beside = Some(&beside[..]);
            let (Conditions { exemptions, staged, .. }, at) = (conditions, Millis::now());
            let wish = Activate { scope, number, expected, beside, exemptions, trust, staged, actor: &actor.name, at };
            match self.store.activate(&actor.tenant, &wish).await? {
                Activation::Activated => {
                    tracing::info!(%scope, release = number, actor = actor.name, "registry.release.activated");
                    self.committed.notify_one();
                    self.catch_up().await;
                    return Ok(row);
                }
                Activation::Unchanged => return Ok(row),
                Activation::Moved { active } => {
                    let overtaken =
                        Overtaken { scope: scope.clone(), wanted: number, expected: expected.flatten(), active };
                    return Err(RegistryError::ReleaseMoved(Box::new(overtaken)));
                }
                Activation::Frozen(freeze) => {
                    return Err(RegistryError::ScopeFrozen(Box::new(Frozen { scope: scope.clone(), freeze })));
                }
                Activation::ExemptionsMoved => {
                    let what = "the exemptions changed since the preview: ask again".to_owned();
                    return Err(RegistryError::Busy { what });
                }
                Activation::RulesMoved | Activation::TrustMoved => {}
                Activation::NotStaged => {
                    let what = format!("release {number} of {scope} is not staged any more");
                    return Err(RegistryError::BadChange(what));
                }
                Activation::Missing => return Err(RegistryError::NoRelease { scope: scope.clone(), number }),
            }
        }
        let what = format!("other scopes' rules or trusted keys changed {TRIES_MAX} times while the release was tried");
        Err(RegistryError::Busy { what })
    }

    /// Proves a release beside the active ones of the other scopes, which are returned in order.
    async fn prove_beside(
        self: &Arc<Self>,
        actor: &Actor,
        row: &ReleaseRow,
        rules: &Rules,
    ) -> Result<Vec<ReleaseRef>, RegistryError> {
        let active = self.store.active_releases(&actor.tenant).await?;
        let mut beside: Vec<ReleaseRef> = active.iter().map(|row| row.release.clone()).collect();
        beside.retain(|release| release.scope != rules.scope);
        beside.sort();
        self.prove(actor, rules, row.clone(), active).await?;
        Ok(beside)
    }

    /// Which release of a scope is active since when, and whether it may be replaced.
    ///
    /// # Errors
    /// `NotFound` where the scope has no release and never had; `Store`.
    pub async fn scope_state(&self, actor: &Actor, scope: &Scope) -> Result<ScopeState, RegistryError> {
        self.store.scope_state(&actor.tenant, scope).await?.ok_or_else(|| no_scope(scope))
    }

    /// Keeps a scope's active release in force until it is unfrozen.
    ///
    /// # Errors
    /// `NotFound`; `ScopeFrozen` where it is already; `Store`.
    pub async fn freeze(&self, actor: &Actor, scope: &Scope, reason: Reason) -> Result<ScopeState, RegistryError> {
        let freeze = Freeze { by: actor.name.clone(), at: Millis::now(), reason };
        let before = self.store.freeze(&actor.tenant, scope, &freeze).await?.ok_or_else(|| no_scope(scope))?;
        match before.freeze {
            Some(freeze) => Err(RegistryError::ScopeFrozen(Box::new(Frozen { scope: scope.clone(), freeze }))),
            None => {
                tracing::info!(%scope, actor = actor.name, "registry.scope.frozen");
                Ok(ScopeState { freeze: Some(freeze), ..before })
            }
        }
    }

    /// Lets a scope's active release be replaced again; one that is not frozen stays as it is.
    ///
    /// # Errors
    /// `NotFound`, `Store`.
    pub async fn unfreeze(&self, actor: &Actor, scope: &Scope) -> Result<ScopeState, RegistryError> {
        let before = self.store.unfreeze(&actor.tenant, scope, &actor.name, Millis::now()).await?;
        let before = before.ok_or_else(|| no_scope(scope))?;
        if before.freeze.is_some() {
            tracing::info!(%scope, actor = actor.name, "registry.scope.unfrozen");
        }
        Ok(ScopeState { freeze: None, ..before })
    }
}

fn no_scope(scope: &Scope) -> RegistryError {
    match scope {
        Scope::Module(name) => not_found("module", name.as_str()),
        Scope::Policies => not_found("scope", "policies"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_who_was_faster() {
        let active = |number, by: Option<&str>| {
            Some(ActiveRelease { number, by: by.map(str::to_owned), at: Millis(1_763_660_456_123) })
        };
        let told = |scope: &str, expected, active| {
            Overtaken { scope: scope.parse().expect("a scope"), wanted: 9, expected, active }.to_string()
        };
        assert_eq!(
            told("policies", Some(5), active(7, Some("bob"))),
            "release 7 of policies is active: bob activated it at 2025-11-20T17:40:56.123Z, not release 5 as expected; \
             look at `hallmark policy diff 5 7`"
        );
        assert_eq!(
            told("module:agents", None, active(7, None)),
            "release 7 of module:agents is active since 2025-11-20T17:40:56.123Z, and none was expected to be; \
             look at `hallmark module diff agents 9 7`"
        );
        assert_eq!(told("policies", Some(5), None), "no release of policies is active, not release 5 as expected");
    }

    #[test]
    fn tells_who_froze_what_and_why() {
        let reason = "release week".parse().expect("a reason");
        let freeze = Freeze { by: "ada".to_owned(), at: Millis(0), reason };
        let frozen = Frozen { scope: "module:agents".parse().expect("a scope"), freeze };
        assert_eq!(
            frozen.to_string(),
            "module:agents is frozen: ada froze it at 1970-01-01T00:00:00.000Z, saying \"release week\"; \
             `hallmark module unfreeze agents` ends it"
        );
    }
}
