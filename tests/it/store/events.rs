//! The outbox: places that are given once, in order, and deliveries that follow from them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use hallmark::clock::{Millis, new_id};
use hallmark::registry::store::{
    DeliveryRow, DeliveryState, EventStore as _, Lease, PlacesKept, SendAttempt, Settled, Store as _, WebhookRow,
    WebhookStore as _,
};

use super::{AT, World, commit};
use crate::support::approval::approve;

/// Gives places to everything that waits.
async fn place_all(world: &World) {
    let pending = world.database.pending_events(1_000).await.expect("events");
    world.database.place_events(&world.tenant, &pending, AT).await.expect("they get places");
}

async fn subjects(world: &World, after: i64) -> Vec<(i64, String)> {
    let events = world.database.events_after(&world.tenant, after, 1_000).await.expect("events");
    events.into_iter().map(|placed| (placed.place, placed.event.subject())).collect()
}

pub async fn gives_each_event_one_place_after_another(world: World) {
    let (world, judged) = world.with_rules().await;
    let hosts = [Arc::new(world.second_host().await), Arc::new(world.second_host().await)];
    let publishes = (0..60).map(|number: usize| {
        let (host, judged, tenant) = (hosts[number % 2].clone(), judged.clone(), world.tenant.clone());
        tokio::spawn(async move {
            let (approved, entry) = (approve(&judged), format!("e{}", number % 5));
            let mut commit = commit(&tenant, &approved, &entry, &format!("1.{number}.0"));
            commit.event.body = format!("{{\"version\":\"1.{number}.0\"}}");
            host.commit(&commit).await.expect("an answer");
            let pending = host.pending_events(7).await.expect("events");
            host.place_events(&tenant, &pending, AT).await.expect("they get places");
        })
    });
    for publish in publishes.collect::<Vec<_>>() {
        publish.await.expect("no panic");
    }
    place_all(&world).await;
    assert!(world.database.pending_events(10).await.expect("events").is_empty());
    let events = world.database.events_after(&world.tenant, 0, 1_000).await.expect("events");
    let places: Vec<i64> = events.iter().map(|event| event.place).collect();
    let last = i64::try_from(events.len()).expect("a count");
    assert_eq!(places, (1..=last).collect::<Vec<_>>(), "no place is given twice, and none is left out");
    let kept = world.database.places_kept(&world.tenant).await.expect("an answer");
    assert_eq!(kept, PlacesKept { first: 1, last });
    // A release was made and put in force, and 60 versions were published, which are told in the order of each entry.
    let whats: Vec<&str> = events.iter().map(|placed| placed.event.what.as_str()).collect();
    assert!(whats.contains(&"release.created") && whats.contains(&"release.activated"), "{whats:?}");
    let mut told: HashMap<String, String> = HashMap::new();
    for placed in events.iter().filter(|placed| placed.event.entry.is_some()) {
        let (_, version) =
            placed.event.subject().split_once('@').map(|(e, v)| (e.to_owned(), v.to_owned())).expect("@");
        told.insert(placed.event.lane(), version);
    }
    for (lane, version) in told {
        let entry = lane.strip_prefix("agents/").expect("an agent").parse().expect("an id");
        let kind = "agents".parse().expect("a kind");
        let row = world.database.entry(&world.tenant, &kind, &entry).await.expect("an answer").expect("an entry");
        assert_eq!(row.current_version.as_str(), version, "the last event is that of the active version");
    }
}

pub async fn forgets_what_is_old_from_the_oldest_on(world: World) {
    let (world, judged) = world.with_rules().await;
    let approved = approve(&judged);
    for (version, at) in [("1.0.0", 10), ("2.0.0", 30), ("3.0.0", 20), ("4.0.0", 40)] {
        let mut commit = commit(&world.tenant, &approved, "a", version);
        commit.event.created_at = Millis(AT.0 + at);
        world.database.commit(&commit).await.expect("an answer");
    }
    place_all(&world).await;
    let PlacesKept { last, .. } = world.database.places_kept(&world.tenant).await.expect("an answer");
    let forget = async |before| world.database.forget_events(&world.tenant, Millis(AT.0 + before)).await.expect("done");
    assert_eq!(forget(0).await, 0);
    // What a slow clock dates back stays behind what is newer: what is kept has no gap.
    forget(25).await;
    let places = |rows: Vec<(i64, String)>| rows.into_iter().map(|(place, _)| place).collect::<Vec<_>>();
    assert_eq!(places(subjects(&world, 0).await), [last - 2, last - 1, last]);
    assert_eq!(forget(1_000).await, 2, "the newest stays");
    assert_eq!(world.database.places_kept(&world.tenant).await.expect("an answer"), PlacesKept { first: last, last });
    world.publish(&judged, "a", "5.0.0").await;
    place_all(&world).await;
    assert_eq!(places(subjects(&world, last).await), [last + 1], "no place is given again");
}

pub async fn keeps_events_when_the_schema_goes_back_and_forth(world: World) {
    let (world, judged) = world.with_rules().await;
    world.publish(&judged, "a", "1.0.0").await;
    place_all(&world).await;
    world.publish(&judged, "a", "2.0.0").await;
    world.database.revert_to(35).await.expect("it reverts");
    world.database.migrate(AT).await.expect("it migrates");
    // What is about no entry is lost; the rest has its order.
    assert_eq!(subjects(&world, 0).await, [(1, "agents/a".to_owned())]);
    place_all(&world).await;
    assert_eq!(subjects(&world, 0).await.len(), 2);
}

fn webhook(id: &str) -> WebhookRow {
    WebhookRow {
        id: id.to_owned(),
        url: "https://example.com/".to_owned(),
        types: vec!["entry.published".to_owned()],
        kinds: Vec::new(),
        key_id: "k".to_owned(),
        salt: "s".to_owned(),
        previous: None,
        failures: 0,
        disabled: None,
        created_by: "ada".to_owned(),
        created_at: AT,
    }
}

fn at(milliseconds: i64) -> Lease {
    Lease { at: Millis(AT.0 + milliseconds), until: Millis(AT.0 + milliseconds + 100) }
}

fn about(deliveries: &[DeliveryRow]) -> Vec<String> {
    deliveries.iter().map(|delivery| delivery.event.event.lane()).collect()
}

/// A webhook, and versions of two entries that it is sent: three of `a`, one of `b`.
async fn with_deliveries(world: World) -> World {
    let (world, judged) = world.with_rules().await;
    assert!(world.database.insert_webhook(&world.tenant, &webhook("w"), 1).await.expect("an answer"));
    assert!(!world.database.insert_webhook(&world.tenant, &webhook("x"), 1).await.expect("an answer"), "one at most");
    for (entry, version) in [("a", "1.0.0"), ("a", "2.0.0"), ("b", "1.0.0"), ("a", "3.0.0")] {
        world.publish(&judged, entry, version).await;
    }
    place_all(&world).await;
    place_all(&world).await;
    world
}

pub async fn hands_out_the_first_of_each_lane_to_one_host(world: World) {
    let world = with_deliveries(world).await;
    let other = world.second_host().await;
    let (one, two) = tokio::join!(
        world.database.take_deliveries(&world.tenant, "w", at(0), 10),
        other.take_deliveries(&world.tenant, "w", at(0), 10),
    );
    let taken = [one.expect("an answer"), two.expect("an answer")].concat();
    let mut lanes = about(&taken);
    lanes.sort();
    assert_eq!(lanes, ["agents/a", "agents/b"], "each by one host, and none that follows another");
    assert!(world.database.due_webhooks(&world.tenant, at(50).at).await.expect("an answer").len() == 1);
    assert!(world.database.take_deliveries(&world.tenant, "w", at(50), 10).await.expect("an answer").is_empty());
    let first = taken.iter().find(|delivery| delivery.event.event.lane() == "agents/a").expect("a delivery");
    world
        .database
        .settle_delivery(&world.tenant, first, at(0).until, &Settled::Delivered, at(60).at)
        .await
        .expect("it is settled");
    let next = world.database.take_deliveries(&world.tenant, "w", at(61), 10).await.expect("an answer");
    assert_eq!(about(&next), ["agents/a"]);
    assert!(next[0].event.place > first.event.place);
    // The host that took the other has died: its time is over.
    let again = world.database.take_deliveries(&world.tenant, "w", at(101), 10).await.expect("an answer");
    assert_eq!(about(&again), ["agents/b"]);
}

pub async fn settles_what_its_host_still_holds(world: World) {
    let world = with_deliveries(world).await;
    let held = world.database.take_deliveries(&world.tenant, "w", at(0), 1).await.expect("an answer").remove(0);
    let again = world.database.take_deliveries(&world.tenant, "w", at(100), 1).await.expect("an answer").remove(0);
    assert_eq!(held.id, again.id);
    let read = async || world.database.delivery(&world.tenant, "w", &held.id).await.expect("an answer").expect("it");
    let settle = async |delivery: &DeliveryRow, lease: Lease, settled: Settled<'_>| {
        let done = world.database.settle_delivery(&world.tenant, delivery, lease.until, &settled, at(150).at).await;
        done.expect("an answer");
    };
    settle(&held, at(0), Settled::Delivered).await;
    assert_eq!(read().await.state, DeliveryState::Waiting, "it was another's by then");
    let mut tried = again.clone();
    tried.attempts =
        vec![SendAttempt { at: AT, took_ms: 3, status: Some(500), error: Some("the receiver did not take it".into()) }];
    settle(&tried, at(100), Settled::Again(at(400).at)).await;
    let waits = read().await;
    assert_eq!((waits.state, &waits.attempts, waits.next_at), (DeliveryState::Waiting, &tried.attempts, at(400).at));
    let due =
        async |lease| about(&world.database.take_deliveries(&world.tenant, "w", lease, 1).await.expect("an answer"));
    assert_eq!(due(at(399)).await, ["agents/b"], "its lane waits with it");
    assert_eq!(due(at(400)).await, ["agents/a"]);
    settle(&tried, at(400), Settled::Delivered).await;
    assert_eq!(read().await.finished_at, Some(at(150).at));
    let replay = DeliveryRow { id: new_id(AT), replay_of: Some(held.id.clone()), ..waits };
    world.database.insert_replay(&world.tenant, &replay).await.expect("it is written");
    let listed = world.database.deliveries(&world.tenant, "w", None, 10).await.expect("a page");
    let ids: HashSet<&str> = listed.items.iter().map(|delivery| delivery.id.as_str()).collect();
    assert_eq!((listed.items.len(), ids.len(), listed.more), (5, 5, false));
    assert!(world.database.remove_webhook(&world.tenant, "w", "ada", AT).await.expect("an answer"));
    assert_eq!(world.database.delivery(&world.tenant, "w", &held.id).await.expect("an answer"), None);
}

pub async fn disables_a_webhook_that_takes_nothing(world: World) {
    let world = with_deliveries(world).await;
    let read = async || world.database.webhook(&world.tenant, "w").await.expect("an answer").expect("a webhook");
    let give_up = async |lease: Lease, gone| {
        let taken = world.database.take_deliveries(&world.tenant, "w", lease, 1).await.expect("an answer").remove(0);
        let settled = Settled::GivenUp { failures_max: 2, gone };
        let done = world.database.settle_delivery(&world.tenant, &taken, lease.until, &settled, lease.at).await;
        done.expect("an answer");
    };
    give_up(at(0), None).await;
    assert_eq!((read().await.failures, read().await.disabled), (1, None));
    give_up(at(1), None).await;
    let why = "2 deliveries in a row were given up".to_owned();
    assert_eq!(read().await.disabled, Some((at(1).at, why)));
    assert!(world.database.due_webhooks(&world.tenant, at(500).at).await.expect("an answer").is_empty());
    assert!(world.database.enable_webhook(&world.tenant, "w", "ada", AT).await.expect("an answer"));
    assert!(!world.database.enable_webhook(&world.tenant, "w", "ada", AT).await.expect("an answer"), "it is enabled");
    assert_eq!(read().await.failures, 0);
    give_up(at(2), Some("the receiver says that it is gone (410)")).await;
    assert_eq!(read().await.disabled, Some((at(2).at, "the receiver says that it is gone (410)".to_owned())));
    place_all(&world).await;
    let told = subjects(&world, 0).await;
    assert_eq!(told.iter().filter(|(_, subject)| subject == "webhooks/w").count(), 4, "{told:?}");
}
