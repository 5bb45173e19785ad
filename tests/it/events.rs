//! The stream of events: in order, taken up where it broke off, of what was asked for.

use std::collections::HashSet;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::engines::{Place, through_the_binary};
use crate::support::events::{Block, Stream, publish, with_notes};
use crate::support::host::{Answer, until};
use crate::support::rules::{module, own_binding, submission};

const PUBLISHED: &str = "dev.hallmark.entry.published.v1";

fn subjects(blocks: &[Block]) -> Vec<String> {
    let data = blocks.iter().filter_map(|block| block.data.as_ref());
    data.map(|data| data["subject"].as_str().expect("a subject").to_owned()).collect()
}

fn ids(blocks: &[Block]) -> Vec<i64> {
    blocks.iter().map(|block| block.id.expect("an id")).collect()
}

fn told(answer: &Answer) -> (u16, &str, &str) {
    let text = |name: &str| answer.body[name].as_str().unwrap_or_default();
    (answer.status, text("code"), text("detail"))
}

fn a_stream_is_taken_up_where_it_broke_off(place: &Place) {
    let host = place.options().start();
    with_notes(&host);
    publish(&host, "a", "1.0.0");
    let mut stream = Stream::open(&host, "/api/events?after=0", None);
    let mut seen = stream.until(PUBLISHED);
    assert!(host.stop(), "a stream that is open does not hold a host up");
    assert!(stream.event().is_none(), "it ended");

    let host = place.options().start();
    let last = seen.last().and_then(|block| block.id);
    for version in ["1.1.0", "1.2.0"] {
        publish(&host, "a", version);
    }
    let mut stream = Stream::open(&host, "/api/events", last);
    seen.extend(stream.until(PUBLISHED));
    // Behind the stream's back, and while it is open.
    publish(&host, "b", "1.0.0");
    seen.extend(stream.until(PUBLISHED));
    seen.extend(stream.until(PUBLISHED));
    let ids = ids(&seen);
    assert_eq!(ids, (1..=i64::try_from(ids.len()).expect("a count")).collect::<Vec<_>>(), "all, each once, in order");
    let entries: Vec<String> = subjects(&seen).into_iter().filter(|subject| subject.starts_with("notes/")).collect();
    assert_eq!(entries, ["notes/a@1.0.0", "notes/a@1.1.0", "notes/a@1.2.0", "notes/b@1.0.0"]);
    let event = seen.last().and_then(|block| block.data.clone()).expect("an event");
    assert_eq!(
        [&event["specversion"], &event["type"], &event["tenant"], &event["data"]["actor"], &event["data"]["entry"]],
        [&json!("1.0"), &json!(PUBLISHED), &json!("default"), &json!("admin"), &json!("b")]
    );
    assert!(subjects(&seen).contains(&"module:notes#1".to_owned()), "a release was put in force");
}

fn a_stream_shows_what_was_asked_for(place: &Place) {
    let host = place.options().start();
    with_notes(&host);
    publish(&host, "a", "1.0.0");
    publish(&host, "a", "2.0.0");
    let back = host.post("/api/notes/a/rollback", &json!({"targetVersion": "1.0.0"}));
    assert_eq!(back.status, 200, "{back:?}");
    let types = "dev.hallmark.release.activated.v1,dev.hallmark.entry.rolled-back.v1";
    let seen = Stream::open(&host, &format!("/api/events?after=0&type={types}"), None)
        .until("dev.hallmark.entry.rolled-back.v1");
    assert_eq!(subjects(&seen), ["module:notes#1", "notes/a@1.0.0"]);
    let seen = Stream::open(&host, "/api/events?after=0&kind=notes", None).until("dev.hallmark.entry.rolled-back.v1");
    assert_eq!(subjects(&seen), ["notes/a@1.0.0", "notes/a@2.0.0", "notes/a@1.0.0"]);

    let made = host.post("/api/tokens", &json!({"name": "dashboard", "roles": ["reader"]}));
    let token = made.body["token"].as_str().expect("a token").to_owned();
    let refused = host.by(&token).get("/api/events?type=dev.hallmark.token.created.v1");
    assert_eq!(
        told(&refused),
        (
            403,
            "forbidden",
            "events of the type dev.hallmark.token.created.v1 ask for the role admin, and the token 'dashboard' has \
             reader"
        )
    );
    for (path, detail) in [
        (
            "/api/events?type=entry.published",
            "there is no type of event 'entry.published': docs/EVENTS.md lists them, as \
             dev.hallmark.entry.published.v1",
        ),
        ("/api/events?after=x", "after is the id of an event of this stream, or 0 for the oldest, not 'x'"),
        ("/api/events?types=x", "query: unknown name 'types': did you mean 'type'?"),
    ] {
        assert_eq!(told(&host.get(path)), (400, "bad-query", detail), "{path}");
    }
    let ahead = host.get("/api/events?after=1000000");
    assert_eq!((ahead.status, &ahead.body["code"]), (400, &json!("bad-query")), "{ahead:?}");
}

fn events_that_are_not_kept_are_said_to_be_gone(place: &Place) {
    let host = place.options().limit("events_kept_ms", 1).start();
    with_notes(&host);
    for version in ["1.0.0", "2.0.0", "3.0.0"] {
        publish(&host, "a", version);
    }
    let status = |id: &str| {
        // What is there is not read, so that an answer that never ends does not hold the test up.
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let request = agent.get(format!("{}/api/events", host.url)).header("Last-Event-ID", id);
        request.header("Authorization", format!("Bearer {}", host.token)).call().expect("an answer").status().as_u16()
    };
    until("events are forgotten", || status("1") == 410);
    let gone = host.get("/api/events?after=1");
    assert_eq!((gone.status, &gone.body["code"]), (410, &json!("events-gone")), "{gone:?}");
    let detail = gone.body["detail"].as_str().expect("a text");
    assert!(
        detail.contains("are not kept any more (events_kept_ms), and you were at 1: read what is stored"),
        "{detail}"
    );
    assert_eq!(status("0"), 200, "the oldest that is kept is there");
}

fn streams_are_so_many_live_and_end(place: &Place) {
    let options = place.options().limit("event_streams_max", 1).limit("event_heartbeat_ms", 20);
    let host = options.start();
    with_notes(&host);
    publish(&host, "a", "1.0.0");
    let mut stream = Stream::open(&host, "/api/events?after=0&kind=others", None);
    let full = host.get("/api/events");
    assert_eq!(
        told(&full),
        (503, "busy", "the host serves as many streams as it may (event_streams_max = 1): try again")
    );
    // Nothing is shown, and its reader learns all the same how far it was: the next time it need not read that again.
    let lives = loop {
        let block = stream.block().expect("it goes on");
        if block.id.is_some_and(|id| id >= 3) {
            break block;
        }
    };
    assert_eq!((lives.event, lives.data), (None, None));
    drop(stream);
    until("the stream's reader is seen to be gone", || {
        let made = host.post("/api/tokens", &json!({"name": "one", "roles": ["reader"]}));
        let token = made.body["token"].as_str().expect("a token").to_owned();
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let request = agent.get(format!("{}/api/events", host.url)).header("Authorization", format!("Bearer {token}"));
        let mut answer = request.call().expect("an answer");
        if answer.status() != 200 {
            return false;
        }
        let revoked =
            host.post(&format!("/api/tokens/{}/revoke", made.body["id"].as_str().expect("an id")), &json!(null));
        assert_eq!(revoked.status, 200);
        // It ends, or this never does.
        answer.body_mut().read_to_string().expect("a whole stream");
        true
    });
    assert!(host.stop());
    let host = place.options().limit("event_stream_max_ms", 50).start();
    let mut stream = Stream::open(&host, "/api/events", None);
    while stream.block().is_some() {}
}

fn a_plugin_that_breaks_is_told_once_a_minute(place: &Place) {
    let folder = TempDir::new().expect("a folder");
    let binding = own_binding(folder.path(), "panic", "validate", "hostile", "{ break = \"panic\" }");
    let host = place.options().modules(&module(folder.path(), "note", &binding)).start();
    for id in ["a", "b", "c"] {
        assert_eq!(host.post("/api/notes/publish", &submission("note", id)).status, 503);
    }
    let decisions = host.get("/api/decisions?outcome=failed").body["items"].as_array().cloned().expect("items");
    assert_eq!(decisions.len(), 3);
    let minutes = |decision: &Value| decision["submittedAt"].as_i64().map(|at| at / 60_000);
    let minutes: HashSet<Option<i64>> = decisions.iter().map(minutes).collect();
    let frozen = host.post("/api/policies/freeze", &json!({"reason": "so that the stream has an end"}));
    assert_eq!(frozen.status, 200, "{frozen:?}");
    let seen = Stream::open(&host, "/api/events?after=0", None).until("dev.hallmark.scope.frozen.v1");
    let broke: Vec<&Value> = seen
        .iter()
        .filter_map(|block| block.data.as_ref())
        .filter(|data| data["type"] == "dev.hallmark.plugin.failed.v1")
        .collect();
    assert_eq!(broke.len(), minutes.len(), "{broke:?}");
    let data = &broke[0]["data"];
    assert_eq!([&data["binding"], &data["mode"], &data["kind"]], [&json!("panic"), &json!("enforce"), &json!("notes")]);
    assert!(broke[0]["subject"].as_str().expect("a subject").starts_with("plugins/sha256:"));
}

through_the_binary! {
    a_stream_is_taken_up_where_it_broke_off,
    a_stream_shows_what_was_asked_for,
    events_that_are_not_kept_are_said_to_be_gone,
    streams_are_so_many_live_and_end,
    a_plugin_that_breaks_is_told_once_a_minute,
}
