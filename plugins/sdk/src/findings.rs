//! Findings as a plugin of many rules gives them: each code is declared once with its weight and its words, settings may
//! change the weight, and a submission that is wrong everywhere does not overrun what the host takes.
//!
//! ```
//! use hallmark_plugin::findings::{Code, Findings, Severities, quoted};
//! use hallmark_plugin::{Description, Severity};
//!
//! const TAGS_FORM: Code = Code {
//!     name: "tags.form",
//!     severity: Severity::Error,
//!     summary: "A tag is not in lower case.",
//!     help: "Tags are compared byte for byte: write them in lower case.",
//! };
//!
//! let description = Description::new("tags", "1.0.0", "Checks tags.").codes(&[&TAGS_FORM]);
//! assert_eq!(description.finding_codes[0].code, "tags.form");
//!
//! // The weights are a setting of the plugin: `{"severities": {"tags.form": "warning"}}`.
//! let severities: Severities = hallmark_plugin::serde_json::from_str(r#"{"tags.form": "warning"}"#).expect("weights");
//! let mut findings = Findings::new(&severities, 200);
//! findings.add(TAGS_FORM.at("/tags/0").message(format!("the tag {} is not in lower case", quoted("A"))));
//! let findings = findings.finish();
//! assert_eq!((findings[0].severity, findings[0].message.as_str()), (Severity::Warning, "the tag 'A' is not in lower case"));
//! ```

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;

use crate::{Finding, Severity, pointer};

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

/// What `configure` refuses: the codes in `severities` that the plugin does not have.
pub fn unknown_severities(severities: &Severities, codes: &[&Code]) -> Vec<Finding> {
    let unknown = severities.keys().filter(|name| codes.iter().all(|code| code.name != name.as_str()));
    unknown
        .map(|name| {
            let known: Vec<_> = codes.iter().map(|code| code.name).collect();
            Finding::setting(pointer::child("/severities", name))
                .message(format!("{} is not a finding code of this plugin", quoted(name)))
                .help(format!("its codes are {}", known.join(", ")))
        })
        .collect()
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
    /// None yet; `findings_max` are kept, which should be less than the host's `plugin_findings_max`.
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

    /// Adds a finding of a code, and makes it only where it is kept: what is wrong a hundred thousand times then costs
    /// no more than counting.
    pub fn add_with(&mut self, code: &Code, finding: impl FnOnce() -> Finding) {
        if self.given.len() < self.findings_max {
            return self.add(finding());
        }
        self.omitted += 1;
        let weight = self.severities.get(code.name).map_or(code.severity, |weight| (*weight).into());
        self.omitted_worst = worse(self.omitted_worst, weight);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Patch;

    const LOW: Code = Code { name: "a.low", severity: Severity::Warning, summary: "", help: "" };
    const HIGH: Code = Code { name: "a.high", severity: Severity::Error, summary: "", help: "" };

    #[test]
    fn settings_change_the_weight_of_a_code() {
        let severities = Severities::from([("a.low".to_owned(), Weight::Error), ("a.high".to_owned(), Weight::Info)]);
        let mut findings = Findings::new(&severities, 10);
        findings.add(LOW.at("/a").message("low"));
        findings.add(HIGH.at("/b").message("high"));
        let weights: Vec<_> = findings.finish().iter().map(|finding| finding.severity).collect();
        assert_eq!(weights, [Severity::Error, Severity::Info]);
    }

    #[test]
    fn names_the_codes_that_settings_invent() {
        let severities = Severities::from([("a.lower".to_owned(), Weight::Error), ("a.low".to_owned(), Weight::Info)]);
        let wrong = unknown_severities(&severities, &[&LOW, &HIGH, &OMITTED]);
        let [finding] = &wrong[..] else { panic!("one is wrong: {wrong:?}") };
        assert_eq!((finding.code.as_str(), finding.path.as_str()), ("settings.invalid", "/severities/a.lower"));
        assert_eq!(finding.message, "'a.lower' is not a finding code of this plugin");
        assert_eq!(finding.help.as_deref(), Some("its codes are a.low, a.high, findings.omitted"));
    }

    #[test]
    fn the_rest_is_counted_and_weighs_as_much_as_its_worst() {
        let none = Severities::new();
        let mut findings = Findings::new(&none, 1);
        for code in [&LOW, &LOW, &HIGH, &LOW] {
            findings.add(code.at("").message("wrong"));
        }
        let findings = findings.finish();
        assert_eq!(findings.len(), 2);
        assert_eq!((findings[1].code.as_str(), findings[1].severity), ("findings.omitted", Severity::Error));
        assert_eq!(findings[1].message, "3 further findings are not shown");
    }

    #[test]
    fn what_is_not_kept_is_counted_without_being_made() {
        let severities = Severities::from([("a.high".to_owned(), Weight::Warning)]);
        let mut findings = Findings::new(&severities, 1);
        findings.add_with(&LOW, || LOW.at("").message("low"));
        findings.add_with(&HIGH, || panic!("it is not kept"));
        let findings = findings.finish();
        assert_eq!((findings[0].code.as_str(), findings[1].severity), ("a.low", Severity::Warning));
        assert_eq!(findings[1].message, "1 further findings are not shown");
    }

    #[test]
    fn an_answer_stays_small_whatever_was_sent() {
        let none = Severities::new();
        let mut findings = Findings::new(&none, 1_000);
        let long = "x".repeat(FINDINGS_SIZE_MAX_BYTES / 3);
        for _ in 0..10 {
            findings.add(HIGH.at("").message(long.clone()));
        }
        let findings = findings.finish();
        assert!(findings.iter().map(size).sum::<usize>() < FINDINGS_SIZE_MAX_BYTES + 1_000);
        assert_eq!(findings.last().map(|finding| finding.code.as_str()), Some("findings.omitted"));

        let mut findings = Findings::new(&none, 10);
        let (short, long) = ("x".to_owned(), "x".repeat(FIX_SIZE_MAX_BYTES));
        findings.add(HIGH.at("").message("short").fix(Patch::new().replace("/a", short)));
        findings.add(HIGH.at("").message("long").fix(Patch::new().replace("/a", long)));
        let has_fix: Vec<_> = findings.finish().iter().map(|finding| finding.fix.is_some()).collect();
        assert_eq!(has_fix, [true, false]);
    }

    #[test]
    fn quotes_and_cuts() {
        assert_eq!(quoted("a"), "'a'");
        assert_eq!(quoted(&"ä".repeat(81)), format!("'{}…'", "ä".repeat(80)));
        assert_eq!(cut(&"ä".repeat(80)), "ä".repeat(80));
    }
}
