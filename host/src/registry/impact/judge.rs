//! One stored manifest under two sets of rules. What is the same in both runs once at most, and not at all where the
//! rest already says that nothing changes: evaluations are deterministic, so what is the same says the same.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use super::report::{Change, Counts, Example, Group, Groups, Report};
use crate::clock::Millis;
use crate::config::Limits;
use crate::names::{EntryId, KindName};
use crate::plugin::{Case, Cause, Document, Facts, Failure, Plugin, Subject};
use crate::registry::SubstitutionRecord;
use crate::registry::publish::with_values;
use crate::registry::rules::{LoadedBinding, LoadedKind, RulesInForce};
use crate::registry::store::StoredVersion;
use crate::registry::submission::as_finding;
use crate::report::{Finding, Mode, Remark, Stage};

/// Times that an evaluation is tried whose failure says nothing of the plugin.
const TRIES_MAX: usize = 3;

/// A binding with its stage.
type Bound = (Stage, Arc<LoadedBinding>);

/// What judging a run's manifests needs, loaded once on each host.
pub(in crate::registry) struct Plan {
    kinds: BTreeMap<KindName, KindPlan>,
    tenant: String,
    /// Every guest's clock shows when the run began, whichever host judges when.
    at: Millis,
}

/// A kind's rules on both sides, sorted by what they share.
struct KindPlan {
    active: Arc<LoadedKind>,
    /// None where the candidate does not declare the kind any more.
    candidate: Option<Arc<LoadedKind>>,
    has_same_schema: bool,
    shared: Vec<Bound>,
    only_active: Vec<Bound>,
    only_candidate: Vec<Bound>,
}

impl KindPlan {
    fn of(active: &Arc<LoadedKind>, candidate: Option<&Arc<LoadedKind>>) -> Self {
        let mut only_active = bound(active);
        let Some(candidate) = candidate else {
            let (shared, only_candidate) = (Vec::new(), Vec::new());
            let (active, candidate) = (Arc::clone(active), None);
            return Self { active, candidate, has_same_schema: false, shared, only_active, only_candidate };
        };
        let (mut shared, mut only_candidate) = (Vec::new(), Vec::new());
        // Guests are told where the document is: with another place nothing is the same.
        let may_share = active.document == candidate.document && active.module == candidate.module;
        for (stage, binding) in bound(candidate) {
            let same = |(other_stage, other): &Bound| {
                may_share
                    && *other_stage == stage
                    && other.mode == binding.mode
                    && other.percent == binding.percent
                    && Arc::ptr_eq(&other.plugin, &binding.plugin)
            };
            match only_active.iter().position(same) {
                Some(place) => shared.push(only_active.remove(place)),
                None => only_candidate.push((stage, binding)),
            }
        }
        let has_same_schema = may_share
            && active.envelope.is_same(&candidate.envelope)
            && active.schema.is_same(&candidate.schema)
            && active.kind.document_field == candidate.kind.document_field;
        let (active, candidate) = (Arc::clone(active), Some(Arc::clone(candidate)));
        Self { active, candidate, has_same_schema, shared, only_active, only_candidate }
    }
}

/// The bindings that judge what is stored: its placeholders are resolved.
fn bound(kind: &LoadedKind) -> Vec<Bound> {
    let at = |stage, bindings: &[Arc<LoadedBinding>]| -> Vec<Bound> {
        bindings.iter().map(|binding| (stage, Arc::clone(binding))).collect()
    };
    [at(Stage::Validate, &kind.validators), at(Stage::Policy, &kind.policies)].concat()
}

impl Plan {
    /// `candidate` was loaded with `active` before it, so that they share what is configured alike.
    pub(super) fn new(active: &RulesInForce, candidate: &RulesInForce, tenant: String, at: Millis) -> Self {
        let plan = |kind: &Arc<LoadedKind>| {
            let name = kind.kind.name.clone();
            let plan = KindPlan::of(kind, candidate.kind(name.as_str()).ok());
            (name, plan)
        };
        Self { kinds: active.kinds().map(plan).collect(), tenant, at }
    }

    /// Judges a manifest and adds what came of it.
    pub(super) fn judge(
        &self,
        kind: &KindName,
        stored: StoredVersion,
        facts: Arc<dyn Facts>,
        limits: &Limits,
        found: &mut Found,
    ) {
        let Some(plan) = self.kinds.get(kind) else { return };
        let verdict = match serde_json::from_str::<Value>(&stored.manifest) {
            Ok(value) => Trial::new(self, plan, &stored, value, facts, limits).verdict(),
            // Whatever wrote it, nothing can be said of it.
            Err(error) => {
                Verdict::NotJudged { binding: None, why: format!("the stored manifest cannot be read: {error}") }
            }
        };
        found.add(kind, &stored, verdict, limits);
    }
}

/// How a manifest comes out.
enum Verdict {
    Unchanged,
    NewlyFails(Vec<(Change, Finding)>),
    NewlyPasses(Vec<(Change, Finding)>),
    Changed(Vec<(Change, Finding)>),
    NotJudged { binding: Option<String>, why: String },
}

/// What one side says.
#[derive(Default)]
struct Side {
    findings: Vec<Finding>,
    /// Its schema rejects: no plugin is asked.
    has_stopped: bool,
    broke: Option<(String, Failure)>,
}

impl Side {
    fn rejects(&self) -> bool {
        self.findings.iter().any(Finding::rejects)
    }
}

/// An evaluation: whether of the candidate's case, by which plugin, and what came of it.
type Ran = (bool, Arc<Plugin>, Result<Vec<Remark>, Failure>);

/// One manifest while it is judged.
struct Trial<'a> {
    plan: &'a KindPlan,
    limits: &'a Limits,
    id: EntryId,
    at: Millis,
    active: Case,
    candidate: Case,
    /// What was evaluated: a binding whose mode alone differs is the same evaluation.
    ran: Vec<Ran>,
    has_one_subject: bool,
}

impl<'a> Trial<'a> {
    fn new(
        plan: &Plan,
        kind: &'a KindPlan,
        stored: &StoredVersion,
        value: Value,
        facts: Arc<dyn Facts>,
        limits: &'a Limits,
    ) -> Self {
        let substituted = with_values(substituted(stored.decision.as_deref()), &value);
        let document = Arc::new(Document { value, substituted });
        let subject = |of: &LoadedKind| {
            Arc::new(Subject {
                tenant: plan.tenant.clone(),
                module: of.module.to_string(),
                kind: of.kind.name.to_string(),
                id: stored.id.to_string(),
                version: stored.version.to_string(),
                publisher: stored.published_by.clone(),
                submitted_at_ms: plan.at.0,
                document: of.document.clone(),
            })
        };
        let of_candidate = kind.candidate.as_ref().unwrap_or(&kind.active);
        let has_one_subject =
            kind.active.document == of_candidate.document && kind.active.module == of_candidate.module;
        let active = Case { subject: subject(&kind.active), document, facts };
        let candidate =
            if has_one_subject { active.clone() } else { Case { subject: subject(of_candidate), ..active.clone() } };
        let (id, at) = (stored.id.clone(), plan.at);
        Self { plan: kind, limits, id, at, active, candidate, ran: Vec::new(), has_one_subject }
    }

    fn verdict(mut self) -> Verdict {
        let plan = self.plan;
        let (mut active, mut candidate) = (Side::default(), Side::default());
        if !plan.has_same_schema {
            self.judge_schema(&plan.active, &mut active);
            match &plan.candidate {
                Some(kind) => self.judge_schema(kind, &mut candidate),
                None => {
                    candidate.findings.push(as_finding(kind_removed(&plan.active)));
                    candidate.has_stopped = true;
                }
            }
        }
        self.judge(&plan.only_active, false, &mut active);
        self.judge(&plan.only_candidate, true, &mut candidate);
        let nobody_broke = active.broke.is_none() && candidate.broke.is_none();
        let says_the_same = is_same(&active.findings, &candidate.findings);
        if nobody_broke && says_the_same && active.has_stopped == candidate.has_stopped {
            return Verdict::Unchanged;
        }
        // What both share decides what the difference means.
        if plan.has_same_schema {
            self.judge_schema(&plan.active, &mut active);
            if active.has_stopped {
                return Verdict::Unchanged;
            }
        }
        self.judge(&plan.shared, false, &mut active);
        self.judge(&plan.shared, false, &mut candidate);
        compare(active, candidate)
    }

    fn judge_schema(&self, kind: &LoadedKind, side: &mut Side) {
        let limit = self.limits.schema_findings_max;
        let value = &self.active.document.value;
        let mut remarks = kind.envelope.violations(value, "", limit);
        if let Some(document) = value.get(&kind.kind.document_field) {
            remarks.extend(kind.schema.violations(document, &kind.document, limit));
        }
        side.findings.extend(remarks.into_iter().map(as_finding));
        side.has_stopped = side.rejects();
    }

    fn judge(&mut self, bindings: &[Bound], of_candidate: bool, side: &mut Side) {
        if side.has_stopped {
            return;
        }
        let kind = &self.plan.active.kind.name;
        let said_before = side.findings.len();
        for (stage, binding) in bindings {
            if !binding.sees(kind, &self.id) {
                continue;
            }
            match self.evaluate(of_candidate, &binding.plugin) {
                Ok(remarks) => side.findings.extend(remarks.into_iter().map(|remark| Finding {
                    stage: *stage,
                    plugin: Some(binding.name.clone()),
                    mode: binding.mode,
                    remark,
                    exemption: None,
                })),
                Err(failure) if binding.mode == Mode::Enforce => {
                    side.broke.get_or_insert_with(|| (binding.name.clone(), failure));
                }
                // One that observes decides nothing, whatever becomes of it.
                Err(_) => {}
            }
        }
        self.plan.active.exemptions.mark(&mut side.findings[said_before..], kind, &self.id, self.at);
    }

    fn evaluate(&mut self, of_candidate: bool, plugin: &Arc<Plugin>) -> Result<Vec<Remark>, Failure> {
        let of_candidate = of_candidate && !self.has_one_subject;
        let same = |(side, ran, _): &&(bool, Arc<Plugin>, _)| *side == of_candidate && Arc::ptr_eq(ran, plugin);
        if let Some((_, _, said)) = self.ran.iter().find(same) {
            return said.clone();
        }
        let case = if of_candidate { &self.candidate } else { &self.active };
        let mut said = plugin.judge_aside(case);
        for _ in 1..TRIES_MAX {
            // A thread that gives way to every other may wait long, and the host may lack what it needs for a moment.
            let Err(Failure { cause: Cause::Wall { .. } | Cause::Start | Cause::Facts, .. }) = &said else { break };
            said = plugin.judge_aside(case);
        }
        self.ran.push((of_candidate, Arc::clone(plugin), said.clone()));
        said
    }
}

fn compare(active: Side, candidate: Side) -> Verdict {
    if let Some((binding, failure)) = candidate.broke.as_ref().or(active.broke.as_ref()) {
        let side = if candidate.broke.is_some() { "candidate" } else { "active rules" };
        let why = format!("under the {side}: {failure}");
        return Verdict::NotJudged { binding: Some(binding.clone()), why };
    }
    let (fails_now, would_fail) = (active.rejects(), candidate.rejects());
    let (removed, added) = difference(active.findings, candidate.findings);
    let added = added.into_iter().map(|finding| (Change::Added, finding));
    let removed = removed.into_iter().map(|finding| (Change::Removed, finding));
    match (fails_now, would_fail) {
        (false, true) => Verdict::NewlyFails(added.filter(|(_, finding)| finding.rejects()).collect()),
        (true, false) => Verdict::NewlyPasses(removed.filter(|(_, finding)| finding.rejects()).collect()),
        _ => {
            let all: Vec<_> = added.chain(removed).collect();
            if all.is_empty() { Verdict::Unchanged } else { Verdict::Changed(all) }
        }
    }
}

fn is_same(some: &[Finding], others: &[Finding]) -> bool {
    // Most often there are none, or the same ones in the same order.
    let in_order = some.len() == others.len() && some.iter().zip(others).all(|(one, other)| says_alike(one, other));
    in_order || {
        let (removed, added) = difference(some.to_vec(), others.to_vec());
        removed.is_empty() && added.is_empty()
    }
}

/// What only the first say, and what only the others do. A binding's name is no part of what it says.
fn difference(some: Vec<Finding>, mut others: Vec<Finding>) -> (Vec<Finding>, Vec<Finding>) {
    let mut only = Vec::new();
    for finding in some {
        match others.iter().position(|other| says_alike(&finding, other)) {
            Some(place) => drop(others.remove(place)),
            None => only.push(finding),
        }
    }
    (only, others)
}

fn says_alike(one: &Finding, other: &Finding) -> bool {
    one.stage == other.stage && one.mode == other.mode && one.remark == other.remark
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

/// What a chunk's manifests came to.
#[derive(Default)]
pub(super) struct Found {
    counts: Counts,
    newly_fail: Groups,
    newly_pass: Groups,
    changed: Groups,
    not_judged: Groups,
}

impl Found {
    fn add(&mut self, kind: &KindName, stored: &StoredVersion, verdict: Verdict, limits: &Limits) {
        let example = |plugin, remark: Remark, change| {
            let (id, version) = (stored.id.clone(), stored.version.clone());
            let Remark { severity, path, message, .. } = remark;
            Example { kind: kind.clone(), id, version, plugin, severity, path, message, change }.cut()
        };
        let (count, groups, said) = match verdict {
            Verdict::Unchanged => {
                self.counts.unchanged += 1;
                return;
            }
            Verdict::NewlyFails(said) => (&mut self.counts.newly_fail, &mut self.newly_fail, said),
            Verdict::NewlyPasses(said) => (&mut self.counts.newly_pass, &mut self.newly_pass, said),
            Verdict::Changed(said) => (&mut self.counts.changed, &mut self.changed, said),
            Verdict::NotJudged { binding, why } => {
                self.counts.not_judged += 1;
                let code = binding.clone().unwrap_or_else(|| "(host)".to_owned());
                let examples = vec![example(binding, Remark::error("", "", why), Change::Broke)];
                self.not_judged.add(Group { code, count: 1, examples }, limits);
                return;
            }
        };
        *count += 1;
        // A manifest counts once under each code.
        let mut codes: BTreeMap<String, Example> = BTreeMap::new();
        for (change, Finding { plugin, mut remark, .. }) in said {
            let code = std::mem::take(&mut remark.code);
            codes.entry(code).or_insert_with(|| example(plugin, remark, change));
        }
        for (code, example) in codes {
            groups.add(Group { code, count: 1, examples: vec![example] }, limits);
        }
    }

    pub(super) fn into_report(self) -> Report {
        Report {
            counts: self.counts,
            newly_fail: self.newly_fail.ordered(),
            newly_pass: self.newly_pass.ordered(),
            changed: self.changed.ordered(),
            not_judged: self.not_judged.ordered(),
        }
    }
}
