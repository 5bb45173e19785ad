//! What every request meets before a handler, and the shape of every problem. Nothing here needs a database: what
//! does is tested through the built binary.

use axum::body::{Body, to_bytes};
use axum::http::{Request, Response, header};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::error::{Code, Problem};
use super::routes::{Access, table};
use super::*;
use crate::clock::Millis;
use crate::names::Digest;
use crate::plugin::{Cause, Failure, Unfit};
use crate::registry::RegistryError;
use crate::registry::activation::{Frozen, Overtaken};
use crate::registry::decode::Malformed;
use crate::registry::fleet::Behind;
use crate::registry::gate::BrokenBinding;
use crate::registry::keys::Unsigned;
use crate::registry::signing::PublicKey;
use crate::registry::store::{Freeze, StoreError};
use crate::report::{Remark, Stage};

fn starting_host(limits: Limits) -> Router {
    router(Host::new(Arc::new(limits), Metrics::detached()))
}

async fn ask(request: Request<Body>) -> (Response<()>, Value) {
    ask_of(starting_host(Limits::default()), request).await
}

async fn ask_of(router: Router, request: Request<Body>) -> (Response<()>, Value) {
    let response = router.oneshot(request).await.expect("the router is infallible");
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.expect("a whole body");
    let text = || Value::String(String::from_utf8_lossy(&body).into_owned());
    let value = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap_or_else(|_| text()) };
    (Response::from_parts(parts, ()), value)
}

fn request(method: &str, path: &str) -> axum::http::request::Builder {
    Request::builder().method(method).uri(path)
}

fn header_of(response: &Response<()>, name: &str) -> String {
    response.headers().get(name).map_or_else(String::new, |value| value.to_str().expect("text").to_owned())
}

#[tokio::test]
async fn a_path_that_nothing_serves_is_a_problem() {
    for path in ["/", "/api", "/api/", "/nowhere", "/api/agents/a/b", "/api/modules/a/versions/1/x", "/health/"] {
        let (response, body) =
            ask(request("GET", path).header("x-request-id", "r-1").body(Body::empty()).expect(path)).await;
        assert_eq!(response.status(), 404, "{path}");
        assert_eq!(header_of(&response, "content-type"), "application/problem+json");
        assert_eq!(
            body,
            json!({
                "type": "urn:hallmark:problem:no-route",
                "title": "Nothing is served here",
                "status": 404,
                "detail": format!("nothing is served at {path}"),
                "code": "no-route",
                "correlationId": "r-1",
            })
        );
    }
}

#[tokio::test]
async fn a_method_that_a_route_lacks_is_a_problem_that_names_those_it_has() {
    for (method, path, allowed) in [
        ("DELETE", "/api/agents", "GET,HEAD"),
        ("PUT", "/api/agents/publish", "GET,HEAD,POST"),
        ("GET", "/api/agents/a/rollback", "POST"),
        ("POST", "/health", "GET,HEAD"),
        ("POST", "/api/decisions/publish", "GET,HEAD"),
        ("POST", "/api/modules/publish", "GET,HEAD"),
        ("BREW", "/api/policies/activate", "POST"),
    ] {
        let (response, body) = ask(request(method, path).body(Body::empty()).expect(path)).await;
        assert_eq!(response.status(), 405, "{method} {path}");
        let mut given: Vec<String> = header_of(&response, "allow").split(',').map(str::to_owned).collect();
        given.sort();
        assert_eq!(given.join(","), allowed, "{method} {path}");
        assert_eq!(body["code"], "no-method");
    }
}

#[tokio::test]
async fn every_route_but_health_and_the_description_takes_a_token() {
    for route in table() {
        let path = route.path.replace(['{', '}'], "");
        let (response, body) = ask(request(route.method, &path).body(Body::empty()).expect("a request")).await;
        match route.access {
            Access::Public => assert_ne!(response.status(), 401, "{path}"),
            Access::Role(_) => {
                assert_eq!(response.status(), 401, "{path}");
                assert_eq!(header_of(&response, "www-authenticate"), "Bearer realm=\"hallmark\"");
                assert_eq!(body["code"], "unauthenticated");
            }
        }
    }
    let public: Vec<&str> =
        table().iter().filter(|route| route.access == Access::Public).map(|route| route.path).collect();
    assert_eq!(public, ["/health", "/livez", "/readyz", "/api/openapi.json", "/docs"]);
}

#[tokio::test]
async fn an_authorization_header_of_another_form_is_refused_before_the_body_is_read() {
    for value in ["Basic abc", "Bearer", "Bearer ", "abc"] {
        let never = Body::from_stream(futures_util::stream::pending::<Result<bytes::Bytes, std::io::Error>>());
        let asked = request("POST", "/api/agents/publish").header(header::AUTHORIZATION, value).body(never);
        let (response, body) = ask(asked.expect("a request")).await;
        assert_eq!(response.status(), 401, "{value}");
        assert_eq!(body["detail"], "the Authorization header is not of the form 'Bearer TOKEN'");
    }
    let (_, body) = ask(request("GET", "/api/agents").body(Body::empty()).expect("a request")).await;
    assert_eq!(body["detail"], "the request has no token: send the header 'Authorization: Bearer TOKEN'");
    let key = |request: axum::http::request::Builder, key: &str| {
        ask(request.header("x-api-key", key).body(Body::empty()).expect("a request"))
    };
    let (_, body) = key(request("GET", "/api/agents"), " ").await;
    assert_eq!(body["detail"], "the X-API-Key header holds no token");
    let both = request("GET", "/api/agents").header(header::AUTHORIZATION, "Bearer a");
    let (response, body) = key(both, "b").await;
    assert_eq!(response.status(), 401);
    assert_eq!(body["detail"], "the request has two tokens: send 'Authorization' or 'X-API-Key', not both");
}

#[tokio::test]
async fn a_host_that_is_starting_says_so() {
    let asked = request("GET", "/api/agents").header(header::AUTHORIZATION, "bearer abc").body(Body::empty());
    let (response, body) = ask(asked.expect("a request")).await;
    assert_eq!((response.status().as_u16(), &body["code"]), (503, &json!("not-ready")));
    assert_eq!(header_of(&response, "retry-after"), "1");

    let (response, body) = ask(request("GET", "/livez").body(Body::empty()).expect("a request")).await;
    assert_eq!((response.status().as_u16(), body), (200, json!({"status": "ok"})));
    let (response, body) = ask(request("GET", "/readyz").body(Body::empty()).expect("a request")).await;
    assert_eq!((response.status().as_u16(), &body["code"]), (503, &json!("not-ready")));
    let (response, body) = ask(request("GET", "/health").body(Body::empty()).expect("a request")).await;
    assert_eq!(response.status(), 503);
    assert_eq!(
        body,
        json!({
            "status": "down",
            "version": env!("CARGO_PKG_VERSION"),
            "database": "starting",
            "objectStore": "starting",
            "rules": "starting",
            "plugins": {"status": "starting", "quarantined": []},
        })
    );
}

#[tokio::test]
async fn a_host_that_is_full_sheds_before_it_asks_who() {
    let full = starting_host(Limits { requests_in_flight_max: 0, ..Limits::default() });
    let (response, body) =
        ask_of(full.clone(), request("GET", "/api/agents").body(Body::empty()).expect("a request")).await;
    assert_eq!(response.status(), 503);
    assert_eq!(header_of(&response, "retry-after"), "1");
    assert_eq!(body["code"], "busy");
    assert_eq!(body["limit"], "requests_in_flight_max");
    assert_eq!(body["detail"], "the host is busy (requests_in_flight_max = 0): try again");
    let (response, _) = ask_of(full, request("GET", "/livez").body(Body::empty()).expect("a request")).await;
    assert_eq!(response.status(), 200, "a full host still lives");
}

#[tokio::test]
async fn changes_have_a_number_of_their_own() {
    let host = starting_host(Limits { changes_in_flight_max: 0, ..Limits::default() });
    let pushed = request("POST", "/api/plugins").body(Body::empty()).expect("a request");
    let (response, body) = ask_of(host.clone(), pushed).await;
    assert_eq!(response.status(), 503);
    assert_eq!(body["limit"], "changes_in_flight_max");
    assert_eq!(body["detail"], "the host is busy with other changes (changes_in_flight_max = 0): try again");
    let (response, _) = ask_of(host, request("GET", "/api/plugins").body(Body::empty()).expect("a request")).await;
    assert_eq!(response.status(), 401, "what changes nothing goes on");
}

#[tokio::test]
async fn a_request_id_of_a_sane_form_comes_back_and_another_is_replaced() {
    let long = "x".repeat(129);
    for (given, kept) in [("req-7/a:b", true), (&long[..128], true), (&long[..], false), ("a b", false), ("", false)] {
        let asked = request("GET", "/nowhere").header("x-request-id", given).body(Body::empty()).expect("a request");
        let (response, body) = ask(asked).await;
        let id = header_of(&response, "x-request-id");
        assert_eq!(id == given, kept, "{given}");
        assert_eq!(body["correlationId"], id);
        assert!(kept || uuid::Uuid::try_parse(&id).is_ok(), "{id}");
    }
}

#[tokio::test]
async fn a_panic_is_a_problem_without_its_text() {
    let label = front::Label { method: "GET", path: "/test" };
    let host = Host::new(Arc::default(), Metrics::detached());
    let asked = request("GET", "/test").body(Body::empty()).expect("a request");
    let response = front::public(label, host, asked, |_, _| async { panic!("the password is hunter2") }).await;
    assert_eq!(response.status(), 500);
    let body = to_bytes(response.into_body(), usize::MAX).await.expect("a body");
    assert!(!String::from_utf8_lossy(&body).contains("hunter2"));
}

#[tokio::test]
async fn bytes_of_a_path_that_are_no_text_do_not_reach_a_handler() {
    let (response, body) = ask(request("GET", "/nowhere/%ff").body(Body::empty()).expect("a request")).await;
    assert_eq!((response.status().as_u16(), &body["code"]), (404, &json!("no-route")));
}

fn document(error: RegistryError) -> (u16, Value) {
    let problem = Problem::from(error);
    let (body, _) = problem.document("id");
    (problem.code().status().as_u16(), serde_json::from_slice(&body).expect("JSON"))
}

fn behind() -> Behind {
    let (scope, digest) = (crate::names::Scope::Policies, Digest::of(b""));
    Behind { scope, release: 3, digest, why: "binding 'cel': it broke".to_owned() }
}

fn plugin_failed_of(failure: Failure) -> RegistryError {
    let (stage, scope) = (Stage::Policy, crate::names::Scope::Policies);
    let broken = BrokenBinding { name: "house".to_owned(), stage, scope, version: "0.3.1".to_owned(), failure };
    RegistryError::PluginFailed { broken: Box::new(broken), decision: None }
}

#[test]
fn each_refusal_of_the_registry_has_its_status_and_code() {
    let plugin_failed = |cause| {
        let failure = Failure { plugin: "cel".to_owned(), digest: Digest::of(b""), cause, lookups: Vec::new() };
        plugin_failed_of(failure)
    };
    let known = || "agents".to_owned();
    let scope = crate::names::Scope::Policies;
    let overtaken = Overtaken { scope: scope.clone(), wanted: 9, expected: Some(2), active: None };
    let freeze = Freeze { by: "ada".to_owned(), at: Millis(0), reason: "a reason".parse().expect("a reason") };
    let frozen = Frozen { scope, freeze };
    let cases: Vec<(RegistryError, u16, &str)> = vec![
        (RegistryError::TooLarge { limit_bytes: 7 }, 413, "too-large"),
        ("a b".parse::<crate::names::KindName>().expect_err("a space").into(), 400, "bad-name"),
        (RegistryError::NoKind { kind: "x".to_owned(), known: known() }, 404, "no-kind"),
        (RegistryError::NotFound { what: "entry", name: "x".to_owned() }, 404, "not-found"),
        (RegistryError::OtherName { token: "ci".to_owned() }, 403, "forbidden"),
        (RegistryError::NoRelease { scope: crate::names::Scope::Policies, number: 9 }, 404, "not-found"),
        (
            RegistryError::OutOfReach {
                token: "ci".to_owned(),
                reach: "agents/a-*".to_owned(),
                kind: "agents".parse().expect("a kind"),
                id: "b".parse().expect("an id"),
            },
            403,
            "forbidden",
        ),
        (RegistryError::Unidentified { findings: Vec::new() }, 422, "unidentified"),
        (RegistryError::BadRules(vec![Remark::error("a.b", "/x", "no")]), 422, "bad-rules"),
        (plugin_failed(Cause::Deadline { limit_ms: 5 }), 503, "plugin-failed"),
        (plugin_failed(Cause::Busy { running: 1, wait_ms: 2 }), 503, "busy"),
        (plugin_failed(Cause::Facts), 503, "unavailable"),
        (RegistryError::Busy { what: "gate_queue_max".to_owned() }, 503, "busy"),
        (RegistryError::RulesKeptMoving { tries: 8 }, 503, "busy"),
        (RegistryError::NotReady { behind: Box::new(behind()) }, 503, "not-ready"),
        (RegistryError::Unfit { binding: None, unfit: Unfit::NotAComponent("x".to_owned()) }, 422, "plugin-unfit"),
        (
            RegistryError::Unfit { binding: None, unfit: Unfit::TooLarge { size_bytes: 9, limit_bytes: 8 } },
            413,
            "too-large",
        ),
        (RegistryError::ReleaseMoved(Box::new(overtaken)), 412, "release-moved"),
        (RegistryError::ScopeFrozen(Box::new(frozen)), 409, "scope-frozen"),
        (RegistryError::BadChange("no".to_owned()), 422, "bad-change"),
        (
            RegistryError::ShadowRunning { scope: crate::names::Scope::Policies, release: 3, by: "ada".to_owned() },
            409,
            "shadow-running",
        ),
        (
            RegistryError::Unsigned { plugin: Digest::of(b""), binding: None, why: Unsigned::Missing },
            422,
            "plugin-unsigned",
        ),
        (PublicKey::from_pem("").expect_err("no key").into(), 422, "bad-key"),
        (crate::identity::Unreachable("ci".to_owned()).into(), 503, "unavailable"),
        (RegistryError::Internal("/secret/path".to_owned()), 500, "internal"),
        (RegistryError::Blobs("/secret/path".into()), 503, "unavailable"),
        (StoreError::Unavailable("postgres://u:secret@h".into()).into(), 503, "unavailable"),
        (StoreError::Broken("SELECT secret".to_owned(), None).into(), 500, "internal"),
    ];
    for (error, status, code) in cases {
        let shown = format!("{error:?}");
        let (given, body) = document(error);
        assert_eq!((given, body["code"].as_str()), (status, Some(code)), "{shown}");
        assert_eq!(body["status"], status);
        assert!(!body.to_string().contains("secret"), "{body}");
    }
}

#[test]
fn a_problem_tells_what_its_sender_needs() {
    let malformed = Malformed { message: "'a' stands twice".to_owned(), line: 3, column: 9 };
    let (_, body) = document(RegistryError::Malformed(malformed));
    assert_eq!(
        body,
        json!({
            "type": "urn:hallmark:problem:malformed",
            "title": "The body cannot be read",
            "status": 400,
            "detail": "'a' stands twice at line 3, column 9",
            "code": "malformed",
            "correlationId": "id",
            "line": 3,
            "column": 9,
        })
    );
    let broken = |cause| Failure { plugin: "cel".to_owned(), digest: Digest::of(b""), cause, lookups: Vec::new() };
    let failure = broken(Cause::Memory { limit_bytes: 64 });
    let (_, body) = document(plugin_failed_of(failure));
    assert_eq!((&body["plugin"], &body["limit"]), (&json!("cel"), &json!("plugin_memory_max_bytes")));
    assert_eq!(body["binding"], "house");
    assert_eq!(
        body["detail"],
        "binding 'house' of policies (policy): plugin cel 0.3.1 asked for more memory than it may have \
         (plugin_memory_max_bytes = 64); nothing is decided: sending it again ends alike until the rules change: tell the \
         policy team"
    );
    let failure = broken(Cause::Handles { limit: 9 });
    let (status, body) = document(plugin_failed_of(failure));
    assert_eq!((status, &body["limit"]), (503, &json!("plugin_handles_max")));
    let remarks = vec![Remark::error("settings.unknown", "/rules/0", "no such field")];
    let unfit = Unfit::Settings(remarks);
    let (_, body) = document(RegistryError::Unfit { binding: Some("house".to_owned()), unfit });
    assert_eq!(body["detail"], "binding 'house': its settings are refused");
    assert_eq!(body["findings"][0]["path"], "/rules/0");
}

#[test]
fn docs_list_every_problem_code_and_no_other() {
    let text = include_str!("../../../docs/ERRORS.md");
    let problems = text.split("## Finding codes").next().expect("a first part");
    let listed: Vec<&str> =
        problems.lines().filter_map(|line| line.strip_prefix("### `")?.split_once('`')).map(|(code, _)| code).collect();
    let codes: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(listed, codes);
    for code in Code::ALL {
        let heading = format!("### `{}` ({})", code.as_str(), code.status().as_u16());
        assert!(text.contains(&heading), "docs/ERRORS.md lacks '{heading}'");
    }
}

#[test]
fn docs_list_every_route_and_no_other() {
    let text = include_str!("../../../docs/API.md");
    let listed: Vec<String> = text.lines().filter(|line| line.starts_with("| `")).map(row_start).collect();
    let routes: Vec<String> = table()
        .iter()
        // An entry that is called as an action is: the same route to a reader.
        .filter(|route| !(route.method == "GET" && is_action(route.path)))
        .map(|route| format!("{} {} {}", route.method, route.path, route.access.as_str()))
        .collect();
    assert_eq!(listed, routes);
}

fn is_action(path: &str) -> bool {
    ["/publish", "/validate", "/rate", "/use"].iter().any(|action| path.ends_with(action))
}

fn row_start(line: &str) -> String {
    let cells: Vec<&str> = line.split('|').map(|cell| cell.trim().trim_matches('`')).collect();
    cells[1..4].join(" ")
}
