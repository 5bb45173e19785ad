//! Decisions are listed, explained and run again: on any host of the fleet, whatever the rules and the registry are by
//! then.

use std::fs;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::command::{against, argument, text};
use crate::support::host::{Host, Options, root};
use crate::support::new_postgres_database;
use crate::support::rules::{module, own_binding, submission};
use crate::support::tamper::{change_decision, forget_submission};

/// Everything in `examples/manifests`, and one with variables, a secret among them.
fn publish_examples(host: &Host) {
    let service = json!({
        "serviceId": "billing", "name": "Billing", "version": "1.0.0", "manifest": {},
        "variables": {"UNKNOWN": "x", "no name": "y", "WRONG": {"secret": true, "value": "hunter2", "more": 1}},
    });
    for folder in ["examples/manifests/valid", "examples/manifests/invalid"] {
        let published = against(host, &["publish", folder]);
        assert!(published.status.code() < Some(2), "{}", text(&published.stderr));
    }
    let refused = host.post("/api/services/publish", &service);
    assert_eq!(refused.body["code"], "rejected", "{refused:?}");
}

/// Every decision's id, newest first.
fn ids(host: &Host, query: &str) -> Vec<String> {
    let page = host.get(&format!("/api/decisions?limit=100{query}"));
    assert_eq!(page.status, 200, "{page:?}");
    let items = page.body["items"].as_array().expect("items").clone();
    items.iter().map(|item| item["id"].as_str().expect("an id").to_owned()).collect()
}

fn replay(host: &Host, id: &str) -> Value {
    let answer = host.send(&format!("/api/decisions/{id}/replay"), "application/json", b"");
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body
}

#[test]
fn every_decision_comes_again_on_a_host_that_never_saw_its_rules() {
    let database = tokio::runtime::Runtime::new().expect("a runtime").block_on(new_postgres_database());
    let objects = TempDir::new().expect("a folder");
    let first = Options::examples().database(&database).objects(objects.path()).start();
    publish_examples(&first);
    // What was looked up is something else by now, and other rules are in force.
    let newer = fs::read_to_string(root().join("examples/manifests/valid/service.yaml")).expect("an example");
    let newer = newer.replace("version: 1.0.0", "version: 1.1.0");
    let published = first.send("/api/services/publish", "application/yaml", newer.as_bytes());
    assert_eq!(published.status, 201, "{published:?}");
    for scope in ["policies", "module:agents"] {
        let path = if scope == "policies" { "/api/policies".to_owned() } else { "/api/modules/agents".to_owned() };
        let rules = json!({"scope": scope, "description": "nothing is asked any more"});
        let released = first.post(&format!("{path}/releases"), &json!({"rules": rules}));
        assert_eq!(released.status, 201, "{released:?}");
        assert_eq!(first.post(&format!("{path}/activate"), &json!({"release": released.body["number"]})).status, 200);
    }
    let second = Options::new().database(&database).objects(objects.path()).start();
    let all = ids(&second, "");
    assert!(all.len() >= 18, "{all:?}");
    let mut looked_up = 0;
    for id in &all {
        let decision = second.get(&format!("/api/decisions/{id}")).body;
        looked_up += decision["lookups"].as_array().expect("look-ups").len();
        for host in [&first, &second] {
            assert_eq!(replay(host, id), json!({"decision": id, "verdict": "same"}), "{decision}");
        }
    }
    assert!(looked_up > 0, "some of them asked the registry");
}

#[test]
fn a_plugin_that_broke_breaks_again_and_nobody_is_quarantined_for_it() {
    let folder = TempDir::new().expect("a folder");
    for (name, damage) in [("panic", "panic"), ("loop", "loop")] {
        let settings = format!("{{ break = \"{damage}\" }}");
        let module_folder = folder.path().join(name);
        module(&module_folder, name, &own_binding(&module_folder, name, "validate", "hostile", &settings));
    }
    let host = Options::new().limit("plugin_deadline_ms", 500).limit("plugin_failures_max", 3).start();
    for name in ["panic", "loop"] {
        let applied = against(&host, &["module", "apply", argument(&folder.path().join(name))]);
        assert_eq!(applied.status.code(), Some(0), "{}", text(&applied.stderr));
        assert_eq!(host.post(&format!("/api/{name}s/publish"), &submission(name, "one")).status, 503);
    }
    let [looped, panicked] = &ids(&host, "&outcome=failed")[..] else { panic!("two failed") };
    for _ in 0..4 {
        assert_eq!(replay(&host, panicked)["verdict"], "same");
    }
    let told = against(&host, &["decision", "replay", panicked]);
    assert_eq!(text(&told.stdout), "same: every byte of the decision but its id and times came again\n");
    assert_eq!(told.status.code(), Some(0));
    assert_eq!(host.get("/health").body["plugins"]["quarantined"], json!([]));
    let told = against(&host, &["decision", "replay", looped]);
    assert_eq!(
        text(&told.stdout),
        "it cannot be told: the binding 'loop' overran its deadline (plugin_deadline_ms = 500): that depends on the \
         machine, and another run may end otherwise\n"
    );
    assert_eq!(told.status.code(), Some(3));
}

#[test]
fn a_host_runs_no_more_decisions_again_than_it_may() {
    let host = Options::examples().limit("replays_in_flight_max", 0).start();
    publish_examples(&host);
    let id = &ids(&host, "")[0];
    let answer = host.send(&format!("/api/decisions/{id}/replay"), "application/json", b"");
    assert_eq!((answer.status, &answer.body["code"]), (503, &json!("busy")));
    assert_eq!(answer.body["detail"], "the host is busy: it runs other decisions again (replays_in_flight_max = 0)");
    let unknown = host.send("/api/decisions/nothing/replay", "application/json", b"");
    assert_eq!(unknown.status, 503, "the right to run comes first");
}

#[test]
fn a_record_that_was_changed_is_told_from_what_comes_again() {
    let folder = TempDir::new().expect("a folder");
    let data = folder.path().join("data");
    let host = Options::examples().data(&data).start();
    publish_examples(&host);
    let of = |entry: &str| ids(&host, &format!("&kind=agents&entry={entry}")).first().expect("a decision").clone();
    let (approved, asking) = (of("release-notes"), of("triage"));
    let rejected = ids(&host, "&kind=agents&outcome=rejected").first().expect("a decision").clone();
    let lookups = |id: &str| host.get(&format!("/api/decisions/{id}")).body["lookups"].as_array().map(Vec::len);
    let asking = if lookups(&asking) > Some(0) { asking } else { approved.clone() };
    assert!(lookups(&asking) > Some(0), "it asked the registry");
    assert!(host.stop());
    change_decision(&data, &rejected, |body| body["findings"][0]["message"] = json!("something else"));
    // As a decision was that kept digests alone.
    change_decision(&data, &asking, |body| {
        for lookup in body["lookups"].as_array_mut().expect("look-ups") {
            lookup.as_object_mut().expect("an object").remove("answer");
            lookup["found"] = json!(hallmark::names::Digest::of(b""));
        }
    });
    let host = Options::examples().data(&data).start();
    let told = against(&host, &["decision", "replay", &rejected]);
    let shown = text(&told.stdout);
    assert!(shown.starts_with("different:\n") && shown.contains("/findings"), "{shown}");
    assert!(shown.contains("\"something else\" -> \""), "{shown}");
    assert_eq!(told.status.code(), Some(1));
    let replayed = replay(&host, &rejected);
    assert_eq!(replayed["verdict"], "different");
    assert_eq!(replayed["recorded"]["findings"][0]["message"], "something else");
    assert!(replayed["replayed"].get("timings").is_none() && replayed["replayed"].get("id").is_none());
    let reason = replay(&host, &asking)["reason"].as_str().expect("a reason").to_owned();
    assert!(reason.ends_with(", and the decision does not hold what it was answered"), "{reason}");
    assert!(host.stop());
    forget_submission(&data, &rejected);
    let host = Options::examples().data(&data).start();
    assert_eq!(
        replay(&host, &rejected)["reason"],
        "what was sent was not kept: the decision is of the time before it was"
    );
    let explained = text(&against(&host, &["decision", "explain", &rejected]).stdout);
    assert!(explained.contains("what was sent was not kept"), "{explained}");
}

#[test]
fn decisions_are_listed_newest_first_and_found_by_what_they_are_about() {
    let host = Options::examples().start();
    publish_examples(&host);
    let all = ids(&host, "");
    let mut sorted = all.clone();
    sorted.sort_unstable_by(|one, other| other.cmp(one));
    assert_eq!(all, sorted);
    // Page by page.
    let (mut seen, mut query) = (Vec::new(), "?limit=4".to_owned());
    loop {
        let page = host.get(&format!("/api/decisions{query}")).body;
        seen.extend(page["items"].as_array().expect("items").iter().map(|item| item["id"].clone()));
        let Some(cursor) = page["nextCursor"].as_str() else { break };
        query = format!("?limit=4&cursor={cursor}");
    }
    assert_eq!(seen, all.iter().map(|id| json!(id)).collect::<Vec<_>>());
    let outcomes: Vec<_> = ["approved", "rejected", "failed"].map(|it| ids(&host, &format!("&outcome={it}"))).into();
    assert_eq!(outcomes.iter().map(Vec::len).sum::<usize>(), all.len());
    assert!(outcomes[0].len() == 8 && outcomes[2].is_empty(), "{outcomes:?}");
    assert_eq!(ids(&host, "&kind=agents&entry=triage").len(), 1);
    assert_eq!(ids(&host, "&kind=agents&entry=nobody"), [""; 0]);
    let refused = ids(&host, "&kind=services&entry=example");
    assert!(refused.len() > 2 && refused.iter().all(|id| outcomes[1].contains(id)), "{refused:?}");
    let by_agents = ids(&host, "&release=module:agents%231");
    assert_eq!(by_agents, ids(&host, "&kind=agents"));
    assert_eq!(ids(&host, "&release=policies%231").len(), all.len());
    assert_eq!(ids(&host, "&release=policies%2311"), [""; 0]);
    assert_eq!(ids(&host, "&since=2999-01-01"), [""; 0]);
    assert_eq!(ids(&host, "&since=2020-01-01T00:00:00Z"), all);
    for (query, detail) in [
        ("entry=a", "an entry is known by its kind and its id: add kind=KIND"),
        ("outcome=no", "outcome is approved, rejected or failed, not 'no'"),
        ("release=3", "release is a scope, # (in a URL: %23) and a number, as in module:agents#3, not '3'"),
        ("since=now", "since is an instant in UTC, as in 2026-11-20 or 2026-11-20T17:40:00Z, not 'now'"),
    ] {
        let answer = host.get(&format!("/api/decisions?{query}"));
        assert_eq!((answer.status, &answer.body["detail"]), (400, &json!(detail)));
    }
    let listed = against(&host, &["decision", "list", "--kind", "agents", "--outcome", "approved", "--limit", "1"]);
    let line = text(&listed.stdout);
    assert!(line.contains("  approved  agents/") && line.ends_with("by admin (0 errors, 0 warnings)\n"), "{line}");
    assert!(text(&listed.stderr).starts_with("more follow: --cursor "));
    let listed = against(&host, &["decision", "list", "--release", "module:services#1", "--output", "json"]);
    let listed: Value = serde_json::from_slice(&listed.stdout).expect("JSON");
    assert_eq!(listed["items"][0]["kind"], "services");
}

#[test]
fn an_explanation_says_which_rule_said_what_about_which_line() {
    let host = Options::examples().start();
    let manifest = "examples/manifests/invalid/service-unknown-dependency.yaml";
    assert_eq!(against(&host, &["publish", manifest]).status.code(), Some(1));
    let id = ids(&host, "").remove(0);
    let told = against(&host, &["decision", "explain", &id]);
    assert_eq!(told.status.code(), Some(0));
    let plugins = host.get("/api/plugins").body;
    let plugin = plugins["items"].as_array().expect("plugins").iter().find(|it| it["name"] == "service-rules");
    let digest = plugin.expect("it is pushed")["digest"].as_str().expect("a digest").to_owned();
    let shown = text(&told.stdout);
    let finding = shown.split_once("\n\n").expect("a head").1;
    assert_eq!(
        finding.replace(&id, "ID").replace(&digest, "DIGEST"),
        "error[dependencies.unknown]: the service 'databse' is neither in the document nor published in services
 --> decision ID:7:11
  |
7 |           \"databse\"
  |           ^^^^^^^^^
  |
  = note: by the binding 'service-rules' of module:services release 1 (validate), at /manifest/services/0/dependsOn/0
  = note: plugin service-rules 0.1.0 (DIGEST)
  = note: dependencies.unknown: `dependsOn` or `fromService` names a service that is neither in the document nor published.
  = note: Add the service, publish it first, or correct the slug.
  = help: add the service, publish it first, or correct the slug

"
    );
    let explained = host.get(&format!("/api/decisions/{id}/explanation")).body;
    assert_eq!(explained["findings"][0]["release"]["scope"], "module:services");
    assert_eq!(explained["findings"][0]["by"]["digest"], digest);
    assert_eq!(explained["findings"][0]["documentation"]["code"], "dependencies.unknown");
    assert_eq!(explained["submission"]["serviceId"], "example");
}

/// A manifest that names a service which nobody knows.
const UNKNOWN_DEPENDENCY: &str = "examples/manifests/invalid/service-unknown-dependency.yaml";

#[test]
fn an_explanation_points_into_the_publishers_own_file() {
    let host = Options::examples().start();
    let manifest = UNKNOWN_DEPENDENCY;
    assert_eq!(against(&host, &["publish", manifest]).status.code(), Some(1));
    let id = ids(&host, "").remove(0);
    let told = against(&host, &["decision", "explain", &id, "--source", manifest]);
    assert_eq!(told.status.code(), Some(0), "{}", text(&told.stderr));
    let shown = text(&told.stdout);
    let (head, finding) = shown.split_once("\n\n").expect("a head");
    assert_eq!(head.lines().last(), Some(&*format!("source     {manifest}: what was judged")));
    let here = "error[dependencies.unknown]: the service 'databse' is neither in the document nor published in services
 --> examples/manifests/invalid/service-unknown-dependency.yaml:7:95
  |
7 |     - { slug: api, displayName: One, kind: api, baseUrl: \"http://127.0.0.1:4500\", dependsOn: [databse] }
  |                                                                                               ^^^^^^^
  |
  = note: by the binding 'service-rules' of module:services release 1 (validate), at /manifest/services/0/dependsOn/0
";
    assert!(finding.starts_with(here), "{finding}");
    // The same lines as a dry run shows.
    let validated = text(&against(&host, &["publish", manifest, "--dry-run"]).stdout);
    let lines = |shown: &str| shown.lines().skip(1).take(4).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(lines(finding), lines(&validated));
    let told = against(&host, &["decision", "explain", &id, "--source", manifest, "--output", "json"]);
    let told: Value = serde_json::from_slice(&told.stdout).expect("JSON");
    assert_eq!(told["source"], json!({"file": manifest, "note": "what was judged"}));
    assert_eq!(told["findings"][0]["place"], json!({"file": manifest, "line": 7, "column": 95}));
}

#[test]
fn a_file_that_is_not_what_was_judged_is_told_from_it() {
    let host = Options::examples().start();
    let folder = TempDir::new().expect("a folder");
    assert_eq!(against(&host, &["publish", UNKNOWN_DEPENDENCY]).status.code(), Some(1));
    let id = ids(&host, "").remove(0);
    // A list of several, in JSON; and one of the same entry that was mended since.
    let sent = host.get(&format!("/api/decisions/{id}/explanation")).body["submission"].take();
    let mut mended = sent.clone();
    mended["manifest"]["services"][0]["dependsOn"][0] = json!("database");
    mended["tags"] = json!(["mended"]);
    let write = |name: &str, value: &Value| {
        let path = folder.path().join(name);
        fs::write(&path, value.to_string()).expect("a file");
        path.to_str().expect("UTF-8").to_owned()
    };
    let explain = |file: &str| {
        let told = against(&host, &["decision", "explain", &id, "--source", file]);
        (text(&told.stdout), text(&told.stderr), told.status.code())
    };
    let (shown, error, code) = explain(&write("several.json", &json!([mended, sent])));
    assert!(code == Some(0) && shown.contains(" --> ") && shown.contains("/several.json:1:"), "{shown}{error}");
    let path = write("mended.json", &mended);
    assert_eq!(
        explain(&path),
        (
            String::new(),
            format!(
                "error: --source: {path} is not what was judged as services/example 1.0.0. From what was judged to the \
                 file:\n    /manifest/services/0/dependsOn/0: \"databse\" -> \"database\"\n    /tags: added \
                 [\"mended\"]\n"
            ),
            Some(2)
        )
    );
    let mut other = sent.clone();
    other["serviceId"] = json!("other");
    let path = write("others.json", &json!([other, other]));
    let none = format!(
        "error: --source: {path} holds 2 submissions, and none of them is services/example 1.0.0 as it was judged\n"
    );
    assert_eq!(explain(&path), (String::new(), none, Some(2)));
    let agent = "examples/manifests/valid/agent.yaml";
    let of_another = format!("error: --source: {agent} holds agents, and what was judged is services/example 1.0.0\n");
    assert_eq!(explain(agent), (String::new(), of_another, Some(2)));
    let folder = folder.path().to_str().expect("UTF-8");
    let named = format!("error: --source: {folder} is a folder: name the file that was published\n");
    assert_eq!(explain(folder), (String::new(), named, Some(2)));
    let broken = write("broken.json", &json!("x"));
    assert_eq!(explain(&broken).1, format!("error: --source: {broken}: not a submission: expected an object\n"));
    fs::write(&broken, "{").expect("a file");
    assert!(explain(&broken).1.starts_with(&format!("error: --source: {broken}: ")), "{}", explain(&broken).1);
    assert_eq!(explain("nowhere.yaml").1, "error: nowhere.yaml: no such file or folder\n");
}

#[test]
fn an_explanation_of_a_bare_document_says_what_did_not_come_from_it() {
    let host = Options::examples().start();
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("agent.yaml");
    let example = fs::read_to_string(root().join("examples/manifests/invalid/agent-no-readiness-probe.yaml"));
    let document = example.expect("an example").split_once("manifest:\n").expect("a document").1.to_owned();
    fs::write(&file, document).expect("a file");
    let published = against(&host, &["publish", argument(&file), "--kind", "agents", "--id", "example"]);
    assert_eq!(published.status.code(), Some(1), "{}", text(&published.stderr));
    let explain = |id: &str| {
        let told = against(&host, &["decision", "explain", id, "--source", argument(&file)]);
        assert_eq!(told.status.code(), Some(0), "{}", text(&told.stderr));
        text(&told.stdout)
    };
    let shown = explain(&ids(&host, "")[0]);
    let source = |note: &str| format!("source     {}: {note}\n", file.display());
    assert!(shown.contains(&source("the document that was judged")), "{shown}");
    let lines = format!(" --> {}:7:3\n  |\n7 |   spec:\n  |   ^^^^\n", file.display());
    assert!(shown.contains(&lines), "{shown}");
    // The same document, sent by a program that says more around it.
    let explained = host.get(&format!("/api/decisions/{}/explanation", ids(&host, "")[0])).body;
    let mut sent = explained["submission"].clone();
    sent["tags"] = json!(["x"]);
    sent["variables"] = json!({"UNUSED": "x"});
    assert_eq!(host.post("/api/agents/publish", &sent).status, 422);
    let shown = explain(&ids(&host, "")[0]);
    let note = "the document that was judged; not from the file: tags; judged with other variables: UNUSED";
    assert!(shown.contains(&source(note)) && shown.contains(&lines), "{shown}");
}

#[test]
fn no_secret_is_kept_with_what_was_sent() {
    let host = Options::examples().start();
    publish_examples(&host);
    let explained = |query: &str| {
        let id = ids(&host, query).remove(0);
        host.get(&format!("/api/decisions/{id}/explanation")).body
    };
    let approved = explained("&kind=services&entry=weather");
    assert_eq!(
        approved["submission"]["variables"],
        json!({
            "DATABASE_PASSWORD": {"secret": true, "value": "__secret_DATABASE_PASSWORD__"},
            "REFRESH_MS": {"secret": false, "value": "5000"},
        })
    );
    let text = approved.to_string();
    assert!(text.contains("${") && !text.contains("correct-horse"), "what was sent has its placeholders: {text}");
    // A variable that was refused for its form may be a secret that was written wrongly.
    let refused = explained("&kind=services&entry=billing");
    assert_eq!(refused["submission"]["variables"], json!({"UNKNOWN": {"secret": false, "value": "x"}}));
    assert!(!refused.to_string().contains("hunter2"));
    let said = |code: &str| refused["findings"].as_array().expect("findings").iter().any(|it| it["code"] == code);
    assert!(said("schema.variable"), "{refused}");
}
