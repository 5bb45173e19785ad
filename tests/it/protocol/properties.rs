//! What is promised in every state, and what the model must come to so that the promises are about something.

use std::collections::HashSet;

use stateright::{Model as _, Property};

use super::model::{Fleet, is_up_to_date};
use super::state::*;

pub const JUDGED_BY_ACTIVE: &str = "what is committed was judged by the release that is active at its commit";
pub const EXEMPTED_BY_ACTIVE: &str = "what an exemption let in is committed while one holds";
pub const REFUSED_BY_ACTIVE: &str =
    "who is refused was refused by rules that were active at the last look, after the judgement";
pub const STORED_ONCE: &str = "a version is stored once";

pub fn all() -> Vec<Property<Fleet>> {
    [promises(), ends(), comes_to()].into_iter().flatten().collect()
}

pub fn is_judged_by_active(_: &Fleet, state: &State) -> bool {
    state.committed.iter().flatten().all(|(judged, active)| judged.release == active.release)
}

/// Of releases that let it in by themselves nothing is asked: an exemption changed nothing there.
pub fn is_exempted_by_active(fleet: &Fleet, state: &State) -> bool {
    let needs_one = |judged: &Rules| !fleet.lets_in(Rules { exempts: false, ..*judged });
    state.committed.iter().flatten().all(|(judged, active)| !needs_one(judged) || active.exempts)
}

pub fn is_refused_by_active(_: &Fleet, state: &State) -> bool {
    !state.publishes.iter().any(|it| it.at == At::Answered(Answer::Refused { by_active: false }))
}

fn promises() -> Vec<Property<Fleet>> {
    vec![
        Property::<Fleet>::always(JUDGED_BY_ACTIVE, is_judged_by_active),
        Property::<Fleet>::always(EXEMPTED_BY_ACTIVE, is_exempted_by_active),
        Property::<Fleet>::always(REFUSED_BY_ACTIVE, is_refused_by_active),
        Property::<Fleet>::always(STORED_ONCE, |fleet, state| {
            let stored = (0..PUBLISHES).filter(|number| state.committed[*number].is_some());
            let keys: Vec<u8> = stored.map(|number| fleet.keys[number]).collect();
            !state.committed_again && keys.iter().collect::<HashSet<_>>().len() == keys.len()
        }),
        Property::<Fleet>::always("what a publisher is told is so", |fleet, state| {
            state.publishes.iter().enumerate().all(|(number, publish)| match publish.at {
                At::Answered(Answer::Created) => state.committed[number].is_some(),
                At::Answered(Answer::Exists) => fleet.is_stored(state, fleet.keys[number]),
                // Also where it was stored, its host killed, and it was sent again under rules that refuse it.
                At::Answered(Answer::Refused { .. }) => state.committed[number].is_none(),
                _ => true,
            })
        }),
    ]
}

/// Every action brings a run nearer to its end, so every run comes to one of these.
fn ends() -> Vec<Property<Fleet>> {
    vec![Property::<Fleet>::always(
        "where nothing can happen any more, everybody is answered and every host is up to date",
        |fleet, state| {
            let mut actions = Vec::new();
            fleet.actions(state, &mut actions);
            let answered = state.publishes.iter().all(|it| matches!(it.at, At::Answered(_)));
            let settled = |host: &Host| {
                !host.is_down && !host.is_behind && host.loaded == Some(state.active) && is_up_to_date(state, host)
            };
            let done = |it: &Progress| matches!(it, Progress::Done | Progress::Refused | Progress::HungUp);
            !actions.is_empty() || answered && state.hosts.iter().all(settled) && state.changes.iter().all(done)
        },
    )]
}

fn answered(publish: &Publish, answer: Answer) -> bool {
    publish.at == At::Answered(answer)
}

const REFUSED: Answer = Answer::Refused { by_active: true };

fn comes_to() -> Vec<Property<Fleet>> {
    vec![
        Property::<Fleet>::sometimes("a publish is judged twice and stored", |_, state| {
            state.publishes.iter().any(|it| it.tries == 1 && answered(it, Answer::Created))
        }),
        Property::<Fleet>::sometimes("a publish is judged as often as it may be", |_, state| {
            state.publishes.iter().any(|it| answered(it, Answer::Busy))
        }),
        Property::<Fleet>::sometimes("one of two activations is refused", |_, state| {
            state.changes.contains(&Progress::Refused)
        }),
        Property::<Fleet>::sometimes(
            "a publish is stored, its host is killed, and its client is told that it exists",
            |_, state| {
                state.publishes.iter().zip(&state.committed).any(|(publish, committed)| {
                    committed.is_some() && publish.retried && answered(publish, Answer::Exists)
                })
            },
        ),
        Property::<Fleet>::sometimes("the same, and the rules refuse it by then", |_, state| {
            state.publishes.iter().zip(&state.committed).any(|(publish, committed)| {
                committed.is_some() && publish.retried && matches!(publish.at, At::Refusing { .. })
            })
        }),
        Property::<Fleet>::sometimes(
            "a host that could not load the rules answers that it is not ready",
            |_, state| state.publishes.iter().any(|it| answered(it, Answer::NotReady)),
        ),
        Property::<Fleet>::sometimes("a publish is refused at once", |_, state| {
            state.publishes.iter().any(|it| it.tries == 0 && answered(it, REFUSED))
        }),
        Property::<Fleet>::sometimes("a publish is judged twice and refused", |_, state| {
            state.publishes.iter().any(|it| it.tries == 1 && answered(it, REFUSED))
        }),
        Property::<Fleet>::sometimes("an exemption lets a publish in", |fleet, state| {
            let by_one = |(judged, _): &(Rules, Rules)| judged.release == fleet.refusing;
            state.committed.iter().flatten().any(by_one)
        }),
        Property::<Fleet>::sometimes(
            "of two publishes one is let in by an exemption, the other is refused",
            |_, state| {
                let is = |answer| state.publishes.iter().any(|it| answered(it, answer));
                is(Answer::Created) && is(REFUSED) && state.active.number > 0
            },
        ),
        Property::<Fleet>::sometimes("a host holds exemptions that are newer than their number", |_, state| {
            let newer = |rules: Rules| rules.number < state.active.number && rules.exempts == state.active.exempts;
            state.hosts.iter().any(|host| host.loaded.is_some_and(newer))
        }),
    ]
}
