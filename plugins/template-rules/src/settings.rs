//! What a binding of this plugin may set. `settings.schema.json` says the same to the host; a test compares the
//! defaults.

use hallmark_plugin::Finding;
use hallmark_plugin::findings::{Severities, quoted};
use serde::{Deserialize, Serialize};

/// The settings, each with a default.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The kind's id field in the submission: where findings about the id point.
    pub id_field: String,
    /// The longest id.
    pub id_length_max: usize,
    /// A version lower than the highest published one is no finding.
    pub allow_lower_version: bool,
    /// The most tags.
    pub tags_max: usize,
    /// The longest tag.
    pub tag_length_max: usize,
    /// The categories that there are; none: any that has the form of one.
    pub categories: Vec<String>,
    /// The most bytes that a template's texts have together.
    pub content_size_max_bytes: usize,
    /// What a placeholder begins with.
    pub placeholder_open: String,
    /// What it ends with.
    pub placeholder_close: String,
    /// A placeholder may read a member of a parameter, as in `{{ customer.name }}`.
    pub dotted_names: bool,
    /// Names of the content's members in which nothing is a placeholder.
    pub literal_members: Vec<String>,
    /// Hosts, with all below them, that may be named by an address in clear: most name a vocabulary, and are never
    /// asked.
    pub http_hosts_allowed: Vec<String>,
    /// The most templates that are read, those that included ones include counted in.
    pub references_max: usize,
    /// The most findings that are given.
    pub findings_max: usize,
    /// Weights of codes, where they differ from the documented ones.
    #[serde(skip_serializing)]
    pub severities: Severities,
}

impl Default for Settings {
    fn default() -> Self {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Self {
            id_field: "templateId".to_owned(),
            id_length_max: 64,
            allow_lower_version: false,
            tags_max: 20,
            tag_length_max: 40,
            categories: Vec::new(),
            content_size_max_bytes: 256 * 1024,
            placeholder_open: "{{".to_owned(),
            placeholder_close: "}}".to_owned(),
            dotted_names: false,
            literal_members: texts(&["format", "role"]),
            http_hosts_allowed: texts(&[
                "www.w3.org",
                "json-schema.org",
                "purl.org",
                "schemas.microsoft.com",
                "schemas.openxmlformats.org",
                "schemas.xmlsoap.org",
            ]),
            references_max: 50,
            findings_max: 200,
            severities: Severities::new(),
        }
    }
}

impl Settings {
    /// What no JSON Schema says well: delimiters that a name could be part of.
    pub fn check_delimiters(&self) -> Vec<Finding> {
        let is_wrong = |delimiter: &str| {
            let is_refused = |character: char| {
                character.is_alphanumeric() || character.is_whitespace() || matches!(character, '_' | '-' | '.' | '\\')
            };
            delimiter.is_empty() || delimiter.contains(is_refused)
        };
        [("/placeholder_open", &self.placeholder_open), ("/placeholder_close", &self.placeholder_close)]
            .into_iter()
            .filter(|(_, delimiter)| is_wrong(delimiter))
            .map(|(place, delimiter)| {
                Finding::setting(place)
                    .message(format!("{} cannot stand beside a name: the name could go on in it", quoted(delimiter)))
                    .help("take signs such as '{{', '<%' or '[['; letters, digits, '_', '-', '.', '\\' and white space end no name")
            })
            .collect()
    }
}
