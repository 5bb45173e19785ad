//! The protocol by which rules are swapped, as a model whose every interleaving is looked at: hosts that judge by what
//! they loaded, publishes that are committed in groups, activations, notices that get lost, releases that do not load,
//! and hosts that are killed at any moment. `docs/SWAP.md` says what stands for what, and what is left out.
//!
//! The same model without one of its two locks or checks breaks the promise, in the last tests: it can tell.

use std::collections::HashSet;

use stateright::{Checker as _, HasDiscoveries, Model, Property};

const HOSTS: usize = 2;
const PUBLISHES: usize = 2;
const ACTIVATIONS: usize = 2;
/// Eight in a host; with two activations two show the same.
const TRIES_MAX: u8 = 2;

type Release = u8;

/// What is left out of the protocol to see that it is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Without {
    Nothing,
    /// The commit does not look whether the release that judged is still active.
    Check,
    /// It looks, and does not hold the rules until it ends.
    Lock,
}

struct Fleet {
    without: Without,
    /// The version that each publish is of.
    keys: [u8; PUBLISHES],
    /// The release that each activation puts in force; the first host is asked for the first, the second for the second.
    targets: [Release; ACTIVATIONS],
    /// The host that each publish comes to first.
    spread: [usize; PUBLISHES],
    kills_max: u8,
    failed_loads_max: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct State {
    active: Release,
    hosts: [Host; HOSTS],
    publishes: [Publish; PUBLISHES],
    activations: [Activation; ACTIVATIONS],
    /// What each publish committed: the release that judged it, and the release that was active then.
    committed: [Option<(Release, Release)>; PUBLISHES],
    /// A publish committed what it had committed already.
    committed_again: bool,
    kills: u8,
    failed_loads: u8,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
struct Host {
    is_down: bool,
    /// What it judges by; none until its first load.
    loaded: Option<Release>,
    /// It could not load what is active.
    is_behind: bool,
    /// What it is loading.
    loading: Option<Release>,
    /// It is about to hear that rules changed.
    notice: bool,
    transaction: Option<Transaction>,
}

/// A group of publishes that is being committed, which holds the rules as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Transaction {
    group: Group,
    /// The active release, as it was read.
    read: Option<Release>,
    /// Whose keys and versions are written.
    written: Option<Group>,
}

/// Some of the publishes, a bit for each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
struct Group(u8);

impl Group {
    fn members(self) -> impl Iterator<Item = usize> {
        (0..PUBLISHES).filter(move |number| self.0 & (1 << number) != 0)
    }

    fn with(self, number: usize) -> Self {
        Self(self.0 | 1 << number)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Publish {
    host: usize,
    tries: u8,
    retried: bool,
    at: At,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum At {
    /// Its host is about to judge it.
    Arrived,
    Judged(Release),
    /// The rules moved; its host must look before it judges again.
    Moved,
    /// Its host looks.
    Looking,
    /// Committed, and its client does not know yet.
    Written,
    Answered(Answer),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Answer {
    Created,
    Exists,
    /// Judged as often as it may be.
    Busy,
    NotReady,
    /// Its host was killed.
    HungUp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Activation {
    Wanted,
    /// With the release that its client believes active.
    Asked(Release),
    /// It holds the rules alone.
    Holds(Release),
    Done,
    /// Another was active than its client believed.
    Refused,
    HungUp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Action {
    Judge(usize),
    Begin(usize, Group),
    Read(usize),
    Write(usize),
    Commit(usize),
    Answer(usize),
    Retry(usize),
    Ask(usize),
    Take(usize),
    Activate(usize),
    Deliver(usize),
    Lose(usize),
    Look(usize),
    Load(usize),
    FailToLoad(usize),
    Kill(usize),
    Start(usize),
}

impl Fleet {
    fn holds_rules(&self, host: &Host) -> bool {
        host.transaction.is_some() && self.without != Without::Lock
    }

    fn publish_actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (number, publish) in state.publishes.iter().enumerate() {
            let host = &state.hosts[publish.host];
            match publish.at {
                At::Arrived if !host.is_down && (host.loaded.is_some() || host.is_behind) => {
                    actions.push(Action::Judge(number));
                }
                At::Written => actions.push(Action::Answer(number)),
                At::Answered(Answer::HungUp) if !publish.retried => actions.push(Action::Retry(number)),
                _ => {}
            }
        }
        let changing = state.activations.iter().any(|it| matches!(it, Activation::Holds(_)));
        for (number, host) in state.hosts.iter().enumerate() {
            match &host.transaction {
                Some(Transaction { read: None, .. }) => actions.push(Action::Read(number)),
                Some(it @ Transaction { written: None, .. }) if !self.waits_for_key(state, number, it) => {
                    actions.push(Action::Write(number));
                }
                Some(Transaction { written: Some(_), .. }) => actions.push(Action::Commit(number)),
                Some(_) => {}
                None if changing && self.without != Without::Lock => {}
                None => actions.extend(self.groups(state, number).map(|group| Action::Begin(number, group))),
            }
        }
    }

    /// What a host may commit together: any of what waits, each of another entry.
    fn groups<'a>(&'a self, state: &'a State, host: usize) -> impl Iterator<Item = Group> + 'a {
        (1..1_u8 << PUBLISHES).map(Group).filter(move |group| {
            let may = |number: usize| {
                let publish = &state.publishes[number];
                publish.host == host && matches!(publish.at, At::Judged(_))
            };
            let keys: HashSet<u8> = group.members().map(|number| self.keys[number]).collect();
            group.members().all(may) && keys.len() == group.members().count()
        })
    }

    /// Another transaction has written the key and has not ended.
    fn waits_for_key(&self, state: &State, host: usize, waiting: &Transaction) -> bool {
        let others = state.hosts.iter().enumerate().filter(|(number, _)| *number != host);
        let mut written = others.filter_map(|(_, other)| other.transaction?.written).flat_map(Group::members);
        written.any(|written| waiting.group.members().any(|number| self.keys[number] == self.keys[written]))
    }

    /// The key is committed.
    fn is_stored(&self, state: &State, key: u8) -> bool {
        (0..PUBLISHES).any(|number| state.committed[number].is_some() && self.keys[number] == key)
    }

    fn rules_actions(&self, state: &State, actions: &mut Vec<Action>) {
        let is_held = state.hosts.iter().any(|host| self.holds_rules(host))
            || state.activations.iter().any(|it| matches!(it, Activation::Holds(_)));
        for (number, activation) in state.activations.iter().enumerate() {
            match activation {
                // The host that is asked is the one of its number, and it must have loaded something to prove it beside.
                Activation::Wanted if state.hosts[number].loaded.is_some() => actions.push(Action::Ask(number)),
                Activation::Asked(_) if !is_held => actions.push(Action::Take(number)),
                Activation::Holds(_) => actions.push(Action::Activate(number)),
                _ => {}
            }
        }
        for (number, host) in state.hosts.iter().enumerate() {
            if host.is_down {
                actions.push(Action::Start(number));
                continue;
            }
            let asked = state.publishes.iter().any(|publish| publish.host == number && publish.at == At::Moved);
            // The poll. Looks that would find nothing are left out, so that every run of the model ends; and while a
            // notice is under way it is the notice that makes the host look.
            let finds = (host.loaded != Some(state.active) || host.is_behind) && !host.notice;
            match host.loading {
                None if host.notice => actions.extend([Action::Deliver(number), Action::Lose(number)]),
                None => {}
                Some(_) => {
                    actions.push(Action::Load(number));
                    if state.failed_loads < self.failed_loads_max {
                        actions.push(Action::FailToLoad(number));
                    }
                }
            }
            if host.loading.is_none() && (asked || finds) {
                actions.push(Action::Look(number));
            }
            if state.kills < self.kills_max {
                actions.push(Action::Kill(number));
            }
        }
    }

    fn write(&self, state: &mut State, host: usize) {
        let stored = self.keys.map(|key| self.is_stored(state, key));
        let Some(transaction) = &mut state.hosts[host].transaction else { return };
        let active = transaction.read;
        let mut written = Group::default();
        for number in transaction.group.members() {
            let publish = &mut state.publishes[number];
            let At::Judged(judged) = publish.at else { continue };
            let exists = stored[number];
            let is_active = Some(judged) == active || self.without == Without::Check;
            if !is_active {
                publish.tries += 1;
                publish.at = if publish.tries < TRIES_MAX { At::Moved } else { At::Answered(Answer::Busy) };
            } else if exists {
                publish.at = At::Answered(Answer::Exists);
            } else {
                written = written.with(number);
            }
        }
        transaction.written = Some(written);
    }

    fn commit(state: &mut State, host: usize) {
        let Some(transaction) = state.hosts[host].transaction.take() else { return };
        for number in transaction.written.into_iter().flat_map(Group::members) {
            let At::Judged(judged) = state.publishes[number].at else { continue };
            state.committed_again |= state.committed[number].is_some();
            state.committed[number] = Some((judged, state.active));
            state.publishes[number].at = At::Written;
        }
    }

    fn activate(&self, state: &mut State, number: usize) {
        let Activation::Holds(expected) = state.activations[number] else { return };
        if expected != state.active {
            state.activations[number] = Activation::Refused;
            return;
        }
        state.activations[number] = Activation::Done;
        if state.active != self.targets[number] {
            state.active = self.targets[number];
            state.hosts.iter_mut().filter(|host| !host.is_down).for_each(|host| host.notice = true);
        }
    }

    fn kill(state: &mut State, host: usize) {
        state.kills += 1;
        // What its transaction wrote is gone, and its locks with it.
        state.hosts[host] = Host { is_down: true, ..Host::default() };
        for publish in state.publishes.iter_mut().filter(|publish| publish.host == host) {
            if !matches!(publish.at, At::Answered(_)) {
                publish.at = At::Answered(Answer::HungUp);
            }
        }
        let activation = &mut state.activations[host];
        if matches!(activation, Activation::Asked(_) | Activation::Holds(_)) {
            *activation = Activation::HungUp;
        }
    }

    fn look(state: &mut State, host: usize) {
        state.hosts[host].loading = Some(state.active);
        for publish in state.publishes.iter_mut().filter(|it| it.host == host && it.at == At::Moved) {
            publish.at = At::Looking;
        }
    }

    fn loaded(state: &mut State, host: usize, is_loaded: bool) {
        let it = &mut state.hosts[host];
        let Some(release) = it.loading.take() else { return };
        if is_loaded {
            it.loaded = Some(release);
        }
        it.is_behind = !is_loaded;
        for publish in state.publishes.iter_mut().filter(|it| it.host == host && it.at == At::Looking) {
            publish.at = At::Arrived;
        }
    }
}

impl Model for Fleet {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let host = Host { loaded: Some(1), ..Host::default() };
        vec![State {
            active: 1,
            hosts: [host; HOSTS],
            publishes: self.spread.map(|host| Publish { host, tries: 0, retried: false, at: At::Arrived }),
            activations: [Activation::Wanted; ACTIVATIONS],
            committed: [None; PUBLISHES],
            committed_again: false,
            kills: 0,
            failed_loads: 0,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        self.publish_actions(state, actions);
        self.rules_actions(state, actions);
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = *last;
        match action {
            Action::Judge(number) => {
                let host = &last.hosts[last.publishes[number].host];
                state.publishes[number].at = match host.loaded {
                    Some(release) if !host.is_behind => At::Judged(release),
                    _ => At::Answered(Answer::NotReady),
                };
            }
            Action::Begin(host, group) => {
                state.hosts[host].transaction = Some(Transaction { group, read: None, written: None });
            }
            Action::Read(host) => {
                if let Some(transaction) = &mut state.hosts[host].transaction {
                    transaction.read = Some(last.active);
                }
            }
            Action::Write(host) => self.write(&mut state, host),
            Action::Commit(host) => Self::commit(&mut state, host),
            Action::Answer(number) => state.publishes[number].at = At::Answered(Answer::Created),
            Action::Retry(number) => {
                let host = (last.publishes[number].host + 1) % HOSTS;
                state.publishes[number] = Publish { host, tries: 0, retried: true, at: At::Arrived };
            }
            Action::Ask(number) => state.activations[number] = Activation::Asked(last.active),
            Action::Take(number) => {
                let Activation::Asked(expected) = last.activations[number] else { return None };
                state.activations[number] = Activation::Holds(expected);
            }
            Action::Activate(number) => self.activate(&mut state, number),
            Action::Deliver(host) => {
                state.hosts[host].notice = false;
                Self::look(&mut state, host);
            }
            Action::Lose(host) => state.hosts[host].notice = false,
            Action::Look(host) => Self::look(&mut state, host),
            Action::Load(host) => Self::loaded(&mut state, host, true),
            Action::FailToLoad(host) => {
                state.failed_loads += 1;
                Self::loaded(&mut state, host, false);
            }
            Action::Kill(host) => Self::kill(&mut state, host),
            Action::Start(host) => state.hosts[host].is_down = false,
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::<Self>::always(JUDGED_BY_ACTIVE, |_, state| {
                state.committed.iter().flatten().all(|(judged, active)| judged == active)
            }),
            Property::<Self>::always(STORED_ONCE, |model, state| {
                let stored = (0..PUBLISHES).filter(|number| state.committed[*number].is_some());
                let keys: Vec<u8> = stored.map(|number| model.keys[number]).collect();
                !state.committed_again && keys.iter().collect::<HashSet<_>>().len() == keys.len()
            }),
            Property::<Self>::always("what a publisher is told is so", |model, state| {
                state.publishes.iter().enumerate().all(|(number, publish)| match publish.at {
                    At::Answered(Answer::Created) => state.committed[number].is_some(),
                    At::Answered(Answer::Exists) => model.is_stored(state, model.keys[number]),
                    _ => true,
                })
            }),
            // Every action brings a run nearer to its end, so every run comes to one of these.
            Property::<Self>::always(
                "where nothing can happen any more, everybody is answered and every host is up to date",
                |model, state| {
                    let mut actions = Vec::new();
                    model.actions(state, &mut actions);
                    let answered = state.publishes.iter().all(|it| matches!(it.at, At::Answered(_)));
                    let up_to_date =
                        |host: &Host| !host.is_down && !host.is_behind && host.loaded == Some(state.active);
                    let done =
                        |it: &Activation| matches!(it, Activation::Done | Activation::Refused | Activation::HungUp);
                    !actions.is_empty()
                        || answered && state.hosts.iter().all(up_to_date) && state.activations.iter().all(done)
                },
            ),
            Property::<Self>::sometimes("a publish is judged twice and stored", |_, state| {
                state.publishes.iter().any(|it| it.tries == 1 && it.at == At::Answered(Answer::Created))
            }),
            Property::<Self>::sometimes("a publish is judged as often as it may be", |_, state| {
                state.publishes.iter().any(|it| it.at == At::Answered(Answer::Busy))
            }),
            Property::<Self>::sometimes("one of two activations is refused", |_, state| {
                state.activations.contains(&Activation::Refused)
            }),
            Property::<Self>::sometimes(
                "a publish is stored, its host is killed, and its client is told that it exists",
                |_, state| {
                    state.publishes.iter().zip(&state.committed).any(|(publish, committed)| {
                        committed.is_some() && publish.retried && publish.at == At::Answered(Answer::Exists)
                    })
                },
            ),
            Property::<Self>::sometimes(
                "a host that could not load the rules answers that it is not ready",
                |_, state| state.publishes.iter().any(|it| it.at == At::Answered(Answer::NotReady)),
            ),
        ]
    }
}

const JUDGED_BY_ACTIVE: &str = "what is committed was judged by the release that is active at its commit";
const STORED_ONCE: &str = "a version is stored once";

/// The kinds of runs that are looked at. Both hosts take a publish, or one host both; of two entries, or of one version;
/// the second activation goes on, or back; a host is killed, or cannot load a release at first.
fn fleets(without: Without) -> Vec<Fleet> {
    let fleet = |keys, targets, spread, (kills_max, failed_loads_max)| Fleet {
        without,
        keys,
        targets,
        spread,
        kills_max,
        failed_loads_max,
    };
    if std::env::var_os("HALLMARK_MODEL_ALL").is_some() {
        let both = |keys, targets, spread| fleet(keys, targets, spread, (1, 1));
        let spreads = [[0, 1], [0, 0], [1, 1]];
        let targets = [[2, 3], [2, 1]];
        return spreads
            .into_iter()
            .flat_map(|spread| targets.map(|targets| [[0, 1], [0, 0]].map(|keys| both(keys, targets, spread))))
            .flatten()
            .collect();
    }
    vec![
        fleet([0, 1], [2, 1], [0, 1], (1, 0)),
        fleet([0, 1], [2, 3], [0, 0], (1, 0)),
        fleet([0, 0], [2, 3], [0, 1], (1, 0)),
        fleet([0, 1], [2, 3], [0, 1], (0, 1)),
    ]
}

#[test]
fn nothing_is_committed_under_retired_rules_and_everybody_is_answered() {
    let mut seen: HashSet<&str> = HashSet::new();
    for fleet in fleets(Without::Nothing) {
        let properties = fleet.properties();
        let checker = fleet.checker().spawn_bfs().join();
        for property in properties.iter().filter(|property| property.expectation.discovery_is_failure()) {
            checker.assert_no_discovery(property.name);
        }
        seen.extend(checker.discoveries().into_keys());
        let states = checker.unique_state_count();
        eprintln!("{states} states, {} deep", checker.max_depth());
        assert!(states > 10_000, "a model of {states} states shows little");
    }
    let unseen: Vec<&str> = fleets(Without::Nothing)[0]
        .properties()
        .iter()
        .filter(|property| !property.expectation.discovery_is_failure() && !seen.contains(property.name))
        .map(|property| property.name)
        .collect();
    assert!(unseen.is_empty(), "what may happen and never does: {unseen:?}");
}

/// Without this part the model breaks its promise, and shows how.
fn breaks(without: Without) {
    for fleet in fleets(without) {
        let checker = fleet.checker().finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
        let path = checker.assert_any_discovery(JUDGED_BY_ACTIVE);
        let last = path.last_state();
        assert!(last.committed.iter().flatten().any(|(judged, active)| judged != active), "{last:?}");
    }
}

#[test]
fn without_the_check_in_the_transaction_the_model_breaks() {
    breaks(Without::Check);
}

#[test]
fn without_the_lock_on_the_rules_the_model_breaks() {
    breaks(Without::Lock);
}
