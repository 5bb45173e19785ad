//! What operators see: metrics, traces, and the one shape in which an operation is told. It never sees a secret: what
//! it is given is what the API shows. What it exports is described in `telemetry/table.rs` and in docs/OBSERVABILITY.md.

mod bounded;
mod export;
mod lines;
mod operation;
mod table;
mod trace;

use std::sync::Arc;
use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use metrics_util::layers::FanoutBuilder;

use bounded::Bounded;

pub use export::Exporter;
pub use lines::{LogFormat, start_logging};
pub use operation::{Operation, Stages};
pub use table::{Instrument, METRICS, Metric};
pub use trace::{Caller, Trace};

/// The metrics of this process, as Prometheus reads them.
#[derive(Clone)]
pub struct Metrics {
    handle: Arc<PrometheusHandle>,
}

/// Upper bounds of the duration histograms, in milliseconds. 200 is what a publish is held to.
const DURATION_BUCKETS_MS: [f64; 15] =
    [0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 200.0, 250.0, 500.0, 1_000.0, 5_000.0];

/// The same in seconds.
fn duration_buckets_seconds() -> [f64; 15] {
    DURATION_BUCKETS_MS.map(|bound| bound / 1_000.0)
}

/// Milliseconds between two foldings of the samples that histograms gathered.
const UPKEEP_MS: u64 = 5_000;

impl Metrics {
    /// Makes this the process's recorder. A label has at most `label_values_max` values; past it they are one. What is
    /// recorded goes to the exporter too, where there is one.
    ///
    /// # Errors
    /// The process has one already.
    pub fn start(label_values_max: usize, exporter: Option<&Exporter>) -> Result<Self, String> {
        let recorder = Self::builder().map_err(|error| error.to_string())?.build_recorder();
        let handle = recorder.handle();
        let started = match exporter.and_then(Exporter::recorder) {
            None => metrics::set_global_recorder(Bounded::new(recorder, label_values_max)).map_err(|_| ()),
            Some(exported) => {
                let both = FanoutBuilder::default().add_recorder(recorder).add_recorder(exported).build();
                metrics::set_global_recorder(Bounded::new(both, label_values_max)).map_err(|_| ())
            }
        };
        started.map_err(|()| "metrics cannot be started: the process has a recorder already".to_owned())?;
        table::describe();
        metrics::gauge!("hallmark_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
        Ok(Self { handle: Arc::new(handle) })
    }

    fn builder() -> Result<PrometheusBuilder, metrics_exporter_prometheus::BuildError> {
        PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_duration_ms".to_owned()), &DURATION_BUCKETS_MS)?
            .set_buckets_for_metric(Matcher::Suffix("_duration_seconds".to_owned()), &duration_buckets_seconds())
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

/// Connections of one pool of the database.
pub fn connections_counted(pool: &'static str, in_use: u32, idle: u32, max: u32) {
    let of = |state: &'static str| metrics::gauge!("hallmark_database_connections", "pool" => pool, "state" => state);
    of("in_use").set(f64::from(in_use));
    of("idle").set(f64::from(idle));
    metrics::gauge!("hallmark_database_connections_max", "pool" => pool).set(f64::from(max));
}

/// Events that are committed and not announced.
pub fn outbox_counted(depth: u32) {
    metrics::gauge!("hallmark_outbox_depth").set(f64::from(depth));
}

/// Deliveries to webhooks that wait to be sent, or to be sent again.
pub fn deliveries_counted(waiting: u32) {
    metrics::gauge!("hallmark_webhook_deliveries_waiting").set(f64::from(waiting));
}

/// What the file system of the data folder has.
pub fn disk_measured(free_bytes: u64, size_bytes: u64) {
    metrics::gauge!("hallmark_data_free_bytes").set(free_bytes as f64);
    metrics::gauge!("hallmark_data_size_bytes").set(size_bytes as f64);
}

/// Until when the certificate holds that the host shows, in seconds since the Unix epoch.
pub fn certificate_read(expires_seconds: i64) {
    metrics::gauge!("hallmark_tls_certificate_expiry_timestamp_seconds").set(expires_seconds as f64);
}

/// When the last backup was done, in seconds since the Unix epoch.
pub fn backup_found(at_seconds: u64) {
    metrics::gauge!("hallmark_backup_last_success_timestamp_seconds").set(at_seconds as f64);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renders_what_was_recorded() {
        let recorder = Metrics::builder().expect("buckets").build_recorder();
        let handle = recorder.handle();
        metrics::with_local_recorder(&recorder, || {
            table::describe();
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
