//! How the two rule plugins give findings: each code is declared once with its weight and its words, settings may
//! change the weight, and a submission that is wrong everywhere does not overrun what the host takes.

use std::borrow::Cow;
use std::collections::BTreeMap;

use hallmark_plugin::{Description, Finding, Severity};
use serde::Deserialize;

/// The code of the finding that stands for those that were left out.
pub const OMITTED: Code = Code {
    name: "findings.omitted",
    severity: Severity::Info,
    summary: "There are more findings than `findings_max`, or they are too long; this one counts the rest and weighs as much as the worst of them.",
    help: "Mend what is shown and check again.",
};

/// Well below the host's `plugin_answer_max_bytes`: a submission with huge names is refused and breaks nothing.
const FINDINGS_SIZE_MAX_BYTES: usize = 256 * 1024;
/// A longer patch is left out of its finding.
const FIX_SIZE_MAX_BYTES: usize = 4 * 1024;

/// One finding code of a plugin.
#[derive(Debug)]
pub struct Code {
    /// The code itself.
    pub name: &'static str,
    /// What it weighs unless the settings say otherwise.
    pub severity: Severity,
    /// When it is given.
    pub summary: &'static str,
    /// Why it matters and how to mend it.
    pub help: &'static str,
}

impl Code {
    /// A finding of this code at a place of the submission.
    pub fn at(&self, pointer: impl Into<String>) -> Finding {
        Finding::new(self.severity, self.name).at(pointer)
    }
}

/// A severity as settings write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Weight {
    /// Rejects.
    Error,
    /// Should be mended.
    Warning,
    /// Worth knowing.
    Info,
}

impl From<Weight> for Severity {
    fn from(weight: Weight) -> Self {
        match weight {
            Weight::Error => Self::Error,
            Weight::Warning => Self::Warning,
            Weight::Info => Self::Info,
        }
    }
}

/// The weights that the settings change, by code.
pub type Severities = BTreeMap<String, Weight>;

/// Findings about the codes in `severities` that the plugin does not have.
pub fn unknown_severities(severities: &Severities, codes: &[&Code]) -> Vec<Finding> {
    let unknown = severities.keys().filter(|name| codes.iter().all(|code| code.name != name.as_str()));
    unknown
        .map(|name| {
            let known: Vec<_> = codes.iter().map(|code| code.name).collect();
            Finding::setting(hallmark_plugin::pointer::child("/severities", name))
                .message(format!("{} is not a finding code of this plugin", quoted(name)))
                .help(format!("its codes are {}", known.join(", ")))
        })
        .collect()
}

/// Puts the codes into a description.
pub fn describe(description: Description, codes: &[&Code]) -> Description {
    codes.iter().fold(description, |description, code| description.code(code.name, code.summary, code.help))
}

/// The findings of one evaluation.
#[derive(Debug)]
pub struct Findings<'a> {
    severities: &'a Severities,
    findings_max: usize,
    given: Vec<Finding>,
    size_bytes: usize,
    omitted: usize,
    omitted_worst: Severity,
}

impl<'a> Findings<'a> {
    /// None yet; `findings_max` are kept.
    pub fn new(severities: &'a Severities, findings_max: usize) -> Self {
        Self { severities, findings_max, given: Vec::new(), size_bytes: 0, omitted: 0, omitted_worst: Severity::Info }
    }

    /// Adds a finding, with the weight that the settings give its code.
    pub fn add(&mut self, mut finding: Finding) {
        if let Some(weight) = self.severities.get(&finding.code) {
            finding.severity = (*weight).into();
        }
        finding.fix.take_if(|fix| fix.len() > FIX_SIZE_MAX_BYTES);
        let size_bytes = self.size_bytes + size(&finding);
        if self.given.len() < self.findings_max && size_bytes <= FINDINGS_SIZE_MAX_BYTES {
            self.size_bytes = size_bytes;
            self.given.push(finding);
            return;
        }
        self.omitted += 1;
        self.omitted_worst = worse(self.omitted_worst, finding.severity);
    }

    /// What is answered to the host.
    pub fn finish(mut self) -> Vec<Finding> {
        if self.omitted > 0 {
            let mut rest = OMITTED
                .at("")
                .message(format!("{} further findings are not shown", self.omitted))
                .help("mend what is shown and check again");
            rest.severity = self.omitted_worst;
            self.given.push(rest);
        }
        self.given
    }
}

fn size(finding: &Finding) -> usize {
    let texts =
        [Some(&finding.code), Some(&finding.path), Some(&finding.message), finding.help.as_ref(), finding.fix.as_ref()];
    texts.into_iter().flatten().map(String::len).sum()
}

fn worse(one: Severity, other: Severity) -> Severity {
    match (one, other) {
        (Severity::Error, _) | (_, Severity::Error) => Severity::Error,
        (Severity::Warning, _) | (_, Severity::Warning) => Severity::Warning,
        (Severity::Info, Severity::Info) => Severity::Info,
    }
}

/// A publisher's text in a message: in quotes, and cut where it is long.
pub fn quoted(text: &str) -> String {
    format!("'{}'", cut(text))
}

/// A publisher's text, cut where it is long.
pub fn cut(text: &str) -> Cow<'_, str> {
    const SHOWN_CHARACTERS_MAX: usize = 80;
    match text.char_indices().nth(SHOWN_CHARACTERS_MAX) {
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
        None => Cow::Borrowed(text),
    }
}

/// A JSON Patch that takes an element away only while it is the value that was meant, since removing another element
/// of the list first moves it.
pub fn removal(pointer: &str, value: &serde_json::Value) -> String {
    serde_json::json!([{"op": "test", "path": pointer, "value": value}, {"op": "remove", "path": pointer}]).to_string()
}
