//! Lists beside those of entries: plugins, modules and releases are read page by page, as entries are.

use std::fs;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::command::{against, argument, text};
use crate::support::host::{Answer, Host, Options, component};
use crate::support::rules::own_copy;

/// Every item of a list, in pages of two, by the member that tells them apart.
fn items(host: &Host, list: &str, member: &str) -> Vec<Value> {
    let mut seen = Vec::new();
    let mut path = format!("{list}?limit=2");
    loop {
        let page = host.get(&path);
        assert_eq!(page.status, 200, "{page:?}");
        let items = page.body["items"].as_array().expect("items");
        let cursor = page.body["nextCursor"].as_str();
        assert!(items.len() == 2 || cursor.is_none(), "a page that is not the last is full: {page:?}");
        seen.extend(items.iter().map(|item| item[member].clone()));
        let Some(cursor) = cursor else { return seen };
        path = format!("{list}?limit=2&cursor={cursor}");
    }
}

fn bad_query(answer: &Answer, detail: &str) {
    let told = (answer.status, &answer.body["code"], &answer.body["detail"]);
    assert_eq!(told, (400, &json!("bad-query"), &json!(detail)));
}

/// What every list says of a query that it cannot read; `of` is what the list is of.
fn refuses_other_queries(host: &Host, list: &str, of: &str) {
    for (query, detail) in [
        ("limit=0", "limit is a whole number from 1 to 100, not '0'".to_owned()),
        ("limit=101", "limit is a whole number from 1 to 100, not '101'".to_owned()),
        ("limt=1", "query: unknown name 'limt': did you mean 'limit'?".to_owned()),
        (
            "cursor=x",
            format!(
                "the cursor is not one that a list of {of} gave: pass nextCursor unchanged, or leave it out to begin"
            ),
        ),
    ] {
        bad_query(&host.get(&format!("{list}?{query}")), &detail);
    }
}

fn release(host: &Host, module: &str, description: &str) -> i64 {
    let rules = json!({
        "scope": format!("module:{module}"),
        "description": description,
        "kinds": [{
            "name": format!("{module}s"), "singular": module, "idField": "thingId", "documentField": "manifest",
            "schema": true,
        }],
    });
    let released = host.post(&format!("/api/modules/{module}/releases"), &json!({"rules": rules}));
    assert_eq!(released.status, 201, "{released:?}");
    released.body["number"].as_i64().expect("a number")
}

#[test]
fn releases_are_listed_newest_first() {
    let host = Options::new().start();
    (1..=5).for_each(|number| assert_eq!(release(&host, "note", &number.to_string()), number));
    release(&host, "page", "another module's");
    assert_eq!(host.post("/api/modules/note/activate", &json!({"release": 3})).status, 200);
    let list = "/api/modules/note/releases";
    assert_eq!(items(&host, list, "number"), [5, 4, 3, 2, 1]);
    let page = host.get(&format!("{list}?limit=2")).body;
    assert_eq!((&page["active"], &page["items"][0]["active"]), (&json!(3), &json!(false)));
    assert!(page["items"][0].get("rules").is_none());
    refuses_other_queries(&host, list, "releases of module:note");
    let cursor = page["nextCursor"].as_str().expect("a cursor");
    let other = host.get(&format!("/api/modules/page/releases?cursor={cursor}"));
    bad_query(
        &other,
        "the cursor is not one that a list of releases of module:page gave: pass nextCursor unchanged, or leave it out \
         to begin",
    );
    for message in ["one", "two", "three"] {
        let rules = json!({"scope": "policies", "description": message});
        let released = host.post("/api/policies/releases", &json!({"rules": rules, "message": message}));
        assert_eq!(released.status, 201, "{released:?}");
    }
    assert_eq!(items(&host, "/api/policies/releases", "message"), ["three", "two", "one"]);
    refuses_other_queries(&host, "/api/policies/releases", "releases of policies");
}

#[test]
fn modules_are_listed_by_name_and_a_client_reads_them_all() {
    let host = Options::new().start();
    // One more than the client asks for at once.
    let mut names: Vec<String> = (0..101).map(|number| format!("m{number:03}")).collect();
    names.iter().rev().for_each(|name| {
        release(&host, name, "one of many");
        assert_eq!(host.post(&format!("/api/modules/{name}/activate"), &json!({"release": 1})).status, 200);
    });
    release(&host, "idle", "never activated");
    // The kind of the last is known to a client that reads every page.
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("thing.yaml");
    fs::write(&path, "{thingId: a, name: A, version: 1.0.0, manifest: {}}").expect("a file");
    let published = against(&host, &["publish", argument(&path), "--kind", "m100s"]);
    assert_eq!(published.status.code(), Some(0), "{}", text(&published.stderr));
    assert_eq!(items(&host, "/api/modules", "name"), names.iter().map(|name| json!(name)).collect::<Vec<_>>());
    names.truncate(25);
    let first = host.get("/api/modules").body;
    let listed: Vec<&str> =
        first["items"].as_array().expect("items").iter().filter_map(|item| item["name"].as_str()).collect();
    assert_eq!(listed, names, "25 where the query does not say");
    refuses_other_queries(&host, "/api/modules", "modules");
}

#[test]
fn versions_are_listed_newest_first() {
    let host = Options::new().start();
    release(&host, "note", "notes");
    assert_eq!(host.post("/api/modules/note/activate", &json!({"release": 1})).status, 200);
    let versions: Vec<String> = (0..101).map(|number| format!("1.{number}.0")).collect();
    for version in &versions {
        let note = json!({"thingId": "a", "name": "A", "version": version, "manifest": {}});
        assert_eq!(host.post("/api/notes/publish", &note).status, 201);
    }
    let newest_first: Vec<Value> = versions.iter().rev().map(|version| json!(version)).collect();
    let list = "/api/notes/a/versions";
    assert_eq!(items(&host, list, "version"), newest_first);
    let first = host.get(&format!("{list}?limit=1")).body;
    assert_eq!((&first["items"][0]["status"], first["items"][0].get("manifest")), (&json!("active"), None));
    refuses_other_queries(&host, list, "versions of notes/a");
    let shown = host.get("/api/notes/a").body["versions"].as_array().expect("versions").clone();
    assert_eq!(shown.iter().map(|version| version["version"].clone()).collect::<Vec<_>>(), newest_first[..100]);
    let missing = host.get("/api/notes/b/versions");
    assert_eq!((missing.status, &missing.body["detail"]), (404, &json!("no entry 'b'")));
}

#[test]
fn plugins_are_listed_by_name() {
    let folder = TempDir::new().expect("a folder");
    let host = Options::new().start();
    for name in ["one", "two", "three"] {
        let copy = own_copy(folder.path(), &component("placeholders"), name);
        let pushed = host.send("/api/plugins", "application/wasm", &fs::read(copy).expect("a component"));
        assert_eq!((pushed.status, &pushed.body["created"]), (201, &json!(true)), "{pushed:?}");
    }
    for name in ["service-rules", "agent-rules"] {
        let bytes = fs::read(component(name)).expect("a component");
        assert_eq!(host.send("/api/plugins", "application/wasm", &bytes).status, 201);
        let again = host.send("/api/plugins", "application/wasm", &bytes);
        assert_eq!((again.status, &again.body["created"]), (200, &json!(false)), "{again:?}");
    }
    assert_eq!(
        items(&host, "/api/plugins", "name"),
        ["agent-rules", "placeholders", "placeholders", "placeholders", "service-rules"]
    );
    let digests = items(&host, "/api/plugins", "digest");
    assert!((1..5).all(|place| !digests[..place].contains(&digests[place])), "{digests:?}");
    refuses_other_queries(&host, "/api/plugins", "plugins");
}
