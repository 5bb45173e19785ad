//! What the active rules and a candidate say of one manifest, and what the difference means.

use super::found::Verdict;
use super::judge::Bound;
use super::report::Change;
use crate::plugin::{Cause, Failure};
use crate::report::{Finding, Remark};

/// What one side says.
#[derive(Clone, Default)]
pub(super) struct Side {
    pub(super) findings: Vec<Finding>,
    /// Its schema or its resolvers reject: no other plugin is asked.
    pub(super) has_stopped: bool,
    pub(super) broke: Option<(String, Failure)>,
}

impl Side {
    pub(super) fn rejects(&self) -> bool {
        self.findings.iter().any(Finding::rejects)
    }

    /// True where no plugin is asked any more.
    pub(super) fn is_over(&self) -> bool {
        self.has_stopped || self.broke.is_some()
    }

    pub(super) fn hear(&mut self, (stage, binding): &Bound, remarks: Vec<Remark>) {
        self.findings.extend(remarks.into_iter().map(|remark| Finding {
            stage: *stage,
            plugin: Some(binding.name.clone()),
            mode: binding.mode,
            remark,
            exemption: None,
        }));
    }
}

/// What both say.
#[derive(Clone, Default)]
pub(super) struct Sides {
    pub(super) active: Side,
    pub(super) candidate: Side,
}

impl Sides {
    /// None where one broke.
    pub(super) fn say_the_same(&self) -> Option<bool> {
        let Self { active, candidate } = self;
        let nobody_broke = active.broke.is_none() && candidate.broke.is_none();
        let same = active.has_stopped == candidate.has_stopped && is_same(&active.findings, &candidate.findings);
        nobody_broke.then_some(same)
    }

    /// True where a plugin broke, and not for what the host lacked.
    pub(super) fn broke_of_themselves(&self) -> bool {
        let broke = [&self.active.broke, &self.candidate.broke].into_iter().flatten();
        broke.into_iter().any(|(_, failure)| !says_nothing(&failure.cause))
    }
}

/// A thread that gives way to every other may wait long, and the host may lack what it needs for a moment: that says
/// nothing of the plugin.
pub(super) fn says_nothing(cause: &Cause) -> bool {
    matches!(cause, Cause::Wall { .. } | Cause::Start | Cause::Facts)
}

pub(super) fn compare(Sides { active, candidate }: Sides) -> Verdict {
    if let Some((binding, failure)) = candidate.broke.as_ref().or(active.broke.as_ref()) {
        let side = if candidate.broke.is_some() { "candidate" } else { "active rules" };
        let why = format!("under the {side}: {failure}");
        return Verdict::NotJudged { binding: Some(binding.clone()), why };
    }
    let (fails_now, would_fail) = (active.rejects(), candidate.rejects());
    let (removed, added) = difference(active.findings, candidate.findings);
    let added = added.into_iter().map(|finding| (Change::New, finding));
    let removed = removed.into_iter().map(|finding| (Change::Gone, finding));
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
    let (exempted, other_exempted) = (one.exemption.is_some(), other.exemption.is_some());
    (one.stage, one.mode, exempted) == (other.stage, other.mode, other_exempted) && one.remark == other.remark
}
