//! What is written of a publish: the version that the gate let in, and the decision either way.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};
use tracing::Instrument as _;

use super::events::failures;
use super::gate::{Approved, Bench, Record};
use super::publish::PublishWanted;
use super::release::{Kind, Versioning};
use super::rules::LoadedKind;
use super::shadow::{ObservingRecord, ShadowRecord, observations};
use super::store::{
    Commit, Committed, DecisionRow, EntryName, EntryRow, EntryStatus, Expected, NewEvent, Reference, Shown, VersionRow,
};
use super::words::EntryText;
use super::{Actor, Decision, LookupRecord, Outcome, Published, Registry, RegistryError, SubstitutionRecord};
use crate::clock::{Millis, new_id};
use crate::names::{Digest, EntryId, KindName, VersionName};
use crate::report::Timing;

/// The field that lists are filtered by, where a kind has it.
pub(super) const CATEGORY: &str = "category";

impl Registry {
    /// Commits; none where the rules moved and the submission must be judged again.
    pub(super) async fn commit(
        &self,
        actor: &Actor,
        bench: &Bench,
        approved: Box<Approved>,
        (beside, wanted): (Beside, &PublishWanted),
    ) -> Result<Option<Published>, RegistryError> {
        let record = approved.record();
        let kind = &record.kind.kind;
        let (Some((canonical, digest)), Some(document)) = (&record.canonical, &record.document) else {
            return Err(RegistryError::Internal("approved without a resolved submission".to_owned()));
        };
        let decision = decide(record, bench, Outcome::Approved, beside);
        let version = VersionRow {
            kind: kind.name.clone(),
            id: record.id.clone(),
            version: record.version.clone(),
            status: "active".to_owned(),
            withdrawal: None,
            digest: digest.clone(),
            submitted_digest: record.submitted_digest.clone(),
            manifest: Arc::clone(canonical),
            decision: decision.id.clone(),
            published_by: actor.name.clone(),
            published_at: bench.at,
        };
        // Else what is stored is what was sent, and is not kept twice.
        let is_stored_as_sent = document.substituted.is_empty() && !record.has_variables;
        let sent = (!is_stored_as_sent).then(|| record.sent.clone());
        let commit = Commit {
            tenant: &actor.tenant,
            approved: &approved,
            inbox_key: format!("registry:{}:{}:{}", kind.singular, record.id, record.version),
            shown: shown(kind, &document.value),
            status: wanted.status,
            expected: wanted.expected.clone(),
            references: references_of((&kind.name, &record.id), &record.lookups),
            event: published_event(actor, &version),
            happenings: failures(&decision),
            decision: decision_row(&decision, sent, bench.at),
            observations: observations(&decision),
            version: version.clone(),
            is_higher: if kind.versioning == Versioning::Semver { semver_is_higher } else { later_is_higher },
        };
        let started = Instant::now();
        let committed = self.store.commit(&commit).instrument(tracing::info_span!("commit")).await?;
        match committed {
            Committed::Written { entry } => {
                self.committed.notify_one();
                let kind = Arc::clone(kind);
                let (decision, commit) = (Box::new(decision), started.elapsed());
                Ok(Some(Published::Created { kind, entry, version, decision, commit }))
            }
            // Somebody else took the number: count again.
            Committed::Exists { .. } if kind.versioning == Versioning::Auto => Ok(None),
            Committed::Exists { existing } => {
                existing_answer(&record.kind, &record.submitted_digest, existing).map(Some)
            }
            Committed::RulesMoved => Ok(None),
            Committed::Overtaken { entry } => Err(overtaken(record, &wanted.expected, entry)),
            Committed::Refused { status: EntryStatus::Disabled } => {
                Err(RegistryError::EntryDisabled { kind: kind.name.clone(), id: record.id.clone() })
            }
            Committed::Refused { status } => Err(RegistryError::BadChange(format!(
                "{}/{} is {status} and not a draft: publish it without status=draft",
                kind.name, record.id
            ))),
        }
    }
}

/// The entry is not what it must be.
fn overtaken(record: &Record, expected: &Expected, entry: Option<EntryRow>) -> RegistryError {
    let (kind, id) = (record.kind.kind.name.clone(), record.id.clone());
    match (expected, entry) {
        (Expected::Revisions(_), Some(entry)) => RegistryError::EntryChanged { kind, id, at: entry.updated_at },
        (_, entry) => RegistryError::EntryPresence { kind, id, since: entry.map(|entry| entry.created_at) },
    }
}

pub(super) fn existing_answer(
    kind: &Arc<LoadedKind>,
    submitted: &Digest,
    existing: VersionRow,
) -> Result<Published, RegistryError> {
    if existing.submitted_digest == *submitted {
        return Ok(Published::Skipped { kind: Arc::clone(&kind.kind), existing });
    }
    Err(RegistryError::VersionExists { kind: kind.kind.singular.clone(), id: existing.id, version: existing.version })
}

/// What lists and searches know of a version.
pub(super) fn shown(kind: &Kind, submission: &Value) -> Shown {
    let text = |field: &str| submission.get(field).and_then(Value::as_str).map(str::to_owned);
    Shown {
        name: text("name").unwrap_or_default(),
        description: text("description"),
        tags: submission.get("tags").map_or_else(|| "[]".to_owned(), Value::to_string),
        category: kind.fields.contains_key(CATEGORY).then(|| text(CATEGORY)).flatten(),
        text: EntryText::of(kind, submission),
    }
}

/// What the plugins looked up for a version of the entry and found, but for the entry itself.
pub(super) fn references_of((kind, id): (&KindName, &EntryId), lookups: &[LookupRecord]) -> Vec<Reference> {
    let mut found: BTreeMap<(EntryName, Option<VersionName>), BTreeSet<&str>> = BTreeMap::new();
    for LookupRecord { plugin, lookup } in lookups.iter().filter(|record| record.lookup.found.is_some()) {
        let (Ok(to_kind), Ok(to_id)) = (lookup.kind.parse(), lookup.id.parse()) else { continue };
        let to = EntryName { kind: to_kind, id: to_id };
        if to.kind == *kind && to.id == *id {
            continue;
        }
        let version = lookup.version.as_deref().and_then(|version| version.parse().ok());
        found.entry((to, version)).or_default().insert(plugin);
    }
    let reference = |((to, version), bindings): (_, BTreeSet<&str>)| Reference {
        to,
        version,
        bindings: bindings.into_iter().map(str::to_owned).collect(),
    };
    found.into_iter().map(reference).collect()
}

fn published_event(actor: &Actor, version: &VersionRow) -> NewEvent {
    NewEvent {
        id: new_id(version.published_at),
        what: "entry.published".to_owned(),
        kind: version.kind.clone(),
        entry: version.id.clone(),
        body: json!({
            "version": version.version,
            "digest": version.digest,
            "decision": version.decision,
            "actor": actor.name,
            "at": version.published_at,
        })
        .to_string(),
        created_at: version.published_at,
    }
}

/// What a decision tells beside the record of the run.
pub(super) struct Beside {
    /// Reading the submission.
    pub(super) read: Timing,
    /// What shadows would have said.
    pub(super) shadows: Vec<ShadowRecord>,
}

pub(super) fn decide(record: &Record, bench: &Bench, outcome: Outcome, beside: Beside) -> Decision {
    let mut timings = record.timings.clone();
    timings.insert(0, beside.read);
    Decision {
        id: new_id(bench.at).parse().expect("a new id is a decision id"),
        kind: record.kind.kind.name.clone(),
        entry: record.id.clone(),
        version: record.version.clone(),
        publisher: bench.publisher.clone(),
        submitted_at: bench.at.0,
        outcome,
        submitted_digest: record.submitted_digest.clone(),
        digest: record.canonical.as_ref().map(|(_, digest)| digest.clone()),
        releases: record.releases().to_vec(),
        findings: record.findings.clone(),
        failures: record.failures.clone(),
        placeholders: record.placeholders.clone(),
        substituted: record
            .document
            .iter()
            .flat_map(|document| document.substituted.iter().map(SubstitutionRecord::from))
            .collect(),
        lookups: record.lookups.clone(),
        timings,
        shadows: beside.shadows,
        observing: ObservingRecord::all(record, outcome),
    }
}

pub(super) fn decision_row(decision: &Decision, submission: Option<String>, at: Millis) -> DecisionRow {
    DecisionRow {
        id: decision.id.clone(),
        kind: decision.kind.clone(),
        entry: decision.entry.clone(),
        version: decision.version.clone(),
        outcome: decision.outcome.as_str().to_owned(),
        submission,
        body: serde_json::to_string(decision).expect("a decision is plain data"),
        created_at: at,
    }
}

fn semver_is_higher(one: &str, other: &str) -> bool {
    match (semver::Version::parse(one), semver::Version::parse(other)) {
        // Build metadata does not order versions (semver.org 2.0.0, 10).
        (Ok(one), Ok(other)) => one.cmp_precedence(&other).is_gt(),
        _ => true,
    }
}

fn later_is_higher(_: &str, _: &str) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_versions_by_precedence() {
        assert!(semver_is_higher("1.10.0", "1.9.0"));
        assert!(!semver_is_higher("1.0.0-rc.1", "1.0.0"));
        assert!(!semver_is_higher("1.0.0+b", "1.0.0+a"));
    }
}
