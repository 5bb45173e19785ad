//! The HTTP API through the built binary: what each route answers, and that whatever a client sends, the answer is a
//! problem document with the request's id. The module here binds no plugin: what plugins do has tests of its own.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::support::host::{Answer, Host, Options, until};

fn notes_rules() -> Value {
    json!({
        "scope": "module:notes",
        "kinds": [{
            "name": "notes", "singular": "note", "idField": "noteId", "documentField": "content",
            "schema": {
                "type": "object",
                "properties": {"title": {"type": "string"}},
                "required": ["title"],
                "additionalProperties": false,
            },
        }],
    })
}

/// A host on which the kind `notes` is in force.
fn host_with_notes(options: Options) -> Host {
    let host = options.start();
    let released = host.post("/api/modules/notes/releases", &json!({"rules": notes_rules(), "message": "first"}));
    assert_eq!(released.status, 201, "{released:?}");
    let activated = host.post("/api/modules/notes/activate", &json!({"release": 1}));
    assert_eq!(activated.status, 200, "{activated:?}");
    host
}

fn note(id: &str, version: &str, title: &str) -> Value {
    json!({"noteId": id, "name": "A note", "version": version, "tags": ["x"], "content": {"title": title}})
}

fn told(answer: &Answer) -> (u16, &str) {
    (answer.status, answer.body["code"].as_str().unwrap_or_default())
}

/// Sends bytes as they are and reads until the host closes.
fn raw(host: &Host, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(host.url.trim_start_matches("http://")).expect("a connection");
    stream.write_all(bytes).expect("sent");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer");
    text
}

#[test]
fn an_entry_is_published_read_listed_and_rolled_back() {
    let host = host_with_notes(Options::new());
    let first = host.post("/api/notes/publish", &note("one", "1.0.0", "First"));
    assert_eq!(first.status, 201, "{first:?}");
    assert_eq!(first.header("location"), Some("/api/notes/one/versions/1.0.0"));
    assert_eq!(first.body["note"]["content"], json!({"title": "First"}));
    assert_eq!(first.body["decision"]["outcome"], "approved");
    let decision = first.body["decision"]["id"].as_str().expect("an id");
    assert_eq!(first.body["note"]["decisionId"], decision);
    assert_eq!(host.get(&format!("/api/decisions/{decision}")).body, first.body["decision"]);

    let again = host.post("/api/notes/publish", &note("one", "1.0.0", "First"));
    assert_eq!(
        (again.status, &again.body["status"], &again.body["reason"]),
        (202, &json!("skipped"), &json!("duplicate"))
    );
    assert_eq!(again.body["decision"]["id"], decision);
    let other = host.post("/api/notes/publish", &note("one", "1.0.0", "Other"));
    assert_eq!(told(&other), (409, "version-exists"));
    assert_eq!(
        other.body["detail"],
        "version 1.0.0 of note 'one' is published with other content: publish a new version"
    );

    let yaml = "noteId: one\nname: A note\nversion: 1.1.0\ncontent: {title: Second}\n";
    let second = host.send("/api/notes/publish", "application/yaml", yaml.as_bytes());
    assert_eq!(second.status, 201, "{second:?}");
    let entry = host.get("/api/notes/one").body;
    assert_eq!((&entry["version"], &entry["content"]["title"]), (&json!("1.1.0"), &json!("Second")));
    let versions: Vec<String> = entry["versions"]
        .as_array()
        .expect("versions")
        .iter()
        .map(|version| {
            format!("{} {}", version["version"].as_str().unwrap_or("?"), version["status"].as_str().unwrap_or("?"))
        })
        .collect();
    assert_eq!(versions, ["1.1.0 active", "1.0.0 archived"]);
    let version = host.get("/api/notes/one/versions/1.0.0").body;
    assert_eq!((&version["status"], &version["digest"]), (&json!("archived"), &first.body["note"]["digest"]));

    let back = host.post("/api/notes/one/rollback", &json!({"targetVersion": "1.0.0"}));
    assert_eq!((back.status, &back.body["previousVersion"]), (200, &json!("1.1.0")), "{back:?}");
    assert_eq!((&back.body["note"]["version"], &back.body["report"]["valid"]), (&json!("1.0.0"), &json!(true)));
    assert_eq!(host.get("/api/notes/one").body["version"], "1.0.0");

    for (path, detail) in [
        ("/api/notes/two", "no entry 'two'"),
        ("/api/notes/one/versions/9.9.9", "no version '9.9.9'"),
        ("/api/decisions/0199e2c4-6f0d-7d11-8f64-1c9a7b2e4d55", "no decision '0199e2c4-6f0d-7d11-8f64-1c9a7b2e4d55'"),
        ("/api/modules/none", "no module 'none'"),
        ("/api/plugins/sha256:0", "no plugin 'sha256:0'"),
    ] {
        let missing = host.get(path);
        assert_eq!((told(&missing), &missing.body["detail"]), ((404, "not-found"), &json!(detail)), "{path}");
    }
    let nowhere = host.post("/api/notes/one/rollback", &json!({"targetVersion": "3.0.0"}));
    assert_eq!(told(&nowhere), (404, "not-found"));
    assert_eq!(host.get("/api/agents").body["detail"], "no module declares the kind 'agents'; known kinds are: notes");
}

#[test]
fn a_list_is_read_page_by_page() {
    let host = host_with_notes(Options::new());
    // An entry may be called as an action or a later route is.
    let ids = ["a", "b", "publish", "validate", "versions"];
    for id in ids.iter().rev() {
        assert_eq!(host.post("/api/notes/publish", &note(id, "1.0.0", id)).status, 201);
        assert_eq!(host.get(&format!("/api/notes/{id}")).body["noteId"], *id);
        assert_eq!(host.get(&format!("/api/notes/{id}/versions/1.0.0")).body["noteId"], *id);
    }
    let mut seen = Vec::new();
    let mut path = "/api/notes?limit=2".to_owned();
    loop {
        let page = host.get(&path).body;
        let items = page["items"].as_array().expect("items");
        assert!(items.iter().all(|item| item.get("content").is_none()));
        seen.extend(items.iter().map(|item| item["noteId"].as_str().expect("an id").to_owned()));
        let Some(cursor) = page["nextCursor"].as_str() else { break };
        path = format!("/api/notes?limit=2&cursor={cursor}");
    }
    assert_eq!(seen, ids);

    let cursor = host.get("/api/notes?limit=1").body["nextCursor"].as_str().expect("a cursor").to_owned();
    let tampered = host.get(&format!("/api/notes?cursor=x{cursor}"));
    assert_eq!(told(&tampered), (400, "bad-query"));
    assert_eq!(
        tampered.body["detail"],
        "the cursor is not one that a list of notes gave: pass nextCursor unchanged, or leave it out to begin"
    );
    for (query, detail) in [
        ("limit=0", "limit is a whole number from 1 to 100, not '0'"),
        ("limit=101", "limit is a whole number from 1 to 100, not '101'"),
        ("limit=many", "limit is a whole number from 1 to 100, not 'many'"),
        ("limt=1", "query: unknown name 'limt': did you mean 'limit'?"),
    ] {
        let refused = host.get(&format!("/api/notes?{query}"));
        assert_eq!((told(&refused), &refused.body["detail"]), ((400, "bad-query"), &json!(detail)));
    }
}

#[test]
fn validate_answers_what_is_wrong_and_writes_nothing() {
    let host = host_with_notes(Options::new());
    let valid = host.post("/api/notes/validate", &note("one", "1.0.0", "First"));
    assert_eq!((valid.status, &valid.body["valid"]), (200, &json!(true)), "{valid:?}");
    assert_eq!(valid.body["resolved"]["content"]["title"], "First");
    assert_eq!(host.get("/api/notes/one").status, 404);

    let invalid =
        host.post("/api/notes/validate", &json!({"noteId": "one", "name": "A", "version": "1.0.0", "content": {}}));
    assert_eq!((invalid.status, &invalid.body["valid"]), (200, &json!(false)));
    assert_eq!(invalid.findings(), ["schema.required /content"]);
    let nameless = host.post("/api/notes/validate", &json!({"content": {"title": "x"}}));
    assert_eq!((nameless.status, &nameless.body["valid"]), (200, &json!(false)));
    assert_eq!(told(&host.post("/api/notes/publish", &json!({"content": {"title": "x"}}))), (422, "unidentified"));

    let rejected =
        host.post("/api/notes/publish", &json!({"noteId": "one", "name": "A", "version": "1.0.0", "content": {}}));
    assert_eq!(told(&rejected), (422, "rejected"));
    assert_eq!(rejected.findings(), ["schema.required /content"]);
    let decision = rejected.body["decisionId"].as_str().expect("a decision");
    assert_eq!(host.get(&format!("/api/decisions/{decision}")).body["outcome"], "rejected");
}

#[test]
fn what_cannot_be_read_is_refused_with_its_place() {
    let host = host_with_notes(Options::new().limit("document_size_max_bytes", 2_000));
    let twice = host.send("/api/notes/publish", "application/json", b"{\"a\": 1,\n  \"a\": 2}");
    assert_eq!(told(&twice), (400, "malformed"));
    assert_eq!((&twice.body["line"], &twice.body["column"]), (&json!(2), &json!(3)), "{twice:?}");
    let wrong_form = host.post("/api/notes/one/rollback", &json!({"target": "1.0.0"}));
    assert_eq!(told(&wrong_form), (400, "malformed"));
    assert_eq!(wrong_form.body["detail"], "unknown field `target`, expected `targetVersion` at line 1, column 9");
    let list = host.post("/api/modules/notes/unfreeze", &json!([]));
    assert_eq!(told(&list), (400, "malformed"));
    assert_eq!(list.body["detail"], "invalid type: a list, expected an object at line 1, column 1");
    let text = host.send("/api/notes/publish", "text/plain", b"{}");
    assert_eq!(told(&text), (415, "media-type"));
    let large = host.send("/api/notes/publish", "application/json", &[b' '; 2_001]);
    assert_eq!((told(&large), &large.body["limit"]), ((413, "too-large"), &json!("document_size_max_bytes")));

    let token = format!("Authorization: Bearer {}\r\n", host.token);
    let head =
        |target: &str, more: &str| format!("{target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{token}{more}\r\n");
    let chunked = head("POST /api/notes/publish", "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n");
    let large = raw(&host, format!("{chunked}7d1\r\n{}\r\n0\r\n\r\n", " ".repeat(2_001)).as_bytes());
    assert!(large.starts_with("HTTP/1.1 413"), "{large}");
    let no_text = raw(&host, head("GET /api/notes/%ff", "X-Request-Id: r-9\r\n").as_bytes());
    assert!(no_text.starts_with("HTTP/1.1 400") && no_text.contains("\"code\":\"bad-name\""), "{no_text}");
    assert!(no_text.contains("x-request-id: r-9") && no_text.contains("\"correlationId\":\"r-9\""), "{no_text}");
    let stranger =
        raw(&host, b"GET /api/notes HTTP/1.1\r\nHost: h\r\nConnection: close\r\nAuthorization: Bearer hm_0\r\n\r\n");
    assert!(stranger.starts_with("HTTP/1.1 401") && stranger.contains("nobody holds this token"), "{stranger}");
}

/// Larger than what the sockets of both ends take in, so that it is still being sent when it is refused.
const BODY_BYTES: usize = 16_000_000;

#[test]
fn whoever_sends_a_large_body_hears_why_it_is_refused() {
    let host = Options::new().start();
    let body = vec![b' '; BODY_BYTES];
    let asked = |target: &str, more: &str| {
        format!(
            "{target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\nAuthorization: Bearer hm_0\r\n\
             Content-Type: application/wasm\r\nContent-Length: {BODY_BYTES}\r\n{more}\r\n"
        )
    };
    for (target, status) in [
        ("POST /api/plugins", "HTTP/1.1 401"),
        ("POST /api/plugin/of/mine", "HTTP/1.1 404"),
        ("PUT /api/plugins", "HTTP/1.1 405"),
    ] {
        let answer = raw(&host, &[asked(target, "").as_bytes(), &body].concat());
        assert!(answer.starts_with(status), "{target}: {answer}");
    }
    let unsent = raw(&host, asked("POST /api/plugins", "Expect: 100-continue\r\n").as_bytes());
    assert!(unsent.starts_with("HTTP/1.1 401"), "{unsent}");
}

#[test]
fn a_body_that_never_comes_is_not_waited_for() {
    let host = Options::new().limit("request_read_max_ms", 1_000).start();
    let head = format!(
        "POST /api/notes/publish HTTP/1.1\r\nHost: h\r\nConnection: close\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nContent-Length: 9\r\n\r\n{{",
        host.token
    );
    let slow = raw(&host, head.as_bytes());
    assert!(slow.starts_with("HTTP/1.1 408") && slow.contains("\"code\":\"too-slow\""), "{slow}");
    let detail = "the body did not come within request_read_max_ms = 1000: send it faster";
    assert!(slow.contains(detail), "{slow}");
}

#[test]
fn variables_have_a_form_and_limits_and_a_use() {
    let host = host_with_notes(Options::new().limit("variables_max", 2).limit("variable_size_max_bytes", 4));
    let validated = |variables: Value| {
        let mut submission = note("one", "1.0.0", "First");
        submission["variables"] = variables;
        host.post("/api/notes/validate", &submission)
    };
    let unused = validated(json!({"NOBODY": "x"}));
    assert_eq!((unused.status, &unused.body["valid"]), (200, &json!(true)), "{unused:?}");
    assert_eq!(unused.findings(), ["resolve.unused-variable /variables/NOBODY"]);
    let finding = &unused.body["findings"][0];
    assert_eq!(
        (&finding["severity"], &finding["message"]),
        (&json!("warning"), &json!("no placeholder uses the variable 'NOBODY'"))
    );
    for (variables, path, message) in [
        (json!([]), "/variables", "variables are an object of names to values"),
        (json!({"A": 1}), "/variables/A", "a variable's value is text, or {\"value\": text, \"secret\": true}"),
        (
            json!({"1A": "x"}),
            "/variables/1A",
            "a variable's name has letters, digits and '_', no digit first, at most 128",
        ),
        (json!({"A": "12345"}), "/variables/A", "the value has more than variable_size_max_bytes = 4"),
        (json!({"A": "", "B": "", "C": ""}), "/variables", "3 variables are more than variables_max = 2"),
    ] {
        let refused = validated(variables);
        assert_eq!((refused.status, &refused.body["valid"]), (200, &json!(false)), "{refused:?}");
        assert_eq!(refused.findings(), [format!("schema.variable {path}")]);
        assert_eq!(refused.body["findings"][0]["message"], message);
    }
}

#[test]
fn rules_are_released_and_put_in_force() {
    let host = host_with_notes(Options::new());
    let same = host.post("/api/modules/notes/releases", &json!({"rules": notes_rules()}));
    assert_eq!((same.status, &same.body["created"], &same.body["number"]), (200, &json!(false), &json!(1)), "{same:?}");
    let module = host.get("/api/modules/notes").body;
    assert_eq!((&module["name"], &module["release"]["number"]), (&json!("notes"), &json!(1)));
    assert_eq!(module["rules"]["kinds"][0]["idField"], "noteId");
    assert_eq!(host.get("/api/modules").body["items"][0]["kinds"], json!(["notes"]));

    let mut next = notes_rules();
    next["description"] = json!("Notes of all kinds");
    let second = host.post("/api/modules/notes/releases", &json!({"rules": next, "message": "say what it is"}));
    assert_eq!((second.status, &second.body["created"], &second.body["number"]), (201, &json!(true), &json!(2)));
    assert_eq!(second.header("location"), Some("/api/modules/notes/releases/2"));
    assert_eq!(host.post("/api/modules/notes/activate", &json!({"release": 2})).status, 200);
    let releases = host.get("/api/modules/notes/releases").body;
    let listed: Vec<(i64, bool)> = releases["items"]
        .as_array()
        .expect("items")
        .iter()
        .map(|release| (release["number"].as_i64().unwrap_or(0), release["active"] == true))
        .collect();
    assert_eq!((listed, &releases["active"]), (vec![(2, true), (1, false)], &json!(2)));
    assert_eq!(host.get("/api/modules/notes/releases/1").body["message"], "first");

    assert_eq!(told(&host.post("/api/modules/notes/activate", &json!({"release": 9}))), (404, "not-found"));
    assert_eq!(told(&host.get("/api/modules/notes/releases/x")), (400, "bad-name"));
    let astray = host.post("/api/modules/other/releases", &json!({"rules": notes_rules()}));
    assert_eq!(told(&astray), (400, "bad-name"));
    assert_eq!(
        astray.body["detail"],
        "the path is of the scope 'module:other', the rules are of 'module:notes': make them one"
    );
    let refused =
        host.post("/api/policies/releases", &json!({"rules": {"scope": "policies", "kinds": notes_rules()["kinds"]}}));
    assert_eq!(told(&refused), (422, "bad-rules"));
    assert_eq!(refused.findings(), ["rules.kind /kinds"]);
    assert_eq!(
        host.get("/api/policies").body,
        json!({"scope": "policies", "release": null, "rules": null, "frozen": null})
    );

    for word in ["decision", "report", "status"] {
        let mut taken = notes_rules();
        taken["kinds"][0]["singular"] = json!(word);
        let refused = host.post("/api/modules/notes/releases", &json!({"rules": taken}));
        assert_eq!(
            (told(&refused), refused.findings()),
            ((422, "bad-rules"), vec!["rules.kind /kinds/0/singular".to_owned()])
        );
        assert_eq!(
            refused.body["findings"][0]["message"],
            format!("'{word}' cannot be a singular: answers tell something else under this name, beside the entry")
        );
    }
    let unfit = host.send("/api/plugins", "application/wasm", b"no component");
    assert_eq!(told(&unfit), (422, "plugin-unfit"));
    assert_eq!(host.get("/api/plugins").body, json!({"items": [], "nextCursor": null}));
}

#[test]
fn health_and_metrics_tell_what_happened() {
    let host = host_with_notes(Options::new());
    assert_eq!(host.post("/api/notes/publish", &note("one", "1.0.0", "First")).status, 201);
    let health = host.get("/health");
    assert_eq!(health.status, 200);
    assert_eq!(
        health.body,
        json!({
            "status": "ok", "version": env!("CARGO_PKG_VERSION"), "database": "ok", "objectStore": "ok", "rules": "ok",
            "plugins": {"status": "ok", "quarantined": []},
        })
    );
    assert_eq!(host.get("/readyz").body, json!({"status": "ok"}));
    assert_eq!(host.get("/readyz?verbose").body["database"], "ok");
    assert_eq!(host.get("/nowhere").status, 404);
    // The event goes out after the answer: asked for until it is there.
    let announced = "registry_events_announced_total{event=\"entry.published\"} 1";
    until("the event is announced", || host.get("/metrics").body.as_str().is_some_and(|text| text.contains(announced)));
    let metrics = host.get("/metrics");
    let text = metrics.body.as_str().expect("text");
    for line in [
        "http_requests_total{method=\"POST\",route=\"/api/{kind}/publish\",status=\"201\"} 1",
        "http_requests_total{method=\"GET\",route=\"none\",status=\"404\"} 1",
        "registry_operation_duration_ms_count{entity=\"note\",action=\"publish\",outcome=\"published\"} 1",
        "http_request_duration_seconds_bucket{route=\"/api/{kind}/publish\",method=\"POST\",le=\"+Inf\"} 1",
    ] {
        assert!(text.contains(line), "{line} is missing in\n{text}");
    }
    assert!(host.stop(), "it ends well when it is told to");
}

#[test]
fn two_kinds_do_not_share_a_singular() {
    let host = Options::new().start();
    let kind = |name: &str| json!({"name": name, "singular": "agent", "idField": "agentId", "documentField": "manifest", "schema": true});
    let release = |module: &str, kinds: Vec<Value>| {
        let rules = json!({"rules": {"scope": format!("module:{module}"), "kinds": kinds}});
        host.post(&format!("/api/modules/{module}/releases"), &rules)
    };
    let within = release("both", vec![kind("agents"), kind("bots")]);
    assert_eq!(within.status, 422, "{within:?}");
    assert!(within.body.to_string().contains("the kind 'agents' has the singular 'agent' already"), "{within:?}");
    assert_eq!(release("first", vec![kind("agents")]).status, 201);
    assert_eq!(host.post("/api/modules/first/activate", &json!({"release": 1})).status, 200);
    let across = release("second", vec![kind("bots")]);
    assert_eq!(across.status, 422, "{across:?}");
    let told = "module 'second' declares the kind 'bots' with the singular 'agent', which the kind 'agents' of module 'first' has already";
    assert!(across.body.to_string().contains(told), "{across:?}");
}
