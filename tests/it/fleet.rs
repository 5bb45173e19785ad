//! Hosts of one database: how each comes to the rules in force, and what it says where it cannot.

use std::fs;
use std::path::Path;

use hallmark::registry::Outcome;
use serde_json::json;
use sqlx::{Connection as _, Executor as _, Row as _};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::support::as_superuser;
use crate::support::command::{against, argument, text};
use crate::support::ground::{Ground, limits, notes, notes_scope, on_both_engines};
use crate::support::host::{AMPLE_MS, Answer, Host, Options, until};
use crate::support::new_postgres_database;
use crate::support::rules::{module, own_binding, submission};

/// A database with its hosts' shared folder.
struct Site {
    runtime: Runtime,
    address: String,
    folder: TempDir,
}

impl Site {
    fn new() -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let address = runtime.block_on(new_postgres_database());
        Self { runtime, address, folder: TempDir::new().expect("a folder") }
    }

    fn options(&self) -> Options {
        Options::new().database(&self.address).objects(&self.folder.path().join("objects"))
    }

    /// Runs a statement and gives the first column of its rows.
    fn ask(&self, statement: &'static str) -> Vec<i64> {
        self.runtime.block_on(async {
            let mut connection =
                sqlx::AnyConnection::connect(&as_superuser(&self.address)).await.expect("the database answers");
            let rows = connection.fetch_all(statement).await.expect("a statement");
            rows.iter().map(|row| row.get(0)).collect()
        })
    }

    /// The server's processes of the connections that listen.
    fn listeners(&self) -> Vec<i64> {
        self.ask(
            "SELECT pid::bigint FROM pg_stat_activity WHERE application_name = 'hallmark listener'
                  AND datname = current_database() AND state = 'idle' AND query LIKE 'LISTEN%' ORDER BY pid",
        )
    }
}

fn apply(host: &Host, folder: &Path) {
    let applied = against(host, &["module", "apply", argument(folder)]);
    assert_eq!(applied.status.code(), Some(0), "{}", text(&applied.stderr));
}

fn rules(folder: &Path, breaks: &str) -> std::path::PathBuf {
    let settings = format!("{{ break = \"{breaks}\" }}");
    module(folder, "note", &own_binding(folder, "check", "validate", "hostile", &settings))
}

/// A dry run commits nothing, so a host finds out by it about no change.
fn finds_fault(host: &Host) -> bool {
    let answer = host.post("/api/notes/validate", &submission("note", "a"));
    answer.body["valid"] == false
}

fn counted(host: &Host, what: &str) -> u64 {
    let metrics = host.get("/metrics").body;
    let name = format!("registry_rules_notices_total{{what=\"{what}\"}} ");
    let line = metrics.as_str().expect("text").lines().find_map(|line| line.strip_prefix(&name));
    line.map_or(0, |count| count.parse().expect("a number"))
}

#[test]
fn a_host_is_told_of_rules_that_another_put_in_force() {
    let site = Site::new();
    let hosts: Vec<Host> = (0..2).map(|_| site.options().limit("release_poll_ms", AMPLE_MS).start()).collect();
    until("both listen", || site.listeners().len() == 2);
    apply(&hosts[0], &rules(site.folder.path(), "none"));
    until("the other host knows the kind", || hosts[1].get("/api/notes").status == 200);
    assert!(!finds_fault(&hosts[1]));
    apply(&hosts[0], &rules(site.folder.path(), "error"));
    until("the other host judges by the new rules", || finds_fault(&hosts[1]));
    assert!(counted(&hosts[1], "heard") >= 4, "of each release, that it was made and that it was activated");
    assert_eq!(counted(&hosts[1], "missed"), 0);
}

#[test]
fn a_host_that_lost_the_connection_it_listens_on_listens_again() {
    let site = Site::new();
    let hosts: Vec<Host> = (0..2).map(|_| site.options().limit("release_poll_ms", AMPLE_MS).start()).collect();
    until("both listen", || site.listeners().len() == 2);
    apply(&hosts[0], &rules(site.folder.path(), "none"));
    let before = site.listeners();
    site.ask(
        "SELECT pg_terminate_backend(pid)::int::bigint FROM pg_stat_activity
              WHERE application_name = 'hallmark listener' AND datname = current_database()",
    );
    apply(&hosts[0], &rules(site.folder.path(), "error"));
    until("the other host judges by the new rules", || finds_fault(&hosts[1]));
    until("both listen again", || {
        let now = site.listeners();
        now.len() == 2 && now.iter().all(|process| !before.contains(process))
    });
    assert_eq!(counted(&hosts[1], "lost"), 1);
}

#[test]
fn a_host_that_is_not_told_finds_out_by_looking() {
    let site = Site::new();
    let host = site.options().limit("release_poll_ms", 50).start();
    apply(&host, &rules(site.folder.path(), "none"));
    apply(&host, &rules(site.folder.path(), "error"));
    assert!(finds_fault(&host));
    // As an activation whose notice is lost.
    site.ask(
        "UPDATE rulesets r SET active_number = l.number, active_digest = l.digest FROM releases l
              WHERE r.scope = 'module:notes' AND l.scope = r.scope AND l.number = 1 RETURNING l.number",
    );
    until("it judges by the earlier rules", || !finds_fault(&host));
    until("it says that it was not told", || counted(&host, "missed") == 1);
}

/// How often the host took a compiled plugin from its disk, or did not find it there.
fn loads(host: &Host) -> (u64, u64) {
    let metrics = host.get("/metrics").body;
    let count = |result: &str| {
        let name = format!("hallmark_plugin_cache_total{{result=\"{result}\"}} ");
        let line = metrics.as_str().expect("text").lines().find_map(|line| line.strip_prefix(&name).map(str::to_owned));
        line.map_or(0, |count| count.parse().expect("a number"))
    };
    (count("hit"), count("miss"))
}

#[test]
fn going_back_to_rules_that_are_kept_ready_loads_nothing() {
    let folder = TempDir::new().expect("a folder");
    for (kept_max, loads_each) in [(2, 0), (1, 1)] {
        let host = Options::new().limit("rules_kept_max", kept_max).start();
        apply(&host, &rules(folder.path(), "none"));
        apply(&host, &rules(folder.path(), "error"));
        let (hits, misses) = loads(&host);
        for (release, fault) in [(1, false), (2, true), (1, false)] {
            let answer = host.post("/api/modules/notes/activate", &serde_json::json!({"release": release}));
            assert_eq!((answer.status, finds_fault(&host)), (200, fault), "{answer:?}");
        }
        assert_eq!(loads(&host), (hits + 3 * loads_each, misses), "{kept_max} kept");
    }
}

fn said(answer: &Answer) -> String {
    assert_eq!(answer.status, 503, "{answer:?}");
    answer.body["detail"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_host_that_cannot_load_the_rules_says_why_judges_nothing_and_recovers() {
    let site = Site::new();
    let elsewhere = site.folder.path().join("elsewhere");
    let first = site.options().limit("release_poll_ms", 50).start();
    // It looks for components where nobody put any.
    let options = Options::new().database(&site.address).objects(&elsewhere).limit("release_poll_ms", 50);
    let second = options.data(&site.folder.path().join("data")).start();
    apply(&first, &rules(site.folder.path(), "none"));
    until("it is not ready", || second.get("/readyz").status == 503);
    let plugin = first.get("/api/plugins").body["items"][0]["digest"].as_str().expect("a digest").to_owned();
    let why = format!(
        "binding 'check': its component {plugin} is not to be had from the object store: push it again, or give every \
         host the same --objects"
    );
    let named = format!("release 1 of module:notes cannot be loaded: {why}");
    assert_eq!(said(&second.get("/readyz")), "not ready: database ok, object store ok, rules down");
    assert_eq!(
        said(&second.get("/readyz?verbose")),
        format!("not ready: database ok, object store ok, rules down: {named}")
    );
    let health = second.get("/health");
    assert_eq!((health.status, &health.body["rules"]), (503, &"down".into()));
    assert_eq!(health.body["behind"]["scope"], "module:notes");
    assert_eq!((&health.body["behind"]["release"], &health.body["behind"]["why"]), (&1.into(), &why.into()));
    for path in ["publish", "validate"] {
        let answer = second.post(&format!("/api/notes/{path}"), &submission("note", "a"));
        assert_eq!(answer.body["code"], "not-ready");
        assert_eq!(said(&answer), format!("the host has not loaded the rules in force: {named}: try again"));
    }
    let unread = second.get("/api/notes");
    assert_eq!(unread.body["code"], "not-ready", "whether there is such a kind is not known here");
    assert_eq!(said(&unread), format!("the host has not loaded the rules in force: {named}: try again"));
    assert_eq!(first.post("/api/notes/publish", &submission("note", "a")).status, 201, "the other host is well");
    let hexadecimal = plugin.trim_start_matches("sha256:");
    let home = elsewhere.join("plugins/sha256");
    fs::create_dir_all(&home).expect("a folder");
    fs::copy(site.folder.path().join("objects/plugins/sha256").join(hexadecimal), home.join(hexadecimal))
        .expect("the component is put back");
    until("it is ready", || second.get("/readyz").status == 200);
    assert_eq!(second.post("/api/notes/publish", &submission("note", "b")).status, 201);
    assert!(second.get("/health").body["behind"].is_null());
}

/// In the test's own process, where no host is told of what another does.
async fn nobody_is_refused_by_rules_that_were_taken_back(ground: Ground) {
    let here = ground.host(limits()).await;
    let open = here.apply(notes(json!({}))).await;
    let there = ground.host(limits()).await;
    here.apply(notes(json!({"type": "object", "required": ["text"]}))).await;
    assert_eq!(there.decide("a", "1.0.0", json!({})).await.outcome, Outcome::Rejected);
    here.registry.activate(&here.actor, &notes_scope(), open, None).await.expect("it is taken back");
    let decision = there.decide("a", "1.0.0", json!({})).await;
    assert_eq!((decision.outcome, decision.releases[0].number), (Outcome::Approved, open));
}

on_both_engines! {
    nobody_is_refused_by_rules_that_were_taken_back,
}
