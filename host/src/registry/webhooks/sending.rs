//! What is to be sent now, and what is done with what came of it: arrived, tried again later, or given up.

use super::secret::Secret;
use super::{Addresses, Registry, RegistryError};
use crate::clock::{Millis, random_bytes};
use crate::config::Limits;
use crate::registry::events::CloudEvent;
use crate::registry::store::{DeliveryRow, Lease, SendAttempt, Settled, WebhookRow};

/// Milliseconds that a host has beyond a request's own time before another takes its delivery.
const LEASE_BEYOND_MS: u64 = 30_000;

/// Characters of an error that are kept.
const ERROR_MAX_CHARACTERS: usize = 300;

/// The status of a receiver that wants no more, ever (Standard Webhooks, RFC 9110).
const GONE: u16 = 410;

/// A delivery that this host has taken, with everything that is sent.
#[derive(Debug)]
pub struct Sending {
    /// The delivery.
    pub delivery: DeliveryRow,
    /// Where it is sent.
    pub url: String,
    /// The event.
    pub body: String,
    /// Which addresses may be sent to.
    pub addresses: Addresses,
    secrets: Vec<Secret>,
    leased_until: Millis,
}

impl Sending {
    /// The message's id: the event's, each time that it is sent.
    pub fn id(&self) -> &str {
        &self.delivery.event.event.id
    }

    /// The signatures at an instant, one by each secret that holds.
    pub fn signatures(&self, timestamp_s: i64) -> String {
        let signed = self.secrets.iter().map(|secret| secret.sign(self.id(), timestamp_s, &self.body));
        signed.collect::<Vec<_>>().join(" ")
    }
}

/// What came of sending once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// When it began.
    pub at: Millis,
    /// Milliseconds that it took.
    pub took_ms: u64,
    /// The status that the receiver answered, or why there is none.
    pub answer: Result<u16, String>,
}

impl Outcome {
    fn arrived(&self) -> bool {
        matches!(self.answer, Ok(200..=299))
    }

    fn attempt(&self) -> SendAttempt {
        let (status, error) = match &self.answer {
            Ok(status @ 200..=299) => (Some(*status), None),
            Ok(status @ 300..=399) => (Some(*status), Some("redirects are not followed: change the url".to_owned())),
            Ok(status) => (Some(*status), Some("the receiver did not take it".to_owned())),
            Err(why) => (None, Some(why.chars().take(ERROR_MAX_CHARACTERS).collect())),
        };
        SendAttempt { at: self.at, took_ms: self.took_ms, status, error }
    }
}

impl Registry {
    /// Webhooks that something is to be sent to now, of those whose secrets this host can make.
    ///
    /// # Errors
    /// `Store`.
    pub async fn due_webhooks(&self, now: Millis) -> Result<Vec<WebhookRow>, RegistryError> {
        let Some(settings) = self.webhook_settings.get() else { return Ok(Vec::new()) };
        let (due, own) = (self.store.due_webhooks(&self.tenant, now).await?, settings.key.id());
        let (able, unable): (Vec<_>, Vec<_>) = due.into_iter().partition(|webhook| webhook.key_id == own);
        for webhook in unable {
            tracing::warn!(
                webhook = webhook.id,
                "its secret was made from another webhook key: give the hosts of a database the same (--webhook-key), \
                 or rotate it"
            );
        }
        Ok(able)
    }

    /// Takes what is to be sent to a webhook now, at most so much.
    ///
    /// # Errors
    /// `Store`.
    pub async fn take_deliveries(
        &self,
        webhook: &WebhookRow,
        now: Millis,
        limit: u32,
    ) -> Result<Vec<Sending>, RegistryError> {
        let settings = self.webhook_settings()?;
        let lease_ms = self.limits.webhook_timeout_ms.saturating_add(LEASE_BEYOND_MS);
        let until = Millis(now.0.saturating_add(i64::try_from(lease_ms).unwrap_or(i64::MAX)));
        let salts = std::iter::once(&webhook.salt)
            .chain(webhook.previous.as_ref().filter(|(_, until)| now < *until).map(|(salt, _)| salt));
        let secrets: Vec<Secret> = salts.map(|salt| settings.key.secret(&self.tenant, &webhook.id, salt)).collect();
        let lease = Lease { at: now, until };
        let taken = self.store.take_deliveries(&self.tenant, &webhook.id, lease, limit).await?;
        let sending = taken.into_iter().map(|delivery| Sending {
            url: webhook.url.clone(),
            body: CloudEvent::of(&delivery.event).to_json(),
            addresses: settings.addresses,
            secrets: secrets.clone(),
            leased_until: until,
            delivery,
        });
        Ok(sending.collect())
    }

    /// Keeps what came of it; says in a word what that means.
    ///
    /// # Errors
    /// `Store`.
    pub async fn settle_delivery(
        &self,
        sending: &Sending,
        outcome: &Outcome,
        now: Millis,
    ) -> Result<&'static str, RegistryError> {
        let mut delivery = sending.delivery.clone();
        delivery.attempts.push(outcome.attempt());
        let attempts = u32::try_from(delivery.attempts.len()).unwrap_or(u32::MAX);
        let failures_max = i64::from(self.limits.webhook_failures_max.max(1));
        let (settled, word) = if outcome.arrived() {
            (Settled::Delivered, "delivered")
        } else if outcome.answer == Ok(GONE) {
            (Settled::GivenUp { failures_max, gone: Some("the receiver says that it is gone (410)") }, "given-up")
        } else if attempts >= self.limits.webhook_attempts_max {
            (Settled::GivenUp { failures_max, gone: None }, "given-up")
        } else {
            let chance = u64::from_le_bytes(random_bytes::<8>());
            let wait_ms = retry_after_ms(attempts, chance, &self.limits);
            (Settled::Again(Millis(now.0.saturating_add(i64::try_from(wait_ms).unwrap_or(i64::MAX)))), "failed")
        };
        self.store.settle_delivery(&self.tenant, &delivery, sending.leased_until, &settled, now).await?;
        Ok(word)
    }
}

/// Milliseconds until the next try: twice as many after each, up to a bound, of which between half and all by chance, so
/// that what failed together does not come back together.
fn retry_after_ms(attempts: u32, chance: u64, limits: &Limits) -> u64 {
    let doubled = limits.webhook_retry_ms.saturating_mul(1 << attempts.saturating_sub(1).min(32));
    let whole = doubled.min(limits.webhook_retry_max_ms);
    whole / 2 + chance % (whole / 2 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_twice_as_long_each_time_and_never_longer_than_it_may() {
        let limits = Limits { webhook_retry_ms: 1_000, webhook_retry_max_ms: 10_000, ..Limits::default() };
        for (attempts, least, most) in [(1, 500, 1_000), (2, 1_000, 2_000), (4, 4_000, 8_000), (5, 5_000, 10_000)] {
            for chance in [0, 1, 12_345, u64::MAX] {
                let wait = retry_after_ms(attempts, chance, &limits);
                assert!((least..=most).contains(&wait), "{attempts} {chance}: {wait}");
            }
        }
        assert!(retry_after_ms(u32::MAX, 0, &limits) >= 5_000);
        assert_eq!(retry_after_ms(1, u64::MAX, &Limits { webhook_retry_ms: 0, ..limits }), 0);
    }

    #[test]
    fn a_day_goes_by_before_a_delivery_is_given_up() {
        let limits = Limits::default();
        let waits = (1..limits.webhook_attempts_max).map(|attempts| retry_after_ms(attempts, 0, &limits));
        let least_ms: u64 = waits.sum();
        assert!(least_ms > 12 * 60 * 60 * 1_000, "{least_ms}");
        assert!(2 * least_ms < limits.events_kept_ms, "what waits is kept until it is given up");
    }
}
