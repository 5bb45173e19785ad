//! The preview's rate: stored service manifests of 2 KB judged under a candidate's rules beside the active ones, by the
//! real chunk runner on a real SQLite file, in processor time of the whole process; beside it, in the same run, the gate
//! alone over the same manifests. `taskset -c 0 cargo bench -p hallmark --bench impact`
//!
//! The rules are two plugins, service-rules and 50 CEL rules, and the resolver of placeholders, which a preview runs only
//! where it is what differs: what is stored is resolved.

#![expect(clippy::print_stdout, reason = "the comparison is what it is run for")]

mod samples;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hallmark::cli::folder;
use hallmark::clock::Millis;
use hallmark::config::Limits;
use hallmark::names::{Digest, Scope, Tenant};
use hallmark::plugin::Sandbox;
use hallmark::registry::blobs::Blobs;
use hallmark::registry::decode::Format;
use hallmark::registry::impact::{Candidate, What};
use hallmark::registry::release::{Binding, Declaration, Rules};
use hallmark::registry::{Actor, Registry};
use hallmark::report::{Mode, Stage};
use hallmark::sql::Database;
use nix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

/// The binary's own.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const STORED: u64 = 20_000;
const PUBLISHERS: u64 = 8;
const BASELINE: u64 = 2_000;
const PATIENCE_MS: u64 = 600_000;

/// What the whole process used: the gate's threads, the database's and the chunk's.
fn processor_time() -> Duration {
    Duration::from(clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).expect("every Linux has this clock"))
}

struct Ground {
    registry: Arc<Registry>,
    actor: Actor,
    cel: Digest,
}

impl Ground {
    fn policies(&self, bindings: &[(&str, Value)]) -> Rules {
        let bind = |(name, settings): &(&str, Value)| Binding {
            name: (*name).to_owned(),
            stage: Stage::Policy,
            plugin: self.cel.clone(),
            settings: settings.clone(),
            mode: Mode::Enforce,
            percent: None,
            kinds: Vec::new(),
        };
        let bindings = bindings.iter().map(bind).collect();
        Rules { scope: Scope::Policies, description: None, kinds: Vec::new(), placeholders: Vec::new(), bindings }
    }

    async fn put_in_force(&self, rules: Rules) {
        let scope = rules.scope.clone();
        let released = self.registry.create_release(&self.actor, rules, String::new()).await.expect("a release");
        let number = released.release.release.number;
        self.registry.activate(&self.actor, &scope, number, None).await.expect("it is activated");
    }

    async fn publish_all(&self) {
        let publishers = (0..PUBLISHERS).map(|publisher| {
            let (registry, actor) = (Arc::clone(&self.registry), self.actor.clone());
            tokio::spawn(async move {
                for number in (publisher..STORED).step_by(usize::try_from(PUBLISHERS).expect("a few")) {
                    let body = Bytes::from(samples::service_submission(number));
                    registry.publish(&actor, "services", body, Format::Json).await.expect("it is published");
                }
            })
        });
        for publisher in publishers.collect::<Vec<_>>() {
            publisher.await.expect("no panic");
        }
    }

    /// Processor time of one manifest through the gate, nothing written.
    async fn gate_alone(&self) -> Duration {
        let began = processor_time();
        for number in 0..BASELINE {
            let body = Bytes::from(samples::service_submission(number));
            let report = self.registry.validate(&self.actor, "services", body, Format::Json).await.expect("a report");
            assert!(report.valid, "{:?}", report.findings);
        }
        (processor_time() - began) / u32::try_from(BASELINE).expect("a few")
    }

    async fn preview(&self, name: &str, rules: Rules, gate: Duration) {
        let scope = rules.scope.clone();
        let candidate = Candidate::Rules(Box::new(rules));
        let row = self.registry.begin_impact(&self.actor, &scope, candidate, What::Active).await.expect("it begins");
        // Loads the rules.
        let began = processor_time();
        self.registry.run_chunk(&self.actor.tenant, &row.id, 1).await.expect("a chunk");
        let loading = processor_time() - began;
        let (began, on_the_wall) = (processor_time(), Instant::now());
        for number in 2..=row.chunks {
            self.registry.run_chunk(&self.actor.tenant, &row.id, number).await.expect("a chunk");
        }
        let (used, waited) = (processor_time() - began, on_the_wall.elapsed());
        let impact = self.registry.impact(&self.actor, &row.id).await.expect("it is there");
        assert_eq!(impact.row.judged, i64::try_from(STORED).expect("some thousands"));
        let first = f64::from(Limits::default().impact_chunk_entries);
        let judged = impact.row.judged as f64 - first;
        let each = used.as_secs_f64() / judged;
        println!(
            "{name}: {:.0} us of processor time each, {:.0} a second and core ({:.0} a second on the wall), {:.2} of the \
             gate; {:.1} s to prepare; {:?}",
            each * 1e6,
            1.0 / each,
            judged / waited.as_secs_f64(),
            each / gate.as_secs_f64(),
            (loading.as_secs_f64() - each * first).max(0.0),
            impact.report.counts
        );
    }
}

async fn ground(folder: &Path) -> (Ground, Rules) {
    // What is measured is processor time: a busy machine makes nothing fail.
    let limits = Arc::new(Limits {
        plugin_deadline_ms: PATIENCE_MS,
        plugin_wall_max_ms: PATIENCE_MS,
        plugin_turn_wait_max_ms: PATIENCE_MS,
        gate_queue_wait_max_ms: PATIENCE_MS,
        database_acquire_max_ms: PATIENCE_MS,
        ..Limits::default()
    });
    let database =
        Database::connect(&format!("sqlite:{}/bench.db", folder.display()), &limits).await.expect("it opens");
    database.migrate(Millis::now()).await.expect("it migrates");
    let blobs = Blobs::in_folder(&folder.join("objects")).expect("a folder");
    let sandbox = Sandbox::start(Arc::clone(&limits), Some(&folder.join("cache"))).expect("a sandbox");
    let tenant = Tenant::default_tenant();
    let registry = Registry::open(Arc::new(database), blobs, sandbox, limits, tenant.clone()).await.expect("it opens");
    let actor = Actor::trusted(tenant, "bench");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the host lies in the workspace");
    let read = folder::read_module(&root.join("examples/modules/services"), &Limits::default()).expect("the example");
    let cel = std::fs::read(root.join("plugins/target/components/cel.wasm")).expect("`make test` builds it");
    let digest = Digest::of(&cel);
    for component in read.components.into_values().chain([cel]) {
        registry.push_plugin(&actor, Bytes::from(component), None, Arc::new(|_| {})).await.expect("it is pushed");
    }
    (Ground { registry, actor, cel: digest }, read.rules)
}

async fn run() {
    let folder = tempfile::tempdir().expect("a folder");
    let (ground, services) = ground(folder.path()).await;
    ground.put_in_force(services.clone()).await;
    let rules = samples::cel_settings(50);
    ground.put_in_force(ground.policies(&[("cel", rules.clone())])).await;
    ground.publish_all().await;
    let gate = ground.gate_alone().await;
    println!("the gate alone: {:.0} us of processor time each", gate.as_secs_f64() * 1e6);

    // An expression in the place of each of the first rules.
    let changed = |count: usize, expression: &str| {
        let mut changed = rules.clone();
        (0..count).for_each(|index| changed["rules"][index]["expression"] = json!(expression));
        ground.policies(&[("cel", changed)])
    };
    let (holds, fails) = ("size(manifest.services) < 60", "size(manifest.services) < 6");
    let fails_for_few = "!submission.serviceId.endsWith('00')";
    ground.preview("one of 50 CEL rules changes, nothing fails", changed(1, holds), gate).await;
    ground.preview("one of 50 CEL rules changes, 1 % newly fails", changed(1, fails_for_few), gate).await;
    ground.preview("one of 50 CEL rules changes, everything newly fails", changed(1, fails), gate).await;
    ground.preview("five of 50 CEL rules change, nothing fails", changed(5, holds), gate).await;
    ground.preview("all 50 CEL rules change, nothing fails", changed(50, holds), gate).await;
    let one = json!({"rules": [{
        "id": "new", "title": "New", "expression": "size(manifest.services) < 6", "message": "no", "severity": "error",
    }]});
    let beside = ground.policies(&[("cel", rules.clone()), ("new", one)]);
    ground.preview("a binding of one CEL rule is added to 50", beside, gate).await;
    let mut stricter = services.clone();
    let binding = stricter.bindings.iter_mut().find(|binding| binding.name == "service-rules").expect("it is bound");
    binding.settings = json!({"literal_members": ["devCommand"], "slug_length_max": 9});
    ground.preview("service-rules changes", stricter, gate).await;
    let mut schema = services.clone();
    schema.kinds[0].schema["maxProperties"] = json!(1_000);
    ground.preview("the schema changes", schema, gate).await;
    let mut defaults = services;
    let (name, default) = ("DATA_ROOT".to_owned(), Some("/srv".to_owned()));
    defaults.placeholders.push(Declaration { name, description: None, default, secret: false });
    ground.preview("a placeholder's default changes every manifest", defaults, gate).await;
    ground.preview("nothing changes", ground.policies(&[("cel", rules.clone())]), gate).await;
    ground.put_in_force(ground.policies(&[])).await;
    ground.preview("the 50 CEL rules are added where there were none", ground.policies(&[("cel", rules)]), gate).await;
}

fn main() {
    // `cargo test` builds and runs benches too, without this word: there is nothing to test here.
    if std::env::args().any(|argument| argument == "--bench") {
        tokio::runtime::Runtime::new().expect("a runtime").block_on(run());
    }
}
