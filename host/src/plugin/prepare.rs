//! From a component's bytes to a plugin that can be evaluated: refused by its outline before anything is compiled,
//! then described, its settings checked, configured, kept as an image, and proved to start.

use std::sync::Arc;

use jsonschema::ValidationError;
use jsonschema::error::ValidationErrorKind;
use serde_json::Value;
use wasmtime::Store;
use wasmtime::component::{Component, Instance, InstancePre, Linker};

use super::answer;
use super::contract::{self, Entry};
use super::engine::Engine;
use super::evaluate::Compiled;
use super::snapshot::Instrumented;
use super::state::{self, State, Task};
use super::{Cause, Description, Failure, Unfit, failure, imports, world};
use crate::config::{Limits, instead, nearest};
use crate::names::{Digest, pointer};
use crate::report::{Remark, Stage};

/// Where nothing better is known.
const SEE_SCHEMA: &str = "see the settings schema in `hallmark plugin check`";

/// The settings as every part of the room knows them: canonical JSON (RFC 8785).
pub fn settings(settings: &Value, limits: &Limits) -> Result<String, Unfit> {
    let refused = |remark| Unfit::Settings(vec![remark]);
    let text = match settings {
        Value::Null => "{}".to_owned(),
        settings => serde_json_canonicalizer::to_string(settings)
            .map_err(|error| refused(Remark::error("settings.malformed", "", error.to_string())))?,
    };
    let limit_bytes = limits.plugin_settings_max_bytes;
    if text.len() > limit_bytes {
        return Err(refused(Remark::error(
            "settings.too-large",
            "",
            format!("the settings have {} bytes, more than plugin_settings_max_bytes = {limit_bytes}", text.len()),
        )));
    }
    Ok(text)
}

/// Everything.
pub fn prepare(
    engine: &Arc<Engine>,
    digest: &Digest,
    bytes: &[u8],
    stage: Stage,
    settings: &str,
) -> Result<Compiled, Unfit> {
    let outline = imports::outline(bytes, &engine.limits)?;
    let found = Digest::of(bytes);
    if found != *digest {
        return Err(Unfit::Load(format!("they have the digest {found}, not {digest}")));
    }
    if !outline.stages.contains(&stage) {
        return Err(Unfit::Stage { stage, serves: outline.stages });
    }
    let stages = &outline.stages;
    let instrumented = Instrumented::of(bytes);
    let trial = match &instrumented {
        Ok(instrumented) => Linked::new(engine, compile(engine, instrumented.bytes())?, stages)?,
        Err(_) => Linked::new(engine, compile(engine, bytes)?, stages)?,
    };
    let description = trial.describe(engine, digest)?;
    check(settings, &description.settings_schema)?;
    let (store, instance) = trial.configure(engine, digest, &description.name, settings)?;
    let image = instrumented.and_then(|instrumented| instrumented.snapshot(store, instance));
    let (linked, settings) = match image {
        Ok(image) => (Linked::new(engine, compile(engine, &image)?, stages)?, None),
        Err(why) => {
            tracing::info!(plugin = description.name, why, "a plugin is configured on each evaluation");
            (Linked::new(engine, compile(engine, bytes)?, stages)?, Some(settings.to_owned()))
        }
    };
    linked.prove(engine, digest, &description.name)?;
    Ok(Compiled { pre: linked.pre, entry: linked.entry, stages: outline.stages, settings, description })
}

/// Compiles it; one with more parts than it may have is refused by the pools.
pub fn compile(engine: &Engine, bytes: &[u8]) -> Result<Component, Unfit> {
    Component::from_binary(&engine.wasmtime, bytes).map_err(|error| failure::refusal(&error, &engine.limits))
}

/// A compiled component with its imports served and its exports found.
pub struct Linked {
    /// The instance to be.
    pub pre: InstancePre<State>,
    /// Its exports.
    pub entry: Entry,
}

impl Linked {
    /// Serves its imports and finds its exports.
    pub fn new(engine: &Engine, component: Component, stages: &[Stage]) -> Result<Self, Unfit> {
        let link = || {
            let mut linker = Linker::new(&engine.wasmtime);
            contract::link(&mut linker)?;
            world::link(&mut linker, &component)?;
            let pre = linker.instantiate_pre(&component)?;
            let entry = Entry::find(&pre, stages)?;
            Ok(Self { pre, entry })
        };
        link().map_err(|error: wasmtime::Error| Unfit::Contract(in_words(&error)))
    }

    /// Starts it and checks the types of its exports.
    pub fn prove(&self, engine: &Engine, digest: &Digest, name: &str) -> Result<(), Unfit> {
        let (mut store, instance) = self.start(engine, digest, name, Task::Describe)?;
        self.entry.check(&mut store, &instance).map_err(|error| Unfit::Contract(in_words(&error)))
    }

    /// Asks it what it is.
    pub fn describe(&self, engine: &Engine, digest: &Digest) -> Result<Description, Unfit> {
        let name = digest.as_str();
        let (mut store, instance) = self.start(engine, digest, name, Task::Describe)?;
        self.entry.check(&mut store, &instance).map_err(|error| Unfit::Contract(in_words(&error)))?;
        match self.entry.describe(&mut store, &instance) {
            Ok(said) => said.map_err(Unfit::Contract),
            Err(error) => Err(broke(digest, name, failure::cause(&error, store.data()))),
        }
    }

    /// Configures a fresh instance of it.
    pub fn configure(
        &self,
        engine: &Engine,
        digest: &Digest,
        name: &str,
        settings: &str,
    ) -> Result<(Store<State>, Instance), Unfit> {
        let task = Task::Configure(settings.as_bytes().to_vec());
        let (mut store, instance) = self.start(engine, digest, name, task)?;
        match self.entry.configure(&mut store, &instance, settings) {
            Ok(Ok(())) => Ok((store, instance)),
            Ok(Err(remarks)) => Err(Unfit::Settings(remarks)),
            Err(error) => Err(broke(digest, name, failure::cause(&error, store.data()))),
        }
    }

    /// Makes an instance of it.
    pub fn start(
        &self,
        engine: &Engine,
        digest: &Digest,
        name: &str,
        task: Task,
    ) -> Result<(Store<State>, Instance), Unfit> {
        let mut store = state::store(engine, Arc::from(name), task);
        match self.pre.instantiate(&mut store) {
            Ok(instance) => Ok((store, instance)),
            Err(error) => Err(broke(digest, name, failure::cause(&error, store.data()))),
        }
    }
}

/// It broke when it was tried.
pub fn broke(digest: &Digest, name: &str, cause: Cause) -> Unfit {
    Unfit::Broke(Failure { plugin: name.to_owned(), digest: digest.clone(), cause, lookups: Vec::new() })
}

/// Wasmtime says in a chain which import or export differs, and how.
fn in_words(error: &wasmtime::Error) -> String {
    error.chain().map(|part| failure::plain(&part.to_string())).collect::<Vec<_>>().join(": ")
}

/// Checks the settings against what the plugin says of them.
pub fn check(settings: &str, schema: &Value) -> Result<(), Unfit> {
    let settings: Value = serde_json::from_str(settings).expect("canonical JSON is JSON");
    let validator = answer::schema(schema).map_err(Unfit::Contract)?;
    let remarks: Vec<Remark> = validator.iter_errors(&settings).flat_map(|error| refused(&error, schema)).collect();
    if remarks.is_empty() { Ok(()) } else { Err(Unfit::Settings(remarks)) }
}

/// What a violation says, and what was most likely meant.
fn refused(error: &ValidationError<'_>, schema: &Value) -> Vec<Remark> {
    let path = error.instance_path().as_str();
    let say = |path: &str, message: String| Remark::error("settings.schema", path, message);
    match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected }
        | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
            let known = pointer::named_beside(schema, error.schema_path().as_str());
            let unknown = |name: &String| {
                let message = format!("the setting '{name}' is not known here");
                say(&pointer::child(path, name), message).with_help(instead(name, &known))
            };
            unexpected.iter().map(unknown).collect()
        }
        ValidationErrorKind::Enum { options } => {
            let known: Vec<&str> = options.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            let near = error.instance().as_str().and_then(|given| nearest(given, &known));
            let help = near.map_or_else(|| SEE_SCHEMA.to_owned(), |near| format!("did you mean '{near}'?"));
            vec![say(path, error.to_string()).with_help(help)]
        }
        _ => vec![say(path, error.to_string()).with_help(SEE_SCHEMA)],
    }
}
