//! Traces and metrics to an OpenTelemetry collector (OTLP over HTTP, protobuf), where the environment names one: the
//! variables are those of the OpenTelemetry specification. Without an endpoint nothing here runs.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use opentelemetry::KeyValue;
use opentelemetry::metrics::MeterProvider as _;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{MetricExporter, SpanExporter, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::{Aggregation, Instrument, SdkMeterProvider, Stream};
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::filter::{LevelFilter, dynamic_filter_fn};
use tracing_subscriber::{Layer, Registry};

use super::{DURATION_BUCKETS_MS, METRICS, duration_buckets_seconds, trace};

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const PROTOCOL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";

/// Milliseconds that a collector has to take what it is sent, where `OTEL_EXPORTER_OTLP_TIMEOUT` does not say.
const EXPORT_MAX_MS: u64 = 10_000;
/// Bytes of a collector's answer that are read.
const ANSWER_MAX_BYTES: u64 = 64 * 1024;

/// What goes to a collector.
pub struct Exporter {
    tracers: Option<SdkTracerProvider>,
    meters: Option<SdkMeterProvider>,
}

impl Exporter {
    /// The exporter that the environment asks for; none where it names no endpoint. Threads of its own send, so no
    /// request waits for a collector, and one that cannot be reached costs what it would have been sent.
    ///
    /// # Errors
    /// A sentence that names the variable that cannot be followed.
    pub fn from_environment() -> Result<Option<Self>, String> {
        if set("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            return Ok(None);
        }
        let traces = is_asked_for("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_TRACES_EXPORTER")?;
        let metrics = is_asked_for("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "OTEL_METRICS_EXPORTER")?;
        if !traces && !metrics {
            return Ok(None);
        }
        for name in [PROTOCOL, "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL"] {
            if let Some(value) = set(name).filter(|value| value != "http/protobuf") {
                return Err(format!(
                    "{name} is '{value}', and the host speaks http/protobuf alone: unset it, or name the \
                                    collector's port for HTTP (most often 4318)"
                ));
            }
        }
        let tracers = traces.then(tracers).transpose()?;
        let meters = metrics.then(meters).transpose()?;
        Ok(Some(Self { tracers, meters }))
    }

    /// What hands spans over. A span is taken where a request began it: what a host does by itself has no trace.
    pub(super) fn layer(&self) -> Option<Box<dyn Layer<Registry> + Send + Sync>> {
        let tracer = self.tracers.as_ref()?.tracer("hallmark");
        let is_ours = |metadata: &tracing::Metadata<'_>| {
            metadata.is_span() && metadata.target().starts_with("hallmark") && *metadata.level() <= tracing::Level::INFO
        };
        let filter = dynamic_filter_fn(move |metadata, context| {
            is_ours(metadata) && (metadata.name() == trace::REQUEST || context.lookup_current().is_some())
        });
        let filter = filter.with_max_level_hint(LevelFilter::INFO).with_callsite_filter(move |metadata| {
            if is_ours(metadata) {
                tracing::subscriber::Interest::sometimes()
            } else {
                tracing::subscriber::Interest::never()
            }
        });
        let layer = tracing_opentelemetry::layer()
            .with_tracer(tracer)
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false);
        Some(layer.with_filter(filter).boxed())
    }

    /// What hands metrics over.
    pub(super) fn recorder(&self) -> Option<metrics_exporter_opentelemetry::Recorder> {
        let meters = self.meters.as_ref()?;
        Some(metrics_exporter_opentelemetry::Recorder::with_meter(meters.meter("hallmark")))
    }

    /// Sends what is left and ends. Blocks, at the longest for `OTEL_EXPORTER_OTLP_TIMEOUT` for each of the two.
    pub fn stop(&self) {
        // What could not be sent is told by the client.
        let _ = self.tracers.as_ref().map(SdkTracerProvider::shutdown);
        let _ = self.meters.as_ref().map(SdkMeterProvider::shutdown);
    }
}

/// A variable that is set, and not to nothing.
fn set(name: &str) -> Option<String> {
    std::env::var(name).ok().map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
}

/// Whether a signal has an endpoint, and is not turned off.
fn is_asked_for(endpoint: &str, exporter: &str) -> Result<bool, String> {
    let has_endpoint = set(ENDPOINT).is_some() || set(endpoint).is_some();
    match set(exporter).as_deref() {
        None | Some("otlp") => Ok(has_endpoint),
        Some("none") => Ok(false),
        Some(other) => Err(format!("{exporter} is '{other}': it is 'otlp' or 'none'")),
    }
}

fn resource() -> Resource {
    let is_named = set("OTEL_SERVICE_NAME").is_some()
        || set("OTEL_RESOURCE_ATTRIBUTES").is_some_and(|text| text.contains("service.name="));
    let resource = Resource::builder().with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
    if is_named { resource.build() } else { resource.with_service_name("hallmark").build() }
}

fn tracers() -> Result<SdkTracerProvider, String> {
    let exporter = SpanExporter::builder().with_http().with_http_client(Client::new("traces")).build();
    let exporter = exporter.map_err(|error| format!("traces cannot be exported: {error}: see {ENDPOINT}"))?;
    Ok(SdkTracerProvider::builder().with_resource(resource()).with_batch_exporter(exporter).build())
}

fn meters() -> Result<SdkMeterProvider, String> {
    let exporter = MetricExporter::builder().with_http().with_http_client(Client::new("metrics")).build();
    let exporter = exporter.map_err(|error| format!("metrics cannot be exported: {error}: see {ENDPOINT}"))?;
    let builder = SdkMeterProvider::builder().with_resource(resource()).with_periodic_exporter(exporter);
    Ok(builder.with_view(stream).build())
}

/// What the table of metrics says of an instrument: help, unit and, for durations, the buckets that Prometheus has.
fn stream(instrument: &Instrument) -> Option<Stream> {
    let metric = METRICS.iter().find(|metric| metric.name == instrument.name())?;
    let stream = Stream::builder().with_description(metric.help).with_unit(metric.unit());
    let boundaries = match (metric.instrument, metric.unit()) {
        (super::Instrument::Histogram, "ms") => Some(DURATION_BUCKETS_MS.to_vec()),
        (super::Instrument::Histogram, _) => Some(duration_buckets_seconds().to_vec()),
        _ => None,
    };
    let stream = match boundaries {
        Some(boundaries) => {
            stream.with_aggregation(Aggregation::ExplicitBucketHistogram { boundaries, record_min_max: false })
        }
        None => stream,
    };
    stream.build().ok()
}

/// How a collector is reached. It is called on the exporters' own threads, which may wait.
#[derive(Debug)]
struct Client {
    agent: ureq::Agent,
    what: &'static str,
    is_failing: AtomicBool,
}

impl Client {
    fn new(what: &'static str) -> Self {
        let wait_max_ms = set("OTEL_EXPORTER_OTLP_TIMEOUT").and_then(|text| text.parse().ok()).unwrap_or(EXPORT_MAX_MS);
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_global(Some(Duration::from_millis(wait_max_ms)))
            .user_agent(concat!("hallmark/", env!("CARGO_PKG_VERSION")));
        Self { agent: config.build().into(), what, is_failing: AtomicBool::new(false) }
    }

    fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let mut answer = self.agent.run(request.map(|body| body.to_vec()))?;
        let body = answer.body_mut().with_config().limit(ANSWER_MAX_BYTES).read_to_vec()?;
        Ok(answer.map(|_| Bytes::from(body)))
    }

    /// Tells when exporting begins to fail and when it goes on, and not each time between.
    fn tell(&self, failure: Option<&str>) {
        let was_failing = self.is_failing.swap(failure.is_some(), Ordering::Relaxed);
        match (was_failing, failure) {
            (false, Some(error)) => tracing::warn!(what = self.what, error, "the collector takes nothing"),
            (true, None) => tracing::info!(what = self.what, "the collector takes what it is sent again"),
            _ => {}
        }
    }
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let sent = self.send(request);
        match &sent {
            Ok(answer) if answer.status().is_success() => self.tell(None),
            Ok(answer) => self.tell(Some(&format!("it answers {}", answer.status()))),
            Err(error) => self.tell(Some(&error.to_string())),
        }
        sent
    }
}
