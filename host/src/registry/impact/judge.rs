//! One stored manifest under two sets of rules. What is the same in both runs once at most, and not at all where the
//! rest already says that nothing changes: evaluations are deterministic, so what is the same says the same.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use super::found::{Found, Verdict};
use super::reduce::{Instances, Part, Reduced};
use super::sides::{Side, Sides, compare, says_nothing};
use crate::clock::Millis;
use crate::config::Limits;
use crate::names::{EntryId, KindName};
use crate::plugin::{Case, Document, Facts, Failure, Plugin, Subject};
use crate::registry::SubstitutionRecord;
use crate::registry::exemptions::Exemptions;
use crate::registry::publish::with_values;
use crate::registry::rules::{LoadedBinding, LoadedKind, RulesInForce};
use crate::registry::store::{Reading, StoredVersion};
use crate::registry::submission::as_finding;
use crate::report::{Finding, Mode, Remark, Stage};

/// Times that an evaluation is tried whose failure says nothing of the plugin.
pub(super) const TRIES_MAX: usize = 3;

/// A binding with its stage.
pub(super) type Bound = (Stage, Arc<LoadedBinding>);

/// What judging a run's manifests needs, loaded once on each host.
pub(in crate::registry) struct Plan {
    pub(super) kinds: BTreeMap<KindName, KindPlan>,
    run: Circumstances,
}

/// What is the same for every manifest of a run, whichever host judges when.
pub(super) struct Circumstances {
    pub(super) tenant: String,
    /// Every guest's clock shows when the run began.
    pub(super) at: Millis,
    /// Those that held then.
    pub(super) exemptions: Exemptions,
    pub(super) limits: Arc<Limits>,
}

/// A kind's rules on both sides, sorted by what they share.
pub(super) struct KindPlan {
    pub(super) active: Arc<LoadedKind>,
    /// None where the candidate does not declare the kind any more.
    pub(super) candidate: Option<Arc<LoadedKind>>,
    /// Guests are told where the document is: with another place nothing is the same.
    has_one_subject: bool,
    has_same_schema: bool,
    /// Where it is another, both sides resolve what was sent.
    has_same_resolve: bool,
    shared: Vec<Bound>,
    pub(super) only_active: Vec<Bound>,
    pub(super) only_candidate: Vec<Bound>,
    /// What says enough where both sides say the same under it.
    pub(super) reduced: Option<Reduced>,
}

impl KindPlan {
    fn of(active: &Arc<LoadedKind>, candidate: Option<&Arc<LoadedKind>>, exemptions: &Exemptions) -> Self {
        let mut plan = Self {
            active: Arc::clone(active),
            candidate: candidate.cloned(),
            has_one_subject: true,
            has_same_schema: false,
            has_same_resolve: true,
            shared: Vec::new(),
            only_active: bound(active),
            only_candidate: Vec::new(),
            reduced: None,
        };
        let Some(candidate) = candidate else { return plan };
        plan.has_one_subject = active.document == candidate.document && active.module == candidate.module;
        for (stage, binding) in bound(candidate) {
            let same = |(other_stage, other): &Bound| {
                plan.has_one_subject
                    && *other_stage == stage
                    && other.mode == binding.mode
                    && other.percent == binding.percent
                    && Arc::ptr_eq(&other.plugin, &binding.plugin)
                    && exempt_alike(exemptions, &other.name, &binding.name)
            };
            match plan.only_active.iter().position(same) {
                Some(place) => plan.shared.push(plan.only_active.remove(place)),
                None => plan.only_candidate.push((stage, binding)),
            }
        }
        plan.has_same_resolve = active.resolves_like(candidate);
        plan.has_same_schema = plan.has_one_subject
            && active.envelope.is_same(&candidate.envelope)
            && active.schema.is_same(&candidate.schema)
            && active.kind.document_field == candidate.kind.document_field;
        plan
    }

    /// How its versions are read.
    fn reading(&self) -> Reading {
        if self.has_same_resolve { Reading::Stored } else { Reading::Sent }
    }
}

/// True where no exemption is for the findings of one of the two alone.
pub(super) fn exempt_alike(exemptions: &Exemptions, one: &str, other: &str) -> bool {
    let names_one = |binding: &String| binding == one || binding == other;
    one == other || !exemptions.list.iter().any(|exemption| exemption.binding.as_ref().is_some_and(names_one))
}

/// The bindings that judge what is resolved.
fn bound(kind: &LoadedKind) -> Vec<Bound> {
    let at = |stage, bindings: &[Arc<LoadedBinding>]| -> Vec<Bound> {
        bindings.iter().map(|binding| (stage, Arc::clone(binding))).collect()
    };
    [at(Stage::Validate, &kind.validators), at(Stage::Policy, &kind.policies)].concat()
}

/// How a plugin's word is taken that some of its settings are independent of each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    /// Not at all.
    Refused,
    /// Where both sides say the same under what differs, they do under the whole.
    Given,
    /// It is, and is put to the proof.
    Proved,
}

/// A plugin's word was wrong.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refuted {
    /// The bindings that gave it.
    pub(super) bindings: String,
}

impl Plan {
    /// `candidate` was loaded with `active` before it, so that they share what is configured alike.
    pub(super) fn new(active: &RulesInForce, candidate: &RulesInForce, run: Circumstances) -> Self {
        let plan = |kind: &Arc<LoadedKind>| {
            let name = kind.kind.name.clone();
            let plan = KindPlan::of(kind, candidate.kind(name.as_str()).ok(), &run.exemptions);
            (name, plan)
        };
        Self { kinds: active.kinds().map(plan).collect(), run }
    }

    /// The exemptions that its run judges by.
    pub(super) fn exemptions(&self) -> &Exemptions {
        &self.run.exemptions
    }

    /// How a kind's versions are read.
    pub(super) fn reading(&self, kind: &KindName) -> Reading {
        self.kinds.get(kind).map_or(Reading::Stored, KindPlan::reading)
    }

    /// True where verdicts on a kind may rest on what a plugin declares.
    pub(super) fn rests_on_claims(&self, kind: &KindName) -> bool {
        self.kinds.get(kind).is_some_and(|plan| plan.reduced.is_some())
    }

    /// Judges a manifest and adds what came of it, unless what it would rest on proves wrong.
    pub(super) fn judge(
        &self,
        kind: &KindName,
        stored: &StoredVersion,
        facts: Arc<dyn Facts>,
        trust: Trust,
        (instances, found): (&mut Instances, &mut Found),
    ) -> Result<(), Refuted> {
        let Some(plan) = self.kinds.get(kind) else { return Ok(()) };
        let begun = match plan.reading() {
            Reading::Stored => Trial::of_stored(plan, &self.run, stored, facts),
            Reading::Sent => Trial::of_sent(plan, &self.run, stored, facts),
        };
        let verdict = match begun {
            Ok((trial, sides)) => trial.verdict(sides, trust, instances)?,
            Err(why) => Verdict::NotJudged { binding: None, why },
        };
        found.add(kind, stored, verdict, &self.run.limits);
        Ok(())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Of {
    Active,
    Candidate,
}

/// An evaluation: of which side's case, by which plugin, and what came of it.
type Ran = (Of, Arc<Plugin>, Result<Vec<Remark>, Failure>);

/// One manifest while it is judged.
pub(super) struct Trial<'a> {
    plan: &'a KindPlan,
    run: &'a Circumstances,
    id: EntryId,
    active: Case,
    candidate: Case,
    /// What was evaluated: a binding whose mode alone differs is the same evaluation.
    ran: Vec<Ran>,
    has_one_case: bool,
    /// The schema is the same, and is asked only where something else differs.
    is_schema_due: bool,
}

impl<'a> Trial<'a> {
    /// With the documents that the active rules and the candidate judge.
    pub(super) fn new(
        plan: &'a KindPlan,
        run: &'a Circumstances,
        stored: &StoredVersion,
        documents: [Arc<Document>; 2],
        facts: Arc<dyn Facts>,
    ) -> Self {
        let subject = |of: &LoadedKind| {
            Arc::new(Subject {
                tenant: run.tenant.clone(),
                module: of.module.to_string(),
                kind: of.kind.name.to_string(),
                id: stored.id.to_string(),
                version: stored.version.to_string(),
                publisher: stored.published_by.clone(),
                submitted_at_ms: run.at.0,
                document: of.document.clone(),
            })
        };
        let [ours, theirs] = documents;
        let has_one_document =
            Arc::ptr_eq(&ours, &theirs) || (ours.value == theirs.value && ours.substituted == theirs.substituted);
        let has_one_case = plan.has_one_subject && has_one_document;
        let active = Case { subject: subject(&plan.active), document: ours, facts };
        let candidate = match &plan.candidate {
            Some(kind) if !has_one_case => Case { subject: subject(kind), document: theirs, ..active.clone() },
            _ => active.clone(),
        };
        let (id, ran) = (stored.id.clone(), Vec::new());
        Self { plan, run, id, active, candidate, ran, has_one_case, is_schema_due: false }
    }

    /// Of a manifest as it is stored: its placeholders are resolved.
    fn of_stored(
        plan: &'a KindPlan,
        run: &'a Circumstances,
        stored: &StoredVersion,
        facts: Arc<dyn Facts>,
    ) -> Result<(Self, Sides), String> {
        // Whatever wrote it, nothing can be said of what cannot be read.
        let value: Value = serde_json::from_str(&stored.manifest)
            .map_err(|error| format!("the stored manifest cannot be read: {error}"))?;
        let substituted = with_values(substituted(stored.decision.as_deref()), &value);
        let document = Arc::new(Document { value, substituted });
        let mut trial = Self::new(plan, run, stored, [Arc::clone(&document), document], facts);
        let mut sides = Sides::default();
        trial.is_schema_due = plan.has_same_schema;
        if plan.has_same_schema {
            return Ok((trial, sides));
        }
        trial.judge_schema(&plan.active, &mut sides.active);
        match &plan.candidate {
            Some(kind) => trial.judge_schema(kind, &mut sides.candidate),
            None => {
                sides.candidate.findings.push(as_finding(kind_removed(&plan.active)));
                sides.candidate.has_stopped = true;
            }
        }
        Ok((trial, sides))
    }

    fn verdict(mut self, mut sides: Sides, trust: Trust, instances: &mut Instances) -> Result<Verdict, Refuted> {
        let plan = self.plan;
        if !self.has_one_case {
            self.judge(&plan.only_active, Of::Active, &mut sides.active);
            self.judge(&plan.only_candidate, Of::Candidate, &mut sides.candidate);
            return Ok(self.conclude(sides));
        }
        let reduced = plan.reduced.as_ref().filter(|_| trust != Trust::Refused);
        let foretold = reduced.and_then(|reduced| {
            let mut sides = sides.clone();
            self.foretell(&reduced.active, Of::Active, &mut sides.active, instances);
            self.foretell(&reduced.candidate, Of::Candidate, &mut sides.candidate, instances);
            sides.say_the_same()
        });
        if foretold == Some(true) && trust == Trust::Given {
            return Ok(Verdict::UnchangedByClaim);
        }
        self.judge(&plan.only_active, Of::Active, &mut sides.active);
        self.judge(&plan.only_candidate, Of::Candidate, &mut sides.candidate);
        let same = sides.say_the_same();
        // As a whole they may also break where what differs does not.
        let is_refuted = match (foretold, same) {
            (Some(foretold), Some(same)) => foretold != same,
            (Some(true), None) => sides.broke_of_themselves(),
            _ => false,
        };
        if let Some(reduced) = reduced.filter(|_| is_refuted) {
            return Err(Refuted { bindings: reduced.claimants.join(", ") });
        }
        if same == Some(true) {
            return Ok(Verdict::Unchanged);
        }
        Ok(self.conclude(sides))
    }

    /// What both share decides what the difference means.
    fn conclude(mut self, mut sides: Sides) -> Verdict {
        let plan = self.plan;
        if self.is_schema_due {
            self.judge_schema(&plan.active, &mut sides.active);
            if sides.active.has_stopped {
                return Verdict::Unchanged;
            }
        }
        self.judge(&plan.shared, Of::Active, &mut sides.active);
        self.judge(&plan.shared, Of::Candidate, &mut sides.candidate);
        compare(sides)
    }

    fn judge_schema(&self, kind: &LoadedKind, side: &mut Side) {
        let limit = self.run.limits.schema_findings_max;
        let value = &self.active.document.value;
        let mut remarks = kind.envelope.violations(value, "", limit);
        if let Some(document) = value.get(&kind.kind.document_field) {
            remarks.extend(kind.schema.violations(document, &kind.document, limit));
        }
        let findings: Vec<Finding> = remarks.into_iter().map(as_finding).collect();
        side.has_stopped = findings.iter().any(Finding::rejects);
        side.findings.extend(findings);
    }

    fn judge(&mut self, bindings: &[Bound], of: Of, side: &mut Side) {
        if side.is_over() {
            return;
        }
        let kind = &self.plan.active.kind.name;
        let said_before = side.findings.len();
        for bound in bindings {
            let (_, binding) = bound;
            if !binding.sees(kind, &self.id) {
                continue;
            }
            match self.evaluate(of, &binding.plugin) {
                Ok(remarks) => side.hear(bound, remarks),
                Err(failure) if binding.mode == Mode::Enforce => {
                    side.broke.get_or_insert_with(|| (binding.name.clone(), failure));
                }
                // One that observes decides nothing, whatever becomes of it.
                Err(_) => {}
            }
        }
        self.mark(side, said_before);
    }

    /// By what differs alone, where only that is asked of a binding.
    fn foretell(&mut self, parts: &[Part], of: Of, side: &mut Side, instances: &mut Instances) {
        for Part { bound, alone } in parts {
            let Some(alone) = alone else {
                self.judge(std::slice::from_ref(bound), of, side);
                continue;
            };
            let (_, binding) = bound;
            if side.is_over() || !binding.sees(&self.plan.active.kind.name, &self.id) {
                continue;
            }
            let said_before = side.findings.len();
            match instances.judge(alone, &self.active) {
                Ok(remarks) => side.hear(bound, remarks),
                // Also of one that observes: what becomes of it the whole must say.
                Err(failure) => side.broke = Some((binding.name.clone(), failure)),
            }
            self.mark(side, said_before);
        }
    }

    fn mark(&self, side: &mut Side, said_before: usize) {
        let kind = &self.plan.active.kind.name;
        self.run.exemptions.mark(&mut side.findings[said_before..], kind, &self.id, self.run.at);
    }

    fn evaluate(&mut self, of: Of, plugin: &Arc<Plugin>) -> Result<Vec<Remark>, Failure> {
        let of = if self.has_one_case { Of::Active } else { of };
        let same = |(side, ran, _): &&Ran| *side == of && Arc::ptr_eq(ran, plugin);
        if let Some((_, _, said)) = self.ran.iter().find(same) {
            return said.clone();
        }
        let case = if of == Of::Candidate { &self.candidate } else { &self.active };
        let mut said = plugin.judge_aside(case);
        for _ in 1..TRIES_MAX {
            let Err(Failure { cause, .. }) = &said else { break };
            if !says_nothing(cause) {
                break;
            }
            said = plugin.judge_aside(case);
        }
        self.ran.push((of, Arc::clone(plugin), said.clone()));
        said
    }
}

fn kind_removed(kind: &LoadedKind) -> Remark {
    let message = format!("the candidate does not declare the kind '{}' any more", kind.kind.name);
    Remark::error("impact.kind-removed", "", message)
        .with_help("keep the kind: without it its entries can be neither read nor published")
}

/// Which values came from placeholders, as the decision says.
fn substituted(decision: Option<&str>) -> Vec<SubstitutionRecord> {
    #[derive(Deserialize)]
    struct Kept {
        substituted: Vec<SubstitutionRecord>,
    }
    let kept = decision.and_then(|text| serde_json::from_str::<Kept>(text).ok());
    kept.map(|kept| kept.substituted).unwrap_or_default()
}
