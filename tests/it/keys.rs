//! Signed plugins: who signs, whose signatures a host believes, and what it refuses.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use hallmark::names::Digest;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::command::{against, argument, hallmark, text};
use crate::support::host::{Host, Options, component};
use crate::support::rules::own_copy;

/// Two keys, and plugins that no other test pushes.
struct Bench {
    host: Host,
    folder: TempDir,
}

impl Bench {
    fn new() -> Self {
        let bench = Self { host: Options::new().start(), folder: TempDir::new().expect("a folder") };
        for name in ["one", "two"] {
            let made = hallmark(&["plugin", "keygen", "--out", argument(&bench.path(name))]);
            assert_eq!(made.status.code(), Some(0), "{}", text(&made.stderr));
        }
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn plugin(&self, name: &str) -> PathBuf {
        own_copy(self.folder.path(), &component("placeholders"), name)
    }

    fn sign(&self, plugin: &Path, key: &str) {
        let key = self.path(&format!("{key}.key"));
        let signed = hallmark(&["plugin", "sign", argument(plugin), "--key", argument(&key)]);
        assert_eq!(signed.status.code(), Some(0), "{}", text(&signed.stderr));
    }

    /// What a command says, and how it ends.
    fn run(&self, arguments: &[&str]) -> (String, i32) {
        let output = against(&self.host, arguments);
        (text(&output.stdout) + &text(&output.stderr), output.status.code().expect("an exit code"))
    }

    fn trust(&self, key: &str) -> String {
        let (said, code) = self.run(&["plugin", "trust", "add", argument(&self.path(&format!("{key}.pub")))]);
        assert_eq!(code, 0, "{said}");
        said.split(' ').next().expect("an id").to_owned()
    }

    fn push(&self, plugin: &Path) -> (String, i32) {
        self.run(&["plugin", "push", argument(plugin)])
    }

    fn release(&self, plugin: &Path) -> (u16, Value) {
        let binding = json!({"name": "names", "stage": "resolve", "plugin": digest(plugin), "settings": {}});
        let kind = json!({
            "name": "things", "singular": "thing", "idField": "thingId", "documentField": "manifest", "schema": true,
        });
        let rules = json!({"scope": "module:things", "kinds": [kind], "bindings": [binding]});
        let answer = self.host.post("/api/modules/things/releases", &json!({"rules": rules}));
        (answer.status, answer.body)
    }
}

fn digest(plugin: &Path) -> String {
    Digest::of(&fs::read(plugin).expect("a plugin")).to_string()
}

#[test]
fn keys_are_made_once_and_for_their_owner() {
    let bench = Bench::new();
    assert_eq!(fs::metadata(bench.path("one.key")).expect("a key").permissions().mode() & 0o777, 0o600);
    let again = hallmark(&["plugin", "keygen", "--out", argument(&bench.path("one"))]);
    assert_eq!(again.status.code(), Some(2));
    let told = format!("error: {} is there: name others with --out\n", bench.path("one.key").display());
    assert_eq!(text(&again.stderr), told);
    let plugin = bench.plugin("open");
    fs::set_permissions(bench.path("one.key"), fs::Permissions::from_mode(0o640)).expect("changed");
    let signed = hallmark(&["plugin", "sign", argument(&plugin), "--key", argument(&bench.path("one.key"))]);
    assert!(signed.status.code() == Some(2) && text(&signed.stderr).contains("can be read by others"));
    let public = bench.path("one.pub");
    let signed = hallmark(&["plugin", "sign", argument(&plugin), "--key", argument(&public)]);
    let told = format!("error: --key: {} is a public key: give the private one beside it\n", public.display());
    assert_eq!((text(&signed.stderr), signed.status.code()), (told, Some(2)));
}

#[test]
fn a_signature_is_kept_where_its_key_is_trusted() {
    let bench = Bench::new();
    let plugin = bench.plugin("kept");
    let (said, code) = bench.push(&plugin);
    assert!(code == 0 && !said.contains("signed by"), "{said}");
    bench.sign(&plugin, "one");
    let (said, code) = bench.push(&plugin);
    assert!(code == 0 && said.contains("its signature was not kept: the server does not trust the key"), "{said}");
    let id = bench.trust("one");
    let (said, code) = bench.push(&plugin);
    assert!(code == 0 && said.ends_with(&format!("signed by {id}\n")), "{said}");
    let shown = bench.host.get(&format!("/api/plugins/{}", digest(&plugin))).body;
    assert_eq!(shown["signatures"], json!([{"keyId": id, "name": "one", "trusted": true}]));

    // Another's, later, over HTTP.
    let other = bench.trust("two");
    bench.sign(&plugin, "two");
    let signature = fs::read(bench.path("kept.wasm.sig")).expect("a signature");
    let path = format!("/api/plugins/{}/signatures", digest(&plugin));
    let added = bench.host.send(&path, "application/json", &signature);
    assert_eq!(added.status, 201, "{added:?}");
    assert_eq!(added.body["signatures"].as_array().map(Vec::len), Some(2));
    assert!(added.body.to_string().contains(&other));

    // What does not fit is refused, whether one is asked for or not.
    let mut bad: Value = serde_json::from_slice(&signature).expect("JSON");
    let one: Value = bad["signature"].as_str().map(|text| text.replace(&text[..8], "AAAAAAAA")).into();
    bad["signature"] = one;
    let refused = bench.host.send(&path, "application/json", bad.to_string().as_bytes());
    assert_eq!((refused.status, &refused.body["code"]), (422, &json!("plugin-unsigned")));
    assert_eq!(
        refused.body["detail"],
        format!(
            "plugin {}: its signature does not fit, of the key {other}: sign these very bytes again",
            digest(&plugin)
        )
    );
    let nonsense = bench.host.send(&path, "application/json", b"{}");
    assert_eq!((nonsense.status, &nonsense.body["code"]), (400, &json!("malformed")));
    let changed = bench.plugin("changed");
    fs::copy(bench.path("kept.wasm.sig"), bench.path("changed.wasm.sig")).expect("a copy");
    let (said, code) = bench.push(&changed);
    assert!(code == 2 && said.contains("it is of other bytes than"), "{said}");
}

#[test]
fn where_signatures_are_required_unsigned_plugins_are_not_put_to_work() {
    let bench = Bench::new();
    let (early, signed, stranger) = (bench.plugin("early"), bench.plugin("signed"), bench.plugin("stranger"));
    assert_eq!(bench.push(&early).1, 0);
    let id = bench.trust("one");
    let (said, code) = bench.run(&["plugin", "trust", "require", "on"]);
    assert_eq!((said.as_str(), code), ("only plugins that a trusted key signed are put to work\n", 0));

    let (said, code) = bench.push(&stranger);
    assert_eq!(code, 1);
    assert!(said.starts_with("error[plugin-unsigned]: ") && said.contains("no trusted key signed it"), "{said}");
    bench.sign(&stranger, "two");
    let (said, code) = bench.push(&stranger);
    assert!(
        code == 1 && said.contains("which is not trusted here: trust it with `hallmark plugin trust add`"),
        "{said}"
    );
    assert_eq!(bench.host.get(&format!("/api/plugins/{}", digest(&stranger))).status, 404, "nothing was kept");

    // One that was there before is not bound, until it is signed.
    let (status, body) = bench.release(&early);
    assert_eq!((status, &body["code"]), (422, &json!("plugin-unsigned")));
    assert!(body["detail"].as_str().expect("a text").starts_with("binding 'names': plugin sha256:"), "{body}");
    assert_eq!(bench.push(&early).1, 0, "the same bytes again change nothing");
    bench.sign(&signed, "one");
    assert_eq!(bench.push(&signed).1, 0);
    let (status, body) = bench.release(&signed);
    assert_eq!(status, 201, "{body}");
    let activate = || bench.host.post("/api/modules/things/activate", &json!({"release": body["number"]}));
    assert_eq!(activate().status, 200);

    // A key that is revoked takes nothing out of force, and lets nothing more in.
    let (said, code) = bench.run(&["plugin", "trust", "revoke", &id]);
    assert_eq!(code, 0, "{said}");
    let mut lines = said.lines();
    assert!(lines.next().is_some_and(|line| line.starts_with(&format!("{id}  one  revoked by admin at "))), "{said}");
    let in_force =
        format!("in force without a trusted signature: module:things release 1, binding 'names' ({})", digest(&signed));
    assert_eq!(lines.next(), Some(in_force.as_str()));
    let thing = json!({"thingId": "a", "name": "A", "version": "1.0.0", "manifest": {}});
    assert_eq!(bench.host.post("/api/things/publish", &thing).status, 201, "what is in force goes on");
    let refused = activate();
    assert_eq!((refused.status, &refused.body["code"]), (422, &json!("plugin-unsigned")));
    let detail = refused.body["detail"].as_str().expect("a text");
    assert!(detail.ends_with(&format!("of the key {id} ('one'), which was revoked: sign it with another")), "{detail}");
    let (said, _) = bench.run(&["plugin", "trust", "add", argument(&bench.path("one.pub"))]);
    assert!(said.contains("was revoked and stays so: make a new one"), "{said}");
    let (said, _) = bench.run(&["plugin", "trust", "list"]);
    assert!(said.contains("only plugins that a trusted key signed") && said.contains(&in_force), "{said}");

    // Signed with another, it is activated again.
    let two = bench.trust("two");
    let (said, _) = bench.run(&["plugin", "trust", "add", argument(&bench.path("two.pub")), "--name", "other"]);
    assert!(said.starts_with(&format!("{two}  two  trusted by admin at ")) && said.ends_with(" already\n"), "{said}");
    bench.sign(&signed, "two");
    assert_eq!(bench.push(&signed).1, 0);
    assert_eq!(activate().status, 200);
    let (said, code) = bench.run(&["plugin", "trust", "require", "off"]);
    assert_eq!((said.as_str(), code), ("plugins are put to work whether they are signed or not\n", 0));
    bench.run(&["plugin", "trust", "revoke", &two]);
    let (said, _) = bench.run(&["plugin", "trust", "list"]);
    assert!(said.ends_with("\n1 binding in force without a trusted signature\n"), "{said}");
    assert_eq!(bench.push(&bench.plugin("whatever")).1, 0);
}

#[test]
fn what_is_no_key_is_not_trusted() {
    let bench = Bench::new();
    let add = |name: &str, key: &str| bench.host.post("/api/keys", &json!({"name": name, "publicKey": key}));
    let pem = fs::read_to_string(bench.path("one.pub")).expect("a key");
    for (name, key, detail) in [
        ("x", "nonsense", "no Ed25519 public key in PEM (SubjectPublicKeyInfo)"),
        ("", pem.as_str(), "a key's name has 1 to 100 characters, and no control characters"),
    ] {
        let answer = add(name, key);
        let told = (answer.status, &answer.body["code"], &answer.body["detail"]);
        assert_eq!(told, (422, &json!("bad-key"), &json!(detail)));
    }
    assert_eq!((add("one", &pem).status, add("one", &pem).status), (201, 200));
    let listed = bench.host.get("/api/keys").body;
    assert_eq!((listed["items"].as_array().map(Vec::len), &listed["signaturesRequired"]), (Some(1), &json!(false)));
    let unknown = bench.host.post(&format!("/api/keys/{}/revoke", "0".repeat(64)), &json!(null));
    assert_eq!(unknown.status, 404);
    let plugin = fs::read(bench.plugin("header")).expect("a plugin");
    for (value, status) in [("nonsense", 400), ("x y", 400)] {
        let answer = bench.host.send_with("/api/plugins", "application/wasm", &plugin, ("plugin-signature", value));
        assert_eq!((answer.status, &answer.body["code"]), (status, &json!("bad-name")), "{answer:?}");
    }
}
