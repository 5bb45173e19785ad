//! Previews where a plugin declares an array of its settings independent: what differs says whether anything changes,
//! and a plugin that declares falsely is found out.

use hallmark::clock::Millis;
use hallmark::config::Limits;
use hallmark::registry::impact::{Counts, Impact};
use hallmark::registry::store::{ImpactState, ImpactStore as _};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{begin, counts, ended, put_in_force};
use crate::support::command::{against, text};
use crate::support::ground::{Ground, Member, limits, notes, on_both_engines};
use crate::support::host::{Host, Options, component};

on_both_engines! {
    a_plugin_that_declares_falsely_is_believed_nowhere_in_the_run,
    a_plugin_that_remembers_what_it_judged_is_not_believed,
}

/// A rule of the guest that objects to one name.
fn rule(id: usize, forbidden: &str) -> Value {
    json!({"id": format!("r{id}"), "forbidden": forbidden, "message": "no"})
}

/// Twelve rules, of which every third objects to a note that is there.
fn rules() -> Vec<Value> {
    let name = |id: usize| if id.is_multiple_of(3) { format!("n{id:02}") } else { format!("nobody-{id}") };
    (0..12).map(|id| rule(id, &name(id))).collect()
}

/// The module with the guest, whose settings have these rules.
fn bound(plugin: &str, damage: &str, rules: &[Value], mode: &str) -> Value {
    let settings = json!({"break": damage, "amount": 12, "rules": rules});
    let binding = json!({"name": "guest", "stage": "validate", "plugin": plugin, "settings": settings, "mode": mode});
    let mut notes = notes(json!({"type": "object"}));
    notes["bindings"] = json!([binding]);
    notes
}

/// Publishes notes `n00` and so on, while nothing judges them.
async fn publish_all(host: &Member, count: usize) {
    host.apply(notes(json!({"type": "object"}))).await;
    for number in 0..count {
        host.publish(&format!("n{number:02}"), "1.0.0", json!({})).await.expect("it is published");
    }
}

fn tens() -> Limits {
    Limits { impact_chunk_entries: 10, ..limits() }
}

/// The preview of a plugin that nobody believes.
async fn preview_whole(host: &Member, rules: Value) -> Impact {
    let row = host.begin_preview(rules).await;
    host.database.begin_again(&host.actor.tenant, &row.id, "guest", Millis::now()).await.expect("it begins again");
    host.finish_preview(&row).await
}

/// Numbers that look like any: a linear congruential generator.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits") % limit
    }
}

/// The rules with two changes of those that people make.
fn changed(seed: u64) -> Vec<Value> {
    let (mut rules, mut numbers) = (rules(), Numbers(seed));
    for _ in 0..2 {
        let place = numbers.below(rules.len());
        match numbers.below(6) {
            0 => rules[place]["forbidden"] = json!(format!("n{:02}", numbers.below(30))),
            1 => rules[place]["message"] = json!("another word"),
            2 => rules.insert(place, rule(20, &format!("n{:02}", numbers.below(60)))),
            3 => drop(rules.remove(place)),
            4 => rules.push(rules[place].clone()),
            _ => rules.rotate_left(place),
        }
    }
    rules
}

/// What the report says, whatever it rests on.
fn said(impact: &Impact) -> Value {
    let mut report = impact.report.clone();
    report.counts.unchanged_by_claim = 0;
    serde_json::to_value(report).expect("plain data")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_is_the_same_where_only_what_differs_is_judged() {
    let ground = Ground::sqlite().await;
    let host = ground.host(tens()).await;
    let plugin = host.push("hostile").await;
    publish_all(&host, 30).await;
    host.apply(bound(&plugin, "rules", &rules(), "enforce")).await;
    let mut candidates: Vec<Vec<Value>> = (1..=4).map(changed).collect();
    let twice = |place: usize| rules().into_iter().chain([rules()[place].clone()]).collect::<Vec<_>>();
    let without =
        |place: usize| rules().into_iter().enumerate().filter(|(at, _)| *at != place).map(|(_, rule)| rule).collect();
    // One that objects is there twice, one that does not, and one that objects is gone.
    candidates.extend([twice(3), twice(4), without(3)]);
    let mut all = Counts::default();
    for candidate in candidates {
        let candidate = bound(&plugin, "rules", &candidate, "enforce");
        let (one, other) = (preview_whole(&host, candidate.clone()).await, host.preview(candidate.clone()).await);
        assert_eq!(said(&one), said(&other), "{candidate}");
        assert_eq!((one.report.counts.unchanged_by_claim, other.row.not_independent), (0, None), "{candidate}");
        let counts = other.report.counts;
        // Of each chunk of ten one is proved.
        assert!((20..=27).contains(&counts.unchanged_by_claim), "{counts:?} {candidate}");
        all.newly_fail += counts.newly_fail;
        all.newly_pass += counts.newly_pass;
        all.changed += counts.changed;
    }
    // Another order takes nothing to judge.
    let candidate = bound(&plugin, "rules", &rules().into_iter().rev().collect::<Vec<_>>(), "enforce");
    let counts = host.preview(candidate).await.report.counts;
    assert_eq!(counts, Counts { unchanged: 30, unchanged_by_claim: 27, ..Counts::default() });
    assert!(all.newly_fail > 0 && all.newly_pass > 0 && all.changed > 0, "something changes in some: {all:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_differs_is_judged_alone_where_it_is_less_than_half() {
    let ground = Ground::sqlite().await;
    let host = ground.host(tens()).await;
    let plugin = host.push("hostile").await;
    publish_all(&host, 30).await;
    host.apply(bound(&plugin, "rules", &rules(), "enforce")).await;
    let by_claim = |candidate: Vec<Value>, mode: &'static str| {
        let (host, candidate) = (&host, bound(&plugin, "rules", &candidate, mode));
        async move { host.preview(candidate).await.report.counts.unchanged_by_claim }
    };
    let mut added = rules();
    added.push(rule(30, "nobody"));
    assert_eq!(by_claim(added.clone(), "enforce").await, 27, "of each ten one is proved");
    let mut other = rules();
    other[1] = rule(31, "nobody");
    assert_eq!(by_claim(other, "enforce").await, 27);
    let most = |number: usize| if number < 6 { rule(40 + number, "nobody") } else { rules()[number].clone() };
    assert_eq!(by_claim((0..12).map(most).collect(), "enforce").await, 0, "half of them differ");
    assert_eq!(by_claim(added, "observe").await, 0, "the mode differs too");
}

/// Of twelve rules it says nothing, of a thirteenth that all are too many: but for the notes that one forbids.
async fn a_plugin_that_declares_falsely_is_believed_nowhere_in_the_run(ground: Ground) {
    let host = ground.host(tens()).await;
    let plugin = host.push("hostile").await;
    publish_all(&host, 25).await;
    let forbidding = |count: usize| (0..count).map(|id| rule(id, &format!("n{id:02}"))).collect::<Vec<_>>();
    host.apply(bound(&plugin, "rules-together", &forbidding(12), "enforce")).await;
    let row = host.begin_preview(bound(&plugin, "rules-together", &forbidding(13), "enforce")).await;
    let run = |number: i64| host.registry.run_chunk(&host.actor.tenant, &row.id, number);
    run(1).await.expect("a chunk");
    let told = host.registry.impact(&host.actor, &row.id).await.expect("it is there");
    assert_eq!((told.row.not_independent, told.report.counts.unchanged_by_claim), (None, 9), "nothing is wrong yet");
    run(3).await.expect("a chunk");
    let told = host.registry.impact(&host.actor, &row.id).await.expect("it is there");
    assert_eq!(told.row.not_independent.as_deref(), Some("guest"));
    assert_eq!(
        (told.row.judged, told.row.chunks_done, told.report.counts.newly_fail),
        (5, 1, 5),
        "the first is open again"
    );
    for number in 1..=2 {
        run(number).await.expect("a chunk");
    }
    let told = host.registry.impact(&host.actor, &row.id).await.expect("it is there");
    let counts = Counts { newly_fail: 12, unchanged: 13, ..Counts::default() };
    assert_eq!((told.row.state, told.report.counts), (ImpactState::Done, counts));
}

/// It objects to one note, and in the same instance to every one after it.
async fn a_plugin_that_remembers_what_it_judged_is_not_believed(ground: Ground) {
    let host = ground.host(tens()).await;
    let plugin = host.push("hostile").await;
    publish_all(&host, 20).await;
    let nobody: Vec<Value> = (0..12).map(|id| rule(id, "nobody")).collect();
    host.apply(bound(&plugin, "rules-grudge", &nobody, "enforce")).await;
    let mut candidate = nobody;
    candidate[4] = rule(4, "n03");
    let told = host.preview(bound(&plugin, "rules-grudge", &candidate, "enforce")).await;
    assert_eq!(told.row.not_independent.as_deref(), Some("guest"));
    assert_eq!(told.report.counts, Counts { newly_fail: 1, unchanged: 19, ..Counts::default() });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_fills_its_memory_makes_way_for_another() {
    let ground = Ground::sqlite().await;
    let host = ground.host(Limits { plugin_memory_max_bytes: 8 * 1024 * 1024, ..limits() }).await;
    let plugin = host.push("hostile").await;
    publish_all(&host, 30).await;
    let nobody: Vec<Value> = (0..12).map(|id| rule(id, "nobody")).collect();
    host.apply(bound(&plugin, "rules-leak", &nobody, "enforce")).await;
    let mut candidate = nobody;
    candidate[4]["message"] = json!("another word");
    let told = host.preview(bound(&plugin, "rules-leak", &candidate, "enforce")).await;
    assert_eq!(told.report.counts, Counts { unchanged: 30, unchanged_by_claim: 29, ..Counts::default() });
}

#[test]
fn a_component_is_compiled_for_a_preview_only_where_that_pays() {
    let data = TempDir::new().expect("a folder");
    let options = |versions: u64| Options::new().data(data.path()).limit("impact_reduced_versions_min", versions);
    let host = options(0).start();
    let bytes = std::fs::read(component("hostile")).expect("a component");
    let plugin = super::digest(&host.send("/api/plugins", "application/wasm", &bytes).body);
    let candidate = |rules: usize| {
        let rules: Vec<Value> = (0..rules).map(|id| rule(id, "nobody")).collect();
        let settings = json!({"break": "rules", "rules": rules});
        let binding = json!({"name": "guest", "stage": "validate", "plugin": plugin, "settings": settings});
        super::rules(&json!({}), &json!([binding]))
    };
    put_in_force(&host, &candidate(12));
    super::publish_many(&host, 3);
    let by_claim = |host: &Host, rules: usize| {
        let run = ended(host, &begin(host, &json!({"rules": candidate(rules)})));
        assert_eq!(counts(&run), [0, 0, 0, 0, 3], "{run}");
        run["counts"]["unchangedByClaim"].as_i64()
    };
    assert_eq!(by_claim(&host, 13), Some(2), "who pushed it has compiled it");
    drop(host);
    for (versions, claimed, why) in [(4, 0, "three manifests do not repay it"), (3, 2, "they do")] {
        let _ = std::fs::remove_dir_all(data.path().join("cache"));
        let host = options(versions).start();
        assert_eq!(by_claim(&host, 14), Some(claimed), "{why}");
    }
}

#[test]
fn a_preview_of_many_bindings_leaves_the_gate_its_instances() {
    let small = ["gate_threads", "impact_threads", "plugin_compilations_max", "replays_in_flight_max"];
    let host = small.into_iter().fold(Options::new(), |options, limit| options.limit(limit, 1)).start();
    let bytes = std::fs::read(component("hostile")).expect("a component");
    let plugin = super::digest(&host.send("/api/plugins", "application/wasm", &bytes).body);
    let candidate = |last: &str| {
        let rules: Vec<Value> = (0..4).map(|id| rule(id, if id == 3 { last } else { "nobody" })).collect();
        let bindings = (0..20).map(|number| {
            let settings = json!({"break": "rules", "amount": number, "rules": rules});
            json!({"name": format!("guest-{number}"), "stage": "validate", "plugin": plugin, "settings": settings})
        });
        super::rules(&json!({}), &bindings.collect())
    };
    put_in_force(&host, &candidate("nobody"));
    super::publish_many(&host, 3);
    let run = ended(&host, &begin(&host, &json!({"rules": candidate("somebody")})));
    assert_eq!((counts(&run), &run["counts"]["unchangedByClaim"]), ([0, 0, 0, 0, 3], &json!(2)), "{run}");
}

#[test]
fn a_preview_tells_what_rests_on_a_plugin_and_whose_word_was_wrong() {
    let host = Options::new().start();
    let pushed =
        host.send("/api/plugins", "application/wasm", &std::fs::read(component("hostile")).expect("a component"));
    let plugin = super::digest(&pushed.body);
    let candidate = |rules: usize| {
        let rules: Vec<Value> = (0..rules).map(|id| rule(id, "nobody")).collect();
        let settings = json!({"break": "rules-together", "amount": 12, "rules": rules});
        super::rules(
            &json!({}),
            &json!([{"name": "guest", "stage": "validate", "plugin": plugin, "settings": settings}]),
        )
    };
    put_in_force(&host, &candidate(12));
    super::publish_many(&host, 3);
    let run = ended(&host, &begin(&host, &json!({"rules": candidate(13)})));
    assert_eq!((counts(&run), &run["notIndependent"]), ([3, 0, 0, 0, 0], &json!("guest")), "{run}");
    let page = host.get(&format!("/api/impacts/{}/page", run["id"].as_str().expect("an id")));
    let told = "guest declares settings independent that are not: the preview began again, by whole settings";
    assert!(page.body.as_str().is_some_and(|page| page.contains(told)), "{page:?}");
    let run = ended(&host, &begin(&host, &json!({"rules": candidate(11)})));
    assert_eq!((counts(&run), run.get("notIndependent")), ([0, 0, 0, 0, 3], None), "{run}");
    let page = host.get(&format!("/api/impacts/{}/page", run["id"].as_str().expect("an id")));
    let believed =
        "2 of the unchanged were judged by what differs in settings alone, which a plugin declares independent";
    assert!(page.body.as_str().is_some_and(|page| page.contains(believed)), "{page:?}");
    let number = super::release(&host, &candidate(14));
    let shown = text(&against(&host, &["module", "impact", "notes", &number.to_string()]).stdout);
    assert!(shown.contains(told), "{shown}");
}
