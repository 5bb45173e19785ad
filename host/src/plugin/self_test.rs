//! The examples that a component brings along, each run as a publish would run it. They are tried when the component
//! is pushed; none of them is seen by a publisher.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::contract;
use super::engine::Engine;
use super::prepare::{self, Linked};
use super::state::Task;
use super::{Case, Description, Document, Facts, FactsError, Subject, Summary, Unfit, Variable, failure};
use crate::names::Digest;
use crate::report::{Remark, Source, Stage};

/// One example; the contract's `self-test.example`.
pub struct Example {
    /// What it shows.
    pub name: String,
    /// JSON text.
    pub settings: String,
    /// What is judged.
    pub subject: Subject,
    /// JSON text.
    pub submission: String,
    /// The request's variables, by name.
    pub variables: Vec<(String, String)>,
    /// Code and path of every finding that must come.
    pub expected: Vec<(String, String)>,
}

/// The component under test.
pub struct Tested<'a> {
    /// Where it runs.
    pub engine: &'a Engine,
    /// Its digest.
    pub digest: &'a Digest,
    /// What it is called, and takes for settings.
    pub description: &'a Description,
    /// Its code.
    pub linked: &'a Linked,
    /// The stages that it serves.
    pub stages: &'a [Stage],
}

impl Tested<'_> {
    /// Runs its examples and gives their number.
    ///
    /// # Errors
    /// `SelfTest` with what is wrong of every example, or `Broke` where it cannot even tell them.
    pub fn run(&self) -> Result<u32, Unfit> {
        let (engine, name) = (self.engine, &self.description.name);
        let (mut store, instance) = self.linked.start(engine, self.digest, name, Task::Describe)?;
        let examples = contract::examples(&self.linked.pre, &mut store, &instance)
            .map_err(|error| prepare::broke(self.digest, name, failure::cause(&error, store.data())))?;
        drop(store);
        let limit = engine.limits.plugin_examples_max;
        if examples.len() > limit {
            let told = format!("it brings {} examples, more than plugin_examples_max = {limit}", examples.len());
            return Err(Unfit::SelfTest(vec![told]));
        }
        let began = Instant::now();
        let budget = Duration::from_millis(engine.limits.plugin_self_test_max_ms);
        let mut failed = Vec::new();
        for example in &examples {
            failed.extend(self.wrong(example).map(|what| format!("'{}' {what}", example.name)));
            if began.elapsed() > budget {
                let limit = engine.limits.plugin_self_test_max_ms;
                failed.push(format!("its examples take longer than plugin_self_test_max_ms = {limit}"));
                break;
            }
        }
        if failed.is_empty() {
            Ok(u32::try_from(examples.len()).unwrap_or(u32::MAX))
        } else {
            Err(Unfit::SelfTest(failed))
        }
    }

    /// What is wrong with the example, where something is.
    fn wrong(&self, example: &Example) -> Option<String> {
        match self.found(example) {
            Ok(mut found) => {
                let mut expected = example.expected.clone();
                expected.sort();
                found.sort();
                (found != expected).then(|| format!("expects {}, and {} came", listed(&expected), listed(&found)))
            }
            Err(what) => Some(what),
        }
    }

    /// Code and path of every finding that the component has of the example.
    fn found(&self, example: &Example) -> Result<Vec<(String, String)>, String> {
        let parsed = |what: &str, text: &str| {
            serde_json::from_str(text).map_err(|error| format!("has {what} that are no JSON: {error}"))
        };
        let settings = prepare::settings(&parsed("settings", &example.settings)?, &self.engine.limits)
            .and_then(|settings| prepare::check(&settings, &self.description.settings_schema).map(|()| settings))
            .map_err(|unfit| told(&unfit))?;
        let case = Case {
            subject: Arc::new(example.subject.clone()),
            document: Arc::new(Document {
                value: parsed("submission's bytes", &example.submission)?,
                substituted: Vec::new(),
            }),
            facts: Arc::new(EmptyRegistry),
        };
        let mut found = Vec::new();
        for stage in self.stages {
            let remarks = self.judge(example, &case, &settings, *stage).map_err(|unfit| told(&unfit))?;
            found.extend(remarks.into_iter().map(|remark| (remark.code, remark.path)));
        }
        Ok(found)
    }

    fn judge(&self, example: &Example, case: &Case, settings: &str, stage: Stage) -> Result<Vec<Remark>, Unfit> {
        let (engine, linked, name) = (self.engine, self.linked, &self.description.name);
        let (mut store, instance) = linked.configure(engine, self.digest, name, settings)?;
        store.data_mut().take_up(case.clone());
        store.set_hostcall_fuel(engine.limits.plugin_answer_max_bytes);
        let said = match stage {
            Stage::Resolve => linked
                .entry
                .resolve(&mut store, &instance, case, &variables(example))
                .map(|resolution| resolution.remarks),
            stage => linked.entry.judge(&mut store, &instance, case, stage),
        };
        said.map_err(|error| prepare::broke(self.digest, name, failure::cause(&error, store.data())))
    }
}

fn variables(example: &Example) -> Vec<Variable> {
    let mut variables: Vec<Variable> = example
        .variables
        .iter()
        .map(|(name, value)| Variable {
            name: name.clone(),
            value: Some(value.clone()),
            source: Source::Request,
            description: None,
            secret: false,
        })
        .collect();
    // The contract promises this order.
    variables.sort_by(|one, other| one.name.cmp(&other.name));
    variables.dedup_by(|one, other| one.name == other.name);
    variables
}

fn told(unfit: &Unfit) -> String {
    match unfit {
        Unfit::Settings(remarks) => {
            let remarks = remarks.iter().map(|remark| format!("{}: {}", remark.path, remark.message));
            format!("has settings that are refused: {}", remarks.collect::<Vec<_>>().join("; "))
        }
        Unfit::Broke(failure) => format!("breaks the plugin, which {}", failure.cause),
        unfit => format!("cannot be run: {unfit}"),
    }
}

fn listed(findings: &[(String, String)]) -> String {
    if findings.is_empty() {
        return "nothing".to_owned();
    }
    let place = |path: &str| if path.is_empty() { "the whole".to_owned() } else { path.to_owned() };
    findings.iter().map(|(code, path)| format!("{code} at {}", place(path))).collect::<Vec<_>>().join(", ")
}

/// A registry with nothing in it, as beside an example.
pub struct EmptyRegistry;

impl Facts for EmptyRegistry {
    fn lookup(&self, _: &str, _: &str, _: Option<&str>) -> Result<Option<Summary>, FactsError> {
        Ok(None)
    }

    fn manifest(&self, _: &str, _: &str, _: Option<&str>) -> Result<Option<Arc<str>>, FactsError> {
        Ok(None)
    }
}
