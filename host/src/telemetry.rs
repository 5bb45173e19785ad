//! Logs and metrics: how they are started, and the one shape in which an operation is told. It never sees a secret:
//! what it is given is what the API shows.

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl std::str::FromStr for LogFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(format!("unknown log format '{text}': it is 'text' or 'json'")),
        }
    }
}

/// Writes log lines to the standard error from here on, filtered by `RUST_LOG` (`info` where it is unset).
///
/// # Errors
/// `RUST_LOG` cannot be read, or logging was started before.
pub fn start_logging(format: LogFormat) -> Result<(), String> {
    let filter = match std::env::var("RUST_LOG") {
        Ok(directives) if !directives.is_empty() => {
            EnvFilter::try_new(&directives).map_err(|error| format!("RUST_LOG cannot be read: {error}"))?
        }
        _ => EnvFilter::new("info,apalis_core=warn"),
    };
    let registry = tracing_subscriber::registry().with(filter);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let started = match format {
        LogFormat::Text => registry.with(lines.with_ansi(std::io::stderr().is_terminal())).try_init(),
        LogFormat::Json => registry.with(lines.json().flatten_event(true)).try_init(),
    };
    started.map_err(|error| format!("logging cannot be started: {error}"))
}

/// The metrics of this process, as Prometheus reads them.
#[derive(Clone)]
pub struct Metrics {
    handle: Arc<PrometheusHandle>,
}

/// Upper bounds of the duration histograms, in milliseconds.
const DURATION_BUCKETS_MS: [f64; 14] =
    [0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1_000.0, 5_000.0];

/// Milliseconds between two foldings of the samples that histograms gathered.
const UPKEEP_MS: u64 = 5_000;

impl Metrics {
    /// Makes this the process's recorder.
    ///
    /// # Errors
    /// The process has one already.
    pub fn start() -> Result<Self, String> {
        let builder = Self::builder().map_err(|error| error.to_string())?;
        let handle = builder.install_recorder().map_err(|error| format!("metrics cannot be started: {error}"))?;
        describe();
        Ok(Self { handle: Arc::new(handle) })
    }

    fn builder() -> Result<PrometheusBuilder, metrics_exporter_prometheus::BuildError> {
        let seconds = DURATION_BUCKETS_MS.map(|bound| bound / 1_000.0);
        PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_duration_ms".to_owned()), &DURATION_BUCKETS_MS)?
            .set_buckets_for_metric(Matcher::Suffix("_duration_seconds".to_owned()), &seconds)
    }

    /// The exposition text.
    pub fn render(&self) -> String {
        self.handle.render()
    }

    /// Folds gathered samples into their histograms, for as long as it is polled. Without it every sample since the
    /// last scrape stays in memory.
    pub async fn keep_folded(&self) {
        let mut tick = tokio::time::interval(Duration::from_millis(UPKEEP_MS));
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            self.handle.run_upkeep();
        }
    }

    /// A recorder of its own that nothing writes to, so that tests in one process do not meet.
    #[cfg(test)]
    pub(crate) fn detached() -> Self {
        Self { handle: Arc::new(PrometheusBuilder::new().build_recorder().handle()) }
    }
}

fn describe() {
    use metrics::{Unit, describe_counter, describe_histogram};
    describe_counter!("http_requests_total", "Requests answered, by method, route and status");
    describe_histogram!("http_request_duration_seconds", Unit::Seconds, "Time from a request's head to its answer");
    describe_histogram!(
        "registry_operation_duration_ms",
        Unit::Milliseconds,
        "Time of one registry operation, by entity, action and outcome"
    );
    describe_counter!(
        "hallmark_shadow_publishes_total",
        "Publishes that a shadow ran beside, by scope and how the two compare"
    );
    describe_counter!(
        "hallmark_observing_publishes_total",
        "Publishes that a binding observed, by scope, binding and what it would have changed"
    );
    describe_histogram!("hallmark_shadow_duration_seconds", Unit::Seconds, "Time that a shadow took beside a publish");
    describe_counter!("hallmark_shadow_ended_total", "Shadows that ended by themselves, by scope and state");
    describe_counter!("registry_events_announced_total", "Committed events announced, by what happened");
}

/// One request that was answered.
pub fn request_answered(method: &'static str, route: &'static str, status: &str, elapsed: Duration) {
    metrics::counter!("http_requests_total", "method" => method, "route" => route, "status" => status.to_owned())
        .increment(1);
    metrics::histogram!("http_request_duration_seconds", "route" => route, "method" => method)
        .record(elapsed.as_secs_f64());
}

/// What a shadow would have said of one publish: how it compares, and what it took.
pub fn shadow_compared(scope: &str, agreement: &'static str, took: Duration) {
    let scope = scope.to_owned();
    metrics::counter!("hallmark_shadow_publishes_total", "scope" => scope.clone(), "agreement" => agreement)
        .increment(1);
    metrics::histogram!("hallmark_shadow_duration_seconds", "scope" => scope).record(took.as_secs_f64());
}

/// What a binding that observes would have changed of one publish.
pub fn observing_compared(scope: &str, binding: &str, agreement: &'static str) {
    let (scope, binding) = (scope.to_owned(), binding.to_owned());
    metrics::counter!(
        "hallmark_observing_publishes_total",
        "scope" => scope,
        "binding" => binding,
        "agreement" => agreement,
    )
    .increment(1);
}

/// A staged release that activated or demoted itself, or a shadow that ended with its release's activation.
pub fn shadow_ended(scope: &str, state: &'static str) {
    metrics::counter!("hallmark_shadow_ended_total", "scope" => scope.to_owned(), "state" => state).increment(1);
}

/// One thing that the registry was asked to do, and what came of it.
#[derive(Debug, Clone, Copy)]
pub struct Operation<'a> {
    /// What it was done to: a kind's singular, `plugin` or `rules`. Never text of a caller: it labels metrics.
    pub entity: &'a str,
    /// What was asked: `publish`.
    pub action: &'static str,
    /// What came of it, in the past tense: `published`, `rejected`.
    pub outcome: &'static str,
    /// The request.
    pub correlation_id: &'a str,
    /// Whose.
    pub tenant: &'a str,
    /// Who asked.
    pub actor: &'a str,
    /// The entry, plugin or scope; empty where it is not known.
    pub entry: &'a str,
    /// Its version or release; empty where it has none.
    pub version: &'a str,
    /// The decision; empty where none was made.
    pub decision: &'a str,
    /// How long it took.
    pub elapsed: Duration,
}

impl Operation<'_> {
    /// Logs it as `registry.<entity>.<outcome>` and counts it. Dry runs and what was shed are logged at `debug`: they
    /// are many, and nobody needs to find them again.
    pub fn record(&self) {
        metrics::histogram!(
            "registry_operation_duration_ms",
            "entity" => self.entity.to_owned(),
            "action" => self.action,
            "outcome" => self.outcome,
        )
        .record(self.elapsed.as_secs_f64() * 1_000.0);
        if self.action == "validate" || self.outcome == "shed" {
            self.log_at_debug();
        } else {
            self.log_at_info();
        }
    }

    // A level is part of a call site, so each level needs its own.
    fn log_at_info(&self) {
        tracing::info!(
            target: "hallmark::operation",
            event = %format_args!("registry.{}.{}", self.entity, self.outcome),
            correlation_id = self.correlation_id,
            tenant = self.tenant,
            actor = self.actor,
            entry = self.entry,
            version = self.version,
            decision = self.decision,
            elapsed_ms = self.elapsed.as_secs_f64() * 1_000.0,
        );
    }

    fn log_at_debug(&self) {
        tracing::debug!(
            target: "hallmark::operation",
            event = %format_args!("registry.{}.{}", self.entity, self.outcome),
            correlation_id = self.correlation_id,
            tenant = self.tenant,
            actor = self.actor,
            entry = self.entry,
            version = self.version,
            decision = self.decision,
            elapsed_ms = self.elapsed.as_secs_f64() * 1_000.0,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_formats_are_two() {
        assert_eq!("json".parse(), Ok(LogFormat::Json));
        assert_eq!("xml".parse::<LogFormat>(), Err("unknown log format 'xml': it is 'text' or 'json'".to_owned()));
    }

    #[test]
    fn renders_what_was_recorded() {
        let recorder = Metrics::builder().expect("buckets").build_recorder();
        let handle = recorder.handle();
        metrics::with_local_recorder(&recorder, || {
            describe();
            request_answered("GET", "/livez", "200", Duration::from_millis(3));
        });
        let text = handle.render();
        assert!(text.contains(r#"http_requests_total{method="GET",route="/livez",status="200"} 1"#), "{text}");
        assert!(
            text.contains(r#"http_request_duration_seconds_bucket{route="/livez",method="GET",le="0.005"} 1"#),
            "{text}"
        );
    }
}
