//! Limits of the host that no plugin breaks, in the built host: sizes of bodies, changes at once, and the two polls by
//! which a host sees what another left behind.

use std::cell::Cell;

use hallmark::names::Tenant;
use hallmark::registry::store::{Committed, Store as _};
use hallmark::sql::Database;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::store::{patient, publish};
use crate::support::host::{Answer, Host, Options, component, until};

const NEVER_MS: u64 = 3_600_000;

/// Rules of the module `agents` without plugins.
fn rules(description: &str) -> Value {
    json!({"rules": {
        "scope": "module:agents",
        "description": description,
        "kinds": [
            {"name": "agents", "singular": "agent", "idField": "agentId", "documentField": "manifest", "schema": true},
        ],
    }})
}

/// Puts them in force.
fn release(host: &Host) {
    let released = host.post("/api/modules/agents/releases", &rules("agents"));
    assert_eq!(released.status, 201, "{released:?}");
    let activated = host.post("/api/modules/agents/activate", &json!({"release": 1}));
    assert_eq!(activated.status, 200, "{activated:?}");
}

fn too_large(answer: &Answer, limit: &str, limit_bytes: usize) {
    let told = (answer.status, &answer.body["code"], &answer.body["limit"], &answer.body["detail"]);
    let detail = format!("the body has more than {limit} = {limit_bytes}");
    assert_eq!(told, (413, &json!("too-large"), &json!(limit), &json!(detail)));
}

#[test]
fn rules_and_components_have_sizes_of_their_own() {
    let host = Options::new()
        .limit("document_size_max_bytes", 100)
        .limit("rules_size_max_bytes", 1_000)
        .limit("plugin_component_max_bytes", 2_000)
        .start();
    let fits = host.post("/api/modules/agents/releases", &rules(&"x".repeat(500)));
    assert_eq!(fits.status, 201, "{fits:?}");
    let large = host.post("/api/modules/agents/releases", &rules(&"x".repeat(1_000)));
    too_large(&large, "rules_size_max_bytes", 1_000);
    let large = host.send("/api/plugins", "application/wasm", &[0; 2_001]);
    too_large(&large, "plugin_component_max_bytes", 2_000);
    let read = host.send("/api/plugins", "application/wasm", &[0; 2_000]);
    assert_eq!((read.status, &read.body["code"]), (422, &json!("plugin-unfit")), "{read:?}");
}

#[test]
fn a_change_that_its_client_left_still_counts() {
    let host = Options::new().limit("changes_in_flight_max", 1).limit("plugin_configure_deadline_ms", NEVER_MS).start();
    let bytes = std::fs::read(component("hostile")).expect("a component");
    let pushed = host.send("/api/plugins", "application/wasm", &bytes);
    assert_eq!(pushed.status, 201, "{pushed:?}");
    let mut endless = rules("endless");
    let settings = json!({"break": "configure-loop"});
    endless["rules"]["bindings"] =
        json!([{"name": "endless", "stage": "validate", "plugin": pushed.body["digest"], "settings": settings}]);
    // Other rules each time: those that were tried before are kept ready, and trying them again is no work.
    let tried = Cell::new(0);
    let said = || {
        tried.set(tried.get() + 1);
        let answer = host.post("/api/modules/agents/releases", &rules(&format!("agents {}", tried.get())));
        answer.body["detail"].as_str().unwrap_or_default().to_owned()
    };
    // The more patient, the surer the host has begun to try what its client then leaves.
    let patience = Cell::new(0);
    until("a change goes on that its client left", || {
        let (mut streams, mut seen) = (Vec::new(), 0);
        while seen <= patience.get() {
            match said().as_str() {
                "the host is busy: it tries other changes (changes_in_flight_max = 1)" => return true,
                "the host is busy with other changes (changes_in_flight_max = 1): try again" => seen += 1,
                // None is under way: the one that was sent was itself turned away, or none was sent.
                _ => streams.push(host.begin("/api/modules/agents/releases", &endless)),
            }
        }
        patience.set(patience.get() + 1);
        false
    });
}

/// Publishes through the database alone, as a host does that dies before it announces.
fn publish_and_die(address: &str, id: &str) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let database = Database::connect(address, &patient()).await.expect("it opens");
        let active = database.active_release_refs(&Tenant::default_tenant()).await.expect("releases");
        let committed = publish(&database, &active, id, "1.0.0").await.expect("an answer");
        assert!(matches!(committed, Committed::Written { .. }), "{committed:?}");
        database.close().await;
    });
}

fn announced(host: &Host, count: usize) -> bool {
    let line = format!("registry_events_announced_total{{event=\"entry.published\"}} {count}\n");
    host.get("/metrics").body.as_str().is_some_and(|text| text.contains(&line))
}

#[test]
fn what_a_host_that_died_left_is_announced_by_the_next() {
    let folder = TempDir::new().expect("a folder");
    let data = folder.path().join("data");
    let address = format!("sqlite:{}", data.join("hallmark.db").display());
    let host = Options::new().data(&data).start();
    release(&host);
    // Killed, not stopped.
    drop(host);
    publish_and_die(&address, "orphan");
    let next = Options::new().data(&data).limit("event_poll_ms", NEVER_MS).start();
    until("the event is announced", || announced(&next, 1));
    assert_eq!(next.get("/api/agents/orphan").status, 200);
}

#[test]
fn what_is_committed_is_gathered_and_then_announced_together() {
    let folder = TempDir::new().expect("a folder");
    let (data, log) = (folder.path().join("data"), folder.path().join("log"));
    let address = format!("sqlite:{}", data.join("hallmark.db").display());
    let options = || Options::new().data(&data).limit("event_poll_ms", NEVER_MS);
    let gathers = options().limit("event_gather_ms", NEVER_MS).log(&log).start();
    release(&gathers);
    for id in ["first", "second"] {
        let manifest = json!({"agentId": id, "name": id, "version": "1.0.0", "manifest": {}});
        let published = gathers.post("/api/agents/publish", &manifest);
        assert_eq!(published.status, 201, "{published:?}");
    }
    assert!(!announced(&gathers, 1) && !announced(&gathers, 2), "it still gathers");
    // A host that stops keeps nothing back.
    assert!(gathers.stop());
    let told = std::fs::read_to_string(&log).expect("a log");
    assert_eq!(told.matches("event=entry.published").count(), 2, "{told}");
    // One that does not wait announces at once.
    publish_and_die(&address, "third");
    let next = options().limit("event_gather_ms", 0).start();
    until("the event is announced", || announced(&next, 1));
}

#[test]
fn what_another_host_left_is_announced_by_the_poll() {
    let folder = TempDir::new().expect("a folder");
    let data = folder.path().join("data");
    let address = format!("sqlite:{}", data.join("hallmark.db").display());
    let host = Options::new().data(&data).limit("event_poll_ms", 20).start();
    release(&host);
    // Nobody wakes this host: it must look by itself, and more than once.
    for (count, id) in ["first", "second"].into_iter().enumerate() {
        publish_and_die(&address, id);
        until("the event is announced", || announced(&host, count + 1));
    }
}

#[test]
fn what_another_host_activates_is_seen_by_the_poll() {
    let folder = TempDir::new().expect("a folder");
    let address = format!("sqlite:{}", folder.path().join("registry.db").display());
    let objects = folder.path().join("objects");
    let host = |poll_ms| Options::new().database(&address).objects(&objects).limit("release_poll_ms", poll_ms).start();
    let another = host(NEVER_MS);
    release(&another);
    let (looks, never_looks) = (host(20), host(NEVER_MS));
    // A validation writes nothing: it is judged by what its host has loaded.
    let agent = json!({"agentId": "a", "name": "A", "version": "1.0.0", "manifest": {}});
    let refuses = |host: &Host| host.post("/api/agents/validate", &agent).body["valid"] == false;
    assert!(!refuses(&looks) && !refuses(&never_looks));
    let mut strict = rules("strict agents");
    strict["rules"]["kinds"][0]["schema"] = json!({"required": ["spec"]});
    assert_eq!(another.post("/api/modules/agents/releases", &strict).status, 201);
    assert_eq!(another.post("/api/modules/agents/activate", &json!({"release": 2})).status, 200);
    until("the host has looked", || refuses(&looks));
    assert!(!refuses(&never_looks), "nothing but the poll told the other host");
}
