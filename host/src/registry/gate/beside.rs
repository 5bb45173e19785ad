//! What a candidate release would say of a submission that the active one has judged. It runs what differs and takes the
//! rest from the run that was: evaluations are deterministic, so the same plugin with the same settings says the same of
//! the same document. What it finds decides nothing.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use super::{Bench, Record, Resolved, Run, Stopped, evaluate, resolve, schema};
use crate::plugin::{Case, Cause};
use crate::registry::rules::{LoadedBinding, LoadedKind};
use crate::registry::submission::Submission;
use crate::registry::{FailureRecord, Outcome};
use crate::report::{Finding, Mode, Severity, Stage};

/// What the candidate says, beside what the active release said.
#[derive(Debug)]
pub struct Said {
    /// How the candidate's run ended.
    pub outcome: Outcome,
    /// What it finds and the active release does not; none where it failed.
    pub new_findings: Vec<Finding>,
    /// What the active release finds and it does not; none where it failed.
    pub gone_findings: Vec<Finding>,
    /// The bindings that broke.
    pub failures: Vec<FailureRecord>,
    /// Microseconds that it took here.
    pub micros: u64,
    /// Microseconds that a run of the candidate takes more than one of the active release.
    pub slower_micros: i64,
}

/// Judges by the candidate's kind what `active` tells of; `read` reads the submission again for it. None where nothing
/// can be told: the host had no room, or the registry could not be asked.
pub fn judge_beside(
    active: &Record,
    candidate: &Arc<LoadedKind>,
    bench: &Bench,
    read: impl FnOnce() -> Option<Submission>,
) -> Option<Said> {
    let started = Instant::now();
    let has_same_front = same_front(&active.kind, candidate);
    let ended = if has_same_front {
        take_front(active, candidate, bench)
    } else {
        schema(Run::start(read()?, bench)).and_then(resolve)
    };
    let record = match ended {
        Ok(mut resolved) => {
            let known = same_document(active, &resolved.record).then_some(active);
            evaluate(&mut resolved, Stage::Validate, &candidate.validators, known);
            evaluate(&mut resolved, Stage::Policy, &candidate.policies, known);
            resolved.record
        }
        Err(Stopped(record)) => *record,
    };
    if record.broke.as_ref().is_some_and(|broke| is_no_fault_of_the_plugin(&broke.failure.cause)) {
        return None;
    }
    let outcome = match (record.failures.iter().any(|failure| failure.mode == Mode::Enforce), record.rejected()) {
        (true, _) => Outcome::Failed,
        (false, true) => Outcome::Rejected,
        (false, false) => Outcome::Approved,
    };
    let micros = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
    let saved = micros_of_what_differs(active, candidate, has_same_front);
    let (new_findings, gone_findings) = match outcome {
        Outcome::Failed => (Vec::new(), Vec::new()),
        _ => (without(&record.findings, &active.findings), without(&active.findings, &record.findings)),
    };
    Some(Said {
        outcome,
        new_findings,
        gone_findings,
        failures: record.failures,
        micros,
        slower_micros: i64::try_from(micros).unwrap_or(i64::MAX).saturating_sub_unsigned(saved),
    })
}

/// Lets a binding say of the same document what the same plugin has said in the run that is `known`; false where it
/// did not run there.
pub(super) fn repeat(known: &Record, record: &mut Record, stage: Stage, binding: &LoadedBinding) -> bool {
    let theirs = if stage == Stage::Validate { &known.kind.validators } else { &known.kind.policies };
    let same = theirs.iter().find(|theirs| Arc::ptr_eq(&theirs.plugin, &binding.plugin));
    let Some(same) = same.filter(|same| same.sees(&known.kind.kind.name, &known.id)) else { return false };
    let broke = known.failures.iter().find(|broke| broke.plugin == same.name && broke.digest == *same.plugin.digest());
    if let Some(broke) = broke {
        let plugin = binding.name.clone();
        record.failures.push(FailureRecord { plugin, mode: binding.mode, ..broke.clone() });
    } else {
        let is_theirs = |finding: &&Finding| finding.stage == stage && finding.plugin.as_ref() == Some(&same.name);
        let remarks = known.findings.iter().filter(is_theirs).map(|finding| finding.remark.clone()).collect();
        record.say(stage, binding, remarks);
    }
    true
}

fn is_no_fault_of_the_plugin(cause: &Cause) -> bool {
    matches!(cause, Cause::Busy { .. } | Cause::Facts | Cause::Start)
}

/// True where what comes before validators and policies is the same.
fn same_front(active: &LoadedKind, candidate: &LoadedKind) -> bool {
    let has_same_name = |(one, other): (&Arc<LoadedBinding>, &Arc<LoadedBinding>)| one.name == other.name;
    active.kind == candidate.kind
        && active.resolves_like(candidate)
        && active.resolvers.iter().zip(&candidate.resolvers).all(has_same_name)
}

/// What the schema and the resolvers said, taken over.
fn take_front(active: &Record, candidate: &Arc<LoadedKind>, bench: &Bench) -> Result<Resolved, Stopped> {
    let (id, version) = (active.id.clone(), active.version.clone());
    let mut record = Record::new(Arc::clone(candidate), id, version, active.submitted_digest.clone());
    let is_of_front = |finding: &&Finding| matches!(finding.stage, Stage::Schema | Stage::Resolve);
    record.findings = active.findings.iter().filter(is_of_front).cloned().collect();
    let resolvers = &active.kind.resolvers;
    let is_resolver = |failure: &&FailureRecord| resolvers.iter().any(|resolver| resolver.name == failure.plugin);
    record.failures = active.failures.iter().filter(is_resolver).cloned().collect();
    record.canonical.clone_from(&active.canonical);
    record.document.clone_from(&active.document);
    match &active.document {
        Some(document) => {
            let (subject, facts) = (Arc::new(record.subject(bench)), Arc::clone(&bench.facts));
            Ok(Resolved { case: Case { subject, document: Arc::clone(document), facts }, record })
        }
        None => Err(Stopped(Box::new(record))),
    }
}

fn same_document(active: &Record, other: &Record) -> bool {
    let (Some((_, one)), Some((_, two))) = (&active.canonical, &other.canonical) else { return false };
    one == two && active.kind.module == other.kind.module && active.kind.document == other.kind.document
}

/// What the active release spent on that which the candidate does not share.
fn micros_of_what_differs(active: &Record, candidate: &LoadedKind, has_same_front: bool) -> u64 {
    let is_shared = |ours: &LoadedBinding| {
        let mut theirs = candidate.validators.iter().chain(&candidate.policies);
        theirs.any(|theirs| Arc::ptr_eq(&theirs.plugin, &ours.plugin))
    };
    let ours = active.kind.validators.iter().chain(&active.kind.policies);
    let alone: Vec<&str> = ours.filter(|ours| !is_shared(ours)).map(|ours| ours.name.as_str()).collect();
    let is_front = |stage: &str| stage == Stage::Schema.as_str() || stage == Stage::Resolve.as_str();
    let timings = active.timings.iter().filter(|timing| match timing.plugin.as_deref() {
        None => is_front(&timing.stage) && !has_same_front,
        Some(name) => !is_front(&timing.stage) && alone.contains(&name),
    });
    timings.map(|timing| timing.micros).sum()
}

/// What makes two findings the same: not who says it, nor in which words.
type Key<'a> = (Stage, Mode, Severity, &'a str, &'a str, bool);

fn key(finding: &Finding) -> Key<'_> {
    let remark = &finding.remark;
    (finding.stage, finding.mode, remark.severity, &remark.code, &remark.path, finding.exemption.is_some())
}

/// The findings that the others have not, as often as they are there more often.
fn without(findings: &[Finding], others: &[Finding]) -> Vec<Finding> {
    let mut left: HashMap<Key<'_>, usize> = HashMap::new();
    for other in others {
        *left.entry(key(other)).or_default() += 1;
    }
    let mut alone = Vec::new();
    for finding in findings {
        match left.get_mut(&key(finding)) {
            Some(count) if *count > 0 => *count -= 1,
            _ => alone.push(finding.clone()),
        }
    }
    alone
}
