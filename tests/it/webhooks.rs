//! Webhooks, sent by the built binary to a receiver on loopback.

use serde_json::{Value, json};

use crate::support::command::{against, hallmark, text};
use crate::support::engines::{Place, through_the_binary};
use crate::support::events::{publish, with_notes};
use crate::support::host::{Answer, Host, Options, until};
use crate::support::receiver::{Message, Receiver, Reply};

const PUBLISHED: &str = "dev.hallmark.entry.published.v1";

/// A host with notes that sends to loopback, and does not wait long before it sends again.
fn host(options: Options) -> Host {
    let options = options.allow_private_webhooks().limit("webhook_retry_ms", 20).limit("event_poll_ms", 20);
    let host = options.start();
    if host.get("/api/modules/notes").status == 404 {
        with_notes(&host);
    }
    host
}

/// A webhook for publishes: its id and its secret.
fn webhook(host: &Host, url: &str) -> (String, String) {
    let made = host.post("/api/webhooks", &json!({"url": url, "types": [PUBLISHED], "kinds": ["notes"]}));
    assert_eq!(made.status, 201, "{made:?}");
    let field = |name: &str| made.body[name].as_str().expect("a text").to_owned();
    assert_eq!(made.header("location"), Some(format!("/api/webhooks/{}", field("id")).as_str()));
    (field("id"), field("secret"))
}

/// What the log has, oldest first.
fn deliveries(host: &Host, webhook: &str) -> Vec<Value> {
    let page = host.get(&format!("/api/webhooks/{webhook}/deliveries?limit=100"));
    assert_eq!(page.status, 200, "{page:?}");
    let mut items = page.body["items"].as_array().cloned().expect("items");
    items.reverse();
    items
}

fn until_states(host: &Host, webhook: &str, states: &[&str]) -> Vec<Value> {
    until(&format!("deliveries are {states:?}"), || {
        deliveries(host, webhook)
            .iter()
            .map(|delivery| delivery["state"].as_str().unwrap_or_default())
            .eq(states.iter().copied())
    });
    deliveries(host, webhook)
}

fn told(answer: &Answer) -> (u16, &str, &str) {
    let text = |name: &str| answer.body[name].as_str().unwrap_or_default();
    (answer.status, text("code"), text("detail"))
}

fn subjects(messages: &[Message]) -> Vec<String> {
    messages.iter().map(Message::subject).collect()
}

fn events_reach_a_receiver_that_can_check_who_sent_them(place: &Place) {
    let (host, receiver) = (host(place.options()), Receiver::willing());
    let (id, secret) = webhook(&host, &receiver.url);
    publish(&host, "a", "1.0.0");
    let message = receiver.wait_for(1).remove(0);
    assert!(message.is_signed_by(&secret), "{message:?}");
    assert!(!message.is_signed_by("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"));
    assert_eq!(message.header("content-type"), "application/cloudevents+json; charset=utf-8");
    assert_eq!(message.header("webhook-id"), message.body["id"].as_str().expect("an id"));
    assert_eq!(
        [&message.body["specversion"], &message.body["type"], &message.body["tenant"], &message.body["subject"]],
        [&json!("1.0"), &json!(PUBLISHED), &json!("default"), &json!("notes/a@1.0.0")]
    );
    let delivery = until_states(&host, &id, &["delivered"]).remove(0);
    assert_eq!(
        [&delivery["event"], &delivery["type"], &delivery["attempts"][0]["status"]],
        [&message.body["id"], &json!(PUBLISHED), &json!(204)]
    );
    // The secret is told once, and what a webhook was made with is shown.
    let listed = host.get("/api/webhooks").body;
    assert!(!listed.to_string().contains("whsec_"), "{listed}");
    let shown = &listed["items"][0];
    assert_eq!(
        [&shown["url"], &shown["types"], &shown["kinds"], &shown["state"], &shown["createdBy"]],
        [&json!(receiver.url), &json!([PUBLISHED]), &json!(["notes"]), &json!("enabled"), &json!("admin")]
    );
    // A host that starts again signs with the same secret, and repeats nothing.
    assert!(host.stop());
    let host = self::host(place.options());
    publish(&host, "a", "2.0.0");
    let messages = receiver.wait_for(2);
    assert!(messages[1].is_signed_by(&secret));
    assert_eq!(subjects(&messages), ["notes/a@1.0.0", "notes/a@2.0.0"]);
    let removed = host.delete(&format!("/api/webhooks/{id}"));
    assert_eq!((removed.status, &removed.body["id"]), (200, &json!(id)));
    assert_eq!(told(&host.get(&format!("/api/webhooks/{id}"))).0, 404);
}

fn a_delivery_is_sent_until_it_arrives_and_what_follows_waits(place: &Place) {
    let host = host(place.options());
    let receiver = Receiver::start(|message, before| {
        let earlier = before.iter().filter(|earlier| earlier.subject() == message.subject()).count();
        Reply::Status(if message.subject() == "notes/a@1.0.0" && earlier < 3 { 500 } else { 200 })
    });
    let (id, _) = webhook(&host, &receiver.url);
    for version in ["1.0.0", "2.0.0", "3.0.0"] {
        publish(&host, "a", version);
    }
    publish(&host, "b", "1.0.0");
    let messages = receiver.wait_for(7);
    let of_entry = |entry: &str| -> Vec<String> {
        subjects(&messages).into_iter().filter(|subject| subject.starts_with(entry)).collect()
    };
    let first = "notes/a@1.0.0";
    assert_eq!(of_entry("notes/a"), [first, first, first, first, "notes/a@2.0.0", "notes/a@3.0.0"]);
    assert_eq!(of_entry("notes/b"), ["notes/b@1.0.0"]);
    let tries: Vec<&Message> = messages.iter().filter(|message| message.subject() == first).collect();
    assert!(tries.iter().all(|message| message.header("webhook-id") == tries[0].header("webhook-id")), "one message");
    let log = until_states(&host, &id, &["delivered"; 4]);
    let statuses: Vec<&Value> =
        log[0]["attempts"].as_array().expect("attempts").iter().map(|attempt| &attempt["status"]).collect();
    assert_eq!(statuses, [&json!(500), &json!(500), &json!(500), &json!(200)]);
    assert_eq!(log[0]["attempts"][0]["error"], "the receiver did not take it");
    assert_eq!(host.get(&format!("/api/webhooks/{id}")).body["failures"], 0);
}

fn a_secret_that_is_replaced_signs_on_for_a_while(place: &Place) {
    let (host, receiver) = (host(place.options().limit("webhook_overlap_ms", 3_600_000)), Receiver::willing());
    let (id, first) = webhook(&host, &receiver.url);
    let rotate = |request: Value| host.post(&format!("/api/webhooks/{id}/rotate"), &request);
    let rotated = rotate(json!({}));
    assert_eq!(rotated.status, 200, "{rotated:?}");
    let second = rotated.body["secret"].as_str().expect("a secret").to_owned();
    assert!(first != second && rotated.body["previousSecretUntil"].is_string(), "{rotated:?}");
    publish(&host, "a", "1.0.0");
    let message = receiver.wait_for(1).remove(0);
    assert!(message.is_signed_by(&first) && message.is_signed_by(&second), "{message:?}");
    let third = rotate(json!({"overlapSeconds": 0})).body["secret"].as_str().expect("a secret").to_owned();
    publish(&host, "a", "2.0.0");
    let message = receiver.wait_for(2).remove(1);
    assert!(message.is_signed_by(&third) && !message.is_signed_by(&second) && !message.is_signed_by(&first));
    let refused = rotate(json!({"overlapSeconds": 604_801}));
    let detail = "the secret before may sign for seven days more at most: name a shorter overlap";
    assert_eq!(told(&refused), (422, "bad-change", detail));
}

fn a_delivery_is_repeated_when_somebody_asks(place: &Place) {
    let (host, receiver) = (host(place.options()), Receiver::willing());
    let (id, secret) = webhook(&host, &receiver.url);
    publish(&host, "a", "1.0.0");
    let delivery = until_states(&host, &id, &["delivered"]).remove(0);
    let of = delivery["id"].as_str().expect("an id").to_owned();
    let replayed = host.post(&format!("/api/webhooks/{id}/deliveries/{of}/replay"), &json!(null));
    assert_eq!((replayed.status, &replayed.body["replayOf"]), (202, &json!(of)), "{replayed:?}");
    let messages = receiver.wait_for(2);
    assert_eq!(
        messages[0].header("webhook-id"),
        messages[1].header("webhook-id"),
        "a receiver can tell that it had it"
    );
    assert_eq!(messages[0].text, messages[1].text);
    assert!(messages[1].is_signed_by(&secret));
    let log = until_states(&host, &id, &["delivered", "delivered"]);
    assert_eq!(log[1]["replayOf"], json!(of));
    let unknown = host.post(&format!("/api/webhooks/{id}/deliveries/0190/replay"), &json!(null));
    assert_eq!(told(&unknown), (404, "not-found", "no delivery '0190'"));
}

fn a_receiver_that_takes_nothing_is_sent_nothing_more(place: &Place) {
    let options = place.options().limit("webhook_attempts_max", 2).limit("webhook_retry_max_ms", 30);
    let host = host(options.limit("webhook_failures_max", 2));
    let receiver = Receiver::start(|_, before| if before.len() < 4 { Reply::Redirect } else { Reply::Status(200) });
    let (id, _) = webhook(&host, &receiver.url);
    publish(&host, "a", "1.0.0");
    publish(&host, "a", "2.0.0");
    let log = until_states(&host, &id, &["given-up", "given-up"]);
    let attempt = &log[0]["attempts"][1];
    assert_eq!(
        [&attempt["status"], &attempt["error"]],
        [&json!(307), &json!("redirects are not followed: change the url")]
    );
    let shown = host.get(&format!("/api/webhooks/{id}")).body;
    assert_eq!(
        [&shown["state"], &shown["disabledReason"], &shown["failures"]],
        [&json!("disabled"), &json!("2 deliveries in a row were given up"), &json!(2)]
    );
    let first = log[0]["id"].as_str().expect("an id");
    let refused = host.post(&format!("/api/webhooks/{id}/deliveries/{first}/replay"), &json!(null));
    assert_eq!((refused.status, &refused.body["code"]), (422, &json!("bad-change")), "{refused:?}");
    // What happens meanwhile waits.
    publish(&host, "a", "3.0.0");
    until_states(&host, &id, &["given-up", "given-up", "waiting"]);
    assert_eq!(receiver.messages().len(), 4);
    let enabled = host.post(&format!("/api/webhooks/{id}/enable"), &json!(null));
    assert_eq!((enabled.status, &enabled.body["state"]), (200, &json!("enabled")), "{enabled:?}");
    assert_eq!(receiver.wait_for(5)[4].subject(), "notes/a@3.0.0");
    assert!(subjects(&receiver.messages()).iter().all(|subject| subject.starts_with("notes/a@")));
}

fn a_receiver_that_is_gone_or_ill_holds_nobody_up(place: &Place) {
    let options = place.options().limit("webhook_attempts_max", 1).limit("webhook_answer_max_bytes", 4_096);
    let host = host(options);
    let gone = Receiver::start(|_, _| Reply::Status(410));
    let endless = Receiver::start(|_, _| Reply::Endless);
    let well = Receiver::willing();
    let [of_gone, of_endless, _] = [&gone, &endless, &well].map(|receiver| webhook(&host, &receiver.url).0);
    publish(&host, "a", "1.0.0");
    well.wait_for(1);
    until_states(&host, &of_gone, &["given-up"]);
    let shown = host.get(&format!("/api/webhooks/{of_gone}")).body;
    assert_eq!(shown["disabledReason"], "the receiver says that it is gone (410)");
    let delivered = until_states(&host, &of_endless, &["delivered"]);
    assert_eq!(delivered[0]["attempts"][0]["status"], 200, "what it says beside its status is not waited for");
    assert!(host.stop());

    let host = self::host(place.options().limit("webhook_attempts_max", 1).limit("webhook_timeout_ms", 100));
    let silent = Receiver::start(|_, _| Reply::Silence);
    let (id, _) = webhook(&host, &silent.url);
    publish(&host, "b", "1.0.0");
    let log = until_states(&host, &id, &["given-up"]);
    assert_eq!(
        [&log[0]["attempts"][0]["status"], &log[0]["attempts"][0]["error"]],
        [&Value::Null, &json!("the receiver took longer than webhook_timeout_ms = 100")]
    );
}

fn a_host_sends_so_many_at_once(place: &Place) {
    for (limit, most) in [("webhook_sends_each_max", 2), ("webhook_sends_max", 1)] {
        let host = host(place.options().limit("webhook_timeout_ms", 600_000).limit(limit, most));
        let receiver = Receiver::start(|_, _| Reply::Held);
        let (id, _) = webhook(&host, &receiver.url);
        for entry in ["a", "b", "c", "d"] {
            let version = format!("{most}.0.0");
            publish(&host, entry, &version);
        }
        receiver.wait_for(usize::try_from(most).expect("a count"));
        receiver.release();
        until_states(&host, &id, &["delivered"; 4]);
        assert!(receiver.at_once_most() <= usize::try_from(most).expect("a count"), "{limit}");
        assert!(host.stop());
    }
}

through_the_binary! {
    events_reach_a_receiver_that_can_check_who_sent_them,
    a_delivery_is_sent_until_it_arrives_and_what_follows_waits,
    a_secret_that_is_replaced_signs_on_for_a_while,
    a_delivery_is_repeated_when_somebody_asks,
    a_receiver_that_takes_nothing_is_sent_nothing_more,
    a_receiver_that_is_gone_or_ill_holds_nobody_up,
    a_host_sends_so_many_at_once,
}

#[test]
fn nothing_is_sent_to_private_addresses_unless_that_is_allowed() {
    let host = Options::new().limit("webhook_attempts_max", 1).limit("event_poll_ms", 20).start();
    with_notes(&host);
    let public = "webhooks are sent to public addresses (serve --allow-private-webhooks lets them be sent to any)";
    for (url, detail) in [
        ("http://example.com/", "the url is http: events are sent over https alone".to_owned()),
        ("https://127.0.0.1:8080/", format!("127.0.0.1 is a loopback address: {public}")),
        ("https://169.254.169.254/latest", format!("169.254.169.254 is a link-local address: {public}")),
        ("https://[fd00::1]/", format!("fd00::1 is a private address: {public}")),
    ] {
        let refused = host.post("/api/webhooks", &json!({"url": url}));
        assert_eq!(told(&refused), (422, "bad-change", detail.as_str()), "{url}");
    }
    // A name is judged by the address that it leads to, when something is sent.
    let receiver = Receiver::willing();
    let port = receiver.url.rsplit(':').next().and_then(|rest| rest.split('/').next()).expect("a port");
    let (id, _) = webhook(&host, &format!("https://localhost:{port}/"));
    publish(&host, "a", "1.0.0");
    let log = until_states(&host, &id, &["given-up"]);
    let error = log[0]["attempts"][0]["error"].as_str().expect("a text");
    assert!(error.ends_with(&format!(" is a loopback address: {public}")), "{error}");
    assert!(receiver.messages().is_empty());
}

#[test]
fn a_webhook_that_cannot_be_is_refused_with_what_to_change() {
    let host = Options::new().limit("webhooks_max", 1).start();
    for (request, detail) in [
        (
            json!({"url": "https://example.com/", "types": ["dev.hallmark.entry.publish.v1"]}),
            "there is no type of event 'dev.hallmark.entry.publish.v1': did you mean 'dev.hallmark.entry.published.v1'?",
        ),
        (
            json!({"url": "https://example.com/", "types": vec![PUBLISHED; 101]}),
            "a webhook has at most 100 types and as many kinds",
        ),
        (json!({"url": "example.com"}), "the url cannot be read: relative URL without a base"),
    ] {
        assert_eq!(told(&host.post("/api/webhooks", &request)), (422, "bad-change", detail));
    }
    assert_eq!(host.post("/api/webhooks", &json!({"url": "https://example.com/"})).status, 201);
    let refused = host.post("/api/webhooks", &json!({"url": "https://example.com/"}));
    let detail = "there are 1 webhooks already (webhooks_max): remove one first";
    assert_eq!(told(&refused), (422, "bad-change", detail));
    let made = host.post("/api/tokens", &json!({"name": "rules", "roles": ["rules"]}));
    let token = made.body["token"].as_str().expect("a token");
    assert_eq!(host.by(token).get("/api/webhooks").status, 403);
}

#[test]
fn the_command_line_makes_webhooks_and_shows_what_was_sent() {
    let (host, receiver) = (host(Options::new()), Receiver::willing());
    let run = |arguments: &[&str]| {
        let output = against(&host, arguments);
        (text(&output.stdout), text(&output.stderr), output.status.code())
    };
    let (secret, told, code) = run(&["webhook", "add", &receiver.url, "--type", PUBLISHED, "--kind", "notes"]);
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains(&format!("{}  {PUBLISHED} of notes  enabled", receiver.url)), "{told}");
    let (listed, ..) = run(&["webhook", "list"]);
    assert_eq!(listed, told, "the secret is told once");
    let id = listed.split(' ').next().expect("an id").to_owned();
    publish(&host, "a", "1.0.0");
    assert!(receiver.wait_for(1)[0].is_signed_by(secret.trim()));
    until_states(&host, &id, &["delivered"]);
    let (log, ..) = run(&["webhook", "deliveries", &id]);
    assert!(log.contains(&format!("  {PUBLISHED}  notes/a@1.0.0  delivered  1 attempt, 204\n")), "{log}");
    let delivery = log.split(' ').next().expect("an id").to_owned();
    let (replayed, ..) = run(&["webhook", "replay", &id, &delivery]);
    assert!(replayed.ends_with(&format!(", replays {delivery}\n")), "{replayed}");
    receiver.wait_for(2);
    let (rotated, told, _) = run(&["webhook", "rotate", &id, "--overlap-hours", "1"]);
    assert!(rotated.starts_with("whsec_") && rotated != secret && told.contains("the secret before signs until"));
    assert_eq!(run(&["webhook", "enable", &id]).2, Some(0));
    let (removed, _, code) = run(&["webhook", "remove", &id]);
    assert!(code == Some(0) && removed.starts_with(&format!("removed {id}")), "{removed}");
    assert_eq!(run(&["webhook", "list"]).0, "");
    let (_, told, code) = run(&["webhook", "remove", "a/b"]);
    assert_eq!((told.as_str(), code), ("error: 'a/b' is not a webhook's id: see 'hallmark webhook list'\n", Some(2)));
}

#[test]
fn a_webhook_key_that_is_none_is_said_to_be() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let data = folder.path().join("data");
    let start = |key: &str| {
        let arguments = ["serve", "--listen", "127.0.0.1:0", "--data", data.to_str().expect("a path"), "--webhook-key"];
        let output = hallmark(&[&arguments[..], &[key]].concat());
        (text(&output.stderr), output.status.code())
    };
    let missing = folder.path().join("missing").display().to_string();
    let (told, code) = start(&missing);
    let why = format!("error: there is no webhook key {missing}: make one with `openssl rand -hex 32`\n");
    assert!(told.ends_with(&why) && code == Some(3), "{told}");
    let wrong = folder.path().join("wrong");
    std::fs::write(&wrong, "x").expect("a file");
    std::fs::set_permissions(&wrong, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("its mode");
    let (told, _) = start(&wrong.display().to_string());
    let why = "holds no key: a webhook key is 64 hexadecimal digits, as from `openssl rand -hex 32`\n";
    assert!(told.ends_with(why), "{told}");
}
