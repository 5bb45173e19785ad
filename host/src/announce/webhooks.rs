//! Sends what is due to webhooks, so many at once, and has the registry keep what came of it. A receiver's name is looked
//! up for each request, and the request goes to the address that was found and judged: a name that changes its address
//! in between changes nothing. No redirect is followed, no proxy is asked.

use std::collections::HashMap;
use std::future::Future;
use std::io::Read as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use ureq::config::Config;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use ureq::{Agent, http};

use super::chain;
use crate::clock::Millis;
use crate::config::Limits;
use crate::registry::webhooks::address::{Addresses, kind_of, refusal};
use crate::registry::webhooks::{Outcome, Sending};
use crate::registry::{Registry, RegistryError};

/// Sends until `stop` is ready, then waits for what is on its way.
pub async fn deliver(registry: Arc<Registry>, limits: Arc<Limits>, stop: impl Future<Output = ()>) {
    let mut stop = std::pin::pin!(stop);
    let mut placed = registry.placed();
    let poll = Duration::from_millis(limits.event_poll_ms.max(10));
    let mut sends = Sends { registry, limits, on_their_way: JoinSet::new(), each: HashMap::new() };
    loop {
        if let Err(error) = sends.begin().await {
            tracing::warn!(error = %chain(&error), "webhooks wait: what is due cannot be read");
        }
        tokio::select! {
            () = &mut stop => break,
            // What ended may let the next of its lane go.
            Some(ended) = sends.on_their_way.join_next() => sends.end(ended.ok()),
            _ = placed.changed() => {}
            () = tokio::time::sleep(poll) => {}
        }
    }
    while sends.on_their_way.join_next().await.is_some() {}
}

/// What this host sends now.
struct Sends {
    registry: Arc<Registry>,
    limits: Arc<Limits>,
    /// Each gives its webhook.
    on_their_way: JoinSet<String>,
    /// How many are on their way to each webhook.
    each: HashMap<String, u32>,
}

impl Sends {
    /// Takes what is due and sends it, as far as there is room.
    async fn begin(&mut self) -> Result<(), RegistryError> {
        if self.room() == 0 {
            return Ok(());
        }
        for webhook in self.registry.due_webhooks(Millis::now()).await? {
            let on_their_way = self.each.get(&webhook.id).copied().unwrap_or(0);
            let own = self.limits.webhook_sends_each_max.max(1).saturating_sub(on_their_way);
            let limit = own.min(self.room());
            if limit == 0 {
                continue;
            }
            for sending in self.registry.take_deliveries(&webhook, Millis::now(), limit).await? {
                *self.each.entry(webhook.id.clone()).or_default() += 1;
                let (registry, limits) = (Arc::clone(&self.registry), Arc::clone(&self.limits));
                self.on_their_way.spawn(async move { run(&registry, limits, sending).await });
            }
        }
        Ok(())
    }

    fn room(&self) -> u32 {
        let most = self.limits.webhook_sends_max.max(1);
        u32::try_from(most.saturating_sub(self.on_their_way.len())).unwrap_or(u32::MAX)
    }

    fn end(&mut self, webhook: Option<String>) {
        match webhook.and_then(|id| self.each.get_mut(&id)) {
            Some(count) => *count = count.saturating_sub(1),
            // One that panicked does not say whose it was: better too many at once than none ever again.
            None => self.each.clear(),
        }
        self.each.retain(|_, count| *count > 0);
    }
}

async fn run(registry: &Registry, limits: Arc<Limits>, sending: Sending) -> String {
    let webhook = sending.delivery.webhook.clone();
    let sent = tokio::task::spawn_blocking(move || {
        let outcome = send(&sending, &limits);
        (sending, outcome)
    });
    let Ok((sending, outcome)) = sent.await else { return webhook };
    match registry.settle_delivery(&sending, &outcome, Millis::now()).await {
        Ok(word) => {
            metrics::counter!("registry_webhook_sends_total", "outcome" => word).increment(1);
            let (event, delivery) = (sending.id(), &sending.delivery.id);
            tracing::debug!(webhook, delivery, event, outcome = word, took_ms = outcome.took_ms, "sent to a webhook");
        }
        // Its lease runs out, and it is sent again: at least once.
        Err(error) => tracing::warn!(webhook, error = %chain(&error), "what came of a delivery is not kept"),
    }
    webhook
}

fn send(sending: &Sending, limits: &Limits) -> Outcome {
    let (at, begun) = (Millis::now(), Instant::now());
    let answer = post(sending, at, limits);
    let took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    Outcome { at, took_ms, answer }
}

fn post(sending: &Sending, at: Millis, limits: &Limits) -> Result<u16, String> {
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .proxy(None)
        .timeout_global(Some(Duration::from_millis(limits.webhook_timeout_ms.max(1))))
        .user_agent(concat!("hallmark/", env!("CARGO_PKG_VERSION")))
        .build();
    let resolver = Judged { found: DefaultResolver::default(), addresses: sending.addresses };
    let agent = Agent::with_parts(config, DefaultConnector::default(), resolver);
    let timestamp_s = at.0.div_euclid(1_000);
    let request = agent
        .post(&sending.url)
        .header("content-type", "application/cloudevents+json; charset=utf-8")
        .header("webhook-id", sending.id())
        .header("webhook-timestamp", timestamp_s.to_string())
        .header("webhook-signature", sending.signatures(timestamp_s));
    let mut answer = request.send(sending.body.as_bytes()).map_err(|error| why(error, limits))?;
    let status = answer.status().as_u16();
    // Read so that the receiver is not cut off, and no further: what it says beside its status means nothing here.
    let mut body = answer.body_mut().as_reader().take(limits.webhook_answer_max_bytes);
    let _ = std::io::copy(&mut body, &mut std::io::sink());
    Ok(status)
}

/// Why nothing was answered. What lies behind is the receiver's network: no more is told than its owner needs.
fn why(error: ureq::Error, limits: &Limits) -> String {
    match error {
        ureq::Error::Timeout(_) => {
            format!("the receiver took longer than webhook_timeout_ms = {}", limits.webhook_timeout_ms)
        }
        ureq::Error::HostNotFound => "the receiver's name has no address".to_owned(),
        ureq::Error::Io(error) => match error.downcast::<NotPublic>() {
            Ok(refused) => refused.to_string(),
            Err(error) => format!("the receiver cannot be reached: {error}"),
        },
        error => format!("the receiver cannot be reached: {error}"),
    }
}

/// The name leads where nothing is sent to.
#[derive(Debug, thiserror::Error)]
#[error("{}", refusal(self.0.to_string(), self.1))]
struct NotPublic(std::net::IpAddr, &'static str);

/// Looks a name up, and judges every address that is found: the connection goes to one of these and to no other.
#[derive(Debug)]
struct Judged {
    found: DefaultResolver,
    addresses: Addresses,
}

impl Resolver for Judged {
    fn resolve(
        &self,
        uri: &http::Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let found = self.found.resolve(uri, config, timeout)?;
        if self.addresses == Addresses::Public {
            let refused = |address: &SocketAddr| kind_of(address.ip()).map(|kind| NotPublic(address.ip(), kind));
            if let Some(refused) = found.iter().find_map(refused) {
                return Err(ureq::Error::Io(std::io::Error::other(refused)));
            }
        }
        Ok(found)
    }
}
