//! The protocol: which steps may come next, and what each does. `docs/SWAP.md` says what in the host each stands for.

use std::collections::HashSet;

use stateright::{Model, Property};

use super::properties;
use super::state::*;

/// Eight in a host; with two changes of rules two show the same.
const TRIES_MAX: u8 = 2;

/// What is left out of the protocol to see that it is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Without {
    Nothing,
    /// The commit does not look whether the release that judged is still active.
    Check,
    /// It does not look whether the exemptions are those that it was judged with.
    Number,
    /// It looks, and does not hold the rules until it ends.
    Lock,
    /// A host tells a refusal without looking whether the rules that refuse are still active.
    Look,
    /// A host reads the exemptions before their number.
    Order,
}

/// One kind of runs.
#[derive(Debug, Clone)]
pub struct Fleet {
    pub without: Without,
    /// The version that each publish is of.
    pub keys: [u8; PUBLISHES],
    /// What is changed; the first host is asked for the first, the second for the second.
    pub changes: [Change; CHANGES],
    /// The release that refuses what no exemption lets pass; the others let everything in. None is 0.
    pub refusing: Release,
    /// An exemption is there at first.
    pub exempts: bool,
    /// The host that each publish comes to first.
    pub spread: [usize; PUBLISHES],
    pub kills_max: u8,
    pub failed_loads_max: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    Judge(usize),
    Begin(usize, Group),
    Read(usize),
    Write(usize),
    Commit(usize),
    LookAgain(usize),
    Refuse(usize),
    Answer(usize),
    Retry(usize),
    Ask(usize),
    Take(usize),
    Change(usize),
    Deliver(usize),
    Lose(usize),
    Look(usize),
    ReadExemptions(usize),
    Load(usize),
    LoadNewer(usize),
    FailToLoad(usize),
    Kill(usize),
    Start(usize),
}

impl Fleet {
    pub fn lets_in(&self, rules: Rules) -> bool {
        rules.release != self.refusing || rules.exempts
    }

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
                At::Rejected(_) => actions.push(Action::LookAgain(number)),
                At::Refusing { .. } => actions.push(Action::Refuse(number)),
                At::Written => actions.push(Action::Answer(number)),
                At::Answered(Answer::HungUp) if !publish.retried => actions.push(Action::Retry(number)),
                _ => {}
            }
        }
        let changing = state.changes.iter().any(|it| matches!(it, Progress::Holds(_)));
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
                publish.host == host && matches!(publish.at, At::Approved(_))
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
    pub fn is_stored(&self, state: &State, key: u8) -> bool {
        (0..PUBLISHES).any(|number| state.committed[number].is_some() && self.keys[number] == key)
    }

    fn change_actions(&self, state: &State, actions: &mut Vec<Action>) {
        let is_held = state.hosts.iter().any(|host| self.holds_rules(host))
            || state.changes.iter().any(|it| matches!(it, Progress::Holds(_)));
        for (number, progress) in state.changes.iter().enumerate() {
            match progress {
                // The host that is asked is the one of its number, and it must have loaded something to prove it beside.
                Progress::Wanted if state.hosts[number].loaded.is_some() => actions.push(Action::Ask(number)),
                Progress::Asked(_) if !is_held => actions.push(Action::Take(number)),
                Progress::Holds(_) => actions.push(Action::Change(number)),
                _ => {}
            }
        }
    }

    fn host_actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (number, host) in state.hosts.iter().enumerate() {
            if host.is_down {
                actions.push(Action::Start(number));
                continue;
            }
            match host.loading {
                None if host.notice => actions.extend([Action::Deliver(number), Action::Lose(number)]),
                None => {}
                Some(Loading { number: None, .. } | Loading { exempts: None, .. }) => {
                    actions.push(Action::ReadExemptions(number));
                }
                Some(Loading { release, .. }) => {
                    actions.push(Action::Load(number));
                    if release != state.active.release {
                        actions.push(Action::LoadNewer(number));
                    }
                    if state.failed_loads < self.failed_loads_max {
                        actions.push(Action::FailToLoad(number));
                    }
                }
            }
            let asked = state.publishes.iter().any(|publish| publish.host == number && publish.at == At::Moved);
            // The poll. Looks that would find nothing are left out, so that every run of the model ends; and while a
            // notice is under way it is the notice that makes the host look.
            let finds = (!is_up_to_date(state, host) || host.is_behind) && !host.notice;
            if host.loading.is_none() && (asked || finds) {
                actions.push(Action::Look(number));
            }
            if state.kills < self.kills_max {
                actions.push(Action::Kill(number));
            }
        }
    }

    fn judge(&self, state: &mut State, number: usize) {
        let host = &state.hosts[state.publishes[number].host];
        state.publishes[number].at = match host.loaded {
            Some(rules) if !host.is_behind && self.lets_in(rules) => At::Approved(rules),
            Some(rules) if !host.is_behind => At::Rejected(rules),
            _ => At::Answered(Answer::NotReady),
        };
    }

    fn write(&self, state: &mut State, host: usize) {
        let stored = self.keys.map(|key| self.is_stored(state, key));
        let Some(transaction) = &mut state.hosts[host].transaction else { return };
        let Some((release, exemptions)) = transaction.read else { return };
        let mut written = Group::default();
        for number in transaction.group.members() {
            let publish = &mut state.publishes[number];
            let At::Approved(judged) = publish.at else { continue };
            let is_active = judged.release == release || self.without == Without::Check;
            let is_exempted_alike = judged.number == exemptions || self.without == Without::Number;
            if !is_active || !is_exempted_alike {
                moved(publish);
            } else if stored[number] {
                publish.at = At::Answered(Answer::Exists);
            } else {
                written = written.with(number);
            }
        }
        transaction.written = Some(written);
    }

    fn look_again(&self, state: &mut State, number: usize) {
        let publish = &mut state.publishes[number];
        let At::Rejected(judged) = publish.at else { return };
        if judged.stamp() == state.active.stamp() || self.without == Without::Look {
            publish.at = At::Refusing { by_active: judged.judge_as(state.active) };
        } else {
            moved(publish);
        }
    }

    /// What is published already is told so, whatever the rules say of it now.
    fn refuse(&self, state: &mut State, number: usize) {
        let At::Refusing { by_active } = state.publishes[number].at else { return };
        let is_stored = self.is_stored(state, self.keys[number]);
        let answer = if is_stored { Answer::Exists } else { Answer::Refused { by_active } };
        state.publishes[number].at = At::Answered(answer);
    }

    fn change(&self, state: &mut State, number: usize) {
        let Progress::Holds(expected) = state.changes[number] else { return };
        let before = state.active;
        match self.changes[number] {
            Change::Activate(_) if expected != before.release => {
                state.changes[number] = Progress::Refused;
                return;
            }
            Change::Activate(release) => state.active.release = release,
            Change::Exempt => state.active = Rules { number: before.number + 1, exempts: true, ..before },
            Change::TakeBack if before.exempts => {
                state.active = Rules { number: before.number + 1, exempts: false, ..before };
            }
            Change::TakeBack | Change::Nothing => {}
        }
        state.changes[number] = Progress::Done;
        if state.active != before {
            state.hosts.iter_mut().filter(|host| !host.is_down).for_each(|host| host.notice = true);
        }
    }

    fn read_exemptions(&self, state: &mut State, host: usize) {
        let active = state.active;
        let Some(loading) = &mut state.hosts[host].loading else { return };
        let reads_number =
            if self.without == Without::Order { loading.exempts.is_some() } else { loading.number.is_none() };
        if reads_number {
            loading.number = Some(active.number);
        } else {
            loading.exempts = Some(active.exempts);
        }
    }
}

/// As far as the host can tell.
pub fn is_up_to_date(state: &State, host: &Host) -> bool {
    host.loaded.is_some_and(|loaded| loaded.stamp() == state.active.stamp())
}

/// The rules moved under a publish.
fn moved(publish: &mut Publish) {
    publish.tries += 1;
    publish.at = if publish.tries < TRIES_MAX { At::Moved } else { At::Answered(Answer::Busy) };
}

fn commit(state: &mut State, host: usize) {
    let Some(transaction) = state.hosts[host].transaction.take() else { return };
    for number in transaction.written.into_iter().flat_map(Group::members) {
        let At::Approved(judged) = state.publishes[number].at else { continue };
        state.committed_again |= state.committed[number].is_some();
        state.committed[number] = Some((judged, state.active));
        state.publishes[number].at = At::Written;
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
    let change = &mut state.changes[host];
    if matches!(change, Progress::Asked(_) | Progress::Holds(_)) {
        *change = Progress::HungUp;
    }
}

/// Reads what is active; the exemptions are read next, where their number is another than that of those it holds.
fn look(state: &mut State, host: usize) {
    let Rules { release, number, .. } = state.active;
    let held = state.hosts[host].loaded.unwrap_or(Rules { release, number: 0, exempts: false });
    let holds = held.number == number;
    let (number, exempts) = (holds.then_some(number), holds.then_some(held.exempts));
    state.hosts[host].loading = Some(Loading { release, number, exempts });
    for publish in state.publishes.iter_mut().filter(|it| it.host == host && it.at == At::Moved) {
        publish.at = At::Looking;
    }
}

/// Ends a load: with the release that was looked at, with the one that is active by now, or with none.
fn load(state: &mut State, host: usize, release: Option<Release>) {
    let it = &mut state.hosts[host];
    let Some(Loading { number: Some(number), exempts: Some(exempts), .. }) = it.loading.take() else { return };
    if let Some(release) = release {
        it.loaded = Some(Rules { release, number, exempts });
    }
    it.is_behind = release.is_none();
    for publish in state.publishes.iter_mut().filter(|it| it.host == host && it.at == At::Looking) {
        publish.at = At::Arrived;
    }
}

impl Model for Fleet {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let active = Rules { release: 1, number: u8::from(self.exempts), exempts: self.exempts };
        let host = Host { loaded: Some(active), ..Host::default() };
        let changes = self.changes.map(|it| if it == Change::Nothing { Progress::Done } else { Progress::Wanted });
        vec![State {
            active,
            hosts: [host; HOSTS],
            publishes: self.spread.map(|host| Publish::new(host, false)),
            changes,
            committed: [None; PUBLISHES],
            committed_again: false,
            kills: 0,
            failed_loads: 0,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        self.publish_actions(state, actions);
        self.change_actions(state, actions);
        self.host_actions(state, actions);
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = *last;
        match action {
            Action::Judge(number) => self.judge(&mut state, number),
            Action::Begin(host, group) => {
                state.hosts[host].transaction = Some(Transaction { group, read: None, written: None });
            }
            Action::Read(host) => {
                if let Some(transaction) = &mut state.hosts[host].transaction {
                    transaction.read = Some(last.active.stamp());
                }
            }
            Action::Write(host) => self.write(&mut state, host),
            Action::Commit(host) => commit(&mut state, host),
            Action::LookAgain(number) => self.look_again(&mut state, number),
            Action::Refuse(number) => self.refuse(&mut state, number),
            Action::Answer(number) => state.publishes[number].at = At::Answered(Answer::Created),
            Action::Retry(number) => {
                state.publishes[number] = Publish::new((last.publishes[number].host + 1) % HOSTS, true);
            }
            Action::Ask(number) => {
                let is_activation = matches!(self.changes[number], Change::Activate(_));
                state.changes[number] = Progress::Asked(if is_activation { last.active.release } else { 0 });
            }
            Action::Take(number) => {
                let Progress::Asked(expected) = last.changes[number] else { return None };
                state.changes[number] = Progress::Holds(expected);
            }
            Action::Change(number) => self.change(&mut state, number),
            Action::Deliver(host) => {
                state.hosts[host].notice = false;
                look(&mut state, host);
            }
            Action::Lose(host) => state.hosts[host].notice = false,
            Action::Look(host) => look(&mut state, host),
            Action::ReadExemptions(host) => self.read_exemptions(&mut state, host),
            Action::Load(host) => {
                let release = last.hosts[host].loading?.release;
                load(&mut state, host, Some(release));
            }
            Action::LoadNewer(host) => load(&mut state, host, Some(last.active.release)),
            Action::FailToLoad(host) => {
                state.failed_loads += 1;
                load(&mut state, host, None);
            }
            Action::Kill(host) => kill(&mut state, host),
            Action::Start(host) => state.hosts[host].is_down = false,
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all()
    }
}
