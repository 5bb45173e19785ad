//! The host's life: first start, second start, stop; on both engines; with rules that change while it serves.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde_json::json;
use tempfile::TempDir;

use crate::support::command::{against, argument, hallmark, text};
use crate::support::host::{Host, Options, root, terminate, until};
use crate::support::new_postgres_database;
use crate::support::rules::{module, own_binding, submission};

const SECRET: &str = "correct-horse-battery-staple";

#[test]
fn a_second_start_finds_everything_and_the_token_is_for_its_owner() {
    let folder = TempDir::new().expect("a folder");
    let data = folder.path().join("data");
    let first = Options::examples().data(&data).start();
    let mode = fs::metadata(first.data.join("admin.token")).expect("a token").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let valid = root().join("examples/manifests/valid");
    let published = against(&first, &["publish", argument(&valid)]);
    assert_eq!(published.status.code(), Some(0), "{}{}", text(&published.stdout), text(&published.stderr));
    let (releases, token) = (first.get("/api/modules").body, first.token.clone());
    assert!(first.stop(), "it stops when it is asked to");
    let second = Options::examples().data(&data).start();
    assert_eq!(second.token, token);
    assert_eq!(second.get("/api/modules").body, releases, "applying the same again changed nothing");
    assert_eq!(second.get("/api/agents/release-notes").status, 200);
    let again = against(&second, &["publish", argument(&valid)]);
    assert_eq!(again.status.code(), Some(0));
    assert_eq!(text(&again.stdout).matches("skipped").count(), 8, "{}", text(&again.stdout));
}

#[test]
fn a_secret_is_nowhere() {
    let folder = TempDir::new().expect("a folder");
    let (data, log) = (folder.path().join("data"), folder.path().join("log"));
    let host = Options::examples().data(&data).log(&log).start();
    let service = root().join("examples/manifests/valid/service.yaml");
    let body = fs::read(&service).expect("an example");
    assert!(text(&body).contains(SECRET), "the example sends the secret");
    let mut answers = vec![
        host.send("/api/services/validate", "application/yaml", &body),
        host.send("/api/services/publish", "application/yaml", &body),
        host.get("/api/services/weather"),
    ];
    let decision = answers[1].body["decision"]["id"].as_str().expect("an id").to_owned();
    answers.push(host.get(&format!("/api/decisions/{decision}")));
    let stored = &answers[2].body["manifest"]["services"][0]["env"][1];
    assert_eq!(stored["value"], "__secret_DATABASE_PASSWORD__");
    for answer in &answers {
        assert!(!answer.body.to_string().contains(SECRET), "{answer:?}");
    }
    assert!(host.stop());
    let logged = fs::read_to_string(&log).expect("a log");
    assert!(logged.contains("registry.service.published"), "the log tells of the publish: {logged}");
    let found = Command::new("grep").args(["-rl", SECRET]).arg(folder.path()).output().expect("grep runs");
    assert_eq!(text(&found.stdout), "", "the data folder or the log holds the secret");
}

#[test]
fn wrong_folders_keep_a_host_from_starting() {
    let folder = TempDir::new().expect("a folder");
    let data = argument(folder.path()).to_owned() + "/data";
    let serve =
        |arguments: &[&str]| hallmark(&[&["serve", "--listen", "127.0.0.1:0", "--data", &data], arguments].concat());
    let nowhere = serve(&["--listen", "nowhere:http"]);
    assert_eq!(nowhere.status.code(), Some(2), "given twice is a usage error");
    let missing = serve(&["--modules", "examples/nothing"]);
    assert_eq!(missing.status.code(), Some(1), "{}", text(&missing.stderr));
    assert!(text(&missing.stderr).contains("examples/nothing"), "{}", text(&missing.stderr));
    let database = serve(&["--database", "mysql://nowhere/x"]);
    assert_eq!(database.status.code(), Some(3));
    assert!(text(&database.stderr).contains("sqlite:PATH"), "{}", text(&database.stderr));
    let limit = serve(&["--limit", "plugin_dedline_ms=1"]);
    assert_eq!(limit.status.code(), Some(2));
    assert!(text(&limit.stderr).contains("did you mean 'plugin_deadline_ms'?"), "{}", text(&limit.stderr));
}

fn postgres() -> String {
    tokio::runtime::Runtime::new().expect("a runtime").block_on(new_postgres_database())
}

#[test]
fn two_hosts_on_one_database_store_a_version_once() {
    let database = postgres();
    let objects = TempDir::new().expect("a folder");
    let host = || Options::examples().database(&database).objects(objects.path()).start();
    let hosts: Vec<Host> = (0..2).map(|_| host()).collect();
    let body = fs::read(root().join("examples/manifests/valid/agent.yaml")).expect("an example");
    let (created, skipped) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for number in 0..16 {
            let (host, body, created, skipped) = (&hosts[number % 2], &body, &created, &skipped);
            scope.spawn(move || match host.send("/api/agents/publish", "application/yaml", body).status {
                201 => created.fetch_add(1, Ordering::Relaxed),
                202 => skipped.fetch_add(1, Ordering::Relaxed),
                other => panic!("answered {other}"),
            });
        }
    });
    assert_eq!((created.into_inner(), skipped.into_inner()), (1, 15));
}

/// Swaps the rules of a kind, under load, on a host that shares its database with another; no request fails, and what
/// is stored was judged by rules that were active.
fn swap_under_load(hosts: &[Host], folder: &Path) {
    let mild = module(folder, "note", &own_binding(folder, "check", "validate", "hostile", "{ break = \"none\" }"));
    let applied = against(&hosts[0], &["module", "apply", argument(&mild)]);
    assert_eq!(applied.status.code(), Some(0), "{}", text(&applied.stderr));
    // Every host knows the kind before the load begins.
    for host in hosts {
        until("the kind is known", || host.get("/api/notes").status == 200);
    }
    let (swapped, stop) = (AtomicBool::new(false), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let publishers: Vec<_> = (0..4)
            .map(|number| {
                let (host, swapped, stop) = (&hosts[number % hosts.len()], &swapped, &stop);
                scope.spawn(move || {
                    let (mut stored, mut refused) = (0, 0);
                    while !stop.load(Ordering::SeqCst) {
                        let strict = swapped.load(Ordering::SeqCst);
                        let id = format!("note-{number}-{}", stored + refused);
                        let answer = host.post("/api/notes/publish", &submission("note", &id));
                        match answer.status {
                            201 => stored += 1,
                            422 => refused += 1,
                            _ => panic!("a request failed: {answer:?}"),
                        }
                        assert!(!strict || answer.status == 422, "stored under retired rules: {answer:?}");
                    }
                    (stored, refused)
                })
            })
            .collect();
        let strict_text = own_binding(folder, "check", "validate", "hostile", "{ break = \"error\" }");
        until("something is stored", || {
            hosts[0].get("/api/notes?limit=1").body["items"].as_array().is_some_and(|items| !items.is_empty())
        });
        let strict = module(folder, "note", &strict_text);
        let applied = against(&hosts[0], &["module", "apply", argument(&strict)]);
        assert_eq!(applied.status.code(), Some(0), "{}", text(&applied.stderr));
        swapped.store(true, Ordering::SeqCst);
        // A refusal on every host shows that each judges by the new rules.
        for host in hosts {
            assert_eq!(host.post("/api/notes/publish", &submission("note", "after")).status, 422);
        }
        stop.store(true, Ordering::SeqCst);
        let counts: Vec<(u32, u32)> =
            publishers.into_iter().map(|publisher| publisher.join().expect("no request failed")).collect();
        assert!(counts.iter().map(|(stored, _)| stored).sum::<u32>() > 0, "{counts:?}");
    });
    let decision = hosts[0].post("/api/notes/publish", &submission("note", "last"));
    let id = decision.body["decisionId"].as_str().expect("an id");
    let record = hosts[0].get(&format!("/api/decisions/{id}")).body;
    assert_eq!(record["releases"][0]["number"], json!(2));
}

#[test]
fn rules_change_under_load_without_a_failed_request_on_sqlite() {
    let folder = TempDir::new().expect("a folder");
    swap_under_load(&[Options::new().start()], folder.path());
}

#[test]
fn rules_change_under_load_without_a_failed_request_on_two_hosts() {
    let (folder, database) = (TempDir::new().expect("a folder"), postgres());
    let objects = folder.path().join("objects");
    let hosts: Vec<Host> = (0..2).map(|_| Options::new().database(&database).objects(&objects).start()).collect();
    swap_under_load(&hosts, folder.path());
}

#[test]
fn a_host_that_starts_says_so_and_can_be_stopped() {
    let folder = TempDir::new().expect("a folder");
    let modules = folder.path().join("modules");
    // A plugin that never ends being configured keeps the host starting.
    let endless = own_binding(&modules, "endless", "validate", "hostile", "{ break = \"configure-loop\" }");
    module(&modules, "note", &endless);
    let mut child = Command::new(env!("CARGO_BIN_EXE_hallmark"))
        .args(["serve", "--listen", "127.0.0.1:0", "--limit", "plugin_configure_deadline_ms=3600000"])
        .args(["--limit", "plugin_wall_max_ms=3600000", "--data"])
        .arg(folder.path().join("data"))
        .arg("--modules")
        .arg(&modules)
        .env("RUST_LOG", "info")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the built binary starts");
    // Where it listens it tells the log alone, until it is ready.
    let mut lines = BufReader::new(child.stderr.take().expect("a pipe")).lines().map(|line| line.expect("text"));
    let address = lines.find_map(|line| Some(line.split_once("listening address=")?.1.trim().to_owned()));
    let address = address.expect("it listens");
    std::thread::spawn(move || lines.for_each(drop));
    let status = |path: &str| {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        agent.get(format!("http://{address}{path}")).call().map(|answer| answer.status().as_u16()).unwrap_or(0)
    };
    until("it is alive", || status("/livez") == 200);
    assert_eq!(status("/readyz"), 503, "it is not ready");
    terminate(&child);
    assert!(child.wait().expect("it ends").success(), "it stops although a plugin is still being configured");
}
