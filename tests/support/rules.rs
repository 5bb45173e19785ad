//! Rules folders, written on the spot.

use std::fs;
use std::path::{Path, PathBuf};

use super::host::component;

/// Writes a module's folder: the kind `<name>s` of any document, and what `more` adds to its `module.toml`.
pub fn module(folder: &Path, name: &str, more: &str) -> PathBuf {
    let home = folder.join(format!("{name}s"));
    fs::create_dir_all(&home).expect("a folder");
    fs::write(home.join("schema.json"), r#"{"type": "object"}"#).expect("a file");
    let text = format!(
        r#"
[module]
name = "{name}s"

[[kinds]]
name = "{name}s"
singular = "{name}"
id_field = "{}"
document_field = "manifest"
versioning = "semver"
schema = "schema.json"
{more}"#,
        id_field(name)
    );
    fs::write(home.join("module.toml"), text).expect("a file");
    home
}

/// A binding to a plugin that no other binding shares: a plugin is known by its bytes, and one that breaks must not
/// take the turns of the others in the test.
pub fn own_binding(folder: &Path, name: &str, stage: &str, plugin: &str, settings: &str) -> String {
    let copy = own_copy(folder, &component(plugin), name);
    format!(
        r#"
[[bindings]]
name = "{name}"
stage = "{stage}"
component = "{}"
settings = {settings}
"#,
        copy.display()
    )
}

/// The same component with other bytes: a custom section (WebAssembly core specification, 5.5.3) tells them apart.
pub fn own_copy(folder: &Path, component: &Path, name: &str) -> PathBuf {
    fs::create_dir_all(folder).expect("a folder");
    let copy = folder.join(format!("{name}.wasm"));
    let mut bytes = fs::read(component).expect("a component");
    let length = u8::try_from(name.len()).expect("a short name");
    bytes.extend([0, length + 1, length]);
    bytes.extend(name.as_bytes());
    fs::write(&copy, bytes).expect("a file");
    copy
}

/// A submission of the kind `<name>s`.
pub fn submission(name: &str, id: &str) -> serde_json::Value {
    serde_json::json!({
        (id_field(name)): id, "name": "One of them", "version": "1.0.0", "manifest": {"text": "hello"},
    })
}

fn id_field(name: &str) -> String {
    format!("{}Id", name.replace('-', ""))
}
