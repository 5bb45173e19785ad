//! Previews of what resolves placeholders: a candidate's resolvers and defaults are judged over what was sent.

use bytes::Bytes;
use hallmark::clock::Millis;
use hallmark::config::Limits;
use hallmark::registry::decode::Format;
use hallmark::registry::impact::{Counts, Example, Group, Impact};
use serde_json::{Value, json};
use sqlx::{AnyConnection, Connection as _, Executor as _};

use crate::support::as_superuser;
use crate::support::ground::{Ground, Member, limits, notes, on_both_engines};

on_both_engines! {
    a_default_that_disappears_fails_what_needs_it,
    a_changed_value_is_told_whoever_objects,
    a_secret_is_never_shown,
    a_resolver_that_breaks_is_told_and_rests_for_nobody,
    what_was_not_kept_is_not_judged,
    versions_that_the_registry_counts_are_judged_as_they_were_sent,
}

/// The module with a resolver of placeholders in the note's name and its manifest, and a validator that objects to the
/// name `moon`.
async fn module(host: &Member, placeholders: Value) -> Value {
    let (resolver, validator) = (host.push("placeholders").await, host.push("hostile").await);
    let rules = json!([{"id": "earth", "forbidden": "moon", "message": "too far"}]);
    let mut module = notes(json!({"type": "object"}));
    module["placeholders"] = placeholders;
    module["bindings"] = json!([
        {"name": "resolver", "stage": "resolve", "plugin": resolver, "settings": {"paths": ["/name", "/manifest"]}},
        {"name": "names", "stage": "validate", "plugin": validator, "settings": {"break": "rules", "rules": rules}},
    ]);
    module
}

async fn publish(host: &Member, id: &str, name: &str, manifest: Value, variables: Value) {
    let body = json!({"noteId": id, "name": name, "version": "1.0.0", "manifest": manifest, "variables": variables});
    let published = host.registry.publish(&host.actor, "notes", Bytes::from(body.to_string()), Format::Json).await;
    published.expect("it is published");
}

/// Four notes: `a` takes the default, `b` sets the variable, `c` needs none, `d` is called by it.
async fn four_notes(ground: &Ground) -> (Member, Value) {
    let host = ground.host(limits()).await;
    let active = module(&host, json!([{"name": "REGION", "default": "eu"}])).await;
    host.apply(active.clone()).await;
    let region = json!({"region": "in ${REGION}"});
    publish(&host, "a", "a", region.clone(), json!({})).await;
    publish(&host, "b", "b", region, json!({"REGION": "us"})).await;
    publish(&host, "c", "c", json!({"region": "none"}), json!({})).await;
    publish(&host, "d", "${REGION}", json!({}), json!({})).await;
    (host, active)
}

/// Each group's code with the entry, place and message of its first example.
fn told(groups: &[Group]) -> Vec<(&str, &str, &str, &str)> {
    let mut told = Vec::new();
    for Group { code, examples, .. } in groups {
        let Example { id, path, message, .. } = &examples[0];
        told.push((code.as_str(), id.as_str(), path.as_str(), message.as_str()));
    }
    told
}

fn counts(impact: &Impact) -> [u64; 5] {
    let Counts { newly_fail, newly_pass, changed, not_judged, unchanged, .. } = impact.report.counts;
    [newly_fail, newly_pass, changed, not_judged, unchanged]
}

async fn a_default_that_disappears_fails_what_needs_it(ground: Ground) {
    let (host, mut candidate) = four_notes(&ground).await;
    candidate["placeholders"] = json!([{"name": "REGION"}]);
    let impact = host.preview(candidate).await;
    assert_eq!(counts(&impact), [2, 0, 0, 0, 2]);
    let message = "the placeholder 'REGION' has no value: the request sets none, and there is no default";
    assert_eq!(told(&impact.report.newly_fail), [("placeholder.missing", "a", "/manifest/region", message)]);
    assert_eq!(impact.report.newly_fail[0].count, 2);
}

async fn a_changed_value_is_told_whoever_objects(ground: Ground) {
    let (host, active) = four_notes(&ground).await;
    let mut candidate = active.clone();
    candidate["placeholders"] = json!([{"name": "REGION", "default": "moon"}]);
    let impact = host.preview(candidate).await;
    assert_eq!(counts(&impact), [1, 0, 1, 0, 2]);
    assert_eq!(told(&impact.report.newly_fail), [("hostile.rule", "d", "", "earth: too far")]);
    let message = "the value is \"in eu\" and would be \"in moon\"";
    assert_eq!(told(&impact.report.changed), [("impact.resolved-differently", "a", "/manifest/region", message)]);
    // Without its resolver a note stays as it was sent.
    let mut candidate = active.clone();
    candidate["bindings"].as_array_mut().expect("bindings").remove(0);
    let impact = host.preview(candidate).await;
    let codes: Vec<(&str, u64)> =
        impact.report.changed.iter().map(|group| (group.code.as_str(), group.count)).collect();
    assert_eq!(
        (counts(&impact), codes),
        ([0, 0, 3, 0, 1], vec![("impact.resolved-differently", 3), ("resolve.unused-variable", 1)])
    );
    let message = "the value is \"in eu\" and would be \"in ${REGION}\"";
    assert_eq!(impact.report.changed[0].examples[0].message, message);
    // What resolves alike is judged as it is stored: a name alone says nothing.
    let mut candidate = active;
    candidate["bindings"][0]["name"] = json!("another");
    assert_eq!(counts(&host.preview(candidate).await), [0, 0, 0, 0, 4]);
}

async fn a_secret_is_never_shown(ground: Ground) {
    let host = ground.host(limits()).await;
    let active = module(&host, json!([{"name": "KEY", "secret": true}, {"name": "PLACE", "default": "x"}])).await;
    host.apply(active.clone()).await;
    let manifest = json!({"at": "${KEY}", "then": "${PLACE}"});
    publish(&host, "a", "a", manifest.clone(), json!({"KEY": "hunter2"})).await;
    publish(&host, "b", "b", manifest, json!({"KEY": "hunter2", "PLACE": "shed"})).await;
    // Declared secret from now on: what was sent in clear is masked.
    let mut candidate = active.clone();
    candidate["placeholders"] = json!([{"name": "KEY", "secret": true}, {"name": "PLACE", "secret": true}]);
    let impact = host.preview(candidate).await;
    let secret = "another value would stand here: it comes from a secret";
    assert_eq!(told(&impact.report.changed), [("impact.resolved-differently", "b", "/manifest/then", secret)]);
    assert_eq!(told(&impact.report.newly_fail)[0].1, "a", "a secret has no default");
    let mut candidate = active;
    candidate["bindings"].as_array_mut().expect("bindings").remove(0);
    let impact = host.preview(candidate).await;
    let group = &impact.report.changed[0];
    let more = format!("{secret}; one more place comes out otherwise");
    assert_eq!((group.count, group.examples[0].message.as_str()), (2, more.as_str()));
    assert!(!serde_json::to_string(&impact.report).expect("JSON").contains("hunter2"));
}

async fn a_resolver_that_breaks_is_told_and_rests_for_nobody(ground: Ground) {
    let (host, mut candidate) = four_notes(&ground).await;
    let breaks = host.push("hostile-resolver").await;
    let binding = json!({"name": "breaks", "stage": "resolve", "plugin": breaks, "settings": {"break": "panic"}});
    candidate["bindings"].as_array_mut().expect("bindings").push(binding);
    for number in 0..6 {
        publish(&host, &format!("more-{number}"), "more", json!({}), json!({})).await;
    }
    let telling = ground.host(Limits { impact_examples_max: 10, ..limits() }).await;
    let impact = telling.preview(candidate).await;
    assert_eq!(counts(&impact), [0, 0, 0, 10, 0]);
    let examples = &impact.report.not_judged[0].examples;
    let message = examples[0].message.as_str();
    let panic = "under the candidate: plugin hostile-resolver panicked: asked to panic (damage.rs:";
    assert!(message.starts_with(panic), "{message}");
    assert_eq!(told(&impact.report.not_judged), [("breaks", "a", "", message)]);
    assert!(examples.len() == 10 && examples.iter().all(|example| example.message == message), "none is in quarantine");
}

async fn what_was_not_kept_is_not_judged(ground: Ground) {
    let (host, mut candidate) = four_notes(&ground).await;
    let mut database = AnyConnection::connect(&as_superuser(&ground.address)).await.expect("it opens");
    database.execute("UPDATE decisions SET submission = NULL").await.expect("it is forgotten");
    database.close().await.expect("it closes");
    candidate["placeholders"] = json!([{"name": "REGION"}]);
    let impact = host.preview(candidate).await;
    // What holds no placeholder is stored as it was sent.
    assert_eq!(counts(&impact), [0, 0, 0, 3, 1]);
    let message = "what was sent was not kept: the decision is of the time before it was, so what other resolvers or \
                   placeholder defaults make of it cannot be told; a version that is published from now on is judged";
    assert_eq!(told(&impact.report.not_judged), [("(host)", "a", "", message)]);
}

async fn versions_that_the_registry_counts_are_judged_as_they_were_sent(ground: Ground) {
    let host = ground.host(limits()).await;
    let mut active = module(&host, json!([{"name": "REGION", "default": "eu"}])).await;
    active["kinds"][0]["versioning"] = json!("auto");
    host.apply(active.clone()).await;
    for manifest in [json!({"region": "none"}), json!({"region": "${REGION}"})] {
        for id in ["a", "b"] {
            let body = json!({"noteId": id, "name": id, "manifest": manifest}).to_string();
            let published = host.registry.publish(&host.actor, "notes", Bytes::from(body), Format::Json).await;
            published.expect("it is published");
        }
    }
    active["placeholders"] = json!([{"name": "REGION", "default": "us"}]);
    let impact = host.preview(active.clone()).await;
    assert_eq!(counts(&impact), [0, 0, 2, 0, 0]);
    let since = host.preview_since(active, Millis(0)).await;
    assert_eq!(counts(&since), [0, 0, 2, 0, 2], "the first versions too");
}
