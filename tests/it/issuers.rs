//! Tokens of issuers: which are believed, what they let their holders do, and what an issuer that misbehaves can do.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use hallmark::clock::Millis;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;
use tempfile::TempDir;

use crate::support::command::{argument, hallmark, text};
use crate::support::host::{AMPLE_MS, Answer, Host, Options, until};
use crate::support::issuer::{AUDIENCE, Issuer, Mood, SigningKey, message};
use crate::support::rules::{module, submission};

/// What the team of search and the operators may do.
const GRANTS: &str = r#"
[[issuer.grants]]
claims = { team = "search" }
roles = ["publisher"]
entries = ["notes/search-*"]

[[issuer.grants]]
claims = { "/realm/roles" = ["operator", "owner"] }
roles = ["admin"]
"#;

/// A module of notes and a file of issuers, in a folder.
struct Setting {
    folder: TempDir,
    issuers: PathBuf,
}

impl Setting {
    fn new(issuer: &Issuer, more: &str) -> Self {
        let folder = TempDir::new().expect("a folder");
        module(&folder.path().join("modules"), "note", "");
        let issuers = folder.path().join("issuers.toml");
        let url = &issuer.url;
        let file = format!("[[issuer]]\nname = \"sso\"\nissuer = \"{url}\"\naudiences = [\"{AUDIENCE}\"]\n{more}\n");
        std::fs::write(&issuers, file).expect("written");
        Self { folder, issuers }
    }

    fn options(&self) -> Options {
        let options = Options::new().modules(&self.folder.path().join("modules"));
        options.flag("--issuers", argument(&self.issuers)).limit("issuer_fetch_max_ms", AMPLE_MS)
    }
}

fn told(answer: &Answer) -> (u16, &str, &str) {
    let field = |name: &str| answer.body[name].as_str().unwrap_or_default();
    (answer.status, field("code"), field("detail"))
}

fn ask(host: &Host, token: &str) -> (u16, String) {
    let answer = host.by(token).get("/api/notes");
    (answer.status, answer.body["detail"].as_str().unwrap_or_default().to_owned())
}

#[test]
fn a_token_lets_its_holder_do_what_its_claims_are_granted() {
    let keys = [SigningKey::rsa(), SigningKey::ec("ec"), SigningKey::ed("ed")];
    let issuer = Issuer::start(&[&keys[0], &keys[1], &keys[2]]);
    let host = Setting::new(&issuer, GRANTS).options().start();
    for key in &keys {
        let token = issuer.token(key, json!({}));
        let caller = host.by(&token).get("/api/session");
        assert_eq!(
            (caller.status, &caller.body),
            (
                200,
                &json!({"name": "sso:alice", "tenant": "default", "roles": ["publisher"], "entries": ["notes/search-*"]})
            ),
            "{}",
            key.id
        );
    }
    let token = issuer.token(&keys[1], json!({"aud": ["https://other.example", AUDIENCE]}));
    let search = host.by(&token);
    let published = search.post("/api/notes/publish", &submission("note", "search-web"));
    assert_eq!(published.status, 201, "{published:?}");
    assert_eq!(host.get("/api/notes/search-web").body["publishedBy"], "sso:alice");
    let beyond = search.post("/api/notes/publish", &submission("note", "other"));
    assert_eq!(
        told(&beyond),
        (
            403,
            "forbidden",
            "the token 'sso:alice' may change notes/search-*, not notes/other: ask an admin for one that may"
        )
    );
    assert_eq!(search.get("/api/tokens").status, 403);
    assert_eq!(
        told(&search.post("/api/session", &json!(null))),
        (422, "bad-change", "a session is begun with a token that this registry made, not with an issuer's")
    );
    let owner = issuer.token(&keys[2], json!({"sub": "root", "team": null, "realm": {"roles": ["x", "owner"]}}));
    assert_eq!(host.by(&owner).get("/api/tokens").status, 200);
    assert_eq!(host.by(&owner).post("/api/notes/publish", &submission("note", "other")).status, 201);
    assert_eq!(host.get_with("/api/notes", ("x-api-key", &owner)).status, 200, "in either header");
}

#[test]
fn a_token_that_is_not_believed_is_told_what_to_change_and_nothing_else() {
    let (key, other, ec) = (SigningKey::rsa(), SigningKey::other_rsa(), SigningKey::ec("ec"));
    let issuer = Issuer::start(&[&key, &ec]);
    let more = format!("algorithms = [\"RS256\"]\nclock_skew_s = 60\ntenant_claim = \"tenant\"\n{GRANTS}");
    let host = Setting::new(&issuer, &more).options().start();
    let now_s = Millis::now().0 / 1_000;
    let claims = |more: Value| {
        let mut claims = issuer.claims(json!({"tenant": "default"}));
        claims.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        claims.as_object_mut().expect("an object").retain(|_, value| !value.is_null());
        claims
    };
    let signed = |more: Value| key.sign(&json!({}), &claims(more));
    // What everybody knows of an RSA key, as the secret of an HMAC.
    let public = BASE64.decode(key.public()["n"].as_str().expect("a text")).expect("base64");
    let forged = message(&json!({"alg": "HS256", "typ": "JWT", "kid": key.id}), &claims(json!({})));
    let mut mac = Hmac::<Sha256>::new_from_slice(&public).expect("a key");
    mac.update(forged.as_bytes());
    let forged = format!("{forged}.{}", BASE64.encode(mac.finalize().into_bytes()));
    let unsigned = format!("{}.", message(&json!({"alg": "none"}), &claims(json!({}))));
    let stranger = SigningKey::other_rsa().called(&key.id);
    let changed = {
        let good = signed(json!({}));
        let parts: Vec<&str> = good.split('.').collect();
        format!("{}.{}.{}", parts[0], BASE64.encode(claims(json!({"team": "x"})).to_string()), parts[2])
    };
    let unreadable = "the token cannot be read as a signed JSON Web Token";
    let signature = "the token's signature is not its issuer's";
    let algorithm = "the token is signed with an algorithm that is not allowed for its issuer";
    let expired = "the token expired: ask its issuer for another";
    let early = "the token does not hold yet: compare the clocks of its issuer and of this registry";
    let audience = "the token is not for this registry: ask its issuer for one with this registry's audience";
    let incomplete = "the token lacks what every token must have: iss, aud, sub and exp, each once and in its form";
    let tenant =
        "the token is for another tenant, or does not name one: ask its issuer for one of the tenant that you mean";
    let stranger_text = "the token's issuer is not believed here: ask the operator of this registry which are";
    for (what, token, detail) in [
        ("as it should be", signed(json!({})), ""),
        ("expired within the skew", signed(json!({"exp": now_s - 30})), ""),
        ("early within the skew", signed(json!({"nbf": now_s + 30})), ""),
        ("no algorithm", unsigned, unreadable),
        ("an HMAC by the public key", forged, algorithm),
        ("an algorithm that is not allowed", ec.sign(&json!({}), &claims(json!({}))), algorithm),
        ("a key that the issuer does not tell", other.sign(&json!({}), &claims(json!({}))), signature),
        ("another key by the same id", stranger.sign(&json!({}), &claims(json!({}))), signature),
        ("claims that were changed", changed, signature),
        ("expired", signed(json!({"exp": now_s - 120})), expired),
        ("early", signed(json!({"nbf": now_s + 120})), early),
        ("for others", signed(json!({"aud": "https://other.example"})), audience),
        ("for nobody", signed(json!({"aud": null})), incomplete),
        ("without an end", signed(json!({"exp": null})), incomplete),
        ("with an end that is none", signed(json!({"exp": "never"})), incomplete),
        ("a beginning that is none", signed(json!({"nbf": "always"})), incomplete),
        ("without a subject", signed(json!({"sub": null})), incomplete),
        ("a subject that cannot be read", signed(json!({"sub": "a\u{7}b"})), incomplete),
        ("another issuer", signed(json!({"iss": "https://other.example"})), stranger_text),
        ("two issuers", signed(json!({"iss": [issuer.url, "https://other.example"]})), unreadable),
        ("no tenant", signed(json!({"tenant": null})), tenant),
        ("a tenant that cannot be", signed(json!({"tenant": "Other"})), tenant),
        ("an extension", key.sign(&json!({"crit": ["b64"]}), &claims(json!({}))), unreadable),
        ("a novel", signed(json!({"text": "x".repeat(20_000)})), unreadable),
    ] {
        let (status, given) = ask(&host, &token);
        assert_eq!(given, detail, "{what}");
        assert_eq!(status, if detail.is_empty() { 200 } else { 401 }, "{what}");
    }
}

#[test]
fn a_token_that_is_believed_may_be_granted_nothing() {
    let key = SigningKey::rsa();
    let issuer = Issuer::start(&[&key]);
    let host = Setting::new(&issuer, &format!("tenant_claim = \"tenant\"\n{GRANTS}")).options().start();
    let signed = |more: Value| {
        let mut claims = issuer.claims(json!({"tenant": "default"}));
        claims.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        key.sign(&json!({}), &claims)
    };
    let elsewhere = host.by(&signed(json!({"tenant": "other"}))).get("/api/notes");
    let detail = "the token is for the tenant 'other', which is not here: ask the operator of this registry";
    assert_eq!(told(&elsewhere), (403, "forbidden", detail));
    let nothing = host.by(&signed(json!({"team": "other"}))).get("/api/notes");
    let detail = "the token is believed, and nothing is granted to its holder here: ask an admin";
    assert_eq!(told(&nothing), (403, "forbidden", detail));
    let none = Options::new().start();
    let unknown = "nobody holds this token: it was never given out, or it was revoked";
    assert_eq!(ask(&none, &signed(json!({}))), (401, unknown.to_owned()), "where no issuer is believed");
}

#[test]
fn a_stream_of_events_ends_with_its_readers_token() {
    let key = SigningKey::ec("a");
    let issuer = Issuer::start(&[&key]);
    let setting = Setting::new(&issuer, &format!("clock_skew_s = 0\n{GRANTS}"));
    let host = setting.options().limit("event_heartbeat_ms", 50).start();
    let token = issuer.token(&key, json!({"exp": Millis::now().0 / 1_000 + 2}));
    // The answer is whole when the stream ends, or this never does.
    assert_eq!(host.by(&token).get("/api/events").status, 200);
    let expired = "the token expired: ask its issuer for another";
    until("nobody asks by it", || ask(&host, &token) == (401, expired.to_owned()));
}

#[test]
fn keys_change_hands_without_a_restart() {
    let (old, new) = (SigningKey::rsa(), SigningKey::ed("new"));
    let issuer = Issuer::start(&[&old]);
    let host = Setting::new(&issuer, GRANTS).options().limit("issuer_poll_ms", 0).start();
    assert_eq!(ask(&host, &issuer.token(&old, json!({}))).0, 200);
    assert_eq!(ask(&host, &issuer.token(&new, json!({}))).0, 401, "not told yet");
    issuer.tell(&[&old, &new]);
    assert_eq!(ask(&host, &issuer.token(&new, json!({}))).0, 200, "found at once");
    assert_eq!(ask(&host, &issuer.token(&old, json!({}))).0, 200, "both hold");
    issuer.tell(&[&new]);
    // What it no longer tells is believed until the keys are asked for again, by whatever names another.
    assert_eq!(ask(&host, &issuer.token(&SigningKey::ed("next"), json!({}))).0, 401);
    assert_eq!(ask(&host, &issuer.token(&old, json!({}))).0, 401);
    assert_eq!(ask(&host, &issuer.token(&new, json!({}))).0, 200);
}

#[test]
fn an_issuer_is_asked_once_however_many_tokens_name_keys_that_it_does_not_tell() {
    let key = SigningKey::ec("a");
    let issuer = Issuer::start(&[&key]);
    let host = Setting::new(&issuer, GRANTS).options().limit("issuer_poll_ms", AMPLE_MS).start();
    for number in 0..20 {
        let unknown = SigningKey::ed(&format!("key-{number}"));
        assert_eq!(ask(&host, &issuer.token(&unknown, json!({}))).0, 401);
    }
    assert_eq!(ask(&host, &issuer.token(&key, json!({}))).0, 200);
    assert_eq!(issuer.asked(), 1);
}

#[test]
fn keys_that_are_known_hold_while_their_issuer_is_away_and_not_for_ever() {
    let key = SigningKey::ec("a");
    let issuer = Issuer::start(&[&key]);
    let setting = Setting::new(&issuer, GRANTS);
    let patient = setting.options().limit("issuer_poll_ms", 0).limit("issuer_keys_fresh_ms", 0).start();
    let strict = setting.options().limit("issuer_poll_ms", 0).limit("issuer_keys_kept_ms", 1).start();
    let token = issuer.token(&key, json!({}));
    assert_eq!(ask(&patient, &token).0, 200);
    issuer.behave(Mood::Broken);
    assert_eq!(ask(&patient, &token).0, 200, "nobody waits for keys that are known");
    let away = strict.by(&token).get("/api/notes");
    assert_eq!(told(&away), (503, "unavailable", "the issuer 'sso' does not tell its keys: try again"));
    assert_eq!(away.header("retry-after"), Some("1"));
    issuer.behave(Mood::Well);
    let before = issuer.asked();
    assert_eq!(ask(&patient, &token).0, 200);
    until("the keys are asked for again", || issuer.asked() > before);
}

#[test]
fn an_issuer_that_misbehaves_is_not_believed_and_holds_nobody_up() {
    let key = SigningKey::ec("a");
    let issuer = Issuer::start(&[&key]);
    let setting = Setting::new(&issuer, GRANTS);
    let token = issuer.token(&key, json!({}));
    let host = setting.options().limit("issuer_poll_ms", 0).start();
    for mood in [Mood::Broken, Mood::Elsewhere, Mood::Another] {
        issuer.behave(mood);
        assert_eq!(ask(&host, &token).0, 503, "{mood:?}");
    }
    issuer.behave(Mood::Silent);
    let quick = setting.options().limit("issuer_poll_ms", 0).limit("issuer_fetch_max_ms", 50).start();
    assert_eq!(ask(&quick, &token).0, 503);
    issuer.behave(Mood::Well);
    let small = setting.options().limit("issuer_document_max_bytes", 10).start();
    assert_eq!(ask(&small, &token).0, 503);
    assert_eq!(ask(&host, &token).0, 200, "well again");
}

#[test]
fn issuers_that_cannot_be_are_refused_at_the_start() {
    let folder = TempDir::new().expect("a folder");
    let (file, data) = (folder.path().join("issuers.toml"), folder.path().join("data"));
    let issuer = "[[issuer]]\nname = \"sso\"\nissuer = \"https://sso.example\"\naudiences = [\"a\"]\n";
    for (text_of, why) in [
        ("[[issuer]]\nname = \"sso\"\n".to_owned(), "missing field `issuer`"),
        (format!("{issuer}audience = \"b\"\n"), "unknown field `audience`"),
        (format!("{issuer}{issuer}"), "two issuers have the name 'sso': name each once"),
        (
            format!("{issuer}{}", issuer.replace("\"sso\"", "\"two\"")),
            "the issuer https://sso.example stands twice: keep one",
        ),
        (
            format!("{issuer}[[issuer.grants]]\nclaims = {{ a = \"b\" }}\nroles = [\"writer\"]\n"),
            "the issuer 'sso': a grant: 'writer' is not a role: there are reader, publisher, rules and admin",
        ),
        (format!("{issuer}algorithms = [\"HS256\"]\n"), "the issuer 'sso': 'HS256' is no algorithm that is believed"),
    ] {
        std::fs::write(&file, text_of).expect("written");
        let arguments = ["serve", "--listen", "127.0.0.1:0", "--data", argument(&data), "--issuers", argument(&file)];
        let output = hallmark(&arguments);
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains("error: --issuers: ") && told.contains(why), "{told}");
    }
}
