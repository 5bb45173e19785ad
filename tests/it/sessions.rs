//! Browsers' sessions: begun with a token, kept in a cookie, believed from the registry's own pages alone.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::command::{argument, hallmark, text};
use crate::support::host::{Answer, Host, Options, until};

/// A browser that has a session.
struct Browser {
    cookie: String,
    csrf: String,
}

impl Browser {
    fn new(host: &Host, token: &str) -> Self {
        let begun = host.ask("POST", "/api/session", &[("authorization", &format!("Bearer {token}"))]);
        assert_eq!(begun.status, 201, "{begun:?}");
        let cookie = begun.header("set-cookie").expect("a cookie");
        let cookie = cookie.split(';').next().expect("a pair").to_owned();
        Self { cookie, csrf: begun.body["csrfToken"].as_str().expect("a text").to_owned() }
    }

    fn get(&self, host: &Host, path: &str) -> Answer {
        host.ask("GET", path, &[("cookie", &self.cookie)])
    }

    /// A change from one of the registry's own pages.
    fn change(&self, host: &Host, method: &str, path: &str) -> Answer {
        let headers =
            [("cookie", self.cookie.as_str()), ("sec-fetch-site", "same-origin"), ("x-csrf-token", &self.csrf)];
        host.ask(method, path, &headers)
    }
}

fn token(host: &Host, request: &Value) -> (String, String) {
    let made = host.post("/api/tokens", request);
    let field = |name: &str| made.body[name].as_str().expect("a text").to_owned();
    (field("id"), field("token"))
}

fn detail(answer: &Answer) -> (u16, &str, &str) {
    let field = |name: &str| answer.body[name].as_str().unwrap_or_default();
    (answer.status, field("code"), field("detail"))
}

const OVER: &str = "the session is over, or was never begun here: begin another with POST /api/session and a token";

#[test]
fn a_session_asks_in_its_tokens_place() {
    let host = Options::new().start();
    let begun = host.ask("POST", "/api/session", &[("authorization", &format!("Bearer {}", host.token))]);
    let cookie = begun.header("set-cookie").expect("a cookie");
    assert!(cookie.starts_with("__Host-hallmark=v1."), "{cookie}");
    assert!(cookie.ends_with("; Max-Age=28800; Path=/; HttpOnly; Secure; SameSite=Strict"), "{cookie}");
    assert!(!cookie.contains(&host.token) && !begun.body.to_string().contains(&host.token));
    assert_eq!(begun.header("cache-control"), Some("no-store"));
    assert_eq!((&begun.body["name"], &begun.body["roles"]), (&json!("admin"), &json!(["admin"])));

    let browser = Browser::new(&host, &host.token);
    let shown = browser.get(&host, "/api/session");
    assert_eq!((shown.status, &shown.body["csrfToken"]), (200, &json!(browser.csrf)));
    assert!(shown.body["expiresAt"].is_string());
    assert_eq!(browser.get(&host, "/api/tokens").status, 200);
    assert_eq!(
        host.ask("GET", "/api/tokens", &[("cookie", "__Host-hallmark=v1.a.default.b.9999999999999.00")]).status,
        401
    );
    let bare = host.get("/api/session").body;
    assert_eq!(
        bare,
        json!({"name": "admin", "tenant": "default", "roles": ["admin"], "entries": []}),
        "a token has no session"
    );

    let again = browser.change(&host, "POST", "/api/session");
    let alone = "a session cannot begin another: send a token in the Authorization header";
    assert_eq!(detail(&again), (422, "bad-change", alone));
    let ended = browser.change(&host, "DELETE", "/api/session");
    assert_eq!(ended.status, 200);
    let cleared = "__Host-hallmark=; Max-Age=0; Path=/; HttpOnly; Secure; SameSite=Strict";
    assert_eq!(ended.header("set-cookie"), Some(cleared));
}

#[test]
fn a_change_by_a_session_shows_that_it_comes_from_the_registrys_own_pages() {
    let host = Options::new().start();
    let browser = Browser::new(&host, &host.token);
    let (id, _) = token(&host, &json!({"name": "victim", "roles": ["reader"]}));
    let path = format!("/api/tokens/{id}/revoke");
    let elsewhere = "a change by a session comes from this registry's own pages, and the Sec-Fetch-Site or Origin of \
                     this request says otherwise, or is missing: send a token in the Authorization header instead";
    let tokenless = "a change by a session carries the header X-CSRF-Token, with the csrfToken that GET /api/session \
                     tells";
    let (own, csrf) = (host.url.as_str(), browser.csrf.as_str());
    let other = Browser::new(&host, &host.token);
    for (headers, why) in [
        (&[][..], elsewhere),
        (&[("x-csrf-token", csrf)], elsewhere),
        (&[("x-csrf-token", csrf), ("sec-fetch-site", "cross-site")], elsewhere),
        (&[("x-csrf-token", csrf), ("sec-fetch-site", "same-site"), ("origin", own)], elsewhere),
        (&[("x-csrf-token", csrf), ("origin", "https://evil.example")], elsewhere),
        (&[("x-csrf-token", csrf), ("origin", "null")], elsewhere),
        (&[("sec-fetch-site", "same-origin")], tokenless),
        (&[("x-csrf-token", ""), ("origin", own)], tokenless),
        (&[("x-csrf-token", other.csrf.as_str()), ("origin", own)], tokenless),
    ] {
        let headers = [&[("cookie", browser.cookie.as_str())][..], headers].concat();
        let refused = host.ask("POST", &path, &headers);
        assert_eq!(detail(&refused), (403, "cross-site", why), "{headers:?}");
    }
    let headers = [("cookie", browser.cookie.as_str()), ("x-csrf-token", csrf), ("origin", own)];
    let revoked = host.ask("POST", &path, &headers);
    assert_eq!((revoked.status, &revoked.body["state"]), (200, &json!("revoked")), "{revoked:?}");
    assert_eq!(browser.change(&host, "POST", &path).status, 200);
}

#[test]
fn a_session_ends_with_its_token_and_in_time() {
    let host = Options::new().start();
    let (id, reader) = token(&host, &json!({"name": "reader", "roles": ["reader"]}));
    let browser = Browser::new(&host, &reader);
    assert_eq!(browser.get(&host, "/api/plugins").status, 200);
    assert_eq!(browser.get(&host, "/api/tokens").status, 403, "no more than its token");
    assert_eq!(host.post(&format!("/api/tokens/{id}/revoke"), &json!(null)).status, 200);
    assert_eq!(detail(&browser.get(&host, "/api/plugins")), (401, "unauthenticated", OVER));

    let brief = Options::new().limit("session_max_s", 1).start();
    let browser = Browser::new(&brief, &brief.token);
    until("the session ends", || browser.get(&brief, "/api/plugins").status == 401);
    assert_eq!(detail(&browser.get(&brief, "/api/plugins")), (401, "unauthenticated", OVER));
}

#[test]
fn a_stream_of_events_ends_with_its_session() {
    let host = Options::new().limit("session_max_s", 1).limit("event_heartbeat_ms", 50).start();
    let browser = Browser::new(&host, &host.token);
    // The answer is whole when the stream ends, or this never does.
    assert_eq!(browser.get(&host, "/api/events").status, 200);
    assert_eq!(browser.get(&host, "/api/session").status, 401);
}

#[test]
fn every_host_of_a_fleet_takes_a_session() {
    let folder = TempDir::new().expect("a folder");
    let key = folder.path().join("session.key");
    std::fs::write(&key, "a secret that is long enough to be one\n").expect("written");
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("its owner's alone");
    let database = format!("sqlite:{}", folder.path().join("hallmark.db").display());
    let member = || {
        let options = Options::new().database(&database).objects(&folder.path().join("objects"));
        options.flag("--session-key", argument(&key)).start()
    };
    let hosts = [member(), member()];
    let browser = Browser::new(&hosts[0], &hosts[0].token);
    for host in &hosts {
        assert_eq!(browser.get(host, "/api/plugins").status, 200);
        assert_eq!(browser.change(host, "DELETE", "/api/session").status, 200);
    }
    let stranger = Options::new().database(&database).objects(&folder.path().join("objects")).start();
    assert_eq!(browser.get(&stranger, "/api/plugins").status, 401, "a host with another key");
    let data = stranger.data.clone();
    let kept = std::fs::read_to_string(data.join("session.key")).expect("it made one");
    assert!(kept.trim().len() >= 32);
}

/// A page that a browser would send a form to, written by hand: no header of ours is in it.
#[test]
fn a_form_of_another_site_changes_nothing() {
    let host = Options::new().start();
    let browser = Browser::new(&host, &host.token);
    let mut stream = TcpStream::connect(host.url.trim_start_matches("http://")).expect("a connection");
    let head = format!(
        "POST /api/tokens/revoke HTTP/1.1\r\nHost: h\r\nOrigin: https://evil.example\r\nCookie: {}\r\n\
         Content-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}",
        browser.cookie
    );
    stream.write_all(head.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 403 ") && answer.contains("cross-site"), "{answer}");
}

#[test]
fn a_secret_of_sessions_that_cannot_be_is_refused_at_the_start() {
    let folder = TempDir::new().expect("a folder");
    let (data, key) = (folder.path().join("data"), folder.path().join("session.key"));
    let serve = |why: &str| {
        let arguments =
            ["serve", "--listen", "127.0.0.1:0", "--data", argument(&data), "--session-key", argument(&key)];
        let output = hallmark(&arguments);
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{told}");
        assert!(told.contains(why), "{told}");
    };
    serve("make one with `openssl rand -hex 32`, readable by its owner alone");
    std::fs::write(&key, "short").expect("written");
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o644)).expect("everybody's");
    serve("can be read by others: run chmod 600");
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("its owner's alone");
    serve("cannot be used: a key of sessions is a secret of at least 32 characters");
}
