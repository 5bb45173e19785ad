//! Write a Hallmark plugin in Rust.
//!
//! A plugin is a WebAssembly component that serves one stage of the gate. Implement the trait of that stage,
//! [`Resolver`], [`Validator`] or [`Policy`], and export it with the macro of the same name. There is nothing else:
//! no WIT, no generated code, no build script.
//!
//! ```
//! use hallmark_plugin::{Description, Finding, Submission, Validator};
//!
//! #[derive(serde::Deserialize)]
//! struct Settings {
//!     tags_max: usize,
//! }
//!
//! struct FewTags {
//!     settings: Settings,
//! }
//!
//! impl Validator for FewTags {
//!     type Settings = Settings;
//!
//!     fn description() -> Description {
//!         Description::new("few-tags", "1.0.0", "Limits how many tags an entry carries.")
//!             .settings_schema(r#"{"type": "object", "required": ["tags_max"],
//!                                  "properties": {"tags_max": {"type": "integer", "minimum": 0}}}"#)
//!             .code("tags.count", "There are more tags than allowed.", "Keep the tags that people search for.")
//!     }
//!
//!     fn configure(settings: Settings) -> Result<Self, Vec<Finding>> {
//!         Ok(Self { settings })
//!     }
//!
//!     fn validate(&self, submission: &Submission) -> Vec<Finding> {
//!         let tags = match submission.get::<Vec<String>>("/tags") {
//!             Ok(tags) => tags.unwrap_or_default(),
//!             Err(mismatch) => return vec![mismatch.into()],
//!         };
//!         let allowed = self.settings.tags_max;
//!         if tags.len() <= allowed {
//!             return Vec::new();
//!         }
//!         vec![
//!             Finding::error("tags.count")
//!                 .at("/tags")
//!                 .message(format!("there are {} tags, {allowed} are allowed", tags.len()))
//!                 .help(format!("keep at most {allowed}")),
//!         ]
//!     }
//! }
//!
//! hallmark_plugin::export_validator!(FewTags);
//!
//! // In a test, on the machine itself, without WebAssembly:
//! use hallmark_plugin::serde_json::json;
//! use hallmark_plugin::testing::Bench;
//!
//! let findings = Bench::new()
//!     .settings(json!({"tags_max": 1}))
//!     .submission(json!({"agentId": "greeter", "tags": ["a", "b"]}))
//!     .validate::<FewTags>();
//! assert_eq!(findings[0].message, "there are 2 tags, 1 are allowed");
//! ```
//!
//! The crate that exports a plugin is a `cdylib`; `hallmark plugin build` makes the component of it.
//!
//! # What the sandbox is like
//!
//! `configure` runs once. The host keeps the memory that it leaves behind, and each evaluation starts from a copy of
//! it: compile patterns, parse rules and build tables there, and they cost nothing later. Nothing that an evaluation
//! writes is seen by the next.
//!
//! There is no network, no file, no environment; the only outside is what [`Submission`], [`registry`] and [`log`]
//! offer. Each is bounded by a limit of the host (`plugin_deadline_ms`, `plugin_memory_max_bytes`,
//! `plugin_answer_max_bytes`, `plugin_host_calls_max`, `plugin_lookups_max` and so on). A plugin that overruns one, or
//! panics, has not said no: it broke, and the publisher is told to try again later. Prefer reading the few places
//! that matter, with [`Submission::text`] and [`Submission::get`], over parsing everything.

#[doc(hidden)]
pub mod bindings;
mod description;
#[cfg(not(target_arch = "wasm32"))]
mod engine;
mod example;
mod export;
mod finding;
pub mod findings;
mod host;
pub mod log;
pub mod pointer;
pub mod registry;
mod stage;
mod submission;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;

pub use bindings::base::hallmark::plugin::types::{
    Finding, Node, Origin, Placeholder, Resolution, Severity, Source, Subject, Substitution, Variable,
};
pub use description::{Description, FindingCode, NoSettings};
pub use example::Example;
pub use finding::Patch;
pub use serde;
pub use serde_json;
pub use stage::{Policy, Resolver, Validator};
pub use submission::{BadQuery, Mismatch, Submission};

/// What the export macros reach for. Not part of the promise.
#[doc(hidden)]
pub mod __private {
    pub use crate::bindings::{base, policy, resolver, self_test, validator};
    pub use crate::example::examples;
    pub use crate::export::{Slot, describe};
    pub use crate::stage::{configure_policy, configure_resolver, configure_validator};
}
