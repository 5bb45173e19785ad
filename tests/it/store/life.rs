//! What becomes of entries after they were published.

use hallmark::clock::{Millis, new_id};
use hallmark::names::{EntryId, KindName, VersionName};
use hallmark::registry::store::{
    Committed, EntryAct, EntryChange, EntryChanged, EntryRow, EntryStatus, LifeStore as _, NewEvent, Store as _,
};

use super::{AT, World, commit, shown};
use crate::support::approval::approve;

fn agents() -> KindName {
    "agents".parse().expect("a kind")
}

fn id(text: &str) -> EntryId {
    text.parse().expect("an id")
}

fn version(text: &str) -> VersionName {
    text.parse().expect("a version")
}

/// Ada's change of an entry.
pub fn change<'a>(world: &'a World, (kind, id): (&'a KindName, &'a EntryId), act: EntryAct<'a>) -> EntryChange<'a> {
    let what = match &act {
        EntryAct::RollBack { .. } => "entry.rolled-back",
        EntryAct::SetStatus { .. } => "entry.changed",
        EntryAct::Withdraw { .. } => "entry.version-withdrawn",
    };
    let event = NewEvent {
        id: new_id(AT),
        what: what.to_owned(),
        kind: kind.clone(),
        entry: id.clone(),
        body: "{}".to_owned(),
        created_at: AT,
    };
    EntryChange { tenant: &world.tenant, kind, id, act, expected: None, actor: "ada", at: Millis(AT.0 + 1), event }
}

async fn done(world: &World, entry: &str, act: EntryAct<'_>) -> EntryChanged {
    let (kind, id) = (agents(), id(entry));
    world.database.change_entry(&change(world, (&kind, &id), act)).await.expect("an answer")
}

async fn roll_back(world: &World, entry: &str, target: &str) -> EntryChanged {
    let back = shown(entry, &format!("{entry} back at {target}"));
    done(world, entry, EntryAct::RollBack { target: &version(target), shown: &back }).await
}

async fn set(world: &World, entry: &str, status: EntryStatus) -> EntryRow {
    let reason = "it is old".parse().expect("a reason");
    let reason = (status != EntryStatus::Active).then_some(&reason);
    match done(world, entry, EntryAct::SetStatus { status, reason, replacement: None }).await {
        EntryChanged::Done { entry, .. } => entry,
        other => panic!("{other:?}"),
    }
}

async fn status(world: &World, entry: &str, name: &str) -> String {
    let found = world.database.version(&world.tenant, &agents(), &id(entry), Some(&version(name))).await;
    found.expect("an answer").expect("a version").status
}

fn written(committed: Committed) -> EntryRow {
    match committed {
        Committed::Written { entry } => entry,
        other => panic!("not written: {other:?}"),
    }
}

async fn events(world: &World) -> usize {
    world.entry_events().await.len()
}

pub async fn rolls_back_and_forth(world: World) {
    let (world, judged) = world.with_rules().await;
    written(world.publish(&judged, "a", "1.0.0").await);
    let second = written(world.publish(&judged, "a", "2.0.0").await);
    let EntryChanged::Done { before, entry } = roll_back(&world, "a", "1.0.0").await else { panic!("it is done") };
    assert_eq!((before.current_version.as_str(), entry.current_version.as_str()), ("2.0.0", "1.0.0"));
    assert_eq!((entry.highest_version.as_str(), entry.name.as_str()), ("2.0.0", "a back at 1.0.0"));
    assert!(entry.revision() > second.revision(), "every change of an entry is another revision");
    assert_eq!([status(&world, "a", "1.0.0").await, status(&world, "a", "2.0.0").await], ["active", "archived"]);
    let pending = world.entry_events().await;
    assert_eq!(pending.last().map(|row| row.event.what.as_str()), Some("entry.rolled-back"));
    assert_eq!(pending.len(), 3);
    // To where it is already: nothing is written.
    let EntryChanged::Done { before, entry: same } = roll_back(&world, "a", "1.0.0").await else {
        panic!("it is done")
    };
    assert_eq!((&before, &same), (&entry, &entry));
    assert_eq!(events(&world).await, 3);
    let EntryChanged::Done { entry, .. } = roll_back(&world, "a", "2.0.0").await else { panic!("it is done") };
    assert_eq!(entry.current_version.as_str(), "2.0.0");
}

pub async fn tells_what_a_rollback_lacks(world: World) {
    let (world, judged) = world.with_rules().await;
    assert_eq!(roll_back(&world, "a", "1.0.0").await, EntryChanged::NoEntry);
    written(world.publish(&judged, "a", "1.0.0").await);
    assert_eq!(roll_back(&world, "a", "9.0.0").await, EntryChanged::NoVersion);
    assert_eq!(events(&world).await, 1);
}

pub async fn keeps_where_an_entry_stands_in_its_life(world: World) {
    let (world, judged) = world.with_rules().await;
    written(world.publish(&judged, "a", "1.0.0").await);
    let (reason, replacement) = ("b is better".parse().expect("a reason"), "agents/b".parse().expect("an entry"));
    let act =
        EntryAct::SetStatus { status: EntryStatus::Deprecated, reason: Some(&reason), replacement: Some(&replacement) };
    let EntryChanged::Done { entry, .. } = done(&world, "a", act.clone()).await else { panic!("it is done") };
    assert_eq!((entry.status, entry.status_reason.as_deref()), (EntryStatus::Deprecated, Some("b is better")));
    assert_eq!(entry.replacement.as_ref(), Some(&replacement));
    assert_eq!(world.database.entry(&world.tenant, &agents(), &id("a")).await.expect("an answer"), Some(entry));
    let EntryChanged::Done { before, entry } = done(&world, "a", act).await else { panic!("it is so") };
    assert_eq!((before, events(&world).await), (entry, 2));
    // What is deprecated is published to, and stays so.
    let next = written(world.publish(&judged, "a", "2.0.0").await);
    assert_eq!((next.status, next.status_reason.as_deref()), (EntryStatus::Deprecated, Some("b is better")));
    let active = set(&world, "a", EntryStatus::Active).await;
    assert_eq!((active.status, active.status_reason, active.replacement), (EntryStatus::Active, None, None));
}

pub async fn changes_no_entry_that_another_changed(world: World) {
    let (world, judged) = world.with_rules().await;
    let seen = written(world.publish(&judged, "a", "1.0.0").await);
    let (kind, entry) = (agents(), id("a"));
    let act = || EntryAct::SetStatus { status: EntryStatus::Disabled, reason: None, replacement: None };
    let expected = [seen.revision()];
    let under = || EntryChange { expected: Some(&expected), ..change(&world, (&kind, &entry), act()) };
    // Two at once, of which one is told.
    let (first, second) = (under(), under());
    let hosts = (world.second_host().await, world.second_host().await);
    let told = tokio::join!(hosts.0.change_entry(&first), hosts.1.change_entry(&second));
    let mut told = [told.0.expect("an answer"), told.1.expect("an answer")];
    told.sort_by_key(|changed| matches!(changed, EntryChanged::Overtaken(_)));
    assert!(matches!(told, [EntryChanged::Done { .. }, EntryChanged::Overtaken(_)]), "{told:?}");
    assert_eq!(events(&world).await, 2);
}

pub async fn publishes_nothing_to_a_disabled_entry(world: World) {
    let (world, judged) = world.with_rules().await;
    written(world.publish(&judged, "a", "1.0.0").await);
    written(world.publish(&judged, "a", "1.1.0").await);
    set(&world, "a", EntryStatus::Disabled).await;
    let refused = world.publish(&judged, "a", "2.0.0").await;
    assert_eq!(refused, Committed::Refused { status: EntryStatus::Disabled });
    assert!(matches!(roll_back(&world, "a", "1.0.0").await, EntryChanged::Disabled(_)));
    // Nothing of it is left, and the others of its group are committed.
    written(world.publish(&judged, "b", "1.0.0").await);
    set(&world, "a", EntryStatus::Active).await;
    written(world.publish(&judged, "a", "2.0.0").await);
}

pub async fn begins_an_entry_as_a_draft(world: World) {
    let (world, judged) = world.with_rules().await;
    let approved = approve(&judged);
    let draft = async |id: &str, version: &str| {
        let mut commit = commit(&world.tenant, &approved, id, version);
        commit.status = EntryStatus::Draft;
        world.database.commit(&commit).await.expect("an answer")
    };
    assert_eq!(written(draft("a", "1.0.0").await).status, EntryStatus::Draft);
    // It stays one until it is activated, however it is published to.
    assert_eq!(written(world.publish(&judged, "a", "1.1.0").await).status, EntryStatus::Draft);
    assert_eq!(written(draft("a", "1.2.0").await).status, EntryStatus::Draft);
    set(&world, "a", EntryStatus::Active).await;
    assert_eq!(draft("a", "2.0.0").await, Committed::Refused { status: EntryStatus::Active });
    assert_eq!(written(world.publish(&judged, "a", "2.0.0").await).current_version.as_str(), "2.0.0");
}

pub async fn withdraws_versions_but_the_last(world: World) {
    let (world, judged) = world.with_rules().await;
    for version in ["1.0.0", "2.0.0", "3.0.0"] {
        written(world.publish(&judged, "a", version).await);
    }
    let reason = "it leaks".parse().expect("a reason");
    let withdraw = async |name: &str, next: Option<&str>| {
        let back = shown("a", "what is left");
        let (name, next) = (version(name), next.map(version));
        let successor = next.as_ref().map(|next| (next, &back));
        done(&world, "a", EntryAct::Withdraw { version: &name, reason: &reason, successor }).await
    };
    // The active one only for the newest that is left.
    assert_eq!(withdraw("3.0.0", None).await, EntryChanged::SuccessorMoved);
    assert_eq!(withdraw("3.0.0", Some("1.0.0")).await, EntryChanged::SuccessorMoved);
    assert_eq!(status(&world, "a", "3.0.0").await, "active");
    let EntryChanged::Done { entry, .. } = withdraw("3.0.0", Some("2.0.0")).await else { panic!("it is done") };
    assert_eq!((entry.current_version.as_str(), entry.name.as_str()), ("2.0.0", "what is left"));
    assert_eq!(entry.highest_version.as_str(), "3.0.0", "the highest that there ever was");
    let read = world.database.version(&world.tenant, &agents(), &id("a"), Some(&version("3.0.0"))).await;
    let read = read.expect("an answer").expect("a version");
    let withdrawal = read.withdrawal.expect("a reason");
    assert_eq!(
        (read.status.as_str(), withdrawal.reason.as_str(), withdrawal.by.as_str()),
        ("withdrawn", "it leaks", "ada")
    );
    assert_eq!(roll_back(&world, "a", "3.0.0").await, EntryChanged::Withdrawn(withdrawal));
    // One that is not active leaves what is.
    assert!(
        matches!(withdraw("1.0.0", None).await, EntryChanged::Done { entry, .. } if entry.current_version.as_str() == "2.0.0")
    );
    assert_eq!(withdraw("2.0.0", None).await, EntryChanged::SuccessorMoved);
    assert_eq!(withdraw("9.0.0", None).await, EntryChanged::NoVersion);
    assert_eq!(
        world.database.newest_version(&world.tenant, &agents(), &id("a"), &version("2.0.0")).await.expect("an answer"),
        None
    );
    let told = events(&world).await;
    assert!(matches!(withdraw("1.0.0", None).await, EntryChanged::Done { before, entry } if before == entry));
    assert_eq!(events(&world).await, told);
    // A version's name is never used again.
    assert!(
        matches!(world.publish(&judged, "a", "3.0.0").await, Committed::Exists { existing } if existing.status == "withdrawn")
    );
}
