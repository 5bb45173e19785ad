//! Requests that are run once, however often they are sent: what the Idempotency-Key of
//! draft-ietf-httpapi-idempotency-key-header-07 promises. This room keeps keys and answers; what a request is, http says.

use std::sync::Arc;
use std::time::Duration;

use super::{Actor, Registry, RegistryError};
use crate::clock::{Millis, new_id};
use crate::names::Digest;

/// Milliseconds between two looks for keys whose time is over.
const SWEEP_MS: u64 = 60_000;

/// A request that carries a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyedRequest {
    /// The key.
    pub key: String,
    /// SHA-256 of all that makes the request what it is.
    pub fingerprint: Digest,
}

/// An answer as it is sent again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptAnswer {
    /// The status code.
    pub status: u16,
    /// `Content-Type`.
    pub content_type: String,
    /// `Location`.
    pub location: Option<String>,
    /// `ETag`.
    pub etag: Option<String>,
    /// The body; none where it held a secret, which is kept nowhere.
    pub body: Option<String>,
}

/// One run of a request that carries a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Who asks.
    pub caller: String,
    /// The key.
    pub key: String,
    /// Which run it is.
    pub id: String,
}

/// What is known of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Once {
    /// Nothing: the request is run now.
    Begun(Attempt),
    /// The request was run and answered.
    Answered(KeptAnswer),
    /// The request runs.
    Running,
    /// Another request came with it.
    Other,
}

/// What the store is asked to write down when a request begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begin<'a> {
    /// The run.
    pub attempt: &'a Attempt,
    /// What was sent.
    pub fingerprint: &'a Digest,
    /// Now.
    pub at: Millis,
    /// Until when nobody else runs it.
    pub leased_until: Millis,
    /// Until when it is kept.
    pub expires_at: Millis,
}

impl Registry {
    /// Takes a key for a request, or tells what became of it. Keys are each caller's own.
    ///
    /// # Errors
    /// `Store`.
    pub async fn begin_once(&self, actor: &Actor, request: KeyedRequest, at: Millis) -> Result<Once, RegistryError> {
        let later = |millis: u64| Millis(at.0.saturating_add(i64::try_from(millis).unwrap_or(i64::MAX)));
        let attempt = Attempt { caller: actor.name.clone(), key: request.key, id: new_id(at) };
        let begin = Begin {
            attempt: &attempt,
            fingerprint: &request.fingerprint,
            at,
            leased_until: later(self.limits.idempotency_lease_ms),
            expires_at: later(self.limits.idempotency_kept_ms),
        };
        if self.store.begin_once(&actor.tenant, &begin).await? {
            return Ok(Once::Begun(attempt));
        }
        Ok(match self.store.once(&actor.tenant, &attempt.caller, &attempt.key).await? {
            Some((fingerprint, _)) if fingerprint != request.fingerprint => Once::Other,
            Some((_, Some(answer))) => Once::Answered(answer),
            // Where there is none it was given back in this moment: asking again begins it.
            Some((_, None)) | None => Once::Running,
        })
    }

    /// Keeps the answer.
    ///
    /// # Errors
    /// `Store`.
    pub async fn finish_once(
        &self,
        actor: &Actor,
        attempt: &Attempt,
        answer: &KeptAnswer,
    ) -> Result<(), RegistryError> {
        Ok(self.store.finish_once(&actor.tenant, attempt, answer).await?)
    }

    /// Gives the key back: sent again, the request is run again.
    ///
    /// # Errors
    /// `Store`.
    pub async fn give_back_once(&self, actor: &Actor, attempt: &Attempt) -> Result<(), RegistryError> {
        Ok(self.store.give_back_once(&actor.tenant, attempt).await?)
    }

    /// Forgets keys whose time is over, for as long as the registry is held elsewhere.
    pub async fn sweep_keys(self: Arc<Self>) {
        let swept = Arc::downgrade(&self);
        drop(self);
        loop {
            tokio::time::sleep(Duration::from_millis(SWEEP_MS)).await;
            let Some(registry) = swept.upgrade() else { return };
            if let Err(error) = registry.store.forget_once(&registry.tenant, Millis::now()).await {
                tracing::warn!(error = &error as &dyn std::error::Error, "old idempotency keys stay for now");
            }
        }
    }
}
