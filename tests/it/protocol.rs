//! The protocol by which rules are swapped, as a model whose every interleaving is looked at: hosts that judge by what
//! they loaded, publishes that are committed in groups or refused, activations, exemptions that are made and taken back,
//! notices that get lost, releases that do not load, and hosts that are killed at any moment. `docs/SWAP.md` says what
//! stands for what, and what is left out.
//!
//! The same model without one of its locks, comparisons and looks breaks a promise, in the last tests: it can tell.

use std::collections::{BTreeSet, HashSet};
use std::time::Instant;

use stateright::{Checker as _, HasDiscoveries, Model as _};

use self::model::{Fleet, Without};
use self::state::Change::{self, Activate, Exempt, Nothing, TakeBack};
use self::state::{CHANGES, PUBLISHES, Release, State};

mod model;
mod properties;
mod state;

/// Two entries, or one version twice.
const ENTRIES: [u8; PUBLISHES] = [0, 1];
const VERSION: [u8; PUBLISHES] = [0, 0];

/// Each host takes a publish, or one host both, which it may commit together.
const APART: [usize; PUBLISHES] = [0, 1];
const TOGETHER: [usize; PUBLISHES] = [0, 0];

/// How often a host is killed, and how often a release cannot be loaded.
const CALM: (u8, u8) = (0, 0);
const KILLED: (u8, u8) = (1, 0);
const UNLOADABLE: (u8, u8) = (0, 1);
const BOTH: (u8, u8) = (1, 1);

/// A kind of runs in which every release lets everything in.
fn fleet(
    keys: [u8; PUBLISHES],
    changes: [Change; CHANGES],
    spread: [usize; PUBLISHES],
    (kills_max, failed_loads_max): (u8, u8),
) -> Fleet {
    Fleet { without: Without::Nothing, keys, changes, refusing: 0, exempts: false, spread, kills_max, failed_loads_max }
}

/// The same, where one release refuses everything.
fn refusing(release: Release, fleet: Fleet) -> Fleet {
    Fleet { refusing: release, ..fleet }
}

/// The same, where at first an exemption lets everything in.
fn exempted(fleet: Fleet) -> Fleet {
    Fleet { exempts: true, ..fleet }
}

/// The second activation goes on, or back.
fn activations() -> Vec<Fleet> {
    vec![
        fleet(ENTRIES, [Activate(2), Activate(1)], APART, KILLED),
        fleet(ENTRIES, [Activate(2), Activate(1)], TOGETHER, KILLED),
        fleet(VERSION, [Activate(2), Activate(1)], APART, KILLED),
        fleet(ENTRIES, [Activate(2), Activate(3)], APART, UNLOADABLE),
    ]
}

/// The first activation puts a release in force that refuses, the second the one before.
fn refusals() -> Vec<Fleet> {
    let back = [Activate(2), Activate(1)];
    vec![
        refusing(2, fleet(ENTRIES, back, APART, KILLED)),
        refusing(2, fleet(ENTRIES, back, TOGETHER, KILLED)),
        refusing(2, fleet(ENTRIES, back, APART, UNLOADABLE)),
        refusing(2, fleet(VERSION, back, APART, KILLED)),
    ]
}

/// An exemption from what the release refuses is made, and one is taken back.
fn exemptions() -> Vec<Fleet> {
    vec![
        exempted(refusing(1, fleet(ENTRIES, [TakeBack, Exempt], APART, CALM))),
        refusing(1, fleet(ENTRIES, [Exempt, TakeBack], APART, CALM)),
    ]
}

/// One is taken back for good, beside an activation or a host that is killed and one that cannot load.
fn exemptions_ended() -> Vec<Fleet> {
    vec![
        exempted(refusing(2, fleet(ENTRIES, [TakeBack, Activate(2)], APART, CALM))),
        exempted(refusing(1, fleet(ENTRIES, [TakeBack, Nothing], TOGETHER, BOTH))),
    ]
}

/// All that two publishes and two changes can be, a host killed and a release not loaded in the same run.
fn all() -> Vec<Fleet> {
    let mut all = Vec::new();
    for spread in [APART, TOGETHER, [1, 1]] {
        for keys in [ENTRIES, VERSION] {
            let changed = |changes| fleet(keys, changes, spread, BOTH);
            for changes in [[Activate(2), Activate(3)], [Activate(2), Activate(1)]] {
                all.extend([changed(changes), refusing(2, changed(changes))]);
            }
            all.push(exempted(refusing(1, changed([TakeBack, Exempt]))));
            all.push(refusing(1, changed([Exempt, TakeBack])));
            all.push(exempted(refusing(2, changed([TakeBack, Activate(2)]))));
            all.push(exempted(refusing(1, changed([TakeBack, Activate(2)]))));
        }
    }
    all
}

/// Looks at every state of a kind; returns what it comes to, and what to tell of it.
fn hold(fleet: Fleet) -> (HashSet<&'static str>, String) {
    let (kind, began) = (format!("{fleet:?}"), Instant::now());
    let properties = fleet.properties();
    let checker = fleet.checker().spawn_bfs().join();
    for property in properties.iter().filter(|property| property.expectation.discovery_is_failure()) {
        checker.assert_no_discovery(property.name);
    }
    let (states, depth) = (checker.unique_state_count(), checker.max_depth());
    assert!(states > 10_000, "a model of {states} states shows little");
    let told = format!("{states} states, {depth} deep, {} s: {kind}", began.elapsed().as_secs());
    (checker.discoveries().into_keys().collect(), told)
}

#[test]
fn nothing_is_committed_or_refused_under_retired_rules_and_everybody_is_answered() {
    let fleets = match std::env::var_os("HALLMARK_MODEL_ALL") {
        Some(_) => all(),
        None => [activations(), refusals(), exemptions(), exemptions_ended()].concat(),
    };
    let mut seen = HashSet::new();
    for fleet in fleets {
        let (comes_to, told) = hold(fleet);
        eprintln!("{told}");
        seen.extend(comes_to);
    }
    let missed: Vec<&str> = properties::all()
        .iter()
        .filter(|property| !property.expectation.discovery_is_failure() && !seen.contains(property.name))
        .map(|property| property.name)
        .collect();
    assert!(missed.is_empty(), "what may happen and never does: {missed:?}");
}

/// Without this part each of these kinds breaks that promise, and shows how.
fn break_promise(without: Without, fleets: Vec<Fleet>, promise: &'static str, holds: fn(&Fleet, &State) -> bool) {
    for fleet in fleets {
        let fleet = Fleet { without, ..fleet };
        let checker =
            fleet.clone().checker().finish_when(HasDiscoveries::AnyOf(BTreeSet::from([promise]))).spawn_bfs().join();
        let path = checker.assert_any_discovery(promise);
        assert!(!holds(&fleet, path.last_state()), "{fleet:?} {path:?}");
    }
}

#[test]
fn without_the_comparison_of_the_releases_a_retired_one_commits() {
    break_promise(Without::Check, activations(), properties::JUDGED_BY_ACTIVE, properties::is_judged_by_active);
}

#[test]
fn without_the_lock_on_the_rules_a_retired_release_commits() {
    break_promise(Without::Lock, activations(), properties::JUDGED_BY_ACTIVE, properties::is_judged_by_active);
}

#[test]
fn without_the_lock_on_the_rules_an_exemption_that_was_taken_back_commits() {
    let fleets = [exemptions(), exemptions_ended()].concat();
    break_promise(Without::Lock, fleets, properties::EXEMPTED_BY_ACTIVE, properties::is_exempted_by_active);
}

#[test]
fn without_the_comparison_of_their_number_an_exemption_that_was_taken_back_commits() {
    let fleets = [exemptions(), exemptions_ended()].concat();
    break_promise(Without::Number, fleets, properties::EXEMPTED_BY_ACTIVE, properties::is_exempted_by_active);
}

#[test]
fn where_exemptions_are_read_before_their_number_one_that_was_taken_back_commits() {
    break_promise(Without::Order, exemptions(), properties::EXEMPTED_BY_ACTIVE, properties::is_exempted_by_active);
}

#[test]
fn without_the_last_look_retired_rules_refuse() {
    let fleets = [refusals(), exemptions()].concat();
    break_promise(Without::Look, fleets, properties::REFUSED_BY_ACTIVE, properties::is_refused_by_active);
}
