//! One publish, from bytes to a committed version. What is written of it is in `committing`; what else changes entries in
//! `life`.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use serde_json::Value;

use super::committing::{Beside, decide, decision_row, existing_answer};
use super::decode::{self, Format};
use super::events::failures;
use super::facts::StoreFacts;
pub use super::gate::Approved;
use super::gate::{self, Bench, BrokenBinding, Judgement, Record};
use super::release::{ReleaseRef, Versioning};
use super::rules::LoadedKind;
use super::shadow::{LoadedShadow, observations};
use super::store::{DecisionRow, EntryStatus, Expected, Observation, VersionRow};
use super::submission::Submission;
use super::{Actor, Decision, NotJudged, Outcome, Published, Registry, RegistryError, Report, SubstitutionRecord};
use crate::clock::Millis;
use crate::names::{DecisionId, Digest, EntryId, KindName, Scope, VersionName};
use crate::plugin::Cause;
use crate::report::{Substitution, Timing};

/// How often a submission is judged again because the rules moved before its commit.
const TRIES_MAX: u32 = 8;

/// How something is published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishWanted {
    /// The status of an entry that is new: `Draft`, which no other entry then is published to as, or `Active`.
    pub status: EntryStatus,
    /// What the entry must be.
    pub expected: Expected,
}

impl Default for PublishWanted {
    fn default() -> Self {
        Self { status: EntryStatus::Active, expected: Expected::Anything }
    }
}

impl Registry {
    /// Judges a submission and stores it.
    ///
    /// # Errors
    /// `Malformed`, `TooLarge`, `NoKind`, `Unidentified`: it cannot be read. `Rejected`, `VersionExists`,
    /// `EntryDisabled`: it can be mended. `PluginFailed`, `Busy`, `NotReady`, `RulesKeptMoving`, `Store`: it can be tried again.
    pub async fn publish(
        self: &Arc<Self>,
        actor: &Actor,
        kind: &str,
        body: Bytes,
        format: Format,
    ) -> Result<Published, RegistryError> {
        self.publish_as(actor, kind, (body, format), PublishWanted::default()).await
    }

    /// The same, of an entry that begins as a draft or must be something, where that is said.
    ///
    /// # Errors
    /// As `publish`; `BadChange` where a draft is said of an entry that is none; `EntryChanged`, `EntryPresence` where the
    /// entry is not what it must be.
    pub async fn publish_as(
        self: &Arc<Self>,
        actor: &Actor,
        kind: &str,
        (body, format): (Bytes, Format),
        wanted: PublishWanted,
    ) -> Result<Published, RegistryError> {
        for _ in 0..TRIES_MAX {
            let (rules, kind) = self.kind_to_judge_by(kind).await?;
            let bench = self.bench(actor);
            let shadows = self.shadows_beside(&rules, &kind);
            let (judgement, beside) = match self.judge(actor, &kind, &bench, body.clone(), format, shadows).await {
                Err(RegistryError::Unidentified { .. } | RegistryError::OutOfReach { .. })
                    if !self.is_in_force(&kind).await? =>
                {
                    self.refresh_rules().await?;
                    continue;
                }
                judged => judged?,
            };
            match judgement {
                Judgement::Approved(approved) => {
                    // Where the registry counts versions, no version's name tells a repetition: it must be looked for.
                    if counted(&kind)
                        && let Some(repeated) = self.published_already(actor, &Sent::by(approved.record())).await?
                    {
                        return repeated;
                    }
                    if let Some(published) = self.commit(actor, &bench, approved, (beside, &wanted)).await? {
                        return Ok(published);
                    }
                    self.refresh_rules().await?;
                }
                // Nobody is refused by rules that were retired meanwhile: only here is that asked, so that a publish
                // that succeeds, and whose commit asks it, does not pay for it.
                Judgement::Rejected(record) if self.is_in_force(&record.kind).await? => {
                    return self.refuse(actor, &bench, *record, None, beside).await;
                }
                Judgement::Failed(record, broken) if self.is_in_force(&record.kind).await? => {
                    return self.refuse(actor, &bench, *record, Some(broken), beside).await;
                }
                Judgement::Rejected(_) | Judgement::Failed(..) => {
                    self.refresh_rules().await?;
                }
            }
        }
        Err(RegistryError::RulesKeptMoving { tries: TRIES_MAX })
    }

    /// True where the releases that judge the kind, and what lets findings pass, are those that are active now.
    async fn is_in_force(&self, kind: &LoadedKind) -> Result<bool, RegistryError> {
        let stamp = self.store.rules_stamp(&self.tenant).await?;
        let judges = |release: &&ReleaseRef| {
            release.scope == Scope::Policies || kind.releases.iter().any(|judged| judged.scope == release.scope)
        };
        let mut judged = kind.releases.clone();
        judged.sort();
        Ok(stamp.exemptions == kind.exemptions.number && stamp.releases.iter().filter(judges).eq(&judged))
    }

    /// Judges a submission and writes nothing.
    ///
    /// # Errors
    /// As `publish`, but a rejection is an answer here and an existing version is none.
    pub async fn validate(
        self: &Arc<Self>,
        actor: &Actor,
        kind: &str,
        body: Bytes,
        format: Format,
    ) -> Result<Report, RegistryError> {
        let (_, kind) = self.kind_to_judge_by(kind).await?;
        let bench = self.bench(actor);
        self.sandbox.run(move || report_on(&kind, &bench, &body, format)).await.map_err(busy)?
    }

    fn bench(&self, actor: &Actor) -> Bench {
        Bench {
            tenant: actor.tenant.to_string(),
            publisher: actor.name.clone(),
            at: Millis::now(),
            facts: Arc::new(StoreFacts::new(Arc::clone(&self.store), actor.tenant.clone())),
            limits: Arc::clone(&self.limits),
        }
    }

    /// Reads and judges, in one job: a request changes threads once. The shadows come last, and what becomes of them
    /// changes nothing.
    async fn judge(
        &self,
        actor: &Actor,
        kind: &Arc<LoadedKind>,
        bench: &Bench,
        body: Bytes,
        format: Format,
        shadows: Vec<Arc<LoadedShadow>>,
    ) -> Result<(Judgement, Beside), RegistryError> {
        let (actor, kind, bench) = (actor.clone(), Arc::clone(kind), bench.clone());
        let job = move || {
            let (submission, timing) = read(&kind, &bench, &body, format)?;
            within_reach(&actor, &kind.kind.name, &submission.id)?;
            let judgement = gate::judge(submission, &bench);
            let again =
                |kind: &Arc<LoadedKind>| read(kind, &bench, &body, format).ok().map(|(submission, _)| submission);
            let said = shadows.iter().filter_map(|shadow| shadow.judge(&judgement, &bench, again)).collect();
            Ok((judgement, Beside { read: timing, shadows: said }))
        };
        self.sandbox.run(job).await.map_err(busy)?
    }

    /// The answer to content that is stored already: under its own version's name or, where the registry counts, as
    /// the entry's active version.
    async fn published_already(
        &self,
        actor: &Actor,
        sent: &Sent<'_>,
    ) -> Result<Option<Result<Published, RegistryError>>, RegistryError> {
        let counted = counted(sent.kind);
        let version = (!counted).then_some(sent.version);
        let row = self.store.version(&actor.tenant, &sent.kind.kind.name, sent.id, version).await?;
        let row = row.filter(|row| !counted || row.submitted_digest == *sent.digest);
        Ok(row.map(|existing| existing_answer(sent.kind, sent.digest, existing)))
    }

    /// Answers a submission that was not let in. One that is published already is told so whatever today's rules
    /// say of it; only here is that looked up, so that a publish that succeeds does not pay for it.
    async fn refuse(
        &self,
        actor: &Actor,
        bench: &Bench,
        record: Record,
        broken: Option<Box<BrokenBinding>>,
        beside: Beside,
    ) -> Result<Published, RegistryError> {
        if let Some(repeated) = self.published_already(actor, &Sent::by(&record)).await? {
            return repeated;
        }
        let Some(broken) = broken else {
            let decision = decide(&record, bench, Outcome::Rejected, beside);
            let row = decision_row(&decision, Some(record.sent), bench.at);
            self.keep_refusal(actor, &decision, &row, &observations(&decision)).await?;
            return Err(RegistryError::Rejected { decision: Box::new(decision) });
        };
        // A plugin that was not even started has decided nothing; writing that down would let a flood of requests
        // fill the database.
        if matches!(broken.failure.cause, Cause::Busy { .. } | Cause::Quarantined { .. }) {
            return Err(RegistryError::PluginFailed { broken, decision: None });
        }
        let decision = decide(&record, bench, Outcome::Failed, beside);
        let row = decision_row(&decision, Some(record.sent), bench.at);
        self.keep_refusal(actor, &decision, &row, &[]).await?;
        Err(RegistryError::PluginFailed { broken, decision: Some(Box::new(decision)) })
    }

    /// Writes the decision, what was observed of it and which plugins broke.
    async fn keep_refusal(
        &self,
        actor: &Actor,
        decision: &Decision,
        row: &DecisionRow,
        observed: &[Observation],
    ) -> Result<(), RegistryError> {
        let failed = failures(decision);
        if observed.is_empty() && failed.is_empty() {
            return Ok(self.store.insert_decision(&actor.tenant, row).await?);
        }
        self.store.insert_observed_decision(&actor.tenant, row, observed, &failed).await?;
        if !failed.is_empty() {
            self.committed.notify_one();
        }
        Ok(())
    }

    pub(super) async fn report_on_stored(
        &self,
        actor: &Actor,
        kind: &Arc<LoadedKind>,
        row: &VersionRow,
        stored: Value,
    ) -> Result<Report, NotJudged> {
        let substituted = self.substituted(actor, &row.decision, &stored).await;
        let bench = self.bench(actor);
        let submission = Submission::stored(kind, row.id.clone(), row.version.clone(), stored);
        let judged = self.sandbox.run(move || gate::judge_stored(submission, substituted, &bench)).await;
        match judged {
            Ok(Judgement::Failed(_, broken)) => Err(NotJudged::Broke(broken.failure)),
            Ok(judgement) => Ok(judgement.into_report()),
            Err(busy) => Err(NotJudged::Busy(busy.0)),
        }
    }

    /// Which values of a stored version came from placeholders, as its decision says.
    async fn substituted(&self, actor: &Actor, decision: &DecisionId, stored: &Value) -> Vec<Substitution> {
        let kept = match self.decision(actor, decision.as_str()).await {
            Ok(decision) => decision.substituted,
            Err(error) => {
                tracing::warn!(%error, %decision, "the version's decision cannot be read");
                Vec::new()
            }
        };
        with_values(kept, stored)
    }
}

/// What was substituted, with the values that stand in the stored submission.
pub(super) fn with_values(kept: Vec<SubstitutionRecord>, stored: &Value) -> Vec<Substitution> {
    let with_value = |SubstitutionRecord { path, origins }| {
        let value = stored.pointer(&path)?.clone();
        Some(Substitution { path, value, origins })
    };
    kept.into_iter().filter_map(with_value).collect()
}

/// Makes sure that the caller's token is for this entry.
pub(super) fn within_reach(actor: &Actor, kind: &KindName, id: &EntryId) -> Result<(), RegistryError> {
    if actor.grants.reach(kind, id) {
        return Ok(());
    }
    let (token, reach) = (actor.name.clone(), actor.grants.entries_text());
    Err(RegistryError::OutOfReach { token, reach, kind: kind.clone(), id: id.clone() })
}

fn read(
    kind: &Arc<LoadedKind>,
    bench: &Bench,
    body: &[u8],
    format: Format,
) -> Result<(Submission, Timing), RegistryError> {
    let _span = tracing::info_span!("decode").entered();
    let started = Instant::now();
    let document = decode::decode(body, format, &bench.limits)?;
    let submission = Submission::read(kind, document, &*bench.facts, &bench.limits)
        .map_err(|findings| RegistryError::Unidentified { findings })?;
    let micros = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
    Ok((submission, Timing { stage: "decode".to_owned(), plugin: None, micros }))
}

/// Decodes, judges and tells, on the calling thread: what `validate` does here and on the command line.
///
/// # Errors
/// As `Registry::validate`.
pub fn report_on(kind: &Arc<LoadedKind>, bench: &Bench, body: &[u8], format: Format) -> Result<Report, RegistryError> {
    let (submission, read) = read(kind, bench, body, format)?;
    match gate::judge(submission, bench) {
        Judgement::Failed(_, broken) => Err(RegistryError::PluginFailed { broken, decision: None }),
        judgement => {
            let mut report = judgement.into_report();
            report.timings.insert(0, read);
            Ok(report)
        }
    }
}

/// What tells whether a submission is stored already.
struct Sent<'a> {
    kind: &'a Arc<LoadedKind>,
    id: &'a EntryId,
    version: &'a VersionName,
    digest: &'a Digest,
}

impl<'a> Sent<'a> {
    fn by(record: &'a Record) -> Self {
        let Record { kind, id, version, submitted_digest: digest, .. } = record;
        Self { kind, id, version, digest }
    }
}

fn counted(kind: &LoadedKind) -> bool {
    kind.kind.versioning == Versioning::Auto
}

pub(super) fn parse_stored(text: &str) -> Result<Value, RegistryError> {
    serde_json::from_str(text)
        .map_err(|error| RegistryError::Internal(format!("a stored manifest cannot be read: {error}")))
}

pub(super) fn not_found(what: &'static str, name: &str) -> RegistryError {
    RegistryError::NotFound { what, name: name.chars().take(150).collect() }
}

/// An id that can be nobody's, as one with characters that no database takes, is asked for nowhere.
pub(super) fn sane_id(what: &'static str, id: &str) -> Result<(), RegistryError> {
    if id.chars().any(char::is_control) { Err(not_found(what, id)) } else { Ok(()) }
}

pub(super) fn busy(busy: crate::plugin::Busy) -> RegistryError {
    RegistryError::Busy { what: busy.0 }
}
