//! The documents are held to what is: a limit, a command or a flag that they name exists and is as they say.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use hallmark::config::Limits;

use crate::support::host::root;

/// Commands that have commands of their own.
const GROUPS: [&str; 11] = [
    "module",
    "policy",
    "plugin",
    "decision",
    "audit",
    "config",
    "inbox",
    "token",
    "tenant",
    "trust-publisher",
    "webhook",
];

/// Commands of those that have commands of their own, which may stand behind a module's name.
const NESTED: [&str; 2] = ["shadow", "exempt"];
const ACTIONS: [&str; 3] = ["start", "stop", "revoke"];

/// README and every page of docs and plugins, each with its name.
fn pages() -> Vec<(String, String)> {
    let list = |folder: &str| {
        let entries = fs::read_dir(root().join(folder)).expect("a folder");
        entries.map(|entry| entry.expect("an entry").path()).collect::<Vec<_>>()
    };
    let mut paths: Vec<_> = list("docs");
    paths.extend(list("plugins").into_iter().map(|folder| folder.join("README.md")));
    paths.extend([root().join("README.md"), root().join("plugins/README.md")]);
    paths.retain(|path| path.is_file() && path.extension().is_some_and(|extension| extension == "md"));
    paths
        .into_iter()
        .map(|path| (path.display().to_string(), fs::read_to_string(&path).expect("a readable page")))
        .collect()
}

/// Every call of `hallmark` in a page: the lines of its shell blocks, and what stands between backticks.
fn calls(page: &str) -> Vec<String> {
    let mut calls = Vec::new();
    for (index, part) in page.split("```").enumerate() {
        if index % 2 == 0 {
            calls.extend(part.split('`').skip(1).step_by(2).map(|span| span.replace('\n', " ")));
        } else if let Some(block) = part.strip_prefix("sh\n") {
            calls.extend(block.replace("\\\n", " ").lines().map(str::to_owned));
        }
    }
    calls.retain(|call| call.starts_with("hallmark "));
    calls
}

/// The command of a call, as in `plugin build`, and its flags.
fn parts(call: &str) -> (Vec<String>, Vec<String>) {
    let words = call.split('#').next().unwrap_or_default().split_whitespace().skip(1);
    let words: Vec<String> = words.map(str::to_owned).collect();
    let is_nested = words.get(1).is_some_and(|word| NESTED.contains(&word.as_str()));
    let action = words.iter().position(|word| is_nested && ACTIONS.contains(&word.as_str()));
    let length = match words.first() {
        Some(word) if GROUPS.contains(&word.as_str()) => action.map_or(2, |place| place + 1),
        _ => 1,
    };
    let command = words.iter().take(length).filter(|word| !word.starts_with('-')).cloned().collect();
    let flags = words.iter().filter(|word| word.starts_with("--")).map(|word| word.replace(['…', ']'], "")).collect();
    (command, flags)
}

#[test]
fn every_command_and_flag_that_a_page_names_exists() {
    let mut wrong = BTreeSet::new();
    let mut seen = 0;
    for (page, text) in pages() {
        for call in calls(&text) {
            let (command, flags) = parts(&call);
            let help = Command::new(env!("CARGO_BIN_EXE_hallmark")).args(&command).arg("--help").output();
            let help = help.expect("the binary runs");
            let shown = String::from_utf8_lossy(&help.stdout).into_owned();
            let unknown = flags.iter().find(|flag| !shown.split_whitespace().any(|word| word == *flag));
            if !help.status.success() || unknown.is_some() {
                wrong.insert(format!("{page}: `{call}` {}", unknown.map_or("", String::as_str)));
            }
            seen += 1;
        }
    }
    assert!(seen > 20, "the pages name commands: {seen} were found");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_table_of_limits_tells_every_limit_of_plugins_with_its_default() {
    let page = fs::read_to_string(root().join("docs/PLUGINS.md")).expect("a readable page");
    let defaults = serde_json::to_value(Limits::default()).expect("limits can be written");
    let missing: Vec<String> = Limits::NAMES
        .iter()
        .filter(|name| name.starts_with("plugin_"))
        .map(|name| format!("| `{name}` | {} |", defaults[name]))
        .filter(|row| !page.contains(row))
        .collect();
    assert!(missing.is_empty(), "docs/PLUGINS.md lacks the rows: {missing:#?}");
}
