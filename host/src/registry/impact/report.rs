//! What a run found: counts, and under each finding code how many manifests and some examples. Each chunk has such a
//! report, and the run's is theirs in order, so that it does not depend on which host judged what when.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::config::Limits;
use crate::names::{EntryId, KindName, VersionName};
use crate::registry::RegistryError;
use crate::report::Severity;

/// Characters of a message or a path that an example keeps.
const EXCERPT_MAX: usize = 500;

/// What codes past the limit are counted as.
pub(super) const OTHERS: &str = "(others)";

/// How many manifests came out how.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ImpactCounts)]
pub struct Counts {
    /// They pass now and would be rejected.
    pub newly_fail: u64,
    /// They would be rejected now and pass.
    pub newly_pass: u64,
    /// They come out the same, with other findings.
    pub changed: u64,
    /// A plugin broke over them.
    pub not_judged: u64,
    /// Nothing would change.
    pub unchanged: u64,
    /// Those of them of which only what differs was evaluated, since a plugin declares its settings independent.
    #[serde(default)]
    pub unchanged_by_claim: u64,
}

/// Whether the candidate says it or the active rules do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = ImpactChange)]
pub enum Change {
    /// The candidate says it, the active rules do not.
    #[serde(alias = "added")]
    New,
    /// The active rules say it, the candidate does not.
    #[serde(alias = "removed")]
    Gone,
    /// The binding broke.
    Broke,
}

/// A manifest with one finding of its group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ImpactExample)]
pub struct Example {
    /// The kind.
    pub kind: KindName,
    /// The entry.
    pub id: EntryId,
    /// The version.
    pub version: VersionName,
    /// The binding; none where the host itself speaks.
    pub plugin: Option<String>,
    /// How much it weighs.
    pub severity: Severity,
    /// JSON Pointer into the submission.
    pub path: String,
    /// What is said.
    pub message: String,
    /// Who says it.
    pub change: Change,
}

impl Example {
    /// The same with its texts cut to what a report may carry.
    pub(super) fn cut(mut self) -> Self {
        for text in [&mut self.path, &mut self.message] {
            if let Some((end, _)) = text.char_indices().nth(EXCERPT_MAX) {
                text.truncate(end);
                text.push('…');
            }
        }
        self
    }
}

/// The manifests under one code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = ImpactGroup)]
pub struct Group {
    /// The finding code; the binding's name where it broke.
    pub code: String,
    /// Manifests with it.
    pub count: u64,
    /// Some of them.
    pub examples: Vec<Example>,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ImpactReport)]
pub struct Report {
    /// How many manifests came out how.
    pub counts: Counts,
    /// By the findings that would reject.
    pub newly_fail: Vec<Group>,
    /// By the findings that reject now.
    pub newly_pass: Vec<Group>,
    /// By the findings that come or go.
    pub changed: Vec<Group>,
    /// By the bindings that broke.
    pub not_judged: Vec<Group>,
}

/// Groups by code while they grow.
#[derive(Debug, Default)]
pub(super) struct Groups(BTreeMap<String, Group>);

impl Groups {
    pub(super) fn add(&mut self, group: Group, limits: &Limits) {
        // What counts the others takes no place of a code's own, wherever it comes in the order of a chunk's groups.
        let told_apart = self.0.len() - usize::from(self.0.contains_key(OTHERS));
        let has_place =
            group.code == OTHERS || self.0.contains_key(&group.code) || told_apart < limits.impact_codes_max;
        let code = if has_place { group.code } else { OTHERS.to_owned() };
        let known = self.0.entry(code.clone()).or_insert_with(|| Group { code, count: 0, examples: Vec::new() });
        known.count += group.count;
        let room = limits.impact_examples_max.saturating_sub(known.examples.len());
        known.examples.extend(group.examples.into_iter().take(room));
    }

    /// The code with the most manifests first.
    pub(super) fn ordered(self) -> Vec<Group> {
        let mut groups: Vec<Group> = self.0.into_values().collect();
        groups.sort_by(|one, other| other.count.cmp(&one.count).then_with(|| one.code.cmp(&other.code)));
        groups
    }
}

/// A run's report while it is gathered from those of its chunks, in order.
#[derive(Debug, Default)]
pub(super) struct Merging {
    counts: Counts,
    parts: [Groups; 4],
}

impl Merging {
    /// Adds a chunk's report as it is stored.
    pub(super) fn add(&mut self, stored: &str, limits: &Limits) -> Result<(), RegistryError> {
        let report: Report = serde_json::from_str(stored)
            .map_err(|error| RegistryError::Internal(format!("a chunk's result cannot be read: {error}")))?;
        self.counts.newly_fail += report.counts.newly_fail;
        self.counts.newly_pass += report.counts.newly_pass;
        self.counts.changed += report.counts.changed;
        self.counts.not_judged += report.counts.not_judged;
        self.counts.unchanged += report.counts.unchanged;
        self.counts.unchanged_by_claim += report.counts.unchanged_by_claim;
        let of_chunk = [report.newly_fail, report.newly_pass, report.changed, report.not_judged];
        for (part, groups) in self.parts.iter_mut().zip(of_chunk) {
            groups.into_iter().for_each(|group| part.add(group, limits));
        }
        Ok(())
    }

    pub(super) fn into_report(self) -> Report {
        let [newly_fail, newly_pass, changed, not_judged] = self.parts.map(Groups::ordered);
        Report { counts: self.counts, newly_fail, newly_pass, changed, not_judged }
    }
}

impl Report {
    /// How many manifests it is of.
    pub(super) fn judged(&self) -> i64 {
        let Counts { newly_fail, newly_pass, changed, not_judged, unchanged, .. } = self.counts;
        i64::try_from(newly_fail + newly_pass + changed + not_judged + unchanged).unwrap_or(i64::MAX)
    }
}
