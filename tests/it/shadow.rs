//! Releases that run beside the active one: what they would have said, what becomes of staged ones, and that none of
//! it touches a publish. Each case on both engines, most on two hosts.

use std::fs;

use hallmark::clock::{Millis, new_id};
use hallmark::names::Scope;
use hallmark::registry::release::ReleaseRef;
use hallmark::registry::replay::Replay;
use hallmark::registry::shadow::{Agreement, Plan, ShadowReport, ShadowRow, ShadowState, ShadowWanted};
use hallmark::registry::staging::Budget;
use hallmark::registry::store::{NewRelease, ShadowStore as _, Store as _};
use hallmark::registry::{Decision, Outcome};
use serde_json::{Value, json};

use crate::support::command::{against, text, told};
use crate::support::ground::{Ground, Member, limits, notes, notes_scope, on_both_engines};
use crate::support::host::{Host, Options, until};
use crate::support::rules::module;

const HOUR_MS: i64 = 3_600_000;

on_both_engines! {
    what_a_shadow_would_say_is_in_decisions_and_counted,
    a_share_of_entries_is_shadowed,
    a_scope_has_one_shadow,
    a_staged_release_is_activated_once,
    a_staged_release_demotes_itself_and_says_so,
    a_staged_release_demotes_itself_beyond_each_budget,
    a_shadow_that_breaks_touches_nothing,
    a_shadow_that_cannot_be_loaded_keeps_nobody_from_being_judged,
}

/// Notes that need a text.
fn strict() -> Value {
    notes(json!({"type": "object", "required": ["text"]}))
}

fn wanted(release: i64, plan: Option<Plan>) -> ShadowWanted {
    ShadowWanted { release, percent: 100, plan }
}

impl Member {
    async fn shadow(&self, wanted: ShadowWanted, at: Millis) -> ShadowRow {
        self.registry.start_shadow(&self.actor, &notes_scope(), wanted, at).await.expect("it starts")
    }

    async fn report(&self, scope: &Scope) -> ShadowReport {
        self.registry.shadow_report(&self.actor, scope).await.expect("an answer").expect("a shadow")
    }

    /// Publishes until the host has learnt of a shadow.
    async fn learns(&self) -> Decision {
        for turn in 0.. {
            let decision = self.decide("learns", &format!("1.0.{turn}"), json!({"text": "a"})).await;
            if !decision.shadows.is_empty() {
                return decision;
            }
            tokio::task::yield_now().await;
        }
        unreachable!()
    }
}

fn counts(report: &ShadowReport) -> Vec<(Agreement, i64)> {
    report
        .tally
        .counts
        .iter()
        .filter(|(_, count, _)| *count > 0)
        .map(|(agreement, count, _)| (*agreement, *count))
        .collect()
}

async fn what_a_shadow_would_say_is_in_decisions_and_counted(ground: Ground) {
    let one = ground.host(limits()).await;
    one.apply(notes(json!({"type": "object"}))).await;
    let candidate = one.release(strict()).await;
    let shadow = one.shadow(wanted(candidate, None), Millis::now()).await;
    let other = ground.host(limits()).await;
    other.learns().await;
    let before = counts(&one.report(&notes_scope()).await);
    let agreed_before = before.iter().map(|(_, count)| count).sum::<i64>();
    assert_eq!(before, [(Agreement::Agreed, agreed_before)]);

    let (good, bad) = (json!({"text": "a"}), json!({}));
    let publishes = (0..12).map(|number| {
        let (host, manifest) = if number % 2 == 0 { (&one, &good) } else { (&other, &bad) };
        let manifest = manifest.clone();
        async move { host.decide(&format!("n{number}"), "1.0.0", manifest).await }
    });
    let decisions = futures_util::future::join_all(publishes).await;
    for (number, decision) in decisions.iter().enumerate() {
        assert_eq!(decision.outcome, Outcome::Approved, "the active release decides");
        let beside = &decision.shadows[0];
        assert_eq!((beside.id.as_str(), beside.release, &beside.scope), (shadow.id.as_str(), 2, &notes_scope()));
        let codes: Vec<_> = beside.new_findings.iter().map(|finding| finding.remark.code.as_str()).collect();
        let told = (beside.outcome, beside.agreement, codes);
        match number % 2 {
            0 => assert_eq!(told, (Outcome::Approved, Agreement::Agreed, vec![])),
            _ => assert_eq!(told, (Outcome::Rejected, Agreement::NewlyRejected, vec!["schema.required"])),
        }
    }
    // Run again, a decision is the same whatever ran beside it.
    let (_, replayed) = one.registry.replay(&one.actor, decisions[1].id.as_str()).await.expect("it is run again");
    assert_eq!(replayed, Replay::Same);
    // What both refuse is agreed upon; the same content again leaves no decision, and counts for nothing.
    let refused = one.decide("n0", "2.0.0", json!("no object")).await;
    assert_eq!((refused.outcome, refused.shadows[0].agreement), (Outcome::Rejected, Agreement::Agreed));
    one.publish("n0", "1.0.0", good.clone()).await.expect("it is there");

    let report = other.report(&notes_scope()).await;
    assert_eq!(counts(&report), [(Agreement::Agreed, agreed_before + 7), (Agreement::NewlyRejected, 6)]);
    let (code, examples) = &report.tally.codes[0];
    assert_eq!((code.code.as_str(), code.publishes, examples.len()), ("schema.required", 6, 3));
    assert_eq!(examples[0].kind.as_str(), "notes");
    let stopped = other.registry.stop_shadow(&other.actor, &notes_scope(), Millis::now()).await.expect("it stops");
    assert_eq!((stopped.state, stopped.reason.as_str()), (ShadowState::Stopped, "stopped by hand"));
    assert!(other.decide("n99", "1.0.0", good).await.shadows.is_empty());
}

async fn a_share_of_entries_is_shadowed(ground: Ground) {
    let host = ground.host(limits()).await;
    host.apply(notes(json!({"type": "object"}))).await;
    let candidate = host.release(strict()).await;
    let wanted = ShadowWanted { release: candidate, percent: 30, plan: None };
    host.shadow(wanted, Millis::now()).await;
    let kind = "notes".parse().expect("a kind");
    let mut seen = 0;
    for number in 0..40 {
        let id = format!("n{number}");
        let decision = host.decide(&id, "1.0.0", json!({"text": "a"})).await;
        let is_within = hallmark::registry::sample::is_within(30, &kind, &id.parse().expect("an id"));
        assert_eq!(decision.shadows.len(), usize::from(is_within), "{id}");
        seen += decision.shadows.len();
    }
    assert!((1..40).contains(&seen), "{seen}");
}

async fn a_scope_has_one_shadow(ground: Ground) {
    let one = ground.host(limits()).await;
    one.apply(notes(json!({"type": "object"}))).await;
    let candidate = one.release(strict()).await;
    let other = ground.host(limits()).await;
    let start = |host: &Member| {
        let (registry, actor) = (host.registry.clone(), host.actor.clone());
        async move { registry.start_shadow(&actor, &notes_scope(), wanted(candidate, None), Millis::now()).await }
    };
    let (first, second) = tokio::join!(start(&one), start(&other));
    assert_eq!([&first, &second].iter().filter(|started| started.is_ok()).count(), 1);
    let refused = first.err().or(second.err()).expect("one is refused").to_string();
    assert_eq!(refused, "a shadow of module:notes runs already, of release 2, started by ada: stop it first");
    let refusal = |release, percent, scope: &str| {
        let scope: Scope = scope.parse().expect("a scope");
        let one = &one;
        async move {
            let wanted = ShadowWanted { release, percent, plan: None };
            one.registry.start_shadow(&one.actor, &scope, wanted, Millis::now()).await.expect_err("refused").to_string()
        }
    };
    assert_eq!(
        refusal(1, 100, "module:notes").await,
        "release 1 of module:notes is the active one, and would be compared with itself: name another (`hallmark module \
         releases notes`)"
    );
    assert_eq!(refusal(2, 0, "module:notes").await, "percent is 1 to 100, not 0");
    assert_eq!(
        refusal(9, 100, "module:notes").await,
        "no release 9 of module:notes: `hallmark module releases notes` lists those there are"
    );
    let policies = one.release(json!({"scope": "policies", "description": "none"})).await;
    assert_eq!(
        refusal(policies, 100, "policies").await,
        "policies has no active release to run beside: activate release 1"
    );
}

async fn a_staged_release_is_activated_once(ground: Ground) {
    let one = ground.host(limits()).await;
    let first = one.apply(notes(json!({"type": "object"}))).await;
    let candidate = one.release(strict()).await;
    let start = Millis(1_800_000_000_000);
    let plan = Plan { after_publishes: 3, after_hours: 2, ..Plan::default() };
    let shadow = one.shadow(wanted(candidate, Some(plan)), start).await;
    assert_eq!((shadow.state, shadow.plan.expect("a plan").expected), (ShadowState::Staged, Some(first)));
    let other = ground.host(limits()).await;
    let after = |hours: i64| Millis(start.0 + hours * HOUR_MS);
    let both = |at: Millis| {
        let hosts = [one.registry.clone(), other.registry.clone()];
        let advance = move |registry: std::sync::Arc<hallmark::registry::Registry>| async move {
            registry.advance_staged(at).await.expect("an answer")
        };
        futures_util::future::join_all(hosts.map(advance))
    };
    for number in 0..2 {
        one.decide(&format!("n{number}"), "1.0.0", json!({"text": "a"})).await;
    }
    assert!(both(after(3)).await.concat().is_empty(), "too few publishes");
    one.decide("n2", "1.0.0", json!({"text": "a"})).await;
    assert!(both(after(1)).await.concat().is_empty(), "too soon");
    let advanced = both(after(2)).await.concat();
    assert_eq!(advanced.len(), 1, "one host does it: {advanced:?}");
    assert_eq!(
        (advanced[0].state, advanced[0].reason.as_str()),
        (ShadowState::Activated, "automatically after 3 publishes and 2 hours")
    );
    for host in [&one, &other] {
        let decision = host.decide("n3", "1.0.0", json!({})).await;
        assert_eq!((decision.outcome, decision.releases[0].number), (Outcome::Rejected, candidate));
        assert!(decision.shadows.is_empty());
    }
    assert!(both(after(9)).await.concat().is_empty(), "it is over");
    assert_eq!(one.report(&notes_scope()).await.shadow.state, ShadowState::Activated);
}

async fn a_staged_release_demotes_itself_and_says_so(ground: Ground) {
    let host = ground.host(limits()).await;
    let first = host.apply(notes(json!({"type": "object"}))).await;
    let candidate = host.release(strict()).await;
    let start = Millis(1_800_000_000_000);
    let plan = Plan { at: Some(Millis(start.0 + HOUR_MS)), ..Plan::default() };
    host.shadow(wanted(candidate, Some(plan.clone())), start).await;
    host.decide("n1", "1.0.0", json!({})).await;
    // Its time has come, and it disagreed: it is demoted and not activated.
    let later = Millis(start.0 + 2 * HOUR_MS);
    let advanced = host.registry.advance_staged(later).await.expect("an answer");
    let why = "it would newly reject at least 1 publish, its budget of rejections is 0";
    assert_eq!((advanced[0].state, advanced[0].reason.as_str()), (ShadowState::Demoted, why));
    let report = host.report(&notes_scope()).await;
    assert_eq!((report.shadow.state, report.shadow.reason.as_str()), (ShadowState::Demoted, why));
    assert!(host.registry.advance_staged(later).await.expect("an answer").is_empty());
    assert_eq!(host.decide("n2", "1.0.0", json!({})).await.releases[0].number, first);

    // Within its budget it goes on.
    let budget = Budget { rejections: 1, ..Budget::default() };
    host.shadow(wanted(candidate, Some(Plan { budget, ..plan.clone() })), start).await;
    host.decide("n3", "1.0.0", json!({})).await;
    assert!(host.registry.advance_staged(start).await.expect("an answer").is_empty());
    // Somebody puts another release in force: this one was not proved beside it.
    let third = host.apply(notes(json!({"type": "object", "title": "third"}))).await;
    let advanced = host.registry.advance_staged(start).await.expect("an answer");
    assert_eq!(
        (advanced[0].state, advanced[0].reason.as_str()),
        (ShadowState::Demoted, "release 3 is active, and it was to take the place of release 1")
    );
    host.shadow(wanted(candidate, Some(plan)), start).await;
    host.registry.activate(&host.actor, &notes_scope(), candidate, Some(Some(third))).await.expect("it is activated");
    let advanced = host.registry.advance_staged(start).await.expect("an answer");
    assert_eq!((advanced[0].state, advanced[0].reason.as_str()), (ShadowState::Activated, "activated by hand"));
}

/// Why a staged release of the policies demotes itself: after so many publishes, and not before.
async fn demotes_itself(host: &Member, release: i64, budget: Budget, publishes: usize) -> String {
    let start = Millis(1_800_000_000_000);
    let plan = Plan { at: Some(Millis(start.0 + HOUR_MS)), budget, ..Plan::default() };
    let wanted = wanted(release, Some(plan));
    let shadow = host.registry.start_shadow(&host.actor, &Scope::Policies, wanted, start).await.expect("it starts");
    for number in 0..publishes {
        let advanced = host.registry.advance_staged(start).await.expect("an answer");
        assert!(advanced.is_empty(), "after {number} publishes: {}", advanced[0].reason);
        let decision = host.decide(&shadow.id, &format!("1.0.{number}"), json!({})).await;
        assert_eq!(decision.shadows.len(), 1);
    }
    let mut advanced = host.registry.advance_staged(start).await.expect("an answer");
    let ended = advanced.pop().expect("it demotes itself");
    assert_eq!(ended.state, ShadowState::Demoted);
    ended.reason
}

async fn a_staged_release_demotes_itself_beyond_each_budget(ground: Ground) {
    let host = ground.host(limits()).await;
    let plugin = host.push("hostile-policy").await;
    host.apply(notes(json!({"type": "object"}))).await;
    host.apply(policies(&plugin, json!({}))).await;
    let release = |settings: Value| host.release(policies(&plugin, settings));
    let rejects = release(json!({"break": "error"})).await;
    let warns = release(json!({"break": "warning"})).await;
    let breaks = release(json!({"break": "panic"})).await;
    let spins = release(json!({"break": "spin", "amount": 5_000_000})).await;
    let some = Budget { rejections: 1, ..Budget::default() };
    assert_eq!(
        demotes_itself(&host, rejects, some, 2).await,
        "it would newly reject at least 2 publishes, its budget of rejections is 1"
    );
    // A new rejection is a disagreement too; so is a finding that rejects nothing.
    let few = |disagreements| Budget { rejections: 9, disagreements: Some(disagreements), ..Budget::default() };
    assert_eq!(
        demotes_itself(&host, rejects, few(0), 1).await,
        "it disagrees with the active release over at least 1 publish, its budget of disagreements is 0"
    );
    assert_eq!(
        demotes_itself(&host, warns, few(2), 3).await,
        "it disagrees with the active release over at least 3 publishes, its budget of disagreements is 2"
    );
    let some = Budget { failures: 1, ..Budget::default() };
    assert_eq!(
        demotes_itself(&host, breaks, some, 2).await,
        "it failed over at least 2 publishes, its budget of failures is 1"
    );
    let fast = Budget { slower_ms: Some(0), ..Budget::default() };
    let slower = demotes_itself(&host, spins, fast, 10).await;
    let (start, end) =
        ("it is ", " ms slower than the active release on average over 10 publishes, its budget is 0 ms");
    assert!(slower.starts_with(start) && slower.ends_with(end), "{slower}");

    // Where everything is rejected, a release that approves disagrees.
    let active = rejects;
    host.registry.activate(&host.actor, &Scope::Policies, active, None).await.expect("it is activated");
    assert_eq!(
        demotes_itself(&host, spins, few(1), 2).await,
        "it disagrees with the active release over at least 2 publishes, its budget of disagreements is 1"
    );
}

/// Policies with one binding.
fn policies(plugin: &str, settings: Value) -> Value {
    json!({
        "scope": "policies",
        "bindings": [{"name": "house", "stage": "policy", "plugin": plugin, "settings": settings}],
    })
}

async fn a_shadow_that_breaks_touches_nothing(ground: Ground) {
    let host = ground.host(limits()).await;
    let plugin = host.push("hostile-policy").await;
    host.apply(notes(json!({"type": "object"}))).await;
    host.apply(policies(&plugin, json!({}))).await;
    let candidate = host.release(policies(&plugin, json!({"break": "panic"}))).await;
    let wanted = wanted(candidate, None);
    host.registry.start_shadow(&host.actor, &Scope::Policies, wanted, Millis::now()).await.expect("it starts");
    // More often than a plugin may break before it rests: the same component goes on where it decides.
    for number in 0..limits().plugin_failures_max + 3 {
        let decision = host.decide(&format!("n{number}"), "1.0.0", json!({})).await;
        assert_eq!((decision.outcome, decision.failures.len()), (Outcome::Approved, 0));
        let beside = &decision.shadows[0];
        assert_eq!((beside.outcome, beside.agreement), (Outcome::Failed, Agreement::Failed));
        assert_eq!(beside.failures[0].plugin.as_deref(), Some("house"));
    }
    assert_eq!(counts(&host.report(&Scope::Policies).await), [(Agreement::Failed, 8)]);
}

async fn a_shadow_that_cannot_be_loaded_keeps_nobody_from_being_judged(ground: Ground) {
    let one = ground.host(limits()).await;
    one.apply(notes(json!({"type": "object"}))).await;
    one.apply(json!({"scope": "policies", "description": "none"})).await;
    // A host that has the bytes started it; here they are missing.
    let rules = policies(&hallmark::names::Digest::of(b"gone").to_string(), json!({})).to_string();
    let new = NewRelease {
        scope: Scope::Policies,
        digest: hallmark::names::Digest::of(rules.as_bytes()),
        rules,
        author: "ada".to_owned(),
        message: String::new(),
        created_at: Millis(0),
    };
    let release: ReleaseRef = one.database.create_release(&one.actor.tenant, &new).await.expect("a release").release;
    let shadow = ShadowRow {
        id: new_id(Millis::now()),
        release,
        percent: 100,
        state: ShadowState::Shadowing,
        reason: String::new(),
        plan: None,
        started_by: "ada".to_owned(),
        started_at: Millis(0),
        changed_by: "ada".to_owned(),
        changed_at: Millis(0),
    };
    assert!(one.database.insert_shadow(&one.actor.tenant, &shadow).await.expect("an answer"));
    assert!(!one.database.insert_shadow(&one.actor.tenant, &shadow).await.expect("an answer"), "one of a scope");
    let other = ground.host(limits()).await;
    let decision = other.learns().await;
    let cause = &decision.shadows[0].failures[0].cause;
    assert!(cause.starts_with("the release cannot be loaded: "), "{cause}");
    assert_eq!((decision.outcome, decision.shadows[0].agreement), (Outcome::Approved, Agreement::Failed));
    assert_eq!(other.registry.health().await.rules, Ok(()));
    let report = other.report(&Scope::Policies).await;
    assert!(report.unable.expect("this host cannot run it").contains("house"), "it names the binding");
}

/// What a command writes that is refused.
fn refused(host: &Host, arguments: &[&str]) -> String {
    let output = against(host, arguments);
    assert_ne!(output.status.code(), Some(0), "{arguments:?}");
    text(&output.stderr)
}

fn note(id: &str, version: &str, manifest: Value) -> Value {
    json!({"noteId": id, "name": id, "version": version, "manifest": manifest})
}

#[test]
fn shadows_are_started_shown_and_staged_from_the_command_line() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let home = module(folder.path(), "note", "");
    let host = Options::new().modules(&home).limit("staged_poll_ms", 20).limit("release_poll_ms", 50).start();
    fs::write(home.join("schema.json"), r#"{"type": "object", "required": ["text"]}"#).expect("a file");
    let scope = ["module", "shadow", "notes"];
    let shadow = |more: &[&'static str]| [&scope[..], more].concat();
    let never = "module:notes: no release was ever run as a shadow, and no binding of the active one observes\n";
    assert_eq!(told(&host, &scope), never);
    let rules = host.get("/api/modules/notes").body["rules"].clone();
    let mut stricter = rules.clone();
    stricter["kinds"][0]["schema"] = json!({"type": "object", "required": ["text"]});
    let released = host.post("/api/modules/notes/releases", &json!({"rules": stricter}));
    assert_eq!(released.status, 201, "{released:?}");
    assert_eq!(
        told(&host, &shadow(&["start", "2", "--percent", "100"])),
        "module:notes: release 2 shadows the active one, for 100 % of entries\n"
    );
    let again = host.post("/api/modules/notes/shadow", &json!({"release": 2}));
    assert_eq!((again.status, &again.body["code"]), (409, &json!("shadow-running")));
    let published = host.post("/api/notes/publish", &note("a", "1.0.0", json!({})));
    assert_eq!(
        (published.status, &published.body["decision"]["shadows"][0]["agreement"]),
        (201, &json!("newly-rejected"))
    );
    let shown = told(&host, &scope);
    assert!(shown.starts_with("module:notes: release 2 is shadowing, for 100 % of entries, started "), "{shown}");
    let seen = "seen       1 publish: 0 agreed, 1 newly rejected, 0 newly approved, 0 with other findings, 0 failed\n";
    assert!(shown.contains(seen), "{shown}");
    assert!(shown.contains("new        schema.required in 1\n             notes/a 1.0.0 (decision "), "{shown}");
    let id = published.body["decision"]["id"].as_str().expect("an id");
    let decision = told(&host, &["decision", "show", id]);
    assert!(decision.contains("beside     module:notes release 2: rejected (newly-rejected), "), "{decision}");
    assert!(
        decision.contains("         + error[schema.required] /manifest: the field 'text' is missing"),
        "{decision}"
    );
    let metrics = host.get("/metrics").body;
    for counted in [
        r#"hallmark_shadow_publishes_total{scope="module:notes",agreement="newly-rejected"} 1"#,
        r#"hallmark_shadow_duration_seconds_count{scope="module:notes"} 1"#,
    ] {
        assert!(metrics.as_str().expect("text").contains(counted), "{metrics}");
    }
    assert_eq!(told(&host, &shadow(&["stop"])), "module:notes: the shadow of release 2 is stopped\n");
    assert!(refused(&host, &shadow(&["stop"])).contains("no running shadow of 'module:notes'"));
    is_staged_from_the_command_line(&host);
}

/// The plan that the audit log has of the newest staged release, once it is sealed.
fn audited_plan(host: &Host) -> Value {
    let rows = || host.get("/api/audit?limit=100").body["items"].as_array().cloned().unwrap_or_default();
    let staged = || rows().into_iter().rfind(|row| row["what"] == "shadow.staged");
    until("the row is sealed", || staged().is_some());
    staged().expect("a row")["body"]["plan"].clone()
}

/// What the second release, which is stricter, is staged with, and what becomes of it.
fn is_staged_from_the_command_line(host: &Host) {
    let scope = ["module", "shadow", "notes"];
    let activate = ["module", "activate", "notes", "2"];
    let with = |more: &[&'static str]| [&activate[..], more].concat();
    let lacks = "error: a budget is for a staged release: add --at, --after-publishes or --after-hours\n";
    assert_eq!(refused(host, &with(&["--budget-failures", "1"])), lacks);
    let no_time = refused(host, &with(&["--at", "soon"]));
    assert!(no_time.contains("at: 'soon' is not an instant: write it as in 2026-12-31"), "{no_time}");
    let past = refused(host, &with(&["--at", "2020-01-01"]));
    assert!(past.contains("at: 2020-01-01T00:00:00.000Z is past: name an instant to come, in UTC"), "{past}");
    let allowed = ["--budget-rejections", "1", "--budget-disagreements", "5", "--budget-slower-ms", "600000"];
    assert_eq!(
        told(host, &with(&[&["--after-publishes", "2"], &allowed[..]].concat())),
        "module:notes: release 2 is staged to take the place of release 1\n"
    );
    let shown = told(host, &scope);
    let plan = "plan       after 2 publishes in the place of release 1; budget: 1 newly rejected, 5 disagreeing, 0 failed, \
                600000 ms slower\n";
    assert!(shown.contains(plan), "{shown}");
    let audited = audited_plan(host);
    let budget = json!({"rejections": 1, "disagreements": 5, "failures": 0, "slowerMs": 600_000});
    assert_eq!((&audited["afterPublishes"], &audited["budget"]), (&json!(2), &budget));
    host.post("/api/notes/publish", &note("b", "1.0.0", json!({})));
    host.post("/api/notes/publish", &note("c", "1.0.0", json!({"text": "a"})));
    until("the staged release is activated", || told(host, &scope).contains("release 2 is activated"));
    assert!(told(host, &scope).contains("because    automatically after 2 publishes, "));
    assert_eq!(host.post("/api/notes/publish", &note("d", "1.0.0", json!({}))).status, 422);

    // Back to the first, and the second staged again: now it newly rejects more than it may.
    told(host, &["module", "rollback", "notes", "1"]);
    let stage = host.post("/api/modules/notes/stage", &json!({"release": 2, "at": "2100-01-01"}));
    assert_eq!((stage.status, &stage.body["plan"]["at"]), (201, &json!("2100-01-01T00:00:00.000Z")));
    let nothing = host.post("/api/modules/notes/stage", &json!({"release": 2}));
    assert_eq!((nothing.status, &nothing.body["code"]), (422, &json!("bad-change")));
    let unknown = json!({"release": 2, "afterHours": 1, "budget": {"surprises": 1}});
    assert_eq!(host.post("/api/modules/notes/stage", &unknown).status, 400, "a budget that nobody knows");
    host.post("/api/notes/publish", &note("e", "1.0.0", json!({})));
    until("the staged release demotes itself", || told(host, &scope).contains("release 2 is demoted"));
    assert_eq!(host.get("/api/modules/notes").body["release"]["number"], json!(1));
    let metrics = host.get("/metrics").body.to_string();
    for state in ["activated", "demoted"] {
        assert!(
            metrics.contains(&format!(
                "hallmark_shadow_ended_total{{scope=\\\"module:notes\\\",state=\\\"{state}\\\"}} 1"
            ))
        );
    }
}
