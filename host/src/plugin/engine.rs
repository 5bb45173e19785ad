//! The wasmtime engine of one host: what guests may use, the pools at their full size, and the thread that drives
//! the clock of their deadlines. Nothing here knows what a plugin is.

use std::hash::{Hash as _, Hasher};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};
use wasmtime::{Config, Enabled, EngineWeak, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig};

use crate::config::Limits;
use crate::names::hex;

/// Host stack that a call from a guest may need on top of the guest's own stack.
pub const HOST_STACK_BYTES: usize = 2 * 1024 * 1024;

/// Bytes of a slot's memory that are cleared by hand when an instance goes, rather than given back to the kernel and
/// faulted in again. Measured, with the kernel's list of written pages: a check that reads two fields takes 6.6 us with
/// this and 21 us without, one that writes 512 KiB 39 us and 158 us. Each slot may keep so much of the host's memory.
const KEEP_RESIDENT_BYTES: usize = 1024 * 1024;

/// Instances beyond one for each gate thread: the command line, `configure` and `describe` need some.
const SPARE_INSTANCES: u32 = 8;

/// Wasmtime's pages of linear memory. A snapshot is read through pages that the guest's own limit does not count.
pub const PAGE_BYTES: usize = 64 * 1024;

/// Pages that reading a snapshot adds to a memory.
pub const SNAPSHOT_PAGES: usize = 4;

/// The engine with the limits it was built for.
pub struct Engine {
    /// Wasmtime's own.
    pub wasmtime: wasmtime::Engine,
    /// The limits in force.
    pub limits: Arc<Limits>,
    /// What compiled code must have been made with to be loaded: wasmtime, its settings and this host's version.
    pub compatibility: String,
}

impl Engine {
    /// Starts it, with every pool at its full size, and the thread that drives its clock.
    pub fn start(limits: Arc<Limits>) -> Result<Self, String> {
        let wasmtime = wasmtime::Engine::new(&config(&limits)).map_err(|error| {
            format!(
                "the sandbox cannot be started: {error:#}; lower gate_threads, plugin_memory_max_bytes or \
                 plugin_stack_max_bytes, or allow the process more address space"
            )
        })?;
        let tick = Duration::from_millis(limits.plugin_tick_ms.max(1));
        let driven = wasmtime.weak();
        thread::Builder::new()
            .name("plugin-clock".to_owned())
            .spawn(move || drive(&driven, tick))
            .map_err(|error| format!("the sandbox's clock cannot be started: {error}"))?;
        let compatibility = compatibility(&wasmtime);
        Ok(Self { wasmtime, limits, compatibility })
    }
}

/// The number of gate threads that the limits ask for.
pub fn gate_threads(limits: &Limits) -> usize {
    match limits.gate_threads {
        0 => thread::available_parallelism().map_or(1, usize::from) * 8,
        asked => asked,
    }
}

/// Series that a thread which judges beside the gate may hold at once, beside the instance of an evaluation.
pub const SERIES_MAX: usize = 4;

/// The number of threads that judge beside the gate, for previews.
pub fn aside_threads(limits: &Limits) -> usize {
    match limits.impact_threads {
        0 => thread::available_parallelism().map_or(1, usize::from),
        asked => asked,
    }
}

/// Evaluations of one plugin that may run at once. A quarter of the threads leaves two looping plugins no way to take
/// them all.
pub fn running_max(limits: &Limits) -> usize {
    match limits.plugin_running_max {
        0 => (gate_threads(limits) / 4).max(2),
        asked => asked,
    }
}

fn config(limits: &Limits) -> Config {
    let mut config = Config::new();
    config.cranelift_opt_level(OptLevel::Speed);
    // The same submission must give the same answer on every machine.
    config.cranelift_nan_canonicalization(true);
    config.relaxed_simd_deterministic(true);
    config.wasm_threads(false);
    config.shared_memory(false);
    config.wasm_memory64(false);
    config.wasm_gc(false);
    config.wasm_function_references(false);
    config.wasm_exceptions(false);
    config.concurrency_support(false);
    config.epoch_interruption(true);
    config.memory_init_cow(true);
    // Traps reach publishers by name alone; a backtrace would cost time and show the guest's inside.
    config.wasm_backtrace_max_frames(None);
    config.max_wasm_stack(limits.plugin_stack_max_bytes);
    config.async_stack_size(limits.plugin_stack_max_bytes + HOST_STACK_BYTES);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pools(limits)));
    config
}

fn pools(limits: &Limits) -> PoolingAllocationConfig {
    let compilations = u32::try_from(limits.plugin_compilations_max.max(1)).unwrap_or(u32::MAX);
    let aside = aside_threads(limits) * (1 + SERIES_MAX);
    let evaluations = u32::try_from(gate_threads(limits) + aside).unwrap_or(u32::MAX);
    let replays = u32::try_from(limits.replays_in_flight_max).unwrap_or(u32::MAX);
    let instances = evaluations.saturating_add(compilations).saturating_add(replays).saturating_add(SPARE_INSTANCES);
    let mut pools = PoolingAllocationConfig::new();
    pools.total_component_instances(instances);
    pools.total_core_instances(instances.saturating_mul(limits.plugin_core_instances_max));
    pools.total_memories(instances.saturating_mul(limits.plugin_memories_max));
    pools.total_tables(instances.saturating_mul(limits.plugin_tables_max));
    // Only reading a snapshot runs on such a stack.
    pools.total_stacks(compilations);
    pools.max_core_instances_per_component(limits.plugin_core_instances_max.saturating_add(1));
    pools.max_memories_per_component(limits.plugin_memories_max);
    pools.max_tables_per_component(limits.plugin_tables_max);
    pools.max_tables_per_module(limits.plugin_tables_max);
    pools.max_memories_per_module(limits.plugin_memories_max);
    let memory_bytes = limits.plugin_memory_max_bytes.next_multiple_of(PAGE_BYTES) + SNAPSHOT_PAGES * PAGE_BYTES;
    pools.max_memory_size(memory_bytes);
    pools.table_elements(limits.plugin_table_elements_max);
    pools.linear_memory_keep_resident(KEEP_RESIDENT_BYTES.min(memory_bytes));
    pools.table_keep_resident(limits.plugin_table_elements_max.saturating_mul(size_of::<usize>()));
    pools.pagemap_scan(Enabled::Auto);
    pools
}

/// Ticks until the engine is gone. Each tick has its own instant: a late one is dropped rather than made up for,
/// since a burst of ticks would end the time of guests that did not run.
fn drive(engine: &EngineWeak, tick: Duration) {
    let mut next = Instant::now() + tick;
    loop {
        thread::sleep(next.saturating_duration_since(Instant::now()));
        let Some(engine) = engine.upgrade() else { return };
        engine.increment_epoch();
        next = (next + tick).max(Instant::now());
    }
}

fn compatibility(engine: &wasmtime::Engine) -> String {
    struct Sha(Sha256);
    impl Hasher for Sha {
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }
        fn finish(&self) -> u64 {
            0
        }
    }
    let mut hasher = Sha(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut hasher);
    hasher.0.update(env!("CARGO_PKG_VERSION"));
    hex(&hasher.0.finalize())
}
