//! Bindings that observe: what each would have changed is in the decision and counted, over any number of hosts, and none
//! of it touches a publish. Cases of the registry on both engines.

use std::fs;

use hallmark::clock::{Millis, new_id};
use hallmark::names::Scope;
use hallmark::registry::replay::Replay;
use hallmark::registry::shadow::{Agreement, ObservingReport};
use hallmark::registry::{Decision, Outcome, RegistryError, sample};
use serde_json::{Value, json};

use crate::support::command::told;
use crate::support::ground::{Ground, Member, limits, notes, on_both_engines};
use crate::support::host::{Options, component};
use crate::support::rules::{module, own_copy};

on_both_engines! {
    what_a_binding_would_change_is_in_decisions_and_counted,
    a_release_is_counted_by_itself,
    a_share_of_entries_is_observed,
}

/// A binding of the policies.
fn binding(name: &str, plugin: &str, settings: Value, mode: &str) -> Value {
    json!({"name": name, "stage": "policy", "plugin": plugin, "settings": settings, "mode": mode})
}

fn policies(bindings: Value) -> Value {
    json!({"scope": "policies", "bindings": bindings})
}

impl Member {
    async fn observing(&self, scope: &Scope) -> Vec<ObservingReport> {
        self.registry.observing_reports(&self.actor, scope).await.expect("an answer")
    }
}

/// What was counted of a binding, but for what was not.
fn counts(report: &ObservingReport) -> Vec<(Agreement, i64)> {
    let counts = report.tally.counts.iter().filter(|(_, count, _)| *count > 0);
    counts.map(|(agreement, count, _)| (*agreement, *count)).collect()
}

fn observed(decision: &Decision) -> Vec<(&str, Agreement)> {
    decision.observing.iter().map(|record| (record.binding.as_str(), record.agreement)).collect()
}

async fn what_a_binding_would_change_is_in_decisions_and_counted(ground: Ground) {
    let one = ground.host(limits()).await;
    let plugin = one.push("hostile-policy").await;
    let folder = tempfile::tempdir().expect("a folder");
    // No more of them break than may before a component rests, and nobody else's do.
    let own = own_copy(folder.path(), &component("hostile-policy"), &new_id(Millis::now()));
    let broken = one.push_file(&own).await;
    one.apply(notes(json!({"type": "object"}))).await;
    let forbids = json!({"break": "rules", "rules": [{"id": "r", "forbidden": "n4", "message": "no"}]});
    one.apply(policies(json!([
        binding("decides", &plugin, forbids, "enforce"),
        binding("objects", &plugin, json!({"break": "error"}), "observe"),
        binding("warns", &plugin, json!({"break": "warning"}), "observe"),
        binding("breaks", &broken, json!({"break": "panic"}), "observe"),
        binding("agrees", &plugin, json!({}), "observe"),
    ])))
    .await;
    let other = ground.host(limits()).await;
    let publishes = (0..5).map(|number| {
        let host = if number % 2 == 0 { &one } else { &other };
        async move { host.decide(&format!("n{number}"), "1.0.0", json!({})).await }
    });
    let decisions = futures_util::future::join_all(publishes).await;
    let told = [
        ("objects", Agreement::NewlyRejected),
        ("warns", Agreement::OtherFindings),
        ("breaks", Agreement::Failed),
        ("agrees", Agreement::Agreed),
    ];
    assert_eq!((decisions[0].outcome, observed(&decisions[0])), (Outcome::Approved, told.to_vec()));
    assert_eq!((&decisions[0].observing[0].scope, decisions[0].observing[0].release), (&Scope::Policies, 1));
    // Where it is rejected all the same, one more that objects changes nothing but the findings.
    let refused = [("objects", Agreement::OtherFindings), told[1], told[2], told[3]];
    assert_eq!((decisions[4].outcome, observed(&decisions[4])), (Outcome::Rejected, refused.to_vec()));
    // What the schema rejects reaches no policy; the same content again leaves no decision.
    assert!(one.decide("n0", "2.0.0", json!("no object")).await.observing.is_empty());
    one.publish("n0", "1.0.0", json!({})).await.expect("it is there");
    let (_, replayed) = one.registry.replay(&one.actor, decisions[0].id.as_str()).await.expect("it is run again");
    assert_eq!(replayed, Replay::Same);

    let reports = other.observing(&Scope::Policies).await;
    let named: Vec<_> =
        reports.iter().map(|report| (report.binding.as_str(), report.release, report.percent)).collect();
    assert_eq!(named, [("objects", 1, 100), ("warns", 1, 100), ("breaks", 1, 100), ("agrees", 1, 100)]);
    assert_eq!(counts(&reports[0]), [(Agreement::NewlyRejected, 4), (Agreement::OtherFindings, 1)]);
    assert_eq!(counts(&reports[1]), [(Agreement::OtherFindings, 5)]);
    assert_eq!(counts(&reports[2]), [(Agreement::Failed, 5)]);
    assert_eq!(counts(&reports[3]), [(Agreement::Agreed, 5)]);
    let (code, examples) = &reports[0].tally.codes[0];
    assert_eq!((code.code.as_str(), code.publishes, examples.len()), ("hostile.error", 5, 3));
    let (_, _, rejected) = &reports[0].tally.counts[1];
    let newest = decisions[..4].iter().map(|decision| &decision.id).max().expect("four");
    assert_eq!(rejected[0].decision, *newest, "the newest first");
    assert!(reports[0].tally.slower_micros.is_some() && reports[2].tally.slower_micros.is_none());
    assert!(other.observing(&"module:notes".parse().expect("a scope")).await.is_empty());
}

async fn a_release_is_counted_by_itself(ground: Ground) {
    let host = ground.host(limits()).await;
    let plugin = host.push("hostile-policy").await;
    host.apply(notes(json!({"type": "object"}))).await;
    assert!(host.observing(&Scope::Policies).await.is_empty(), "there are no policies");
    let rules = |damage: &str| policies(json!([binding("house", &plugin, json!({"break": damage}), "observe")]));
    let first = host.apply(rules("error")).await;
    host.decide("a", "1.0.0", json!({})).await;
    host.apply(rules("warning")).await;
    assert!(counts(&host.observing(&Scope::Policies).await[0]).is_empty(), "it may be another rule");
    host.decide("b", "1.0.0", json!({})).await;
    assert_eq!(counts(&host.observing(&Scope::Policies).await[0]), [(Agreement::OtherFindings, 1)]);
    host.registry.activate(&host.actor, &Scope::Policies, first, None).await.expect("it is activated");
    host.decide("c", "1.0.0", json!({})).await;
    assert_eq!(counts(&host.observing(&Scope::Policies).await[0]), [(Agreement::NewlyRejected, 2)], "it goes on");
}

async fn a_share_of_entries_is_observed(ground: Ground) {
    let host = ground.host(limits()).await;
    let plugin = host.push("hostile-policy").await;
    host.apply(notes(json!({"type": "object"}))).await;
    let mut rules = policies(json!([binding("house", &plugin, json!({"break": "error"}), "observe")]));
    rules["bindings"][0]["percent"] = json!(40);
    host.apply(rules.clone()).await;
    let kind = "notes".parse().expect("a kind");
    let mut seen = 0;
    for number in 0..12 {
        let id = format!("n{number}");
        let decision = host.decide(&id, "1.0.0", json!({})).await;
        let is_within = usize::from(sample::is_within(40, &kind, &id.parse().expect("an id")));
        let told = (decision.outcome, decision.findings.len(), decision.observing.len());
        assert_eq!(told, (Outcome::Approved, is_within, is_within), "{id}");
        seen += i64::try_from(is_within).expect("0 or 1");
    }
    let reports = host.observing(&Scope::Policies).await;
    assert_eq!((reports[0].percent, counts(&reports[0])), (40, vec![(Agreement::NewlyRejected, seen)]));
    for (mode, percent, why) in [
        ("observe", 0, "percent is 1 to 100, not 0"),
        (
            "enforce",
            40,
            "only a binding that observes can see a share of the entries: set mode = \"observe\", or remove percent",
        ),
    ] {
        rules["bindings"][0]["mode"] = json!(mode);
        rules["bindings"][0]["percent"] = json!(percent);
        let rules = serde_json::from_value(rules.clone()).expect("rules");
        let refused = host.registry.create_release(&host.actor, rules, String::new()).await.expect_err("refused");
        let RegistryError::BadRules(remarks) = refused else { panic!("{refused}") };
        assert_eq!((remarks[0].path.as_str(), remarks[0].message.as_str()), ("/bindings/0/percent", why));
    }
}

/// A host with the policies' binding `house`, which observes and objects to everything, and with that of a module of
/// the same name, which observes and breaks.
fn observed_host() -> (tempfile::TempDir, crate::support::host::Host) {
    let folder = tempfile::TempDir::new().expect("a folder");
    let house = |plugin: &str, stage: &str, damage: &str| {
        format!(
            "[[bindings]]\nname = \"house\"\nstage = \"{stage}\"\nmode = \"observe\"\ncomponent = \"{}\"\nsettings = {{ \
             break = \"{damage}\" }}\n",
            component(plugin).display()
        )
    };
    let home = folder.path().join("policies");
    fs::create_dir_all(&home).expect("a folder");
    fs::write(home.join("policy.toml"), house("hostile-policy", "policy", "error")).expect("a file");
    let modules = folder.path().join("modules");
    module(&modules, "note", &house("hostile", "validate", "panic"));
    let host = Options::new().modules(&modules).policies(&home).start();
    (folder, host)
}

#[test]
fn what_bindings_observe_is_shown_from_the_command_line() {
    let (_folder, host) = observed_host();
    let published =
        host.post("/api/notes/publish", &json!({"noteId": "a", "name": "a", "version": "1.0.0", "manifest": {}}));
    assert_eq!(published.status, 201, "{published:?}");
    let observing = &published.body["decision"]["observing"];
    assert_eq!(
        *observing,
        json!([
            {"scope": "module:notes", "release": 1, "binding": "house", "agreement": "failed"},
            {"scope": "policies", "release": 1, "binding": "house", "agreement": "newly-rejected"},
        ])
    );
    let id = published.body["decision"]["id"].as_str().expect("an id");

    let shown = told(&host, &["policy", "shadow"]);
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(lines[0], "policies: no release was ever run as a shadow");
    assert_eq!(lines[1], "observing  house of release 1, for 100 % of entries");
    assert_eq!(lines[2], "seen       1 publish: 0 agreed, 1 newly rejected, 0 with other findings, 0 failed");
    assert!(lines[3].starts_with("slower     ") && lines[3].ends_with(" us on average"), "{shown}");
    assert_eq!(lines[4], "new        hostile.error in 1");
    assert_eq!(lines[5..], [format!("             notes/a 1.0.0 (decision {id})")]);
    let shown = told(&host, &["module", "shadow", "notes"]);
    let seen = "seen       1 publish: 0 agreed, 0 newly rejected, 0 with other findings, 1 failed\nfailed     over\n";
    assert!(shown.contains(seen), "{shown}");
    let report = host.get("/api/policies/shadow").body;
    assert_eq!((&report["shadow"], &report["seen"]), (&Value::Null, &json!(0)));
    let counted = json!({"agreed": 0, "newly-rejected": 1, "other-findings": 0, "failed": 0});
    assert_eq!(report["observing"][0]["publishes"], counted);
    assert_eq!(report["observing"][0]["examples"]["newly-rejected"][0]["decisionId"], json!(id));

    let decision = told(&host, &["decision", "show", id]);
    for line in [
        "observing  house of module:notes release 1: failed\n",
        "observing  house of policies release 1: newly-rejected\n",
        "error[hostile.error] the whole submission: asked to object (house; it observes, and does not decide)\n",
    ] {
        assert!(decision.contains(line), "{line}: {decision}");
    }
    let broke = decision.lines().find(|line| line.starts_with("broke      house ")).expect("it broke");
    assert!(broke.ends_with("; it observes, and does not decide"), "{broke}");
    let explained = told(&host, &["decision", "explain", id]);
    assert!(explained.contains("at the whole submission; it observes, and does not decide"), "{explained}");
    assert!(explained.trim_end().ends_with("; it observes, and does not decide"), "{explained}");

    let metrics = host.get("/metrics").body;
    for (scope, agreement) in [("module:notes", "failed"), ("policies", "newly-rejected")] {
        let counted = format!(
            "hallmark_observing_publishes_total{{scope=\"{scope}\",binding=\"house\",agreement=\"{agreement}\"}} 1"
        );
        assert!(metrics.as_str().expect("text").contains(&counted), "{metrics}");
    }
}
