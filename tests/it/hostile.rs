//! Guests that break each limit, in the built host: the publisher is told which plugin and which limit, with 503, and
//! nobody else notices.

use std::fmt::Write as _;
use std::io::Read as _;
use std::net::TcpStream;
use std::path::Path;
use std::sync::mpsc::{self, Receiver};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::host::{AMPLE_MS, Answer, Host, Options};
use crate::support::rules::{module, own_binding, submission};

/// What a guest breaks: its settings, the limit that the problem names, and how it is told.
type Damage = (&'static str, Option<&'static str>, &'static str);

const LOOPS: &[Damage] = &[("loop", Some("plugin_deadline_ms"), "overran its deadline (plugin_deadline_ms = 500)")];

/// Guests that break something else than a deadline, which must not be what ends them.
const DAMAGES: &[Damage] = &[
    (
        "memory",
        Some("plugin_memory_max_bytes"),
        "asked for more memory than it may have (plugin_memory_max_bytes = 67108864)",
    ),
    ("stack", Some("plugin_stack_max_bytes"), "overran its stack (plugin_stack_max_bytes = 524288)"),
    ("panic", None, "panicked: asked to panic (damage.rs:LINE)"),
    ("answer", Some("plugin_answer_max_bytes"), "handed over more than it may (plugin_answer_max_bytes = 1048576)"),
    ("findings", Some("plugin_findings_max"), "gave more findings than it may (plugin_findings_max = 500)"),
    ("log", Some("plugin_log_max_bytes"), "logged more than it may (plugin_log_max_bytes = 65536)"),
    ("calls", Some("plugin_host_calls_max"), "called the host more often than it may (plugin_host_calls_max = 1000)"),
    ("lookups", Some("plugin_lookups_max"), "asked the registry more often than it may (plugin_lookups_max = 200)"),
    ("read", Some("plugin_read_max_bytes"), "read more than it may (plugin_read_max_bytes = 65536)"),
    (
        "nonsense-code",
        None,
        "answered nonsense: the code 'Not A Code' of a finding is not dotted lower case letters, digits and \
         dashes, at most 100 bytes",
    ),
    (
        "nonsense-path",
        None,
        "answered nonsense: the path 'manifest.name' of finding hostile.path is not a JSON Pointer (RFC 6901)",
    ),
    (
        "nonsense-fix",
        None,
        "answered nonsense: the fix of finding hostile.fix is not JSON: EOF while parsing an object at line 1 \
         column 2",
    ),
];

/// A host with a module for each damage, and one whose plugin is healthy.
fn host(folder: &Path, damages: &[Damage], deadline_ms: u64) -> Host {
    for (damage, _, _) in damages {
        // A little more than is allowed: many more would break the size of the answer first.
        let amount = if *damage == "findings" { ", amount = 600" } else { "" };
        let settings = format!("{{ break = \"{damage}\"{amount} }}");
        module(folder, damage, &own_binding(folder, damage, "validate", "hostile", &settings));
    }
    module(folder, "healthy", &own_binding(folder, "healthy", "validate", "hostile", "{ break = \"leak\" }"));
    Options::new()
        .modules(folder)
        .limit("plugin_deadline_ms", deadline_ms)
        .limit("plugin_read_max_bytes", 65_536)
        .limit("plugin_host_calls_max", 1_000)
        .start()
}

fn publish(host: &Host, name: &str, id: &str) -> Answer {
    host.post(&format!("/api/{name}s/publish"), &submission(name, id))
}

#[test]
fn each_broken_limit_is_a_503_that_names_plugin_and_limit() {
    each_is_told(DAMAGES, AMPLE_MS, "sending it again ends alike until the rules change: tell");
}

#[test]
fn a_broken_deadline_is_a_503_that_names_plugin_and_limit() {
    each_is_told(LOOPS, 500, "send it again, and where that ends alike tell");
}

/// What is told of a line of the guest's source, whichever it is.
fn without_line(detail: &str) -> String {
    let Some((before, after)) = detail.split_once("damage.rs:") else { return detail.to_owned() };
    format!("{before}damage.rs:LINE{}", after.trim_start_matches(|letter: char| letter.is_ascii_digit()))
}

fn each_is_told(damages: &[Damage], deadline_ms: u64, advice: &str) {
    let folder = TempDir::new().expect("a folder");
    let host = host(folder.path(), damages, deadline_ms);
    let mut wrong = String::new();
    for (damage, limit, detail) in damages {
        let answer = publish(&host, damage, "a");
        let decision = answer.body["decisionId"].as_str().expect("the run has a record");
        let detail = format!(
            "binding '{damage}' of module:{damage}s (validate): plugin hostile 0.1.0 {detail}; nothing is decided: {advice} the \
             owner of the module '{damage}s', with `hallmark decision show {decision}`"
        );
        let told_detail = without_line(answer.body["detail"].as_str().expect("a text"));
        let told = (answer.status, &answer.body["code"], &answer.body["limit"], told_detail);
        if told != (503, &json!("plugin-failed"), &json!(limit), detail) {
            writeln!(wrong, "{damage}: {told:?}").expect("text");
        }
        assert_eq!(answer.body["plugin"], "hostile", "{damage}");
        assert_eq!(answer.body["binding"], json!(damage));
        assert!(answer.header("retry-after").is_some(), "{damage}");
        assert_eq!(answer.header("x-request-id"), answer.body["correlationId"].as_str(), "{damage}");
        // The door stayed closed, nothing is half there, and the next request is served.
        assert_eq!(host.get(&format!("/api/{damage}s/a")).status, 404, "{damage}");
        let healthy = publish(&host, "healthy", damage);
        assert_eq!(healthy.status, 201, "after {damage}: {healthy:?}");
        let findings = &healthy.body["decision"]["findings"];
        assert_eq!(findings[0]["message"], "1", "an evaluation saw what another one left: {findings}");
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn a_plugin_that_keeps_breaking_is_quarantined_and_others_are_not() {
    let folder = TempDir::new().expect("a folder");
    module(
        folder.path(),
        "panic",
        &own_binding(folder.path(), "panic", "validate", "hostile", "{ break = \"panic\" }"),
    );
    module(
        folder.path(),
        "healthy",
        &own_binding(folder.path(), "healthy", "validate", "hostile", "{ break = \"none\" }"),
    );
    let host = Options::new().modules(folder.path()).limit("plugin_quarantine_ms", 3_600_000).start();
    for attempt in 0..5 {
        let answer = publish(&host, "panic", "a");
        let detail = answer.body["detail"].as_str().expect("a text");
        assert!(detail.contains("plugin hostile 0.1.0 panicked: asked to panic (damage.rs:"), "{attempt}: {detail}");
    }
    let answer = publish(&host, "panic", "a");
    assert_eq!(
        (answer.status, answer.body["detail"].as_str()),
        (
            503,
            Some(
                "binding 'panic' of module:panics (validate): plugin hostile 0.1.0 is in quarantine after 5 failures in a row \
                 (plugin_failures_max, plugin_quarantine_ms); nothing is decided: tell the owner of the module 'panics', and send \
                 it again when it is mended or rested"
            )
        )
    );
    assert_eq!(publish(&host, "healthy", "a").status, 201);
    let ready = host.get("/readyz?verbose");
    assert_eq!(ready.status, 200, "one broken plugin does not take the host out of service: {ready:?}");
    let told = json!({"status": "degraded", "quarantined": ["hostile"]});
    assert_eq!((&ready.body["status"], &ready.body["plugins"]), (&json!("degraded"), &told), "it is visible");
}

/// Sends publishes that end only with the host; gives what comes back of those that are answered, as it comes.
fn begin(host: &Host, name: &str, count: usize) -> Receiver<String> {
    let (sender, answers) = mpsc::channel();
    for _ in 0..count {
        let mut stream = host.begin(&format!("/api/{name}s/publish"), &submission(name, "a"));
        let sender = sender.clone();
        std::thread::spawn(move || {
            // Where the host is killed first, there is none.
            let _ = whole_answer(&mut stream).map(|answer| sender.send(answer));
        });
    }
    answers
}

/// An answer with a JSON body; none where the connection ends before it does.
fn whole_answer(stream: &mut TcpStream) -> Option<String> {
    let (mut answer, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        let length = stream.read(&mut chunk).ok().filter(|length| *length > 0)?;
        answer.extend_from_slice(&chunk[..length]);
        let text = std::str::from_utf8(&answer).unwrap_or_default();
        if text.split_once("\r\n\r\n").is_some_and(|(_, body)| serde_json::from_str::<Value>(body).is_ok()) {
            return Some(text.to_owned());
        }
    }
}

#[test]
fn a_healthy_plugin_is_judged_beside_two_that_loop() {
    let folder = TempDir::new().expect("a folder");
    for name in ["first", "second"] {
        module(folder.path(), name, &own_binding(folder.path(), name, "validate", "hostile", "{ break = \"loop\" }"));
    }
    module(
        folder.path(),
        "healthy",
        &own_binding(folder.path(), "healthy", "validate", "hostile", "{ break = \"none\" }"),
    );
    // Each plugin may have a quarter of the threads, which is two; nothing ends those that loop but the host's end.
    let host =
        Options::new().modules(folder.path()).limit("gate_threads", 8).limit("plugin_turn_wait_max_ms", 100).start();
    for name in ["first", "second"] {
        // That one of three is turned away shows that two run.
        let answer = begin(&host, name, 3).recv().expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
        let told = "plugin hostile 0.1.0 is busy (plugin_running_max = 2, plugin_turn_wait_max_ms = 100); nothing is decided: \
                    send it again";
        assert!(answer.contains(told), "{answer}");
    }
    for number in 0..20 {
        let answer = publish(&host, "healthy", &format!("a{number}"));
        assert_eq!(answer.status, 201, "{answer:?}");
    }
}

#[test]
fn an_observing_plugin_that_breaks_never_decides() {
    let folder = TempDir::new().expect("a folder");
    let binding = own_binding(folder.path(), "panic", "validate", "hostile", "{ break = \"panic\" }");
    module(folder.path(), "panic", &format!("{binding}mode = \"observe\"\n"));
    let objects = own_binding(folder.path(), "objects", "validate", "hostile", "{ break = \"error\" }");
    module(folder.path(), "object", &format!("{objects}mode = \"observe\"\n"));
    let host = Options::new().modules(folder.path()).start();
    let broken = publish(&host, "panic", "a");
    assert_eq!(broken.status, 201, "{broken:?}");
    assert_eq!(broken.body["decision"]["failures"][0]["plugin"], "panic");
    assert_eq!(broken.body["decision"]["failures"][0]["mode"], "observe");
    let objected = publish(&host, "object", "a");
    assert_eq!(objected.status, 201, "{objected:?}");
    assert_eq!(objected.body["decision"]["findings"][0]["mode"], "observe");
    assert_eq!(objected.body["decision"]["findings"][0]["code"], "hostile.error");
}

/// Resident memory, in KiB.
fn resident_kb(host: &Host) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", host.process())).expect("a process");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("its size");
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number")
}

#[test]
fn overload_is_shed_with_503_and_retry_after() {
    let folder = TempDir::new().expect("a folder");
    module(folder.path(), "loop", &own_binding(folder.path(), "loop", "validate", "hostile", "{ break = \"loop\" }"));
    // One runs for ever, one waits for ever: every other is shed.
    let host = Options::new().modules(folder.path()).limit("gate_threads", 1).limit("gate_queue_max", 1).start();
    let flood = || {
        let answers = begin(&host, "loop", 16);
        for answer in answers.iter().take(14) {
            let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
            assert!(head.starts_with("HTTP/1.1 503") && head.contains("retry-after: 1"), "{answer}");
            let body: Value = serde_json::from_str(body).expect("JSON");
            assert_eq!(body["code"], "busy");
            assert_eq!(body["detail"], "the host is busy: the gate's queue is full (gate_queue_max = 1)");
        }
    };
    // What the first floods leave is what the host keeps for the next.
    (0..8).for_each(|_| flood());
    let before_kb = resident_kb(&host);
    (0..32).for_each(|_| flood());
    let grown_kb = resident_kb(&host).saturating_sub(before_kb);
    assert!(grown_kb < 32 * 1024, "the host grew by {grown_kb} KiB under 32 floods");
}

#[test]
fn a_plugin_that_breaks_when_it_is_configured_is_refused_with_its_release() {
    for (damage, words) in [
        ("configure-panic", "binding 'configure-panic': it broke when it was tried: plugin hostile trapped"),
        (
            "configure-memory",
            "binding 'configure-memory': it broke when it was tried: plugin hostile asked for more memory than it may \
             have (plugin_memory_max_bytes = 67108864)",
        ),
        ("configure-refuse", "binding 'configure-refuse': its settings are refused"),
    ] {
        refused_with_its_release(Options::new(), damage, words);
    }
    refused_with_its_release(
        Options::new().limit("plugin_configure_deadline_ms", 500),
        "configure-loop",
        "binding 'configure-loop': it broke when it was tried: plugin hostile overran its deadline \
         (plugin_configure_deadline_ms = 500)",
    );
}

fn refused_with_its_release(options: Options, damage: &str, words: &str) {
    let host = options.start();
    let bytes = std::fs::read(crate::support::host::component("hostile")).expect("a component");
    let pushed = host.send("/api/plugins", "application/wasm", &bytes);
    assert_eq!(pushed.status, 201, "{pushed:?}");
    let rules = json!({
        "scope": "module:things",
        "kinds": [{"name": "things", "singular": "thing", "idField": "thingId", "documentField": "manifest", "schema": true}],
        "bindings": [{"name": damage, "stage": "validate", "plugin": pushed.body["digest"], "settings": {"break": damage}}],
    });
    let answer = host.post("/api/modules/things/releases", &json!({"rules": rules}));
    assert_eq!((answer.status, &answer.body["code"]), (422, &json!("plugin-unfit")), "{answer:?}");
    let detail = answer.body["detail"].as_str().expect("a text");
    assert!(detail.starts_with(words), "{detail}");
    assert_eq!(host.get("/api/modules/things").status, 404);
}
