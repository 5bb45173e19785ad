//! The audit log through the built binary: taken out, checked, and found out where somebody worked on it.

use std::fs;

use serde_json::{Value, json};
use sqlx::{Connection as _, Executor as _};
use tempfile::TempDir;

use crate::support::as_superuser;
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
    let kept = format!("head {head}\nkeep the head elsewhere, and check with --head that a later log still holds it\n");
    let (said, code) = told(&host, &["audit", "verify", "--head", &head]);
    let rest = "no row waits to be sealed\n2 versions stored: the log tells of each\n";
    assert_eq!((said, code), (format!("rows 1 to 5 follow from one another\n{kept}{rest}"), Some(0)));
    assert_eq!(host.get("/api/audit/status").body, json!({"head": {"place": 5, "hash": hash}, "waiting": 0}));
    let status = format!("head {head}\nno row waits to be sealed\n");
    assert_eq!(told(&host, &["audit", "status"]), (status, Some(0)));

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

#[test]
fn a_version_that_the_log_does_not_tell_of_is_named() {
    let folder = TempDir::new().expect("a folder");
    let (modules, data) = (folder.path().join("modules"), folder.path().join("data"));
    module(&modules, "note", "");
    let host = Options::new().modules(&modules).data(&data).limit("audit_seal_ms", 10).start();
    for number in 0..13 {
        assert_eq!(host.post("/api/notes/publish", &submission("note", &format!("n{number:02}"))).status, 201);
    }
    until("the rows are sealed", || is_sealed(&host));
    let page = host.get("/api/audit/versions?limit=2").body;
    assert_eq!(
        (&page["items"][1]["subject"], &page["items"][1]["waiting"]),
        (&json!("notes/n01@1.0.0"), &json!(false))
    );
    let next = page["nextCursor"].as_str().expect("a cursor");
    let next = host.get(&format!("/api/audit/versions?limit=2&cursor={next}")).body;
    assert_eq!(next["items"][0]["subject"], "notes/n02@1.0.0");
    // Stored by somebody who went around the gate.
    let address = format!("sqlite:{}", data.join("hallmark.db").display());
    meddle(&address, "UPDATE versions SET digest = 'sha256:00' WHERE entry_id <> 'n12'");
    let (said, code) = told(&host, &["audit", "verify"]);
    assert_eq!(code, Some(1), "{said}");
    let named =
        |number: usize| format!("the log does not tell that notes/n{number:02}@1.0.0 was published as it is stored");
    let expected: Vec<String> = (0..10).map(named).chain(["and so of 2 more".to_owned()]).collect();
    assert_eq!(said.lines().skip(4).collect::<Vec<_>>(), expected);
}

/// Changes the database behind the host's back.
fn meddle(address: &str, statement: &'static str) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        sqlx::any::install_default_drivers();
        let mut connection = sqlx::AnyConnection::connect(&as_superuser(address)).await.expect("it opens");
        connection.execute(statement).await.expect("it is done");
        connection.close().await.expect("it closes");
    });
}

#[test]
fn what_waits_to_be_sealed_is_told_and_is_no_fault() {
    let folder = TempDir::new().expect("a folder");
    let modules = folder.path().join("modules");
    module(&modules, "note", "");
    let host = Options::new().modules(&modules).limit("audit_seal_ms", 3_600_000).start();
    assert_eq!(host.post("/api/notes/publish", &submission("note", "a")).status, 201);
    let none = "the audit log has no sealed rows\n4 rows wait to be sealed";
    assert_eq!(told(&host, &["audit", "status"]), (format!("{none}\n"), Some(0)));
    let rest = ", and are not checked\n1 version stored: the log tells of 0, what tells of the others waits\n";
    assert_eq!(told(&host, &["audit", "verify"]), (format!("{none}{rest}"), Some(0)));
}

#[test]
fn a_host_reads_the_log_for_no_more_at_once_than_it_may() {
    let host = Options::new().limit("audit_reads_in_flight_max", 0).start();
    for path in ["/api/audit", "/api/audit/status", "/api/audit/versions"] {
        let answer = host.get(path);
        assert_eq!((answer.status, &answer.body["code"]), (503, &json!("busy")), "{path}");
        let detail = "the host is busy: it reads the audit log for others (audit_reads_in_flight_max = 0)";
        assert_eq!(answer.body["detail"], detail);
    }
}

#[test]
fn exports_that_meet_each_other_wait() {
    let folder = TempDir::new().expect("a folder");
    let modules = folder.path().join("modules");
    module(&modules, "note", "");
    let options = Options::new().modules(&modules).limit("audit_seal_ms", 10).limit("audit_reads_in_flight_max", 1);
    let host = options.start();
    for number in 0..120 {
        assert_eq!(host.post("/api/notes/publish", &submission("note", &format!("n{number}"))).status, 201);
    }
    until("the rows are sealed", || is_sealed(&host));
    std::thread::scope(|scope| {
        let exports: Vec<_> = (0..8).map(|_| scope.spawn(|| told(&host, &["audit", "export"]))).collect();
        for export in exports {
            let (lines, code) = export.join().expect("no panic");
            assert_eq!((lines.lines().count(), code), (123, Some(0)), "{lines}");
        }
    });
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
    let head = kept.split([' ', '\n']).nth(1).expect("a head");
    let four: String = lines.lines().take(4).map(|line| format!("{line}\n")).collect();
    let shorter =
        "the audit log does not hold: the log ends at row 4, before the head 5: rows were removed from its end\n";
    assert_eq!(verify(&four, &["--head", head]), (shorter.to_owned(), Some(1)));
    let (said, code) = verify(lines, &["--head", "5"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("'5' is not a valid head: a place and its hash"), "{said}");
    assert_eq!(verify("", &[]), ("the audit log has no sealed rows\n".to_owned(), Some(0)));
}
