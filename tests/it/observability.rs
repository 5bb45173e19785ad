//! What operators see is held to what the binary does: the metrics that it exports, the alerts and the dashboard over
//! them, the table in docs/OBSERVABILITY.md, and the log lines.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use hallmark::config::Limits;
use hallmark::registry::decode::{Format, decode};
use hallmark::telemetry::METRICS;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::command::argument;
use crate::support::host::{Host, Options, root, until};
use crate::support::promql::{Matcher, Series, asked, series};
use crate::support::rules::{module, own_binding, submission};
use crate::support::tls::Pair;

/// What Prometheus itself puts on every series.
const OF_PROMETHEUS: [&str; 2] = ["instance", "job"];

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A submission that the schema refuses.
fn refused(id: &str) -> Value {
    let mut refused = submission("note", id);
    refused["manifest"] = "no object".into();
    refused
}

/// A host that was used: publishes that went well, were refused and broke, a rollback, a rating, and a backup.
fn used(folder: &Path) -> Host {
    let modules = folder.join("modules");
    module(&modules, "broken", &own_binding(&modules, "own", "validate", "hostile", "{ break = \"panic\" }"));
    module(&modules, "note", &own_binding(&modules, "well", "validate", "hostile", "{ break = \"none\" }"));
    let pair = Pair::write(folder, 2040);
    let host =
        Options::new().modules(&modules).tls(&pair.certificate, &pair.key).limit("metrics_sample_ms", 20).start();
    assert_eq!(host.post("/api/brokens/publish", &submission("broken", "a")).status, 503);
    let mut note = submission("note", "a");
    for version in ["1.0.0", "2.0.0"] {
        note["version"] = version.into();
        assert_eq!(host.post("/api/notes/publish", &note).status, 201);
    }
    let target = serde_json::json!({"targetVersion": "1.0.0"});
    assert_eq!(host.post("/api/notes/a/rollback", &target).status, 200);
    assert_eq!(host.post("/api/notes/rate", &json!({"noteId": "a", "rating": 5})).status, 201);
    assert_eq!(host.post("/api/notes/publish", &refused("b")).status, 422);
    assert_eq!(host.get("/nowhere").status, 404);
    fs::write(host.data.join("backup.last"), "1700000000\n").expect("a file");
    host
}

/// What it exports, once everything is there that comes by itself.
fn exported(host: &Host) -> String {
    let all = || host.get("/metrics").body.as_str().expect("text").to_owned();
    until("the samples and the events are there", || {
        let text = all();
        text.contains("hallmark_backup_last_success_timestamp_seconds 1700000000\n")
            && text.contains("hallmark_outbox_depth 0\n")
            && text.contains("registry_events_announced_total{event=\"entry.rolled-back\"} 1\n")
    });
    all()
}

#[test]
fn what_is_exported_is_in_the_table_and_is_what_the_alerts_and_the_dashboard_ask_for() {
    let folder = TempDir::new().expect("a folder");
    let text = exported(&used(folder.path()));
    is_in_the_table(&text);
    is_found(&series(&text));
}

fn is_in_the_table(text: &str) {
    let mut wrong = BTreeSet::new();
    for Series { name, labels } in series(text) {
        let base = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
        let is_named = |known: &str| known == name || base == Some(known);
        let Some(metric) = METRICS.iter().find(|metric| is_named(metric.name)) else {
            wrong.insert(format!("{name} is not in the table"));
            continue;
        };
        let given: Vec<&str> = labels.keys().map(String::as_str).filter(|label| *label != "le").collect();
        if given != metric.labels {
            wrong.insert(format!("{name} has the labels {given:?}, not {:?}", metric.labels));
        }
        let kind = format!("# TYPE {} {}\n", metric.name, metric.instrument.as_str());
        if !text.contains(&kind) || !text.contains(&format!("# HELP {} ", metric.name)) {
            wrong.insert(format!("{name} is no {}, or has no help", metric.instrument.as_str()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    for line in [
        "http_requests_total{method=\"POST\",route=\"/api/{kind}/publish\",status=\"503\"} 1\n",
        "registry_operation_duration_ms_count{entity=\"note\",action=\"rollback\",outcome=\"rolled-back\"} 1\n",
        "hallmark_plugin_failures_total{plugin=\"hostile\",cause=\"broke\"} 1\n",
        "hallmark_plugin_failures_total{plugin=\"hostile\",cause=\"busy\"} 0\n",
        "hallmark_plugin_evaluation_duration_seconds_count{plugin=\"hostile\",outcome=\"broke\"} 1\n",
        "hallmark_plugin_quarantines_total{plugin=\"hostile\"} 0\n",
        "hallmark_gate_queue_max 256\n",
        "hallmark_database_connections_max{pool=\"readers\"} 16\n",
        "hallmark_database_connections_max{pool=\"writer\"} 1\n",
    ] {
        assert!(text.contains(line), "{line} is missing in\n{text}");
    }
    assert!(!text.contains("route=\"/api/notes"), "a route is its template, never a path: {text}");
}

#[test]
fn the_page_has_every_metric_and_no_other() {
    let page = read("docs/OBSERVABILITY.md");
    let labels = |labels: &[&str]| labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ");
    let rows: Vec<String> = METRICS
        .iter()
        .map(|metric| {
            let kind = metric.instrument.as_str();
            format!("| `{}` | {kind} | {} | {} |", metric.name, labels(metric.labels), metric.help)
        })
        .collect();
    let there: Vec<&str> = page
        .lines()
        .filter(|line| ["counter", "gauge", "histogram"].iter().any(|kind| line.contains(&format!("` | {kind} | "))))
        .collect();
    assert_eq!(there, rows, "docs/OBSERVABILITY.md differs from telemetry/table.rs");
    // One that nobody writes to would be a promise.
    let arguments = ["-rhoE", "\"[a-z]+_[a-z_]+\"", "host/src", "--include=*.rs", "--exclude=table.rs"];
    let sources = Command::new("grep").args(arguments).current_dir(root()).output().expect("grep runs");
    let named: BTreeSet<String> = String::from_utf8_lossy(&sources.stdout).lines().map(str::to_owned).collect();
    let idle: Vec<&str> =
        METRICS.iter().map(|metric| metric.name).filter(|name| !named.contains(&format!("\"{name}\""))).collect();
    assert!(idle.is_empty(), "metrics that nothing records: {idle:?}");
}

/// Every expression of the alerts, and of the dashboard with what Grafana puts in, each with its place.
fn expressions() -> Vec<(String, String)> {
    let rules = decode(read("docs/observability/alerts.yaml").as_bytes(), Format::Yaml, &Limits::default());
    let rules = rules.expect("YAML");
    let mut found = Vec::new();
    for group in rules["groups"].as_array().expect("groups") {
        for rule in group["rules"].as_array().expect("rules") {
            let name = rule["alert"].as_str().expect("a name");
            found.push((name.to_owned(), rule["expr"].as_str().expect("an expression").to_owned()));
        }
    }
    let dashboard: Value = serde_json::from_str(&read("docs/observability/registry-operations.json")).expect("JSON");
    assert_eq!(dashboard["title"], "Registry Operations");
    for panel in dashboard["panels"].as_array().expect("panels").iter().filter(|panel| panel["type"] != "row") {
        let title = panel["title"].as_str().expect("a title");
        for target in panel["targets"].as_array().expect("targets") {
            let expression = target["expr"].as_str().expect("an expression");
            let put_in = [("$__rate_interval", "5m"), ("$entity", ".*"), ("$instance", ".*")];
            let expression = put_in.iter().fold(expression.to_owned(), |text, (from, to)| text.replace(from, to));
            assert!(!expression.contains('$'), "{title}: {expression}");
            found.push((title.to_owned(), expression));
        }
    }
    found
}

/// What is wrong with an expression over these series.
fn faults(expression: &str, exported: &[Series]) -> Vec<String> {
    let mut faults = Vec::new();
    let asked = asked(expression);
    if asked.selectors.is_empty() {
        faults.push("it asks for nothing".to_owned());
    }
    let mut labels: BTreeSet<&str> = OF_PROMETHEUS.into();
    for (name, matchers) in &asked.selectors {
        let named: Vec<&Series> = exported.iter().filter(|series| series.name == *name).collect();
        if named.is_empty() {
            faults.push(format!("{name} is not exported"));
        }
        labels.extend(named.iter().flat_map(|series| series.labels.keys().map(String::as_str)));
        let ours = |matcher: &&Matcher| !OF_PROMETHEUS.contains(&matcher.label.as_str());
        let matches = |series: &&&Series| {
            matchers
                .iter()
                .filter(ours)
                .all(|matcher| series.labels.get(&matcher.label).is_some_and(|value| matcher.fits(value)))
        };
        if !named.iter().any(|series| matches(&series)) {
            faults.push(format!("no series of {name} fits {matchers:?}"));
        }
    }
    let strangers = asked.groups.iter().filter(|label| !labels.contains(label.as_str()));
    faults.extend(strangers.map(|label| format!("it groups by '{label}', which nothing in it has")));
    faults
}

/// Every expression of the alerts and the dashboard finds what it asks for.
fn is_found(exported: &[Series]) {
    let expressions = expressions();
    assert!(expressions.len() > 30, "{} were found", expressions.len());
    let wrong: Vec<String> = expressions
        .iter()
        .flat_map(|(place, expression)| {
            faults(expression, exported).into_iter().map(move |fault| format!("{place}: {fault}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    // What would not be found is not taken for found.
    let of = |expression| faults(expression, exported).join("; ");
    assert_eq!(
        of("sum(rate(http_request_total[5m]))"),
        "http_request_total is not exported; no series of http_request_total fits []"
    );
    assert!(of("sum(http_requests_total{code=\"200\"})").starts_with("no series of http_requests_total fits"));
    assert!(of("http_requests_total{status=~\"7..\"} > 1").starts_with("no series"));
    assert_eq!(of("sum by (code) (http_requests_total)"), "it groups by 'code', which nothing in it has");
}

#[test]
fn prometheus_takes_the_alerts_and_they_fire_as_their_tests_say() {
    if std::env::var_os("HALLMARK_WITHOUT_PROMTOOL").is_some() {
        eprintln!("skipped: HALLMARK_WITHOUT_PROMTOOL is set");
        return;
    }
    let promtool = |arguments: &[&str]| {
        let output = Command::new("promtool").args(arguments).current_dir(root().join("docs/observability")).output();
        let output = output.expect(
            "promtool is not installed: `make test` does (Debian's package prometheus), or says why it cannot; set \
             HALLMARK_WITHOUT_PROMTOOL=1 to go without",
        );
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}");
    };
    promtool(&["check", "rules", "alerts.yaml"]);
    promtool(&["test", "rules", "alerts.test.yaml"]);
    // The dashboard's expressions, as rules: what promtool takes Prometheus takes.
    let folder = TempDir::new().expect("a folder");
    let rules: Vec<Value> = expressions()
        .into_iter()
        .map(|(_, expression)| serde_json::json!({"record": "it:is", "expr": expression}))
        .enumerate()
        .map(|(number, mut rule)| {
            rule["record"] = format!("it:is{number}").into();
            rule
        })
        .collect();
    let file = folder.path().join("dashboard.yaml");
    let groups = serde_json::json!({"groups": [{"name": "dashboard", "rules": rules}]});
    fs::write(&file, groups.to_string()).expect("a file");
    promtool(&["check", "rules", argument(&file)]);

    let tests = read("docs/observability/alerts.test.yaml");
    let page = read("docs/OBSERVABILITY.md");
    for (name, _) in expressions().iter().filter(|(name, _)| name.starts_with("Hallmark")) {
        assert!(tests.contains(&format!("- alertname: {name}\n")), "{name} has no test in which it fires");
        assert!(tests.contains(&format!("alertname: {name}, ")), "{name} has no test in which it does not fire");
        assert!(page.contains(name), "{name} is not in docs/OBSERVABILITY.md");
    }
}

#[test]
fn an_operation_is_one_line_with_what_each_stage_took() {
    let folder = TempDir::new().expect("a folder");
    let log = folder.path().join("log");
    let home = folder.path().join("modules");
    module(&home, "note", &own_binding(&home, "well", "validate", "hostile", "{ break = \"none\" }"));
    let host = Options::new().modules(&home).log(&log).log_format("json").start();
    let published = host.post("/api/notes/publish", &submission("note", "a"));
    assert_eq!(published.status, 201, "{published:?}");
    let rejected = host.post("/api/notes/publish", &refused("b"));
    let target = serde_json::json!({"targetVersion": "1.0.0"});
    assert_eq!(host.post("/api/notes/a/rollback", &target).status, 200);
    assert!(host.stop());

    let lines = fs::read_to_string(&log).expect("a log");
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let of = |event: &str| -> &Value {
        let mut found = lines.iter().filter(|line| line["event"] == event);
        let line = found.next().unwrap_or_else(|| panic!("{event} is told"));
        assert!(found.next().is_none(), "{event} is told once");
        line
    };
    let line = of("registry.note.published");
    assert_eq!(line["correlation_id"].as_str(), published.header("x-request-id"));
    assert_eq!((line["entry"].as_str(), line["version"].as_str()), (Some("a"), Some("1.0.0")));
    assert_eq!(line["decision"], published.body["decision"]["id"]);
    assert_eq!((line["tenant"].as_str(), line["actor"].as_str()), (Some("default"), Some("admin")));
    assert_eq!((line["action"].as_str(), line["outcome"].as_str()), (Some("publish"), Some("published")));
    let stages = ["decode_ms", "schema_ms", "resolve_ms", "validate_ms", "policy_ms", "commit_ms"];
    let of_stages: f64 = stages.iter().map(|stage| line[stage].as_f64().unwrap_or_else(|| panic!("{stage}"))).sum();
    assert!(of_stages <= line["elapsed_ms"].as_f64().expect("a time"), "{line}");

    let line = of("registry.note.rejected");
    assert_eq!(line["decision"], rejected.body["decisionId"]);
    assert!(line["schema_ms"].is_number() && line.get("resolve_ms").is_none(), "it ended there: {line}");
    let line = of("registry.note.rollback");
    assert_eq!((line["outcome"].as_str(), line["version"].as_str()), (Some("rolled-back"), Some("1.0.0")));
}
