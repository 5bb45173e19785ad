//! The registry over HTTP. This room reads requests and writes answers; it judges nothing and stores nothing. The
//! routes are in `routes.rs` and nowhere else, the status codes in `error.rs` and nowhere else.

mod address;
mod call;
mod caller;
mod cursor;
mod error;
mod front;
mod health;
mod html;
mod idempotency;
mod intake;
mod journal;
mod page;
mod rates;
mod reply;
mod routes;
mod server;
pub mod tls;
mod view;

mod activation;
mod audit;
mod changes;
mod decisions;
mod entries;
mod events;
mod exemptions;
mod impact;
mod inbox;
mod keys;
mod life;
mod lists;
mod openapi;
mod plugins;
mod publishers;
mod ratings;
mod scopes;
mod session;
mod shadow;
mod tokens;
mod webhooks;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use axum::Router;
use tokio::sync::{Semaphore, watch};

use crate::config::Limits;
use crate::registry::tenants::Tenants;
use crate::registry::{Actor, Registry, RegistryError};
use crate::telemetry::Metrics;

pub use address::{Proxies, ProxyHeader};
pub use openapi::text as description;
pub use server::{serve, stop_signals};
pub use view::ADDED;

/// What every request is served from. It serves before its registry is open, so that a host that is starting can be
/// told from one that is dead.
pub struct Host {
    tenants: OnceLock<Arc<Tenants>>,
    limits: Arc<Limits>,
    metrics: Metrics,
    in_flight: Semaphore,
    changes_in_flight: Semaphore,
    rates: rates::Rates,
    proxies: Proxies,
    /// Streams of events.
    streams: Arc<Semaphore>,
    /// True from when the host takes no more requests: what would never end by itself ends.
    stopping: watch::Sender<bool>,
    health: health::Watch,
    /// True from when requests should be sent elsewhere.
    leaving: AtomicBool,
}

impl Host {
    /// A host that is starting.
    pub fn new(limits: Arc<Limits>, metrics: Metrics) -> Arc<Self> {
        Self::behind(Proxies::default(), limits, metrics)
    }

    /// A host that is starting, behind proxies.
    pub fn behind(proxies: Proxies, limits: Arc<Limits>, metrics: Metrics) -> Arc<Self> {
        let in_flight = Semaphore::new(limits.requests_in_flight_max.min(Semaphore::MAX_PERMITS));
        let changes_in_flight = Semaphore::new(limits.changes_in_flight_max.min(Semaphore::MAX_PERMITS));
        let streams = Arc::new(Semaphore::new(limits.event_streams_max.min(Semaphore::MAX_PERMITS)));
        let (tenants, health) = (OnceLock::new(), health::Watch::default());
        let rates = rates::Rates::new(&limits);
        let (leaving, stopping) = (AtomicBool::new(false), watch::Sender::new(false));
        Arc::new(Self {
            tenants,
            limits,
            metrics,
            in_flight,
            changes_in_flight,
            rates,
            proxies,
            streams,
            stopping,
            health,
            leaving,
        })
    }

    /// Serves these tenants from here on; the first that it is told stay.
    pub fn open(&self, tenants: Arc<Tenants>) {
        let _ = self.tenants.set(tenants);
    }

    /// Says from here on that requests should be sent elsewhere, and serves those that come.
    fn begin_to_stop(&self) {
        self.leaving.store(true, Ordering::Relaxed);
    }

    fn is_stopping(&self) -> bool {
        self.leaving.load(Ordering::Relaxed)
    }

    /// The registry whose health is the host's, and which knows every tenant's tokens.
    fn registry(&self) -> Option<&Arc<Registry>> {
        self.tenants.get().map(|tenants| tenants.first())
    }

    /// The registry that who asks is served by: his own tenant's.
    async fn registry_of(&self, actor: &Actor) -> Result<Option<Arc<Registry>>, RegistryError> {
        match self.tenants.get() {
            Some(tenants) => tenants.registry(&actor.tenant).await,
            None => Ok(None),
        }
    }
}

/// Everything that the host answers.
pub fn router(host: Arc<Host>) -> Router {
    let mut router = Router::new();
    for route in routes::table() {
        router = router.route(route.path, route.service);
    }
    router.fallback(front::no_route).method_not_allowed_fallback(front::no_method).with_state(host)
}

#[cfg(test)]
mod tests;
