//! Publishes alone, and while their rules are swapped every second.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use super::client::Outcome;
use super::support::host::{Host, Options};
use super::support::rules::{module, own_binding, submission};
use super::{posts, show};

const EVERY: Duration = Duration::from_secs(1);
/// Of each kind, taken in turns, so that a machine that changes its pace meanwhile meets both.
const ROUNDS: usize = 3;

/// The guests, each with a setting and its values in two releases.
const GUESTS: [(&str, &str, &str, [&str; 2]); 2] = [
    ("Rust guest", "hostile", "break", ["none", "warning"]),
    ("12 MB of JavaScript", "clock-and-dice", "greeting", ["a", "b"]),
];

/// Both guests, on both engines.
pub fn run(folder: &Path) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    for (engine, is_postgres) in [("SQLite", false), ("PostgreSQL", true)] {
        for guest in GUESTS {
            let options = Options::new();
            let options = match is_postgres {
                true => options.database(&runtime.block_on(super::support::postgres::new_database(&super::DURABLE))),
                false => options,
            };
            of_guest(&folder.join(format!("swap-{engine}")), engine, guest, options);
        }
    }
}

fn of_guest(
    folder: &Path,
    engine: &str,
    (what, guest, setting, [first, other]): (&str, &str, &str, [&str; 2]),
    options: Options,
) {
    let folder = folder.join(guest);
    let settings = format!("{{ {setting} = \"{first}\" }}");
    let rules = module(&folder, "note", &own_binding(&folder, "check", "validate", guest, &settings));
    let host = options.modules(&rules).start();
    let mut second = host.get("/api/modules/notes/releases/1").body["rules"].clone();
    second["bindings"][0]["settings"] = json!({setting: other});
    let made = host.post("/api/modules/notes/releases", &json!({"rules": second}));
    assert_eq!(made.status, 201, "{made:?}");
    measure(&format!("{engine}, {what}"), &host);
}

fn measure(what: &str, host: &Host) {
    let next = AtomicU64::new(0);
    // Every entry of its own, whichever round it is of.
    let publishes = || {
        posts(host, "/api/notes/publish", |_| {
            submission("note", &format!("n-{}", next.fetch_add(1, Ordering::Relaxed))).to_string()
        })
    };
    // Once for what is only done at first.
    publishes();
    let (mut steady, mut swapped, mut took) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        steady.push(publishes());
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let swapper = scope.spawn(|| swap(host, &stop));
            swapped.push(publishes());
            stop.store(true, Ordering::Relaxed);
            took.extend(swapper.join().expect("the swaps"));
        });
    }
    let (alone, beside) = (median(steady), median(swapped));
    show(&format!("publish: {what}, steady"), &alone, alone.rate);
    show(&format!("publish: {what}, a swap a second"), &beside, alone.rate);
    took.sort();
    println!(
        "  p50 {:.2} times, p99 {:.2} times the steady one; a swap took {:.1} ms (median of {}), {:.1} ms at most",
        beside.p50.as_secs_f64() / alone.p50.as_secs_f64(),
        beside.p99.as_secs_f64() / alone.p99.as_secs_f64(),
        took[took.len() / 2].as_secs_f64() * 1e3,
        took.len(),
        took[took.len() - 1].as_secs_f64() * 1e3,
    );
}

/// The round with the median 99th percentile.
fn median(mut rounds: Vec<Outcome>) -> Outcome {
    rounds.sort_by_key(|outcome| outcome.p99);
    rounds.swap_remove(rounds.len() / 2)
}

fn swap(host: &Host, stop: &AtomicBool) -> Vec<Duration> {
    let mut took = Vec::new();
    for release in [2, 1].into_iter().cycle() {
        let begun = Instant::now();
        let answer = host.post("/api/modules/notes/activate", &json!({"release": release}));
        assert_eq!(answer.status, 200, "{answer:?}");
        took.push(begun.elapsed());
        while begun.elapsed() < EVERY {
            if stop.load(Ordering::Relaxed) {
                return took;
            }
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }
    took
}
