//! The audit log through the built binary: taken out, checked, and found out where somebody worked on it.

use std::fs;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::command::{against, argument, hallmark, text};
use crate::support::host::{Host, Options, until};
use crate::support::rules::{module, submission};

/// What it wrote, and its exit code.
fn told(host: &Host, arguments: &[&str]) -> (String, Option<i32>) {
    let output = against(host, arguments);
    (text(&output.stdout) + &text(&output.stderr), output.status.code())
}

fn is_sealed(host: &Host) -> bool {
    host.get("/api/audit/status").body["waiting"] == 0
}

#[test]
fn the_log_is_exported_and_verified() {
    let folder = TempDir::new().expect("a folder");
    let modules = folder.path().join("modules");
    module(&modules, "note", "");
    let host = Options::new().modules(&modules).limit("audit_seal_ms", 10).start();
    for id in ["a", "b"] {
        assert_eq!(host.post("/api/notes/publish", &submission("note", id)).status, 201);
    }
    until("the rows are sealed", || is_sealed(&host));
    let (lines, code) = told(&host, &["audit", "export"]);
    assert_eq!(code, Some(0), "{lines}");
    let rows: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let what: Vec<_> = rows.iter().map(|row| format!("{} {} {}", row["what"], row["actor"], row["subject"])).collect();
    assert_eq!(
        what,
        [
            r#""token.created" "serve" "tokens/admin""#,
            r#""release.created" "serve" "module:notes#1""#,
            r#""release.activated" "serve" "module:notes#1""#,
            r#""entry.published" "admin" "notes/a@1.0.0""#,
            r#""entry.published" "admin" "notes/b@1.0.0""#,
        ]
    );
    let hash = rows[4]["hash"].as_str().expect("a hash");
    let head = format!("5:{hash}");
    let kept = format!("head {head}: keep it elsewhere, and check with --head that a later log still holds it\n");
    let (said, code) = told(&host, &["audit", "verify", "--head", &head]);
    let rest = "no row waits to be sealed\n2 versions stored: the log tells of each\n";
    assert_eq!((said, code), (format!("rows 1 to 5 follow from one another\n{kept}{rest}"), Some(0)));
    assert_eq!(host.get("/api/audit/status").body["head"], json!({"place": 5, "hash": hash}));

    let page = host.get("/api/audit?limit=3").body;
    assert_eq!(page["items"], json!(rows[..3]));
    let next = host.get(&format!("/api/audit?limit=3&cursor={}", page["nextCursor"].as_str().expect("a cursor"))).body;
    assert_eq!((&next["items"], &next["nextCursor"]), (&json!(rows[3..]), &json!(null)));
    let (since, before) = (rows[4]["at"].as_str().expect("an instant"), "2020-01-01");
    let (late, _) = told(&host, &["audit", "export", "--since", since]);
    assert!(late.lines().count() < 5 && late.ends_with(&format!("{}\n", rows[4])), "{late}");
    assert_eq!(told(&host, &["audit", "export", "--until", before]), (String::new(), Some(0)));
    let file = folder.path().join("export.jsonl");
    assert_eq!(told(&host, &["audit", "export", "--out", argument(&file)]), (String::new(), Some(0)));
    assert_eq!(fs::read_to_string(&file).expect("the rows"), lines);
    let nowhere = folder.path().join("nowhere/export.jsonl");
    let (said, code) = told(&host, &["audit", "export", "--out", argument(&nowhere)]);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.starts_with(&format!("error: {} cannot be written: ", nowhere.display())), "{said}");
    let wrong = host.get("/api/audit?since=soon");
    assert_eq!((wrong.status, &wrong.body["code"]), (400, &json!("bad-query")));
    let (said, code) = told(&host, &["audit", "export", "--since", "soon"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("'soon' is not an instant: write it as in 2026-12-31"), "{said}");

    check_files(folder.path(), &lines, &late, &kept);
}

/// What was exported is checked without a server.
fn check_files(folder: &std::path::Path, lines: &str, late: &str, kept: &str) {
    let file = folder.join("log.jsonl");
    let verify = |lines: &str, more: &[&str]| {
        fs::write(&file, lines).expect("a file");
        let output = hallmark(&[&["audit", "verify", argument(&file)], more].concat());
        (text(&output.stdout) + &text(&output.stderr), output.status.code())
    };
    assert_eq!(verify(lines, &[]), (format!("rows 1 to 5 follow from one another\n{kept}"), Some(0)));
    let first = 5 + 1 - late.lines().count();
    let (said, code) = verify(late, &[]);
    assert_eq!(code, Some(0));
    assert!(said.contains(&format!("what comes before row {first} is not here")), "{said}");
    let edited = lines.replace("\"subject\":\"notes/a@1.0.0\"", "\"subject\":\"notes/a@1.0.1\"");
    let (said, code) = verify(&edited, &[]);
    assert_eq!(code, Some(1));
    assert!(
        said.starts_with(
            "the audit log does not hold: row 4 (entry.published notes/a@1.0.1) was edited: its hash is not"
        ),
        "{said}"
    );
    let head = kept.split([' ', ',']).nth(1).expect("a head").trim_end_matches(':');
    let four: String = lines.lines().take(4).map(|line| format!("{line}\n")).collect();
    let shorter =
        "the audit log does not hold: the log ends at row 4, before the head 5: rows were removed from its end\n";
    assert_eq!(verify(&four, &["--head", head]), (shorter.to_owned(), Some(1)));
    let (said, code) = verify(lines, &["--head", "5"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("'5' is not a valid head: a place and its hash"), "{said}");
    assert_eq!(verify("", &[]), ("the audit log has no sealed rows\n".to_owned(), Some(0)));
}
