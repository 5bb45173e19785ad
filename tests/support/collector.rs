//! An OpenTelemetry collector on loopback: takes what a host exports (OTLP over HTTP, protobuf) and decodes it.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::Metric;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use tokio::runtime::Runtime;

/// A collector.
pub struct Collector {
    /// Where it listens.
    pub url: String,
    took: Arc<Took>,
    _runtime: Runtime,
}

/// What it was sent.
#[derive(Default)]
struct Took {
    spans: Mutex<Vec<Span>>,
    metrics: Mutex<Vec<Metric>>,
    resources: Mutex<Vec<KeyValue>>,
}

impl Collector {
    /// Starts one on a free port.
    pub fn start() -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let took = Arc::new(Took::default());
        let router = Router::new()
            .route("/v1/traces", post(take_traces))
            .route("/v1/metrics", post(take_metrics))
            .with_state(Arc::clone(&took));
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        runtime.spawn(async move { axum::serve(listener, router).await });
        Self { url, took, _runtime: runtime }
    }

    /// Every span that came.
    pub fn spans(&self) -> Vec<Span> {
        self.took.spans.lock().expect("no panic").clone()
    }

    /// The newest state of a metric.
    pub fn metric(&self, name: &str) -> Option<Metric> {
        self.took.metrics.lock().expect("no panic").iter().rev().find(|metric| metric.name == name).cloned()
    }

    /// What the host says of itself.
    pub fn resource(&self, key: &str) -> Option<String> {
        text(&self.took.resources.lock().expect("no panic"), key)
    }
}

async fn take_traces(State(took): State<Arc<Took>>, body: Bytes) -> StatusCode {
    let Ok(request) = ExportTraceServiceRequest::decode(body) else { return StatusCode::BAD_REQUEST };
    for resource in request.resource_spans {
        took.resources.lock().expect("no panic").extend(resource.resource.unwrap_or_default().attributes);
        let spans = resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
        took.spans.lock().expect("no panic").extend(spans);
    }
    StatusCode::OK
}

async fn take_metrics(State(took): State<Arc<Took>>, body: Bytes) -> StatusCode {
    let Ok(request) = ExportMetricsServiceRequest::decode(body) else { return StatusCode::BAD_REQUEST };
    let scopes = request.resource_metrics.into_iter().flat_map(|resource| resource.scope_metrics);
    took.metrics.lock().expect("no panic").extend(scopes.flat_map(|scope| scope.metrics));
    StatusCode::OK
}

/// An attribute as text.
pub fn text(attributes: &[KeyValue], key: &str) -> Option<String> {
    let value: &AnyValue = attributes.iter().find(|attribute| attribute.key == key)?.value.as_ref()?;
    match value.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        Value::IntValue(number) => Some(number.to_string()),
        Value::BoolValue(is) => Some(is.to_string()),
        other => Some(format!("{other:?}")),
    }
}
