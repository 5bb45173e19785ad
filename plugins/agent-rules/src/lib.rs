//! `agent-rules`: what the module that owns agents asks of every agent, whatever the tenant's policies add. It reads
//! the few places that it judges and must never need the whole manifest.

mod capabilities;
pub mod codes;
mod permissions;
mod places;
mod services;
mod settings;

use std::collections::BTreeSet;

use hallmark_plugin::findings::{Findings, unknown_severities};
use hallmark_plugin::{Description, Finding, Submission, Validator, pointer};
use shared_rules::{identity, tags};

use places::Places;
pub use settings::Settings;

/// The plugin, configured.
#[derive(Debug)]
pub struct AgentRules {
    settings: Settings,
    capabilities: Places,
    permissions: Places,
    permissions_allowed: BTreeSet<String>,
    services: Places,
}

impl Validator for AgentRules {
    type Settings = Settings;

    fn description() -> Description {
        Description::new(
            "agent-rules",
            env!("CARGO_PKG_VERSION"),
            "Checks an agent's id, version, capabilities, permissions, tags and references to services.",
        )
        .settings_schema(include_str!("settings.schema.json"))
        .codes(codes::ALL)
    }

    fn configure(mut settings: Settings) -> Result<Self, Vec<Finding>> {
        let mut wrong = unknown_severities(&settings.severities, codes::ALL);
        let mut places = |setting: &str, paths: &[String]| {
            Places::parse(paths).unwrap_or_else(|(index, message)| {
                let at = pointer::child(&pointer::child("", setting), index);
                wrong.push(Finding::setting(at).message(message));
                Places::default()
            })
        };
        let capabilities = places("capability_paths", &settings.capability_paths);
        let permissions = places("permission_paths", &settings.permission_paths);
        let services = places("service_paths", &settings.service_paths);
        if !wrong.is_empty() {
            return Err(wrong);
        }
        let permissions_allowed = std::mem::take(&mut settings.permissions_allowed).into_iter().collect();
        Ok(Self { settings, capabilities, permissions, permissions_allowed, services })
    }

    fn validate(&self, submission: &Submission) -> Vec<Finding> {
        let settings = &self.settings;
        let mut findings = Findings::new(&settings.severities, settings.findings_max);
        identity::check_id(&settings.id_field, settings.id_length_max, submission, &mut findings);
        let version = identity::check_version_form(submission, &mut findings);
        if let Some(version) = version.filter(|_| !settings.allow_lower_version) {
            identity::check_version_order(&version, submission, &mut findings);
        }
        capabilities::check(&self.capabilities, submission, &mut findings);
        permissions::check(&self.permissions, &self.permissions_allowed, submission, &mut findings);
        tags::check(settings.tags_max, settings.tag_length_max, submission, &mut findings);
        services::check(&self.services, &settings.services_kind, settings.services_max, submission, &mut findings);
        findings.finish()
    }
}

hallmark_plugin::export_validator!(AgentRules);
