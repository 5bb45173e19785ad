//! What a decision attests, for whoever was not there: an in-toto statement (version 1) about what was judged, signed
//! with the host's key. `docs/ATTESTATIONS.md` tells of every field.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::canonical::canonical;
use super::decisions::JudgedBy;
use super::release::ReleaseRef;
use super::signing::{Disbelief, Envelope, PublicKey, SigningKey};
use super::{Actor, Decision, FailureRecord, Outcome, Registry, RegistryError};
use crate::clock::Millis;
use crate::names::{DecisionId, Digest, EntryId, KindName, Scope, Tenant, VersionName};
use crate::report::{Finding, Mode, Stage};

/// What the payload of the envelope is.
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
/// What every statement of in-toto's version 1 calls itself.
pub const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
/// What our predicate is called. Its fields never change under this name.
pub const PREDICATE_TYPE: &str = "urn:hallmark:predicate:decision:v1";

/// Digests by algorithm, in hexadecimal.
pub type DigestSet = BTreeMap<String, String>;

/// An in-toto statement about one decision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Statement {
    /// `STATEMENT_TYPE`.
    #[serde(rename = "_type")]
    pub kind: String,
    /// What was judged.
    pub subject: Vec<Subject>,
    /// `PREDICATE_TYPE`.
    pub predicate_type: String,
    /// What is said of it.
    pub predicate: Predicate,
}

/// What was judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// `agents/weather@1.0.0`.
    pub name: String,
    /// Of the resolved submission where it was let in, else of what was sent.
    pub digest: DigestSet,
}

/// What is said of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Predicate {
    /// The decision.
    pub decision: DecisionId,
    /// Whose registry.
    pub tenant: Tenant,
    /// The kind.
    pub kind: KindName,
    /// The entry.
    pub entry: EntryId,
    /// The version.
    pub version: VersionName,
    /// How it ended.
    pub outcome: Outcome,
    /// RFC 3339, in UTC.
    pub submitted_at: String,
    /// Who published.
    pub publisher: String,
    /// Of what was sent.
    pub submitted_digest: DigestSet,
    /// Of the resolved submission; none where the run ended before it.
    pub resolved_digest: Option<DigestSet>,
    /// The releases that judged.
    pub releases: Vec<Release>,
    /// The plugins that they bind for the kind.
    pub plugins: Vec<BoundPlugin>,
    /// Everything that was said.
    pub findings: Vec<Finding>,
    /// The plugins that broke.
    pub failures: Vec<FailureRecord>,
}

/// A release that judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// Its scope.
    pub scope: Scope,
    /// Its number.
    pub number: i64,
    /// Of its rules.
    pub digest: DigestSet,
}

/// A plugin that a release binds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoundPlugin {
    /// The binding.
    pub binding: String,
    /// Its stage.
    pub stage: Stage,
    /// Whether it decides.
    pub mode: Mode,
    /// Of the component.
    pub digest: DigestSet,
    /// The release: `module:agents#3`.
    pub release: String,
}

/// Why a payload is no statement of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoStatement {
    /// The envelope is not believed.
    #[error(transparent)]
    Disbelieved(#[from] Disbelief),
    /// It carries something else.
    #[error("its payload is '{0}', not {PAYLOAD_TYPE}")]
    PayloadType(String),
    /// It is a statement of another kind.
    #[error("it states '{0}', not {PREDICATE_TYPE}")]
    PredicateType(String),
    /// It cannot be read.
    #[error("its payload is no in-toto statement: {0}")]
    Payload(String),
}

impl Registry {
    /// Gives the key that statements are signed with; a registry has one, and the first stays.
    pub fn sign_with(&self, key: SigningKey) {
        let _ = self.signing_key.set(key);
    }

    /// The public part of the key that statements are signed with.
    ///
    /// # Errors
    /// `Internal` where the registry has none.
    pub fn public_key(&self) -> Result<PublicKey, RegistryError> {
        self.signing_key().map(SigningKey::public)
    }

    /// A decision as a signed statement. The same decision gives the same bytes on every host that has the key.
    ///
    /// # Errors
    /// `NotFound`, `Store`, `Internal`.
    pub async fn statement(&self, actor: &Actor, id: &str) -> Result<Envelope, RegistryError> {
        let key = self.signing_key()?;
        let decision = self.decision(actor, id).await?;
        let releases = self.judged_by(actor, &decision).await?;
        let statement = serde_json::to_value(Statement::of(decision, &actor.tenant, &releases))
            .map_err(|error| RegistryError::Internal(format!("a statement cannot be written: {error}")))?;
        Ok(key.seal(PAYLOAD_TYPE, canonical(&statement).as_bytes()))
    }

    fn signing_key(&self) -> Result<&SigningKey, RegistryError> {
        self.signing_key.get().ok_or_else(|| RegistryError::Internal("the host has no signing key".to_owned()))
    }
}

impl Statement {
    fn of(decision: Decision, tenant: &Tenant, releases: &[JudgedBy]) -> Self {
        let approved = decision.digest.as_ref().filter(|_| decision.outcome == Outcome::Approved);
        let subject = Subject {
            name: format!("{}/{}@{}", decision.kind, decision.entry, decision.version),
            digest: digest_set(approved.unwrap_or(&decision.submitted_digest)),
        };
        Self {
            kind: STATEMENT_TYPE.to_owned(),
            subject: vec![subject],
            predicate_type: PREDICATE_TYPE.to_owned(),
            predicate: Predicate {
                submitted_at: Millis(decision.submitted_at).rfc3339(),
                submitted_digest: digest_set(&decision.submitted_digest),
                resolved_digest: decision.digest.as_ref().map(digest_set),
                releases: decision.releases.iter().map(release).collect(),
                plugins: plugins(releases, &decision.kind),
                decision: decision.id,
                tenant: tenant.clone(),
                kind: decision.kind,
                entry: decision.entry,
                version: decision.version,
                outcome: decision.outcome,
                publisher: decision.publisher,
                findings: decision.findings,
                failures: decision.failures,
            },
        }
    }

    /// Opens an envelope and reads what it states.
    ///
    /// # Errors
    /// Why nothing in it is believed.
    pub fn verified(envelope: &Envelope, key: &PublicKey) -> Result<Self, NoStatement> {
        let payload = envelope.open(key)?;
        let short = |text: &str| text.chars().take(120).collect();
        if envelope.payload_type != PAYLOAD_TYPE {
            return Err(NoStatement::PayloadType(short(&envelope.payload_type)));
        }
        let unread = |error: serde_json::Error| NoStatement::Payload(error.to_string());
        let value: serde_json::Value = serde_json::from_slice(&payload).map_err(unread)?;
        if value["_type"] != STATEMENT_TYPE {
            return Err(NoStatement::Payload(format!("its _type is not {STATEMENT_TYPE}")));
        }
        match value["predicateType"].as_str() {
            Some(PREDICATE_TYPE) => serde_json::from_value(value).map_err(unread),
            other => Err(NoStatement::PredicateType(short(other.unwrap_or_default()))),
        }
    }
}

fn digest_set(digest: &Digest) -> DigestSet {
    BTreeMap::from([("sha256".to_owned(), digest.hex().to_owned())])
}

fn release(release: &ReleaseRef) -> Release {
    Release { scope: release.scope.clone(), number: release.number, digest: digest_set(&release.digest) }
}

fn plugins(releases: &[JudgedBy], kind: &KindName) -> Vec<BoundPlugin> {
    let bound = |(release, rules): &JudgedBy| {
        let release = format!("{}#{}", release.scope, release.number);
        let of_kind = rules.bindings.iter().filter(|binding| binding.kinds.is_empty() || binding.kinds.contains(kind));
        let plugin = |binding: &super::release::Binding| BoundPlugin {
            binding: binding.name.clone(),
            stage: binding.stage,
            mode: binding.mode,
            digest: digest_set(&binding.plugin),
            release: release.clone(),
        };
        of_kind.map(plugin).collect::<Vec<_>>()
    };
    releases.iter().flat_map(bound).collect()
}
