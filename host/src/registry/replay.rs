//! Running a decision again: the same gate over what was sent, by the very releases that judged, with the answers that
//! the registry gave then. It writes nothing, and takes neither a gate thread nor a plugin's turn from a publish.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::runtime::Handle;

use super::canonical::canonical;
use super::committing::{Beside, decide};
use super::exemptions::Exemptions;
use super::gate::{self, Bench, Judgement};
use super::releasing::{components, off_path};
use super::rules::RulesInForce;
use super::store::Store;
use super::submission::Submission;
use super::{Actor, Decision, LookupRecord, Outcome, Registry, RegistryError};
use crate::clock::Millis;
use crate::names::{DecisionId, Tenant};
use crate::plugin::{Facts, FactsError, Summary};
use crate::report::{Remark, Stage, Timing};

/// What came of it.
#[derive(Debug, Clone, PartialEq)]
pub enum Replay {
    /// The same, byte for byte, but for its id and the times it took.
    Same,
    /// Not the same.
    Different {
        /// The record, without its id and times.
        recorded: Value,
        /// What came now.
        replayed: Value,
    },
    /// It cannot be told.
    Impossible {
        /// Why, and what can be done.
        reason: String,
    },
}

impl Registry {
    /// Runs a decision again and compares.
    ///
    /// # Errors
    /// `NotFound`; `Busy` where as many run as may; `Unfit`, `Store`, `Blobs` where the releases cannot be loaded.
    pub async fn replay(self: &Arc<Self>, actor: &Actor, id: &str) -> Result<(DecisionId, Replay), RegistryError> {
        let permit = Arc::clone(&self.replays).try_acquire_owned().map_err(|_| {
            let limit = self.limits.replays_in_flight_max;
            RegistryError::Busy { what: format!("it runs other decisions again (replays_in_flight_max = {limit})") }
        })?;
        let (decision, sent) = self.decision_and_sent(actor, id).await?;
        let id = decision.id.clone();
        if let Some(reason) = hindrance(&decision, sent.as_deref()) {
            return Ok((id, Replay::Impossible { reason }));
        }
        let releases = self.judged_by(actor, &decision).await?;
        let (registry, tenant, runtime) = (Arc::clone(self), actor.tenant.clone(), Handle::current());
        let run = move || {
            // The right to run goes with the work, which ends though its caller hangs up.
            let _permit = permit;
            let component = components(&registry, &runtime);
            let exemptions = Arc::new(Exemptions::of_decision(&decision));
            let rules = RulesInForce::load_aside(&registry.sandbox, releases, &component, exemptions)?;
            registry.run_again(&rules, &tenant, &runtime, &decision, sent.unwrap_or_default())
        };
        Ok((id, off_path(run).await??))
    }

    fn run_again(
        &self,
        rules: &RulesInForce,
        tenant: &Tenant,
        runtime: &Handle,
        decision: &Decision,
        sent: String,
    ) -> Result<Replay, RegistryError> {
        let kind = rules.kind(decision.kind.as_str())?;
        let facts = Arc::new(RecordedFacts::of(decision, Arc::clone(&self.store), tenant.clone(), runtime.clone()));
        let bench = Bench {
            tenant: tenant.to_string(),
            publisher: decision.publisher.clone(),
            at: Millis(decision.submitted_at),
            facts: Arc::clone(&facts) as Arc<dyn Facts>,
            limits: Arc::clone(&self.limits),
        };
        let (entry, version) = (decision.entry.clone(), decision.version.clone());
        let submission = Submission::kept(kind, entry, version, sent, remarks_of_reading(decision))
            .map_err(|error| RegistryError::Internal(format!("what was sent cannot be read: {error}")))?;
        let judgement = gate::judge(submission, &bench);
        let outcome = match &judgement {
            Judgement::Approved(_) => Outcome::Approved,
            Judgement::Rejected(_) => Outcome::Rejected,
            Judgement::Failed(..) => Outcome::Failed,
        };
        let unknown = facts.unknown();
        if let Some(what) = unknown.first() {
            return Ok(Replay::Impossible { reason: what.clone() });
        }
        let read = Timing { stage: "decode".to_owned(), plugin: None, micros: 0 };
        let replayed = decide(judgement.record(), &bench, outcome, Beside { read, shadows: Vec::new() });
        if let Some(failure) = replayed.failures.iter().find(|failure| failure.passing) {
            let reason = format!("the binding '{}' {} when it was run again: try again", failure.plugin, failure.cause);
            return Ok(Replay::Impossible { reason });
        }
        let (recorded, replayed) = (comparable(decision)?, comparable(&replayed)?);
        if canonical(&recorded) == canonical(&replayed) {
            return Ok(Replay::Same);
        }
        Ok(Replay::Different { recorded, replayed })
    }
}

/// What keeps a decision from being run again.
fn hindrance(decision: &Decision, sent: Option<&str>) -> Option<String> {
    if let Some(failure) = decision.failures.iter().find(|failure| failure.passing) {
        return Some(format!(
            "the binding '{}' {}: that depends on the machine, and another run may end otherwise",
            failure.plugin, failure.cause
        ));
    }
    if sent.is_none() {
        return Some("what was sent was not kept: the decision is of the time before it was".to_owned());
    }
    None
}

/// What was wrong with the request's variables. What was sent for them is not kept, since it may be a secret, so it is
/// taken from the record.
fn remarks_of_reading(decision: &Decision) -> Vec<Remark> {
    let of_reading = decision.findings.iter().filter(|finding| {
        finding.stage == Stage::Schema && finding.plugin.is_none() && finding.remark.code == "schema.variable"
    });
    of_reading.map(|finding| finding.remark.clone()).collect()
}

/// All of a decision that is the same when it is run again.
fn comparable(decision: &Decision) -> Result<Value, RegistryError> {
    let mut value = serde_json::to_value(decision)
        .map_err(|error| RegistryError::Internal(format!("a decision cannot be written: {error}")))?;
    if let Value::Object(members) = &mut value {
        members.remove("id");
        members.remove("timings");
        // Shadows decided nothing, and what they ran beside may be gone.
        members.remove("shadows");
        // What bindings that observe would have changed follows from their findings and failures, which are compared;
        // decisions of the time before it was written down have none.
        members.remove("observing");
    }
    Ok(value)
}

type Question = (String, String, Option<String>);

/// What the registry answered then. The manifests of versions never change, and are read again.
struct RecordedFacts {
    store: Arc<dyn Store>,
    tenant: Tenant,
    runtime: Handle,
    answers: HashMap<Question, Option<Summary>>,
    unknown: Mutex<BTreeSet<String>>,
}

impl RecordedFacts {
    fn of(decision: &Decision, store: Arc<dyn Store>, tenant: Tenant, runtime: Handle) -> Self {
        let mut answers = HashMap::new();
        for LookupRecord { lookup, .. } in &decision.lookups {
            // One judgement gives one answer to one question, whichever binding asks it.
            if lookup.found.is_none() || lookup.answer.is_some() {
                let question = (lookup.kind.clone(), lookup.id.clone(), lookup.version.clone());
                answers.insert(question, lookup.answer.clone());
            }
        }
        Self { store, tenant, runtime, answers, unknown: Mutex::default() }
    }

    fn unknown(&self) -> Vec<String> {
        self.unknown.lock().expect("no holder of this lock panics").iter().cloned().collect()
    }

    fn not_known(&self, what: String) -> FactsError {
        self.unknown.lock().expect("no holder of this lock panics").insert(what.clone());
        FactsError(what.into())
    }

    async fn read(&self, summary: &Summary) -> Option<Arc<str>> {
        let (kind, id) = (summary.kind.parse().ok()?, summary.id.parse().ok()?);
        let version = summary.version.parse().ok()?;
        let row = self.store.version(&self.tenant, &kind, &id, Some(&version)).await.ok()??;
        (row.digest.as_str() == summary.digest).then_some(row.manifest)
    }
}

impl Facts for RecordedFacts {
    fn lookup(&self, kind: &str, id: &str, version: Option<&str>) -> Result<Option<Summary>, FactsError> {
        let question = (kind.to_owned(), id.to_owned(), version.map(str::to_owned));
        self.answers.get(&question).cloned().ok_or_else(|| {
            let version = version.map_or_else(String::new, |version| format!(" {version}"));
            self.not_known(format!(
                "a plugin asks for {kind}/{id}{version}, and the decision does not hold what it was answered"
            ))
        })
    }

    fn manifest(&self, kind: &str, id: &str, version: Option<&str>) -> Result<Option<Arc<str>>, FactsError> {
        let Some(summary) = self.lookup(kind, id, version)? else { return Ok(None) };
        let text = self.runtime.block_on(self.read(&summary));
        text.map(Some).ok_or_else(|| {
            self.not_known(format!("{kind}/{id} {}, which a plugin read, cannot be read again", summary.version))
        })
    }
}
