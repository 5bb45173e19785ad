//! The shadows of one host: loaded beside the rules in force, and asked beside each judgement. One that cannot be loaded
//! fails over every publish of its share, and keeps nobody from being judged.

use std::sync::Arc;

use tokio::runtime::Handle;

use super::{Agreement, ShadowFailure, ShadowRecord, ShadowRow};
use crate::names::Scope;
use crate::registry::fleet::why;
use crate::registry::gate::beside::{Said, judge_beside};
use crate::registry::gate::{Bench, Judgement, Record};
use crate::registry::release::{ReleaseRef, Rules};
use crate::registry::releasing::{components, off_path, parse_rules};
use crate::registry::rules::{LoadedKind, Loading, RulesInForce, Turns};
use crate::registry::store::ReleaseRow;
use crate::registry::submission::Submission;
use crate::registry::{Outcome, Registry, RegistryError, sample};

/// A shadow as this host runs it: loaded, or why it is not.
pub(in crate::registry) struct LoadedShadow {
    id: String,
    release: ReleaseRef,
    percent: u8,
    candidate: Result<Arc<RulesInForce>, String>,
}

/// The shadows that run, beside the rules that they were loaded beside.
#[derive(Default)]
pub(in crate::registry) struct ShadowsInForce {
    number: i64,
    base: Arc<RulesInForce>,
    loaded: Vec<Arc<LoadedShadow>>,
}

impl ShadowsInForce {
    /// Why this host does not run a shadow that it should.
    pub(super) fn unable(&self, id: &str) -> Option<&str> {
        let loaded = self.loaded.iter().find(|loaded| loaded.id == id)?;
        loaded.candidate.as_ref().err().map(String::as_str)
    }
}

impl LoadedShadow {
    /// What it would have said of what was judged; none where the entry is not one of its share, or nothing can be told.
    pub(in crate::registry) fn judge(
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
        let _span = tracing::info_span!("shadow").entered();
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

impl Registry {
    /// The shadows that judge beside these rules. Those that were loaded beside others compare with nothing that is in
    /// force, so for the moment in which a host loads them again they say nothing.
    pub(in crate::registry) fn shadows_beside(
        &self,
        rules: &Arc<RulesInForce>,
        kind: &LoadedKind,
    ) -> Vec<Arc<LoadedShadow>> {
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
    pub(in crate::registry) fn follow_shadows(self: &Arc<Self>, number: i64) {
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

    /// Loads the shadows that run beside the rules in force on this host.
    pub(in crate::registry) async fn load_shadows(self: &Arc<Self>) -> Result<(), RegistryError> {
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
            let component = components(&registry, &runtime);
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
