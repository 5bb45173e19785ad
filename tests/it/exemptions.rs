//! Exemptions: what they let pass, that they end by themselves, and that nothing is committed by one that was taken back.

use hallmark::clock::Millis;
use hallmark::config::Limits;
use hallmark::registry::exemptions::{Exemption, ExemptionWanted};
use hallmark::registry::replay::Replay;
use hallmark::registry::{Outcome, RegistryError};
use serde_json::{Value, json};

use crate::support::command::{against, argument, text};
use crate::support::ground::{Ground, Member, limits, notes, on_both_engines};
use crate::support::host::{Host, Options};
use crate::support::rules::{module, own_binding, submission};

const DAY_MS: i64 = 86_400_000;

on_both_engines! {
    an_exemption_lets_pass_until_it_ends,
    nothing_is_committed_by_an_exemption_that_was_taken_back,
    exemptions_that_cannot_be_are_refused,
    a_code_that_nothing_in_force_is_known_to_give_is_told,
}

fn wanted(pattern: &str, until: i64) -> ExemptionWanted {
    ExemptionWanted {
        pattern: pattern.to_owned(),
        code: "hostile.error".to_owned(),
        binding: None,
        until: Millis(until),
        reason: "moving house".to_owned(),
        undocumented: false,
    }
}

impl Member {
    async fn exempt(&self, wanted: ExemptionWanted, at: Millis) -> Result<Exemption, RegistryError> {
        self.registry.exempt(&self.actor, wanted, at).await.map(|made| made.exemption)
    }

    /// With a policy that objects to everything.
    async fn objects(&self) {
        let plugin = self.push("hostile-policy").await;
        self.apply(notes(json!({"type": "object"}))).await;
        let binding = json!({"name": "house", "stage": "policy", "plugin": plugin, "settings": {"break": "error"}});
        self.apply(json!({"scope": "policies", "bindings": [binding]})).await;
    }
}

async fn an_exemption_lets_pass_until_it_ends(ground: Ground) {
    let host = ground.host(limits()).await;
    host.objects().await;
    let now = Millis::now();
    assert_eq!(host.decide("old-a", "1.0.0", json!({})).await.outcome, Outcome::Rejected);
    // Made two days ago until yesterday: it ended by itself.
    let ended = wanted("notes/old-*", now.0 - DAY_MS);
    host.exempt(ended, Millis(now.0 - 2 * DAY_MS)).await.expect("it is made");
    assert_eq!(host.decide("old-a", "1.0.0", json!({})).await.outcome, Outcome::Rejected);
    let exemption = host.exempt(wanted("notes/old-*", now.0 + DAY_MS), now).await.expect("it is made");
    let decision = host.decide("old-a", "1.0.0", json!({})).await;
    assert_eq!(decision.outcome, Outcome::Approved);
    let passed = decision.findings[0].exemption.as_ref().expect("the finding stays, with what lets it pass");
    assert_eq!((&passed.id, passed.reason.as_str()), (&exemption.id, "moving house"));
    // Run again, it passes by what the decision says let it pass, whatever holds by then.
    let (_, replayed) = host.registry.replay(&host.actor, decision.id.as_str()).await.expect("it is run again");
    assert_eq!(replayed, Replay::Same);
    assert_eq!(host.decide("new-a", "1.0.0", json!({})).await.outcome, Outcome::Rejected);
    let held = host.registry.exemptions(&host.actor, Some(now), None, 10).await.expect("a page").items;
    assert_eq!(held, [exemption]);
    let all = host.registry.exemptions(&host.actor, None, None, 10).await.expect("a page").items;
    assert_eq!(all.len(), 2);
}

async fn nothing_is_committed_by_an_exemption_that_was_taken_back(ground: Ground) {
    // Neither host looks for changes by itself: only the commit can tell.
    let (one, other) = (ground.host(limits()).await, ground.host(limits()).await);
    one.objects().await;
    let now = Millis::now();
    let exemption = one.exempt(wanted("*/*", now.0 + DAY_MS), now).await.expect("it is made");
    assert_eq!(one.decide("a", "1.0.0", json!({})).await.outcome, Outcome::Approved);
    let revoke = |id: &str| {
        let (registry, actor, id) = (other.registry.clone(), other.actor.clone(), id.to_owned());
        async move { registry.revoke_exemption(&actor, &id, now).await }
    };
    let revoked = revoke(&exemption.id).await.expect("it is there");
    assert_eq!(revoked.revoked, Some((now, "ada".to_owned())));
    assert_eq!(revoke(&exemption.id).await.expect("it is there"), revoked, "twice is once");
    assert_eq!(revoke("none").await.expect_err("it is not there").to_string(), "no exemption 'none'");
    assert_eq!(one.decide("b", "1.0.0", json!({})).await.outcome, Outcome::Rejected);
    assert_eq!(one.decide("a", "2.0.0", json!({})).await.outcome, Outcome::Rejected);
}

async fn exemptions_that_cannot_be_are_refused(ground: Ground) {
    let host = ground.host(Limits { exemptions_max: 1, exemption_days_max: 30, ..limits() }).await;
    host.objects().await;
    let now = Millis::now();
    let refused = |wanted: ExemptionWanted| {
        let host = &host;
        async move { host.exempt(wanted, now).await.expect_err("it is refused").to_string() }
    };
    let good = || wanted("notes/a", now.0 + DAY_MS);
    for (wanted, why) in [
        (wanted("notes", now.0 + 1), "'notes' is not a pattern of entries: write KIND/ENTRY, as in agents/weather"),
        (wanted("agents/a", now.0 + 1), "no kind is like 'agents'; known kinds are: notes"),
        (wanted("notes/a", now.0), "the exemption's end has gone by: name a later one"),
        (
            wanted("notes/a", now.0 + 30 * DAY_MS + 1),
            "the exemption would hold for more than 30 days (exemption_days_max): name an earlier end",
        ),
        (
            ExemptionWanted { code: "schema.required".to_owned(), ..good() },
            "'schema.required' cannot be exempted: what the schema or a resolver refuses ends the run",
        ),
        (ExemptionWanted { code: "hostile.*".to_owned(), ..good() }, "an exemption is for one finding's code"),
        (ExemptionWanted { reason: " ".to_owned(), ..good() }, "an exemption needs a reason of at most 2000 bytes"),
        (
            ExemptionWanted { binding: Some("hous".to_owned()), ..good() },
            "no validator or policy in force is called 'hous'; there are: house",
        ),
        (
            ExemptionWanted { code: "hostile.eror".to_owned(), ..good() },
            "no validator or policy in force for 'notes/a' documents the code 'hostile.eror', and no other plugin does: did \
             you mean 'hostile.error'? (`undocumented` (--undocumented) exempts one that a plugin gives without saying so)",
        ),
        (
            ExemptionWanted { code: "quite.another-thing".to_owned(), binding: Some("house".to_owned()), ..good() },
            "the binding 'house' does not document the code 'quite.another-thing', and no other plugin does; known are \
             hostile.answer, ",
        ),
    ] {
        let told = refused(wanted).await;
        assert!(told.starts_with(why), "{told}");
    }
    host.exempt(good(), now).await.expect("it is made");
    assert_eq!(refused(good()).await, "1 exemptions hold already (exemptions_max): take back some of them first");
}

async fn a_code_that_nothing_in_force_is_known_to_give_is_told(ground: Ground) {
    let host = ground.host(limits()).await;
    let (hostile, cel) = (host.push("hostile").await, host.push("cel").await);
    host.apply(notes(json!({"type": "object"}))).await;
    let rules = json!([{"id": "note.tags", "title": "Tags", "expression": "true"}]);
    let house = json!({"name": "house", "stage": "policy", "plugin": cel, "settings": {"rules": rules}});
    host.apply(json!({"scope": "policies", "bindings": [house]})).await;
    let now = Millis::now();
    let note = |code: &str, undocumented: bool| {
        let wanted = ExemptionWanted { code: code.to_owned(), undocumented, ..wanted("notes/*", now.0 + DAY_MS) };
        let host = &host;
        async move {
            host.registry.exempt(&host.actor, wanted, now).await.map(|made| made.note).map_err(|it| it.to_string())
        }
    };
    assert_eq!(note("rule.note.tags", false).await, Ok(None));
    assert_eq!(note("policy.not-evaluated", false).await, Ok(None));
    assert_eq!(
        note("rule.note.tgas", false).await,
        Ok(Some(
            "it may let nothing pass: the settings of 'house', which could give 'rule.note.tgas', name no 'note.tgas'; did you \
             mean 'rule.note.tags'?"
                .to_owned()
        ))
    );
    // The plugin is there, and no release puts it to work yet.
    assert_eq!(
        note("hostile.error", false).await,
        Ok(Some(
            "it lets nothing pass for now: no validator or policy in force for 'notes/*' documents the code \
             'hostile.error'; the plugin hostile 0.1.0 does, where a release puts it to work"
                .to_owned()
        ))
    );
    let refused = note("rul.note.tags", false).await.expect_err("nobody documents it");
    assert!(refused.contains("did you mean 'rule.note.tags'?"), "{refused}");
    assert_eq!(note("rul.note.tags", true).await, Ok(None));
    // A module's own plugin is not one of another module's kinds.
    let binding = json!({"name": "own", "stage": "validate", "plugin": hostile, "settings": {}});
    let mut module = notes(json!({"type": "object"}));
    module["bindings"] = json!([binding]);
    host.apply(module).await;
    assert_eq!(note("hostile.error", false).await, Ok(None));
}

fn told(host: &Host, arguments: &[&str]) -> (String, String) {
    let output = against(host, arguments);
    (text(&output.stdout), text(&output.stderr))
}

#[test]
fn exemptions_are_made_listed_and_taken_back_from_the_command_line() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let strict = own_binding(folder.path(), "strict", "validate", "hostile", "{ break = \"error\" }");
    let home = module(folder.path(), "note", &strict);
    let host = Options::new().modules(&home).start();
    let publish = |id: &str| host.post("/api/notes/publish", &submission("note", id));
    assert_eq!(publish("a").status, 422);
    assert_eq!(told(&host, &["policy", "exemptions"]).0, "no exemption holds\n");
    let reason = ["--reason", "ada allows it", "--until", "2100-01-01"];
    let exempt = |entries: &'static str, more: &[&'static str]| {
        let arguments = [&["policy", "exempt", entries, "hostile.error"][..], more, &reason[..]].concat();
        told(&host, &arguments)
    };
    let too_long = exempt("notes/a", &[]).1;
    assert!(too_long.contains("the exemption would hold for more than 366 days (exemption_days_max)"), "{too_long}");
    let soon = date(Millis::now().0 + 30 * DAY_MS);
    let misspelt = told(&host, &["policy", "exempt", "notes/a", "hostile.eror", "--reason", "r", "--until", &soon]).1;
    assert!(misspelt.contains("did you mean 'hostile.error'? (`undocumented` (--undocumented) exempts"), "{misspelt}");
    let insisted = ["policy", "exempt", "other/a", "x.y", "--undocumented", "--reason", "r", "--until", &soon];
    assert!(told(&host, &insisted).1.contains("no kind is like 'other'"));
    let made = host.post(
        "/api/policies/exemptions",
        &json!({"entries": "notes/a*", "code": "hostile.error", "binding": "strict", "until": soon, "reason": "moving"}),
    );
    assert_eq!((made.status, &made.body["state"], &made.body["entries"]), (201, &json!("holding"), &json!("notes/a*")));
    let id = made.body["id"].as_str().expect("an id").to_owned();
    let report = host.post("/api/notes/validate", &submission("note", "a")).body;
    assert_eq!((&report["valid"], &report["findings"][0]["exemption"]["id"]), (&json!(true), &json!(id)));
    let published = publish("a");
    let finding: &Value = &published.body["decision"]["findings"][0];
    assert_eq!((published.status, &finding["exemption"]["reason"]), (201, &json!("moving")));
    assert_eq!(publish("b").status, 422);
    let file = folder.path().join("a1.json");
    std::fs::write(&file, submission("note", "a1").to_string()).expect("a file");
    let shown = told(&host, &["publish", argument(&file)]).0;
    let passed = format!(
        "\n  error[hostile.error] the whole submission: asked to object (strict; passed by exemption {id}: moving)\n"
    );
    assert!(shown.starts_with("published notes/a1 1.0.0 (decision ") && shown.ends_with(&passed), "{shown}");
    let listed = told(&host, &["policy", "exemptions"]).0;
    let line = format!("{id}  notes/a* may pass hostile.error of strict until {soon}T00:00:00.000Z (admin: moving)\n");
    assert_eq!(listed, line);
    let decision = published.body["decision"]["id"].as_str().expect("an id");
    let shown = told(&host, &["decision", "show", decision]).0;
    assert!(shown.contains(&format!("(strict; passed by exemption {id}: moving)")), "{shown}");
    let revoked = told(&host, &["policy", "exempt", "revoke", &id]).0;
    assert!(revoked.contains("may pass hostile.error of strict revoked 2"), "{revoked}");
    assert_eq!(publish("a2").status, 422);
    assert_eq!(told(&host, &["policy", "exemptions"]).0, "no exemption holds\n");
    assert_eq!(told(&host, &["policy", "exemptions", "--all"]).0, revoked);
    assert!(told(&host, &["policy", "exempt", "revoke", "a/b"]).1.starts_with("error: 'a/b' is not an exemption's id"));
    assert!(told(&host, &["policy", "exempt", "notes/a"]).1.contains("--until <DATE>"));
    let bad = host.get("/api/policies/exemptions?all=maybe");
    assert_eq!((bad.status, &bad.body["detail"]), (400, &json!("all is true or false, not 'maybe'")));
}

/// The day of an instant.
fn date(millis: i64) -> String {
    let mut day = millis / DAY_MS;
    let (mut year, mut month) = (1970, 1);
    let leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    while day >= 365 + i64::from(leap(year)) {
        day -= 365 + i64::from(leap(year));
        year += 1;
    }
    for days in [31, 28 + i64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if day < days {
            break;
        }
        day -= days;
        month += 1;
    }
    format!("{year:04}-{month:02}-{:02}", day + 1)
}
