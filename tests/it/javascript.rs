//! A guest from another toolchain: the runtime that it carries imports WASI, and gets an empty world whose clock and
//! dice depend on the submission alone.

use serde_json::Value;
use tempfile::TempDir;

use crate::support::host::{Answer, Options};
use crate::support::rules::{module, own_binding, submission};

#[test]
fn a_javascript_guest_is_configured_once_and_sees_the_time_of_the_submission() {
    let folder = TempDir::new().expect("a folder");
    let binding = own_binding(folder.path(), "note", "validate", "clock-and-dice", "{ greeting = \"hello\" }");
    module(folder.path(), "note", &binding);
    // The runtime is large: how fast it is on a busy machine is not what is asked here.
    let host = Options::new().modules(folder.path()).limit("plugin_deadline_ms", 10_000).start();
    let seen = |answer: &Answer| {
        let decision = &answer.body["decision"];
        let at = decision["submittedAt"].as_str().expect("an instant").to_owned();
        let findings = decision["findings"].as_array().expect("findings");
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert_eq!((&findings[0]["code"], &findings[0]["severity"]), (&Value::from("seen"), &Value::from("info")));
        (at, findings[0]["message"].as_str().expect("a text").to_owned())
    };
    for id in ["one", "two"] {
        let answer = host.post("/api/notes/publish", &submission("note", id));
        assert_eq!(answer.status, 201, "{answer:?}");
        let (at, message) = seen(&answer);
        assert!(message.starts_with(&format!("{at} 0.")), "the clock shows {at}, or the dice no fraction: {message}");
        assert!(message.ends_with(" hello \"One of them\""), "{message}");
        // The clock and the dice show the same again.
        let decision = answer.body["decision"]["id"].as_str().expect("an id");
        let replayed = host.send(&format!("/api/decisions/{decision}/replay"), "application/json", b"");
        assert_eq!(replayed.body["verdict"], "same", "{replayed:?}");
    }
}
