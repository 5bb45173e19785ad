//! An approval for the tests of the store, which start where the gate ends. It is earned: a submission of a kind
//! without plugins goes through the real gate.

use std::sync::{Arc, LazyLock};

use hallmark::clock::Millis;
use hallmark::config::Limits;
use hallmark::names::Scope;
use hallmark::plugin::{EmptyRegistry, Sandbox};
use hallmark::registry::exemptions::Exemptions;
use hallmark::registry::gate::{Bench, Judgement, judge};
use hallmark::registry::publish::Approved;
use hallmark::registry::release::{Kind, ReleaseRef, Rules};
use hallmark::registry::rules::RulesInForce;
use hallmark::registry::submission::Submission;
use serde_json::{Value, json};

/// One for the process: it takes address space for its pools.
static SANDBOX: LazyLock<Arc<Sandbox>> = LazyLock::new(|| {
    let limits = Limits { gate_threads: 1, ..Limits::default() };
    Sandbox::start(Arc::new(limits), None).expect("a sandbox")
});

/// An approval by these releases, one of which is a module's.
pub fn approve(judged: &[ReleaseRef]) -> Approved {
    approve_under(judged, 0)
}

/// The same under the exemptions of this number.
pub fn approve_under(judged: &[ReleaseRef], exemptions: i64) -> Approved {
    let releases = judged.iter().map(|release| (release.clone(), rules(&release.scope))).collect();
    let none = |_: &_| Err("no plugin is bound".to_owned());
    let exemptions = Arc::new(Exemptions { number: exemptions, list: Vec::new() });
    let loaded = RulesInForce::load_aside(&SANDBOX, releases, &none, exemptions).expect("rules that load");
    let kind = loaded.kinds().next().expect("one of the releases is a module's");
    let limits = Arc::new(Limits::default());
    let document = json!({"thingId": "a", "name": "A", "version": "1.0.0", "manifest": {}});
    let submission = Submission::read(kind, document, &EmptyRegistry, &limits).expect("a submission");
    let bench = Bench {
        tenant: "default".to_owned(),
        publisher: "test".to_owned(),
        at: Millis(0),
        facts: Arc::new(EmptyRegistry),
        limits,
    };
    match judge(submission, &bench) {
        Judgement::Approved(approved) => *approved,
        Judgement::Rejected(record) | Judgement::Failed(record, _) => panic!("{:?}", record.findings),
    }
}

fn rules(scope: &Scope) -> Rules {
    let kind = Kind {
        name: "things".parse().expect("a kind"),
        singular: "thing".to_owned(),
        id_field: "thingId".to_owned(),
        document_field: "manifest".to_owned(),
        versioning: Default::default(),
        schema: Value::Bool(true),
        fields: Default::default(),
        derive: Default::default(),
    };
    let kinds = if *scope == Scope::Policies { Vec::new() } else { vec![kind] };
    Rules { scope: scope.clone(), description: None, kinds, placeholders: Vec::new(), bindings: Vec::new() }
}
