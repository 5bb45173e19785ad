//! Previews and exemptions: a run judges by those that held when it began, whoever judges when, and answers for an
//! activation as long as they hold still.

use hallmark::clock::Millis;
use hallmark::config::Limits;
use hallmark::registry::exemptions::ExemptionWanted;
use hallmark::registry::impact::Counts;
use serde_json::{Value, json};

use super::{publish, put_in_force, release, rules};
use crate::support::ground::{Ground, Member, limits, notes, on_both_engines};
use crate::support::host::{Host, Options};

const DAY_MS: i64 = 86_400_000;

on_both_engines! {
    a_run_judges_by_the_exemptions_that_held_when_it_began,
    an_exemption_for_one_binding_is_for_its_name,
}

impl Member {
    async fn exempt_all(&self, binding: Option<&str>) -> String {
        let now = Millis::now();
        let wanted = ExemptionWanted {
            pattern: "notes/*".to_owned(),
            code: "hostile.error".to_owned(),
            binding: binding.map(str::to_owned),
            until: Millis(now.0 + DAY_MS),
            reason: "moving house".to_owned(),
            undocumented: false,
        };
        self.registry.exempt(&self.actor, wanted, now).await.expect("it is made").exemption.id
    }
}

fn objecting(plugin: &str, name: &str, damage: &str) -> Value {
    let mut module = notes(json!({"type": "object"}));
    module["bindings"] = json!([{"name": name, "stage": "validate", "plugin": plugin, "settings": {"break": damage}}]);
    module
}

async fn a_run_judges_by_the_exemptions_that_held_when_it_began(ground: Ground) {
    let limits = || Limits { impact_chunk_entries: 1, ..limits() };
    let host = ground.host(limits()).await;
    let plugin = host.push("hostile").await;
    host.apply(notes(json!({"type": "object"}))).await;
    for id in ["a", "b", "c"] {
        host.publish(id, "1.0.0", json!({})).await.expect("it is published");
    }
    let exemption = host.exempt_all(None).await;
    let row = host.begin_preview(objecting(&plugin, "house", "error")).await;
    assert_eq!(row.exemptions.count, 1);
    let judge = |host: &Member, number: i64| {
        let (registry, tenant, id) = (host.registry.clone(), host.actor.tenant.clone(), row.id.clone());
        async move { registry.run_chunk(&tenant, &id, number).await.expect("a chunk") }
    };
    judge(&host, 1).await;
    host.registry.revoke_exemption(&host.actor, &exemption, Millis::now()).await.expect("it is taken back");
    judge(&host, 2).await;
    // A host that never saw it.
    judge(&ground.host(limits()).await, 3).await;
    let counts = host.registry.impact(&host.actor, &row.id).await.expect("it is there").report.counts;
    assert_eq!(counts, Counts { changed: 3, ..Counts::default() }, "the findings pass");
    let next = host.preview(objecting(&plugin, "house", "error")).await;
    assert_eq!((next.row.exemptions.count, next.report.counts.newly_fail), (0, 3));
}

/// Under another name the same binding is not exempt.
async fn an_exemption_for_one_binding_is_for_its_name(ground: Ground) {
    let host = ground.host(limits()).await;
    let plugin = host.push("hostile").await;
    host.apply(objecting(&plugin, "house", "none")).await;
    host.publish("a", "1.0.0", json!({})).await.expect("it is published");
    host.exempt_all(Some("house")).await;
    host.apply(objecting(&plugin, "house", "error")).await;
    let renamed = host.preview(objecting(&plugin, "home", "error")).await;
    assert_eq!(renamed.report.counts, Counts { newly_fail: 1, ..Counts::default() });
    let same = host.preview(objecting(&plugin, "house", "error")).await;
    assert_eq!(same.report.counts, Counts { unchanged: 1, ..Counts::default() });
}

fn exempt(host: &Host, entries: &str) -> String {
    let until = Millis(Millis::now().0 + DAY_MS).rfc3339();
    let wanted = json!({"entries": entries, "code": "hostile.error", "until": until, "reason": "moving house"});
    let made = host.post("/api/policies/exemptions", &wanted);
    assert_eq!(made.status, 201, "{made:?}");
    made.body["id"].as_str().expect("an id").to_owned()
}

#[test]
fn a_preview_answers_for_an_activation_while_its_exemptions_hold_still() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let host = Options::new().start();
    put_in_force(&host, &rules(&json!({}), &json!([])));
    publish(&host, "a", "1.0.0", "title");
    publish(&host, "b", "1.0.0", "title");
    let objects = super::hostile(&host, folder.path(), "objects", &json!({"break": "error"}));
    // Ahead of the release that gives the code: a plugin that documents it is there.
    let first = exempt(&host, "notes/a");
    let number = release(&host, &rules(&json!({}), &json!([objects])));
    let activate = || host.post("/api/modules/notes/activate", &json!({"release": number, "ifImpactAtMost": 0}));
    let refused = activate();
    let detail = refused.body["detail"].as_str().expect("a detail").to_owned();
    assert!(detail.starts_with("1 active manifest would newly fail, more than 0: hostile.error (1)"), "{detail}");
    assert_eq!(activate().body["impactId"], refused.body["impactId"], "the same preview answers again");
    let told = super::shown(&host, refused.body["impactId"].as_str().expect("an id"));
    assert_eq!(told["exemptions"], 1, "{told}");
    // One is taken back: what the preview let pass does not pass any more.
    assert_eq!(host.post(&format!("/api/policies/exemptions/{first}/revoke"), &json!({})).status, 200);
    let refused = activate();
    let detail = refused.body["detail"].as_str().expect("a detail").to_owned();
    assert!(detail.starts_with("2 active manifests would newly fail, more than 0: hostile.error (2)"), "{detail}");
    exempt(&host, "notes/*");
    let activated = activate();
    assert_eq!(activated.status, 200, "{activated:?}");
    assert_eq!(host.get("/api/impacts").body["items"].as_array().map(Vec::len), Some(3));
}
