//! Tokens: what each role may ask for, which entries a publisher reaches, and how tokens end.

use hallmark::clock::{Instant, Millis};
use hallmark::registry::access::TokenWanted;
use serde_json::{Value, json};

use crate::support::command::{against, hallmark, text};
use crate::support::ground::{Ground, limits, on_both_engines};
use crate::support::host::{Answer, Host, Options, until};

/// A host whose entries any manifest may be.
fn host() -> Host {
    let host = Options::new().start();
    for module in ["note", "letter"] {
        let kind = json!({
            "name": format!("{module}s"), "singular": module, "idField": format!("{module}Id"),
            "documentField": "manifest", "schema": true,
        });
        let rules = json!({"scope": format!("module:{module}s"), "kinds": [kind]});
        let released = host.post(&format!("/api/modules/{module}s/releases"), &json!({"rules": rules}));
        assert_eq!(released.status, 201, "{released:?}");
        let activated = host.post(&format!("/api/modules/{module}s/activate"), &json!({"release": 1}));
        assert_eq!(activated.status, 200, "{activated:?}");
    }
    host
}

fn made(host: &Host, request: &Value) -> (String, String) {
    let made = host.post("/api/tokens", request);
    assert_eq!(made.status, 201, "{made:?}");
    let field = |name: &str| made.body[name].as_str().expect("a text").to_owned();
    (field("id"), field("token"))
}

fn with_role(host: &Host, role: &str) -> String {
    made(host, &json!({"name": role, "roles": [role]})).1
}

fn told(answer: &Answer) -> (u16, &str, &str) {
    (
        answer.status,
        answer.body["code"].as_str().unwrap_or_default(),
        answer.body["detail"].as_str().unwrap_or_default(),
    )
}

fn note(id: &str) -> Value {
    json!({"noteId": id, "name": id, "version": "1.0.0", "manifest": {}})
}

#[test]
fn each_role_may_what_it_is_for() {
    let host = host();
    let tokens = ["reader", "publisher", "rules"].map(|role| with_role(&host, role));
    let (freeze, name) = (json!({"reason": "a try"}), json!({"name": "x", "roles": ["reader"]}));
    let asked: [(&str, Value, [u16; 3]); 6] = [
        ("/api/notes/validate", note("a"), [200, 200, 200]),
        ("/api/notes/publish", note("a"), [403, 201, 403]),
        ("/api/modules/notes/freeze", freeze, [403, 403, 200]),
        ("/api/policies/exemptions", json!({}), [403, 403, 400]),
        ("/api/tokens", name, [403, 403, 403]),
        ("/api/keys/require", json!({"required": true}), [403, 403, 403]),
    ];
    for (path, body, statuses) in asked {
        for (token, status) in tokens.iter().zip(statuses) {
            let answer = host.by(token).post(path, &body);
            assert_eq!(answer.status, status, "{path}: {answer:?}");
        }
    }
    for (path, statuses) in [("/api/notes", [200; 3]), ("/api/audit", [403, 403, 200]), ("/api/tokens", [403; 3])] {
        for (token, status) in tokens.iter().zip(statuses) {
            assert_eq!(host.by(token).get(path).status, status, "{path}");
        }
    }
    let refused = host.by(&tokens[0]).post("/api/notes/publish", &note("b"));
    assert_eq!(
        told(&refused),
        (
            403,
            "forbidden",
            "this asks for the role publisher or admin, and the token 'reader' has reader: use another token"
        )
    );
}

#[test]
fn a_publisher_changes_the_entries_that_its_patterns_reach() {
    let host = host();
    let request = json!({"name": "search team", "roles": ["publisher"], "entries": ["notes/search-*"]});
    let (_, token) = made(&host, &request);
    let team = host.by(&token);
    assert_eq!(team.post("/api/notes/publish", &note("search-web")).status, 201);
    assert_eq!(host.post("/api/notes/publish", &note("other")).status, 201);
    let beyond = "the token 'search team' may change notes/search-*, not notes/other: ask an admin for one that may";
    let later = json!({"noteId": "other", "name": "o", "version": "2.0.0", "manifest": {}});
    assert_eq!(told(&team.post("/api/notes/publish", &later)), (403, "forbidden", beyond));
    let back = json!({"targetVersion": "1.0.0"});
    assert_eq!(told(&team.post("/api/notes/other/rollback", &back)), (403, "forbidden", beyond));
    assert_eq!(team.post("/api/notes/search-web/rollback", &back).status, 200);
    assert_eq!(team.get("/api/notes/other").status, 200, "reading is for everybody with a token");
    let versions = host.get("/api/notes/other/versions").body;
    assert_eq!(versions["items"].as_array().map(Vec::len), Some(1), "nothing was written");
    let letter = json!({"letterId": "search-web", "name": "l", "version": "1.0.0", "manifest": {}});
    assert_eq!(team.post("/api/letters/publish", &letter).status, 403, "another kind");
}

#[test]
fn a_token_is_told_once_and_ends() {
    let host = host();
    let (id, token) = made(&host, &json!({"name": "ci", "roles": ["reader"], "expiresAt": "2999-01-01"}));
    assert!(token.starts_with("hm_") && token.len() == 67, "{token}");
    assert_eq!(host.by(&token).get("/api/notes").status, 200);
    let listed = host.get("/api/tokens").body;
    assert!(!listed.to_string().contains(&token), "{listed}");
    let shown = listed["items"].as_array().expect("items").iter().find(|item| item["id"] == id.as_str()).cloned();
    let shown = shown.expect("the token");
    assert_eq!(
        (&shown["name"], &shown["roles"], &shown["createdBy"], &shown["prefix"]),
        (&json!("ci"), &json!(["reader"]), &json!("admin"), &json!(token[..9]))
    );
    assert!(shown["lastUsedAt"].is_string(), "{shown}");
    let soon = Millis(Millis::now().0 + 2_000);
    let (_, token) = made(&host, &json!({"name": "ci", "roles": ["reader"], "expiresAt": Instant(soon).to_string()}));
    until("the token expires", || host.by(&token).get("/api/notes").status == 401);
    let expired = format!("the token 'ci' expired at {}: ask an admin for another", Instant(soon));
    assert_eq!(told(&host.by(&token).get("/api/notes")), (401, "unauthenticated", expired.as_str()));

    let (id, token) = made(&host, &json!({"name": "ci", "roles": ["reader"]}));
    assert_eq!(host.by(&token).get("/api/notes").status, 200);
    let revoked = host.post(&format!("/api/tokens/{id}/revoke"), &json!(null));
    assert_eq!((revoked.status, &revoked.body["state"]), (200, &json!("revoked")));
    let unknown = "nobody holds this token: it was never given out, or it was revoked";
    assert_eq!(told(&host.by(&token).get("/api/notes")), (401, "unauthenticated", unknown), "at once, on this host");
    let nobody = host.post("/api/tokens/0190/revoke", &json!(null));
    assert_eq!(told(&nobody), (404, "not-found", "no token '0190'"));
}

async fn a_token_that_a_host_has_seen_ends_in_time(ground: Ground) {
    let member = ground.host(limits()).await;
    let (registry, now) = (&member.registry, Millis::now());
    let wanted = TokenWanted {
        name: "ci".to_owned(),
        roles: vec!["reader".to_owned()],
        entries: Vec::new(),
        expires_at: Some(Millis(now.0 + 1_000)),
    };
    let made = registry.create_token(&member.actor, wanted, now).await.expect("a token");
    for (after_ms, holds) in [(0, true), (999, true), (1_000, false)] {
        let known = registry.authenticate(&made.token, None, Millis(now.0 + after_ms)).await.expect("an answer");
        assert_eq!(known.is_ok(), holds, "{after_ms} {known:?}");
    }
}

on_both_engines! { a_token_that_a_host_has_seen_ends_in_time }

#[test]
fn a_token_may_come_as_an_api_key() {
    let host = host();
    let token = with_role(&host, "reader");
    assert_eq!(host.get_with("/api/notes", ("x-api-key", &token)).status, 200);
    assert_eq!(host.get_with("/api/notes", ("x-api-key", "hm_other")).status, 401);
}

#[test]
fn a_token_that_cannot_be_is_refused_with_what_to_change() {
    let host = host();
    let past = "the token would have expired at 2020-01-01T00:00:00.000Z: name a later time";
    for (request, detail) in [
        (
            json!({"name": " ", "roles": ["reader"]}),
            "a token's name has 1 to 100 characters, and no control characters",
        ),
        (json!({"name": "x", "roles": []}), "a token has at least one role: reader, publisher, rules or admin"),
        (
            json!({"name": "x", "roles": ["writer"]}),
            "'writer' is not a role: there are reader, publisher, rules and admin",
        ),
        (json!({"name": "x", "roles": ["reader"], "expiresAt": "2020-01-01"}), past),
        (
            json!({"name": "x", "roles": ["publisher"], "entries": ["notes"]}),
            "'notes' is not a pattern of entries: write KIND/ENTRY, as in agents/weather or agents/legacy-*, where '*' \
             stands for any characters",
        ),
        (
            json!({"name": "x", "roles": ["rules"], "entries": ["notes/a"]}),
            "patterns say which entries a publisher may change: give it the role publisher, or leave them out",
        ),
        (
            json!({"name": "x", "roles": ["publisher", "admin"], "entries": ["notes/a"]}),
            "an admin may change every entry: leave the patterns out, or the role admin",
        ),
    ] {
        assert_eq!(told(&host.post("/api/tokens", &request)), (422, "bad-change", detail));
    }
    let own = host.get("/api/tokens").body["items"][0]["id"].as_str().expect("an id").to_owned();
    let refused = host.post(&format!("/api/tokens/{own}/revoke"), &json!(null));
    let detail = "a token cannot revoke itself, or nobody might be left who can make one: use another";
    assert_eq!(told(&refused), (422, "bad-change", detail));
    let ahead = host.post("/api/tokens/revoke", &json!({"before": "2999-01-01"}));
    let detail = "tokens are revoked that were made before a time that has passed: name one";
    assert_eq!(told(&ahead), (422, "bad-change", detail));
}

#[test]
fn the_command_line_makes_lists_and_revokes() {
    let host = host();
    let run = |arguments: &[&str]| {
        let output = against(&host, arguments);
        (text(&output.stdout), text(&output.stderr), output.status.code())
    };
    let (token, told, code) =
        run(&["token", "create", "ci", "--role", "publisher", "--entries", "notes/a-*", "--until", "2999-01-01"]);
    assert_eq!(code, Some(0), "{told}");
    let token = token.trim();
    assert!(told.contains("ci  publisher of notes/a-*  until 2999-01-01T00:00:00.000Z, never used"), "{told}");
    let list = |token: &str| hallmark(&["list", "notes", "--server", &host.url, "--token", token]).status.code();
    assert_eq!(list(token), Some(0));
    let (listed, ..) = run(&["token", "list"]);
    assert_eq!(listed.lines().count(), 2, "{listed}");
    assert!(
        !listed.contains(token) && listed.lines().next().is_some_and(|line| line.contains("last used")),
        "{listed}"
    );
    let id = listed.split(' ').next().expect("an id");
    let (told, _, code) = run(&["token", "revoke", id]);
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("by admin, last used"), "{told}");
    assert_eq!(list(token), Some(3));
    assert_eq!(run(&["token", "list"]).0.lines().count(), 1);
    assert_eq!(run(&["token", "list", "--all"]).0.lines().count(), 2);

    let (second, ..) = run(&["token", "create", "later", "--role", "reader", "--days", "3"]);
    let now = Instant(Millis::now()).to_string();
    until("a millisecond has gone by", || Instant(Millis::now()).to_string() > now);
    let now = Instant(Millis::now()).to_string();
    assert_eq!(run(&["token", "revoke", "--before", &now]).0, "revoked 1 token\n");
    assert_eq!(list(second.trim()), Some(3));
    assert_eq!(list(&host.token), Some(0), "who asks keeps its own");
    let (_, told, code) = run(&["token", "revoke", "a/b"]);
    assert_eq!((told.as_str(), code), ("error: 'a/b' is not a token's id: see 'hallmark token list'\n", Some(2)));
}
