//! `template-rules`: what the module that owns templates asks of every template, whatever the tenant's policies add. It
//! reads what a template says of itself and its texts, and fills none in.

mod about;
pub mod codes;
mod compatibility;
mod content;
mod exposure;
mod parameters;
mod references;
mod secrets;
mod settings;
mod syntax;
mod uses;

use hallmark_plugin::findings::{Findings, unknown_severities};
use hallmark_plugin::serde_json::{Value, json};
use hallmark_plugin::{Description, Example, Finding, Submission, Validator};
use shared_rules::{identity, tags};

use content::Content;
pub use settings::Settings;
use syntax::Syntax;
use uses::Uses;

// An evaluation is short and allocates much; this allocator is quicker at that than the standard library's.
#[cfg(target_arch = "wasm32")]
#[global_allocator]
static ALLOCATOR: talc::wasm::WasmDynamicTalc = talc::wasm::new_wasm_dynamic_allocator();

/// The plugin, configured.
#[derive(Debug)]
pub struct TemplateRules {
    settings: Settings,
    syntax: Syntax,
}

impl Validator for TemplateRules {
    type Settings = Settings;

    fn description() -> Description {
        Description::new(
            "template-rules",
            env!("CARGO_PKG_VERSION"),
            "Checks a template's id, version, tags, category, texts, placeholders, parameters and references, and what it \
             breaks of the active version.",
        )
        .settings_schema(include_str!("settings.schema.json"))
        .codes(codes::ALL)
    }

    fn configure(mut settings: Settings) -> Result<Self, Vec<Finding>> {
        let mut wrong = unknown_severities(&settings.severities, codes::ALL);
        wrong.extend(settings.check_delimiters());
        if !wrong.is_empty() {
            return Err(wrong);
        }
        // Hosts are compared in lower case.
        settings.http_hosts_allowed.iter_mut().for_each(|host| host.make_ascii_lowercase());
        let syntax = Syntax::new(&settings.placeholder_open, &settings.placeholder_close, settings.dotted_names);
        Ok(Self { settings, syntax })
    }

    fn validate(&self, submission: &Submission) -> Vec<Finding> {
        let whole: Value = match submission.whole() {
            Ok(whole) => whole,
            Err(mismatch) => return vec![mismatch.into()],
        };
        let settings = &self.settings;
        let mut findings = Findings::new(&settings.severities, settings.findings_max);
        identity::check_id(&settings.id_field, settings.id_length_max, submission, &mut findings);
        let version = identity::check_version_form(submission, &mut findings);
        if let Some(version) = version.as_ref().filter(|_| !settings.allow_lower_version) {
            identity::check_version_order(version, submission, &mut findings);
        }
        tags::check(settings.tags_max, settings.tag_length_max, submission, &mut findings);
        about::check_description(&whole, &mut findings);
        about::check_category(&settings.categories, &whole, &mut findings);

        let document = submission.subject().document.as_str();
        let content = Content::read(whole.pointer(document), document, &settings.literal_members);
        let is_small = about::check_content(&content, settings.content_size_max_bytes, &mut findings);
        about::check_files(&content, &mut findings);
        parameters::check(&content, &mut findings);
        let inherited = references::check(&content, settings.references_max, submission, &mut findings);
        if is_small {
            let uses = Uses::check(&self.syntax, &content, &mut findings);
            uses.compare(&self.syntax, &content, &inherited, &mut findings);
        }
        if let Some(version) = version {
            compatibility::check(&version, &content, &inherited, submission, &mut findings);
        }
        let rules = exposure::Rules { syntax: &self.syntax, hosts_allowed: &settings.http_hosts_allowed };
        rules.check(&whole, String::new(), &mut findings);
        findings.finish()
    }
}

hallmark_plugin::export_validator!(TemplateRules, examples = examples);

/// What the host tries when the component is pushed.
fn examples() -> Vec<Example> {
    let example = |name: &str, content: Value| {
        Example::new(name)
            .subject(|subject| {
                subject.module = "templates".to_owned();
                subject.kind = "templates".to_owned();
                subject.document = "/content".to_owned();
            })
            .submission(json!({
                "templateId": "example", "name": "Example", "version": "1.0.0", "description": "An example.",
                "content": content,
            }))
    };
    let parameter = json!({"name": "name", "description": "Who is greeted."});
    vec![
        example("a text without placeholders", json!("Good day.")),
        example("a parameter that is used", json!({"body": "Good day, {{ name }}.", "parameters": [parameter]})),
        example("a parameter that is not declared", json!("Good day, {{ name }}."))
            .finds("placeholders.undeclared", "/content"),
        example("a parameter that is not used", json!({"body": "Good day.", "parameters": [parameter]}))
            .finds("parameters.unused", "/content/parameters/0"),
        example("a placeholder that is not closed", json!({"body": "Good day, {{ name."}))
            .finds("placeholders.unclosed", "/content/body"),
        example("other delimiters", json!({"body": "Good day, <% name %>.", "parameters": [parameter]}))
            .settings(json!({"placeholder_open": "<%", "placeholder_close": "%>"})),
        example(
            "braces of JSON",
            json!({"body": "{\"a\": {\"b\": {\"name\": \"{{ name }}\"}}}", "parameters": [parameter]}),
        ),
        example("a template that nobody published", json!({"body": "Good day.", "includes": ["footer"]}))
            .finds("references.unknown", "/content/includes/0"),
        example("an address in clear", json!("See http://example.org.")).finds("urls.in-clear", "/content"),
        example("nothing", json!({"parameters": []})).finds("content.blank", "/content"),
    ]
}
