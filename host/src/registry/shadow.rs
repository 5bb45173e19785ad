//! Shadows: a release that runs beside the active one of its scope, for all entries or a share of them, and decides
//! nothing. What it would have said is in each decision, and is counted.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::runtime::Handle;

use super::audit::AuditRecord;
use super::fleet::why;
use super::gate::beside::{Said, judge_beside};
use super::gate::{Bench, Judgement, Record};
use super::publish::not_found;
use super::release::{ReleaseRef, Rules};
use super::releasing::{chain, off_path, parse_rules};
use super::rules::{LoadedKind, Loading, RulesInForce, Turns};
use super::sample;
use super::store::{ReleaseRow, ShadowCode, ShadowEnd, ShadowExample, ShadowResult};
use super::submission::Submission;
use super::{Actor, FailureRecord, Outcome, Registry, RegistryError};
use crate::clock::{Millis, new_id};
use crate::names::{Digest, Scope};
use crate::report::Finding;

pub use super::staging::Plan;

/// Codes of a report, and examples of each count in it.
const CODES_SHOWN_MAX: u32 = 50;
const EXAMPLES_SHOWN_MAX: u32 = 3;

// One list makes each set of words, read and written the same everywhere.
macro_rules! words {
    ($(#[doc = $doc:literal])+ $name:ident { $($(#[doc = $case_doc:literal])+ $case:ident = $word:literal,)+ }) => {
        $(#[doc = $doc])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum $name {
            $($(#[doc = $case_doc])+ $case,)+
        }

        impl $name {
            /// Every one.
            pub const ALL: &[Self] = &[$(Self::$case,)+];

            /// The word in JSON, the database and metrics.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$case => $word,)+
                }
            }

            /// Reads the word.
            pub fn parse(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|case| case.as_str() == word)
            }
        }
    };
}

words! {
    /// What became of a shadow.
    ShadowState {
        /// It runs until it is stopped.
        Shadowing = "shadowing",
        /// It runs, and will be activated or demoted.
        Staged = "staged",
        /// It was activated.
        Activated = "activated",
        /// It will not be activated: it disagreed, failed or was slow beyond its budget.
        Demoted = "demoted",
        /// Somebody stopped it.
        Stopped = "stopped",
    }
}

words! {
    /// How a shadow and the active release compare over one publish.
    Agreement {
        /// Same outcome, same findings.
        Agreed = "agreed",
        /// The active release approves, the shadow rejects.
        NewlyRejected = "newly-rejected",
        /// The active release rejects, the shadow approves.
        NewlyApproved = "newly-approved",
        /// Same outcome, other findings.
        OtherFindings = "other-findings",
        /// The shadow broke, or could not be loaded.
        Failed = "failed",
    }
}

words! {
    /// Which of the two finds what the other does not.
    Change {
        /// The shadow.
        New = "new",
        /// The active release.
        Gone = "gone",
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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

impl From<&ShadowRecord> for ShadowResult {
    fn from(record: &ShadowRecord) -> Self {
        let codes_of = |change: Change, findings: &[Finding]| {
            let mut codes: Vec<_> = findings.iter().map(|finding| (change, finding.remark.code.clone())).collect();
            codes.sort_by(|(_, one), (_, other)| one.cmp(other));
            codes.dedup();
            codes
        };
        let (new, gone) = (codes_of(Change::New, &record.new_findings), codes_of(Change::Gone, &record.gone_findings));
        Self {
            shadow: record.id.clone(),
            agreement: record.agreement,
            slower_micros: record.slower_micros,
            codes: [new, gone].concat(),
        }
    }
}

/// A shadow as this host runs it: loaded, or why it is not.
pub(super) struct LoadedShadow {
    id: String,
    release: ReleaseRef,
    percent: u8,
    candidate: Result<Arc<RulesInForce>, String>,
}

/// The shadows that run, beside the rules that they were loaded beside.
#[derive(Default)]
pub(super) struct ShadowsInForce {
    number: i64,
    base: Arc<RulesInForce>,
    loaded: Vec<Arc<LoadedShadow>>,
}

impl LoadedShadow {
    /// What it would have said of what was judged; none where the entry is not one of its share, or nothing can be told.
    pub(super) fn judge(
        &self,
        judged: &Judgement,
        bench: &Bench,
        read: impl FnOnce(&Arc<LoadedKind>) -> Option<Submission>,
    ) -> Option<ShadowRecord> {
        let active = match judged {
            Judgement::Approved(approved) => (Outcome::Approved, approved.record()),
            Judgement::Rejected(record) => (Outcome::Rejected, &**record),
            // Nothing was decided that it could agree with.
            Judgement::Failed(..) => return None,
        };
        let kind = &active.1.kind.kind.name;
        if !sample::is_within(self.percent, kind, &active.1.id) {
            return None;
        }
        match &self.candidate {
            Err(why) => Some(self.unable(format!("the release cannot be loaded: {why}"))),
            Ok(rules) => match rules.kind(kind.as_str()) {
                Ok(candidate) if candidate.module == active.1.kind.module => {
                    self.compare(active, candidate, bench, read)
                }
                _ => Some(self.unable(format!("the release does not declare the kind '{kind}'"))),
            },
        }
    }

    fn compare(
        &self,
        (outcome, active): (Outcome, &Record),
        candidate: &Arc<LoadedKind>,
        bench: &Bench,
        read: impl FnOnce(&Arc<LoadedKind>) -> Option<Submission>,
    ) -> Option<ShadowRecord> {
        let said: Said = judge_beside(active, candidate, bench, || read(candidate))?;
        let has_other_findings = !said.new_findings.is_empty() || !said.gone_findings.is_empty();
        let agreement = match (outcome, said.outcome) {
            (_, Outcome::Failed) => Agreement::Failed,
            (Outcome::Approved, Outcome::Rejected) => Agreement::NewlyRejected,
            (Outcome::Rejected, Outcome::Approved) => Agreement::NewlyApproved,
            _ if has_other_findings => Agreement::OtherFindings,
            _ => Agreement::Agreed,
        };
        Some(ShadowRecord {
            outcome: said.outcome,
            agreement,
            new_findings: said.new_findings,
            gone_findings: said.gone_findings,
            failures: said.failures.into_iter().map(ShadowFailure::from).collect(),
            micros: said.micros,
            slower_micros: said.slower_micros,
            ..self.unable(String::new())
        })
    }

    fn unable(&self, cause: String) -> ShadowRecord {
        ShadowRecord {
            id: self.id.clone(),
            scope: self.release.scope.clone(),
            release: self.release.number,
            outcome: Outcome::Failed,
            agreement: Agreement::Failed,
            new_findings: Vec::new(),
            gone_findings: Vec::new(),
            failures: vec![ShadowFailure { plugin: None, cause }],
            micros: 0,
            slower_micros: 0,
        }
    }
}

/// What a shadow would have said of everything that it saw.
#[derive(Debug, Clone)]
pub struct ShadowReport {
    /// The newest shadow of the scope, running or not.
    pub shadow: ShadowRow,
    /// Publishes, by how the two compare, with the newest of each that is not agreement.
    pub counts: Vec<(Agreement, i64, Vec<ShadowExample>)>,
    /// The codes that only one of the two finds, with the newest publishes of each.
    pub codes: Vec<(ShadowCode, Vec<ShadowExample>)>,
    /// Microseconds by which it was slower, on average over the newest that it judged; none where it judged none.
    pub slower_micros: Option<i64>,
    /// Why this host does not run it, where it should.
    pub unable: Option<String>,
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
            let why = format!("release {} of {scope} says what the active one says", wanted.release);
            return Err(RegistryError::BadChange(why));
        }
        let plan = wanted.plan.map(|plan| plan.checked(beside.release.number)).transpose()?;
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

    /// What the newest shadow of a scope would have said; none where the scope never had one.
    ///
    /// # Errors
    /// `Store`.
    pub async fn shadow_report(&self, actor: &Actor, scope: &Scope) -> Result<Option<ShadowReport>, RegistryError> {
        let Some(shadow) = self.store.newest_shadow(&actor.tenant, scope).await? else { return Ok(None) };
        let (tenant, id) = (&actor.tenant, shadow.id.as_str());
        let counted = self.store.shadow_counts(tenant, id).await?;
        let mut counts = Vec::new();
        for agreement in Agreement::ALL {
            let count = counted.iter().find(|(counted, _)| counted == agreement).map_or(0, |(_, count)| *count);
            let examples = match agreement {
                Agreement::Agreed => Vec::new(),
                _ if count == 0 => Vec::new(),
                _ => self.store.shadow_examples(tenant, id, *agreement, EXAMPLES_SHOWN_MAX).await?,
            };
            counts.push((*agreement, count, examples));
        }
        let mut codes = Vec::new();
        for code in self.store.shadow_codes(tenant, id, CODES_SHOWN_MAX).await? {
            let examples = self.store.shadow_code_examples(tenant, id, &code, EXAMPLES_SHOWN_MAX).await?;
            codes.push((code, examples));
        }
        let progress = self.store.shadow_progress(tenant, id, super::staging::TIMED).await?;
        let slower_micros = (progress.slower_micros.1 > 0).then_some(progress.slower_micros.0);
        let unable = self.shadows.load().loaded.iter().find(|loaded| loaded.id == shadow.id).map(Arc::clone);
        let unable = unable.and_then(|loaded| loaded.candidate.as_ref().err().cloned());
        Ok(Some(ShadowReport { shadow, counts, codes, slower_micros, unable }))
    }

    /// The shadows that judge beside these rules. Those that were loaded beside others compare with nothing that is in
    /// force, so for the moment in which a host loads them again they say nothing.
    pub(super) fn shadows_beside(&self, rules: &Arc<RulesInForce>, kind: &LoadedKind) -> Vec<Arc<LoadedShadow>> {
        let shadows = self.shadows.load();
        if shadows.loaded.is_empty() || !Arc::ptr_eq(&shadows.base, rules) {
            return Vec::new();
        }
        let is_for = |shadow: &&Arc<LoadedShadow>| match &shadow.release.scope {
            Scope::Policies => true,
            Scope::Module(module) => *module == kind.module,
        };
        shadows.loaded.iter().filter(is_for).cloned().collect()
    }

    /// Loads the shadows again where they, or the rules that they run beside, are others. It takes its time elsewhere:
    /// a shadow must not hold up the rules.
    pub(super) fn follow_shadows(self: &Arc<Self>, number: i64) {
        let shadows = self.shadows.load();
        let is_same = shadows.number == number && Arc::ptr_eq(&shadows.base, &self.rules.load().loaded);
        // Whoever loads now looks again when it is done.
        if is_same || number == 0 || self.shadowing.try_lock().is_err() {
            return;
        }
        let registry = Arc::clone(self);
        tokio::spawn(async move {
            if let Err(error) = registry.load_shadows().await {
                tracing::warn!(error = &error as &dyn std::error::Error, "the shadows cannot be read");
            }
        });
    }

    /// Loads the shadows that run beside the rules in force on this host. One that cannot be loaded fails over every
    /// publish of its share, and keeps nobody from being judged.
    pub(super) async fn load_shadows(self: &Arc<Self>) -> Result<(), RegistryError> {
        let _one_at_a_time = self.shadowing.lock().await;
        loop {
            let number = self.store.rules_stamp(&self.tenant).await?.shadows;
            let base = Arc::clone(&self.rules.load().loaded);
            let current = self.shadows.load_full();
            if current.number == number && Arc::ptr_eq(&current.base, &base) {
                return Ok(());
            }
            let running = self.store.running_shadows(&self.tenant).await?;
            let active = match running.is_empty() {
                true => Vec::new(),
                false => self.store.active_releases(&self.tenant).await?,
            };
            let mut loaded = Vec::new();
            for shadow in running {
                let is_active = base
                    .releases()
                    .iter()
                    .any(|active| active.scope == shadow.release.scope && active.digest == shadow.release.digest);
                if !is_active {
                    let candidate = self.load_candidate(&shadow, &active, &base).await?;
                    let ShadowRow { id, release, percent, .. } = shadow;
                    loaded.push(Arc::new(LoadedShadow { id, release, percent, candidate }));
                }
            }
            self.shadows.store(Arc::new(ShadowsInForce { number, base, loaded }));
        }
    }

    /// The rules in force with the shadow's in their scope's place; or why they cannot be loaded.
    async fn load_candidate(
        self: &Arc<Self>,
        shadow: &ShadowRow,
        active: &[ReleaseRow],
        base: &Arc<RulesInForce>,
    ) -> Result<Result<Arc<RulesInForce>, String>, RegistryError> {
        let scope = &shadow.release.scope;
        let row = self.store.release(&self.tenant, scope, shadow.release.number).await?;
        let others = active.iter().filter(|row| row.release.scope != *scope);
        let parsed = others.chain(&row).map(|row| Ok((row.release.clone(), parse_rules(row)?)));
        let releases = match parsed.collect::<Result<Vec<(ReleaseRef, Rules)>, RegistryError>>() {
            Ok(releases) => releases,
            Err(error) => return Ok(Err(error.to_string())),
        };
        let (registry, base, runtime) = (Arc::clone(self), Arc::clone(base), Handle::current());
        let loaded = off_path(move || {
            let component = |digest: &Digest| {
                runtime.block_on(registry.blobs.get(digest)).map(|bytes| bytes.to_vec()).map_err(|error| chain(&error))
            };
            let loading =
                Loading { sandbox: &registry.sandbox, component: &component, previous: Some(&base), turns: Turns::Own };
            RulesInForce::load_or_name(loading, releases, Arc::clone(base.exemptions()))
        })
        .await?;
        Ok(loaded.map_err(|not| {
            let error = &not.error as &dyn std::error::Error;
            tracing::warn!(%scope, release = shadow.release.number, error, "a shadow cannot be loaded");
            why(&not)
        }))
    }
}
