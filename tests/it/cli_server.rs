//! The command line against a running server: rules applied from folders, manifests published, read and rolled back.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::process::{Command, Output};

use hallmark::names::Digest;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::host::{Host, Options, component, root, until};
use crate::support::rules::module;

fn hallmark(host: &Host, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hallmark"));
    command.env("HALLMARK_SERVER", &host.url).env_remove("HALLMARK_TOKEN");
    command.env("HALLMARK_TOKEN_FILE", host.data.join("admin.token"));
    command.current_dir(root()).args(arguments).output().expect("the binary runs")
}

/// What it wrote, and its exit code.
fn told(host: &Host, arguments: &[&str]) -> (String, String, i32) {
    let output = hallmark(host, arguments);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (text(output.stdout), text(output.stderr), output.status.code().expect("an exit code"))
}

/// Ids of decisions and requests are not the same twice.
fn without_ids(text: &str) -> String {
    let is_id = |word: &str| word.len() == 36 && word.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    let line = |line: &str| {
        let words = line.split(' ').map(|word| {
            let bare = word.trim_end_matches([')', ',']);
            if is_id(bare) { word.replace(bare, "ID") } else { word.to_owned() }
        });
        words.collect::<Vec<_>>().join(" ")
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn applying_rules_twice_changes_nothing() {
    let host = Options::new().start();
    let (first, error, code) = told(&host, &["module", "apply", "examples/modules"]);
    assert_eq!((error.as_str(), code), ("", 0));
    let lines: Vec<_> = first.lines().map(|line| line.split(" (sha256:").next().unwrap_or(line)).collect();
    for line in [
        "pushed placeholders 0.1.0",
        "pushed agent-rules 0.1.0",
        "pushed service-rules 0.1.0",
        "pushed template-rules 0.1.0",
        "module:agents: release 1 is active, the first",
        "module:services: release 1 is active, the first",
        "module:templates: release 1 is active, the first",
    ] {
        assert!(lines.contains(&line), "{line} in {lines:?}");
    }
    assert_eq!(lines.len(), 7, "a component that two modules use is pushed once");
    let (second, error, code) = told(&host, &["module", "apply", "examples/modules"]);
    assert_eq!(
        second,
        "module:agents: unchanged, release 1 is active and says the same\n\
         module:services: unchanged, release 1 is active and says the same\n\
         module:templates: unchanged, release 1 is active and says the same\n"
    );
    assert_eq!((error.as_str(), code), ("", 0));
    let (policies, error, code) = told(&host, &["policy", "apply", "examples/policies"]);
    assert!(policies.ends_with("policies: release 1 is active, the first\n"), "{policies}");
    assert_eq!((error.as_str(), code), ("", 0));
    let (policies, _, _) = told(&host, &["policy", "apply", "examples/policies"]);
    assert_eq!(policies, "policies: unchanged, release 1 is active and says the same\n");
}

#[test]
fn manifests_are_published_read_and_rolled_back() {
    let host = Options::examples().start();
    let (text, error, code) = told(&host, &["publish", "examples/manifests/valid", "--dry-run"]);
    assert_eq!(
        (text.as_str(), error.as_str(), code),
        ("8 manifests: 8 valid, 0 rejected (0 errors, 0 warnings)\n", "", 0)
    );
    let (text, error, code) = told(&host, &["publish", "examples/manifests/valid"]);
    assert_eq!(
        without_ids(&text),
        "published agents/release-notes 1.0.0 (decision ID)\npublished agents/triage 0.3.0 (decision ID)\n\
         published agents/translator 2.1.0-rc.1 (decision ID)\npublished services/weather 1.0.0 (decision ID)\n\
         published templates/order-shipped 1.0.0 (decision ID)\npublished templates/house-style 1.0.0 (decision ID)\n\
         published templates/summarise-ticket 0.2.0 (decision ID)\npublished templates/worker 1.1.0 (decision ID)"
    );
    assert_eq!((error.as_str(), code), ("", 0));
    let (text, _, code) = told(&host, &["publish", "examples/manifests/valid/agent.yaml"]);
    assert_eq!(
        (text.as_str(), code),
        ("skipped agents/release-notes 1.0.0: the same content is published already\n", 0)
    );

    let (text, error, _) = told(&host, &["list", "agents", "--limit", "2"]);
    assert_eq!(
        text,
        "release-notes  1.0.0       active  Release notes\ntranslator     2.1.0-rc.1  active  Translator\n"
    );
    let cursor = error.trim().strip_prefix("more follow: --cursor ").expect("a cursor").to_owned();
    let (text, error, _) = told(&host, &["list", "agents", "--cursor", &cursor]);
    assert_eq!((text.as_str(), error.as_str()), ("triage  0.3.0  active  Triage\n", ""));

    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("agent.yaml");
    let example = std::fs::read_to_string(root().join("examples/manifests/valid/agent.yaml")).expect("the example");
    std::fs::write(&path, example.replace("version: 1.0.0", "version: 1.1.0")).expect("a file");
    let (_, error, code) = told(&host, &["publish", path.to_str().expect("UTF-8")]);
    assert_eq!((error.as_str(), code), ("", 0));
    let rollback = ["rollback", "agents", "release-notes", "1.0.0"];
    let (text, _, code) = told(&host, &rollback);
    assert_eq!((text.as_str(), code), ("agents/release-notes: 1.0.0 is the active version, 1.1.0 is archived\n", 0));
    let (text, _, _) = told(&host, &rollback);
    assert_eq!(text, "agents/release-notes: 1.0.0 is the active version already\n");

    let (text, _, _) = told(&host, &["get", "agents", "release-notes"]);
    let entry: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!((&entry["version"], &entry["highestVersion"]), (&"1.0.0".into(), &"1.1.0".into()));
    let decision = entry["decisionId"].as_str().expect("a decision").to_owned();
    let (text, _, code) = told(&host, &["decision", "show", &decision]);
    assert!(text.starts_with("approved: agents/release-notes 1.0.0\n"), "{text}");
    assert!(text.contains("replaced   /manifest/spec/runtime/memory from AGENT_MEMORY (module)"), "{text}");
    assert_eq!(code, 0);
}

#[test]
fn a_refusal_shows_the_lines_and_what_to_change() {
    let host = Options::examples().start();
    let (text, error, code) = told(&host, &["publish", "examples/manifests/invalid/agent-no-readiness-probe.yaml"]);
    assert_eq!(
        without_ids(&text),
        "error[rule.agent.health]: the agent 'example' has no readiness probe\n  \
         --> examples/manifests/invalid/agent-no-readiness-probe.yaml:12:3\n   |\n12 |   spec:\n   |   ^^^^\n   |\n   \
         = note: by cel (policy), at /manifest/spec\n   \
         = help: add spec.health.readinessProbe, so that no traffic reaches it before it can answer\n\n\
         rejected agents/example 1.0.0: the gate rejects it: 1 of 1 findings are errors (decision ID, correlation id ID)"
    );
    assert_eq!((error.as_str(), code), ("", 1));
}

#[test]
fn a_large_component_that_is_refused_by_its_token_tells_so() {
    let host = Options::new().start();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("large.wasm");
    std::fs::write(&file, vec![b' '; 16_000_000]).expect("written");
    let (_, error, code) = told(&host, &["plugin", "push", &file.display().to_string(), "--token", "hm_unknown"]);
    assert!(error.starts_with("error[unauthenticated]"), "{error}");
    assert_eq!(code, 3);
}

#[test]
fn problems_are_told_with_the_correlation_id() {
    let host = Options::new().start();
    for (arguments, expected, code) in [
        (
            &["get", "agents", "a"][..],
            "error[no-kind]: No such kind\n  no module declares the kind 'agents'; known kinds are: none\n  correlation id: ID",
            3,
        ),
        (
            &["list", "agents", "--token", "hm_unknown"],
            "error[unauthenticated]: A valid token is needed\n  nobody holds this token: it was never given out, or it was revoked\n  correlation id: ID",
            3,
        ),
        (
            &["plugin", "push", "examples/policies/rules.yaml"],
            "reading it: what it imports and exports\n\
             error[plugin-unfit]: The plugin cannot be put to work\n  not a WebAssembly component: it does not begin as WebAssembly does\n  correlation id: ID",
            1,
        ),
    ] {
        let (text, error, ended) = told(&host, arguments);
        assert_eq!((text.as_str(), without_ids(&error).as_str(), ended), ("", expected, code), "{arguments:?}");
    }
}

#[test]
fn a_component_is_pushed_once() {
    let host = Options::new().start();
    let component = component("placeholders");
    let digest = Digest::of(&std::fs::read(&component).expect("a component"));
    let push = ["plugin", "push", component.to_str().expect("UTF-8")];
    let (text, error, code) = told(&host, &push);
    assert_eq!(text, format!("pushed placeholders 0.1.0 ({digest})\n"));
    let steps = [
        "reading it: what it imports and exports",
        "compiling it: about a second for each megabyte",
        "asking it what it is",
        "running the examples that it brings",
        "keeping it",
    ];
    assert_eq!((error.lines().collect::<Vec<_>>(), code), (steps.to_vec(), 0));
    let (text, error, code) = told(&host, &push);
    assert_eq!(text, format!("there already: placeholders 0.1.0 ({digest})\n"));
    assert_eq!((error.as_str(), code), ("", 0));
    assert_eq!(host.get(&format!("/api/plugins/{digest}")).body["sizeBytes"], component.metadata().expect("it").len());
}

#[test]
fn a_push_goes_on_though_its_client_hangs_up() {
    let host = Options::new().start();
    let bytes = std::fs::read(component("placeholders")).expect("a component");
    let mut stream = TcpStream::connect(host.url.trim_start_matches("http://")).expect("a connection");
    let head = format!(
        "POST /api/plugins HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {}\r\nContent-Type: application/wasm\r\n\
         Accept: application/x-ndjson\r\nContent-Length: {}\r\n\r\n",
        host.token,
        bytes.len()
    );
    stream.write_all(&[head.as_bytes(), &bytes].concat()).expect("sent");
    let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
    assert_eq!(lines.next().as_deref(), Some("HTTP/1.1 200 OK"));
    assert!(lines.any(|line| line == r#"{"step":"reading"}"#));
    drop(stream);
    let path = format!("/api/plugins/{}", Digest::of(&bytes));
    until("the plugin is kept", || host.get(&path).status == 200);
}

/// What a plugin that breaks its own word is refused with, whoever runs its examples.
const MISTAKES: &str = "its self-test fails: 'nothing is expected' expects nothing, and name.any at /name came; \
    'another path is expected' expects name.any at the whole, and name.any at /name came; \
    'twice is expected' expects name.any at /name, name.any at /name, and name.any at /name came; \
    'no name' expects name.any at /name, and nothing came; \
    'panics' breaks the plugin, which panicked: as it was told to (lib.rs:31); \
    'wrong settings' has settings that are refused: /panics: 7 is not of type \"boolean\"";

#[test]
fn a_component_that_breaks_its_own_word_is_refused() {
    let host = Options::new().start();
    let mistaken = component("mistaken");
    let (text, error, code) = told(&host, &["plugin", "push", mistaken.to_str().expect("UTF-8")]);
    let told_last = without_ids(&error).lines().skip(4).collect::<Vec<_>>().join("\n");
    let refused = format!("error[plugin-unfit]: The plugin cannot be put to work\n  {MISTAKES}\n  correlation id: ID");
    assert_eq!((text.as_str(), told_last, code), ("", refused, 1));
    assert_eq!(host.get("/api/plugins").body["items"], serde_json::json!([]));
    let (text, _, code) = told(&host, &["plugin", "check", mistaken.to_str().expect("UTF-8")]);
    assert_eq!((text, code), (format!("{}: {MISTAKES}\n", mistaken.display()), 1));
    let cel = component("cel");
    let cel = cel.to_str().expect("UTF-8");
    let (text, _, code) = told(&host, &["plugin", "check", cel, "--limit", "plugin_examples_max=3"]);
    let too_many = "its self-test fails: it brings 4 examples, more than plugin_examples_max = 3";
    assert_eq!((text, code), (format!("{cel}: {too_many}\n"), 1));
    let (text, _, code) = told(&host, &["plugin", "check", cel, "--limit", "plugin_self_test_max_ms=0"]);
    let too_long = "its self-test fails: its examples take longer than plugin_self_test_max_ms = 0";
    assert_eq!((text, code), (format!("{cel}: {too_long}\n"), 1));
    let (text, _, _) = told(&host, &["plugin", "check", cel]);
    assert!(text.contains("\nself-test  4 examples, each answered as it says\n"), "{text}");
}

#[test]
fn rules_are_compared_and_put_in_force_and_taken_back() {
    let host = Options::new().start();
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().to_str().expect("UTF-8");
    let write = |memory: &str| {
        let placeholder = format!("[[placeholders]]\nname = \"MEMORY\"\ndefault = \"{memory}\"\n");
        module(folder.path(), "note", &placeholder);
    };
    write("256Mi");
    assert_eq!(
        told(&host, &["module", "diff", path]).0,
        "module:notes: nothing -> the folder\n+ kind notes\n+ placeholder MEMORY\n"
    );
    assert_eq!(told(&host, &["module", "apply", path]).2, 0);
    assert_eq!(told(&host, &["module", "diff", path]).0, "module:notes: release 1 -> the folder: nothing changes\n");
    write("512Mi");
    let changes = "~ placeholder MEMORY\n    /default: \"256Mi\" -> \"512Mi\"\n";
    assert_eq!(told(&host, &["module", "diff", path]).0, format!("module:notes: release 1 -> the folder\n{changes}"));
    let made = "module:notes: release 2 is made, release 1 is active\n";
    assert_eq!(told(&host, &["module", "release", path, "-m", "more memory"]).0, made);
    assert_eq!(told(&host, &["module", "activate", "notes", "2"]).0, "module:notes: release 2 is active, it was 1\n");
    let unchanged = "module:notes: unchanged, release 2 is active and says the same\n";
    assert_eq!(told(&host, &["module", "release", path]).0, unchanged);
    let (text, error, code) = told(&host, &["module", "diff", "notes", "1"]);
    assert_eq!(text, format!("module:notes: release 1 -> release 2\n{changes}"));
    assert_eq!((error.as_str(), code), ("", 0));
    let (text, _, _) = told(&host, &["module", "diff", "notes", "2", "2"]);
    assert_eq!(text, "module:notes: release 2 -> release 2: nothing changes\n");

    let (text, error, code) = told(&host, &["module", "rollback", "notes", "1"]);
    assert_eq!((text.as_str(), error.as_str(), code), ("module:notes: release 1 is active, it was 2\n", "", 0));
    let (text, _, code) = told(&host, &["module", "rollback", "notes", "1"]);
    assert_eq!((text.as_str(), code), ("module:notes: unchanged, release 1 is active already\n", 0));
    let (_, error, code) = told(&host, &["module", "rollback", "notes", "2"]);
    assert_eq!(error, "error: release 2 is not earlier than release 1, which is active: use 'activate'\n");
    assert_eq!(code, 2);
    // Of one that there is not, nothing is said of its age.
    let none = "error[not-found]: No such thing\n  no release 99 of module:notes: `hallmark module releases notes` lists those \
                there are\n  correlation id: ID";
    for more in [&[][..], &["--replaces", "1"]] {
        let (_, error, code) = told(&host, &[&["module", "rollback", "notes", "99"], more].concat());
        assert_eq!((without_ids(&error).as_str(), code), (none, 3));
    }
    let (text, _, code) = told(&host, &["module", "activate", "notes", "2"]);
    assert_eq!((text.as_str(), code), ("module:notes: release 2 is active, it was 1\n", 0));
    let (_, error, code) = told(&host, &["module", "activate", "notes", "3"]);
    assert_eq!(without_ids(&error), none.replace("99", "3"));
    assert_eq!(code, 3);

    let (_, error, code) = told(&host, &["policy", "diff", "1"]);
    assert_eq!((error.as_str(), code), ("error: policies has no active release: name the one to compare with\n", 3));
    let (_, error, code) = told(&host, &["policy", "rollback", "1"]);
    assert_eq!(
        (without_ids(&error).as_str(), code),
        (
            "error[not-found]: No such thing\n  no release 1 of policies: `hallmark policy releases` lists those there are\n  \
             correlation id: ID",
            3
        )
    );
    let (_, error, code) = told(&host, &["module", "diff", "notes", "first"]);
    assert_eq!((error.as_str(), code), ("error: 'first' is not a release's number: write 1, 2, 3 and so on\n", 2));
    let (text, _, code) = told(&host, &["policy", "diff", "examples/policies"]);
    assert_eq!(
        (text.lines().take(2).collect::<Vec<_>>(), code),
        (vec!["policies: nothing -> the folder", "+ binding cel"], 0)
    );
}
