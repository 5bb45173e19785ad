//! The gate: schema, resolve, validate, policy. Each stage takes what only the stage before makes, and only the
//! policy stage makes `Approved`. It is plain synchronous code: the server runs it on a gate thread, the command
//! line calls it, and both get the same answer. It never writes.

pub mod beside;
pub(super) mod front;
mod record;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use super::Report;
use super::canonical::canonical;
use super::decode::{self, Format};
use super::release::ReleaseRef;
use super::rules::{LoadedBinding, LoadedKind};
use super::submission::{Submission, as_finding};
use crate::clock::Millis;
use crate::config::Limits;
use crate::names::{Digest, pointer};
use crate::plugin::{Case, Document, Facts, Subject};
use crate::report::{Finding, Mode, Placeholder, Remark, Source, Stage, Substitution};

pub use record::{BrokenBinding, Record};

/// What a judgement needs beside the submission.
#[derive(Clone)]
pub struct Bench {
    /// The tenant.
    pub tenant: String,
    /// Who publishes.
    pub publisher: String,
    /// When; every guest's clock shows it.
    pub at: Millis,
    /// The rest of the registry.
    pub facts: Arc<dyn Facts>,
    /// What is allowed.
    pub limits: Arc<Limits>,
}

/// How a run's plugins are run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// In turn with those of other submissions.
    InTurn,
    /// Beside the gate: no turn is taken, and what breaks is told to whoever asked, and to nobody else.
    Aside,
}

/// Proof that the policy stage, and with it every stage before, let a submission through.
pub struct Approved(Record);

impl Approved {
    /// What the run found out.
    pub fn record(&self) -> &Record {
        &self.0
    }

    /// The releases that judged.
    pub fn releases(&self) -> &[ReleaseRef] {
        self.0.releases()
    }

    /// The number of the exemptions under which they judged.
    pub fn exemptions(&self) -> i64 {
        self.0.kind.exemptions.number
    }
}

/// How a run ended.
pub enum Judgement {
    /// It may be stored.
    Approved(Box<Approved>),
    /// Findings reject it.
    Rejected(Box<Record>),
    /// An enforcing plugin broke: it has not been judged.
    Failed(Box<Record>, Box<BrokenBinding>),
}

impl Judgement {
    /// What the run found out.
    pub fn record(&self) -> &Record {
        match self {
            Self::Approved(approved) => approved.record(),
            Self::Rejected(record) | Self::Failed(record, _) => record,
        }
    }

    /// What a publisher is told, where nothing more is done with it.
    pub fn into_report(self) -> Report {
        match self {
            Self::Approved(approved) => approved.0.into_report(),
            Self::Rejected(record) | Self::Failed(record, _) => record.into_report(),
        }
    }
}

/// Judges a submission.
pub fn judge(submission: Submission, bench: &Bench) -> Judgement {
    let run = Run::start(submission, bench);
    conclude(schema(run).and_then(resolve).map(validate).and_then(policy))
}

/// Judges a stored version by today's rules. Its placeholders are resolved; `substituted` says which values came
/// from one.
pub(super) fn judge_stored(submission: Submission, substituted: Vec<Substitution>, bench: &Bench) -> Judgement {
    let run = Run::start(submission, bench);
    conclude(schema(run).and_then(|run| resolved(run.0, substituted)).map(validate).and_then(policy))
}

fn conclude(ended: Result<Approved, Stopped>) -> Judgement {
    match ended {
        Ok(approved) => Judgement::Approved(Box::new(approved)),
        Err(Stopped(mut record)) => match record.broke.take() {
            Some(broken) => Judgement::Failed(record, broken),
            None => Judgement::Rejected(record),
        },
    }
}

struct Run<'a> {
    bench: &'a Bench,
    submission: Submission,
    record: Record,
}

struct Schemed<'a>(Run<'a>);

struct Resolved {
    case: Case,
    record: Record,
}

struct Validated(Resolved);

struct Stopped(Box<Record>);

impl<'a> Run<'a> {
    fn start(mut submission: Submission, bench: &'a Bench) -> Self {
        let (id, version) = (submission.id.clone(), submission.version.clone());
        let record = Record {
            sent: std::mem::take(&mut submission.sent),
            has_variables: submission.variables.iter().any(|variable| variable.source == Source::Request),
            ..Record::new(Arc::clone(&submission.kind), id, version, submission.submitted_digest.clone())
        };
        Self { bench, submission, record }
    }

    fn subject(&self) -> Subject {
        self.record.subject(self.bench)
    }
}

/// A stage's own span, where traces are exported.
fn span(stage: Stage) -> tracing::span::EnteredSpan {
    tracing::info_span!("stage", otel.name = stage.as_str()).entered()
}

fn schema(mut run: Run<'_>) -> Result<Schemed<'_>, Stopped> {
    let _span = span(Stage::Schema);
    let started = Instant::now();
    let kind = Arc::clone(&run.record.kind);
    let limit = run.bench.limits.schema_findings_max;
    let mut remarks = std::mem::take(&mut run.submission.remarks);
    remarks.extend(kind.envelope.violations(&run.submission.value, "", limit));
    if let Some(document) = run.submission.value.get(&kind.kind.document_field) {
        remarks.extend(kind.schema.violations(document, &kind.document, limit));
    }
    run.record.findings.extend(remarks.into_iter().map(as_finding));
    run.record.note(Stage::Schema.as_str(), None, started.elapsed());
    if run.record.rejected() { Err(Stopped(Box::new(run.record))) } else { Ok(Schemed(run)) }
}

fn resolve(Schemed(mut run): Schemed<'_>) -> Result<Resolved, Stopped> {
    let _span = span(Stage::Resolve);
    let started = Instant::now();
    let kind = Arc::clone(&run.record.kind);
    let case = Case {
        subject: Arc::new(run.subject()),
        document: Arc::new(Document { value: std::mem::take(&mut run.submission.value), substituted: Vec::new() }),
        facts: Arc::clone(&run.bench.facts),
    };
    // Every resolver sees what was sent, never what another put there: a value is data and is not scanned again.
    let mut substitutions = BTreeMap::new();
    for binding in &kind.resolvers {
        if !binding.sees(&kind.kind.name, &run.record.id) {
            continue;
        }
        let (plugin, variables) = (&binding.plugin, &run.submission.variables);
        let ran = match run.record.way {
            Way::InTurn => plugin.resolve(&case, variables),
            Way::Aside => plugin.resolve_aside(&case, variables),
        };
        let Some(resolution) = run.record.take(Stage::Resolve, binding, ran) else { continue };
        run.record.say(Stage::Resolve, binding, resolution.remarks);
        if binding.mode == Mode::Enforce {
            run.record.placeholders.extend(resolution.placeholders.into_iter().map(|told| with_default(&kind, told)));
            merge(&mut substitutions, resolution.substitutions, binding, &mut run.record);
        }
    }
    unused_variables(&mut run);
    run.record.note(Stage::Resolve.as_str(), None, started.elapsed());
    if run.record.broke.is_some() || run.record.rejected() {
        return Err(Stopped(Box::new(run.record)));
    }
    // The guests' instances are gone, so this is the only holder and nothing is copied.
    run.submission.value = Arc::try_unwrap(case.document).map_or_else(|shared| shared.value.clone(), |own| own.value);
    resolved(run, substitutions.into_values().collect())
}

fn resolved(mut run: Run<'_>, substitutions: Vec<Substitution>) -> Result<Resolved, Stopped> {
    let mut value = std::mem::take(&mut run.submission.value);
    for substitution in &substitutions {
        pointer::replace(&mut value, &substitution.path, substitution.value.clone());
    }
    let canonical: Arc<str> = canonical(&value).into();
    // What resolvers put in is held to what a publisher may send, or it could be stored and never be read back.
    if !substitutions.is_empty()
        && let Err(error) = decode::decode(canonical.as_bytes(), Format::Json, &run.bench.limits)
    {
        let message = format!("the submission with its placeholders replaced cannot be kept: {error}");
        let remark = Remark::error("resolve.unreadable", "", message)
            .with_help("send smaller values, or ask the module's owner what its resolvers put in");
        run.record.findings.push(Finding {
            stage: Stage::Resolve,
            plugin: None,
            mode: Mode::Enforce,
            remark,
            exemption: None,
        });
        return Err(Stopped(Box::new(run.record)));
    }
    let document = Arc::new(Document { value, substituted: substitutions });
    run.record.canonical = Some((Arc::clone(&canonical), Digest::of(canonical.as_bytes())));
    run.record.document = Some(Arc::clone(&document));
    let case = Case { subject: Arc::new(run.subject()), document, facts: Arc::clone(&run.bench.facts) };
    Ok(Resolved { case, record: run.record })
}

fn validate(mut resolved: Resolved) -> Validated {
    let kind = Arc::clone(&resolved.record.kind);
    evaluate(&mut resolved, Stage::Validate, &kind.validators, None);
    Validated(resolved)
}

fn policy(Validated(mut resolved): Validated) -> Result<Approved, Stopped> {
    let kind = Arc::clone(&resolved.record.kind);
    evaluate(&mut resolved, Stage::Policy, &kind.policies, None);
    let record = resolved.record;
    if record.broke.is_some() || record.rejected() { Err(Stopped(Box::new(record))) } else { Ok(Approved(record)) }
}

/// Runs the bindings of a stage, but for those of which it is `known` what they say.
fn evaluate(resolved: &mut Resolved, stage: Stage, bindings: &[Arc<LoadedBinding>], known: Option<&Record>) {
    let _span = span(stage);
    let started = Instant::now();
    let record = &mut resolved.record;
    let kind = Arc::clone(&record.kind);
    let said_before = record.findings.len();
    for binding in bindings {
        if !binding.sees(&kind.kind.name, &record.id) {
            continue;
        }
        if known.is_some_and(|known| beside::repeat(known, record, stage, binding)) {
            continue;
        }
        let ran = binding.plugin.judge(&resolved.case);
        if let Some(remarks) = record.take(stage, binding, ran) {
            record.say(stage, binding, remarks);
        }
    }
    let at = Millis(resolved.case.subject.submitted_at_ms);
    kind.exemptions.mark(&mut record.findings[said_before..], &kind.kind.name, &record.id, at);
    record.note(stage.as_str(), None, started.elapsed());
}

/// Adds a resolver's substitutions; two at one place, or one inside the other, cannot both be right.
fn merge(
    all: &mut BTreeMap<String, Substitution>,
    new: Vec<Substitution>,
    binding: &LoadedBinding,
    record: &mut Record,
) {
    for substitution in new {
        let path = substitution.path.as_str();
        let ancestors = path.match_indices('/').map(|(end, _)| &path[..end]).chain([path]);
        let inside = format!("{path}/");
        let overlaps = ancestors.into_iter().any(|place| all.contains_key(place))
            || all.range(inside.clone()..).next().is_some_and(|(place, _)| place.starts_with(&inside));
        if overlaps {
            let message = "two substitutions are for the same place".to_owned();
            let remark = Remark::error("resolve.overlap", path, message)
                .with_help("ask the module's owner to keep its resolvers to separate parts of the document");
            record.say(Stage::Resolve, binding, vec![remark]);
        } else {
            all.insert(substitution.path.clone(), substitution);
        }
    }
}

/// A resolver is told one value for a name, the request's where there is one, so it cannot know the module's default
/// that was overridden.
fn with_default(kind: &LoadedKind, mut placeholder: Placeholder) -> Placeholder {
    let declared = kind.declarations.iter().find(|declared| declared.name == placeholder.name);
    if let Some(default) = declared.and_then(|declared| declared.default.clone()) {
        placeholder.default = Some(default);
        placeholder.required = false;
    }
    placeholder
}

/// A variable that no placeholder names is most often a typing error.
fn unused_variables(run: &mut Run<'_>) {
    let unused: Vec<String> = run
        .submission
        .variables
        .iter()
        .filter(|variable| variable.source == Source::Request)
        .filter(|variable| run.record.placeholders.iter().all(|placeholder| placeholder.name != variable.name))
        .map(|variable| variable.name.clone())
        .collect();
    for name in unused {
        let remark = Remark {
            severity: crate::report::Severity::Warning,
            ..Remark::error(
                "resolve.unused-variable",
                pointer::child("/variables", &name),
                format!("no placeholder uses the variable '{name}'"),
            )
        };
        run.record.findings.push(Finding {
            stage: Stage::Resolve,
            plugin: None,
            mode: Mode::Enforce,
            remark,
            exemption: None,
        });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::schema::Schema;
    use super::*;
    use crate::plugin::EmptyRegistry;

    /// Judges a submission in which a resolver put `value` at `/manifest`.
    fn judged(value: Value) -> Judgement {
        let open = || Schema::compile(json!({})).expect("a schema");
        let kind = json!({"name": "things", "singular": "thing", "idField": "thingId", "documentField": "manifest", "schema": {}});
        let kind = Arc::new(LoadedKind {
            kind: Arc::new(serde_json::from_value(kind).expect("a kind")),
            module: "things".parse().expect("a name"),
            document: "/manifest".to_owned(),
            releases: Vec::new(),
            exemptions: Arc::default(),
            envelope: Arc::new(open()),
            schema: Arc::new(open()),
            declarations: Vec::new().into(),
            resolvers: Vec::new(),
            validators: Vec::new(),
            policies: Vec::new(),
        });
        let (id, version) = ("a".parse().expect("an id"), "1".parse().expect("a version"));
        let submission = Submission::stored(&kind, id, version, json!({"manifest": null}));
        let bench = Bench {
            tenant: "default".to_owned(),
            publisher: "tester".to_owned(),
            at: Millis(0),
            facts: Arc::new(EmptyRegistry),
            limits: Arc::new(Limits { document_size_max_bytes: 200, ..Limits::default() }),
        };
        let put = Substitution { path: "/manifest".to_owned(), value, origins: Vec::new() };
        judge_stored(submission, vec![put], &bench)
    }

    #[test]
    fn what_a_resolver_puts_in_is_held_to_the_limits_of_a_document() {
        let deep = (0..64).fold(json!(1), |inside, _| json!([inside]));
        for (value, told) in [
            (deep, "nested deeper than document_depth_max = 64"),
            (json!("x".repeat(200)), "the document has more than document_size_max_bytes = 200"),
            (json!(u64::MAX), "is beyond 9007199254740991"),
        ] {
            let Judgement::Rejected(record) = judged(value) else { panic!("it is let through: {told}") };
            let remark = &record.findings[0].remark;
            assert_eq!(remark.code, "resolve.unreadable");
            assert!(remark.message.contains(told), "{}", remark.message);
        }
        assert!(matches!(judged(json!({"a": [1, "x"]})), Judgement::Approved(_)));
    }
}
