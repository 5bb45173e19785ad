//! Webhooks: whom events are sent to, what is sent, and how often it is tried. Sending itself is `announce`'s; this room
//! says what to send now and keeps what came of it.

pub mod address;
pub mod secret;
mod sending;

use std::net::IpAddr;

use serde_json::json;
use url::{Host, Url};

use self::address::{Addresses, kind_of};
use self::secret::{Secret, WebhookKey};
use super::audit::AuditRecord;
use super::events::{EventFilter, type_of};
use super::publish::{not_found, sane_id};
use super::store::{DeliveryRow, DeliveryState, Page, WebhookRow};
use super::{Actor, Registry, RegistryError};
use crate::clock::{Instant, Millis, new_id, random_bytes};
use crate::names::hex;

pub use sending::{Outcome, Sending};

/// Bytes of an address.
const URL_MAX_BYTES: usize = 2_048;

/// Types, and kinds, of one webhook.
const FILTER_WORDS_MAX: usize = 100;

/// Milliseconds for which a secret that was replaced may sign on, at most.
const OVERLAP_MAX_MS: u64 = 7 * 24 * 60 * 60 * 1_000;

/// Who disables a webhook whose receiver does not take what it is sent.
const HOST: &str = "serve";

/// How a host sends to webhooks.
#[derive(Debug)]
pub struct WebhookSettings {
    /// What secrets are made from; hosts that share a database share it.
    pub key: WebhookKey,
    /// Which addresses may be sent to.
    pub addresses: Addresses,
}

/// What a webhook is made with.
#[derive(Debug, Clone, Default)]
pub struct WebhookWanted {
    /// Where events are sent.
    pub url: String,
    /// Types, as CloudEvents name them; nothing for everything.
    pub types: Vec<String>,
    /// Kinds; nothing for all events.
    pub kinds: Vec<String>,
}

/// A webhook with its secret, which nobody can be shown again.
#[derive(Debug, Clone)]
pub struct MadeWebhook {
    /// Its row.
    pub row: WebhookRow,
    /// What its receiver checks signatures with.
    pub secret: Secret,
}

impl AuditRecord {
    /// A webhook that was made.
    pub fn webhook_added(webhook: &WebhookRow) -> Self {
        let types: Vec<String> = webhook.types.iter().map(|what| type_of(what)).collect();
        let body = json!({"url": shown(&webhook.url), "types": types, "kinds": webhook.kinds});
        Self::of_webhook("webhook.added", &webhook.created_by, &webhook.id, body, webhook.created_at)
    }

    /// A webhook that was removed, with what was sent to it.
    pub fn webhook_removed(actor: &str, id: &str, at: Millis) -> Self {
        Self::of_webhook("webhook.removed", actor, id, json!({}), at)
    }

    /// A webhook that has a new secret.
    pub fn webhook_rotated(actor: &str, webhook: &WebhookRow, at: Millis) -> Self {
        let until = webhook.previous.as_ref().map(|(_, until)| Instant(*until));
        Self::of_webhook("webhook.rotated", actor, &webhook.id, json!({"previousUntil": until}), at)
    }

    /// A webhook that is sent to again.
    pub fn webhook_enabled(actor: &str, id: &str, at: Millis) -> Self {
        Self::of_webhook("webhook.enabled", actor, id, json!({}), at)
    }

    /// A webhook that is sent nothing more until it is enabled.
    pub fn webhook_disabled(id: &str, reason: &str, at: Millis) -> Self {
        Self::of_webhook("webhook.disabled", HOST, id, json!({"reason": reason}), at)
    }

    fn of_webhook(what: &'static str, actor: &str, id: &str, body: serde_json::Value, at: Millis) -> Self {
        Self::new(what, actor, format!("webhooks/{id}"), body, at)
    }
}

/// The address without its query: some receivers take a secret there.
fn shown(url: &str) -> &str {
    url.split('?').next().unwrap_or_default()
}

impl Registry {
    /// Gives the registry what it needs for webhooks; the first that is given stays.
    pub fn send_webhooks_with(&self, settings: WebhookSettings) {
        let _ = self.webhook_settings.set(settings);
    }

    pub(super) fn webhook_settings(&self) -> Result<&WebhookSettings, RegistryError> {
        self.webhook_settings.get().ok_or_else(|| RegistryError::BadChange("this host sends no webhooks".to_owned()))
    }

    /// Makes a webhook: it is sent what happens from now on.
    ///
    /// # Errors
    /// `BadChange`, `Store`.
    pub async fn add_webhook(
        &self,
        actor: &Actor,
        wanted: &WebhookWanted,
        now: Millis,
    ) -> Result<MadeWebhook, RegistryError> {
        let settings = self.webhook_settings()?;
        let url = parse_url(&wanted.url, settings.addresses).map_err(RegistryError::BadChange)?;
        if wanted.types.len() > FILTER_WORDS_MAX || wanted.kinds.len() > FILTER_WORDS_MAX {
            let what = format!("a webhook has at most {FILTER_WORDS_MAX} types and as many kinds");
            return Err(RegistryError::BadChange(what));
        }
        let filter = EventFilter::new(&wanted.types, &wanted.kinds).map_err(RegistryError::BadChange)?;
        let (types, kinds) = filter.into_parts();
        let row = WebhookRow {
            id: new_id(now),
            url: url.to_string(),
            types,
            kinds,
            key_id: settings.key.id(),
            salt: new_salt(),
            previous: None,
            failures: 0,
            disabled: None,
            created_by: actor.name.clone(),
            created_at: now,
        };
        let most = self.limits.webhooks_max;
        if !self.store.insert_webhook(&actor.tenant, &row, most).await? {
            let what = format!("there are {most} webhooks already (webhooks_max): remove one first");
            return Err(RegistryError::BadChange(what));
        }
        let secret = settings.key.secret(&actor.tenant, &row.id, &row.salt);
        Ok(MadeWebhook { row, secret })
    }

    /// Webhooks, newest first, before an id.
    ///
    /// # Errors
    /// `Store`.
    pub async fn webhooks(
        &self,
        actor: &Actor,
        before: Option<&str>,
        limit: u32,
    ) -> Result<Page<WebhookRow>, RegistryError> {
        Ok(self.store.webhooks(&actor.tenant, before, limit).await?)
    }

    /// One webhook.
    ///
    /// # Errors
    /// `NotFound`, `Store`.
    pub async fn webhook(&self, actor: &Actor, id: &str) -> Result<WebhookRow, RegistryError> {
        sane_id("webhook", id)?;
        self.store.webhook(&actor.tenant, id).await?.ok_or_else(|| not_found("webhook", id))
    }

    /// Removes a webhook with the log of what was sent to it; gives it as it was.
    ///
    /// # Errors
    /// `NotFound`, `Store`.
    pub async fn remove_webhook(&self, actor: &Actor, id: &str, now: Millis) -> Result<WebhookRow, RegistryError> {
        let row = self.webhook(actor, id).await?;
        match self.store.remove_webhook(&actor.tenant, id, &actor.name, now).await? {
            true => Ok(row),
            false => Err(not_found("webhook", id)),
        }
    }

    /// Gives a webhook another secret. The one before signs too, for so many milliseconds; one that was replaced
    /// earlier does not any more.
    ///
    /// # Errors
    /// `NotFound`, `BadChange`, `Store`.
    pub async fn rotate_webhook(
        &self,
        actor: &Actor,
        id: &str,
        overlap_ms: Option<u64>,
        now: Millis,
    ) -> Result<MadeWebhook, RegistryError> {
        let settings = self.webhook_settings()?;
        let overlap_ms = overlap_ms.unwrap_or(self.limits.webhook_overlap_ms);
        if overlap_ms > OVERLAP_MAX_MS {
            let what = "the secret before may sign for seven days more at most: name a shorter overlap";
            return Err(RegistryError::BadChange(what.to_owned()));
        }
        let before = self.webhook(actor, id).await?;
        let until = Millis(now.0.saturating_add(i64::try_from(overlap_ms).unwrap_or(i64::MAX)));
        // What another key made cannot be made here.
        let is_own = before.key_id == settings.key.id();
        let previous = (overlap_ms > 0 && is_own).then(|| (before.salt.clone(), until));
        let row = WebhookRow { key_id: settings.key.id(), salt: new_salt(), previous, ..before };
        if !self.store.rotate_webhook(&actor.tenant, &row, &actor.name, now).await? {
            return Err(not_found("webhook", id));
        }
        let secret = settings.key.secret(&actor.tenant, &row.id, &row.salt);
        Ok(MadeWebhook { row, secret })
    }

    /// Sends to a webhook again, what waits first; one that is not disabled stays as it is.
    ///
    /// # Errors
    /// `NotFound`, `Store`.
    pub async fn enable_webhook(&self, actor: &Actor, id: &str, now: Millis) -> Result<WebhookRow, RegistryError> {
        sane_id("webhook", id)?;
        self.store.enable_webhook(&actor.tenant, id, &actor.name, now).await?;
        self.placed.send_replace(());
        self.webhook(actor, id).await
    }

    /// What was sent to a webhook, and what waits, newest first, before an id.
    ///
    /// # Errors
    /// `NotFound`, `Store`.
    pub async fn deliveries(
        &self,
        actor: &Actor,
        webhook: &str,
        before: Option<&str>,
        limit: u32,
    ) -> Result<Page<DeliveryRow>, RegistryError> {
        let webhook = self.webhook(actor, webhook).await?;
        Ok(self.store.deliveries(&actor.tenant, &webhook.id, before, limit).await?)
    }

    /// Sends the event of a delivery once more, under its old id, beside all else.
    ///
    /// # Errors
    /// `NotFound`; `BadChange` where it waits still, or the webhook is disabled; `Store`.
    pub async fn replay_delivery(
        &self,
        actor: &Actor,
        webhook: &str,
        id: &str,
        now: Millis,
    ) -> Result<DeliveryRow, RegistryError> {
        let webhook = self.webhook(actor, webhook).await?;
        sane_id("delivery", id)?;
        let missing = || not_found("delivery", id);
        let before = self.store.delivery(&actor.tenant, &webhook.id, id).await?.ok_or_else(missing)?;
        if before.state == DeliveryState::Waiting {
            let what = "the delivery waits to be sent: there is nothing to repeat yet";
            return Err(RegistryError::BadChange(what.to_owned()));
        }
        if let Some((at, reason)) = &webhook.disabled {
            let what = format!(
                "the webhook was disabled at {} ({reason}): enable it first, as with `hallmark webhook enable {}`",
                Instant(*at),
                webhook.id
            );
            return Err(RegistryError::BadChange(what));
        }
        let again = DeliveryRow {
            id: new_id(now),
            state: DeliveryState::Waiting,
            attempts: Vec::new(),
            next_at: now,
            created_at: now,
            finished_at: None,
            replay_of: Some(before.id.clone()),
            ..before
        };
        self.store.insert_replay(&actor.tenant, &again).await?;
        self.placed.send_replace(());
        Ok(again)
    }
}

fn new_salt() -> String {
    hex(&random_bytes::<16>())
}

/// The address of a webhook, where it is one that may be sent to as far as it tells by itself.
fn parse_url(text: &str, addresses: Addresses) -> Result<Url, String> {
    if text.len() > URL_MAX_BYTES {
        return Err(format!("the url has more than {URL_MAX_BYTES} bytes"));
    }
    let url = Url::parse(text).map_err(|error| format!("the url cannot be read: {error}"))?;
    match (url.scheme(), addresses) {
        ("https", _) | ("http", Addresses::Any) => {}
        ("http", Addresses::Public) => return Err("the url is http: events are sent over https alone".to_owned()),
        (scheme, _) => return Err(format!("the url is {scheme}: events are sent over https")),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("the url holds a name or a password: leave them out, signatures say who sends".to_owned());
    }
    if url.fragment().is_some() {
        return Err("the url has a fragment ('#…'), which is never sent: leave it out".to_owned());
    }
    let literal: Option<IpAddr> = match url.host() {
        Some(Host::Ipv4(address)) => Some(address.into()),
        Some(Host::Ipv6(address)) => Some(address.into()),
        Some(Host::Domain(_)) => None,
        None => return Err("the url names no host".to_owned()),
    };
    match literal.and_then(kind_of).filter(|_| addresses == Addresses::Public) {
        Some(kind) => Err(address::refusal(literal.map(|it| it.to_string()).unwrap_or_default(), kind)),
        None => Ok(url),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_that_may_be_sent_to_are_taken() {
        let told = |text: &str| parse_url(text, Addresses::Public).map(String::from);
        assert_eq!(told("https://example.com/hook?a=b"), Ok("https://example.com/hook?a=b".to_owned()));
        assert_eq!(told("https://example.com:8443"), Ok("https://example.com:8443/".to_owned()));
        for (text, why) in [
            ("http://example.com/", "the url is http: events are sent over https alone"),
            ("ftp://example.com/", "the url is ftp: events are sent over https"),
            ("example", "the url cannot be read: relative URL without a base"),
            (
                "https://ada:secret@example.com/",
                "the url holds a name or a password: leave them out, signatures say who sends",
            ),
            ("https://example.com/#a", "the url has a fragment ('#…'), which is never sent: leave it out"),
            (
                "https://127.0.0.1/",
                "127.0.0.1 is a loopback address: webhooks are sent to public addresses \
                 (serve --allow-private-webhooks lets them be sent to any)",
            ),
            (
                "https://[::ffff:10.0.0.1]/",
                "::ffff:10.0.0.1 is a private address: webhooks are sent to public addresses \
                 (serve --allow-private-webhooks lets them be sent to any)",
            ),
            // As browsers read it: a number is an address.
            (
                "https://2130706433/",
                "127.0.0.1 is a loopback address: webhooks are sent to public addresses \
                 (serve --allow-private-webhooks lets them be sent to any)",
            ),
        ] {
            assert_eq!(told(text), Err(why.to_owned()), "{text}");
        }
        assert!(parse_url("http://127.0.0.1:9/", Addresses::Any).is_ok());
        let long = format!("https://example.com/{}", "a".repeat(URL_MAX_BYTES));
        assert_eq!(told(&long), Err("the url has more than 2048 bytes".to_owned()));
    }
}
