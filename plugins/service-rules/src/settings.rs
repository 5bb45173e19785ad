//! What a binding of this plugin may set. `settings.schema.json` says the same to the host; a test compares the
//! defaults.

use hallmark_plugin::findings::Severities;
use serde::{Deserialize, Serialize};

/// The settings, each with a default.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The longest slug.
    pub slug_length_max: usize,
    /// The kind in which services outside the document are looked up; none: all must be in the document.
    pub registry_kind: Option<String>,
    /// The most different services that are looked up.
    pub lookups_max: usize,
    /// Which references make a cycle.
    pub cycles_through: Vec<Reference>,
    /// Where a service without a base URL listens; none: unknown, so that it claims no port.
    pub default_host: Option<String>,
    /// Names of members in which `${NAME}` is no placeholder.
    pub literal_members: Vec<String>,
    /// The most findings that are given.
    pub findings_max: usize,
    /// Weights of codes, where they differ from the documented ones.
    #[serde(skip_serializing)]
    pub severities: Severities,
}

/// How one service names another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
pub enum Reference {
    /// It must run first.
    #[serde(rename = "dependsOn")]
    DependsOn,
    /// A variable takes its value from it.
    #[serde(rename = "fromService")]
    FromService,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            slug_length_max: 63,
            registry_kind: Some("services".to_owned()),
            lookups_max: 100,
            cycles_through: vec![Reference::DependsOn, Reference::FromService],
            default_host: Some("127.0.0.1".to_owned()),
            literal_members: Vec::new(),
            findings_max: 200,
            severities: Severities::new(),
        }
    }
}
