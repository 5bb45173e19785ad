//! Validations alone, and while a preview judges everything that is stored.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::json;

use super::client::{load, post};
use super::support::host::{Host, Options, root};
use super::{CONNECTIONS, TIME, address, rules, samples, show};

/// Entries that the preview judges: more than it can while it is measured.
const STORED: u64 = 20_000;

/// With a client that waits for each answer, and with as many as keep every core busy.
pub fn run(folder: &Path) {
    let host = Options::new()
        .modules(&root().join("examples/modules/services"))
        .policies(&rules::policies(&folder.join("preview"), 50))
        .start();
    let published = AtomicU64::new(0);
    while published.load(Ordering::Relaxed) < STORED {
        load(address(&host.url), CONNECTIONS, TIME / 8, &|_| {
            let number = published.fetch_add(1, Ordering::Relaxed);
            post("/api/services/publish", &host.token, &samples::service_submission(number))
        });
    }
    let mut candidate = host.get("/api/policies/releases/1").body["rules"].clone();
    for rule in candidate["bindings"][0]["settings"]["rules"].as_array_mut().expect("rules") {
        rule["expression"] = json!("size(manifest.services) < 60");
    }
    let body = samples::service_submission(0);
    for (what, connections) in [("one client", 1), ("eight clients", CONNECTIONS)] {
        let validations =
            || load(address(&host.url), connections, TIME, &|_| post("/api/services/validate", &host.token, &body));
        let alone = validations();
        show(&format!("validate: {what}, alone"), &alone, alone.rate);
        let begun = host.post("/api/policies/impact", &json!({"rules": candidate}));
        assert_eq!(begun.status, 202, "{begun:?}");
        let preview = format!("/api/impacts/{}", begun.body["id"].as_str().expect("an id"));
        let first = judged(&host, &preview);
        let beside = validations();
        let judged = judged(&host, &preview) - first;
        show(&format!("validate: {what}, beside a preview"), &beside, alone.rate);
        let state = host.post(&format!("{preview}/cancel"), &json!({})).body["state"].clone();
        println!("  it judged {:.0} manifests a second, and was {state} then", judged as f64 / TIME.as_secs_f64());
    }
}

fn judged(host: &Host, preview: &str) -> i64 {
    host.get(preview).body["progress"]["judged"].as_i64().expect("a number")
}
