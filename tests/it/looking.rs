//! A kind that another host of the fleet has just put in force is known to every host, told or not.

use bytes::Bytes;
use hallmark::clock::Millis;
use hallmark::config::Limits;
use hallmark::registry::access::{Grants, Role};
use hallmark::registry::decode::Format;
use hallmark::registry::exemptions::ExemptionWanted;
use hallmark::registry::reading::ListWanted;
use hallmark::registry::{Actor, Published, RegistryError};
use serde_json::json;

use crate::support::ground::{Ground, Member, limits, notes, on_both_engines};

on_both_engines! {
    a_kind_is_published_to_the_moment_it_is_in_force,
    nobody_is_asked_for_what_only_retired_rules_demand,
    nobody_is_kept_out_by_the_id_that_retired_rules_read,
    a_kind_is_read_the_moment_it_is_in_force,
    what_is_exempted_is_known_the_moment_it_is_in_force,
    a_kind_that_is_none_is_told_so_with_those_there_are_now,
}

/// No host hears of changes, and none looks for them by itself in the time of a test.
async fn hosts<const COUNT: usize>(ground: &Ground) -> [Member; COUNT] {
    let mut hosts = Vec::new();
    for _ in 0..COUNT {
        hosts.push(ground.host(limits()).await);
    }
    hosts.try_into().ok().expect("as many as were asked for")
}

async fn a_kind_is_published_to_the_moment_it_is_in_force(ground: Ground) {
    let [first, publishes, validates, rolls_back] = hosts(&ground).await;
    first.apply(notes(json!({"type": "object"}))).await;
    let published = publishes.publish("a", "1.0.0", json!({})).await;
    assert!(matches!(published, Ok(Published::Created { .. })), "{published:?}");
    let body = json!({"noteId": "a", "name": "a", "version": "2.0.0", "manifest": 7});
    let body = Bytes::from(body.to_string());
    let report = validates.registry.validate(&validates.actor, "notes", body, Format::Json).await.expect("a report");
    assert_eq!(report.findings[0].remark.code, "schema.type");
    let Member { registry, actor, .. } = rolls_back;
    let rolled_back = registry.roll_back(&actor, ("notes", "a"), "1.0.0", None).await.expect("it is the active one");
    assert_eq!(rolled_back.previous.as_str(), "1.0.0");
}

async fn nobody_is_asked_for_what_only_retired_rules_demand(ground: Ground) {
    let [first, other] = hosts(&ground).await;
    let mut rules = notes(json!(true));
    rules["kinds"][0]["idField"] = json!("memoId");
    first.apply(rules).await;
    let refused = other.publish("a", "1.0.0", json!({})).await;
    assert!(matches!(refused, Err(RegistryError::Unidentified { .. })), "a note has no 'memoId': {refused:?}");
    first.apply(notes(json!(true))).await;
    let published = other.publish("a", "1.0.0", json!({})).await;
    assert!(matches!(published, Ok(Published::Created { .. })), "{published:?}");
}

async fn nobody_is_kept_out_by_the_id_that_retired_rules_read(ground: Ground) {
    let [first, other] = hosts(&ground).await;
    let known_by = |id_field: &str, field: &str| {
        let mut rules = notes(json!(true));
        rules["kinds"][0]["idField"] = json!(id_field);
        rules["kinds"][0]["fields"] = json!({ field: {"type": "string"} });
        rules
    };
    let grants = Grants::new(vec![Role::Publisher], vec!["notes/mine-*".parse().expect("a pattern")]).expect("a role");
    let actor = Actor { grants, ..other.actor.clone() };
    let body = json!({"noteId": "mine-a", "memoId": "theirs-a", "name": "a", "version": "1.0.0", "manifest": {}});
    let publish = || other.registry.publish(&actor, "notes", Bytes::from(body.to_string()), Format::Json);
    first.apply(known_by("memoId", "noteId")).await;
    let refused = publish().await;
    assert!(matches!(refused, Err(RegistryError::OutOfReach { .. })), "it is theirs: {refused:?}");
    first.apply(known_by("noteId", "memoId")).await;
    let published = publish().await;
    assert!(matches!(published, Ok(Published::Created { .. })), "it is theirs no more: {published:?}");
}

async fn a_kind_is_read_the_moment_it_is_in_force(ground: Ground) {
    let [first, lists, shows, lists_versions, shows_version] = hosts(&ground).await;
    first.apply(notes(json!(true))).await;
    first.decide("a", "1.0.0", json!({})).await;
    let Member { registry, actor, .. } = lists;
    assert_eq!(
        registry.entries(&actor, "notes", &ListWanted::default(), None, 9).await.expect("a page").1.items.len(),
        1
    );
    let Member { registry, actor, .. } = shows;
    assert_eq!(registry.entry(&actor, "notes", "a").await.expect("an entry").entry.id.as_str(), "a");
    let Member { registry, actor, .. } = lists_versions;
    assert_eq!(registry.versions(&actor, "notes", "a", None, 9).await.expect("a page").items.len(), 1);
    let Member { registry, actor, .. } = shows_version;
    assert_eq!(registry.version(&actor, "notes", "a", "1.0.0").await.expect("a version").1.id.as_str(), "a");
}

async fn what_is_exempted_is_known_the_moment_it_is_in_force(ground: Ground) {
    let [first, other] = hosts(&ground).await;
    first.apply(notes(json!(true))).await;
    let now = Millis::now();
    let wanted = ExemptionWanted {
        pattern: "notes/*".to_owned(),
        code: "a.b".to_owned(),
        binding: None,
        until: Millis(now.0 + 1),
        reason: "moving house".to_owned(),
        undocumented: true,
    };
    other.registry.exempt(&other.actor, wanted, now).await.expect("it is made");
}

async fn a_kind_that_is_none_is_told_so_with_those_there_are_now(ground: Ground) {
    let (first, other) = (ground.host(limits()).await, ground.host(Limits { kind_look_ms: 1, ..limits() }).await);
    let told = async |kind: &str| {
        let all = ListWanted::default();
        let error = other.registry.entries(&other.actor, kind, &all, None, 9).await.expect_err("there is no such kind");
        assert!(matches!(error, RegistryError::NoKind { .. }), "{error:?}");
        error.to_string()
    };
    assert_eq!(told("things").await, "no module declares the kind 'things'; known kinds are: none");
    first.apply(notes(json!(true))).await;
    // What can be no kind is not looked for, and finds nothing out.
    assert_eq!(told("No Kind").await, "no module declares the kind 'No Kind'; known kinds are: none");
    assert_eq!(told("things").await, "no module declares the kind 'things'; known kinds are: notes");
}
