//! One evaluation: a turn, a fresh store and instance, one call, and the store is gone. Synchronous, on the thread
//! of its caller.

use std::sync::Arc;
use std::time::Instant;

use wasmtime::Store;
use wasmtime::component::{Instance, InstancePre};

use super::bulkhead::Bulkhead;
use super::contract::Entry;
use super::engine::Engine;
use super::failure;
use super::state::{self, State, Task};
use super::{Case, Cause, Description, Evaluated, Failure, Plugin, Resolution, Variable};
use crate::names::Digest;
use crate::report::{Remark, Stage};

/// A compiled component with what calling it needs.
pub struct Compiled {
    /// Its linked instance to be.
    pub pre: InstancePre<State>,
    /// Where its exports are.
    pub entry: Entry,
    /// The stages that it serves.
    pub stages: Vec<Stage>,
    /// None where it starts from its configured memory; else the settings to configure it with each time.
    pub settings: Option<String>,
    /// What it says of itself.
    pub description: Description,
}

/// How long its evaluations take, by outcome; looked up once, since an evaluation is short.
pub struct Durations {
    answered: metrics::Histogram,
    broke: metrics::Histogram,
}

impl Durations {
    fn of(plugin: &Arc<str>) -> Self {
        let of = |outcome: &'static str| {
            let plugin = Arc::clone(plugin);
            metrics::histogram!("hallmark_plugin_evaluation_duration_seconds", "plugin" => plugin, "outcome" => outcome)
        };
        Self { answered: of("answered"), broke: of("broke") }
    }
}

impl Plugin {
    /// Puts the parts together.
    pub(super) fn new(
        engine: Arc<Engine>,
        digest: Digest,
        stage: Stage,
        compiled: Compiled,
        bulkhead: Arc<Bulkhead>,
    ) -> Self {
        let name = Arc::from(compiled.description.name.as_str());
        let durations = Durations::of(&name);
        Self { engine, name, digest, stage, compiled, bulkhead, durations }
    }

    /// The plugin's own name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its component.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// What it says of itself.
    pub fn description(&self) -> &Description {
        &self.compiled.description
    }

    /// Whether evaluations start from its configured memory, or configure it each time.
    pub fn is_snapshot(&self) -> bool {
        self.compiled.settings.is_none()
    }

    /// Runs the `resolve` stage.
    ///
    /// # Errors
    /// The plugin broke.
    ///
    /// # Panics
    /// It was prepared for another stage.
    pub fn resolve(&self, case: &Case, variables: &[Variable]) -> Result<Evaluated<Resolution>, Failure> {
        assert_eq!(self.stage, Stage::Resolve, "{} was prepared for another stage", self.name);
        self.evaluate(case, |entry, store, instance| entry.resolve(store, instance, case, variables))
    }

    /// Runs the `validate` or `policy` stage, whichever it was prepared for.
    ///
    /// # Errors
    /// The plugin broke.
    ///
    /// # Panics
    /// It was prepared for another stage.
    pub fn judge(&self, case: &Case) -> Result<Evaluated<Vec<Remark>>, Failure> {
        assert_ne!(self.stage, Stage::Resolve, "{} was prepared for another stage", self.name);
        self.evaluate(case, |entry, store, instance| entry.judge(store, instance, case, self.stage))
    }

    /// The same for work that nobody waits for, without a turn: it takes none from the gate's submissions, and what
    /// breaks in it puts no plugin into quarantine. Its caller bounds how many run at once.
    ///
    /// # Errors
    /// The plugin broke.
    ///
    /// # Panics
    /// It was prepared for another stage.
    pub fn judge_aside(&self, case: &Case) -> Result<Vec<Remark>, Failure> {
        assert_ne!(self.stage, Stage::Resolve, "{} was prepared for another stage", self.name);
        let judged = self.evaluate_aside(case, |entry, store, instance| entry.judge(store, instance, case, self.stage));
        judged.map(|evaluated| evaluated.answer)
    }

    /// `resolve` in the same way.
    ///
    /// # Errors
    /// The plugin broke.
    ///
    /// # Panics
    /// It was prepared for another stage.
    pub fn resolve_aside(&self, case: &Case, variables: &[Variable]) -> Result<Evaluated<Resolution>, Failure> {
        assert_eq!(self.stage, Stage::Resolve, "{} was prepared for another stage", self.name);
        self.evaluate_aside(case, |entry, store, instance| entry.resolve(store, instance, case, variables))
    }

    fn evaluate_aside<T>(
        &self,
        case: &Case,
        call: impl FnOnce(&Entry, &mut Store<State>, &Instance) -> wasmtime::Result<T>,
    ) -> Result<Evaluated<T>, Failure> {
        let mut store = state::store(&self.engine, Arc::clone(&self.name), Task::Judge(case.clone()));
        let outcome = self.call(&mut store, call);
        let elapsed = store.data().pace().elapsed();
        let lookups = store.data_mut().take_lookups();
        match outcome {
            Ok(answer) => Ok(Evaluated { answer, lookups, elapsed }),
            Err(error) => {
                let cause = failure::cause(&error, &self.engine.limits);
                Err(Failure { plugin: self.name.to_string(), digest: self.digest.clone(), cause, lookups })
            }
        }
    }

    fn evaluate<T>(
        &self,
        case: &Case,
        call: impl FnOnce(&Entry, &mut Store<State>, &Instance) -> wasmtime::Result<T>,
    ) -> Result<Evaluated<T>, Failure> {
        let limits = &self.engine.limits;
        let failure =
            |cause, lookups| Failure { plugin: self.name.to_string(), digest: self.digest.clone(), cause, lookups };
        let permit = self.bulkhead.enter(limits, Instant::now()).map_err(|cause| failure(cause, Vec::new()))?;
        let task = Task::Judge(case.clone());
        let mut store = state::store(&self.engine, Arc::clone(&self.name), task);
        let outcome = self.call(&mut store, call);
        let elapsed = store.data().pace().elapsed();
        let lookups = store.data_mut().take_lookups();
        drop(store);
        let outcome = outcome.map_err(|error| failure::cause(&error, limits));
        let duration = if outcome.is_ok() { &self.durations.answered } else { &self.durations.broke };
        duration.record(elapsed);
        match outcome {
            Ok(answer) => {
                permit.succeeded();
                Ok(Evaluated { answer, lookups, elapsed })
            }
            Err(cause) => {
                // What the host could not give is not the plugin's fault: the permit is given back untold.
                if !matches!(cause, Cause::Facts | Cause::Start) {
                    permit.failed(limits, Instant::now());
                }
                Err(failure(cause, lookups))
            }
        }
    }

    fn call<T>(
        &self,
        store: &mut Store<State>,
        call: impl FnOnce(&Entry, &mut Store<State>, &Instance) -> wasmtime::Result<T>,
    ) -> wasmtime::Result<T> {
        let Compiled { pre, entry, settings, .. } = &self.compiled;
        let instance = pre.instantiate(&mut *store)?;
        if let Some(settings) = settings {
            // They were accepted when the plugin was prepared; a plugin that changes its mind breaks its contract.
            if entry.configure(store, &instance, settings)?.is_err() {
                let what = "it refused settings that it had accepted".to_owned();
                return Err(Cause::Nonsense { what }.into());
            }
        }
        call(entry, store, &instance)
    }
}
