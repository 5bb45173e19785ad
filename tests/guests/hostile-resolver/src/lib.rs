//! A resolver that breaks what its settings name, or answers substitutions that are not any.

#[path = "../../hostile/src/damage.rs"]
mod damage;

use damage::{CODES, Settings};
use hallmark_plugin::{Description, Finding, Resolution, Resolver, Submission, Substitution, Variable};

/// What to answer.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(untagged)]
pub enum Answer {
    /// As the other hostile guests.
    Damage(Settings),
    /// Substitutions that the settings spell out: `{"substitutions": [{"path": "/manifest/a", "value": "\"text\""}]}`.
    Literal {
        /// Each as path and JSON text.
        substitutions: Vec<Literal>,
    },
}

/// One substitution, as it is answered.
#[derive(Debug, Clone, serde::Deserialize)]
pub struct Literal {
    path: String,
    value: String,
}

/// The guest.
pub struct HostileResolver(Answer);

impl Resolver for HostileResolver {
    type Settings = Answer;

    fn description() -> Description {
        let summary = "Breaks the limit that its settings name, or answers their substitutions.";
        let description = Description::new("hostile-resolver", env!("CARGO_PKG_VERSION"), summary)
            .settings_schema(r#"{"type": "object"}"#);
        CODES.into_iter().fold(description, |description, (code, summary)| {
            description.code(code, summary, "Nothing to mend: the plugin is a test.")
        })
    }

    fn configure(settings: Answer) -> Result<Self, Vec<Finding>> {
        Ok(Self(match settings {
            Answer::Damage(settings) => Answer::Damage(damage::configure(settings)?),
            literal @ Answer::Literal { .. } => literal,
        }))
    }

    fn resolve(&self, submission: &Submission, _variables: &[Variable]) -> Resolution {
        match &self.0 {
            Answer::Damage(settings) => {
                Resolution { findings: damage::evaluate(settings, submission), ..Resolution::default() }
            }
            Answer::Literal { substitutions } => {
                let substitutions = substitutions.iter().map(|literal| Substitution {
                    path: literal.path.clone(),
                    value: literal.value.clone(),
                    origins: Vec::new(),
                });
                Resolution { substitutions: substitutions.collect(), ..Resolution::default() }
            }
        }
    }
}

hallmark_plugin::export_resolver!(HostileResolver);
