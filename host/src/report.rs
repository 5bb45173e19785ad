//! What the gate says: findings, placeholders and the time each stage took, as the API shows them and a decision
//! keeps them.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How much a finding weighs. Only an `error` in an enforcing binding rejects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The submission must change.
    Error,
    /// It should.
    Warning,
    /// Worth knowing.
    Info,
}

/// A step of the gate that gives findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// The kind's fields and JSON Schema.
    Schema,
    /// Placeholders.
    Resolve,
    /// The module's validators.
    Validate,
    /// The tenant's policies.
    Policy,
}

impl Stage {
    /// The word used in JSON, logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Schema => "schema",
            Self::Resolve => "resolve",
            Self::Validate => "validate",
            Self::Policy => "policy",
        }
    }
}

/// What a binding's findings do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// They decide.
    #[default]
    Enforce,
    /// They are recorded and shown, and never decide.
    Observe,
}

/// One thing that a plugin or the host says about a submission, before it is known in which binding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Remark {
    /// How much it weighs.
    pub severity: Severity,
    /// Stable and documented: `permissions.wildcard`.
    pub code: String,
    /// JSON Pointer (RFC 6901) into the submission.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What to change.
    pub help: Option<String>,
    /// A JSON Patch (RFC 6902) that would mend it.
    pub fix: Option<Value>,
}

impl Remark {
    /// An error without help.
    pub fn error(code: &str, path: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            code: code.to_owned(),
            path: path.into(),
            message: message.into(),
            help: None,
            fix: None,
        }
    }

    /// The same with help.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// A remark with the binding that made it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// The step that gave it.
    pub stage: Stage,
    /// The binding's name; none where the host itself speaks.
    pub plugin: Option<String>,
    /// Whether it decides.
    pub mode: Mode,
    /// What is said.
    #[serde(flatten)]
    pub remark: Remark,
    /// What lets it pass, where something does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exemption: Option<Exempted>,
}

/// The exemption that lets a finding pass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Exempted {
    /// Its id.
    pub id: String,
    /// Why it was given.
    pub reason: String,
}

impl Finding {
    /// True where this finding alone rejects the submission.
    pub fn rejects(&self) -> bool {
        self.mode == Mode::Enforce && self.would_reject()
    }

    /// True where it rejects or, in a binding that observes, would if that enforced.
    pub fn would_reject(&self) -> bool {
        self.remark.severity == Severity::Error && self.exemption.is_none()
    }
}

/// Where a placeholder's value came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// A variable of the request.
    Request,
    /// The module's default.
    Module,
    /// A default in the manifest.
    Inline,
}

/// A variable's part in a substituted value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Origin {
    /// The variable.
    pub name: String,
    /// Where its value came from.
    pub source: Source,
}

/// One replaced place of the submission.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Substitution {
    /// JSON Pointer into the submission.
    pub path: String,
    /// What stands there now.
    pub value: Value,
    /// The variables in it, in order of first use.
    pub origins: Vec<Origin>,
}

/// What was found out about one placeholder name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Placeholder {
    /// The variable's name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// The default that applies.
    pub default: Option<String>,
    /// The value that was used; a mask where it is secret.
    pub value: Option<String>,
    /// Where the value came from.
    pub source: Option<Source>,
    /// No default exists: the request must set it.
    pub required: bool,
    /// No value was found.
    pub missing: bool,
    /// Its value is never shown.
    pub secret: bool,
    /// JSON Pointers of its uses.
    pub occurrences: Vec<String>,
    /// The inline defaults, where two differ.
    pub conflicts: Vec<String>,
}

/// The time one step took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Timing {
    /// The step: `decode` or a stage. A commit is not timed: the record of the run is part of it.
    pub stage: String,
    /// The binding, for a plugin's own share.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugin: Option<String>,
    /// Microseconds of wall time.
    pub micros: u64,
}
