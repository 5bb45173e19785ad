//! The first-party policy: the policy team's rules as data, in the Common Expression Language. `README.md` has the
//! settings, the variables and the finding codes.

mod expression;
mod message;
mod quick;
mod shared;
mod values;

use std::collections::BTreeSet;
use std::sync::Arc;

use cel_interpreter::common::types::CelBool;
use cel_interpreter::{Context, Env};
use hallmark_plugin::serde_json::json;
use hallmark_plugin::{Description, Example, Finding, Policy, Severity, Submission, pointer, registry};
use regex::Regex;

use crate::expression::{Compiler, Expression, MATCHES, Refusal, Uses};
use crate::message::{Message, cut};
use crate::values::{Boxed, at, read, read_late, subject};

// An evaluation makes thousands of short-lived values; this allocator is quicker at that than the standard library's.
#[cfg(target_arch = "wasm32")]
#[global_allocator]
static ALLOCATOR: talc::wasm::WasmDynamicTalc = talc::wasm::new_wasm_dynamic_allocator();

/// Findings of one evaluation; the host allows 500.
const FINDINGS_MAX: usize = 400;

/// So few rules look at so little of a document that it is read as far as they look. More read it whole.
const LATE_MAX: usize = 8;

/// What a binding sets.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    rules: Vec<RuleSettings>,
}

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleSettings {
    id: String,
    title: String,
    #[serde(default)]
    kinds: Vec<String>,
    when: Option<String>,
    expression: String,
    message: Option<String>,
    #[serde(default)]
    severity: RuleSeverity,
    help: Option<String>,
    path: Option<String>,
}

#[derive(Debug, Clone, Copy, Default, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
enum RuleSeverity {
    #[default]
    Error,
    Warning,
    Info,
}

/// A rule, ready to be evaluated.
#[derive(Debug)]
struct Rule {
    code: String,
    title: String,
    kinds: Vec<String>,
    when: Option<Expression>,
    expression: Expression,
    message: Option<Message>,
    severity: Severity,
    help: Option<String>,
    path: Option<String>,
    uses: Uses,
}

/// The plugin.
pub struct Cel {
    env: Arc<Env>,
    patterns: Arc<Vec<Regex>>,
    rules: Vec<Rule>,
}

impl Policy for Cel {
    type Settings = Settings;

    fn description() -> Description {
        Description::new(
            "cel",
            env!("CARGO_PKG_VERSION"),
            "Judges submissions by rules in the Common Expression Language; the settings hold the rules.",
        )
        .settings_schema(include_str!("settings.schema.json"))
        .code("rule", "Given as `rule.<id>`: the rule of that id does not hold.", "The rule's own `message` and `help` say what it asks for.")
        .code(
            "policy.not-evaluated",
            "A rule could not be evaluated, so it cannot be said to hold.",
            "Often a member that the rule takes for granted is absent. In the rule, ask `has(manifest.member)` first, or \
             keep the rule to what it is for with `when`.",
        )
        .code("policy.more", "There are more findings than are shown.", "Mend those that are shown, and run it again.")
    }

    fn configure(settings: Settings) -> Result<Self, Vec<Finding>> {
        let mut compiler = Compiler::new();
        let mut findings = Vec::new();
        let mut seen = BTreeSet::new();
        let mut rules = Vec::with_capacity(settings.rules.len());
        for (index, rule) in settings.rules.into_iter().enumerate() {
            let at = format!("/rules/{index}");
            if !seen.insert(rule.id.clone()) {
                findings.push(
                    Finding::setting(format!("{at}/id"))
                        .message(format!("two rules have the id '{}'", rule.id))
                        .help("give each rule an id of its own: it is what its findings are known by"),
                );
            }
            match compile_rule(rule, &at, &mut compiler) {
                Ok(rule) => rules.push(rule),
                Err(refused) => findings.extend(refused),
            }
        }
        if findings.is_empty() {
            Ok(Self { env: compiler.env, patterns: Arc::new(compiler.patterns), rules })
        } else {
            Err(findings)
        }
    }

    fn decide(&self, submission: &Submission) -> Vec<Finding> {
        let kind = &submission.subject().kind;
        let rules: Vec<_> =
            self.rules.iter().filter(|rule| rule.kinds.is_empty() || rule.kinds.contains(kind)).collect();
        if rules.is_empty() {
            return Vec::new();
        }
        let uses = rules.iter().map(|rule| rule.uses).fold(Uses::default(), Uses::and);
        let texts = Texts::read(submission, uses);
        let read = if rules.len() <= LATE_MAX { read_late } else { read };
        let context = match self.context(submission, uses, &texts, read) {
            Ok(context) => context,
            Err(error) => return vec![Finding::error("submission.unreadable").message(error.to_string())],
        };
        let document = &submission.subject().document;
        let mut findings: Vec<_> = rules.into_iter().filter_map(|rule| judge(rule, &context, document)).collect();
        if findings.len() > FINDINGS_MAX {
            let more = findings.len() - FINDINGS_MAX;
            findings.truncate(FINDINGS_MAX);
            findings.push(Finding::error("policy.more").message(format!("there are {more} more findings")));
        }
        // The sandbox ends with the evaluation, and its memory with it: nothing is gained by giving back each value.
        #[cfg(target_arch = "wasm32")]
        std::mem::forget(context);
        findings
    }
}

hallmark_plugin::export_policy!(Cel, examples = examples);

/// What the host tries when the component is pushed.
fn examples() -> Vec<Example> {
    let settings = json!({"rules": [
        {"id": "owner", "title": "Everything has an owner", "expression": "has(manifest.owner)"},
        {"id": "names", "title": "Names are in lower case", "kinds": ["services"], "path": "/name",
         "expression": "submission.name.matches('^[a-z ]+$')"},
    ]});
    let example = |name: &str| Example::new(name).settings(settings.clone());
    vec![
        example("every rule holds").document(json!({"owner": "search"})),
        example("a rule does not hold").finds("rule.owner", "/manifest"),
        example("a rule of other kinds is not asked").document(json!({"owner": "search"})),
        example("a rule names its place")
            .subject(|subject| subject.kind = "services".to_owned())
            .document(json!({"owner": "search"}))
            .finds("rule.names", "/name"),
    ]
}

/// The JSON texts that the values of one evaluation borrow from.
struct Texts {
    /// The whole submission, where a rule reads it: the document is then read out of it, and not a second time.
    submission: Option<String>,
    manifest: Option<String>,
    /// The active version's whole submission.
    current: Option<String>,
}

impl Texts {
    /// Asks the host for what the rules read, and for nothing else: `current` is a look-up in the registry.
    fn read(submission: &Submission, uses: Uses) -> Self {
        let subject = submission.subject();
        let current = || registry::manifest(&subject.kind, &subject.id, None);
        Self {
            submission: uses.submission.then(|| submission.json("")).flatten(),
            manifest: (uses.manifest && !uses.submission).then(|| submission.json(&subject.document)).flatten(),
            current: uses.current.then(current).flatten(),
        }
    }
}

impl Cel {
    fn context<'v>(
        &self,
        submission: &Submission<'v>,
        uses: Uses,
        texts: &'v Texts,
        read: for<'t> fn(&'t str) -> Result<Boxed<'t>, serde_json::Error>,
    ) -> Result<Context<'v, 'v>, serde_json::Error> {
        let mut context = Context::with_env(Arc::clone(&self.env));
        let document = &submission.subject().document;
        let value = |text: &'v Option<String>| -> Result<Boxed<'v>, serde_json::Error> {
            read(text.as_deref().unwrap_or("null"))
        };
        if uses.submission {
            let submission = value(&texts.submission)?;
            if uses.manifest {
                context.add_variable_as_val("manifest", at(submission.as_ref(), document));
            }
            context.add_variable_as_val("submission", submission);
        } else if uses.manifest {
            context.add_variable_as_val("manifest", value(&texts.manifest)?);
        }
        if uses.current {
            context.add_variable_as_val("current", at(value(&texts.current)?.as_ref(), document));
        }
        if uses.subject {
            context.add_variable_as_val("subject", subject(submission.subject()));
        }
        if self.patterns.is_empty() {
            return Ok(context);
        }
        let patterns = Arc::clone(&self.patterns);
        let matches = move |text: Arc<String>, number: i64| {
            usize::try_from(number)
                .ok()
                .and_then(|number| patterns.get(number))
                .is_some_and(|pattern| pattern.is_match(&text))
        };
        context.add_function(MATCHES, matches).expect("no function of the library has this name");
        Ok(context)
    }
}

fn compile_rule(settings: RuleSettings, at: &str, compiler: &mut Compiler) -> Result<Rule, Vec<Finding>> {
    let mut findings = Vec::new();
    if !is_rule_id(&settings.id) {
        findings.push(
            Finding::setting(format!("{at}/id"))
                .message(format!("'{}' is not a rule's id", settings.id))
                .help("use lower case letters, digits, dashes and dots between words, at most 90 characters"),
        );
    }
    if settings.title.trim().is_empty() {
        findings.push(Finding::setting(format!("{at}/title")).message("the rule has no title"));
    }
    if let Some(path) = settings.path.as_deref().filter(|path| !pointer::is_pointer(path)) {
        findings.push(Finding::setting(format!("{at}/path")).message(format!("'{path}' is not a JSON Pointer")));
    }
    let mut refuse = |member: &str, refusals: Vec<Refusal>| {
        findings.extend(refusals.into_iter().map(|Refusal { line, column, message }| {
            Finding::setting(format!("{at}/{member}")).message(format!("line {line}, column {column}: {message}"))
        }));
    };
    let when = settings.when.map(|source| compiler.compile(&source).map_err(|refusals| refuse("when", refusals)));
    let expression = compiler.compile(&settings.expression).map_err(|refusals| refuse("expression", refusals));
    let message = settings
        .message
        .map(|source| Message::compile(&source, compiler).map_err(|refusals| refuse("message", refusals)));
    let (Ok(when), Ok(expression), Ok(message), true) =
        (when.transpose(), expression, message.transpose(), findings.is_empty())
    else {
        return Err(findings);
    };
    let parts = [when.as_ref().map(|when| when.uses), Some(expression.uses), message.as_ref().map(Message::uses)];
    Ok(Rule {
        code: format!("rule.{}", settings.id),
        title: settings.title,
        kinds: settings.kinds,
        severity: match settings.severity {
            RuleSeverity::Error => Severity::Error,
            RuleSeverity::Warning => Severity::Warning,
            RuleSeverity::Info => Severity::Info,
        },
        help: settings.help,
        path: settings.path,
        uses: parts.into_iter().flatten().fold(Uses::default(), Uses::and),
        when,
        expression,
        message,
    })
}

fn is_rule_id(id: &str) -> bool {
    let is_word = |word: &str| {
        let is_plain = word.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
        is_plain && !word.is_empty() && !word.starts_with('-') && !word.ends_with('-')
    };
    id.len() <= 90 && id.split('.').all(is_word)
}

/// None where the rule holds, or is not for this submission.
fn judge(rule: &Rule, context: &Context<'_, '_>, document: &str) -> Option<Finding> {
    let applies = rule.when.as_ref().map_or(Ok(true), |when| is_true(when, context));
    let path = rule.path.as_deref().unwrap_or(document);
    let holds = match applies {
        Ok(true) => is_true(&rule.expression, context),
        Ok(false) => return None,
        Err(error) => Err(error),
    };
    let finding = match holds {
        Ok(true) => return None,
        Ok(false) => {
            let message = rule.message.as_ref().map(|message| message.write(context));
            let message = message.filter(|text| !text.trim().is_empty()).unwrap_or_else(|| rule.title.clone());
            let finding = Finding::new(rule.severity, &rule.code).message(message);
            match &rule.help {
                Some(help) => finding.help(help),
                None => finding,
            }
        }
        // What cannot be evaluated has not been shown to hold. It weighs as much as the rule itself.
        Err(error) => Finding::new(rule.severity, "policy.not-evaluated")
            .message(format!("the rule '{}' ({}) could not be evaluated: {}", &rule.code[5..], rule.title, cut(error)))
            .help("give the submission what the rule reads, or have the rule ask for it first with has()"),
    };
    Some(finding.at(path))
}

fn is_true(expression: &Expression, context: &Context<'_, '_>) -> Result<bool, String> {
    let value = expression.evaluate(context).map_err(|error| error.to_string())?;
    match value.downcast_ref::<CelBool>() {
        Some(holds) => Ok(*holds.inner()),
        None => Err(format!("it gives {}, not true or false", value.get_type().name())),
    }
}

#[cfg(test)]
mod tests;
