//! Commit.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::task::Poll;

use futures_util::future::{join_all, poll_fn};
use hallmark::clock::new_id;
use hallmark::config::Limits;
use hallmark::names::{EntryId, KindName, VersionName};
use hallmark::registry::store::{
    Activation, Commit, Committed, DecisionRow, EntriesAsked, EntryAct, EntryRow, Expected, LifeStore as _,
    ReadingStore as _, Store as _, StoreError,
};
use hallmark::sql::Database;

use super::life::change;
use super::{AT, World, commit, patient, publish, shown};
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

fn written(committed: Committed) -> EntryRow {
    match committed {
        Committed::Written { entry } => entry,
        other => panic!("not written: {other:?}"),
    }
}

async fn status(world: &World, entry: &str, name: &str) -> Option<String> {
    let found = world.database.version(&world.tenant, &agents(), &id(entry), Some(&version(name))).await;
    found.expect("an answer").map(|row| row.status)
}

pub async fn writes_everything_of_a_publish(world: World) {
    let (world, judged) = world.with_rules().await;
    let approved = approve(&judged);
    let commit = commit(&world.tenant, &approved, "a", "1.0.0");
    let entry = written(world.database.commit(&commit).await.expect("an answer"));
    assert_eq!(entry.current_version.as_str(), "1.0.0");
    assert_eq!(entry.highest_version.as_str(), "1.0.0");
    assert_eq!((entry.name.as_str(), entry.tags.as_str(), entry.status.as_str()), ("a 1.0.0", "[\"a\"]", "active"));
    assert_eq!(world.database.entry(&world.tenant, &agents(), &id("a")).await.expect("an answer"), Some(entry));
    let read = world.database.version(&world.tenant, &agents(), &id("a"), None).await.expect("an answer");
    assert_eq!(read.as_ref(), Some(&commit.version));
    let decision = world.database.decision(&world.tenant, &commit.decision.id).await.expect("an answer");
    assert_eq!(decision.as_ref(), Some(&commit.decision));
    let events = world.entry_events().await;
    assert_eq!(events.len(), 1);
    assert_eq!((&events[0].event.id, &events[0].tenant), (&commit.event.id, &world.tenant));
}

pub async fn archives_the_version_before(world: World) {
    let (world, judged) = world.with_rules().await;
    let first = written(world.publish(&judged, "a", "1.2.0").await);
    let lower = written(world.publish(&judged, "a", "1.1.9").await);
    assert_eq!((lower.current_version.as_str(), lower.highest_version.as_str()), ("1.1.9", "1.2.0"));
    assert_eq!((lower.created_at, lower.name.as_str()), (first.created_at, "a 1.1.9"));
    let higher = written(world.publish(&judged, "a", "1.10.0").await);
    assert_eq!((higher.current_version.as_str(), higher.highest_version.as_str()), ("1.10.0", "1.10.0"));
    let statuses =
        [status(&world, "a", "1.2.0").await, status(&world, "a", "1.1.9").await, status(&world, "a", "1.10.0").await];
    assert_eq!(statuses.map(Option::unwrap_or_default), ["archived", "archived", "active"]);
    let Committed::Exists { existing } = world.publish(&judged, "a", "1.2.0").await else { panic!("it exists") };
    assert_eq!((existing.version.as_str(), existing.status.as_str()), ("1.2.0", "archived"));
}

pub async fn publishes_to_what_is_expected_of_the_entry_alone(world: World) {
    let (world, judged) = world.with_rules().await;
    let approved = approve(&judged);
    let to = async |version: &str, expected: Expected| {
        let commit = Commit { expected, ..commit(&world.tenant, &approved, "a", version) };
        world.database.commit(&commit).await.expect("an answer")
    };
    assert_eq!(to("0.1.0", Expected::Something).await, Committed::Overtaken { entry: None });
    assert_eq!(to("0.1.0", Expected::Revisions(vec![1])).await, Committed::Overtaken { entry: None });
    // Of many that each would make the entry one does, and nothing of the others is written.
    let names: Vec<String> = (0..20).map(|patch| format!("1.0.{patch}")).collect();
    let made = join_all(names.iter().map(|name| to(name, Expected::Nothing))).await;
    let entries: Vec<&EntryRow> = made
        .iter()
        .filter_map(|made| match made {
            Committed::Written { entry } => Some(entry),
            Committed::Overtaken { entry: Some(_) } => None,
            other => panic!("{other:?}"),
        })
        .collect();
    let [first] = entries[..] else { panic!("one is written, not {}", entries.len()) };
    assert_eq!(world.entry_events().await.len(), 1);
    let now = Expected::Revisions(vec![7, first.revision()]);
    let changed = written(to("2.0.0", now.clone()).await);
    assert!(changed.revision() > first.revision());
    assert_eq!(to("3.0.0", now).await, Committed::Overtaken { entry: Some(changed) });
    assert_eq!(status(&world, "a", "3.0.0").await, None);
    written(to("3.0.0", Expected::Something).await);
}

pub async fn tells_all_but_one_of_400_publishes_that_the_version_exists(world: World) {
    let (world, judged) = world.with_rules().await;
    let hosts = [Arc::new(world.second_host().await), Arc::new(world.second_host().await)];
    let publishes = (0..400).map(|number| {
        let (host, judged) = (hosts[number % 2].clone(), judged.clone());
        tokio::spawn(async move { publish(&host, &judged, "a", "1.0.0").await })
    });
    let (mut won, mut told) = (0, 0);
    for answer in join_all(publishes).await {
        match answer.expect("no panic").expect("no error") {
            Committed::Written { .. } => won += 1,
            Committed::Exists { existing } => {
                assert_eq!((existing.version.as_str(), existing.status.as_str()), ("1.0.0", "active"));
                told += 1;
            }
            other => panic!("no rules moved: {other:?}"),
        }
    }
    assert_eq!((won, told), (1, 399));
    assert_eq!(world.entry_events().await.len(), 1);
}

pub async fn keeps_every_version_of_one_entry_published_at_once(world: World) {
    let (world, judged) = world.with_rules().await;
    let hosts = [Arc::new(world.second_host().await), Arc::new(world.second_host().await)];
    let publishes = (0..60).map(|number| {
        let (host, judged) = (hosts[number % 2].clone(), judged.clone());
        tokio::spawn(async move { publish(&host, &judged, "a", &format!("1.{number}.0")).await })
    });
    for answer in join_all(publishes).await {
        written(answer.expect("no panic").expect("no error"));
    }
    let entry = world.database.entry(&world.tenant, &agents(), &id("a")).await.expect("an answer").expect("an entry");
    assert_eq!(entry.highest_version.as_str(), "1.59.0");
    let versions = world.database.versions(&world.tenant, &agents(), &id("a"), None, 100).await.expect("a page").items;
    assert_eq!(versions.len(), 60);
    let active: Vec<_> = versions.iter().filter(|head| head.status == "active").collect();
    assert_eq!(active.len(), 1);
    assert_eq!(active[0].version, entry.current_version);
    // The last event is that of the version that stayed active: the order of events is the order of the entry.
    let events = world.entry_events().await;
    assert_eq!(events.len(), 60);
    assert!(events.is_sorted_by(|one, next| one.sequence < next.sequence));
}

pub async fn lets_different_entries_be_published_at_once(world: World) {
    let (world, judged) = world.with_rules().await;
    let hosts = [Arc::new(world.second_host().await), Arc::new(world.second_host().await)];
    let publishes = (0..100).map(|number| {
        let (host, judged) = (hosts[number % 2].clone(), judged.clone());
        tokio::spawn(async move { publish(&host, &judged, &format!("agent-{number:03}"), "1.0.0").await })
    });
    for answer in join_all(publishes).await {
        written(answer.expect("no panic").expect("no error"));
    }
    let page = world.database.entries(&world.tenant, &EntriesAsked::all(agents()), None, 100).await.expect("a page");
    assert_eq!((page.items.len(), page.more), (100, false));
}

pub async fn tells_that_a_version_exists_whose_inbox_key_is_gone(world: World) {
    let (world, judged) = world.with_rules().await;
    written(world.publish(&judged, "a", "1.0.0").await);
    written(world.publish(&judged, "a", "2.0.0").await);
    let approved = approve(&judged);
    let mut again = commit(&world.tenant, &approved, "a", "1.0.0");
    again.inbox_key = "registry:agent:a:forgotten".to_owned();
    let Committed::Exists { existing } = world.database.commit(&again).await.expect("an answer") else {
        panic!("it exists")
    };
    assert_eq!((existing.version.as_str(), existing.status.as_str()), ("1.0.0", "archived"));
    let entry = world.database.entry(&world.tenant, &agents(), &id("a")).await.expect("an answer").expect("an entry");
    assert_eq!(entry.current_version.as_str(), "2.0.0");
    assert_eq!(world.database.decision(&world.tenant, &again.decision.id).await.expect("an answer"), None);
}

pub async fn refuses_a_commit_whose_rules_moved(world: World) {
    let (world, judged) = world.with_rules().await;
    let next = world.activate_new("module:agents", "{\"next\":1}").await;
    assert_eq!(world.publish(&judged, "a", "1.0.0").await, Committed::RulesMoved);
    assert_eq!(world.database.entry(&world.tenant, &agents(), &id("a")).await.expect("an answer"), None);
    assert!(world.entry_events().await.is_empty());
    written(world.publish(&[next], "a", "1.0.0").await);
    // Another module's rules are no concern of an agent's.
    world.activate_new("module:services", "{}").await;
    let now = world.database.active_release_refs(&world.tenant).await.expect("refs");
    written(world.publish(&now[..1], "a", "1.1.0").await);
}

pub async fn refuses_a_commit_judged_before_the_first_policies(world: World) {
    let (world, judged) = world.with_rules().await;
    world.create("policies", "{}").await;
    written(world.publish(&judged, "a", "1.0.0").await);
    let policies = world.activate_new("policies", "{\"first\":1}").await;
    assert_eq!(world.publish(&judged, "a", "1.1.0").await, Committed::RulesMoved);
    written(world.publish(&[policies, judged[0].clone()], "a", "1.1.0").await);
}

/// Publishers judge by what they read as active and commit; meanwhile the rules change. A publish judged under a
/// release that was retired before its commit began must be told so.
pub async fn commits_nothing_under_retired_rules_while_rules_change(world: World) {
    let (world, judged) = world.with_rules().await;
    let world = Arc::new(world);
    let in_force = Arc::new(AtomicI64::new(judged[0].number));
    let publishers = (0..4).map(|publisher| {
        let (world, in_force) = (world.clone(), in_force.clone());
        tokio::spawn(async move {
            let (mut done, mut attempt) = (0, 0);
            while done < 10 {
                let judged = world.database.active_release_refs(&world.tenant).await.expect("refs");
                let retired = judged[0].number < in_force.load(Ordering::SeqCst);
                attempt += 1;
                match world.publish(&judged, &format!("agent-{publisher}"), &format!("1.{attempt}.0")).await {
                    Committed::Written { .. } if retired => panic!("committed under a retired release"),
                    Committed::Written { .. } => done += 1,
                    Committed::RulesMoved => {}
                    Committed::Exists { .. } | Committed::Refused { .. } | Committed::Overtaken { .. } => {
                        panic!("no version is published twice")
                    }
                }
            }
        })
    });
    let publishers: Vec<_> = publishers.collect();
    for change in 0..20 {
        let release = world.create("module:agents", &format!("{{\"change\":{change}}}")).await;
        assert_eq!(world.activate(&release.scope, release.number, None).await, Activation::Activated);
        in_force.store(release.number, Ordering::SeqCst);
    }
    for publisher in publishers {
        publisher.await.expect("no panic");
    }
}

/// Polls a future so often, then drops it.
async fn polled<T>(future: impl Future<Output = T>, mut polls: u32) -> Option<T> {
    let mut future = pin!(future);
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(answer) => Poll::Ready(Some(answer)),
        Poll::Pending => {
            polls -= 1;
            if polls == 0 { Poll::Ready(None) } else { Poll::Pending }
        }
    })
    .await
}

/// Polls a future once, lets others run so often, then drops it where it has not ended.
async fn dropped_after<T>(future: impl Future<Output = T>, turns: u32) -> Option<T> {
    let mut future = pin!(future);
    for _ in 0..turns {
        let polled = poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await;
        if let Poll::Ready(answer) = polled {
            return Some(answer);
        }
        tokio::task::yield_now().await;
    }
    None
}

/// Drops the future of a commit at once, a turn later, and so on, until one ends by itself.
pub async fn leaves_all_or_nothing_of_a_commit_that_is_dropped(world: World) {
    let (world, judged) = world.with_rules().await;
    let approved = approve(&judged);
    let limits = Limits { commit_groups_max: 1, ..patient() };
    let host = Database::connect(&world.address, &limits).await.expect("it opens");
    let mut turns = 1;
    for number in 0.. {
        let name = format!("agent-{number}");
        let commit = commit(&world.tenant, &approved, &name, "1.0.0");
        if let Some(answer) = dropped_after(host.commit(&commit), turns).await {
            written(answer.expect("no error"));
            assert!(turns > 1, "a commit waits");
            return;
        }
        turns += 1 + turns / 4;
        // Another version of the same entry is committed after it, if it is committed at all.
        written(publish(&host, &judged, &name, "2.0.0").await.expect("an answer"));
        let versions = world.database.versions(&world.tenant, &agents(), &id(&name), None, 10).await.expect("versions");
        let decision = world.database.decision(&world.tenant, &commit.decision.id).await.expect("an answer");
        let events = world.entry_events().await;
        let found = [
            versions.items.iter().any(|head| head.version.as_str() == "1.0.0"),
            decision.is_some(),
            events.iter().any(|row| row.event.id == commit.event.id),
        ];
        assert!(found == [true; 3] || found == [false; 3], "{found:?} after {turns} turns");
        if found == [false; 3] {
            written(publish(&host, &judged, &name, "1.0.0").await.expect("an answer"));
        }
    }
}

/// Publishes that go together are judged one by one: what is wrong with one of them is told to that one alone.
pub async fn commits_a_group_but_for_those_that_cannot_be(world: World) {
    let (world, judged) = world.with_rules().await;
    written(world.publish(&judged, "there", "1.0.0").await);
    let taken = world.entry_events().await.remove(0).event.id;
    let retired = judged.clone();
    let now = [world.activate_new("module:agents", "{\"next\":1}").await];
    let (approved, outdated) = (approve(&now), approve(&retired));
    let commits: Vec<_> = (0..24)
        .map(|number| {
            let by = if number % 6 == 1 { &outdated } else { &approved };
            let name = if number % 6 == 2 { "there".to_owned() } else { format!("agent-{number}") };
            let mut commit = commit(&world.tenant, by, &name, "1.0.0");
            if number % 6 == 3 {
                commit.event.id.clone_from(&taken);
            }
            commit
        })
        .collect();
    let answers = join_all(commits.iter().map(|commit| world.database.commit(commit))).await;
    for (number, answer) in answers.into_iter().enumerate() {
        match number % 6 {
            1 => assert_eq!(answer.expect("an answer"), Committed::RulesMoved),
            2 => assert!(matches!(answer.expect("an answer"), Committed::Exists { .. })),
            3 => {
                let error = answer.expect_err("the event's id is taken");
                assert_eq!(error.to_string(), "the database refused: to commit a publish");
            }
            _ => assert_eq!(written(answer.expect("an answer")).id.as_str(), format!("agent-{number}")),
        }
    }
    let page = world.database.entries(&world.tenant, &EntriesAsked::all(agents()), None, 100).await.expect("a page");
    assert_eq!(page.items.len(), 13);
}

pub async fn leaves_nothing_of_a_commit_that_fails(world: World) {
    let (world, judged) = world.with_rules().await;
    written(world.publish(&judged, "a", "1.0.0").await);
    let taken = world.entry_events().await.remove(0).event.id;
    let approved = approve(&judged);
    let mut failing = commit(&world.tenant, &approved, "a", "2.0.0");
    failing.event.id = taken;
    let error = world.database.commit(&failing).await.expect_err("the event's id is taken");
    assert!(matches!(error, StoreError::Broken(..)), "{error:?}");
    assert_eq!(error.to_string(), "the database refused: to commit a publish");
    assert_eq!(status(&world, "a", "2.0.0").await, None);
    assert_eq!(world.database.decision(&world.tenant, &failing.decision.id).await.expect("an answer"), None);
    let entry = world.database.entry(&world.tenant, &agents(), &id("a")).await.expect("an answer").expect("an entry");
    assert_eq!((entry.current_version.as_str(), entry.highest_version.as_str()), ("1.0.0", "1.0.0"));
    written(world.publish(&judged, "a", "2.0.0").await);
}

pub async fn waits_no_longer_for_a_connection_than_it_may(world: World) {
    let (world, judged) = world.with_rules().await;
    written(world.publish(&judged, "a", "1.0.0").await);
    written(world.publish(&judged, "a", "2.0.0").await);
    let (kind, entry, target) = (agents(), id("a"), version("1.0.0"));
    let back = shown("a", "a back");
    let limits = Limits { database_connections_max: 1, database_acquire_max_ms: 2_000, ..Limits::default() };
    let host = Database::connect(&world.address, &limits).await.expect("it opens");
    let decision = DecisionRow {
        id: new_id(AT).parse().expect("an id"),
        kind: agents(),
        entry: id("a"),
        version: version("1.0.0"),
        outcome: "rejected".to_owned(),
        body: "{}".to_owned(),
        submission: None,
        created_at: AT,
    };
    // A rollback that stands still holds the one connection, from one of its first steps on.
    for steps in 1..1000 {
        let rollback = change(&world, (&kind, &entry), EntryAct::RollBack { target: &target, shown: &back });
        let mut standing = pin!(host.change_entry(&rollback));
        if polled(standing.as_mut(), steps).await.is_some() {
            break;
        }
        let decision = DecisionRow { id: new_id(AT).parse().expect("an id"), ..decision.clone() };
        if let Err(error) = host.insert_decision(&world.tenant, &decision).await {
            assert_eq!(error.to_string(), "the database cannot be reached");
            return;
        }
    }
    panic!("a rollback held no connection, or others had another");
}
