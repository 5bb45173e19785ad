//! An OpenID Connect provider that is not ours, run as a process of its own: what it signs is believed, and its keys may
//! change.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::command::{argument, told};
use crate::support::host::{AMPLE_MS, Answer, Options, root};
use crate::support::issuer::AUDIENCE;
use crate::support::rules::{module, submission};

/// The provider of tests/issuer. It ends where it is dropped.
struct Provider {
    child: Child,
    url: String,
}

impl Provider {
    /// Starts it at the port, or at any that is free for 0, with a key that it had never before.
    fn start(port: &str) -> Self {
        let folder = root().join("tests/issuer");
        assert!(folder.join("node_modules").is_dir(), "run `make test`, or `npm install` in {}", folder.display());
        let newer = root().join("target/node/node_modules/node/bin/node");
        let node = if newer.exists() { newer } else { PathBuf::from("node") };
        let mut child = Command::new(node)
            .args(["provider.mjs", port, AUDIENCE])
            .current_dir(folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("Node.js starts");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let url = lines.next().expect("it says where it is before it ends").expect("text");
        Self { child, url }
    }

    /// Another, with another key, in its place.
    fn again(self) -> Self {
        let port = self.url.rsplit(':').next().expect("a port").to_owned();
        drop(self);
        Self::start(&port)
    }

    /// What a client gets that shows who it is.
    fn token(&self) -> String {
        let basic = format!("Basic {}", BASE64.encode("ci:known-to-the-tests"));
        let request = ureq::post(format!("{}/token", self.url)).header("Authorization", basic);
        let mut answer = request.send_form([("grant_type", "client_credentials")]).expect("an answer");
        let body = answer.body_mut().read_to_string().expect("text");
        let body: Value = serde_json::from_str(&body).expect("JSON");
        body["access_token"].as_str().expect("a token").to_owned()
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn options(provider: &Provider, folder: &Path) -> Options {
    let (file, modules) = (folder.join("issuers.toml"), folder.join("modules"));
    let text = format!("[[issuer]]\nname = \"ci\"\nissuer = \"{}\"\naudiences = [\"{AUDIENCE}\"]\n", provider.url);
    std::fs::write(&file, text).expect("written");
    module(&modules, "note", "");
    let options = Options::new().modules(&modules).flag("--issuers", argument(&file));
    options.limit("issuer_fetch_max_ms", AMPLE_MS).limit("issuer_poll_ms", 0)
}

fn detail(answer: &Answer) -> (u16, &str) {
    (answer.status, answer.body["detail"].as_str().unwrap_or_default())
}

#[test]
fn a_ci_publishes_by_its_providers_tokens_whose_keys_change() {
    let folder = TempDir::new().expect("a folder");
    let provider = Provider::start("0");
    let host = options(&provider, folder.path()).start();
    let (claims, entries) = ("repository=acme/search", "notes/search-*");
    let old = provider.token();
    let nothing = "the token is believed, and nothing is granted to its holder here: ask an admin";
    assert_eq!(detail(&host.by(&old).get("/api/notes")), (403, nothing));
    let binding = ["--claim", claims, "--claim", "ref=refs/heads/main", "--entries", entries];
    told(&host, &[&["trust-publisher", "add", "search", "--issuer", "ci"][..], &binding].concat());
    let published = host.by(&old).post("/api/notes/publish", &submission("note", "search-web"));
    assert_eq!(published.status, 201, "{published:?}");
    assert_eq!(host.get("/api/notes/search-web").body["publishedBy"], "ci:ci");
    let beyond = host.by(&old).post("/api/notes/publish", &submission("note", "other"));
    assert_eq!(beyond.body["code"], json!("forbidden"), "{beyond:?}");

    let provider = provider.again();
    let new = provider.token();
    let published = host.by(&new).post("/api/notes/publish", &submission("note", "search-more"));
    assert_eq!(published.status, 201, "its new key is found: {published:?}");
    assert_eq!(detail(&host.by(&old).get("/api/notes")), (401, "the token's signature is not its issuer's"));
}
