//! Traces: what a caller says of its trace is followed, and where a collector is named it is sent a span for each part of
//! a publish, and the metrics.

use std::fs;

use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use tempfile::TempDir;

use crate::support::collector::{Collector, text};
use crate::support::command::{against, argument, hallmark};
use crate::support::host::{Answer, Host, Options, root, until};
use crate::support::rules::{module, own_binding, submission};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// A host that sends its spans when it ends, and not before.
fn exporting(options: Options, collector: &Collector) -> Host {
    options
        .variable("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url)
        .variable("OTEL_BSP_SCHEDULE_DELAY", "3600000")
        .variable("OTEL_METRIC_EXPORT_INTERVAL", "100")
        .start()
}

/// A host with the kind `notes`, which no plugin judges.
fn notes(folder: &TempDir) -> Options {
    let modules = folder.path().join("modules");
    module(&modules, "note", "");
    Options::new().modules(&modules)
}

fn publish(host: &Host) -> Answer {
    host.post("/api/notes/publish", &submission("note", "a"))
}

fn hex(bytes: &[u8]) -> String {
    hallmark::names::hex(bytes)
}

fn named<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("no span {name} in {spans:#?}"))
}

#[test]
fn a_publish_is_a_trace_with_a_span_for_each_stage_and_each_plugin() {
    let collector = Collector::start();
    let host = exporting(Options::examples(), &collector);
    let agent = fs::read(root().join("examples/manifests/valid/agent.yaml")).expect("an example");
    let sent = host.send_with("/api/agents/publish", "application/yaml", &agent, ("traceparent", PARENT));
    assert_eq!(sent.status, 201, "{sent:?}");
    let answered = sent.header("traceparent").expect("a trace").to_owned();
    assert!(host.stop(), "what is left is sent when the host ends");

    let spans: Vec<Span> = collector.spans().into_iter().filter(|span| hex(&span.trace_id) == TRACE).collect();
    let request = named(&spans, "POST /api/{kind}/publish");
    assert_eq!(hex(&request.parent_span_id), "00f067aa0ba902b7", "it is the caller's child");
    assert_eq!(answered, format!("00-{TRACE}-{}-01", hex(&request.span_id)), "the answer names it");
    assert_eq!(request.kind(), SpanKind::Server);
    for (key, value) in [
        ("http.request.method", "POST"),
        ("http.route", "/api/{kind}/publish"),
        ("http.response.status_code", "201"),
        ("correlation_id", sent.header("x-request-id").expect("an id")),
    ] {
        assert_eq!(text(&request.attributes, key).as_deref(), Some(value), "{key}");
    }
    for stage in ["decode", "schema", "resolve", "validate", "policy", "commit"] {
        let span = named(&spans, stage);
        assert_eq!(span.parent_span_id, request.span_id, "{stage} is a part of the request");
        assert!(span.end_time_unix_nano >= span.start_time_unix_nano);
    }
    for (plugin, stage) in [("placeholders", "resolve"), ("agent-rules", "validate"), ("cel", "policy")] {
        let span = named(&spans, &format!("plugin {plugin}"));
        assert_eq!(span.parent_span_id, named(&spans, stage).span_id, "{plugin} runs in {stage}");
        assert_eq!(text(&span.attributes, "plugin.outcome").as_deref(), Some("answered"));
        assert!(text(&span.attributes, "plugin.digest").is_some_and(|digest| digest.starts_with("sha256:")));
    }
    assert_eq!(collector.resource("service.name").as_deref(), Some("hallmark"));
    assert_eq!(collector.resource("service.version").as_deref(), Some(env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_plugin_that_breaks_is_an_error_in_its_trace() {
    let (collector, folder) = (Collector::start(), TempDir::new().expect("a folder"));
    module(folder.path(), "note", &own_binding(folder.path(), "own", "validate", "hostile", "{ break = \"panic\" }"));
    let host = exporting(Options::new().modules(folder.path()), &collector);
    assert_eq!(host.post("/api/notes/publish", &submission("note", "a")).status, 503);
    assert_eq!(host.get("/api/notes/a").status, 404);
    assert!(host.stop());
    let spans = collector.spans();
    let plugin = named(&spans, "plugin hostile");
    assert_eq!(text(&plugin.attributes, "plugin.outcome").as_deref(), Some("broke"));
    let request = named(&spans, "POST /api/{kind}/publish");
    for span in [plugin, request] {
        assert_eq!(span.status.as_ref().expect("a status").code(), StatusCode::Error, "{span:?}");
    }
    // Another request is another trace, and one that is refused is no fault of the host's.
    let missed = named(&spans, "GET /api/{kind}/{id}");
    assert_ne!(missed.trace_id, request.trace_id);
    assert!(missed.status.as_ref().is_none_or(|status| status.code() != StatusCode::Error), "{missed:?}");
}

#[test]
fn metrics_go_to_the_collector_as_prometheus_has_them() {
    let (collector, folder) = (Collector::start(), TempDir::new().expect("a folder"));
    let host = exporting(notes(&folder), &collector);
    assert_eq!(publish(&host).status, 201);
    let count = || {
        let metric = collector.metric("registry_operation_duration_ms")?;
        let Some(Data::Histogram(histogram)) = metric.data else { panic!("a histogram") };
        let point = histogram.data_points.into_iter().find(|point| {
            [("entity", "note"), ("action", "publish"), ("outcome", "published")]
                .iter()
                .all(|(key, value)| text(&point.attributes, key).as_deref() == Some(value))
        })?;
        Some((metric.unit, point.explicit_bounds.contains(&200.0), point.count))
    };
    until("the publish is counted", || count().is_some());
    assert_eq!(count(), Some(("ms".to_owned(), true, 1)));
    until("a gauge is told", || collector.metric("hallmark_gate_queue_max").is_some());
    until("a counter is told", || collector.metric("http_requests_total").is_some());
    let metrics = host.get("/metrics").body;
    assert!(metrics.as_str().is_some_and(|text| text.contains("registry_operation_duration_ms_count")), "{metrics}");
}

#[test]
fn a_callers_trace_is_in_the_log_line_and_the_answer_where_nothing_is_exported() {
    let folder = TempDir::new().expect("a folder");
    let log = folder.path().join("log");
    let host = notes(&folder).log(&log).log_format("json").start();
    let body = submission("note", "a").to_string();
    let traced = host.send_with("/api/notes/publish", "application/json", body.as_bytes(), ("traceparent", PARENT));
    let answered = traced.header("traceparent").expect("a trace");
    assert!(answered.starts_with(&format!("00-{TRACE}-")) && answered.ends_with("-01"), "{answered}");
    assert_ne!(answered, PARENT);
    let alone = publish(&host);
    assert_eq!(alone.header("traceparent"), None);
    assert!(host.stop());
    let lines = fs::read_to_string(&log).expect("a log");
    let of = |event: &str| {
        let line = lines.lines().find(|line| line.contains(event)).unwrap_or_else(|| panic!("{event} in {lines}"));
        serde_json::from_str::<serde_json::Value>(line).expect("JSON")
    };
    assert_eq!(of("registry.note.published")["trace_id"], TRACE);
    assert!(of("registry.note.skipped").get("trace_id").is_none());
}

#[test]
fn the_command_line_is_part_of_the_trace_of_its_environment() {
    let (collector, folder) = (Collector::start(), TempDir::new().expect("a folder"));
    let host = exporting(notes(&folder), &collector);
    let note = folder.path().join("note.json");
    fs::write(&note, submission("note", "a").to_string()).expect("a file");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_hallmark"));
    command.args(["publish", argument(&note), "--server", &host.url, "--token", &host.token]);
    let output = command.env("TRACEPARENT", PARENT).current_dir(root()).output().expect("the binary runs");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(against(&host, &["list", "notes"]).status.code(), Some(0));
    assert!(host.stop());
    let of_trace = |name: &str| collector.spans().iter().any(|span| span.name == name && hex(&span.trace_id) == TRACE);
    assert!(of_trace("POST /api/{kind}/publish"));
    assert!(!of_trace("GET /api/{kind}"), "without the variable there is no such trace");
}

#[test]
fn a_collector_that_cannot_be_reached_costs_no_publish() {
    let folder = TempDir::new().expect("a folder");
    let log = folder.path().join("log");
    let options = notes(&folder).log(&log).variable("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9");
    let host = options.variable("OTEL_METRIC_EXPORT_INTERVAL", "50").start();
    assert_eq!(publish(&host).status, 201);
    let told = || fs::read_to_string(&log).expect("a log");
    until("it is told", || told().contains("the collector takes nothing"));
    assert!(host.stop());
    assert_eq!(told().matches("the collector takes nothing what=\"metrics\"").count(), 1, "once, not each time");
}

#[test]
fn variables_that_cannot_be_followed_are_refused() {
    let folder = TempDir::new().expect("a folder");
    let data = folder.path().join("data");
    let refused = |variables: &[(&str, &str)]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_hallmark"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--data", argument(&data)]).envs(variables.iter().copied());
        let output = command.output().expect("the binary runs");
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4317");
    let said = refused(&[endpoint, ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]);
    assert!(
        said.contains("OTEL_EXPORTER_OTLP_PROTOCOL is 'grpc', and the host speaks http/protobuf alone: unset it"),
        "{said}"
    );
    let said = refused(&[endpoint, ("OTEL_TRACES_EXPORTER", "zipkin")]);
    assert!(said.contains("OTEL_TRACES_EXPORTER is 'zipkin': it is 'otlp' or 'none'"), "{said}");
    let said = hallmark(&["serve", "--log-format", "xml"]);
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(said.contains("unknown log format 'xml': it is 'pretty' or 'json'"), "{said}");
    assert!(!data.exists(), "nothing was begun");
}
