//! The pages whose commands run from top to bottom do, in a folder like the repository's, beside a host that has just
//! been started.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::support::command::text;
use crate::support::host::{Options, root};

/// The first line that fails ends a walk, and is told; a request that is refused fails.
const PREAMBLE: &str = "set -Eeuo pipefail
trap 'echo \"line $LINENO of the walk failed: $BASH_COMMAND\" >&2' ERR
curl() { command curl --fail-with-body \"$@\"; }
";

/// The shell blocks of a page, in one script; each line where it stands in the page.
fn script(page: &str) -> String {
    let mut script = String::new();
    let mut is_shell = false;
    for line in page.lines() {
        match line {
            "```sh" => is_shell = true,
            "```" => is_shell = false,
            line if is_shell => {
                writeln!(script, "{line}").expect("a text takes it");
                continue;
            }
            _ => {}
        }
        script.push('\n');
    }
    script
}

fn walk(page: &str) {
    let folder = TempDir::new().expect("a folder");
    for name in ["examples", "plugins"] {
        symlink(root().join(name), folder.path().join(name)).expect("a link");
    }
    let host = Options::examples().data(&folder.path().join("data")).start();
    let written = fs::read_to_string(root().join("docs").join(page)).expect("a readable page");
    let script = script(&written).replace("http://127.0.0.1:8080", &host.url);
    assert!(script.contains(&host.url), "{page} has a walk");
    let binary = Path::new(env!("CARGO_BIN_EXE_hallmark")).parent().expect("a folder");
    let path = format!("{}:{}", binary.display(), std::env::var("PATH").expect("a path"));
    fs::write(folder.path().join("walk.sh"), script).expect("a file");
    // In a file of its own the page's lines keep their numbers.
    let output = Command::new("bash")
        .args(["-c", &format!("{PREAMBLE}source ./walk.sh")])
        .current_dir(folder.path())
        .env("PATH", path)
        .env_remove("HALLMARK_TOKEN")
        .output()
        .expect("bash runs");
    assert!(output.status.success(), "docs/{page}\n{}\n{}", text(&output.stdout), text(&output.stderr));
}

#[test]
fn shipping_a_rule() {
    walk("RULES.md");
}

#[test]
fn shadows_stages_and_exemptions() {
    walk("SHADOWS.md");
}

#[test]
fn the_api() {
    walk("API.md");
}
