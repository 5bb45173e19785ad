//! What the benches have judged: a manifest, and rules to judge it by.

use serde_json::{Value, json};

/// A service manifest of about 2 KB, as one of many entries.
pub fn service_submission(number: u64) -> String {
    let services: Vec<Value> = (0..6)
        .map(|index| {
            json!({
                "slug": format!("service-{index}"),
                "displayName": format!("Service number {index}"),
                "kind": "dashboard",
                "baseUrl": format!("http://127.0.0.1:{}", 4000 + index),
                "healthEndpoint": "/healthz",
                "devCommand": "npm run dev",
                "workingDir": format!("services/number-{index}"),
                "env": [
                    {"key": "HOST", "value": "0.0.0.0"},
                    {"key": "PORT", "value": (4000 + index).to_string()},
                    {"key": "DATA_ROOT", "value": "${DATA_ROOT:-/var/lib/services}"},
                    {"key": "REFRESH_MS", "value": "10000"},
                ],
            })
        })
        .collect();
    json!({
        "serviceId": format!("set-{number}"),
        "name": "A set of services",
        "version": "1.0.0",
        "tags": ["bench"],
        "manifest": {"services": services},
    })
    .to_string()
}

/// The settings of a CEL policy of that many rules, none of which objects.
pub fn cel_settings(count: usize) -> Value {
    let rules: Vec<Value> = (0..count)
        .map(|index| {
            let expression = match index % 4 {
                0 => format!("size(manifest.services) < {}", 100 + index),
                1 => format!("manifest.services.all(s, s.slug != 'forbidden-{index}')"),
                2 => format!("!submission.tags.exists(t, t == 'banned-{index}')"),
                _ => format!("manifest.services.all(s, s.baseUrl.startsWith('http') && size(s.slug) < {})", 60 + index),
            };
            json!({
                "id": format!("rule-{index}"),
                "title": format!("Rule {index}"),
                "expression": expression,
                "message": "this must not be",
                "severity": "error",
            })
        })
        .collect();
    json!({"rules": rules})
}
