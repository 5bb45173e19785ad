//! The built command line.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use super::host::{Host, root};

/// Runs `hallmark` at the root of the repository, with nothing of the caller's settings.
pub fn hallmark(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hallmark"));
    for name in ["HALLMARK_SERVER", "HALLMARK_TOKEN", "HALLMARK_TOKEN_FILE", "DATABASE_URL"] {
        command.env_remove(name);
    }
    command.current_dir(root()).args(arguments).output().expect("the binary runs")
}

/// What gives a command that judges by itself all the time that it needs.
pub const PATIENT: [&str; 4] = ["--limit", "plugin_deadline_ms=600000", "--limit", "plugin_wall_max_ms=600000"];

/// Runs a client's command against the host.
pub fn against(host: &Host, arguments: &[&str]) -> Output {
    hallmark(&[arguments, &["--server", &host.url, "--token", &host.token]].concat())
}

/// What a client's command writes that goes well.
pub fn told(host: &Host, arguments: &[&str]) -> String {
    let output = against(host, arguments);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// The results of a command with `--output json`.
pub fn results(output: &Output) -> Vec<Value> {
    let document: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("no JSON: {}{}", text(&output.stdout), text(&output.stderr)));
    document["results"].as_array().expect("results").clone()
}

/// Bytes as text.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A path as an argument.
pub fn argument(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}
