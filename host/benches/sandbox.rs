//! What the sandbox adds to a plugin's own time: evaluations of the test guest on one thread, each in an instance of
//! its own. `cargo bench -p hallmark --bench sandbox`
//!
//! A guest's pure time is taken in the same run: the guest does the same work many times over in one evaluation, and
//! the difference to doing it less often is the work without instantiation, call and disposal.

mod processor;
#[expect(dead_code, reason = "the bench of the gate uses more of it")]
mod samples;

use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use hallmark::config::Limits;
use hallmark::names::Digest;
use hallmark::plugin::{Case, Document, EmptyRegistry, Plugin, Sandbox, Subject};
use hallmark::report::Stage;
use processor::processor_time;
use serde_json::{Value, json};

/// The binary's own.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How often a guest repeats its work where its pure time is measured.
const REPEATED: u64 = 1_000;
/// Rules of the plugin with large settings.
const RULES: usize = 2_000;

fn hostile() -> Vec<u8> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../plugins/target/components/hostile.wasm");
    std::fs::read(path).expect("a component: `hallmark plugin build tests/guests/hostile` builds it")
}

fn plugin(sandbox: &Sandbox, component: &[u8], settings: &Value) -> Arc<Plugin> {
    let load = || Ok(component.to_vec());
    sandbox.prepare(&Digest::of(component), &load, Stage::Validate, settings).expect("a plugin that can be prepared")
}

/// The component with a nested one that holds a module (component model, binary format: section 4), of which no
/// image can be kept: it is configured on each evaluation.
fn without_snapshot(mut component: Vec<u8>) -> Vec<u8> {
    const MODULE: &[u8] = b"\0asm\x01\0\0\0";
    const NESTED: &[u8] = b"\0asm\x0d\0\x01\0\x01\x08";
    component.extend([4, 18]);
    component.extend(NESTED.iter().chain(MODULE));
    component
}

fn case() -> Case {
    let value: Value = serde_json::from_str(&samples::service_submission(1)).expect("JSON");
    Case {
        subject: Arc::new(Subject {
            tenant: "default".to_owned(),
            module: "services".to_owned(),
            kind: "services".to_owned(),
            id: "set-1".to_owned(),
            version: "1.0.0".to_owned(),
            publisher: "bench".to_owned(),
            submitted_at_ms: 1_700_000_000_000,
            document: "/manifest".to_owned(),
        }),
        document: Arc::new(Document { value, substituted: Vec::new() }),
        facts: Arc::new(EmptyRegistry),
    }
}

fn rules() -> Value {
    let rule = |number| {
        let (id, forbidden) = (format!("rule-{number}"), format!("Forbidden name number {number}"));
        json!({"id": id, "forbidden": forbidden, "message": "this name is kept for later use"})
    };
    json!({"break": "rules", "rules": (0..RULES).map(rule).collect::<Vec<_>>()})
}

fn evaluations(criterion: &mut Criterion) {
    let sandbox = Sandbox::start(Arc::new(Limits { gate_threads: 1, ..Limits::default() }), None).expect("a sandbox");
    let (component, case) = (hostile(), case());
    let mut group = criterion.benchmark_group("sandbox");
    let mut bench = |name: &str, plugin: &Plugin, times: u64| {
        group.throughput(Throughput::Elements(times));
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|turns| {
                processor_time(turns, || {
                    let answer = plugin.judge(&case).expect("a plugin that behaves").answer;
                    assert!(answer.is_empty());
                })
            });
        });
    };
    bench("nothing but instantiate", &plugin(&sandbox, &component, &json!({})), 1);
    for (name, work, once) in [("two pointer reads", "fields", 2), ("full parse of 2 KB", "parse", 1)] {
        let doing = |amount| plugin(&sandbox, &component, &json!({"break": work, "amount": amount}));
        bench(name, &doing(once), 1);
        bench(&format!("{name}, {REPEATED} times"), &doing(once * REPEATED), REPEATED);
    }
    let configured = plugin(&sandbox, &component, &rules());
    assert!(configured.is_snapshot());
    bench("2,000 rules, from the snapshot", &configured, 1);
    let configured = plugin(&sandbox, &without_snapshot(component), &rules());
    assert!(!configured.is_snapshot());
    bench("2,000 rules, configured each time", &configured, 1);
    group.finish();
}

criterion_group!(benches, evaluations);
criterion_main!(benches);
