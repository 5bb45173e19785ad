//! `service-rules`: what the module that owns services asks of every service manifest, whatever the tenant's policies
//! add. It reads the document once, and its work grows with the document's size and not with its square.

pub mod codes;
mod dependencies;
mod manifest;
mod placeholders;
mod ports;
mod services;
mod settings;

use hallmark_plugin::findings::{Findings, unknown_severities};
use hallmark_plugin::{Description, Finding, Mismatch, Submission, Validator};

use manifest::Manifest;
use placeholders::Left;
pub use settings::{Reference, Settings};

// An evaluation is short and allocates much; this allocator is quicker at that than the standard library's.
#[cfg(target_arch = "wasm32")]
#[global_allocator]
static ALLOCATOR: talc::wasm::WasmDynamicTalc = talc::wasm::new_wasm_dynamic_allocator();

/// The plugin, configured.
#[derive(Debug)]
pub struct ServiceRules {
    settings: Settings,
}

impl Validator for ServiceRules {
    type Settings = Settings;

    fn description() -> Description {
        Description::new(
            "service-rules",
            env!("CARGO_PKG_VERSION"),
            "Checks the slugs, addresses, dependencies, ports and placeholders of a service manifest.",
        )
        .settings_schema(include_str!("settings.schema.json"))
        .codes(codes::ALL)
    }

    fn configure(mut settings: Settings) -> Result<Self, Vec<Finding>> {
        let wrong = unknown_severities(&settings.severities, codes::ALL);
        // TOML has no null, so an empty text says none too.
        settings.registry_kind.take_if(|kind| kind.is_empty());
        settings.default_host.take_if(|host| host.is_empty());
        if wrong.is_empty() { Ok(Self { settings }) } else { Err(wrong) }
    }

    fn validate(&self, submission: &Submission) -> Vec<Finding> {
        let document = &submission.subject().document;
        let Some(text) = submission.json(document) else { return Vec::new() };
        let settings = &self.settings;
        let mut findings = Findings::new(&settings.severities, settings.findings_max);
        let left = Left::check(&text, &settings.literal_members, submission, &mut findings);
        match serde_json::from_str::<Manifest>(&text) {
            Ok(manifest) => self.check(&manifest, &submission.in_document("/services"), &left, &mut findings),
            Err(error) => findings.add(Mismatch::new(document, &error).into()),
        }
        findings.finish()
    }
}

impl ServiceRules {
    fn check(&self, manifest: &Manifest, services: &str, left: &Left, findings: &mut Findings) {
        let settings = &self.settings;
        let first = services::check_slugs(manifest, services, settings.slug_length_max, left, findings);
        services::check_addresses(manifest, services, left, findings);
        dependencies::check(settings, manifest, services, &first, left, findings);
        ports::check(manifest, services, settings.default_host.as_deref(), left, findings);
    }
}

hallmark_plugin::export_validator!(ServiceRules);
