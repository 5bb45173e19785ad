//! What a chunk's manifests came to, gathered into its report.

use std::collections::BTreeMap;

use super::report::{Change, Counts, Example, Group, Groups, Report};
use crate::config::Limits;
use crate::names::KindName;
use crate::registry::store::StoredVersion;
use crate::report::{Finding, Remark};

/// How a manifest comes out.
pub(super) enum Verdict {
    Unchanged,
    /// By what a plugin declares of its settings: only those of which they differ were evaluated.
    UnchangedByClaim,
    NewlyFails(Vec<(Change, Finding)>),
    NewlyPasses(Vec<(Change, Finding)>),
    Changed(Vec<(Change, Finding)>),
    NotJudged {
        binding: Option<String>,
        why: String,
    },
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
    pub(super) fn add(&mut self, kind: &KindName, stored: &StoredVersion, verdict: Verdict, limits: &Limits) {
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
            Verdict::UnchangedByClaim => {
                self.counts.unchanged += 1;
                self.counts.unchanged_by_claim += 1;
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
