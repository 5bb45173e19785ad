//! Configuration as people meet it: which of several that say something holds, what `config show` tells of it, and what
//! is refused. Nothing of the caller's environment is in it.

use std::path::Path;
use std::process::{Command, Output};

use hallmark::config::Limits;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::command::text;
use crate::support::host::root;

/// Runs `hallmark` in a folder with these variables and no others.
fn hallmark_in(folder: &Path, variables: &[(&str, &str)], arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hallmark"));
    command.env_clear().envs(variables.iter().copied()).current_dir(folder).args(arguments);
    command.output().expect("the binary runs")
}

/// A key's value and who said it.
fn shown(output: &Output, key: &str) -> (Value, String, Value) {
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let rows = document["keys"].as_array().expect("keys");
    let row = rows.iter().find(|row| row["key"] == key).unwrap_or_else(|| panic!("no key {key}"));
    (row["value"].clone(), row["origin"].as_str().expect("an origin").to_owned(), row["source"].clone())
}

#[test]
fn each_layer_goes_over_the_one_before_and_is_named() {
    let folder = TempDir::new().expect("a folder");
    let file = "server = \"http://127.0.0.1:1\"\ntoken = \"hm_of_the_file\"\n[serve]\nlisten = \"127.0.0.1:1\"\n\
                data = \"kept\"\n[database]\nurl = \"postgres://h:hush@db/r\"\n[limits]\nplugin_deadline_ms = 11\n";
    std::fs::write(folder.path().join("hallmark.toml"), file).expect("a file");
    let variables = [("HALLMARK_SERVE__LISTEN", "127.0.0.1:2"), ("HALLMARK_LIMITS__GATE_QUEUE_MAX", "12")];
    let show = ["config", "show", "--output", "json"];
    let output = hallmark_in(folder.path(), &variables, &show);
    let told = |key: &str| {
        let (value, origin, source) = shown(&output, key);
        let source = source.as_str().map(str::to_owned).unwrap_or_default();
        format!("{value} {origin} {source}")
    };
    assert_eq!(told("server"), "\"http://127.0.0.1:1\" file hallmark.toml");
    assert_eq!(told("token"), "\"********\" file hallmark.toml");
    assert_eq!(told("token_file"), "null default ");
    assert_eq!(told("serve.listen"), "\"127.0.0.1:2\" environment HALLMARK_SERVE__LISTEN");
    assert_eq!(told("serve.data"), "\"kept\" file hallmark.toml");
    assert_eq!(told("database.url"), "\"postgres://h:********@db/r\" file hallmark.toml");
    assert_eq!(told("log.format"), "\"pretty\" default ");
    assert_eq!(told("limits.plugin_deadline_ms"), "\"11\" file hallmark.toml");
    assert_eq!(told("limits.gate_queue_max"), "\"12\" environment HALLMARK_LIMITS__GATE_QUEUE_MAX");
    let everything = text(&output.stdout);
    assert!(!everything.contains("hm_of_the_file") && !everything.contains("hush"), "{everything}");

    let flags = ["--listen", "127.0.0.1:3", "--token-file", "t", "--limit", "gate_queue_max=13"];
    let output = hallmark_in(folder.path(), &variables, &[&show[..], &flags].concat());
    assert_eq!(shown(&output, "serve.listen"), ("127.0.0.1:3".into(), "flag".to_owned(), "--listen".into()));
    assert_eq!(shown(&output, "token_file"), ("t".into(), "flag".to_owned(), "--token-file".into()));
    assert_eq!(shown(&output, "token").1, "default", "the flag names another token than the file");
    assert_eq!(shown(&output, "limits.gate_queue_max"), ("13".into(), "flag".to_owned(), "--limit".into()));
}

#[test]
fn the_text_has_a_line_for_each_key() {
    let folder = TempDir::new().expect("a folder");
    let output = hallmark_in(folder.path(), &[("DATABASE_URL", "sqlite:a.db")], &["config", "show"]);
    let told = text(&output.stdout);
    let line = |key: &str| {
        let line = told.lines().find(|line| line.split_whitespace().next() == Some(key)).expect("a line");
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(line("database.url"), "database.url sqlite:a.db DATABASE_URL");
    assert_eq!(line("serve.listen"), "serve.listen 127.0.0.1:8080 default");
    assert_eq!(line("serve.modules"), "serve.modules - default");
    assert_eq!(told.lines().filter(|line| line.starts_with("limits.")).count(), Limits::NAMES.len());
}

#[test]
fn what_cannot_be_is_refused_with_who_said_it() {
    let folder = TempDir::new().expect("a folder");
    std::fs::write(folder.path().join("other.toml"), "[log]\nformat = \"jsn\"\n").expect("a file");
    for (variables, arguments, expected) in [
        (
            &[][..],
            &["config", "show", "--config", "missing.toml"][..],
            "error: missing.toml: No such file or directory (os error 2)\n",
        ),
        (
            &[("HALLMARK_CONFIG", "other.toml")],
            &["serve"],
            "error: other.toml: log.format: invalid value 'jsn' for '--log-format <FORMAT>': unknown log format 'jsn': \
             it is 'pretty' or 'json'\n",
        ),
        (
            &[("HALLMARK_SERVE__LISEN", "a")],
            &["list", "agents"],
            "error: unknown name 'HALLMARK_SERVE__LISEN': did you mean 'HALLMARK_SERVE__LISTEN'?\n",
        ),
        (
            &[("HALLMARK_LIMITS__GATE_QUEUE_MAX", "many")],
            &["migrate"],
            "error: HALLMARK_LIMITS__GATE_QUEUE_MAX: limit gate_queue_max takes a whole number, not 'many'\n",
        ),
        (
            &[],
            &["migrate"],
            "error: no database is named: give --database URL or --database-file FILE, or set DATABASE_URL\n",
        ),
        (
            &[("HALLMARK_DATABASE__URL_FILE", "nowhere")],
            &["migrate"],
            "error: --database-file: nowhere: No such file or directory (os error 2)\n",
        ),
    ] {
        let output = hallmark_in(folder.path(), variables, arguments);
        assert_eq!((text(&output.stderr).as_str(), output.status.code()), (expected, Some(2)), "{arguments:?}");
    }
}

#[test]
fn a_database_is_found_by_the_file_that_its_url_is_in() {
    let folder = TempDir::new().expect("a folder");
    let address = format!("sqlite:{}\n", folder.path().join("registry.db").display());
    std::fs::write(folder.path().join("url"), address).expect("a file");
    std::fs::write(folder.path().join("hallmark.toml"), "[database]\nurl_file = \"url\"\n").expect("a file");
    let output = hallmark_in(folder.path(), &[], &["migrate"]);
    assert!(text(&output.stdout).starts_with("applied 1, "), "{}{}", text(&output.stdout), text(&output.stderr));
    assert!(folder.path().join("registry.db").is_file());
}

#[test]
fn the_page_has_every_key_as_it_is() {
    let folder = TempDir::new().expect("a folder");
    let output = hallmark_in(folder.path(), &[], &["config", "show", "--output", "json"]);
    let document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let page = std::fs::read_to_string(root().join("docs/CONFIGURATION.md")).expect("a readable page");
    let rows: Vec<String> = document["keys"].as_array().expect("keys").iter().map(row).collect();
    let missing: Vec<&String> = rows.iter().filter(|row| !page.lines().any(|line| line == *row)).collect();
    assert!(missing.is_empty(), "docs/CONFIGURATION.md lacks the rows: {missing:#?}");
    let told = page.lines().filter(|line| line.starts_with("| `")).count();
    assert_eq!(told, rows.len(), "docs/CONFIGURATION.md tells of keys that are none");
}

/// A key as the page tells it.
fn row(key: &Value) -> String {
    let word = |value: &Value| value.as_str().unwrap_or_default().replace('|', "\\|");
    let code = |value: &Value| value.as_str().map(|text| format!("`{text}`")).unwrap_or_default();
    let name = word(&key["key"]);
    match name.strip_prefix("limits.") {
        Some(limit) => format!("| `{limit}` | {} | {} |", word(&key["default"]), word(&key["meaning"])),
        None => {
            let variables: Vec<String> = key["environment"].as_array().into_iter().flatten().map(code).collect();
            format!(
                "| `{name}` | {} | {} | {} | {} |",
                variables.join(", "),
                code(&key["flag"]),
                code(&key["default"]),
                word(&key["meaning"])
            )
        }
    }
}

#[test]
fn completions_and_pages_are_made_whatever_is_configured() {
    let folder = TempDir::new().expect("a folder");
    std::fs::write(folder.path().join("hallmark.toml"), "nonsense").expect("a file");
    for (shell, sign, file) in [
        ("bash", "complete -F _hallmark", "hallmark.bash"),
        ("zsh", "#compdef hallmark", "_hallmark"),
        ("fish", "complete -c hallmark", "hallmark.fish"),
    ] {
        let output = hallmark_in(folder.path(), &[], &["completions", shell]);
        assert!(text(&output.stdout).contains(sign), "{}{}", text(&output.stdout), text(&output.stderr));
        let output = hallmark_in(folder.path(), &[], &["completions", shell, "--out", "made"]);
        assert_eq!(text(&output.stdout), format!("wrote made/{file}\n"));
        assert!(folder.path().join("made").join(file).is_file());
    }
    let page = text(&hallmark_in(folder.path(), &[], &["man", "plugin", "build"]).stdout);
    assert!(page.contains(".TH") && page.contains("Compile plugins"), "{page}");
    let output = hallmark_in(folder.path(), &[], &["man", "--out", "pages"]);
    assert_eq!((text(&output.stdout).as_str(), output.status.code()), ("wrote the pages into pages\n", Some(0)));
    for page in ["hallmark.1", "hallmark-publish.1", "hallmark-plugin-build.1"] {
        assert!(folder.path().join("pages").join(page).is_file(), "{page}");
    }
    let output = hallmark_in(folder.path(), &[], &["man", "publsh"]);
    assert_eq!(
        (text(&output.stderr).as_str(), output.status.code()),
        ("error: 'hallmark' has no command: unknown name 'publsh': did you mean 'publish'?\n", Some(2))
    );
}
