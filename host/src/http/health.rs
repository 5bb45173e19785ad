//! Whether the host lives, is ready and is well; and its metrics.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::Uri;
use serde::Serialize;
use tokio::sync::Mutex;

use super::Host;
use super::call::Call;
use super::error::{Code, Problem, Success};
use super::openapi::told::{Told, anything};
use super::reply::{Answer, Reply};
use crate::registry::Health;
use crate::registry::blobs::Ill;
use crate::registry::fleet::Behind;

/// Milliseconds for which what the parts said is believed. Everybody may ask for health, and asking the parts costs
/// a database connection and a look at the object store.
const BELIEVED_MS: u64 = 250;

/// The parts as they were last asked.
#[derive(Default)]
pub struct Watch(Mutex<Option<(Instant, Parts)>>);

#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = HealthParts)]
struct Parts {
    database: &'static str,
    object_store: &'static str,
    /// How the object store is that is down.
    #[serde(skip_serializing_if = "Option::is_none")]
    object_store_problem: Option<Ill>,
    rules: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    behind: Option<Behind>,
    plugins: PluginHealth,
}

#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
struct PluginHealth {
    /// `degraded` where some are in quarantine, `busy` where no thread of the gate is free, `down` where those in force
    /// are not loaded.
    status: &'static str,
    quarantined: Vec<String>,
}

impl PluginHealth {
    fn of(health: &Health) -> Self {
        let status = match (&health.rules, health.has_room) {
            (Err(_), _) => "down",
            (Ok(()), false) => "busy",
            (Ok(()), true) if health.quarantined.is_empty() => "ok",
            (Ok(()), true) => "degraded",
        };
        Self { status, quarantined: health.quarantined.clone() }
    }
}

impl Parts {
    /// A host whose gate is full, or of which a plugin rests, serves all the same.
    fn are_well(&self) -> bool {
        [self.database, self.object_store, self.rules].iter().all(|part| *part == "ok")
    }

    fn status(&self) -> &'static str {
        match (self.are_well(), self.plugins.status) {
            (false, _) => "down",
            (true, "ok") => "ok",
            (true, _) => "degraded",
        }
    }
}

fn word(well: bool) -> &'static str {
    if well { "ok" } else { "down" }
}

async fn parts(host: &Host) -> Parts {
    let mut last = host.health.0.lock().await;
    if let Some((at, parts)) = last.as_ref()
        && at.elapsed() < Duration::from_millis(BELIEVED_MS)
    {
        return parts.clone();
    }
    let Some(registry) = host.registry() else {
        let starting = "starting";
        let plugins = PluginHealth { status: starting, quarantined: Vec::new() };
        let (database, object_store, rules) = (starting, starting, starting);
        return Parts { database, object_store, object_store_problem: None, rules, behind: None, plugins };
    };
    let health = registry.health().await;
    let parts = Parts {
        database: word(health.database),
        object_store: word(health.object_store.is_ok()),
        object_store_problem: health.object_store.err(),
        rules: word(health.rules.is_ok()),
        plugins: PluginHealth::of(&health),
        behind: health.rules.err(),
    };
    *last = Some((Instant::now(), parts.clone()));
    parts
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Health)]
struct HealthView<'a> {
    status: &'static str,
    version: &'static str,
    #[serde(flatten)]
    parts: &'a Parts,
}

impl<'a> HealthView<'a> {
    fn of(parts: &'a Parts) -> Self {
        Self { status: parts.status(), version: env!("CARGO_PKG_VERSION"), parts }
    }
}

/// `GET /health`: every part, for people and monitors.
pub async fn health(host: Arc<Host>, _: Uri) -> Answer {
    let parts = parts(&host).await;
    let success = if parts.are_well() { Success::Found } else { Success::Unwell };
    Reply::json(success, &HealthView::of(&parts))
}

/// That it is so, and no more.
#[derive(Serialize, utoipa::ToSchema)]
struct Alive {
    /// `ok`.
    status: &'static str,
}

/// `GET /livez`: the process answers.
pub async fn livez(_: Arc<Host>, _: Uri) -> Answer {
    Reply::json(Success::Found, &Alive { status: "ok" })
}

/// `GET /readyz`: requests may be sent here; `?verbose` tells of each part.
pub async fn readyz(host: Arc<Host>, uri: Uri) -> Answer {
    if host.is_stopping() {
        let detail = "the host is stopping: send requests to another";
        return Err(Problem::new(Code::NotReady, detail.to_owned()));
    }
    let parts = parts(&host).await;
    let verbose = uri.query().is_some_and(|query| query.split('&').any(|name| name == "verbose"));
    if !parts.are_well() {
        let mut detail = format!(
            "not ready: database {}, object store {}, rules {}",
            parts.database, parts.object_store, parts.rules
        );
        if let Some(problem) = parts.object_store_problem.filter(|_| verbose) {
            detail.push_str(&format!(": the object store {}", problem.told()));
        }
        if let Some(behind) = parts.behind.as_ref().filter(|_| verbose) {
            detail.push_str(&format!(": {behind}"));
        }
        return Err(Problem::new(Code::NotReady, detail));
    }
    if verbose {
        return Reply::json(Success::Found, &HealthView::of(&parts));
    }
    Reply::json(Success::Found, &Alive { status: "ok" })
}

/// `GET /metrics`: the Prometheus text.
pub async fn metrics(call: Call) -> Answer {
    Ok(Reply::text("text/plain; version=0.0.4; charset=utf-8", call.host.metrics.render()))
}

/// What the API's description tells of these.
pub fn told() -> Vec<Told> {
    let ready = Told::get("/readyz", "showReadiness").query(
        "verbose",
        anything(),
        "With it, whatever it says, the answer tells of each part as `/health` does.",
    );
    vec![
        Told::get("/health", "showHealth")
            .gives::<HealthView<'_>>(Success::Found)
            .gives::<HealthView<'_>>(Success::Unwell),
        Told::get("/livez", "showLiveness").gives::<Alive>(Success::Found),
        ready.gives::<Alive>(Success::Found).refuses(&[Code::NotReady]),
        Told::get("/metrics", "showMetrics").gives_text("text/plain; version=0.0.4; charset=utf-8"),
    ]
}
