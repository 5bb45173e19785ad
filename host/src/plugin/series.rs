//! Evaluations one after another in one instance: much cheaper than one instance for each, and only as good as the
//! plugin's word that none leaves anything behind for the next. For work that puts that word to the proof.

use std::sync::Arc;

use serde_json::Value;
use wasmtime::Store;
use wasmtime::component::Instance;

use super::engine::Engine;
use super::evaluate::Compiled;
use super::prepare::{self, Linked};
use super::state::State;
use super::{Case, Cause, Description, Failure, Inspection, Unfit, failure};
use crate::names::Digest;
use crate::report::{Remark, Stage};

/// What stands in the place of settings where there are none: no JSON text is empty.
pub(super) const NO_SETTINGS: &str = "";

/// A component that is compiled and not configured.
pub struct Unconfigured {
    engine: Arc<Engine>,
    digest: Digest,
    linked: Linked,
    stages: Vec<Stage>,
    description: Description,
}

/// What is compiled, as the cache keeps it until it is configured.
pub(super) fn unconfigured(linked: Linked, stages: Vec<Stage>, description: Description) -> Compiled {
    let Linked { pre, entry } = linked;
    Compiled { pre, entry, stages, settings: Some(NO_SETTINGS.to_owned()), description }
}

/// What an inspection found, where it is worth keeping: for a plugin that declares settings independent.
pub(super) fn worth_keeping(linked: Linked, inspection: &Inspection) -> Option<Compiled> {
    let Inspection { stages, description, .. } = inspection;
    (!description.independent_settings().is_empty()).then(|| unconfigured(linked, stages.clone(), description.clone()))
}

impl Unconfigured {
    pub(super) fn new(engine: Arc<Engine>, digest: Digest, compiled: Compiled) -> Self {
        let Compiled { pre, entry, stages, description, .. } = compiled;
        Self { engine, digest, linked: Linked { pre, entry }, stages, description }
    }

    /// Checks settings, once for all the instances that are configured with them. Settings of `null` are those of an
    /// empty object.
    ///
    /// # Errors
    /// It cannot be configured with them, or does not serve the stage.
    pub fn with_settings(self: &Arc<Self>, stage: Stage, settings: &Value) -> Result<Configured, Unfit> {
        if !self.stages.contains(&stage) {
            return Err(Unfit::Stage { stage, serves: self.stages.clone() });
        }
        let settings = prepare::settings(settings, &self.engine.limits)?;
        prepare::check(&settings, &self.description.settings_schema)?;
        Ok(Configured { component: Arc::clone(self), stage, settings })
    }
}

/// A component and settings that fit it.
pub struct Configured {
    component: Arc<Unconfigured>,
    stage: Stage,
    settings: String,
}

impl Configured {
    /// Configures an instance, which then judges one case after another, on the calling thread. A thread may hold
    /// `SERIES_MAX` of them.
    ///
    /// # Errors
    /// Why it cannot be put to work.
    pub fn series(&self) -> Result<Series, Failure> {
        let Self { component, stage, settings } = self;
        let Unconfigured { engine, digest, linked, description, .. } = &**component;
        match linked.configure(engine, digest, &description.name, settings) {
            Ok((store, instance)) => Ok(Series { component: Arc::clone(component), stage: *stage, store, instance }),
            Err(Unfit::Broke(failure)) => Err(failure),
            Err(unfit) => Err(Failure {
                plugin: description.name.clone(),
                digest: digest.clone(),
                cause: Cause::Nonsense { what: unfit.to_string() },
                lookups: Vec::new(),
            }),
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
    /// Judges a case under every limit of an evaluation; of memory, tables and handles it has what the series has left.
    ///
    /// # Errors
    /// The plugin broke: the series is at its end.
    pub fn judge(&mut self, case: &Case) -> Result<Vec<Remark>, Failure> {
        let Self { component, stage, store, instance } = self;
        let Unconfigured { engine, digest, linked, description, .. } = &**component;
        store.data_mut().take_up(case.clone());
        store.set_hostcall_fuel(engine.limits.plugin_answer_max_bytes);
        let said = linked.entry.judge(store, instance, case, *stage);
        let lookups = store.data_mut().take_lookups();
        said.map_err(|error| {
            let cause = failure::cause(&error, store.data());
            Failure { plugin: description.name.clone(), digest: digest.clone(), cause, lookups }
        })
    }

    /// True where it is better ended, since what it judged has left so much behind.
    #[must_use]
    pub fn is_worn(&self) -> bool {
        self.store.data().is_half_full()
    }
}
