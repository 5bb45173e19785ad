//! The sandbox: plugins are WebAssembly components, and this room alone knows it. It compiles, configures, snapshots
//! and runs them, each of the gate's evaluations in an instance of its own, and tells a guest that said no from a guest that broke.
//! It never touches the store or the network.

mod answer;
mod aside;
mod bulkhead;
mod cache;
mod contract;
mod engine;
mod evaluate;
mod failure;
mod imports;
mod inspect;
mod pace;
mod prepare;
mod query;
mod random;
mod sandbox;
mod self_test;
mod series;
mod snapshot;
mod state;
mod submission;
#[cfg(test)]
mod tests;
mod threads;
mod world;

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::names::Digest;
use crate::report::{Placeholder, Remark, Source, Stage, Substitution};

pub use engine::SERIES_MAX;
pub use sandbox::{Haste, Sandbox};
pub use self_test::EmptyRegistry;
pub use series::{Configured, Series, Unconfigured};

/// What is being judged, without its document; the contract's `subject`.
#[derive(Debug, Clone)]
pub struct Subject {
    /// The tenant.
    pub tenant: String,
    /// The module that declares the kind.
    pub module: String,
    /// The kind's plural.
    pub kind: String,
    /// The entry's id.
    pub id: String,
    /// The version that would be published.
    pub version: String,
    /// Who publishes.
    pub publisher: String,
    /// The submission's time, which is every guest clock's time.
    pub submitted_at_ms: i64,
    /// JSON Pointer of the document field.
    pub document: String,
}

/// A name that a placeholder may use; the contract's `variable`. A secret's value is a mask already.
#[derive(Debug, Clone)]
pub struct Variable {
    /// The name.
    pub name: String,
    /// The value, if one is known.
    pub value: Option<String>,
    /// `Request` or `Module`.
    pub source: Source,
    /// What it is for.
    pub description: Option<String>,
    /// Whether the value is a mask.
    pub secret: bool,
}

/// The submission as guests see it, with what the resolvers replaced.
#[derive(Debug, Clone, Default)]
pub struct Document {
    /// The JSON object.
    pub value: Value,
    /// The replaced places.
    pub substituted: Vec<Substitution>,
}

/// What the registry knows of one published version; the contract's `registry.summary`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = EntrySummary)]
pub struct Summary {
    /// The kind's plural.
    pub kind: String,
    /// The entry's id.
    pub id: String,
    /// The version asked for, or the active one.
    pub version: String,
    /// The active version.
    pub current_version: String,
    /// The highest version ever published.
    pub highest_version: String,
    /// Digest of the resolved submission.
    pub digest: String,
}

/// The registry could not be asked.
#[derive(Debug, thiserror::Error)]
#[error("the registry could not be asked")]
pub struct FactsError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// What a plugin may ask about the rest of the registry. Called on a gate thread; may block.
pub trait Facts: Send + Sync {
    /// One published version, the active one for none.
    ///
    /// # Errors
    /// The registry could not be asked.
    fn lookup(&self, kind: &str, id: &str, version: Option<&str>) -> Result<Option<Summary>, FactsError>;

    /// Its resolved submission as JSON text.
    ///
    /// # Errors
    /// The registry could not be asked.
    fn manifest(&self, kind: &str, id: &str, version: Option<&str>) -> Result<Option<Arc<str>>, FactsError>;
}

/// Everything one evaluation is given.
#[derive(Clone)]
pub struct Case {
    /// What is judged.
    pub subject: Arc<Subject>,
    /// Its document.
    pub document: Arc<Document>,
    /// The registry.
    pub facts: Arc<dyn Facts>,
}

/// A question that a plugin asked the registry, and the answer; kept in the decision.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = LookupAnswer)]
pub struct Lookup {
    /// `lookup` or `manifest`.
    pub call: String,
    /// The kind's plural.
    pub kind: String,
    /// The entry's id.
    pub id: String,
    /// The version asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The digest of the version found, none where there was none.
    pub found: Option<String>,
    /// What was found, whole, so that the same can be answered again; of a manifest, which version's it was. None where
    /// nothing was found, and in decisions of the time before it was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Summary>,
}

/// What an evaluation gave.
#[derive(Debug, Clone)]
pub struct Evaluated<T> {
    /// The guest's answer.
    pub answer: T,
    /// What it asked the registry.
    pub lookups: Vec<Lookup>,
    /// Wall time, instantiation included.
    pub elapsed: Duration,
}

/// A resolver's answer; the contract's `resolution`.
#[derive(Debug, Clone, Default)]
pub struct Resolution {
    /// What to replace.
    pub substitutions: Vec<Substitution>,
    /// What was found out.
    pub placeholders: Vec<Placeholder>,
    /// What is missing or in conflict.
    pub remarks: Vec<Remark>,
}

/// A plugin that broke. It has said nothing about the submission; the door stays closed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("plugin {plugin} {cause}")]
pub struct Failure {
    /// The plugin's own name.
    pub plugin: String,
    /// Its component.
    pub digest: Digest,
    /// How it broke.
    pub cause: Cause,
    /// What it had asked the registry until then.
    pub lookups: Vec<Lookup>,
}

/// How a plugin broke. The texts reach the publisher: they name the limit and nothing of the host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    /// It ran too long.
    #[error("overran its deadline (plugin_deadline_ms = {limit_ms})")]
    Deadline {
        /// The limit in force, milliseconds of processor time.
        limit_ms: u64,
    },
    /// It ran too long when it was described or configured.
    #[error("overran its deadline (plugin_configure_deadline_ms = {limit_ms})")]
    ConfigureDeadline {
        /// The limit in force, milliseconds of processor time.
        limit_ms: u64,
    },
    /// It took too long by the clock on the wall.
    #[error("took too long (plugin_wall_max_ms = {limit_ms})")]
    Wall {
        /// The limit in force, milliseconds.
        limit_ms: u64,
    },
    /// It asked for more memory than it may have.
    #[error("asked for more memory than it may have (plugin_memory_max_bytes = {limit_bytes})")]
    Memory {
        /// The limit in force, bytes.
        limit_bytes: usize,
    },
    /// It asked for a larger table than it may have.
    #[error("asked for a larger table than it may have (plugin_table_elements_max = {limit})")]
    Table {
        /// The limit in force, elements.
        limit: usize,
    },
    /// It ran out of stack.
    #[error("overran its stack (plugin_stack_max_bytes = {limit_bytes})")]
    Stack {
        /// The limit in force, bytes.
        limit_bytes: usize,
    },
    /// It trapped: a division by zero, an access out of bounds, a panic that left no words.
    #[error("trapped: {what}")]
    Trap {
        /// The trap's name, in WebAssembly's terms.
        what: String,
    },
    /// It panicked, in its own words.
    #[error("panicked: {what}")]
    Panic {
        /// What it said, and where.
        what: String,
    },
    /// It handed over more than it may.
    #[error("handed over more than it may (plugin_answer_max_bytes = {limit_bytes})")]
    Answer {
        /// The limit in force, bytes.
        limit_bytes: usize,
    },
    /// It gave too many findings.
    #[error("gave more findings than it may (plugin_findings_max = {limit})")]
    Findings {
        /// The limit in force.
        limit: usize,
    },
    /// It logged too much.
    #[error("logged more than it may (plugin_log_max_bytes = {limit_bytes})")]
    Log {
        /// The limit in force, bytes.
        limit_bytes: usize,
    },
    /// It held too many handles of host resources.
    #[error("held more handles than it may (plugin_handles_max = {limit})")]
    Handles {
        /// The limit in force.
        limit: usize,
    },
    /// It called the host too often.
    #[error("called the host more often than it may (plugin_host_calls_max = {limit})")]
    HostCalls {
        /// The limit in force.
        limit: u64,
    },
    /// It read too much through host calls.
    #[error("read more than it may (plugin_read_max_bytes = {limit_bytes})")]
    Read {
        /// The limit in force, bytes.
        limit_bytes: usize,
    },
    /// It asked the registry too often.
    #[error("asked the registry more often than it may (plugin_lookups_max = {limit})")]
    Lookups {
        /// The limit in force.
        limit: u64,
    },
    /// Its answer does not have the contract's form.
    #[error("answered nonsense: {what}")]
    Nonsense {
        /// What is wrong with the answer.
        what: String,
    },
    /// It called an import that the sandbox does not serve.
    #[error("called {import}, which the sandbox does not serve")]
    Refused {
        /// The import.
        import: String,
    },
    /// Too many of its evaluations run, for too long.
    #[error("is busy (plugin_running_max = {running}, plugin_turn_wait_max_ms = {wait_ms})")]
    Busy {
        /// Evaluations that may run at once.
        running: usize,
        /// The limit in force, milliseconds.
        wait_ms: u64,
    },
    /// It broke too often and rests.
    #[error("is in quarantine after {failures} failures in a row (plugin_failures_max, plugin_quarantine_ms)")]
    Quarantined {
        /// Failures in a row.
        failures: u32,
    },
    /// The registry could not be asked on its behalf: not the plugin's fault.
    #[error("could not ask the registry")]
    Facts,
    /// No instance could be made: the pool is exhausted.
    #[error("could not be started")]
    Start,
}

impl Cause {
    /// True where the machine made it so and not the submission: another run may well end otherwise.
    pub fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::Deadline { .. }
                | Self::ConfigureDeadline { .. }
                | Self::Wall { .. }
                | Self::Busy { .. }
                | Self::Quarantined { .. }
                | Self::Facts
                | Self::Start
        )
    }
}

/// What a component says and needs, found out without running it for a submission.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Inspection {
    /// SHA-256 of the component.
    pub digest: Digest,
    /// Bytes of the component.
    pub size_bytes: usize,
    /// The contract it was built for: `hallmark:plugin@0.1.0`.
    pub contract: String,
    /// The stages it serves.
    pub stages: Vec<Stage>,
    /// Every interface it imports.
    pub imports: Vec<String>,
    /// Every interface and function it exports.
    pub exports: Vec<String>,
    /// What it says of itself.
    pub description: Description,
    /// How many examples it brings and answers as they say; none where it brings no self-test.
    #[serde(default)]
    pub examples: Option<u32>,
    /// None where its configured memory can be kept; else why not.
    pub not_snapshottable: Option<String>,
}

/// A step on the way of a component that is pushed, told when it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Step {
    /// It waits until others are compiled (`plugin_compilations_max`).
    Waiting,
    /// Its bytes are read: what it imports and exports, and how large it is.
    Reading,
    /// It is compiled, which takes a second for each megabyte or so.
    Compiling,
    /// It is asked what it is.
    Describing,
    /// The examples that it brings are run.
    Testing,
    /// Its bytes and its row are written.
    Keeping,
}

/// Is told each step.
pub type Progress<'a> = dyn Fn(Step) + Send + Sync + 'a;

/// What a plugin says of itself; the contract's `metadata.description`.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PluginDescription)]
pub struct Description {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What it checks.
    pub summary: String,
    /// JSON Schema of its settings.
    pub settings_schema: Value,
    /// Every code it can give.
    pub finding_codes: Vec<FindingCode>,
}

/// The keyword of a settings schema with which a plugin declares it, of an array at the top of its settings: the
/// findings under the array are those under each of its elements, together, and no evaluation leaves anything behind for
/// the next one in the same instance.
const INDEPENDENT: &str = "x-hallmark-independent";

impl Description {
    /// True where the plugin declares the elements of this setting independent.
    pub fn is_independent(&self, setting: &str) -> bool {
        let settings = self.settings_schema.get("properties");
        settings.and_then(|settings| settings.get(setting)).is_some_and(says_independent)
    }

    /// The settings of which it does so.
    pub fn independent_settings(&self) -> Vec<&str> {
        let settings = self.settings_schema.get("properties").and_then(Value::as_object);
        let settings = settings.into_iter().flatten().filter(|(_, setting)| says_independent(setting));
        settings.map(|(name, _)| name.as_str()).collect()
    }
}

fn says_independent(setting: &Value) -> bool {
    setting.get(INDEPENDENT) == Some(&Value::Bool(true))
}

/// One documented finding code.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct FindingCode {
    /// The code.
    pub code: String,
    /// When it is given.
    pub summary: String,
    /// Why it matters and how to mend it, in Markdown.
    pub help: String,
}

/// Why a component cannot be put to work.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    /// Its bytes cannot be had: not the plugin's fault.
    #[error("its bytes cannot be loaded: {0}")]
    Load(String),
    /// The file is too large.
    #[error("the component has {size_bytes} bytes, more than plugin_component_max_bytes = {limit_bytes}")]
    TooLarge {
        /// Its size.
        size_bytes: usize,
        /// The limit in force.
        limit_bytes: usize,
    },
    /// It is not a component.
    #[error("not a WebAssembly component: {0}")]
    NotAComponent(String),
    /// It does not follow a contract that the host serves.
    #[error("does not follow the contract: {0}")]
    Contract(String),
    /// It imports what the sandbox does not grant.
    #[error("imports {}, which the sandbox does not grant", .0.join(", "))]
    Imports(Vec<String>),
    /// It does not serve the stage that it is bound to.
    #[error("does not serve the stage {}: it serves {}", stage.as_str(), serves.iter().map(|stage| stage.as_str()).collect::<Vec<_>>().join(", "))]
    Stage {
        /// The stage asked for.
        stage: Stage,
        /// What it serves.
        serves: Vec<Stage>,
    },
    /// Its settings do not have the form that it describes, or it refused them. Paths point into the settings.
    #[error("its settings are refused")]
    Settings(Vec<Remark>),
    /// Examples that it brings along and answers otherwise than they say, each with what came.
    #[error("its self-test fails: {}", .0.join("; "))]
    SelfTest(Vec<String>),
    /// It broke while it was described or configured.
    #[error("it broke when it was tried")]
    Broke(#[source] Failure),
    /// The compiler refused it.
    #[error("cannot be compiled: {0}")]
    Compile(String),
}

/// The gate's threads have as much to do as they can hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Busy(pub String);

/// A component, configured and ready to be evaluated, any number of times at once.
pub struct Plugin {
    engine: Arc<engine::Engine>,
    name: Arc<str>,
    digest: Digest,
    stage: Stage,
    compiled: evaluate::Compiled,
    bulkhead: Arc<bulkhead::Bulkhead>,
    meters: evaluate::Meters,
}
