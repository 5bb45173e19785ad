//! A policy that breaks what its settings name.

#[path = "../../hostile/src/damage.rs"]
mod damage;

use damage::{CODES, Settings};
use hallmark_plugin::{Description, Finding, Policy, Submission};

/// The guest.
pub struct HostilePolicy(Settings);

impl Policy for HostilePolicy {
    type Settings = Settings;

    fn description() -> Description {
        let description =
            Description::new("hostile-policy", env!("CARGO_PKG_VERSION"), "Breaks the limit that its settings name.")
                .settings_schema(include_str!("../../hostile/src/settings.schema.json"));
        CODES.into_iter().fold(description, |description, (code, summary)| {
            description.code(code, summary, "Nothing to mend: the plugin is a test.")
        })
    }

    fn configure(settings: Settings) -> Result<Self, Vec<Finding>> {
        damage::configure(settings).map(Self)
    }

    fn decide(&self, submission: &Submission) -> Vec<Finding> {
        damage::evaluate(&self.0, submission)
    }
}

hallmark_plugin::export_policy!(HostilePolicy);
