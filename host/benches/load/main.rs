//! The load run: the built binary under closed loops of requests, each figure beside a baseline of the same run. Run
//! it with `cargo bench --bench load`; `docs/BENCHMARKS.md` says what it gave and on what machine.

#![expect(clippy::print_stdout, reason = "the figures are what it is run for")]

#[path = "../pgbench.rs"]
mod pgbench;
#[path = "../samples.rs"]
mod samples;

mod bare;
mod client;
mod preview;
mod push;
mod rules;
mod swap;

#[path = "../../../tests/support"]
#[expect(dead_code, reason = "the tests use more of it")]
mod support {
    pub mod description;
    pub mod host;
    pub mod postgres;
    pub mod rules;
    pub mod tls;
}

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use client::{Outcome, load, post};
use hallmark::config::Limits;
use support::host::{Host, Options};
use support::rules::{module, submission};

/// Connections of every load, as in the figures of the peers.
const CONNECTIONS: usize = 8;
/// Time of every load.
const TIME: Duration = Duration::from_secs(8);

fn main() {
    if std::env::var_os(bare::CHILD).is_some() {
        return bare::serve();
    }
    // `cargo test` builds and runs benches too, without this word: there is nothing to test here.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let wanted = |name: &str| std::env::args().skip(1).all(|word| word.starts_with('-') || name.contains(&word));
    println!("{:<44} {:>10} {:>8} {:>9} {:>9} {:>9}  statuses", "load", "per second", "ratio", "p50", "p99", "max");
    if wanted("validate") {
        validate(folder.path());
    }
    if wanted("loops") {
        beside_loops(folder.path());
    }
    if wanted("push") {
        beside_push(folder.path());
    }
    if wanted("preview") {
        preview::run(folder.path());
    }
    if wanted("restart") {
        restart(folder.path());
    }
    if wanted("swap") {
        swap::run(folder.path());
    }
    if wanted("publish") {
        publish(folder.path());
    }
}

fn show(what: &str, outcome: &Outcome, baseline: f64) {
    let millis = |time: Duration| format!("{:.2} ms", time.as_secs_f64() * 1e3);
    println!(
        "{what:<44} {:>10.0} {:>7.1}% {:>9} {:>9} {:>9}  {:?}",
        outcome.rate,
        outcome.rate / baseline * 100.0,
        millis(outcome.p50),
        millis(outcome.p99),
        millis(outcome.max),
        outcome.statuses
    );
}

fn address(url: &str) -> SocketAddr {
    url.trim_start_matches("http://").parse().expect("an address")
}

fn posts(host: &Host, path: &str, body: impl Fn(u64) -> String + Sync) -> Outcome {
    load(address(&host.url), CONNECTIONS, TIME, &|number| post(path, &host.token, &body(number)))
}

/// `POST …/validate` beside a bare handler that parses the same body and sends it back.
fn validate(folder: &Path) {
    let body = samples::service_submission(0);
    let bare = bare::Bare::start();
    let echo = load(bare.address, CONNECTIONS, TIME, &|_| post("/", "none", &body));
    show("bare handler: parse and echo", &echo, echo.rate);

    let small = Options::new()
        .modules(&module(folder, "service", ""))
        .policies(&rules::policies(&folder.join("one"), 1))
        .start();
    let outcome = posts(&small, "/api/services/validate", |_| body.clone());
    show("validate: one policy of one CEL rule", &outcome, echo.rate);
    drop(small);

    let chain = Options::new()
        .modules(&support::host::root().join("examples/modules/services"))
        .policies(&rules::policies(&folder.join("fifty"), 50))
        .start();
    let outcome = posts(&chain, "/api/services/validate", |_| body.clone());
    show("validate: services chain, 50 CEL rules", &outcome, echo.rate);
}

/// A healthy plugin's requests alone, and beside two clients whose plugin loops.
fn beside_loops(folder: &Path) {
    let modules = rules::with_loop(&folder.join("loops"));
    // Never put to rest, so that it loops in every one of its evaluations.
    let limits = Limits::default();
    let host = Options::new()
        .modules(&modules)
        .limit("plugin_failures_max", 1_000_000_000)
        // The harness is patient; a host is not.
        .limit("plugin_deadline_ms", limits.plugin_deadline_ms)
        .limit("plugin_wall_max_ms", limits.plugin_wall_max_ms)
        .limit("plugin_turn_wait_max_ms", limits.plugin_turn_wait_max_ms)
        .start();
    let body = submission("note", "a").to_string();
    let endless = submission("loop", "a").to_string();
    let alone = load(address(&host.url), 1, TIME, &|_| post("/api/notes/validate", &host.token, &body));
    show("healthy plugin, one client, alone", &alone, alone.rate);
    let (healthy, looping) = std::thread::scope(|scope| {
        let looping =
            scope.spawn(|| load(address(&host.url), 2, TIME, &|_| post("/api/loops/validate", &host.token, &endless)));
        let healthy = load(address(&host.url), 1, TIME, &|_| post("/api/notes/validate", &host.token, &body));
        (healthy, looping.join().expect("the looping load"))
    });
    show("healthy plugin beside two that loop", &healthy, alone.rate);
    show("  the two that loop", &looping, alone.rate);
    let status = std::fs::read_to_string(format!("/proc/{}/status", host.process())).unwrap_or_default();
    let peak = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or("VmHWM unknown");
    println!("  peak memory of the host: {}", peak.trim_start_matches("VmHWM:").trim());
}

/// Validations alone, and while a component of 20 MB is pushed: with a client that waits for each answer, and with as many
/// as keep every core busy.
fn beside_push(folder: &Path) {
    let modules = module(&folder.join("push"), "service", "");
    let policies = rules::policies(&folder.join("push-one"), 1);
    let body = samples::service_submission(0);
    for (what, connections) in [("one client", 1), ("eight clients", CONNECTIONS)] {
        // A host of its own, which has not seen the component.
        let host = Options::new().modules(&modules).policies(&policies).start();
        let validations =
            || load(address(&host.url), connections, TIME, &|_| post("/api/services/validate", &host.token, &body));
        let alone = validations();
        show(&format!("validate: {what}, alone"), &alone, alone.rate);
        let (beside, took) = std::thread::scope(|scope| {
            let pushing = scope.spawn(|| push::push(&host, &push::large()));
            (validations(), pushing.join().expect("the push"))
        });
        show(&format!("validate: {what}, beside a push of 20 MB"), &beside, alone.rate);
        println!("  the push took {:.1} s", took.as_secs_f64());
    }
}

/// From the start of the process until it says that it is ready: with no rules, and with many whose plugins were compiled
/// at the first start.
fn restart(folder: &Path) {
    const STARTS: usize = 5;
    let modules = rules::many_validators(&folder.join("restart"));
    let policies = rules::many_policies(&folder.join("restart-policies"));
    for (what, rules) in [("no rules", None), ("100 bindings of 20 plugins", Some((modules, policies)))] {
        let data = folder.join(format!("data of {what}"));
        let start = || {
            let options = Options::new().data(&data);
            let started = Instant::now();
            // The rules are in the database, as on any host but the first.
            let host = options.start();
            (started.elapsed(), host)
        };
        let began = Instant::now();
        let options = rules.iter().fold(Options::new().data(&data), |options, (modules, policies)| {
            options.modules(modules).policies(policies)
        });
        assert!(options.start().stop());
        let first = began.elapsed();
        let mut times: Vec<Duration> = Vec::new();
        for _ in 0..STARTS {
            let (time, host) = start();
            assert!(host.stop());
            times.push(time);
        }
        times.sort();
        println!(
            "ready: {what:<37} first {:.2} s, again {:.0} ms (median of {STARTS}; {:.0} to {:.0})",
            first.as_secs_f64(),
            times[STARTS / 2].as_secs_f64() * 1e3,
            times[0].as_secs_f64() * 1e3,
            times[STARTS - 1].as_secs_f64() * 1e3
        );
    }
}

/// `POST …/publish` on both engines; on PostgreSQL beside pgbench, which commits the same rows.
fn publish(folder: &Path) {
    let modules = module(&folder.join("publish"), "service", "");
    let policies = rules::policies(&folder.join("publish-one"), 1);
    let sqlite = Options::new().modules(&modules).policies(&policies).start();
    let outcome = posts(&sqlite, "/api/services/publish", samples::service_submission);
    show("publish on SQLite", &outcome, outcome.rate);
    drop(sqlite);

    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let address = runtime.block_on(support::postgres::new_database(&DURABLE));
    // Ours, theirs, ours again: a machine that changes its pace meanwhile shows. No host runs beside pgbench, which
    // would announce its events.
    let publish = |round: u64| {
        let host = Options::new()
            .modules(&modules)
            .policies(&policies)
            .database(&address)
            .objects(&folder.join("objects"))
            .start();
        posts(&host, "/api/services/publish", move |number| samples::service_submission(round * 1_000_000_000 + number))
    };
    let first = publish(1);
    let seconds = u32::try_from(TIME.as_secs()).expect("some seconds");
    let commits = pgbench::pgbench(CONNECTIONS, &address, "module:services", seconds);
    let second = publish(2);
    println!("{:<44} {commits:>10.0} {:>7.1}%", "pgbench: the same rows, one by one", 100.0);
    show("publish on PostgreSQL", &first, commits);
    show("publish on PostgreSQL, again", &second, commits);
}

static DURABLE: support::postgres::Cluster =
    support::postgres::Cluster { name: "postgres-durable", settings: pgbench::DURABLE_SETTINGS };
