//! The rules and submissions of the loads, made on the spot.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::host::component;

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

/// A submission for the healthy plugin beside the loops.
pub fn note_submission() -> String {
    json!({"noteId": "a", "name": "A note", "version": "1.0.0", "manifest": {"text": "hello"}}).to_string()
}

/// A submission whose plugin loops.
pub fn loop_submission() -> String {
    json!({"loopId": "a", "name": "A loop", "version": "1.0.0", "manifest": {"text": "hello"}}).to_string()
}

/// The kind `services` with its schema and no bindings.
pub fn plain_services(folder: &Path) -> PathBuf {
    module(
        folder,
        "services",
        r#"
[[kinds]]
name = "services"
singular = "service"
id_field = "serviceId"
document_field = "manifest"
versioning = "semver"
schema = "schema.json"
"#,
    )
}

/// Two kinds: the validator of one is healthy, that of the other never returns.
pub fn with_loop(folder: &Path) -> PathBuf {
    let hostile = component("hostile");
    for (name, breaks) in [("note", "none"), ("loop", "loop")] {
        let text = format!(
            r#"
[[kinds]]
name = "{name}s"
singular = "{name}"
id_field = "{name}Id"
document_field = "manifest"
versioning = "semver"
schema = "schema.json"

[[bindings]]
name = "{name}-check"
stage = "validate"
component = "{}"
settings = {{ breaks = "{breaks}" }}
"#,
            // Another file for each: a plugin is known by its bytes, and the two must not share a bulkhead.
            own_copy(folder, &hostile, name).display()
        );
        module(folder, &format!("{name}s"), &text);
    }
    folder.to_owned()
}

fn own_copy(folder: &Path, component: &Path, name: &str) -> PathBuf {
    fs::create_dir_all(folder).expect("a folder");
    let copy = folder.join(format!("{name}.wasm"));
    let mut bytes = fs::read(component).expect("a component");
    // A custom section of its own (WebAssembly core specification, 5.5.3) makes other bytes of the same plugin.
    bytes.extend([0, u8::try_from(name.len() + 1).expect("short"), u8::try_from(name.len()).expect("short")]);
    bytes.extend(name.as_bytes());
    fs::write(&copy, bytes).expect("a file");
    copy
}

fn module(folder: &Path, name: &str, text: &str) -> PathBuf {
    let home = folder.join(name);
    fs::create_dir_all(&home).expect("a folder");
    fs::write(home.join("schema.json"), r#"{"type": "object"}"#).expect("a file");
    fs::write(home.join("module.toml"), format!("[module]\nname = \"{name}\"\n{text}")).expect("a file");
    home
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
