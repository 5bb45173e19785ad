//! The examples that a plugin brings along, for the host to try when the component is pushed.

use serde_json::{Value, json};

use crate::{Subject, bindings};

/// A submission with what the plugin must find in it. The host runs each example in its sandbox when the component is
/// pushed, as it would run a publish, and refuses a component that answers otherwise; `hallmark plugin check` does the
/// same on the author's machine. Name the function that gives them in the export:
///
/// ```
/// use hallmark_plugin::serde_json::json;
/// use hallmark_plugin::{Description, Example, Finding, NoSettings, Policy, Submission};
///
/// struct Owned;
///
/// impl Policy for Owned {
///     type Settings = NoSettings;
///
///     fn description() -> Description {
///         Description::new("owned", "1.0.0", "Demands an owner.").code("owner.missing", "There is no owner.", "Name one.")
///     }
///
///     fn configure(_: NoSettings) -> Result<Self, Vec<Finding>> {
///         Ok(Self)
///     }
///
///     fn decide(&self, submission: &Submission) -> Vec<Finding> {
///         match submission.text("/manifest/owner") {
///             Some(_) => Vec::new(),
///             None => vec![Finding::error("owner.missing").at("/manifest").message("there is no owner")],
///         }
///     }
/// }
///
/// fn examples() -> Vec<Example> {
///     vec![
///         Example::new("an agent with an owner").document(json!({"owner": "search"})),
///         Example::new("an agent without an owner").finds("owner.missing", "/manifest"),
///     ]
/// }
///
/// hallmark_plugin::export_policy!(Owned, examples = examples);
/// ```
#[derive(Debug, Clone)]
pub struct Example {
    name: String,
    settings: Value,
    subject: Subject,
    submission: Value,
    variables: Vec<(String, String)>,
    expected: Vec<(String, String)>,
}

impl Example {
    /// An empty agent `example` 1.0.0 of the module `agents`, no settings, no variables, in which nothing is found. The
    /// name says in a few words what it shows.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            settings: json!({}),
            subject: Subject {
                tenant: "default".to_owned(),
                module: "agents".to_owned(),
                kind: "agents".to_owned(),
                id: "example".to_owned(),
                version: "1.0.0".to_owned(),
                publisher: "local".to_owned(),
                submitted_at: 1_767_225_600_000,
                document: "/manifest".to_owned(),
            },
            submission: json!({"agentId": "example", "name": "Example", "version": "1.0.0", "manifest": {}}),
            variables: Vec::new(),
            expected: Vec::new(),
        }
    }

    /// The settings to configure the plugin with.
    #[must_use]
    pub fn settings(mut self, settings: Value) -> Self {
        self.settings = settings;
        self
    }

    /// The submission: `{agentId, name, version, manifest, …}`.
    #[must_use]
    pub fn submission(mut self, submission: Value) -> Self {
        self.submission = submission;
        self
    }

    /// The document alone, put under the subject's document field of the submission.
    #[must_use]
    pub fn document(mut self, document: Value) -> Self {
        let field = self.subject.document.trim_start_matches('/').to_owned();
        self.submission[field] = document;
        self
    }

    /// Changes the subject: `.subject(|subject| subject.kind = "services".to_owned())`.
    #[must_use]
    pub fn subject(mut self, change: impl FnOnce(&mut Subject)) -> Self {
        change(&mut self.subject);
        self
    }

    /// A variable of the request.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A finding that must come: its code, and its path in the submission. Those that come must be these and no others.
    #[must_use]
    pub fn finds(mut self, code: &str, path: &str) -> Self {
        self.expected.push((code.to_owned(), path.to_owned()));
        self
    }
}

/// The examples in the contract's form.
#[doc(hidden)]
pub fn examples(own: Vec<Example>) -> Vec<bindings::self_test::exports::hallmark::plugin::self_test::Example> {
    use bindings::self_test::exports::hallmark::plugin::self_test;
    let example = |own: Example| self_test::Example {
        name: own.name,
        settings: own.settings.to_string(),
        subject: own.subject,
        submission: own.submission.to_string(),
        variables: own.variables,
        expected: own.expected.into_iter().map(|(code, path)| self_test::Expectation { code, path }).collect(),
    };
    own.into_iter().map(example).collect()
}
