//! The rules and submissions of the loads, made on the spot.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::host::component;
use crate::support::rules::{module, own_binding};

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

/// Two kinds: the validator of one is healthy, that of the other never returns.
pub fn with_loop(folder: &Path) -> PathBuf {
    for (name, breaks) in [("note", "none"), ("loop", "loop")] {
        let settings = format!("{{ break = \"{breaks}\" }}");
        module(folder, name, &own_binding(folder, name, "validate", "hostile", &settings));
    }
    folder.to_owned()
}

/// A policy of that many CEL rules, none of which objects.
pub fn policies(folder: &Path, count: usize) -> PathBuf {
    fs::create_dir_all(folder).expect("a folder");
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
    let mut text = String::new();
    write!(
        text,
        "[[bindings]]\nname = \"cel\"\nstage = \"policy\"\ncomponent = \"{}\"\nsettings_file = \"rules.json\"\n",
        component("cel").display()
    )
    .expect("text");
    fs::write(folder.join("policy.toml"), text).expect("a file");
    fs::write(folder.join("rules.json"), json!({"rules": rules}).to_string()).expect("a file");
    folder.to_owned()
}
