//! Evaluations one after another in one instance: much cheaper than one instance for each, and only as good as the
//! plugin's word that none leaves anything behind for the next. For work that puts that word to the proof.

use std::sync::Arc;

use wasmtime::Store;
use wasmtime::component::Instance;

use super::engine::Engine;
use super::evaluate::Compiled;
use super::prepare::{self, Linked};
use super::state::{self, State, Task};
use super::{Case, Cause, Description, Failure, Inspection, Unfit, failure};
use crate::names::Digest;
use crate::report::{Remark, Stage};

/// What stands in the place of settings where there are none: no JSON text is empty.
pub(super) const NO_SETTINGS: &str = "";

/// A component that is compiled and not configured.
pub struct Unconfigured {
    engine: Arc<Engine>,
    digest: Digest,
    compiled: Compiled,
}

/// What is compiled, as it is kept until it is configured.
pub(super) fn unconfigured(linked: Linked, stages: Vec<Stage>, description: Description) -> Compiled {
    let Linked { pre, entry } = linked;
    Compiled { pre, entry, stages, settings: Some(NO_SETTINGS.to_owned()), description }
}

/// What an inspection found, where it is worth keeping: for a plugin that declares settings independent.
pub(super) fn worth_keeping(linked: Linked, inspection: &Inspection) -> Option<Compiled> {
    let Inspection { stages, description, .. } = inspection;
    description.has_independent_settings().then(|| unconfigured(linked, stages.clone(), description.clone()))
}

impl Unconfigured {
    pub(super) fn new(engine: Arc<Engine>, digest: Digest, compiled: Compiled) -> Self {
        Self { engine, digest, compiled }
    }

    /// Configures an instance, which then judges one case after another. Settings of `null` are those of an empty object.
    ///
    /// # Errors
    /// Why it cannot be put to work with them.
    pub fn series(self: &Arc<Self>, stage: Stage, settings: &serde_json::Value) -> Result<Series, Unfit> {
        let Compiled { pre, entry, stages, description, .. } = &self.compiled;
        if !stages.contains(&stage) {
            return Err(Unfit::Stage { stage, serves: stages.clone() });
        }
        let settings = prepare::settings(settings, &self.engine.limits)?;
        prepare::check(&settings, &description.settings_schema)?;
        let broke = |error: wasmtime::Error| {
            prepare::broke(&self.digest, &description.name, failure::cause(&error, &self.engine.limits))
        };
        let task = Task::Configure(settings.as_bytes().to_vec());
        let mut store = state::store(&self.engine, Arc::from(description.name.as_str()), task);
        let instance = pre.instantiate(&mut store).map_err(broke)?;
        match entry.configure(&mut store, &instance, &settings).map_err(broke)? {
            Ok(()) => Ok(Series { component: Arc::clone(self), stage, store, instance }),
            Err(remarks) => Err(Unfit::Settings(remarks)),
        }
    }
}

/// An instance that judges one case after another, without a turn: its caller bounds how many there are.
pub struct Series {
    component: Arc<Unconfigured>,
    stage: Stage,
    store: Store<State>,
    instance: Instance,
}

impl Series {
    /// Judges a case under every limit of an evaluation, but for memory, of which it has what the series used.
    ///
    /// # Errors
    /// The plugin broke: the series is at its end.
    pub fn judge(&mut self, case: &Case) -> Result<Vec<Remark>, Failure> {
        let Self { component, stage, store, instance } = self;
        let Unconfigured { engine, digest, compiled } = &**component;
        let limits = &engine.limits;
        store.data_mut().take_up(case.clone());
        store.set_hostcall_fuel(limits.plugin_answer_max_bytes);
        let said = compiled.entry.judge(store, instance, case, *stage);
        let lookups = store.data_mut().take_lookups();
        said.map_err(|error| Failure {
            plugin: compiled.description.name.clone(),
            digest: digest.clone(),
            cause: failure::cause(&error, limits),
            lookups,
        })
    }

    /// How it breaks that its settings, which were accepted once, are refused.
    pub fn refused(component: &Unconfigured, unfit: Unfit) -> Failure {
        match unfit {
            Unfit::Broke(failure) => failure,
            _ => Failure {
                plugin: component.compiled.description.name.clone(),
                digest: component.digest.clone(),
                cause: Cause::Nonsense { what: "it refused settings that it had accepted".to_owned() },
                lookups: Vec::new(),
            },
        }
    }
}
