//! What a binding of this plugin may set. `settings.schema.json` says the same to the host; a test compares the
//! defaults.

use hallmark_plugin::findings::Severities;
use serde::{Deserialize, Serialize};

/// The settings, each with a default.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The kind's id field in the submission: where findings about the id point.
    pub id_field: String,
    /// The longest id.
    pub id_length_max: usize,
    /// A version lower than the highest published one is no finding.
    pub allow_lower_version: bool,
    /// JSONPaths of capabilities that the manifest uses.
    pub capability_paths: Vec<String>,
    /// JSONPaths of permissions; every text at or below them is one.
    pub permission_paths: Vec<String>,
    /// Permissions that may have a wildcard, each as it is written.
    pub permissions_allowed: Vec<String>,
    /// The most tags.
    pub tags_max: usize,
    /// The longest tag.
    pub tag_length_max: usize,
    /// JSONPaths of references to services.
    pub service_paths: Vec<String>,
    /// The kind in which services are published.
    pub services_kind: String,
    /// The most different services that are looked up.
    pub services_max: usize,
    /// The most findings that are given.
    pub findings_max: usize,
    /// Weights of codes, where they differ from the documented ones.
    #[serde(skip_serializing)]
    pub severities: Severities,
}

impl Default for Settings {
    fn default() -> Self {
        let paths = |paths: &[&str]| paths.iter().map(|&path| path.to_owned()).collect();
        Self {
            id_field: "agentId".to_owned(),
            id_length_max: 64,
            allow_lower_version: false,
            capability_paths: paths(&[
                "$.manifest.capabilities",
                "$.manifest.spec.capabilities",
                "$.manifest.tools[*].capability",
                "$.manifest.tools[*].capabilities",
                "$.manifest.spec.tools[*].capability",
                "$.manifest.spec.tools[*].capabilities",
                "$.manifest.steps[*].capability",
                "$.manifest.steps[*].capabilities",
                "$.manifest.spec.steps[*].capability",
                "$.manifest.spec.steps[*].capabilities",
            ]),
            permission_paths: paths(&["$.manifest.permissions", "$.manifest.spec.permissions"]),
            permissions_allowed: Vec::new(),
            tags_max: 20,
            tag_length_max: 40,
            service_paths: paths(&["$.manifest.services", "$.manifest.spec.services"]),
            services_kind: "services".to_owned(),
            services_max: 100,
            findings_max: 200,
            severities: Severities::new(),
        }
    }
}
