//! A host that stands still in the middle of a commit, as one whose machine is paused. It must not keep the fleet's
//! rules from being changed, and what it had begun is done again or told to have failed, and is never half there.

use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Connection as _, Executor as _, Row as _};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::support::as_superuser;
use crate::support::command::{against, argument, text};
use crate::support::host::{Host, Options, until};
use crate::support::new_postgres_database;
use crate::support::rules::{module, submission};

/// Milliseconds that a transaction of the host that is frozen may stand still.
const IDLE_MAX_MS: u64 = 1_000;

/// A database, asked by a stranger.
struct Asked {
    runtime: Runtime,
    address: String,
    connection: Mutex<AnyConnection>,
}

impl Asked {
    fn new() -> Self {
        sqlx::any::install_default_drivers();
        let runtime = Runtime::new().expect("a runtime");
        let address = runtime.block_on(new_postgres_database());
        let connection =
            runtime.block_on(AnyConnection::connect(&as_superuser(&address))).expect("the database answers");
        Self { runtime, address, connection: Mutex::new(connection) }
    }

    fn rows(&self, statement: &'static str) -> Vec<AnyRow> {
        let mut connection = self.connection.lock().expect("no panic");
        self.runtime.block_on(connection.fetch_all(statement)).expect("a statement")
    }

    /// The server's processes that hold the rules for a commit, and whether each waits for its host to go on.
    fn hold_the_rules(&self) -> Vec<(i64, bool)> {
        let rows = self.rows(
            "SELECT pid::bigint, (state = 'idle in transaction')::int::bigint FROM pg_stat_activity JOIN pg_locks USING (pid)
             WHERE datname = current_database() AND locktype = 'advisory' AND mode = 'ShareLock' AND granted",
        );
        rows.iter().map(|row| (row.get(0), row.get::<i64, _>(1) == 1)).collect()
    }
}

fn signal(host: &Host, signal: &str) {
    let sent = Command::new("kill").args([signal, &host.process().to_string()]).status().expect("kill runs");
    assert!(sent.success());
}

/// A host that stands still, until this is dropped.
struct Frozen<'a>(&'a Host);

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        signal(self.0, "-CONT");
    }
}

impl<'a> Frozen<'a> {
    /// Stops the host at a moment at which it holds the rules; with the server's process that holds them for it.
    fn in_a_commit(host: &'a Host, asked: &Asked) -> (Self, i64) {
        let begun = Instant::now();
        loop {
            signal(host, "-STOP");
            let frozen = Self(host);
            loop {
                let holders = asked.hold_the_rules();
                if let Some((process, _)) = holders.iter().find(|(_, waits)| *waits) {
                    return (frozen, *process);
                }
                assert!(begun.elapsed() < Duration::from_secs(120), "it was never in the middle of a commit");
                // The server may not be done yet with what it was asked before.
                if holders.is_empty() {
                    break;
                }
            }
        }
    }
}

/// Tells the publishers to stop, however the test ends.
struct Stops<'a>(&'a AtomicBool);

impl Drop for Stops<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Publishes one entry after the other until it is told to stop, each until it is stored.
fn publish(host: &Host, publisher: usize, stop: &AtomicBool) -> Vec<String> {
    let mut stored = Vec::new();
    while !stop.load(Ordering::SeqCst) {
        let entry = format!("e{publisher}-{}", stored.len());
        loop {
            let answer = host.post("/api/notes/publish", &submission("note", &entry));
            match answer.status {
                201 | 202 => break,
                503 => assert!(["unavailable", "busy"].contains(&answer.body["code"].as_str().expect("a code"))),
                _ => panic!("{answer:?}"),
            }
        }
        stored.push(entry);
    }
    stored
}

#[test]
fn a_host_that_stands_still_in_a_commit_holds_nobody_up_and_loses_nothing() {
    let asked = Asked::new();
    let folder = TempDir::new().expect("a folder");
    let options = || Options::new().database(&asked.address).objects(&folder.path().join("objects"));
    let frozen = options().limit("database_idle_max_ms", IDLE_MAX_MS).start();
    let other = options().start();
    for more in ["", "[[placeholders]]\nname = \"REGION\"\n"] {
        let applied = against(&frozen, &["module", "apply", argument(&module(folder.path(), "note", more))]);
        assert_eq!(applied.status.code(), Some(0), "{}", text(&applied.stderr));
    }
    let stop = AtomicBool::new(false);
    let mut stored = std::thread::scope(|scope| {
        let (host, stop) = (&frozen, &stop);
        let publishers: Vec<_> = (0..4).map(|number| scope.spawn(move || publish(host, number, stop))).collect();
        let stops = Stops(stop);
        for release in [1, 2, 1] {
            let (stands_still, holder) = Frozen::in_a_commit(host, &asked);
            let answer = other.post("/api/modules/notes/activate", &json!({"release": release}));
            assert_eq!(answer.status, 200, "it waits no longer than the host may stand still: {answer:?}");
            let holders = asked.hold_the_rules();
            assert!(holders.iter().all(|(process, _)| *process != holder), "the server ended the transaction");
            drop(stands_still);
            until("it publishes again", || {
                frozen.post("/api/notes/publish", &submission("note", "again")).status < 300
            });
        }
        drop(stops);
        publishers.into_iter().flat_map(|publisher| publisher.join().expect("it publishes")).collect::<Vec<_>>()
    });
    stored.push("again".to_owned());
    stored.sort();
    assert!(stored.len() > 4, "something was published");
    // Each is there once, and whole.
    for statement in [
        "SELECT entry_id FROM versions",
        "SELECT id FROM entries",
        "SELECT entry_id FROM decisions WHERE outcome = 'approved'",
        "SELECT entry_id FROM events WHERE what = 'entry.published'",
        "SELECT substr(key, 15, length(key) - 20) FROM inbox",
    ] {
        let mut found: Vec<String> = asked.rows(statement).iter().map(|row| row.get(0)).collect();
        found.sort();
        assert_eq!(found, stored, "{statement}");
    }
}
