//! Contract `hallmark:plugin@0.1`: its bindings, its host calls, and the way from its records to the gate's.

use std::collections::HashSet;
use std::sync::Arc;

use wasmtime::Store;
use wasmtime::component::{ComponentExportIndex, HasSelf, Instance, InstancePre, Linker, TypedFunc};

use self::exports::hallmark::plugin::{metadata, policy_stage, resolver_stage, self_test, validator_stage};
use self::hallmark::plugin::{log, registry, submission, types};
use crate::names::Digest;
use crate::plugin::answer::{self, Given};
use crate::plugin::self_test::Example;
use crate::plugin::state::State;
use crate::plugin::submission::{keys_at, text_at};
use crate::plugin::{Case, Description, FindingCode, Lookup, Resolution, Subject, Summary, Variable, query};
use crate::report::{Origin, Placeholder, Remark, Severity, Source, Stage};

wasmtime::component::bindgen!({
    // Every import, and every export that a plugin may have; a plugin has those of its own world.
    inline: "
        package hallmark:host;
        world every {
            import hallmark:plugin/submission@0.1.0;
            import hallmark:plugin/registry@0.1.0;
            import hallmark:plugin/log@0.1.0;
            export hallmark:plugin/metadata@0.1.0;
            export hallmark:plugin/resolver-stage@0.1.0;
            export hallmark:plugin/validator-stage@0.1.0;
            export hallmark:plugin/policy-stage@0.1.0;
            export hallmark:plugin/self-test@0.1.0;
        }
    ",
    path: "../wit/hallmark-plugin",
    imports: { default: trappable },
});

type Configure<'a> = TypedFunc<(&'a str,), (Result<(), Vec<types::Finding>>,)>;

/// The contract's name, as an inspection shows it.
pub const VERSION: &str = "hallmark:plugin@0.1.0";

/// The interface that each stage exports.
pub const STAGES: [(&str, Stage); 3] = [
    ("hallmark:plugin/resolver-stage", Stage::Resolve),
    ("hallmark:plugin/validator-stage", Stage::Validate),
    ("hallmark:plugin/policy-stage", Stage::Policy),
];

/// The interface of the examples that a plugin may bring along.
pub const SELF_TEST: &str = "hallmark:plugin/self-test";

/// Serves the contract's imports.
pub fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    types::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    submission::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    registry::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    log::add_to_linker::<_, HasSelf<_>>(linker, |state| state)
}

/// Where a component's exports are, found once.
pub struct Entry {
    metadata: metadata::GuestIndices,
    configure: ComponentExportIndex,
    resolver: Option<resolver_stage::GuestIndices>,
    validator: Option<validator_stage::GuestIndices>,
    policy: Option<policy_stage::GuestIndices>,
}

impl Entry {
    /// Finds the exports of the component.
    pub fn find(pre: &InstancePre<State>, stages: &[Stage]) -> wasmtime::Result<Self> {
        let serves = |stage| stages.contains(&stage);
        Ok(Self {
            metadata: metadata::GuestIndices::new(pre)?,
            configure: pre
                .component()
                .get_export_index(None, "configure")
                .ok_or_else(|| wasmtime::Error::msg("no function `configure` is exported"))?,
            resolver: serves(Stage::Resolve).then(|| resolver_stage::GuestIndices::new(pre)).transpose()?,
            validator: serves(Stage::Validate).then(|| validator_stage::GuestIndices::new(pre)).transpose()?,
            policy: serves(Stage::Policy).then(|| policy_stage::GuestIndices::new(pre)).transpose()?,
        })
    }

    /// Checks that every export has the contract's types, without calling one.
    pub fn check(&self, store: &mut Store<State>, instance: &Instance) -> wasmtime::Result<()> {
        self.metadata.load(&mut *store, instance)?;
        self.configure_func(store, instance)?;
        self.resolver.as_ref().map(|found| found.load(&mut *store, instance)).transpose()?;
        self.validator.as_ref().map(|found| found.load(&mut *store, instance)).transpose()?;
        self.policy.as_ref().map(|found| found.load(&mut *store, instance)).transpose()?;
        Ok(())
    }

    /// Calls `describe`. The inner error says what is wrong with the answer.
    pub fn describe(
        &self,
        store: &mut Store<State>,
        instance: &Instance,
    ) -> wasmtime::Result<Result<Description, String>> {
        let said = self.metadata.load(&mut *store, instance)?.call_describe(&mut *store)?;
        let codes = said.finding_codes.into_iter();
        Ok(answer::description(
            said.name,
            said.version,
            said.summary,
            &said.settings_schema,
            codes.map(|said| FindingCode { code: said.code, summary: said.summary, help: said.help }).collect(),
        ))
    }

    /// Calls `configure`. The inner error is what the guest has to say about its settings.
    pub fn configure(
        &self,
        store: &mut Store<State>,
        instance: &Instance,
        settings: &str,
    ) -> wasmtime::Result<Result<(), Vec<Remark>>> {
        let configure = self.configure_func(store, instance)?;
        let (outcome,) = configure.call(&mut *store, (settings,))?;
        Ok(match outcome {
            Ok(()) => Ok(()),
            Err(findings) => Err(remarks(store, findings)?),
        })
    }

    fn configure_func<'a>(&self, store: &mut Store<State>, instance: &Instance) -> wasmtime::Result<Configure<'a>> {
        instance.get_typed_func(&mut *store, self.configure)
    }

    /// Calls `resolve`.
    pub fn resolve(
        &self,
        store: &mut Store<State>,
        instance: &Instance,
        case: &Case,
        variables: &[Variable],
    ) -> wasmtime::Result<Resolution> {
        let resolver = self.resolver.as_ref().expect("a plugin is only asked for the stage it was prepared for");
        let variables: Vec<types::Variable> = variables.iter().map(variable).collect();
        let said =
            resolver.load(&mut *store, instance)?.call_resolve(&mut *store, &subject(&case.subject), &variables)?;
        let mut resolution = Resolution { remarks: remarks(store, said.findings)?, ..Resolution::default() };
        let mut places = HashSet::with_capacity(said.substitutions.len());
        for given in said.substitutions {
            let origins = given.origins.into_iter().map(|said| Origin { name: said.name, source: said.source.into() });
            let (document, origins) = (&case.document.value, origins.collect());
            let checked = answer::substitution(document, &mut places, given.path, &given.value, origins)?;
            resolution.substitutions.push(checked);
        }
        for said in said.placeholders {
            answer::pointers(&said.name, &said.occurrences)?;
            resolution.placeholders.push(placeholder(said));
        }
        Ok(resolution)
    }

    /// Calls `validate` or `decide`.
    pub fn judge(
        &self,
        store: &mut Store<State>,
        instance: &Instance,
        case: &Case,
        stage: Stage,
    ) -> wasmtime::Result<Vec<Remark>> {
        let subject = subject(&case.subject);
        let findings = match (stage, &self.validator, &self.policy) {
            (Stage::Validate, Some(validator), _) => {
                validator.load(&mut *store, instance)?.call_validate(&mut *store, &subject)?
            }
            (Stage::Policy, _, Some(policy)) => {
                policy.load(&mut *store, instance)?.call_decide(&mut *store, &subject)?
            }
            _ => unreachable!("a plugin is only asked for the stage it was prepared for"),
        };
        Ok(remarks(store, findings)?)
    }
}

/// The examples of a component that exports them.
pub fn examples(
    pre: &InstancePre<State>,
    store: &mut Store<State>,
    instance: &Instance,
) -> wasmtime::Result<Vec<Example>> {
    let said = self_test::GuestIndices::new(pre)?.load(&mut *store, instance)?.call_examples(&mut *store)?;
    let example = |said: self_test::Example| Example {
        name: said.name,
        settings: said.settings,
        subject: Subject {
            tenant: said.subject.tenant,
            module: said.subject.module,
            kind: said.subject.kind,
            id: said.subject.id,
            version: said.subject.version,
            publisher: said.subject.publisher,
            submitted_at_ms: i64::try_from(said.subject.submitted_at).unwrap_or(i64::MAX),
            document: said.subject.document,
        },
        submission: said.submission,
        variables: said.variables,
        expected: said.expected.into_iter().map(|said| (said.code, said.path)).collect(),
    };
    Ok(said.into_iter().map(example).collect())
}

fn remarks(store: &Store<State>, findings: Vec<types::Finding>) -> Result<Vec<Remark>, crate::plugin::Cause> {
    let given = findings.into_iter().map(|said| Given {
        severity: said.severity.into(),
        code: said.code,
        path: said.path,
        message: said.message,
        help: said.help,
        fix: said.fix,
    });
    answer::remarks(given, store.data().limits().plugin_findings_max)
}

fn subject(subject: &Subject) -> types::Subject {
    types::Subject {
        tenant: subject.tenant.clone(),
        module: subject.module.clone(),
        kind: subject.kind.clone(),
        id: subject.id.clone(),
        version: subject.version.clone(),
        publisher: subject.publisher.clone(),
        submitted_at: u64::try_from(subject.submitted_at_ms).unwrap_or(0),
        document: subject.document.clone(),
    }
}

fn variable(variable: &Variable) -> types::Variable {
    types::Variable {
        name: variable.name.clone(),
        value: variable.value.clone(),
        source: variable.source.into(),
        description: variable.description.clone(),
        secret: variable.secret,
    }
}

fn placeholder(said: types::Placeholder) -> Placeholder {
    Placeholder {
        name: said.name,
        description: said.description,
        default: said.default,
        value: said.value,
        source: said.source.map(Source::from),
        required: said.required,
        missing: said.missing,
        secret: said.secret,
        occurrences: said.occurrences,
        conflicts: said.conflicts,
    }
}

impl From<types::Severity> for Severity {
    fn from(said: types::Severity) -> Self {
        match said {
            types::Severity::Error => Self::Error,
            types::Severity::Warning => Self::Warning,
            types::Severity::Info => Self::Info,
        }
    }
}

impl From<types::Source> for Source {
    fn from(said: types::Source) -> Self {
        match said {
            types::Source::Request => Self::Request,
            types::Source::Module => Self::Module,
            types::Source::Inline => Self::Inline,
        }
    }
}

impl From<Source> for types::Source {
    fn from(source: Source) -> Self {
        match source {
            Source::Request => Self::Request,
            Source::Module => Self::Module,
            Source::Inline => Self::Inline,
        }
    }
}

impl types::Host for State {}

impl submission::Host for State {
    fn get(&mut self, pointer: String) -> wasmtime::Result<Option<String>> {
        self.called(pointer.len())?;
        let text = text_at(&self.case("hallmark:plugin/submission")?.document, &pointer);
        self.reads(text.as_ref().map_or(0, |text| text.len()))?;
        Ok(text.map(|text| text.as_ref().to_owned()))
    }

    fn keys(&mut self, pointer: String) -> wasmtime::Result<Option<Vec<String>>> {
        self.called(pointer.len())?;
        let keys = keys_at(&self.case("hallmark:plugin/submission")?.document, &pointer);
        self.reads(keys.iter().flatten().map(String::len).sum())?;
        Ok(keys)
    }

    fn query(&mut self, path: String) -> wasmtime::Result<Result<Vec<submission::Node>, String>> {
        self.called(path.len())?;
        let document = Arc::clone(&self.case("hallmark:plugin/submission")?.document);
        let steps_max = self.limits().plugin_query_steps_max;
        let mut nodes = Vec::new();
        let outcome = query::select(&document.value, &path, steps_max, |path, value| {
            let value = value.to_string();
            self.reads(path.len() + value.len())?;
            nodes.push(submission::Node { path, value });
            Ok(())
        })?;
        Ok(outcome.map(|()| nodes))
    }

    fn substituted(&mut self) -> wasmtime::Result<Vec<submission::Substitution>> {
        self.called(0)?;
        let document = Arc::clone(&self.case("hallmark:plugin/submission")?.document);
        let mut answer = Vec::with_capacity(document.substituted.len());
        for done in &document.substituted {
            let value = done.value.to_string();
            self.reads(done.path.len() + value.len())?;
            let origins = done.origins.iter();
            answer.push(submission::Substitution {
                path: done.path.clone(),
                value,
                origins: origins
                    .map(|origin| types::Origin { name: origin.name.clone(), source: origin.source.into() })
                    .collect(),
            });
        }
        Ok(answer)
    }
}

impl registry::Host for State {
    fn lookup(
        &mut self,
        kind: String,
        id: String,
        version: Option<String>,
    ) -> wasmtime::Result<Option<registry::Summary>> {
        let found = self.ask(
            Lookup { call: "lookup".to_owned(), kind, id, version, found: None, answer: None },
            |facts, asked| facts.lookup(&asked.kind, &asked.id, asked.version.as_deref()),
            |summary: &Summary| (summary.digest.clone(), Some(summary.clone())),
        )?;
        Ok(found.map(|summary| registry::Summary {
            kind: summary.kind,
            id: summary.id,
            version: summary.version,
            current_version: summary.current_version,
            highest_version: summary.highest_version,
            digest: summary.digest,
        }))
    }

    fn manifest(&mut self, kind: String, id: String, version: Option<String>) -> wasmtime::Result<Option<String>> {
        let found = self.ask(
            Lookup { call: "manifest".to_owned(), kind, id, version, found: None, answer: None },
            |facts, asked| {
                let (kind, id, version) = (&asked.kind, &asked.id, asked.version.as_deref());
                let Some(text) = facts.manifest(kind, id, version)? else { return Ok(None) };
                // Whose text it is: asked after it, so that the answer is the one that was kept with it.
                Ok(Some((text, facts.lookup(kind, id, version)?)))
            },
            // A stored manifest is canonical JSON, so this is the digest that the version has.
            |(text, summary)| (Digest::of(text.as_bytes()).to_string(), summary.clone()),
        )?;
        self.reads(found.as_ref().map_or(0, |(text, _)| text.len()))?;
        Ok(found.map(|(text, _)| text.as_ref().to_owned()))
    }
}

impl log::Host for State {
    fn write(&mut self, message: String) -> wasmtime::Result<()> {
        self.called(message.len())?;
        Ok(self.log(&message)?)
    }
}
