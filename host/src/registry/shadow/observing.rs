//! The bindings of the active releases that observe: what each would have changed of a decision, had it enforced.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Agreement, Change, codes};
use crate::names::Scope;
use crate::registry::gate::Record;
use crate::registry::rules::LoadedBinding;
use crate::registry::store::Observation;
use crate::registry::{Decision, Outcome};
use crate::report::{Finding, Mode, Stage, Timing};

/// What a binding that observes would have changed, as the decision keeps it. What it found stands among the decision's
/// findings, how it broke among its failures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ObservingRecord {
    /// The scope.
    pub scope: Scope,
    /// The release that binds it.
    pub release: i64,
    /// Its name.
    pub binding: String,
    /// How the decision compares with the one that would have been made had it enforced.
    pub agreement: Agreement,
}

impl ObservingRecord {
    /// Of each binding that saw the submission. None where no plugin could judge it: nothing was decided that they
    /// could agree with.
    pub(in crate::registry) fn all(record: &Record, outcome: Outcome) -> Vec<Self> {
        if outcome == Outcome::Failed {
            return Vec::new();
        }
        let kind = &record.kind;
        let stages =
            [(Stage::Resolve, &kind.resolvers), (Stage::Validate, &kind.validators), (Stage::Policy, &kind.policies)];
        let of_stage = |(stage, bindings): (Stage, &Vec<Arc<LoadedBinding>>)| -> Vec<Self> {
            bindings.iter().filter_map(|binding| Self::of(record, stage, binding, outcome)).collect()
        };
        stages.into_iter().flat_map(of_stage).collect()
    }

    fn of(record: &Record, stage: Stage, binding: &LoadedBinding, outcome: Outcome) -> Option<Self> {
        let kind = &record.kind;
        if binding.mode != Mode::Observe || !binding.sees(&kind.kind.name, &record.id) {
            return None;
        }
        // A run that ended before its stage did not reach it; one that it broke in timed the stage and not it.
        let timed = |plugin: Option<&str>| {
            let is_it = |timing: &Timing| timing.stage == stage.as_str() && timing.plugin.as_deref() == plugin;
            record.timings.iter().any(is_it)
        };
        if !timed(None) {
            return None;
        }
        let is_its_own = |finding: &&Finding| finding.stage == stage && finding.plugin.as_ref() == Some(&binding.name);
        let found: Vec<&Finding> = record.findings.iter().filter(is_its_own).collect();
        let would_reject = found.iter().any(|finding| finding.would_reject());
        let agreement = match (timed(Some(&binding.name)), outcome) {
            (false, _) => Agreement::Failed,
            (true, Outcome::Approved) if would_reject => Agreement::NewlyRejected,
            (true, _) if found.is_empty() => Agreement::Agreed,
            (true, _) => Agreement::OtherFindings,
        };
        let scope = match stage {
            Stage::Policy => Scope::Policies,
            _ => Scope::Module(kind.module.clone()),
        };
        let release = record.releases().iter().find(|release| release.scope == scope)?.number;
        Some(Self { scope, release, binding: binding.name.clone(), agreement })
    }

    /// What is counted of it.
    pub(super) fn observation(&self, decision: &Decision) -> Observation {
        let of_policies = self.scope == Scope::Policies;
        // A module may bind under the same name as the policies do.
        let is_found = |finding: &&Finding| {
            finding.plugin.as_ref() == Some(&self.binding) && (finding.stage == Stage::Policy) == of_policies
        };
        let is_timed = |timing: &&Timing| {
            timing.plugin.as_ref() == Some(&self.binding) && (timing.stage == Stage::Policy.as_str()) == of_policies
        };
        let micros: u64 = decision.timings.iter().filter(is_timed).map(|timing| timing.micros).sum();
        Observation {
            observer: observer(&self.scope, self.release, &self.binding),
            agreement: self.agreement,
            slower_micros: i64::try_from(micros).unwrap_or(i64::MAX),
            codes: codes(Change::New, decision.findings.iter().filter(is_found)),
        }
    }
}

/// What a binding of a release is known by where what it would have said is counted; a shadow is by its id.
pub(super) fn observer(scope: &Scope, release: i64, binding: &str) -> String {
    format!("{scope}#{release}/{binding}")
}
