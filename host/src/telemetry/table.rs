//! Every metric that the host exports. A test holds docs/OBSERVABILITY.md to it, and another what a host exports.

/// How a metric counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instrument {
    /// It only grows, until the host starts again.
    Counter,
    /// It goes up and down.
    Gauge,
    /// Samples in buckets.
    Histogram,
}

impl Instrument {
    /// As Prometheus calls it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// One metric.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// Its name, unit last.
    pub name: &'static str,
    /// How it counts.
    pub instrument: Instrument,
    /// Its labels, sorted.
    pub labels: &'static [&'static str],
    /// What it tells.
    pub help: &'static str,
}

impl Metric {
    /// Its unit as OpenTelemetry writes it (UCUM), by its name.
    pub fn unit(&self) -> &'static str {
        let units = [("_seconds", "s"), ("_ms", "ms"), ("_bytes", "By")];
        units.into_iter().find(|(suffix, _)| self.name.ends_with(suffix)).map_or("1", |(_, unit)| unit)
    }
}

const fn counter(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric { name, instrument: Instrument::Counter, labels, help }
}

const fn gauge(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric { name, instrument: Instrument::Gauge, labels, help }
}

const fn histogram(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric { name, instrument: Instrument::Histogram, labels, help }
}

/// All of them.
pub const METRICS: &[Metric] = &[
    counter("http_requests_total", &["method", "route", "status"], "Requests answered; the route is its template"),
    histogram("http_request_duration_seconds", &["method", "route"], "Time from a request's head to its answer"),
    histogram(
        "registry_operation_duration_ms",
        &["action", "entity", "outcome"],
        "Time of one registry operation; the entity is a kind's singular, `rules`, `plugin` or another thing",
    ),
    counter("registry_events_announced_total", &["event"], "Committed events announced, by what happened"),
    counter(
        "registry_webhook_sends_total",
        &["outcome"],
        "Requests sent to webhooks: `delivered`, `failed` and to be tried again, or `given-up`",
    ),
    counter("registry_rules_notices_total", &["what"], "Notices of other hosts that rules changed"),
    histogram(
        "hallmark_plugin_evaluation_duration_seconds",
        &["outcome", "plugin"],
        "Time of one evaluation; the outcome is `answered` or `broke`",
    ),
    counter(
        "hallmark_plugin_failures_total",
        &["cause", "plugin"],
        "Evaluations that gave no answer: the plugin `broke`, had too many at once (`busy`) or rests (`quarantined`)",
    ),
    counter("hallmark_plugin_quarantines_total", &["plugin"], "Times that a plugin was put into quarantine"),
    counter(
        "hallmark_plugin_cache_total",
        &["result"],
        "Looks for a compiled snapshot on disk: `hit`, `miss`, or `refused` where its seal is broken",
    ),
    gauge("hallmark_gate_queue_depth", &[], "Submissions that wait for a thread of the gate"),
    gauge("hallmark_gate_queue_max", &[], "How many may (`gate_queue_max`)"),
    counter(
        "hallmark_shadow_publishes_total",
        &["agreement", "scope"],
        "Publishes that a shadow ran beside, by how the two compare",
    ),
    histogram("hallmark_shadow_duration_seconds", &["scope"], "Time that a shadow took beside a publish"),
    counter(
        "hallmark_shadow_ended_total",
        &["scope", "state"],
        "Shadows that ended by themselves, by their last state",
    ),
    counter(
        "hallmark_observing_publishes_total",
        &["agreement", "binding", "scope"],
        "Publishes that a binding observed, by what it would have changed",
    ),
    gauge(
        "hallmark_database_connections",
        &["pool", "state"],
        "Connections to the database that are `in_use` or `idle`; the pool is `shared` on PostgreSQL, `readers` and \
         `writer` on SQLite",
    ),
    gauge("hallmark_database_connections_max", &["pool"], "How many a pool may have"),
    gauge(
        "hallmark_outbox_depth",
        &[],
        "Committed events that are not announced, of all hosts; 10000 are told as such",
    ),
    gauge(
        "hallmark_webhook_deliveries_waiting",
        &[],
        "Deliveries to webhooks that wait to be sent, or to be sent again, of all hosts; 10000 are told as such",
    ),
    gauge("hallmark_data_free_bytes", &[], "Bytes that the host may still write to the file system of its data folder"),
    gauge("hallmark_data_size_bytes", &[], "Bytes of that file system"),
    gauge(
        "hallmark_backup_last_success_timestamp_seconds",
        &[],
        "When the last backup was done, in seconds since the Unix epoch, as `backup.last` in the data folder says; \
         absent where there is none",
    ),
    gauge(
        "hallmark_tls_certificate_expiry_timestamp_seconds",
        &[],
        "Until when the certificate holds that the host shows, in seconds since the Unix epoch; absent without TLS",
    ),
    gauge("hallmark_build_info", &["version"], "Always 1"),
];

/// Tells the recorder what each is.
pub fn describe() {
    for metric in METRICS {
        match metric.instrument {
            Instrument::Counter => metrics::describe_counter!(metric.name, metric.help),
            Instrument::Gauge => metrics::describe_gauge!(metric.name, metric.help),
            Instrument::Histogram => metrics::describe_histogram!(metric.name, metric.help),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_labels_are_told_once_and_in_order() {
        for (index, metric) in METRICS.iter().enumerate() {
            assert!(METRICS[..index].iter().all(|before| before.name != metric.name), "{}", metric.name);
            assert!(metric.labels.is_sorted(), "{}", metric.name);
        }
    }
}
