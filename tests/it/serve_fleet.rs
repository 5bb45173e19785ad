//! The swap of rules, on the real thing: hosts under load whose rules change five times a second, which are killed and
//! started again, and which lose the connections that they listen on. Afterwards the database is asked what came of it.
//!
//! It takes `HALLMARK_SOAK_SECONDS` (10 where it is unset).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, Connection as _, Executor as _, Row as _};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::support::command::{against, argument, text};
use crate::support::fleet::{Slot, Told, chance, pause, publish, swap};
use crate::support::host::{AMPLE_MS, Host, Options, until};
use crate::support::new_postgres_database;
use crate::support::rules::{module, own_binding};

const SWAP_EVERY: Duration = Duration::from_millis(200);
const KILL_EVERY: Duration = Duration::from_millis(2_500);
const PUBLISHERS_OF_A_HOST: usize = 2;

/// What the releases say of every submission, by their numbers.
const RELEASES: [&str; 3] = ["none", "warning", "error"];

fn duration() -> Duration {
    let seconds = std::env::var("HALLMARK_SOAK_SECONDS").ok().map(|text| text.parse().expect("a number of seconds"));
    Duration::from_secs(seconds.unwrap_or(10))
}

fn make_releases(host: &Host, folder: &Path) {
    for breaks in RELEASES {
        let settings = format!("{{ break = \"{breaks}\" }}");
        let rules = module(folder, "note", &own_binding(folder, "check", "validate", "hostile", &settings));
        let applied = against(host, &["module", "apply", argument(&rules)]);
        assert_eq!(applied.status.code(), Some(0), "{}", text(&applied.stderr));
    }
}

fn compiled(host: &Host) -> usize {
    let files = fs::read_dir(host.data.join("cache")).expect("a folder").map(|file| file.expect("a file").path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "plugin")).count()
}

struct Asked {
    runtime: Runtime,
    address: String,
}

impl Asked {
    fn rows(&self, statement: &str) -> Vec<AnyRow> {
        sqlx::any::install_default_drivers();
        self.runtime.block_on(async {
            let mut connection = AnyConnection::connect(&self.address).await.expect("the database answers");
            connection.fetch_all(AssertSqlSafe(statement.to_owned())).await.expect("a statement")
        })
    }

    fn texts(&self, statement: &str) -> Vec<Vec<String>> {
        let text = |row: &AnyRow| (0..row.len()).map(|column| row.get(column)).collect();
        self.rows(statement).iter().map(text).collect()
    }

    fn numbers(&self, statement: &str) -> Vec<(i64, i64)> {
        self.rows(statement).iter().map(|row| (row.get(0), row.get(1))).collect()
    }
}

/// Runs the load and everything that happens beside it, and gives what the clients were told.
#[expect(clippy::print_stderr, reason = "how much was done belongs beside what came of it")]
fn run(slots: &[Slot], cut: &(dyn Fn() + Sync)) -> Told {
    let stop = AtomicBool::new(false);
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let publishers: Vec<_> = (0..slots.len() * PUBLISHERS_OF_A_HOST)
            .map(|number| {
                let stop = &stop;
                scope.spawn(move || publish(slots, number, stop))
            })
            .collect();
        let swapper = scope.spawn(|| swap(slots, RELEASES.len() as u64, SWAP_EVERY, &stop));
        let cutter = scope.spawn(|| {
            while !stop.load(Ordering::SeqCst) {
                cut();
                pause(Duration::from_millis(50 + chance(250)));
            }
        });
        let mut kills = 0;
        while begun.elapsed() + KILL_EVERY < duration() {
            pause(KILL_EVERY);
            slots[kills % slots.len()].kill();
            kills += 1;
        }
        pause(duration().saturating_sub(begun.elapsed()));
        stop.store(true, Ordering::SeqCst);
        let mut told = Told::default();
        for publisher in publishers {
            let one = publisher.join().expect("no live host failed a request");
            told.stored.extend(one.stored);
            told.refused.extend(one.refused);
            told.unknown.extend(one.unknown);
            told.retried += one.retried;
        }
        let swaps = swapper.join().expect("no live host failed an activation");
        cutter.join().expect("the database answers");
        eprintln!(
            "{} stored, {} refused, {} retried, {} unknown; {swaps} activations, {kills} kills in {:?}",
            told.stored.len(),
            told.refused.len(),
            told.retried,
            told.unknown.len(),
            begun.elapsed()
        );
        assert!(swaps > 5 && kills > 0, "the test shows something");
        told
    })
}

/// Each version with its decision, and everything that was written with it, once and whole.
fn stored_versions(asked: &Asked) -> BTreeMap<(String, String), String> {
    let versions = asked.texts("SELECT entry_id, version, decision_id FROM versions");
    let pairs = |rows: &[Vec<String>]| -> Vec<(String, String)> {
        let mut pairs: Vec<_> = rows.iter().map(|row| (row[0].clone(), row[1].clone())).collect();
        pairs.sort();
        pairs
    };
    let all = pairs(&versions);
    assert!(all.windows(2).all(|two| two[0] != two[1]), "a version is stored twice");
    let keys = asked.texts("SELECT key FROM inbox");
    let mut keys: Vec<(String, String)> = keys
        .iter()
        .map(|row| row[0].strip_prefix("registry:note:").and_then(|rest| rest.split_once(':')).expect("a key"))
        .map(|(entry, version)| (entry.to_owned(), version.to_owned()))
        .collect();
    keys.sort();
    assert_eq!(keys, all, "keys and versions differ");
    let decisions = asked.texts("SELECT entry_id, version, id FROM decisions WHERE outcome = 'approved'");
    let as_set = |rows: &[Vec<String>]| rows.iter().cloned().collect::<BTreeSet<_>>();
    assert_eq!(as_set(&decisions), as_set(&versions), "approvals and versions differ");
    assert_eq!(decisions.len(), versions.len());
    let events = asked.texts("SELECT entry_id, body FROM events WHERE what = 'entry.published'");
    let published = |row: &Vec<String>| {
        let body: Value = serde_json::from_str(&row[1]).expect("JSON");
        (row[0].clone(), body["version"].as_str().expect("a version").to_owned())
    };
    let mut published: Vec<_> = events.iter().map(published).collect();
    published.sort();
    assert_eq!(published, all, "events and versions differ");
    let entries = asked.texts("SELECT id, current_version FROM entries");
    let named: BTreeSet<_> = all.iter().map(|(entry, _)| entry).collect();
    assert_eq!(entries.iter().map(|row| &row[0]).collect::<BTreeSet<_>>(), named, "entries and versions differ");
    let dangling: Vec<_> = pairs(&entries).into_iter().filter(|active| all.binary_search(active).is_err()).collect();
    assert!(dangling.is_empty(), "entries whose active version is not there: {dangling:?}");
    versions.into_iter().map(|row| ((row[0].clone(), row[1].clone()), row[2].clone())).collect()
}

fn compare(told: &Told, stored: &BTreeMap<(String, String), String>) {
    let mut explained = BTreeSet::new();
    for (entry, version, decision) in &told.stored {
        let key = (entry.clone(), version.clone());
        let found = stored.get(&key).unwrap_or_else(|| panic!("{key:?} was acknowledged and is not stored"));
        assert!(decision.is_empty() || found == decision, "{key:?} is stored with another decision than was told");
        assert!(explained.insert(key), "acknowledged twice");
    }
    for key in &told.refused {
        assert!(!stored.contains_key(key), "{key:?} was refused and is stored");
    }
    explained.extend(told.unknown.iter().cloned());
    let unexplained: Vec<_> = stored.keys().filter(|key| !explained.contains(*key)).collect();
    assert!(unexplained.is_empty(), "stored, and nobody was told: {unexplained:?}");
}

/// `swaps`: when which release was put in force; `commits`: when a version was committed that which release judged.
fn active_at_commit(swaps: &[(i64, i64)], commits: &[(i64, i64)]) {
    let mut broken = Vec::new();
    for (at, judged) in commits {
        // Two commits of one microsecond have no order that a clock could tell.
        let before = swaps.iter().rev().find(|(swapped, _)| swapped < at);
        let during = swaps.iter().filter(|(swapped, _)| swapped == at);
        if !before.into_iter().chain(during).any(|(_, release)| release == judged) {
            broken.push((at, judged));
        }
    }
    assert!(broken.is_empty(), "{} versions were committed under retired rules: {broken:?}", broken.len());
}

/// The decisions of what is stored: the release that judged, and whether it said what that release says.
fn judged(asked: &Asked) -> BTreeMap<String, i64> {
    let decisions = asked.texts("SELECT id, body FROM decisions WHERE outcome = 'approved'");
    let judged = decisions.iter().map(|row| {
        let body: Value = serde_json::from_str(&row[1]).expect("JSON");
        let release = body["releases"][0]["number"].as_i64().expect("a number");
        let said = body["findings"].as_array().expect("findings").len();
        match RELEASES[usize::try_from(release - 1).expect("a release")] {
            "none" => assert_eq!(said, 0, "{body}"),
            "warning" => assert_eq!(said, 1, "{body}"),
            other => panic!("a release that refuses everything ({other}) let something in: {body}"),
        }
        (row[0].clone(), release)
    });
    judged.collect()
}

#[test]
fn three_hosts_keep_their_promises_on_postgresql() {
    let runtime = Runtime::new().expect("a runtime");
    let address = runtime.block_on(new_postgres_database());
    let asked = Asked { runtime, address: address.clone() };
    let folder = TempDir::new().expect("a folder");
    let slots: Vec<Slot> = (0..3)
        .map(|number| {
            let (address, folder) = (address.clone(), folder.path().to_owned());
            let data = folder.join(format!("host-{number}"));
            Slot::start(move || Options::new().database(&address).objects(&folder.join("objects")).data(&data))
        })
        .collect();
    slots[0].with(|host| make_releases(host, folder.path()));
    for (number, slot) in slots.iter().enumerate() {
        // Told of each release when it was made, a host compiles it before it is needed; the one that the component was
        // pushed to has it as it was pushed too.
        let files = RELEASES.len() + usize::from(number == 0);
        slot.with(|host| until("every release is compiled", || compiled(host) == files));
    }
    for statement in [
        "CREATE TABLE swaps AS SELECT active_number AS number FROM rulesets WHERE scope = 'module:notes'",
        "CREATE FUNCTION note_swap() RETURNS trigger LANGUAGE plpgsql AS
         $$ BEGIN INSERT INTO swaps (number) VALUES (NEW.active_number); RETURN NEW; END $$",
        "CREATE TRIGGER note_swap AFTER UPDATE OF active_number ON rulesets
         FOR EACH ROW EXECUTE FUNCTION note_swap()",
    ] {
        asked.rows(statement);
    }
    let cut = || {
        let _ = asked.rows(
            "SELECT 1 FROM (SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE application_name = 'hallmark listener' AND datname = current_database()
             ORDER BY random() LIMIT 1) AS cut",
        );
    };
    let told = run(&slots, &cut);
    // What a killed host had not announced, the others do.
    until("every event is announced", || asked.rows("SELECT id FROM events WHERE announced_at IS NULL").is_empty());
    let stored = stored_versions(&asked);
    compare(&told, &stored);
    let judged = judged(&asked);
    let moment = "(EXTRACT(EPOCH FROM pg_xact_commit_timestamp(xmin)) * 1000000)::bigint";
    let swaps = asked.numbers(&format!("SELECT {moment}, number FROM swaps ORDER BY 1"));
    let commits: Vec<(i64, i64)> = asked
        .rows(&format!("SELECT {moment}, decision_id FROM versions"))
        .iter()
        .map(|row| (row.get(0), judged[&row.get::<String, _>(1)]))
        .collect();
    active_at_commit(&swaps, &commits);
}

/// What an upgrade does: one host after the other is asked to stop and started again, and the others serve on.
#[test]
fn a_rolling_restart_fails_no_request_on_postgresql() {
    let runtime = Runtime::new().expect("a runtime");
    let address = runtime.block_on(new_postgres_database());
    let asked = Asked { runtime, address: address.clone() };
    let folder = TempDir::new().expect("a folder");
    let slots: Vec<Slot> = (0..2)
        .map(|number| {
            let (address, folder) = (address.clone(), folder.path().to_owned());
            let data = folder.join(format!("host-{number}"));
            let options = move || Options::new().database(&address).objects(&folder.join("objects")).data(&data);
            // It serves until it is asked to stop once more, when nothing is sent to it any more.
            Slot::start(move || options().limit("shutdown_drain_ms", AMPLE_MS))
        })
        .collect();
    let mild = own_binding(folder.path(), "check", "validate", "hostile", "{ break = \"none\" }");
    let rules = module(folder.path(), "note", &mild);
    slots[0].with(|host| assert_eq!(against(host, &["module", "apply", argument(&rules)]).status.code(), Some(0)));
    for slot in &slots {
        slot.with(|host| until("the kind is known", || host.get("/api/notes").status == 200));
    }
    let (stop, begun, mut restarts) = (AtomicBool::new(false), Instant::now(), 0);
    let told = std::thread::scope(|scope| {
        let publishers: Vec<_> = (0..slots.len() * PUBLISHERS_OF_A_HOST)
            .map(|number| {
                let (stop, slots) = (&stop, &slots);
                scope.spawn(move || publish(slots, number, stop))
            })
            .collect();
        while begun.elapsed() < duration() || restarts < 2 * slots.len() {
            let published = || asked.numbers("SELECT COUNT(*), COUNT(*) FROM versions")[0].0;
            let before = published();
            slots[restarts % slots.len()].restart();
            restarts += 1;
            // Both serve before the next one goes, as whoever rolls a fleet waits for.
            slots[(restarts + 1) % slots.len()].with(|host| until("it is ready", || host.get("/readyz").status == 200));
            until("publishes went on", || published() > before);
        }
        stop.store(true, Ordering::SeqCst);
        let mut told = Told::default();
        for publisher in publishers {
            let one = publisher.join().expect("no host failed a request");
            told.stored.extend(one.stored);
            told.refused.extend(one.refused);
            told.unknown.extend(one.unknown);
            told.retried += one.retried;
        }
        told
    });
    eprintln!("{} stored over {restarts} restarts", told.stored.len());
    // Nobody had to send anything again.
    assert_eq!((told.refused.len(), told.unknown.len(), told.retried), (0, 0, 0));
    let stored = stored_versions(&asked);
    compare(&told, &stored);
    assert_eq!(told.stored.len(), stored.len());
}

#[test]
fn one_host_keeps_its_promises_on_sqlite() {
    let folder = TempDir::new().expect("a folder");
    let data = folder.path().join("data");
    let asked = Asked {
        runtime: Runtime::new().expect("a runtime"),
        address: format!("sqlite:{}", data.join("hallmark.db").display()),
    };
    let slots = [Slot::start(move || Options::new().data(&data))];
    slots[0].with(|host| make_releases(host, folder.path()));
    // One writes at a time, so the order of rows is the order of commits.
    for statement in [
        "CREATE TABLE in_order (at INTEGER PRIMARY KEY AUTOINCREMENT, release BIGINT, decision TEXT)",
        "INSERT INTO in_order (release) SELECT active_number FROM rulesets WHERE scope = 'module:notes'",
        "CREATE TRIGGER note_swap AFTER UPDATE OF active_number ON rulesets
         BEGIN INSERT INTO in_order (release) VALUES (NEW.active_number); END",
        "CREATE TRIGGER note_version AFTER INSERT ON versions
         BEGIN INSERT INTO in_order (decision) VALUES (NEW.decision_id); END",
    ] {
        asked.rows(statement);
    }
    let told = run(&slots, &|| {});
    until("every event is announced", || asked.rows("SELECT id FROM events WHERE announced_at IS NULL").is_empty());
    let stored = stored_versions(&asked);
    compare(&told, &stored);
    let judged = judged(&asked);
    let swaps = asked.numbers("SELECT at, release FROM in_order WHERE decision IS NULL ORDER BY at");
    let commits: Vec<(i64, i64)> = asked
        .rows("SELECT at, decision FROM in_order WHERE decision IS NOT NULL")
        .iter()
        .map(|row| (row.get(0), judged[&row.get::<String, _>(1)]))
        .collect();
    assert_eq!(commits.len(), stored.len());
    active_at_commit(&swaps, &commits);
}
