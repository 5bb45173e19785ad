//! `hallmark doctor`: what is well, what is not, and what to do.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::command::{argument, hallmark, text};
use crate::support::host::Options;
use crate::support::new_postgres_database;
use crate::support::rules::{module, own_binding};

/// What is said of each part: `part state detail`.
fn look(arguments: &[&str]) -> (Option<i32>, Vec<(String, String, String)>) {
    let output = hallmark(&[&["doctor", "--output", "json"], arguments].concat());
    let said: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text(&output.stderr)));
    let field = |check: &Value, name: &str| check[name].as_str().unwrap_or_default().to_owned();
    let checks = said["checks"].as_array().expect("checks");
    let failed = checks.iter().any(|check| check["state"] == "fail");
    assert_eq!(said["ok"], !failed);
    assert!(
        checks.iter().all(|check| (check["state"] == "ok") == check["help"].is_null()),
        "what is not well has help"
    );
    let told = |check: &Value| (field(check, "part"), field(check, "state"), field(check, "detail"));
    (output.status.code(), checks.iter().map(told).collect())
}

/// The parts that are not well.
fn ills(checks: &[(String, String, String)]) -> Vec<(&str, &str)> {
    // How full this machine's disk is says nothing of the host.
    let is_ill = |(part, state, _): &&(String, String, String)| state != "ok" && part != "disk";
    checks.iter().filter(is_ill).map(|(part, state, _)| (part.as_str(), state.as_str())).collect()
}

fn detail<'a>(checks: &'a [(String, String, String)], part: &str) -> &'a str {
    checks
        .iter()
        .find(|check| check.0 == part)
        .map_or_else(|| panic!("nothing of {part}: {checks:?}"), |check| &check.2)
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("changed");
}

#[test]
fn a_host_that_is_well_is_told_so() {
    let folder = TempDir::new().expect("a folder");
    let data = folder.path().join("data");
    let rules = module(
        folder.path(),
        "note",
        &own_binding(folder.path(), "check", "validate", "hostile", "{ break = \"none\" }"),
    );
    let host = Options::new().modules(&rules).data(&data).start();
    let (code, checks) = look(&["--data", argument(&data)]);
    assert_eq!((code, ills(&checks)), (Some(0), vec![]), "{checks:?}");
    assert_eq!(detail(&checks, "components"), "all 1 are there, and no others");
    assert!(host.stop());
    let (code, checks) = look(&["--data", argument(&data)]);
    assert_eq!((code, ills(&checks)), (Some(0), vec![]), "a stopped one as well: {checks:?}");
    let shown = hallmark(&["doctor", "--data", argument(&data)]);
    let shown = text(&shown.stdout);
    assert!(shown.contains("ok    schema         it is this version's\n"), "{shown}");
    assert!(shown.ends_with(" 0 warn, 0 fail\n") || shown.contains("disk"), "{shown}");
}

#[test]
fn what_anybody_may_read_or_change_is_told() {
    let folder = TempDir::new().expect("a folder");
    let data = folder.path().join("data");
    assert!(Options::new().data(&data).start().stop());
    for name in ["admin.token", "signing.key", "session.key", "webhook.key", "hallmark.db"] {
        set_mode(&data.join(name), 0o644);
    }
    set_mode(&data.join("cache"), 0o777);
    set_mode(&data, 0o755);
    let (code, checks) = look(&["--data", argument(&data)]);
    assert_eq!(code, Some(1));
    let told = [
        ("data folder", "warn"),
        ("admin token", "fail"),
        ("signing key", "fail"),
        ("session key", "fail"),
        ("webhook key", "fail"),
        ("database file", "warn"),
        ("cache", "fail"),
    ];
    assert_eq!(ills(&checks), told, "{checks:?}");
    let token = data.join("admin.token");
    assert_eq!(
        detail(&checks, "admin token"),
        format!("{} is open to others (mode 644), and no host starts with it", token.display())
    );
    set_mode(&data, 0o777);
    let (_, checks) = look(&["--data", argument(&data)]);
    assert!(ills(&checks).contains(&("data folder", "fail")), "{checks:?}");
}

#[test]
fn components_that_are_lost_or_left_over_are_told() {
    let folder = TempDir::new().expect("a folder");
    let data = folder.path().join("data");
    let rules = module(
        folder.path(),
        "note",
        &own_binding(folder.path(), "check", "validate", "hostile", "{ break = \"none\" }"),
    );
    assert!(Options::new().modules(&rules).data(&data).start().stop());
    let objects = data.join("objects/plugins/sha256");
    let kept = fs::read_dir(&objects).expect("a folder").next().expect("a component").expect("a file").path();
    let stray = "0".repeat(64);
    fs::rename(&kept, objects.join(&stray)).expect("renamed");
    let (code, checks) = look(&["--data", argument(&data)]);
    assert_eq!((code, ills(&checks)), (Some(1), vec![("components", "fail"), ("components", "warn")]), "{checks:?}");
    let name = kept.file_name().expect("a name").to_string_lossy().into_owned();
    assert_eq!(detail(&checks, "components"), format!("1 of 1 lost: sha256:{name}"));
}

#[test]
fn a_server_is_looked_at() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (folder, database) = (TempDir::new().expect("a folder"), runtime.block_on(new_postgres_database()));
    let data = folder.path().join("data");
    let place = ["--data", argument(&data), "--database", &database];
    let (code, checks) = look(&place);
    assert_eq!((code, ills(&checks)), (Some(1), vec![("data folder", "warn"), ("schema", "fail")]), "{checks:?}");
    let host = Options::new().database(&database).data(&data).start();
    let (code, checks) = look(&place);
    assert_eq!((code, ills(&checks)), (Some(0), vec![]), "{checks:?}");
    assert_eq!(detail(&checks, "clock"), "this machine's and the database's agree");
    let connections = detail(&checks, "connections");
    assert!(connections.contains(", 1 of them ") && connections.ends_with(" gives 397"), "{connections}");
    let (_, checks) = look(&[&place[..], &["--limit", "database_connections_max=1000"]].concat());
    assert_eq!(ills(&checks), [("connections", "fail")]);
    let (_, checks) = look(&[&place[..], &["--limit", "database_conections_max=1"]].concat());
    assert_eq!(
        detail(&checks, "configuration"),
        "--limit: unknown name 'database_conections_max': did you mean 'database_connections_max'?"
    );
    drop(host);
    let away = "postgres://postgres:hush@127.0.0.1:1/x";
    let (code, checks) =
        look(&["--data", argument(&data), "--database", away, "--limit", "database_acquire_max_ms=500"]);
    assert_eq!((code, ills(&checks)), (Some(1), vec![("database", "fail")]), "{checks:?}");
    assert!(!detail(&checks, "database").contains("hush"), "{checks:?}");
}
