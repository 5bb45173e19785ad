//! What one run of the gate found out, as the stages write it down.

use std::sync::Arc;
use std::time::Duration;

use super::{Bench, Way};
use crate::names::{Digest, EntryId, Scope, VersionName};
use crate::plugin::{Document, Evaluated, Failure, Lookup, Subject};
use crate::registry::release::ReleaseRef;
use crate::registry::rules::{LoadedBinding, LoadedKind};
use crate::registry::{FailureRecord, LookupRecord, Report};
use crate::report::{Finding, Mode, Placeholder, Remark, Stage, Timing};

/// Everything that one run found out.
pub struct Record {
    /// The kind.
    pub kind: Arc<LoadedKind>,
    /// The entry.
    pub id: EntryId,
    /// The version.
    pub version: VersionName,
    /// What was sent, as canonical JSON of its submission and its variables, secrets masked; and its digest.
    pub sent: String,
    /// Digest of `sent`.
    pub submitted_digest: Digest,
    /// Whether the request set variables.
    pub has_variables: bool,
    /// Everything that was said.
    pub findings: Vec<Finding>,
    /// The bindings that broke.
    pub failures: Vec<FailureRecord>,
    /// Every placeholder that the resolvers met.
    pub placeholders: Vec<Placeholder>,
    /// What the plugins asked the registry.
    pub lookups: Vec<LookupRecord>,
    /// What each step took.
    pub timings: Vec<Timing>,
    /// The submission with what the resolvers replaced; none where the run ended before it.
    pub document: Option<Arc<Document>>,
    /// Canonical JSON (RFC 8785) of the resolved submission, and its digest.
    pub canonical: Option<(Arc<str>, Digest)>,
    /// The first enforcing binding that broke.
    pub(super) broke: Option<Box<BrokenBinding>>,
    pub(super) way: Way,
}

/// An enforcing binding whose plugin broke: whose it is, which plugin, and how.
#[derive(Debug, Clone)]
pub struct BrokenBinding {
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub stage: Stage,
    /// The scope whose release has it.
    pub scope: Scope,
    /// The plugin's own version.
    pub version: String,
    /// How it broke.
    pub failure: Failure,
}

impl Record {
    pub(super) fn new(kind: Arc<LoadedKind>, id: EntryId, version: VersionName, submitted_digest: Digest) -> Self {
        Self {
            kind,
            id,
            version,
            sent: String::new(),
            submitted_digest,
            has_variables: false,
            findings: Vec::new(),
            failures: Vec::new(),
            placeholders: Vec::new(),
            lookups: Vec::new(),
            timings: Vec::new(),
            document: None,
            canonical: None,
            broke: None,
            way: Way::InTurn,
        }
    }

    /// The releases that judged.
    pub fn releases(&self) -> &[ReleaseRef] {
        &self.kind.releases
    }

    /// What a publisher is told.
    pub(super) fn into_report(self) -> Report {
        let resolved =
            self.document.map(|document| Arc::try_unwrap(document).unwrap_or_else(|shared| (*shared).clone()).value);
        Report {
            valid: self.broke.is_none() && !self.findings.iter().any(Finding::rejects),
            findings: self.findings,
            placeholders: self.placeholders,
            resolved,
            digest: self.canonical.map(|(_, digest)| digest),
            timings: self.timings,
        }
    }

    pub(super) fn rejected(&self) -> bool {
        self.findings.iter().any(Finding::rejects)
    }

    pub(super) fn subject(&self, bench: &Bench) -> Subject {
        Subject {
            tenant: bench.tenant.clone(),
            module: self.kind.module.to_string(),
            kind: self.kind.kind.name.to_string(),
            id: self.id.to_string(),
            version: self.version.to_string(),
            publisher: bench.publisher.clone(),
            submitted_at_ms: bench.at.0,
            document: self.kind.document.clone(),
        }
    }

    pub(super) fn note(&mut self, stage: &str, plugin: Option<&str>, took: Duration) {
        self.timings.push(Timing {
            stage: stage.to_owned(),
            plugin: plugin.map(str::to_owned),
            micros: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
        });
    }

    pub(super) fn say(&mut self, stage: Stage, binding: &LoadedBinding, remarks: Vec<Remark>) {
        self.findings.extend(remarks.into_iter().map(|remark| Finding {
            stage,
            plugin: Some(binding.name.clone()),
            mode: binding.mode,
            remark,
            exemption: None,
        }));
    }

    pub(super) fn asked(&mut self, binding: &LoadedBinding, lookups: Vec<Lookup>) {
        let named = |lookup| LookupRecord { plugin: binding.name.clone(), lookup };
        self.lookups.extend(lookups.into_iter().map(named));
    }

    /// Keeps what an evaluation cost and asked; gives its answer, or keeps how it broke.
    pub(super) fn take<T>(
        &mut self,
        stage: Stage,
        binding: &LoadedBinding,
        ran: Result<Evaluated<T>, Failure>,
    ) -> Option<T> {
        match ran {
            Ok(Evaluated { answer, lookups, elapsed }) => {
                self.asked(binding, lookups);
                self.note(stage.as_str(), Some(&binding.name), elapsed);
                Some(answer)
            }
            Err(failure) => {
                if self.way == Way::InTurn {
                    tracing::warn!(
                        binding = binding.name,
                        mode = ?binding.mode,
                        digest = failure.digest.as_str(),
                        %failure,
                        "a plugin broke"
                    );
                }
                self.failures.push(FailureRecord {
                    plugin: binding.name.clone(),
                    digest: failure.digest.clone(),
                    mode: binding.mode,
                    cause: failure.cause.to_string(),
                    passing: failure.cause.is_passing(),
                });
                self.asked(binding, failure.lookups.clone());
                if binding.mode == Mode::Enforce && self.broke.is_none() {
                    let scope = match stage {
                        Stage::Policy => Scope::Policies,
                        _ => Scope::Module(self.kind.module.clone()),
                    };
                    let (name, version) = (binding.name.clone(), binding.plugin.description().version.clone());
                    self.broke = Some(Box::new(BrokenBinding { name, stage, scope, version, failure }));
                }
                None
            }
        }
    }
}
