//! How many requests a caller may send, through the built binary.

use serde_json::json;

use crate::support::command::{argument, hallmark, text};
use crate::support::host::{Host, Options};

fn token(host: &Host, name: &str) -> String {
    let made = host.post("/api/tokens", &json!({"name": name, "roles": ["reader"]}));
    made.body["token"].as_str().expect("a token").to_owned()
}

#[test]
fn a_token_is_told_what_is_left_and_refused_past_it() {
    let host = Options::new().limit("requests_per_token_max", 4).limit("requests_window_s", 3_600).start();
    let [one, other] = ["one", "other"].map(|name| token(&host, name));
    for left in ["3", "2", "1", "0"] {
        let answer = host.by(&one).get("/api/plugins");
        assert_eq!(answer.status, 200);
        assert!(answer.header("ratelimit").is_some_and(|told| told.starts_with(&format!("\"token\";r={left};t="))));
        assert_eq!(answer.header("ratelimit-policy"), Some("\"token\";q=4;w=3600"));
    }
    let refused = host.by(&one).post("/api/plugins/x/signatures", &json!({}));
    assert_eq!((refused.status, &refused.body["code"]), (429, &json!("quota-exceeded")), "{refused:?}");
    assert_eq!(refused.body["violated-policies"], json!(["token"]));
    assert_eq!(refused.body["limit"], "requests_per_token_max");
    let wait_s: u32 = refused.header("retry-after").and_then(|seconds| seconds.parse().ok()).expect("seconds");
    assert!((1..=900).contains(&wait_s), "{wait_s}");
    assert_eq!(refused.header("ratelimit"), Some(format!("\"token\";r=0;t={wait_s}").as_str()));
    assert_eq!(host.by(&other).get("/api/plugins").status, 200, "each has its own");
    assert_eq!(host.get_with("/health", ("accept", "*/*")).status, 200);
}

#[test]
fn an_address_is_counted_before_it_is_known_who_asks() {
    let host = Options::new().limit("requests_per_address_max", 3).limit("requests_window_s", 3_600).start();
    for _ in 0..3 {
        let answer = host.ask("GET", "/api/plugins", &[("authorization", "Bearer hm_wrong")]);
        assert_eq!(answer.status, 401);
        assert_eq!(answer.header("ratelimit-policy"), Some("\"address\";q=3;w=3600"));
    }
    // A header that no proxy is trusted with changes nothing.
    let refused = host.ask("GET", "/api/plugins", &[("x-forwarded-for", "198.51.100.1")]);
    assert_eq!((refused.status, &refused.body["violated-policies"]), (429, &json!(["address"])));
    assert_eq!(host.ask("GET", "/livez", &[]).status, 200, "whoever looks after the host is not counted");
}

#[test]
fn behind_a_proxy_that_is_trusted_each_client_has_its_own_address() {
    let options = Options::new().limit("requests_per_address_max", 1).limit("requests_window_s", 3_600);
    let options = options.flag("--trusted-proxies", "127.0.0.0/8, 10.0.0.0/8");
    let host = options.flag("--proxy-header", "forwarded").start();
    let ask = |forwarded: &str| host.ask("GET", "/api/plugins", &[("forwarded", forwarded)]).status;
    assert_eq!(ask("for=198.51.100.1"), 401);
    assert_eq!(
        ask("for=203.0.113.1, for=198.51.100.1;proto=https, for=10.0.0.9"),
        429,
        "what came before it says nothing"
    );
    assert_eq!(ask("for=198.51.100.2"), 401);
    assert_eq!(ask("for=\"[2001:db8::1]:4711\""), 401);
    assert_eq!(ask("for=\"[2001:db8::2]\""), 429, "one network of IPv6 is one client");
}

#[test]
fn proxies_that_cannot_be_are_refused_at_the_start() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let data = folder.path().join("data");
    let serve = ["serve", "--listen", "127.0.0.1:0", "--data", argument(&data)];
    for (arguments, why) in [
        (
            ["--trusted-proxies", "10.0.0.0/8, proxy"],
            "error: --trusted-proxies: 'proxy' is no address and no network of proxies: write 192.0.2.7 or 10.0.0.0/8\n",
        ),
        (["--proxy-header", "via"], "'via' is no header that is read here: name x-forwarded-for or forwarded"),
    ] {
        let output = hallmark(&[&serve[..], &arguments[..]].concat());
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains(why), "{told}");
    }
}
