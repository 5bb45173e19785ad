//! Trusted publishing: a CI publishes the entries that it is bound to, by what its issuer says of it.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::command::{against, argument, text, told};
use crate::support::host::{Answer, Host, Options, until};
use crate::support::issuer::{AUDIENCE, Issuer, SigningKey};
use crate::support::rules::{module, submission};

struct Ci {
    issuer: Issuer,
    key: SigningKey,
    host: Host,
    _folder: TempDir,
}

impl Ci {
    /// A host that believes a CI's issuer and grants nobody anything.
    fn new() -> Self {
        Self::with(Options::new())
    }

    fn with(options: Options) -> Self {
        let (key, folder) = (SigningKey::ec("a"), TempDir::new().expect("a folder"));
        let issuer = Issuer::start(&[&key]);
        let file = folder.path().join("issuers.toml");
        let text = format!("[[issuer]]\nname = \"ci\"\nissuer = \"{}\"\naudiences = [\"{AUDIENCE}\"]\n", issuer.url);
        std::fs::write(&file, text).expect("written");
        module(&folder.path().join("modules"), "note", "");
        let options = options.modules(&folder.path().join("modules"));
        let host = options.flag("--issuers", argument(&file)).start();
        Self { issuer, key, host, _folder: folder }
    }

    /// What a run of a repository's workflow gets from its CI.
    fn token(&self, repository: &str, reference: &str) -> String {
        let subject = format!("repo:{repository}:ref:{reference}");
        self.issuer.token(&self.key, json!({"sub": subject, "repository": repository, "ref": reference}))
    }

    fn publish(&self, token: &str, id: &str) -> Answer {
        self.host.by(token).post("/api/notes/publish", &submission("note", id))
    }

    fn trust(&self, request: &Value) -> Answer {
        self.host.post("/api/trusted-publishers", request)
    }
}

fn detail(answer: &Answer) -> (u16, &str) {
    (answer.status, answer.body["detail"].as_str().unwrap_or_default())
}

#[test]
fn a_ci_publishes_what_it_is_bound_to_and_nothing_else() {
    let ci = Ci::new();
    let main = ci.token("acme/search", "refs/heads/main");
    let nothing = "the token is believed, and nothing is granted to its holder here: ask an admin";
    assert_eq!(detail(&ci.publish(&main, "search-web")), (403, nothing));
    let added = told(
        &ci.host,
        &[
            "trust-publisher",
            "add",
            "search",
            "--issuer",
            "ci",
            "--claim",
            "repository=acme/search",
            "--claim",
            "ref=refs/heads/main",
            "--claim",
            "ref=refs/tags/v*",
            "--entries",
            "notes/search-*",
        ],
    );
    let url = &ci.issuer.url;
    let expected = format!(
        "  search  {url} with ref=refs/heads/main|refs/tags/v*, repository=acme/search  may publish notes/search-*  since "
    );
    assert!(added.contains(&expected), "{added}");

    assert_eq!(ci.publish(&main, "search-web").status, 201);
    assert_eq!(ci.publish(&ci.token("acme/search", "refs/tags/v1"), "search-tagged").status, 201);
    let shown = ci.host.get("/api/notes/search-web").body;
    assert_eq!(shown["publishedBy"], "ci:repo:acme/search:ref:refs/heads/main");
    assert_eq!(ci.publish(&main, "other").status, 403, "an entry that it is not bound to");
    for (repository, reference) in [
        ("acme/search", "refs/heads/feature"),
        ("acme/search", "refs/pull/1/merge"),
        ("evil/search", "refs/heads/main"),
        ("acme/search-2", "refs/heads/main"),
    ] {
        let token = ci.token(repository, reference);
        assert_eq!(detail(&ci.publish(&token, "search-web")), (403, nothing), "{repository} {reference}");
    }
    assert_eq!(ci.host.by(&main).get("/api/notes").status, 200, "who publishes reads");
    assert_eq!(ci.host.by(&main).get("/api/trusted-publishers").status, 403);

    let listed = told(&ci.host, &["trust-publisher", "list"]);
    assert_eq!(listed, added);
    let id = listed.split(' ').next().expect("an id");
    let removed = told(&ci.host, &["trust-publisher", "remove", id]);
    assert!(removed.contains("  removed ") && removed.trim_end().ends_with(" by admin"), "{removed}");
    assert_eq!(detail(&ci.publish(&main, "search-late")), (403, nothing), "at once, on this host");
    assert_eq!(told(&ci.host, &["trust-publisher", "list"]), "");
    assert_eq!(told(&ci.host, &["trust-publisher", "list", "--all"]), removed);
    assert_eq!(told(&ci.host, &["trust-publisher", "remove", id]), removed, "once");
    let rows_of = |what: &str| -> Vec<Value> {
        let log = told(&ci.host, &["audit", "export"]);
        let rows = log.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        rows.filter(|row| row["what"] == what).collect()
    };
    until("the rows are sealed", || !rows_of("publisher.removed").is_empty());
    for what in ["publisher.trusted", "publisher.removed"] {
        let rows = rows_of(what);
        assert_eq!(rows.len(), 1, "{rows:?}");
        assert_eq!((&rows[0]["actor"], &rows[0]["subject"]), (&json!("admin"), &json!("trusted-publishers/search")));
    }
}

#[test]
fn a_publisher_that_cannot_be_trusted_is_refused_with_what_to_change() {
    let ci = Ci::with(Options::new().limit("trusted_publishers_max", 1));
    let request = |changed: Value| {
        let mut request = json!({
            "name": "search", "issuer": ci.issuer.url, "claims": {"repository": "acme/search"}, "entries": ["notes/a"],
        });
        request.as_object_mut().expect("an object").extend(changed.as_object().expect("an object").clone());
        request
    };
    let wide = "every token of the issuer has these claims: name one that tells this publisher from others, as in \
                repository=acme/agents";
    for (changed, why) in [
        (json!({"name": ""}), "a trusted publisher's name has 1 to 100 characters, and no control characters"),
        (json!({"issuer": "cj"}), "this host believes no issuer 'cj': did you mean 'ci'?"),
        (
            json!({"issuer": "https://other.example"}),
            "this host believes no issuer 'https://other.example': known are ci",
        ),
        (json!({"claims": {}}), "name 1 to 20 claims that a token must have"),
        (json!({"claims": {"aud": AUDIENCE}}), wide),
        (json!({"claims": {"repository": "*"}}), wide),
        (json!({"entries": []}), "name the entries that it may publish, as in agents/search-*"),
        (
            json!({"entries": ["notes"]}),
            "'notes' is not a pattern of entries: write KIND/ENTRY, as in agents/weather or agents/legacy-*, where '*' \
             stands for any characters",
        ),
    ] {
        let refused = ci.trust(&request(changed));
        assert_eq!(refused.body["code"], "bad-change", "{refused:?}");
        assert_eq!(detail(&refused), (422, why));
    }
    assert_eq!(ci.trust(&request(json!({}))).status, 201);
    let full = "there are 1 trusted publishers already (trusted_publishers_max): remove one first";
    assert_eq!(detail(&ci.trust(&request(json!({})))), (422, full));
    let unknown = ci.host.post("/api/trusted-publishers/0190/remove", &json!(null));
    assert_eq!(detail(&unknown), (404, "no trusted publisher '0190'"));

    let none = Options::new().start();
    let refused = none.post("/api/trusted-publishers", &request(json!({"issuer": "ci"})));
    let why = "this host believes no issuer 'ci', nor any other: name issuers in its settings";
    assert_eq!(detail(&refused), (422, why));
    for (arguments, why) in [
        (
            &["trust-publisher", "add", "x", "--issuer", "ci", "--claim", "repository", "--entries", "notes/a"][..],
            "error: --claim: 'repository' is not of the form NAME=VALUE, as in repository=acme/agents\n",
        ),
        (
            &["trust-publisher", "remove", "a/b"],
            "error: 'a/b' is no trusted publisher's id: see 'hallmark trust-publisher list'\n",
        ),
    ] {
        let output = against(&none, arguments);
        assert_eq!((text(&output.stderr).as_str(), output.status.code()), (why, Some(2)));
    }
}
