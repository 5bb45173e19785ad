//! Commits a second on both engines, with one, 8 and 32 writers, every commit kept on the disk before it is answered;
//! and pgbench beside it, writing the same rows on the same server with as many clients, a transaction each.
//! `cargo bench -p hallmark --bench commit`

#![expect(clippy::print_stdout, reason = "the comparison is what it is run for")]

#[path = "../../tests/support/approval.rs"]
mod approval;
#[path = "../../tests/support/postgres.rs"]
mod postgres;

mod pgbench;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput};
use hallmark::clock::{Millis, new_id};
use hallmark::config::Limits;
use hallmark::names::{Digest, Tenant};
use hallmark::registry::publish::Approved;
use hallmark::registry::store::{
    Activate, ActivationStore as _, Commit, Committed, DecisionRow, EntryStatus, Expected, NewEvent, NewRelease, Shown,
    Store as _, VersionRow,
};
use hallmark::registry::words::EntryText;
use hallmark::sql::Database;
use pgbench::{DURABLE_SETTINGS, json, pgbench};
use tokio::runtime::Runtime;

const WRITERS: [usize; 3] = [1, 8, 32];
const AT: Millis = Millis(1_700_000_000_000);
const ROUNDS: usize = 7;
const ROUND_SECONDS: u32 = 2;

static DURABLE: postgres::Cluster = postgres::Cluster { name: "postgres-durable", settings: DURABLE_SETTINGS };

/// A database with rules in force.
struct Ground {
    database: Database,
    approved: Approved,
    versions: AtomicU64,
}

async fn ground(address: &str) -> Arc<Ground> {
    let mut limits = Limits::default();
    limits.set("database_connections_max=32").expect("a limit");
    let database = Database::connect(address, &limits).await.expect("it opens");
    database.migrate(AT).await.expect("it migrates");
    let tenant = Tenant::default_tenant();
    database.ensure_tenant(&tenant, AT).await.expect("a tenant");
    let mut judged = Vec::new();
    for scope in ["module:agents", "policies"] {
        let (scope, rules) = (scope.parse().expect("a scope"), "{}".to_owned());
        let digest = Digest::of(rules.as_bytes());
        let new =
            NewRelease { scope, digest, rules, author: "ada".to_owned(), message: "bench".to_owned(), created_at: AT };
        let release = database.create_release(&tenant, &new).await.expect("a release").release;
        database
            .activate(
                &tenant,
                &Activate {
                    staged: None,
                    trust: None,
                    scope: &release.scope,
                    number: release.number,
                    expected: None,
                    beside: None,
                    exemptions: None,
                    actor: "ada",
                    at: AT,
                },
            )
            .await
            .expect("it is activated");
        judged.push(release);
    }
    Arc::new(Ground { database, approved: approval::approve(&judged), versions: AtomicU64::new(0) })
}

/// What a manifest of two kilobytes is found by, more or less.
const WORDS: &str = "api version v1 kind agent manifest metadata name labels team platform spec model endpoint replicas \
                     timeout seconds capabilities search summarise translate permissions read write tickets services \
                     weather geocoding calendar probes readiness liveness path port environment region europe west \
                     retries backoff maximum temperature tokens prompt you are an assistant that answers briefly";

async fn publish(ground: &Ground, writer: usize, manifest: &Arc<str>, record: &str, event: &str) {
    let tenant = Tenant::default_tenant();
    let number = ground.versions.fetch_add(1, Ordering::Relaxed);
    let digest = Digest::of(b"bench");
    let version = VersionRow {
        kind: "agents".parse().expect("a kind"),
        id: format!("bench-{writer}").parse().expect("an id"),
        version: format!("1.0.{number}").parse().expect("a version"),
        status: "active".to_owned(),
        withdrawal: None,
        digest: digest.clone(),
        submitted_digest: digest,
        manifest: manifest.clone(),
        decision: new_id(AT).parse().expect("an id"),
        published_by: "ada".to_owned(),
        published_at: AT,
    };
    let (kind, entry) = (version.kind.clone(), version.id.clone());
    let commit = Commit {
        tenant: &tenant,
        approved: &ground.approved,
        inbox_key: format!("registry:agent:{entry}:{}", version.version),
        shown: Shown {
            name: "a bench agent".to_owned(),
            description: Some("what it is for".to_owned()),
            tags: "[\"a\",\"b\"]".to_owned(),
            category: None,
            text: EntryText {
                title: "a bench agent".to_owned(),
                about: "a b what it is for".to_owned(),
                body: WORDS.to_owned(),
            },
        },
        status: EntryStatus::Active,
        expected: Expected::Anything,
        references: Vec::new(),
        decision: DecisionRow {
            id: version.decision.clone(),
            kind: kind.clone(),
            entry: entry.clone(),
            version: version.version.clone(),
            outcome: "approved".to_owned(),
            body: record.to_owned(),
            submission: None,
            created_at: AT,
        },
        event: NewEvent {
            id: new_id(AT),
            what: "entry.published".to_owned(),
            kind,
            entry,
            body: event.to_owned(),
            created_at: AT,
        },
        version,
        happenings: Vec::new(),
        observations: Vec::new(),
        is_higher: |one, other| semver::Version::parse(one).ok() > semver::Version::parse(other).ok(),
    };
    let committed = ground.database.commit(&commit).await.expect("an answer");
    assert!(matches!(committed, Committed::Written { .. }), "{committed:?}");
}

/// That many commits, shared among the writers.
async fn publish_many(ground: &Arc<Ground>, writers: usize, commits: u64) -> Duration {
    let manifest: Arc<str> = json(2048).into();
    let left = Arc::new(AtomicU64::new(commits));
    let begun = Instant::now();
    let tasks: Vec<_> = (0..writers)
        .map(|writer| {
            let (ground, left) = (ground.clone(), left.clone());
            let (manifest, record, event) = (manifest.clone(), json(1024), json(200));
            tokio::spawn(async move {
                while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
                    publish(&ground, writer, &manifest, &record, &event).await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("no panic");
    }
    begun.elapsed()
}

fn bench(criterion: &mut Criterion, runtime: &Runtime, engine: &str, address: &str) {
    let ground = runtime.block_on(ground(address));
    let mut group = criterion.benchmark_group(format!("commit/{engine}"));
    group.throughput(Throughput::Elements(1)).sample_size(10).measurement_time(Duration::from_secs(5));
    for writers in WRITERS {
        group.bench_with_input(BenchmarkId::from_parameter(writers), &writers, |bencher, writers| {
            bencher.iter_custom(|commits| runtime.block_on(publish_many(&ground, *writers, commits)));
        });
    }
    group.finish();
}

/// Prints pgbench's commits a second beside ours: both in short rounds, in turn, so that both meet the same machine,
/// and of each the middle one.
fn compare(runtime: &Runtime, address: &str) {
    let ground = runtime.block_on(ground(address));
    for writers in WRITERS {
        runtime.block_on(publish_many(&ground, writers, 20 * writers as u64));
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            theirs.push(pgbench(writers, address, "module:agents", ROUND_SECONDS));
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate of some thousands")]
            let commits = (theirs[theirs.len() - 1] * f64::from(ROUND_SECONDS)) as u32;
            let elapsed = runtime.block_on(publish_many(&ground, writers, commits.into()));
            ours.push(f64::from(commits) / elapsed.as_secs_f64());
        }
        let (ours, theirs) = (middle(ours), middle(theirs));
        println!("postgres, {writers} writers: {ours:.0}/s, pgbench {theirs:.0}/s: {:.0} %", 100.0 * ours / theirs);
    }
}

fn middle(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

fn main() {
    // `cargo test` builds and runs benches too, without this word: there is nothing to test here.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let runtime = Runtime::new().expect("a runtime");
    let folder = tempfile::tempdir().expect("a folder");
    let mut criterion = Criterion::default().configure_from_args();
    bench(&mut criterion, &runtime, "sqlite", &format!("sqlite:{}/bench.db", folder.path().display()));
    let address = runtime.block_on(postgres::new_database(&DURABLE));
    bench(&mut criterion, &runtime, "postgres", &address);
    compare(&runtime, &runtime.block_on(postgres::new_database(&DURABLE)));
    criterion.final_summary();
}
