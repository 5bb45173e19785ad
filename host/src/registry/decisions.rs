//! Decisions, as they are listed, and what they kept of what was sent.

use serde_json::Value;

use super::publish::{not_found, parse_stored};
use super::release::{ReleaseRef, Rules, Versioning};
use super::releasing::parse_rules;
use super::store::{DecisionFilter, Page};
use super::submission::sent_of_stored;
use super::{Actor, Decision, Outcome, Registry, RegistryError};
use crate::names::{DecisionId, Digest};

/// A release that judged, with its rules.
pub(super) type JudgedBy = (ReleaseRef, Rules);

impl Registry {
    /// Decisions that the filter lets through, newest first, before `before`.
    ///
    /// # Errors
    /// `Store`.
    pub async fn decisions(
        &self,
        actor: &Actor,
        filter: &DecisionFilter,
        before: Option<&DecisionId>,
        limit: u32,
    ) -> Result<Page<Decision>, RegistryError> {
        let page = self.store.decisions(&actor.tenant, filter, before, limit).await?;
        let items = page.items.iter().map(|row| read(&row.body)).collect::<Result<_, _>>()?;
        Ok(Page { items, more: page.more })
    }

    /// A decision with what was sent, secrets masked: canonical JSON of its submission and its variables, whose digest
    /// is `submitted_digest`. None where neither the decision nor a version has kept it.
    ///
    /// # Errors
    /// `NotFound`, `Store`.
    pub(super) async fn decision_and_sent(
        &self,
        actor: &Actor,
        id: &str,
    ) -> Result<(Decision, Option<String>), RegistryError> {
        let missing = || not_found("decision", id);
        let parsed: DecisionId = id.parse().map_err(|_| missing())?;
        let row = self.store.decision(&actor.tenant, &parsed).await?.ok_or_else(missing)?;
        let decision = read(&row.body)?;
        let sent = match row.submission {
            Some(sent) => Some(sent),
            None if decision.outcome == Outcome::Approved => self.stored_as_sent(actor, &decision).await?,
            None => None,
        };
        let sent = sent.filter(|sent| Digest::of(sent.as_bytes()) == decision.submitted_digest);
        Ok((decision, sent))
    }

    /// What was sent, from the version that it became.
    async fn stored_as_sent(&self, actor: &Actor, decision: &Decision) -> Result<Option<String>, RegistryError> {
        let Decision { kind, entry, version, submitted_digest, .. } = decision;
        let row = self.store.version(&actor.tenant, kind, entry, Some(version)).await?;
        let Some(row) = row.filter(|row| row.decision == decision.id) else { return Ok(None) };
        Ok(sent_as_stored(parse_stored(&row.manifest)?, submitted_digest))
    }

    /// The releases that judged, the module's first, with their rules.
    ///
    /// # Errors
    /// `Store`; `Internal` where one is not what it was, which cannot be: releases never change.
    pub(super) async fn judged_by(&self, actor: &Actor, decision: &Decision) -> Result<Vec<JudgedBy>, RegistryError> {
        let mut releases = Vec::with_capacity(decision.releases.len());
        for judged in &decision.releases {
            let row = self.store.release(&actor.tenant, &judged.scope, judged.number).await?;
            let row = row.filter(|row| row.release.digest == judged.digest).ok_or_else(|| {
                let what =
                    format!("release {} of {}, which judged {}, is gone", judged.number, judged.scope, decision.id);
                RegistryError::Internal(what)
            })?;
            releases.push((judged.clone(), parse_rules(&row)?));
        }
        Ok(releases)
    }
}

/// What was sent, from the manifest that is stored; none where that is not what was sent, as the digest says.
pub(super) fn sent_as_stored(stored: Value, submitted: &Digest) -> Option<String> {
    // The digest tells whether the registry had counted the version, too.
    let texts = [Versioning::Any, Versioning::Auto].map(|versioning| sent_of_stored(stored.clone(), versioning));
    texts.into_iter().flatten().find(|text| Digest::of(text.as_bytes()) == *submitted)
}

/// A stored decision's record.
pub(super) fn read(body: &str) -> Result<Decision, RegistryError> {
    serde_json::from_str(body)
        .map_err(|error| RegistryError::Internal(format!("a stored decision cannot be read: {error}")))
}
