//! Requests with an Idempotency-Key: run once, answered the same however often they are sent.

use std::time::{Duration, Instant};

use hallmark::clock::Millis;
use hallmark::config::Limits;
use hallmark::names::Digest;
use hallmark::registry::idempotency::{KeptAnswer, KeyedRequest, Once};
use serde_json::{Value, json};
use sqlx::Connection as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use tempfile::TempDir;

use crate::support::ground::{Ground, limits, on_both_engines};
use crate::support::host::{Answer, Host, Options};
use crate::support::rules::{module, own_binding, submission};

const KEY: (&str, &str) = ("Idempotency-Key", "\"8e03978e-40d5-43dd-bc93-6894a57f9324\"");

fn send(host: &Host, path: &str, body: &Value, key: (&str, &str)) -> Answer {
    host.send_with(path, "application/json", body.to_string().as_bytes(), key)
}

fn host(folder: &TempDir) -> Host {
    module(folder.path(), "note", "");
    Options::new().modules(folder.path()).start()
}

#[test]
fn a_request_that_is_sent_again_is_answered_as_before() {
    let folder = TempDir::new().expect("a folder");
    let host = host(&folder);
    let body = submission("note", "a");
    let first = send(&host, "/api/notes/publish", &body, KEY);
    assert_eq!((first.status, first.header("idempotency-replayed")), (201, None), "{first:?}");
    let bare = ("Idempotency-Key", KEY.1.trim_matches('"'));
    for key in [KEY, bare] {
        let again = send(&host, "/api/notes/publish", &body, key);
        assert_eq!((again.status, &again.body), (first.status, &first.body));
        assert_eq!(again.header("location"), first.header("location"));
        assert_eq!(again.header("idempotency-replayed"), Some("true"));
    }
    let without = host.post("/api/notes/publish", &body);
    assert_eq!(without.status, 202, "without the key it is a repetition");

    let reused = send(&host, "/api/notes/publish", &submission("note", "b"), KEY);
    let detail = "the idempotency key '8e03978e-40d5-43dd-bc93-6894a57f9324' came with another request: take a new key for \
                  a new request";
    assert_eq!((reused.status, &reused.body["detail"]), (422, &json!(detail)));
    assert_eq!(reused.body["code"], "idempotency-reused");
    let elsewhere = send(&host, "/api/notes/validate", &body, KEY);
    assert_eq!(elsewhere.body["code"], "idempotency-reused", "another path is another request");
    assert_eq!(host.get("/api/notes/b").status, 404, "nothing was published");
}

#[test]
fn a_refusal_is_kept_and_a_key_is_its_callers_own() {
    let folder = TempDir::new().expect("a folder");
    let host = host(&folder);
    let mut body = submission("note", "a");
    body["version"] = json!("one");
    let refused = send(&host, "/api/notes/publish", &body, KEY);
    assert_eq!(refused.status, 422, "{refused:?}");
    let again = send(&host, "/api/notes/publish", &body, KEY);
    assert_eq!((again.status, &again.body), (refused.status, &refused.body), "with the first correlation id");
    assert_eq!(again.header("content-type"), Some("application/problem+json"));

    let made = host.post("/api/tokens", &json!({"name": "other", "roles": ["publisher"]}));
    let other = made.body["token"].as_str().expect("a token");
    let head = format!("{}: {}\r\n", KEY.0, KEY.1);
    let good = submission("note", "a");
    let mut stream = host.begin_by(other, "/api/notes/publish", &good, &head);
    assert!(read_head(&mut stream).starts_with("HTTP/1.1 201"));
}

fn read_head(stream: &mut std::net::TcpStream) -> String {
    use std::io::Read as _;
    let mut bytes = [0; 64];
    let count = stream.read(&mut bytes).expect("an answer");
    String::from_utf8_lossy(&bytes[..count]).into_owned()
}

/// Whether the host's database has a key.
async fn has_a_key(host: &Host) -> bool {
    let file = SqliteConnectOptions::new().filename(host.data.join("hallmark.db")).read_only(true);
    let mut connection = SqliteConnection::connect_with(&file).await.expect("the database opens");
    let counted = sqlx::query_scalar("SELECT count(*) FROM idempotency_keys").fetch_one(&mut connection).await;
    let keys: i64 = counted.expect("it is counted");
    keys > 0
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_runs_is_not_run_beside_itself() {
    let folder = TempDir::new().expect("a folder");
    let binding = own_binding(folder.path(), "endless", "validate", "hostile", "{ break = \"loop\" }");
    module(folder.path(), "endless", &binding);
    let host = Options::new().modules(folder.path()).start();
    let body = submission("endless", "a");
    let head = format!("{}: {}\r\n", KEY.0, KEY.1);
    let first = host.begin_with("/api/endlesss/publish", &body, &head);
    let asked = Instant::now();
    while !has_a_key(&host).await {
        assert!(asked.elapsed() < Duration::from_secs(120), "two minutes went by before the request began");
    }
    let running = send(&host, "/api/endlesss/publish", &body, KEY);
    let detail =
        "a request with the idempotency key '8e03978e-40d5-43dd-bc93-6894a57f9324' runs: ask again for its answer";
    assert_eq!((running.status, &running.body["detail"]), (409, &json!(detail)));
    assert_eq!((&running.body["code"], running.header("retry-after")), (&json!("idempotency-running"), Some("1")));
    let other = send(&host, "/api/endlesss/publish", &submission("endless", "b"), KEY);
    assert_eq!(other.status, 422, "of another request it is not its key");
    // Its client hangs up, and it runs on.
    drop(first);
    assert_eq!(send(&host, "/api/endlesss/publish", &body, KEY).status, 409);
}

#[test]
fn an_answer_that_holds_a_secret_is_not_kept() {
    let host = Options::new().start();
    let request = json!({"name": "ci", "roles": ["reader"]});
    assert_eq!(send(&host, "/api/tokens", &request, KEY).status, 201);
    let again = send(&host, "/api/tokens", &request, KEY);
    assert_eq!((again.status, &again.body["code"]), (409, &json!("idempotency-gone")));
    let detail = again.body["detail"].as_str().expect("a text");
    assert!(detail.ends_with("look at what it made, and make another with a new key"), "{detail}");
    assert_eq!(host.get("/api/tokens").body["items"].as_array().map(Vec::len), Some(2), "it was made once");
}

#[test]
fn a_request_with_an_answer_too_long_to_keep_is_run_again() {
    let folder = TempDir::new().expect("a folder");
    module(folder.path(), "note", "");
    let host = Options::new().modules(folder.path()).limit("idempotency_answer_max_bytes", 100).start();
    let statuses = [(); 2].map(|()| send(&host, "/api/notes/publish", &submission("note", "a"), KEY).status);
    assert_eq!(statuses, [201, 202]);
}

#[test]
fn what_is_no_key_is_refused() {
    let folder = TempDir::new().expect("a folder");
    let host = host(&folder);
    let long = "a".repeat(256);
    for key in ["", "\"\"", "a b", "\"a\"b\"", &long] {
        let refused = send(&host, "/api/notes/publish", &submission("note", "a"), (KEY.0, key));
        assert_eq!((refused.status, &refused.body["code"]), (400, &json!("bad-header")), "{key}");
        let detail = refused.body["detail"].as_str().expect("a text");
        assert!(detail.starts_with("the Idempotency-Key header holds one key of 1 to 255 visible ASCII"), "{detail}");
    }
    assert_eq!(host.get("/api/notes/a").status, 404);
}

fn request(key: &str, sent: &str) -> KeyedRequest {
    KeyedRequest { key: key.to_owned(), fingerprint: Digest::of(sent.as_bytes()) }
}

async fn keys_end_and_are_taken_over(ground: Ground) {
    let limits = Limits { idempotency_kept_ms: 1_000, idempotency_lease_ms: 100, ..limits() };
    let member = ground.host(limits).await;
    let (registry, actor) = (&member.registry, &member.actor);
    let begin =
        async |sent: &str, at: i64| registry.begin_once(actor, request("k", sent), Millis(at)).await.expect("told");
    let Once::Begun(dead) = begin("one", 0).await else { panic!("the key is new") };
    assert_eq!(begin("one", 99).await, Once::Running);
    assert_eq!(begin("two", 500).await, Once::Other, "a dead run keeps its key from other requests");
    let Once::Begun(alive) = begin("one", 100).await else { panic!("the first run is believed dead") };
    let answer = |body: &str| KeptAnswer {
        status: 201,
        content_type: "application/json".to_owned(),
        location: Some("/x".to_owned()),
        etag: None,
        body: Some(body.to_owned()),
    };
    registry.finish_once(actor, &dead, &answer("late")).await.expect("told");
    assert_eq!(begin("one", 150).await, Once::Running, "a run that was given up answers nobody");
    registry.finish_once(actor, &alive, &answer("{}")).await.expect("told");
    registry.give_back_once(actor, &alive).await.expect("an answered key is not given back");
    assert_eq!(begin("one", 1_099).await, Once::Answered(answer("{}")));
    let Once::Begun(anew) = begin("two", 1_100).await else { panic!("its time is over") };
    registry.give_back_once(actor, &anew).await.expect("told");
    assert!(matches!(begin("three", 1_101).await, Once::Begun(_)));
}

async fn of_many_at_once_one_runs(ground: Ground) {
    let hosts = [ground.host(limits()).await, ground.host(limits()).await];
    let asked = (0..20).map(|number| {
        let host = &hosts[number % 2];
        host.registry.begin_once(&host.actor, request("k", "one"), Millis(1))
    });
    let told = futures_util::future::join_all(asked).await;
    let begun = told.iter().filter(|once| matches!(once, Ok(Once::Begun(_)))).count();
    let running = told.iter().filter(|once| matches!(once, Ok(Once::Running))).count();
    assert_eq!((begun, running), (1, 19));
}

on_both_engines! { keys_end_and_are_taken_over, of_many_at_once_one_runs }
