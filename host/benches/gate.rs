//! What the gate costs without commit: decode, schema, resolve, validate, policy and the report of a 2 KB services
//! manifest, in processor time of one thread. `cargo bench -p hallmark --bench gate`
//!
//! Beside the chain of placeholders, service-rules and 50 CEL rules stand, in the same run, the same gate without
//! plugins and with three that do nothing: what the chain takes more is the plugins' own time.

mod processor;
mod samples;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use hallmark::cli::folder;
use hallmark::clock::Millis;
use hallmark::config::Limits;
use hallmark::names::{Digest, Scope};
use hallmark::plugin::{EmptyRegistry, Sandbox};
use hallmark::registry::decode::Format;
use hallmark::registry::gate::Bench;
use hallmark::registry::publish::report_on;
use hallmark::registry::release::{Binding, ReleaseRef, Rules};
use hallmark::registry::rules::RulesInForce;
use hallmark::report::{Mode, Stage};
use processor::processor_time;
use serde_json::{Value, json};

/// The binary's own.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The repository and the components by digest.
struct Ground {
    root: PathBuf,
    components: BTreeMap<Digest, Vec<u8>>,
}

impl Ground {
    fn new() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the host lies in the workspace").to_owned();
        Self { root, components: BTreeMap::new() }
    }

    fn binding(&mut self, stage: Stage, component: &str, settings: Value) -> Binding {
        let path = self.root.join("plugins/target/components").join(component).with_extension("wasm");
        let bytes = std::fs::read(path).expect("a component: `make test` builds it");
        let digest = Digest::of(&bytes);
        self.components.insert(digest.clone(), bytes);
        let name = component.to_owned();
        Binding { name, stage, plugin: digest, settings, mode: Mode::Enforce, percent: None, kinds: Vec::new() }
    }

    /// The services module of `examples/`.
    fn services(&mut self) -> Rules {
        let folder = self.root.join("examples/modules/services");
        let read = folder::read_module(&folder, &Limits::default()).expect("the example is right");
        self.components.extend(read.components);
        read.rules
    }

    fn load(
        &self,
        sandbox: &Sandbox,
        module: Rules,
        policies: Vec<Binding>,
        previous: &RulesInForce,
    ) -> Arc<RulesInForce> {
        let policies = Rules {
            scope: Scope::Policies,
            description: None,
            kinds: Vec::new(),
            placeholders: Vec::new(),
            bindings: policies,
        };
        let released = |rules: Rules| {
            let (_, digest) = rules.canonical();
            (ReleaseRef { scope: rules.scope.clone(), number: 1, digest }, rules)
        };
        let releases = vec![released(module), released(policies)];
        let load = |digest: &Digest| Ok(self.components[digest].clone());
        RulesInForce::load(sandbox, releases, &load, Some(previous)).expect("rules that load")
    }
}

fn gate(criterion: &mut Criterion) {
    let limits = Arc::new(Limits { gate_threads: 1, ..Limits::default() });
    let sandbox = Sandbox::start(Arc::clone(&limits), None).expect("a sandbox");
    let bench = Bench {
        tenant: "default".to_owned(),
        publisher: "bench".to_owned(),
        at: Millis(1_700_000_000_000),
        facts: Arc::new(EmptyRegistry),
        limits,
    };
    let mut ground = Ground::new();
    let services = ground.services();
    let without = Rules { bindings: Vec::new(), ..services.clone() };
    let idle = vec![
        ground.binding(Stage::Resolve, "hostile-resolver", json!({})),
        ground.binding(Stage::Validate, "hostile", json!({})),
    ];
    let idle = Rules { bindings: idle, ..services.clone() };
    let idle_policy = vec![ground.binding(Stage::Policy, "hostile-policy", json!({}))];
    let policy = vec![ground.binding(Stage::Policy, "cel", samples::cel_settings(50))];
    let body = samples::service_submission(1);
    // Each set takes what the one before has compiled.
    let mut rules = Arc::new(RulesInForce::default());
    let mut group = criterion.benchmark_group("gate");
    for (name, module, policies) in [
        ("no plugins", without.clone(), Vec::new()),
        ("three plugins that do nothing", idle, idle_policy),
        ("placeholders and service-rules", services.clone(), Vec::new()),
        ("services chain", services, policy.clone()),
        ("50 CEL rules", without, policy),
    ] {
        rules = ground.load(&sandbox, module, policies, &rules);
        let kind = rules.kind("services").expect("the module declares it");
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|turns| {
                processor_time(turns, || {
                    let report = report_on(kind, &bench, body.as_bytes(), Format::Json).expect("a report");
                    assert!(report.valid);
                })
            });
        });
    }
    group.finish();
}

criterion_group!(benches, gate);
criterion_main!(benches);
