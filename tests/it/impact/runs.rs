//! `hallmark impact`: previews that run or have run, from the command line, by their ids.

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{begin, counts, four_notes, newest, release, rules, slow};
use crate::support::command::{against, argument, text};
use crate::support::host::{Host, Options};

fn told(host: &Host, arguments: &[&str]) -> (String, String, i32) {
    let output = against(host, arguments);
    (text(&output.stdout), text(&output.stderr), output.status.code().expect("a code"))
}

#[test]
fn a_preview_is_looked_at_again_by_its_id() {
    let folder = TempDir::new().expect("a folder");
    let host = four_notes(Options::new());
    assert_eq!(told(&host, &["impact", "list"]).0, "no preview was made\n");
    let (report, _, code) = told(&host, &["module", "impact", "notes", "3"]);
    let id = newest(&host);
    assert_eq!((told(&host, &["impact", "show", &id]), code), ((report.clone(), String::new(), 1), 1));
    assert_eq!(told(&host, &["impact", "show", &id, "--wait"]), (report, String::new(), 1));
    let json: Value = serde_json::from_str(&told(&host, &["impact", "show", &id, "--output", "json"]).0).expect("JSON");
    assert_eq!((counts(&json), &json["id"]), ([1, 1, 1, 0, 1], &json!(id)));
    let sarif = told(&host, &["impact", "show", &id, "--output", "sarif"]).0;
    assert!(sarif.contains("\"version\": \"2.1.0\""), "{sarif}");
    let page = folder.path().join("page.html");
    let written = told(&host, &["impact", "show", &id, "--output", "html", "-o", argument(&page)]);
    assert_eq!(written, (String::new(), String::new(), 1));
    assert!(std::fs::read_to_string(&page).expect("a page").contains("<h1>Preview of module:notes: release 3</h1>"));

    let nothing = release(&host, &rules(&json!({"maxLength": 5, "minLength": 1}), &json!([])));
    let begun = told(&host, &["module", "impact", "notes", &nothing.to_string(), "--no-wait"]).0;
    assert_eq!(begun, format!("{}\n", newest(&host)));
    assert_eq!(told(&host, &["impact", "show", begun.trim(), "--wait"]).2, 0, "nothing would newly fail");
    let (listed, more, _) = told(&host, &["impact", "list", "--limit", "1"]);
    let line = format!("{}  done       ", begun.trim());
    assert!(
        listed.starts_with(&line) && listed.ends_with("  admin  module:notes release 4: 4 of 4 judged\n"),
        "{listed}"
    );
    let cursor = more.trim().strip_prefix("more follow: --cursor ").expect("there are more");
    let listed = told(&host, &["impact", "list", "--cursor", cursor]).0;
    assert!(listed.starts_with(&id) && listed.lines().count() == 1, "{listed}");
    let page: Value = serde_json::from_str(&told(&host, &["impact", "list", "--output", "json"]).0).expect("JSON");
    assert_eq!(page["items"].as_array().map(Vec::len), Some(2));

    let (_, error, code) = told(&host, &["impact", "show", "a/b"]);
    assert_eq!((error.as_str(), code), ("error: 'a/b' is not a preview's id: see 'hallmark impact list'\n", 2));
    let (_, error, code) = told(&host, &["impact", "show", "none"]);
    assert!(error.starts_with("error[not-found]: No such thing\n  no preview 'none'\n") && code == 3, "{error}");
}

#[test]
fn a_preview_that_runs_is_shown_and_cancelled() {
    let folder = TempDir::new().expect("a folder");
    let (host, candidate) = slow(Options::new().limit("impact_threads", 1), folder.path(), 60);
    let id = begin(&host, &candidate);
    let (shown, _, code) = told(&host, &["impact", "show", &id]);
    assert!(shown.contains("\nthe preview is running; so far\n") && code == 0, "{shown}");
    let listed = told(&host, &["impact", "list"]).0;
    assert!(
        listed.starts_with(&format!("{id}  running    ")) && listed.contains(" module:notes a folder: "),
        "{listed}"
    );
    let cancelled = format!("preview {id} is cancelled\n");
    assert_eq!(told(&host, &["impact", "cancel", &id]), (cancelled.clone(), String::new(), 0));
    assert_eq!(told(&host, &["impact", "cancel", &id]).0, cancelled, "twice is once");
    let (shown, _, code) = told(&host, &["impact", "show", &id, "--wait"]);
    assert!(shown.contains("\nthe preview is cancelled; so far\n") && code == 3, "{shown}");
    let quick = begin(&host, &json!({"rules": rules(&json!({}), &json!([]))}));
    super::ended(&host, &quick);
    let late = format!("preview {quick} had ended before: it is done\n");
    assert_eq!(told(&host, &["impact", "cancel", &quick]), (late, String::new(), 0));
}
