//! What runs beside the active release of a scope and decides nothing: a shadow, which is another release, and the
//! bindings of the active one that observe. What they would have said is in each decision, and is counted.

mod loading;
mod observing;
mod report;

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::activation::command;
use super::audit::AuditRecord;
use super::publish::not_found;
use super::release::ReleaseRef;
use super::store::{Observation, ShadowEnd};
use super::{Actor, Decision, FailureRecord, Outcome, Registry, RegistryError};
use crate::clock::{Millis, new_id};
use crate::names::Scope;
use crate::report::Finding;

pub use super::staging::Plan;
pub(super) use loading::{LoadedShadow, ShadowsInForce};
pub use observing::ObservingRecord;
pub(super) use report::TALLIES_AT_ONCE;
pub use report::{ObservingReport, ShadowReport, Tally};

/// What became of a shadow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ShadowState {
    /// It runs until it is stopped.
    Shadowing,
    /// It runs, and will be activated or demoted.
    Staged,
    /// It was activated.
    Activated,
    /// It will not be activated: it disagreed, failed or was slow beyond its budget.
    Demoted,
    /// Somebody stopped it.
    Stopped,
}

impl ShadowState {
    /// The word in JSON, the database and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Shadowing => "shadowing",
            Self::Staged => "staged",
            Self::Activated => "activated",
            Self::Demoted => "demoted",
            Self::Stopped => "stopped",
        }
    }
}

/// How what runs beside the active release compares with it over one publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Agreement {
    /// Same outcome, same findings.
    Agreed,
    /// The active release approves, and it would reject.
    NewlyRejected,
    /// The active release rejects, and it would approve: only a shadow can.
    NewlyApproved,
    /// Same outcome, other findings.
    OtherFindings,
    /// It broke, or could not be loaded.
    Failed,
}

impl Agreement {
    /// Every one, in the order in which they are told.
    pub const ALL: [Self; 5] =
        [Self::Agreed, Self::NewlyRejected, Self::NewlyApproved, Self::OtherFindings, Self::Failed];

    /// Those of a binding: one more that enforces approves nothing.
    pub const OF_BINDINGS: [Self; 4] = [Self::Agreed, Self::NewlyRejected, Self::OtherFindings, Self::Failed];

    /// The word in JSON, the database and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Agreed => "agreed",
            Self::NewlyRejected => "newly-rejected",
            Self::NewlyApproved => "newly-approved",
            Self::OtherFindings => "other-findings",
            Self::Failed => "failed",
        }
    }
}

/// Which of the two finds what the other does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = ShadowChange)]
pub enum Change {
    /// What runs beside.
    New,
    /// The active release.
    Gone,
}

impl Change {
    /// The word in JSON and the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Gone => "gone",
        }
    }
}

/// A shadow.
#[derive(Debug, Clone, PartialEq)]
pub struct ShadowRow {
    /// Its id.
    pub id: String,
    /// The release that runs.
    pub release: ReleaseRef,
    /// The share of entries.
    pub percent: u8,
    /// What became of it.
    pub state: ShadowState,
    /// Why; empty while it runs.
    pub reason: String,
    /// When it is activated and what demotes it, where it was staged.
    pub plan: Option<Plan>,
    /// Who started it.
    pub started_by: String,
    /// When.
    pub started_at: Millis,
    /// Who changed its state last.
    pub changed_by: String,
    /// When.
    pub changed_at: Millis,
}

impl AuditRecord {
    /// A shadow that began.
    pub fn shadow_started(shadow: &ShadowRow) -> Self {
        let plan = shadow.plan.as_ref().map(Plan::told);
        let body = json!({"shadow": shadow.id, "percent": shadow.percent, "plan": plan});
        Self::of_shadow(shadow, shadow.state, &shadow.started_by, body, shadow.started_at)
    }

    /// A shadow that ended.
    pub fn shadow_ended(shadow: &ShadowRow, end: ShadowEnd<'_>) -> Self {
        let body = json!({"shadow": shadow.id, "reason": end.reason});
        Self::of_shadow(shadow, end.to, end.by, body, end.at)
    }

    fn of_shadow(shadow: &ShadowRow, state: ShadowState, by: &str, body: Value, at: Millis) -> Self {
        let what = match state {
            ShadowState::Shadowing => "shadow.started",
            ShadowState::Staged => "shadow.staged",
            ShadowState::Activated => "shadow.activated",
            ShadowState::Demoted => "shadow.demoted",
            ShadowState::Stopped => "shadow.stopped",
        };
        Self::new(what, by, format!("{}#{}", shadow.release.scope, shadow.release.number), body, at)
    }
}

/// What a shadow would have said, as the decision keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ShadowRecord {
    /// The shadow.
    pub id: String,
    /// The scope.
    pub scope: Scope,
    /// The release that ran.
    pub release: i64,
    /// How its run ended.
    pub outcome: Outcome,
    /// How that compares with the decision.
    pub agreement: Agreement,
    /// What it finds and the decision does not have.
    pub new_findings: Vec<Finding>,
    /// What the decision has and it does not find.
    pub gone_findings: Vec<Finding>,
    /// What broke.
    pub failures: Vec<ShadowFailure>,
    /// Microseconds that it took beside.
    pub micros: u64,
    /// Microseconds that a run by it takes more.
    pub slower_micros: i64,
}

/// What broke in a shadow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ShadowFailure {
    /// The binding; none where the release could not be loaded at all.
    pub plugin: Option<String>,
    /// How.
    pub cause: String,
}

impl From<FailureRecord> for ShadowFailure {
    fn from(failure: FailureRecord) -> Self {
        Self { plugin: Some(failure.plugin), cause: failure.cause }
    }
}

impl From<&ShadowRecord> for Observation {
    fn from(record: &ShadowRecord) -> Self {
        let (new, gone) = (codes(Change::New, &record.new_findings), codes(Change::Gone, &record.gone_findings));
        Self {
            observer: record.id.clone(),
            agreement: record.agreement,
            slower_micros: record.slower_micros,
            codes: [new, gone].concat(),
        }
    }
}

/// The codes of findings, each once.
fn codes<'a>(change: Change, findings: impl IntoIterator<Item = &'a Finding>) -> Vec<(Change, String)> {
    let codes: BTreeSet<&str> = findings.into_iter().map(|finding| finding.remark.code.as_str()).collect();
    codes.into_iter().map(|code| (change, code.to_owned())).collect()
}

/// What ran beside a decision, to be written with it.
pub(super) fn observations(decision: &Decision) -> Vec<Observation> {
    let shadows = decision.shadows.iter().map(Observation::from);
    shadows.chain(decision.observing.iter().map(|record| record.observation(decision))).collect()
}

/// What a shadow is started with.
#[derive(Debug, Clone)]
pub struct ShadowWanted {
    /// The release's number.
    pub release: i64,
    /// The share of entries.
    pub percent: u8,
    /// When it is activated and what demotes it; none only shadows.
    pub plan: Option<Plan>,
}

impl Registry {
    /// Runs a release beside the active one of its scope.
    ///
    /// # Errors
    /// `NotFound`, `BadChange`, `ShadowRunning`; `BadRules`, `Unfit` where it cannot be loaded; `Store`.
    pub async fn start_shadow(
        self: &Arc<Self>,
        actor: &Actor,
        scope: &Scope,
        wanted: ShadowWanted,
        at: Millis,
    ) -> Result<ShadowRow, RegistryError> {
        if !(1..=100).contains(&wanted.percent) {
            return Err(RegistryError::BadChange(format!("percent is 1 to 100, not {}", wanted.percent)));
        }
        let (row, rules) = self.release(actor, scope, wanted.release).await?;
        let active = self.store.active_releases(&actor.tenant).await?;
        let Some(beside) = active.iter().find(|active| active.release.scope == *scope) else {
            let why = format!("{scope} has no active release to run beside: activate release {}", wanted.release);
            return Err(RegistryError::BadChange(why));
        };
        if beside.release.digest == row.release.digest {
            return Err(RegistryError::BadChange(as_the_active_one(beside.release.number, &row.release)));
        }
        let plan = wanted.plan.map(|plan| plan.checked(beside.release.number, at)).transpose()?;
        self.prove(actor, &rules, row.clone(), active).await?;
        let shadow = ShadowRow {
            id: new_id(at),
            release: row.release,
            percent: wanted.percent,
            state: if plan.is_some() { ShadowState::Staged } else { ShadowState::Shadowing },
            reason: String::new(),
            plan,
            started_by: actor.name.clone(),
            started_at: at,
            changed_by: actor.name.clone(),
            changed_at: at,
        };
        if !self.store.insert_shadow(&actor.tenant, &shadow).await? {
            return Err(self.running(actor, scope).await?);
        }
        let (release, state) = (shadow.release.number, shadow.state.as_str());
        tracing::info!(%scope, release, state, actor = actor.name, "registry.shadow.started");
        self.load_shadows().await?;
        Ok(shadow)
    }

    async fn running(&self, actor: &Actor, scope: &Scope) -> Result<RegistryError, RegistryError> {
        let running = self.store.running_shadows(&actor.tenant).await?;
        Ok(match running.into_iter().find(|shadow| shadow.release.scope == *scope) {
            Some(ShadowRow { release, started_by: by, .. }) => {
                RegistryError::ShadowRunning { scope: scope.clone(), release: release.number, by }
            }
            // It ended meanwhile.
            None => RegistryError::Busy { what: "another shadow was stopped meanwhile: try again".to_owned() },
        })
    }

    /// Stops the shadow of a scope, staged or not.
    ///
    /// # Errors
    /// `NotFound` where none runs, `Store`.
    pub async fn stop_shadow(
        self: &Arc<Self>,
        actor: &Actor,
        scope: &Scope,
        at: Millis,
    ) -> Result<ShadowRow, RegistryError> {
        let running = self.store.running_shadows(&actor.tenant).await?;
        let shadow = running.into_iter().find(|shadow| shadow.release.scope == *scope);
        let shadow = shadow.ok_or_else(|| not_found("running shadow of", &scope.to_string()))?;
        let end = ShadowEnd { to: ShadowState::Stopped, reason: "stopped by hand", by: &actor.name, at };
        if !self.store.end_shadow(&actor.tenant, &shadow, end).await? {
            return Err(not_found("running shadow of", &scope.to_string()));
        }
        tracing::info!(%scope, release = shadow.release.number, actor = actor.name, "registry.shadow.stopped");
        self.load_shadows().await?;
        let ended = self.store.newest_shadow(&actor.tenant, scope).await?;
        ended.ok_or_else(|| RegistryError::Internal("a shadow is gone".to_owned()))
    }
}

/// Why a release is not run beside the active one: it would be compared with itself.
fn as_the_active_one(active: i64, ReleaseRef { scope, number, .. }: &ReleaseRef) -> String {
    let releases = command(scope, "releases");
    let is = match *number == active {
        true => "is the active one".to_owned(),
        false => format!("has the very rules of release {active}, which is active"),
    };
    format!("release {number} of {scope} {is}, and would be compared with itself: name another (`hallmark {releases}`)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_stored_as_they_are_shown() {
        use ShadowState as State;
        for state in [State::Shadowing, State::Staged, State::Activated, State::Demoted, State::Stopped] {
            assert_eq!(json!(state), state.as_str());
        }
        for agreement in Agreement::ALL {
            assert_eq!(json!(agreement), agreement.as_str());
        }
        for change in [Change::New, Change::Gone] {
            assert_eq!(json!(change), change.as_str());
        }
    }

    #[test]
    fn a_release_is_not_compared_with_itself() {
        let release =
            |number| ReleaseRef { scope: Scope::Policies, number, digest: crate::names::Digest::of(b"the same rules") };
        assert_eq!(
            as_the_active_one(1, &release(1)),
            "release 1 of policies is the active one, and would be compared with itself: name another (`hallmark policy \
             releases`)"
        );
        assert_eq!(
            as_the_active_one(1, &release(3)),
            "release 3 of policies has the very rules of release 1, which is active, and would be compared with itself: name \
             another (`hallmark policy releases`)"
        );
    }
}
