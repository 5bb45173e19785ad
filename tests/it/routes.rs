//! Every route demands a role, and says no to whoever lacks it: the whole table is walked, against the built binary.

use std::collections::BTreeMap;

use serde_json::json;

use crate::support::host::{Options, root};

/// Routes that everybody may ask. One that joins them is a decision.
const PUBLIC: [&str; 5] = ["GET /api/openapi.json", "GET /docs", "GET /health", "GET /livez", "GET /readyz"];

/// Which roles include which.
const INCLUDED: [(&str, &[&str]); 4] = [
    ("reader", &["reader"]),
    ("publisher", &["reader", "publisher"]),
    ("rules", &["reader", "rules"]),
    ("admin", &["reader", "publisher", "rules", "admin"]),
];

/// Method, path and role of each route, as docs/API.md has them; a unit test holds that table to the router's.
fn routes() -> Vec<(String, String, String)> {
    let text = std::fs::read_to_string(root().join("docs/API.md")).expect("a readable page");
    let rows = text.lines().filter(|line| line.starts_with("| `"));
    let routes: Vec<_> = rows
        .map(|row| {
            let cells: Vec<&str> = row.split('|').map(|cell| cell.trim().trim_matches('`')).collect();
            (cells[1].to_owned(), cells[2].replace(['{', '}'], ""), cells[3].to_owned())
        })
        .collect();
    assert!(routes.len() > 60, "the table is read: {}", routes.len());
    routes
}

#[test]
fn every_route_refuses_whoever_lacks_its_role() {
    // A stream of events would not end by itself.
    let host = Options::new().limit("event_stream_max_ms", 50).start();
    let tokens: BTreeMap<&str, String> = ["reader", "publisher", "rules"]
        .into_iter()
        .map(|role| {
            let made = host.post("/api/tokens", &json!({"name": role, "roles": [role]}));
            (role, made.body["token"].as_str().expect("a token").to_owned())
        })
        .collect();
    let mut public = Vec::new();
    for (method, path, demanded) in routes() {
        let route = format!("{method} {path}");
        if demanded == "everybody" {
            assert_ne!(host.ask(&method, &path, &[]).status, 401, "{route}");
            public.push(route);
            continue;
        }
        assert!(INCLUDED.iter().any(|(role, _)| *role == demanded), "{route} demands '{demanded}', which is no role");
        assert_eq!(host.ask(&method, &path, &[]).status, 401, "{route} without a token");
        let unknown = [("authorization", "Bearer hm_unknown")];
        assert_eq!(host.ask(&method, &path, &unknown).status, 401, "{route} with a token that nobody holds");
        for (role, token) in &tokens {
            let includes = INCLUDED.iter().find(|(known, _)| known == role).map_or(&[][..], |(_, roles)| *roles);
            let authorization = format!("Bearer {token}");
            let answer = host.ask(&method, &path, &[("authorization", &authorization)]);
            let is_refused = answer.status == 403 && answer.body["code"] == "forbidden";
            assert_eq!(is_refused, !includes.contains(&demanded.as_str()), "{route} by {role}: {answer:?}");
        }
    }
    public.sort();
    assert_eq!(public, PUBLIC, "whoever opens a route to everybody says so here");
}
