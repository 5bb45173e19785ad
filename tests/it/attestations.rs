//! A decision leaves the host as a signed statement, and is believed without the host: by ours, and by the libraries of
//! others.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::command::{against, argument, hallmark, text};
use crate::support::host::{Host, Options, root};

/// A host's statements in a folder, with its public key.
struct Exported {
    host: Host,
    folder: TempDir,
}

impl Exported {
    fn new() -> Self {
        let exported = Self { host: Options::examples().start(), folder: TempDir::new().expect("a folder") };
        for manifests in ["examples/manifests/valid", "examples/manifests/invalid/agent-unknown-service.yaml"] {
            against(&exported.host, &["publish", manifests]);
        }
        let pem = exported.host.get("/api/signing-key").body;
        fs::write(exported.path("public.pem"), pem.as_str().expect("PEM")).expect("a file");
        exported
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn decision(&self, query: &str) -> String {
        let listed = self.host.get(&format!("/api/decisions?{query}")).body;
        listed["items"][0]["id"].as_str().expect("a decision").to_owned()
    }

    /// Exports a decision into a file.
    fn export(&self, query: &str, name: &str) -> PathBuf {
        let (id, file) = (self.decision(query), self.path(name));
        let exported = against(&self.host, &["decision", "export", &id, "--out", argument(&file)]);
        assert_eq!(exported.status.code(), Some(0), "{}", text(&exported.stderr));
        file
    }

    /// What `verify` says, and how it ends.
    fn verify(&self, file: &Path, more: &[&str]) -> (String, i32) {
        let key = self.path("public.pem");
        let output = hallmark(&[&["verify", argument(file), "--key", argument(&key)], more].concat());
        let said = text(&output.stdout) + &text(&output.stderr);
        (said, output.status.code().expect("an exit code"))
    }
}

fn change(file: &Path, to: &Path, change: impl FnOnce(&mut Value)) {
    let mut envelope: Value = serde_json::from_str(&fs::read_to_string(file).expect("a file")).expect("JSON");
    change(&mut envelope);
    fs::write(to, envelope.to_string()).expect("a file");
}

#[test]
fn a_statement_is_verified_offline_with_the_manifest_that_it_is_about() {
    let exported = Exported::new();
    let approved = exported.export("kind=agents&entry=release-notes", "approved.json");
    let rejected = exported.export("outcome=rejected", "rejected.json");
    let (said, code) = exported.verify(&approved, &[]);
    assert_eq!(code, 0, "{said}");
    assert!(
        said.starts_with("verified: signed by ") && said.contains("\napproved: agents/release-notes@1.0.0 sha256:")
    );
    assert!(
        said.contains("\njudged by  module:agents release 1 sha256:")
            && said.contains("\nplugin     agent-rules (validate)")
    );
    let (said, code) = exported.verify(&rejected, &[]);
    assert!(said.contains("\nrejected: agents/example@1.0.0 sha256:") && said.contains("\nerror["), "{said}");
    assert_eq!(code, 0, "what it attests is true, and that is that it was refused");

    // The manifest as the server shows it, and as it was sent.
    for (name, path) in
        [("entry", "/api/agents/release-notes"), ("version", "/api/agents/release-notes/versions/1.0.0")]
    {
        let (file, shown) = (exported.path(&format!("{name}.json")), exported.host.get(path).body);
        fs::write(&file, shown.to_string()).expect("a file");
        let (said, code) = exported.verify(&approved, &["--manifest", argument(&file)]);
        assert_eq!(code, 0, "{said}");
        assert!(said.ends_with(&format!("manifest   {} is what it is about\n", file.display())), "{said}");
        let mut other = shown;
        other["manifest"]["metadata"]["name"] = json!("another");
        fs::write(&file, other.to_string()).expect("a file");
        let (said, code) = exported.verify(&approved, &["--manifest", argument(&file)]);
        let told = format!(
            "error: {} is not what the statement is about: agents/release-notes@1.0.0 has sha256:",
            file.display()
        );
        assert!(code == 1 && said.starts_with(&told), "{said}");
    }
    // What was sent for the refused one has no resolved form.
    let id = exported.decision("outcome=rejected");
    let sent = exported.path("sent.json");
    let submission = exported.host.get(&format!("/api/decisions/{id}/explanation")).body["submission"].to_string();
    fs::write(&sent, submission).expect("a file");
    let (said, code) = exported.verify(&rejected, &["--manifest", argument(&sent), "--output", "json"]);
    assert_eq!(code, 0, "{said}");
    let told: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(
        (&told["manifestMatches"], &told["statement"]["predicate"]["outcome"]),
        (&json!(true), &json!("rejected"))
    );
    // The same again is the same, byte for byte.
    let again = exported.export("kind=agents&entry=release-notes", "again.json");
    assert_eq!(fs::read(&approved).expect("a file"), fs::read(&again).expect("a file"));
}

#[test]
fn what_was_altered_or_signed_by_others_is_not_believed() {
    let exported = Exported::new();
    let file = exported.export("kind=agents&entry=release-notes", "statement.json");
    let altered = exported.path("altered.json");
    let refused = |why: &str| {
        let (said, code) = exported.verify(&altered, &[]);
        assert!(code == 1 && said.contains(why), "{why}: {said}");
    };
    let payload = "eyJfdHlwZSI6Im5vIn0=";
    change(&file, &altered, |envelope| envelope["payload"] = json!(payload));
    refused("does not fit: the payload, its type or the signature was altered");
    change(&file, &altered, |envelope| envelope["payloadType"] = json!("text/plain"));
    refused("does not fit: the payload, its type or the signature was altered");
    change(&file, &altered, |envelope| envelope["signatures"] = json!([]));
    refused("nobody signed it: it has no signature");
    change(&file, &altered, |envelope| drop(envelope.as_object_mut().expect("an object").remove("payload")));
    refused("it is no DSSE envelope: missing field `payload`");
    fs::write(&altered, "nonsense").expect("a file");
    refused("it is no DSSE envelope: ");
    // A second signature is no harm, also where it comes first and is none.
    change(&file, &altered, |envelope| {
        envelope["signatures"].as_array_mut().expect("signatures").insert(0, json!({"keyid": "other", "sig": "AAAA"}));
    });
    let (said, code) = exported.verify(&altered, &[]);
    assert!(code == 0 && said.contains("1 other signature beside it"), "{said}");

    let keys = exported.path("mine");
    assert_eq!(hallmark(&["plugin", "keygen", "--out", argument(&keys)]).status.code(), Some(0));
    let mine = exported.path("mine.pub");
    let wrong = hallmark(&["verify", argument(&file), "--key", argument(&mine)]);
    let said = text(&wrong.stderr);
    assert!(wrong.status.code() == Some(1) && said.contains("it is not signed by the key "), "{said}");
    let private = hallmark(&["verify", argument(&file), "--key", argument(&exported.path("mine.key"))]);
    assert_eq!(private.status.code(), Some(2));
    assert!(text(&private.stderr).contains("this is a private key"), "{}", text(&private.stderr));
}

#[test]
fn hosts_with_one_key_sign_alike_and_a_key_that_others_may_read_is_refused() {
    let folder = TempDir::new().expect("a folder");
    let key = folder.path().join("fleet");
    assert_eq!(hallmark(&["plugin", "keygen", "--out", argument(&key)]).status.code(), Some(0));
    let (private, public) = (folder.path().join("fleet.key"), folder.path().join("fleet.pub"));
    let pem = fs::read_to_string(public).expect("a file");
    for _ in 0..2 {
        let host = Options::new().signing_key(&private).start();
        assert_eq!(host.get("/api/signing-key").body, json!(pem));
    }
    let own = Options::new().start();
    assert_ne!(own.get("/api/signing-key").body, json!(pem));
    let made = own.data.join("signing.key");
    assert_eq!(fs::metadata(made).expect("it is made").permissions().mode() & 0o777, 0o600);

    let data = folder.path().join("data");
    let serve = |key: &Path| {
        let arguments = ["serve", "--listen", "127.0.0.1:0", "--data", argument(&data), "--signing-key", argument(key)];
        let output = hallmark(&arguments);
        assert_eq!(output.status.code(), Some(3));
        text(&output.stderr)
    };
    let nothing = folder.path().join("nothing.key");
    let said = serve(&nothing);
    let told = format!("there is no signing key {}: make one with `hallmark plugin keygen`", nothing.display());
    assert!(said.contains(&told), "{said}");
    fs::set_permissions(&private, fs::Permissions::from_mode(0o644)).expect("changed");
    let said = serve(&private);
    assert!(said.contains(&format!("can be read by others: run chmod 600 {}", private.display())), "{said}");
    fs::set_permissions(&private, fs::Permissions::from_mode(0o600)).expect("changed");
    fs::write(&private, "nonsense").expect("a file");
    let said = serve(&private);
    assert!(said.contains("no Ed25519 private key in PEM (PKCS#8)"), "{said}");
}

#[test]
fn the_libraries_of_others_verify_our_statements() {
    let tools = root().join("target/attestations");
    if tools.join("unavailable").is_file() {
        eprintln!("skipped: `make test` found no package index that has tests/attestations/requirements.txt");
        return;
    }
    let python = tools.join("bin/python");
    assert!(python.is_file(), "tests/attestations/requirements.txt is not installed: run `make test`");
    let exported = Exported::new();
    let verify = |file: &Path| {
        let script = root().join("tests/attestations/verify.py");
        Command::new(&python).arg(script).arg(file).arg(exported.path("public.pem")).output().expect("Python runs")
    };
    for (query, name, outcome) in [
        ("kind=agents&entry=release-notes", "agents/release-notes@1.0.0", "approved"),
        ("outcome=rejected", "agents/example@1.0.0", "rejected"),
    ] {
        let file = exported.export(query, "statement.json");
        let output = verify(&file);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let id = exported.decision(query);
        let decision = exported.host.get(&format!("/api/decisions/{id}")).body;
        let digest = if outcome == "approved" { &decision["digest"] } else { &decision["submittedDigest"] };
        let digest = digest.as_str().and_then(|digest| digest.strip_prefix("sha256:")).expect("a digest");
        assert_eq!(
            told,
            json!({
                "payloadType": "application/vnd.in-toto+json", "name": name, "digest": {"sha256": digest},
                "predicateType": "urn:hallmark:predicate:decision:v1", "outcome": outcome,
            })
        );
        let altered = exported.path("altered.json");
        change(&file, &altered, |envelope| envelope["payload"] = json!("e30="));
        let output = verify(&altered);
        assert_eq!(output.status.code(), Some(1));
        assert!(text(&output.stderr).starts_with("not verified"), "{}", text(&output.stderr));
    }
}
