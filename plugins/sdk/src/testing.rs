//! A bench that runs a plugin on the machine itself, so that `cargo test` needs no WebAssembly.
//!
//! It serves the imports from what the test says, and holds the plugin's answers to the contract: codes have their
//! form and are described, paths are pointers, fixes are JSON Patches. Limits of the sandbox are not applied.

use std::rc::Rc;

use serde_json::{Value, json};

use crate::engine::{World, within};
use crate::registry::Summary;
use crate::stage::{configure_policy, configure_resolver, configure_validator};
use crate::{
    Description, Finding, Policy, Resolution, Resolver, Source, Subject, Submission, Substitution, Validator, Variable,
    pointer,
};

/// What a plugin is run with. Each method sets one part; every part has a default.
#[derive(Debug)]
pub struct Bench {
    settings: String,
    subject: Subject,
    variables: Vec<Variable>,
    world: Rc<World>,
}

impl Default for Bench {
    fn default() -> Self {
        Self::new()
    }
}

impl Bench {
    /// An empty agent `example` 1.0.0 of the module `agents`, no settings, no variables, an empty registry.
    #[must_use]
    pub fn new() -> Self {
        let subject = Subject {
            tenant: "default".to_owned(),
            module: "agents".to_owned(),
            kind: "agents".to_owned(),
            id: "example".to_owned(),
            version: "1.0.0".to_owned(),
            publisher: "local".to_owned(),
            submitted_at: 1_767_225_600_000,
            document: "/manifest".to_owned(),
        };
        let world = World {
            submission: json!({"agentId": "example", "name": "Example", "version": "1.0.0", "manifest": {}}),
            ..World::default()
        };
        Self { settings: "null".to_owned(), subject, variables: Vec::new(), world: Rc::new(world) }
    }

    /// The binding's settings.
    #[must_use]
    pub fn settings(mut self, settings: Value) -> Self {
        self.settings = settings.to_string();
        self
    }

    /// The submission: `{agentId, name, version, manifest, …}`.
    #[must_use]
    pub fn submission(mut self, submission: Value) -> Self {
        self.world_mut().submission = submission;
        self
    }

    /// The document alone, put under the subject's document field of the submission.
    ///
    /// # Panics
    /// The submission is not an object.
    #[must_use]
    pub fn document(mut self, document: Value) -> Self {
        let field = self.subject.document.trim_start_matches('/').to_owned();
        let submission = self.world_mut().submission.as_object_mut().expect("the submission is an object");
        submission.insert(field, document);
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
    pub fn variable(self, name: &str, value: &str) -> Self {
        self.with_variable(Variable {
            name: name.to_owned(),
            value: Some(value.to_owned()),
            source: Source::Request,
            description: None,
            secret: false,
        })
    }

    /// A variable as the host would pass it: replaces one of the same name, and keeps them sorted.
    #[must_use]
    pub fn with_variable(mut self, variable: Variable) -> Self {
        self.variables.retain(|known| known.name != variable.name);
        self.variables.push(variable);
        self.variables.sort_by(|one, other| one.name.cmp(&other.name));
        self
    }

    /// A published version of an entry with its resolved submission. The last one published is active; the highest
    /// is so by semantic versioning, or the latest where a version is not semantic.
    #[must_use]
    pub fn published(mut self, kind: &str, id: &str, version: &str, submission: Value) -> Self {
        let versions: Vec<_> = self.of_entry(kind, id).map(|(summary, _)| summary.version.clone()).collect();
        let highest = highest(versions.iter().map(String::as_str).chain([version]));
        let summary = Summary {
            kind: kind.to_owned(),
            id: id.to_owned(),
            version: version.to_owned(),
            current_version: version.to_owned(),
            highest_version: highest.clone(),
            digest: digest(&submission),
        };
        let published = &mut self.world_mut().published;
        published.retain(|(known, _)| {
            (known.kind.as_str(), known.id.as_str(), known.version.as_str()) != (kind, id, version)
        });
        published.push((summary, submission));
        for (known, _) in published.iter_mut().filter(|(known, _)| known.kind == kind && known.id == id) {
            version.clone_into(&mut known.current_version);
            known.highest_version.clone_from(&highest);
        }
        self
    }

    /// Makes an earlier version the active one, as a rollback does.
    #[must_use]
    pub fn active(mut self, kind: &str, id: &str, version: &str) -> Self {
        let published = &mut self.world_mut().published;
        for (known, _) in published.iter_mut().filter(|(known, _)| known.kind == kind && known.id == id) {
            version.clone_into(&mut known.current_version);
        }
        self
    }

    /// What the resolvers replaced; the submission is given as it is after that.
    #[must_use]
    pub fn substituted(mut self, substituted: Vec<Substitution>) -> Self {
        self.world_mut().substituted = substituted;
        self
    }

    /// Configures a validator and runs it once.
    ///
    /// # Panics
    /// The settings are refused, or an answer does not have the contract's form.
    pub fn validate<P: Validator>(&self) -> Vec<Finding> {
        let plugin = accepted(self.configure_validator::<P>());
        checked(&P::description(), self.run(|submission| plugin.validate(submission)))
    }

    /// Configures a policy and runs it once.
    ///
    /// # Panics
    /// The settings are refused, or an answer does not have the contract's form.
    pub fn decide<P: Policy>(&self) -> Vec<Finding> {
        let plugin = accepted(self.configure_policy::<P>());
        checked(&P::description(), self.run(|submission| plugin.decide(submission)))
    }

    /// Configures a resolver and runs it once.
    ///
    /// # Panics
    /// The settings are refused, or an answer does not have the contract's form.
    pub fn resolve<P: Resolver>(&self) -> Resolution {
        let plugin = accepted(self.configure_resolver::<P>());
        let mut resolution = self.run(|submission| plugin.resolve(submission, &self.variables));
        resolution.findings = checked(&P::description(), resolution.findings);
        for substitution in &resolution.substitutions {
            let there = self.world.submission.pointer(&substitution.path);
            assert!(there.is_some(), "a substitution is for '{}', where nothing stands", substitution.path);
            let value = serde_json::from_str::<Value>(&substitution.value);
            assert!(value.is_ok(), "the substitution at '{}' is not JSON: {}", substitution.path, substitution.value);
        }
        resolution
    }

    /// The submission with a resolution's substitutions put in, as the host does it.
    ///
    /// # Panics
    /// A substitution is not JSON, or for a place where nothing stands.
    pub fn resolved(&self, resolution: &Resolution) -> Value {
        let mut submission = self.world.submission.clone();
        for substitution in &resolution.substitutions {
            let place = submission.pointer_mut(&substitution.path).expect("a substitution is for an existing place");
            *place = serde_json::from_str(&substitution.value).expect("a substitution is JSON");
        }
        submission
    }

    /// Configures a resolver.
    ///
    /// # Errors
    /// The findings about its settings.
    pub fn configure_resolver<P: Resolver>(&self) -> Result<P, Vec<Finding>> {
        within(Rc::clone(&self.world), || configure_resolver(&self.settings))
    }

    /// Configures a validator.
    ///
    /// # Errors
    /// The findings about its settings.
    pub fn configure_validator<P: Validator>(&self) -> Result<P, Vec<Finding>> {
        within(Rc::clone(&self.world), || configure_validator(&self.settings))
    }

    /// Configures a policy.
    ///
    /// # Errors
    /// The findings about its settings.
    pub fn configure_policy<P: Policy>(&self) -> Result<P, Vec<Finding>> {
        within(Rc::clone(&self.world), || configure_policy(&self.settings))
    }

    /// Runs an evaluation of a configured plugin with the imports served: what a benchmark repeats.
    pub fn run<T>(&self, evaluate: impl FnOnce(&Submission) -> T) -> T {
        within(Rc::clone(&self.world), || evaluate(&Submission::new(&self.subject)))
    }

    /// The variables, as a resolver is given them.
    pub fn variables(&self) -> &[Variable] {
        &self.variables
    }

    /// The lines that the plugin logged so far.
    pub fn logged(&self) -> Vec<String> {
        self.world.logged.borrow().clone()
    }

    fn world_mut(&mut self) -> &mut World {
        Rc::get_mut(&mut self.world).expect("a bench is changed while none of its evaluations runs")
    }

    fn of_entry<'a>(&'a self, kind: &'a str, id: &'a str) -> impl Iterator<Item = &'a (Summary, Value)> {
        self.world.published.iter().filter(move |(summary, _)| summary.kind == kind && summary.id == id)
    }
}

fn checked(description: &Description, findings: Vec<Finding>) -> Vec<Finding> {
    let schema = serde_json::from_str::<Value>(&description.settings_schema);
    assert!(schema.is_ok(), "the settings schema is not JSON: {}", description.settings_schema);
    for finding in &findings {
        check_finding(description, finding);
    }
    findings
}

fn accepted<P>(configured: Result<P, Vec<Finding>>) -> P {
    configured.unwrap_or_else(|findings| panic!("the settings are refused: {findings:#?}"))
}

fn check_finding(description: &Description, finding: &Finding) {
    let code = &finding.code;
    assert!(is_code(code), "'{code}' is not a finding code: dotted lower case letters, digits and dashes, at most 100");
    let described = description.finding_codes.iter().any(|known| match code.strip_prefix(&*known.code) {
        Some(rest) => rest.is_empty() || rest.starts_with('.'),
        None => false,
    });
    assert!(described || code == "submission.unreadable", "the finding code '{code}' is not described");
    assert!(pointer::is_pointer(&finding.path), "the path '{}' of {code} is not a JSON Pointer", finding.path);
    assert!(!finding.message.trim().is_empty(), "{code} has no message");
    let fix = finding.fix.as_deref().map(serde_json::from_str::<Vec<Value>>);
    assert!(!matches!(fix, Some(Err(_))), "the fix of {code} is not a JSON Patch: {:?}", finding.fix);
}

fn is_code(code: &str) -> bool {
    let is_part = |part: &str| {
        let is_plain = part.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
        is_plain && !part.is_empty() && !part.starts_with('-') && !part.ends_with('-')
    };
    code.len() <= 100 && code.split('.').all(is_part)
}

fn highest<'a>(versions: impl Iterator<Item = &'a str>) -> String {
    let versions: Vec<_> = versions.collect();
    let parsed: Result<Vec<_>, _> = versions.iter().map(|version| semver::Version::parse(version)).collect();
    match parsed {
        Ok(parsed) => parsed.iter().max().map(ToString::to_string).unwrap_or_default(),
        Err(_) => versions.last().map(ToString::to_string).unwrap_or_default(),
    }
}

/// serde_json writes keys sorted and nothing between tokens, which for the documents of tests is the canonical form.
fn digest(submission: &Value) -> String {
    use sha2::Digest as _;
    use std::fmt::Write as _;
    let digest = sha2::Sha256::digest(submission.to_string().as_bytes());
    digest.iter().fold("sha256:".to_owned(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{NoSettings, log, registry};

    struct Asks;

    impl Validator for Asks {
        type Settings = NoSettings;

        fn description() -> Description {
            Description::new("asks", "1.0.0", "Asks all that there is to ask.").code(
                "asked",
                "Always.",
                "Nothing to mend.",
            )
        }

        fn configure(_settings: NoSettings) -> Result<Self, Vec<Finding>> {
            Ok(Self)
        }

        fn validate(&self, submission: &Submission) -> Vec<Finding> {
            log::write("asking");
            let answers = [
                format!("{:?}", submission.text("/manifest/greeting")),
                format!("{:?}", submission.text("/manifest/count")),
                format!("{:?}", submission.get::<u32>(&submission.in_document("/count"))),
                format!(
                    "{:?}",
                    submission.get::<u32>("/manifest/greeting").map_err(Finding::from).map_err(|f| f.message)
                ),
                format!("{:?}", submission.get::<u32>("/nowhere")),
                format!("{:?}", submission.keys("/manifest")),
                format!("{:?}", submission.query("$..count").map(|nodes| nodes[0].path.clone())),
                submission.query("$[").expect_err("no path").to_string().lines().next().unwrap_or_default().to_owned(),
                format!("{:?}", registry::lookup("services", "billing", None).map(|found| found.version)),
                format!(
                    "{:?}",
                    registry::lookup("services", "billing", Some("1.10.0")).map(|found| found.highest_version)
                ),
                format!("{:?}", registry::lookup("services", "nothing", None)),
                format!("{:?}", registry::manifest("services", "billing", Some("1.9.0"))),
            ];
            answers.map(|answer| Finding::info("asked").message(answer)).into()
        }
    }

    #[test]
    fn answers_what_a_plugin_asks() {
        let bench = Bench::new()
            .document(json!({"greeting": "good \"day\"", "count": 3}))
            .published("services", "billing", "1.9.0", json!({"a": 1}))
            .published("services", "billing", "1.10.0", json!({"a": 2}))
            .active("services", "billing", "1.9.0");
        let messages: Vec<_> = bench.validate::<Asks>().into_iter().map(|finding| finding.message).collect();
        assert_eq!(
            messages,
            [
                r#"Some("good \"day\"")"#,
                "None",
                "Ok(Some(3))",
                r#"Err("/manifest/greeting cannot be read: invalid type: string \"good \\\"day\\\"\", expected u32")"#,
                "Ok(None)",
                r#"Some(["count", "greeting"])"#,
                r#"Ok("/manifest/count")"#,
                "'$[' is not a JSONPath: at position 1, parser error",
                r#"Some("1.9.0")"#,
                r#"Some("1.10.0")"#,
                "None",
                r#"Some("{\"a\":1}")"#,
            ]
        );
        assert_eq!(bench.logged(), ["asking"]);
    }

    #[test]
    #[should_panic(expected = "the finding code 'tags.count' is not described")]
    fn refuses_a_code_that_is_not_described() {
        check_finding(&Asks::description(), &Finding::error("tags.count").message("too many"));
    }

    #[test]
    #[should_panic(expected = "the path 'tags' of asked is not a JSON Pointer")]
    fn refuses_a_path_that_is_no_pointer() {
        check_finding(&Asks::description(), &Finding::error("asked").at("tags").message("too many"));
    }

    #[test]
    #[should_panic(expected = "a host call is made outside the sandbox: run the plugin in a testing::Bench")]
    fn a_host_call_needs_a_bench() {
        log::write("nobody hears it");
    }
}
