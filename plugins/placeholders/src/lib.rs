//! The first-party resolver: it replaces `${NAME}`, `${NAME:-default}` and `{"$var": {…}}` by values. Values are put
//! in as data: what they hold is never looked at again. `README.md` has the rules and the finding codes.

mod scope;
mod syntax;
mod tree;
mod uses;

use std::borrow::Cow;

use hallmark_plugin::serde_json::json;
use hallmark_plugin::serde_json::{self, Value};
use hallmark_plugin::{
    Description, Example, Finding, Origin, Placeholder, Resolution, Resolver, Source, Submission, Substitution,
    Variable,
};

use crate::scope::Scope;
use crate::syntax::Part;
use crate::tree::Tree;
use crate::uses::{FINDINGS_MAX, Name, TooLarge, Uses};

// An evaluation is short and allocates much; this allocator is quicker at that than the standard library's.
#[cfg(target_arch = "wasm32")]
#[global_allocator]
static ALLOCATOR: talc::wasm::WasmDynamicTalc = talc::wasm::new_wasm_dynamic_allocator();

/// What a binding sets.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// JSON Pointers from the top of the submission, with `*` for any one token and `**` for any number; none means
    /// the whole document.
    #[serde(default)]
    paths: Vec<String>,
}

/// The plugin.
#[derive(Debug)]
pub struct Placeholders {
    scope: Scope,
}

impl Resolver for Placeholders {
    type Settings = Settings;

    fn description() -> Description {
        Description::new(
            "placeholders",
            env!("CARGO_PKG_VERSION"),
            "Replaces ${NAME}, ${NAME:-default} and {\"$var\": …} by the request's variables, the module's defaults or inline defaults.",
        )
        .settings_schema(include_str!("settings.schema.json"))
        .code("placeholder.missing", "A placeholder has no value.", "Set the variable in the request (`--var NAME=VALUE`), or give it a default: `${NAME:-default}`.")
        .code("placeholder.conflict", "Two inline defaults of one name differ.", "Write the same default everywhere, or leave it to one place. An error where an inline default would be used, else a warning.")
        .code("placeholder.syntax", "A placeholder does not have its form.", "Write `${NAME}`, `${NAME:-default}` or `{\"$var\": {\"name\": \"NAME\"}}`; `$$` is a dollar sign.")
        .code("placeholder.too-large", "The placeholders and their values come to more than the plugin may answer.", "Use fewer placeholders or shorter values.")
        .code("placeholder.more", "There are more findings than are shown.", "Mend those that are shown, and run it again.")
    }

    fn configure(settings: Settings) -> Result<Self, Vec<Finding>> {
        Ok(Self { scope: Scope::parse(&settings.paths)? })
    }

    fn resolve(&self, submission: &Submission, variables: &[Variable]) -> Resolution {
        let Some(text) = submission.json("") else { return Resolution::default() };
        // Most submissions have no placeholder: the text alone says so.
        if !text.contains('$') {
            return Resolution::default();
        }
        let refused = |finding| Resolution { findings: vec![finding], ..Resolution::default() };
        match serde_json::from_str::<Tree>(&text) {
            Ok(value) => resolve(&value, &self.scope, &submission.subject().document, variables)
                .unwrap_or_else(|too_large| refused(too_large.into())),
            Err(error) => refused(Finding::error("submission.unreadable").message(error.to_string())),
        }
    }
}

hallmark_plugin::export_resolver!(Placeholders, examples = examples);

/// What the host tries when the component is pushed.
fn examples() -> Vec<Example> {
    let manifest = json!({"region": "${REGION}"});
    vec![
        Example::new("no placeholder"),
        Example::new("a variable of the request").document(manifest.clone()).variable("REGION", "eu-west"),
        Example::new("no value").document(manifest).finds("placeholder.missing", "/manifest/region"),
        Example::new("an inline default").document(json!({"region": "${REGION:-eu-west}"})),
        Example::new("a placeholder without its form")
            .document(json!({"region": "${REGION"}))
            .finds("placeholder.syntax", "/manifest/region"),
    ]
}

/// What is known of a name: the value to put in, and where it comes from.
struct Known<'a> {
    value: Option<(Cow<'a, str>, Source)>,
    variable: Option<&'a Variable>,
}

fn resolve(
    submission: &Tree<'_>,
    scope: &Scope,
    document: &str,
    variables: &[Variable],
) -> Result<Resolution, TooLarge> {
    let mut uses = Uses::gather(submission, scope, document)?;
    let known: Vec<_> = uses.names.iter().map(|name| find_value(name, variables)).collect();
    let mut resolution = Resolution { findings: std::mem::take(&mut uses.findings), ..Resolution::default() };
    for place in std::mem::take(&mut uses.places) {
        if let Some(substitution) = substitute(&place.path, &place.parts, &mut uses, &known)? {
            resolution.substitutions.push(substitution);
        }
    }
    for (name, known) in uses.names.iter().zip(&known) {
        resolution.findings.extend(judge(name, known));
    }
    limit(&mut resolution.findings);
    for (name, known) in std::mem::take(&mut uses.names).into_iter().zip(&known) {
        let placeholder = report(name, known);
        let texts = [&placeholder.description, &placeholder.default, &placeholder.value];
        let size_bytes = texts.into_iter().flatten().chain(&placeholder.conflicts).map(String::len).sum();
        uses.spend(size_bytes)?;
        resolution.placeholders.push(placeholder);
    }
    Ok(resolution)
}

/// The request's value, even an empty one, before the module's default, before an inline default.
fn find_value<'a>(name: &Name<'a>, variables: &'a [Variable]) -> Known<'a> {
    let found = variables.binary_search_by(|variable| variable.name.as_str().cmp(name.name));
    let variable = found.ok().map(|position| &variables[position]);
    let given = variable.and_then(|variable| Some((Cow::Borrowed(variable.value.as_deref()?), variable.source)));
    let inline = || name.defaults.first().map(|default| (default.clone(), Source::Inline));
    Known { value: given.or_else(inline), variable }
}

/// The value of a place; none where one of its variables has none.
fn substitute(
    path: &str,
    parts: &[Part<'_>],
    uses: &mut Uses<'_>,
    known: &[Known<'_>],
) -> Result<Option<Substitution>, TooLarge> {
    let mut text = String::new();
    let mut origins: Vec<Origin> = Vec::new();
    for part in parts {
        let piece = match part {
            Part::Text(text) => text,
            Part::Dollar => "$",
            Part::Variable { name, .. } => {
                let value = uses.position(name).and_then(|position| known[position].value.as_ref());
                let Some((value, source)) = value else { return Ok(None) };
                if !origins.iter().any(|origin| origin.name == *name) {
                    origins.push(Origin { name: (*name).to_owned(), source: *source });
                }
                value
            }
        };
        uses.spend(piece.len())?;
        text.push_str(piece);
    }
    Ok(Some(Substitution { path: path.to_owned(), value: Value::String(text).to_string(), origins }))
}

fn judge(name: &Name<'_>, known: &Known<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let first = name.occurrences.first().cloned().unwrap_or_default();
    let name_text = name.name;
    if known.value.is_none() {
        let places = match name.occurrences.len() {
            1 => String::new(),
            more => format!(", in {more} places"),
        };
        findings.push(
            Finding::error("placeholder.missing")
                .at(&first)
                .message(format!(
                    "the placeholder '{name_text}' has no value{places}: the request sets none, and there is no default"
                ))
                .help(format!("set it with --var {name_text}=VALUE, or write ${{{name_text}:-default}}")),
        );
    }
    if let [one, other, ..] = name.defaults.as_slice() {
        let is_used = matches!(known.value, Some((_, Source::Inline)));
        let finding =
            if is_used { Finding::error("placeholder.conflict") } else { Finding::warning("placeholder.conflict") };
        findings.push(
            finding
                .at(first)
                .message(format!(
                    "the placeholder '{name_text}' has different defaults: '{}' and '{}'",
                    cut(one),
                    cut(other)
                ))
                .help("write the same default everywhere, or leave it to one place"),
        );
    }
    findings
}

/// The host takes a flood of findings for a broken plugin; to the publisher the first ones say enough.
fn limit(findings: &mut Vec<Finding>) {
    if findings.len() > FINDINGS_MAX {
        let more = findings.len() - FINDINGS_MAX;
        findings.truncate(FINDINGS_MAX);
        findings.push(Finding::error("placeholder.more").message(format!("there are {more} more findings")));
    }
}

fn report(name: Name<'_>, known: &Known<'_>) -> Placeholder {
    let variable = known.variable;
    let module_default =
        variable.filter(|variable| variable.source == Source::Module).and_then(|variable| variable.value.clone());
    let default = module_default.or_else(|| name.defaults.first().map(|default| default.clone().into_owned()));
    let given = variable.and_then(|variable| variable.description.as_deref());
    let conflicts = if name.defaults.len() > 1 { name.defaults } else { Vec::new() };
    Placeholder {
        name: name.name.to_owned(),
        description: given.or(name.description).map(str::to_owned),
        required: default.is_none(),
        default,
        value: known.value.as_ref().map(|(value, _)| value.clone().into_owned()),
        source: known.value.as_ref().map(|(_, source)| *source),
        missing: known.value.is_none(),
        secret: variable.is_some_and(|variable| variable.secret),
        occurrences: name.occurrences,
        conflicts: conflicts.into_iter().map(Cow::into_owned).collect(),
    }
}

fn cut(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(60) {
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
        None => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests;
