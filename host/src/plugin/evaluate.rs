//! One evaluation: a turn, a fresh store and instance, one call, and the store is gone. Synchronous, on the thread
//! of its caller.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::field::Empty;
use tracing::span::EnteredSpan;
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

/// How long its evaluations take, by outcome, and how many gave no answer, by cause; looked up once, since an evaluation
/// is short. The failures are there, as none, from the start: an increase from nothing is seen by nobody.
pub struct Meters {
    answered: metrics::Histogram,
    broke: metrics::Histogram,
    failures: metrics::Counter,
    busy: metrics::Counter,
    quarantined: metrics::Counter,
}

impl Meters {
    fn of(plugin: &Arc<str>) -> Self {
        let time = |outcome: &'static str| {
            let plugin = Arc::clone(plugin);
            metrics::histogram!("hallmark_plugin_evaluation_duration_seconds", "plugin" => plugin, "outcome" => outcome)
        };
        let count = |cause: &'static str| metrics::counter!("hallmark_plugin_failures_total", "plugin" => Arc::clone(plugin), "cause" => cause);
        Self {
            answered: time("answered"),
            broke: time("broke"),
            failures: count("broke"),
            busy: count("busy"),
            quarantined: count("quarantined"),
        }
    }

    fn answered(&self, elapsed: Duration) {
        self.answered.record(elapsed);
    }

    fn broke(&self, elapsed: Duration) {
        self.broke.record(elapsed);
        self.failures.increment(1);
    }

    fn turned_away(&self, cause: &Cause) {
        let counter = if matches!(cause, Cause::Busy { .. }) { &self.busy } else { &self.quarantined };
        counter.increment(1);
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
        let meters = Meters::of(&name);
        Self { engine, name, digest, stage, compiled, bulkhead, meters }
    }

    /// An evaluation's own span, where traces are exported.
    fn span(&self) -> EnteredSpan {
        tracing::info_span!(
            "plugin",
            otel.name = %format_args!("plugin {}", self.name),
            otel.status_code = Empty,
            plugin.name = &*self.name,
            plugin.digest = self.digest.as_str(),
            plugin.stage = self.stage.as_str(),
            plugin.outcome = Empty,
        )
        .entered()
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
        let span = self.span();
        let mut store = state::store(&self.engine, Arc::clone(&self.name), Task::Judge(case.clone()));
        let outcome = self.call(&mut store, call);
        conclude(&span, if outcome.is_ok() { "answered" } else { "broke" });
        let elapsed = store.data().pace().elapsed();
        let lookups = store.data_mut().take_lookups();
        match outcome {
            Ok(answer) => Ok(Evaluated { answer, lookups, elapsed }),
            Err(error) => {
                let cause = failure::cause(&error, store.data());
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
        let span = self.span();
        let permit = self.bulkhead.enter(limits, Instant::now()).map_err(|cause| {
            self.meters.turned_away(&cause);
            conclude(&span, "turned away");
            failure(cause, Vec::new())
        })?;
        let task = Task::Judge(case.clone());
        let mut store = state::store(&self.engine, Arc::clone(&self.name), task);
        let outcome = self.call(&mut store, call);
        let elapsed = store.data().pace().elapsed();
        let lookups = store.data_mut().take_lookups();
        let outcome = outcome.map_err(|error| failure::cause(&error, store.data()));
        drop(store);
        match outcome {
            Ok(answer) => {
                self.meters.answered(elapsed);
                conclude(&span, "answered");
                permit.succeeded();
                Ok(Evaluated { answer, lookups, elapsed })
            }
            Err(cause) => {
                self.meters.broke(elapsed);
                conclude(&span, "broke");
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

/// Tells a span how its evaluation ended.
fn conclude(span: &EnteredSpan, outcome: &'static str) {
    span.record("plugin.outcome", outcome);
    if outcome != "answered" {
        span.record("otel.status_code", "ERROR");
    }
}
