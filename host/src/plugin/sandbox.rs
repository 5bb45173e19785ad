//! The door to the room: one sandbox for each host.

use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use serde_json::Value;

use super::bulkhead::{Bulkhead, Bulkheads};
use super::cache::Cache;
use super::engine::{self, Engine};
use super::evaluate::Compiled;
use super::series::{NO_SETTINGS, Unconfigured};
use super::threads::Threads;
use super::{Busy, Inspection, Plugin, Progress, Step, Unfit, inspect, prepare, series};
use crate::config::Limits;
use crate::names::Digest;
use crate::report::Stage;

/// Stack of a thread that compiles: the compiler calls itself for what is nested.
const COMPILER_STACK_BYTES: usize = 16 * 1024 * 1024;
/// How much a thread that compiles stands back (see nice(2)): on a host that is busy it gets about a tenth of a core's
/// time that a thread of the gate gets, and on an idle one all of it.
const COMPILER_NICENESS: i32 = 10;

/// The sandbox of one host: the engine, the compiled plugins and the threads that judge.
pub struct Sandbox {
    engine: Arc<Engine>,
    cache: Option<Cache>,
    bulkheads: Bulkheads,
    compiling: Mutex<usize>,
    compiled: Condvar,
    threads: Threads,
}

impl Sandbox {
    /// Starts the engine with every pool at its full size. `cache` is the folder of compiled code and of the key
    /// that seals it; none keeps nothing on disk.
    ///
    /// # Errors
    /// A sentence that says which limit the machine cannot grant, or what is wrong with the folder.
    pub fn start(limits: Arc<Limits>, cache: Option<&Path>) -> Result<Arc<Self>, String> {
        let cache = cache.map(|folder| Cache::open(folder, limits.plugin_cache_max_bytes)).transpose()?;
        let engine = Engine::start(Arc::clone(&limits))?;
        let threads = Threads::start(engine::gate_threads(&limits), &limits)?;
        Ok(Arc::new(Self {
            engine: Arc::new(engine),
            cache,
            bulkheads: Bulkheads::default(),
            compiling: Mutex::new(0),
            compiled: Condvar::new(),
            threads,
        }))
    }

    /// Finds out what a component is, runs the examples that it brings along, and tells each step that it begins.
    ///
    /// # Errors
    /// Why it cannot be put to work.
    pub fn inspect(&self, component: &[u8], progress: &Progress<'_>) -> Result<Inspection, Unfit> {
        on_a_compiler_thread(Haste::Ahead, || {
            let (outline, linked) = {
                let _turn = self.turn(|| progress(Step::Waiting));
                inspect::compile(&self.engine, component, progress)?
            };
            // Its own code runs from here on, without a turn: others are compiled meanwhile.
            let inspection = inspect::inspect(&self.engine, component, outline, &linked, progress)?;
            if let Some(compiled) = series::worth_keeping(linked, &inspection) {
                self.keep(&inspection.digest, NO_SETTINGS, &compiled);
            }
            Ok(inspection)
        })
    }

    /// Compiles, configures and snapshots a component, or takes it from the cache; `load` is called only where the
    /// cache has nothing. Slow: never on a gate thread. Settings of `null` are those of an empty object.
    ///
    /// # Errors
    /// Why it cannot be put to work.
    pub fn prepare(
        &self,
        digest: &Digest,
        load: &dyn Fn() -> Result<Vec<u8>, String>,
        stage: Stage,
        settings: &Value,
    ) -> Result<Arc<Plugin>, Unfit> {
        self.prepare_with(Haste::Ahead, digest, load, stage, settings)
    }

    /// As `prepare`, with a say in how soon.
    ///
    /// # Errors
    /// As `prepare`.
    pub fn prepare_with(
        &self,
        haste: Haste,
        digest: &Digest,
        load: &dyn Fn() -> Result<Vec<u8>, String>,
        stage: Stage,
        settings: &Value,
    ) -> Result<Arc<Plugin>, Unfit> {
        self.prepare_behind(|name| self.bulkheads.of(digest, name), haste, digest, load, stage, settings)
    }

    /// The same, for evaluations that have nothing to do with what the others do: they take no turn of theirs, do not
    /// wait for them, and where they break nothing is quarantined.
    ///
    /// # Errors
    /// As `prepare`.
    pub fn prepare_aside(
        &self,
        digest: &Digest,
        load: &dyn Fn() -> Result<Vec<u8>, String>,
        stage: Stage,
        settings: &Value,
    ) -> Result<Arc<Plugin>, Unfit> {
        self.prepare_behind(|name| Arc::new(Bulkhead::new(name)), Haste::Ahead, digest, load, stage, settings)
    }

    fn prepare_behind(
        &self,
        bulkhead: impl FnOnce(&str) -> Arc<Bulkhead>,
        haste: Haste,
        digest: &Digest,
        load: &dyn Fn() -> Result<Vec<u8>, String>,
        stage: Stage,
        settings: &Value,
    ) -> Result<Arc<Plugin>, Unfit> {
        let settings = prepare::settings(settings, &self.engine.limits)?;
        let cached = || self.cache.as_ref()?.get(&self.engine, digest, &settings);
        let compiled = match cached() {
            Some(compiled) => compiled,
            None => {
                let _turn = self.turn(|| {});
                // Another may have prepared the same while this one waited for its turn.
                match cached() {
                    Some(compiled) => compiled,
                    None => self.build(haste, digest, &load().map_err(Unfit::Load)?, stage, &settings)?,
                }
            }
        };
        if !compiled.stages.contains(&stage) {
            return Err(Unfit::Stage { stage, serves: compiled.stages });
        }
        let bulkhead = bulkhead(&compiled.description.name);
        Ok(Arc::new(Plugin::new(Arc::clone(&self.engine), digest.clone(), stage, compiled, bulkhead)))
    }

    /// A component that is not configured, where the cache has it.
    pub fn unconfigured_at_hand(&self, digest: &Digest) -> Option<Arc<Unconfigured>> {
        let compiled = self.cache.as_ref()?.get(&self.engine, digest, NO_SETTINGS)?;
        Some(Arc::new(Unconfigured::new(Arc::clone(&self.engine), digest.clone(), compiled)))
    }

    /// A component that is not configured, from the cache or compiled ahead. Slow: never on a gate thread.
    ///
    /// # Errors
    /// Why it cannot be put to work.
    pub fn unconfigured(
        &self,
        digest: &Digest,
        load: &dyn Fn() -> Result<Vec<u8>, String>,
    ) -> Result<Arc<Unconfigured>, Unfit> {
        if let Some(kept) = self.unconfigured_at_hand(digest) {
            return Ok(kept);
        }
        let bytes = load().map_err(Unfit::Load)?;
        let found = Digest::of(&bytes);
        if found != *digest {
            return Err(Unfit::Load(format!("they have the digest {found}, not {digest}")));
        }
        on_a_compiler_thread(Haste::Ahead, || {
            let (outline, linked) = {
                let _turn = self.turn(|| {});
                inspect::compile(&self.engine, &bytes, &|_| {})?
            };
            let description = linked.describe(&self.engine, digest)?;
            let compiled = series::unconfigured(linked, outline.stages, description);
            self.keep(digest, NO_SETTINGS, &compiled);
            Ok(Arc::new(Unconfigured::new(Arc::clone(&self.engine), digest.clone(), compiled)))
        })
    }

    fn keep(&self, digest: &Digest, settings: &str, compiled: &Compiled) {
        if let Some(cache) = &self.cache {
            cache.put(&self.engine, digest, settings, compiled);
        }
    }

    /// Runs a job on a gate thread. A job that began runs to its end even where the caller goes away; one that still
    /// waits is forgotten then.
    ///
    /// # Errors
    /// The queue is full, or the job waited too long.
    pub async fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> Result<T, Busy> {
        self.threads.run(job).await
    }

    /// The limits in force.
    pub(super) fn limits(&self) -> &Limits {
        &self.engine.limits
    }

    /// The names of the plugins in quarantine.
    pub fn quarantined(&self) -> Vec<String> {
        self.bulkheads.resting(Instant::now())
    }

    fn build(
        &self,
        haste: Haste,
        digest: &Digest,
        bytes: &[u8],
        stage: Stage,
        settings: &str,
    ) -> Result<Compiled, Unfit> {
        on_a_compiler_thread(haste, || {
            tracing::info!(component = %digest, stage = stage.as_str(), "a plugin is compiled, which may take a minute");
            let compiled = prepare::prepare(&self.engine, digest, bytes, stage, settings)?;
            self.keep(digest, settings, &compiled);
            Ok(compiled)
        })
    }

    /// Waits until one of the few who may compile at once is done; `waits` is called where it must.
    fn turn(&self, waits: impl FnOnce()) -> Turn<'_> {
        let max = self.engine.limits.plugin_compilations_max.max(1);
        let compiling = self.compiling.lock().unwrap_or_else(PoisonError::into_inner);
        if *compiling >= max {
            waits();
        }
        let mut compiling =
            self.compiled.wait_while(compiling, |count| *count >= max).unwrap_or_else(PoisonError::into_inner);
        *compiling += 1;
        Turn { sandbox: self }
    }
}

/// How soon a plugin is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Haste {
    /// The host judges nothing until it is ready.
    Now,
    /// Something else judges meanwhile, and comes first.
    Ahead,
}

/// Given back when it is dropped.
struct Turn<'a> {
    sandbox: &'a Sandbox,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self.sandbox.compiling.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.sandbox.compiled.notify_one();
    }
}

fn on_a_compiler_thread<T: Send>(haste: Haste, work: impl FnOnce() -> Result<T, Unfit> + Send) -> Result<T, Unfit> {
    thread::scope(|scope| {
        let spawned = thread::Builder::new()
            .name("plugin-compiler".to_owned())
            .stack_size(COMPILER_STACK_BYTES)
            .spawn_scoped(scope, || {
                if haste == Haste::Ahead {
                    stand_back();
                }
                work()
            })
            .map_err(|error| Unfit::Compile(format!("no thread can be started: {error}")))?;
        // A fault of the compiler; the process's panic hook has logged it.
        spawned.join().unwrap_or_else(|_| Err(Unfit::Compile("the compiler broke on it".to_owned())))
    })
}

/// On Linux a process's priority is its thread's, and who asks for no process means the calling thread.
fn stand_back() {
    if let Err(error) = rustix::process::setpriority_process(None, COMPILER_NICENESS) {
        tracing::warn!(%error, "a thread that compiles has the priority of those that judge");
    }
}
