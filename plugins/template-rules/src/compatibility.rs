//! What a new version must not do to those who use the active one, unless it is a new major version.

use hallmark_plugin::findings::{Findings, quoted};
use hallmark_plugin::{Finding, Patch, Submission, registry};
use semver::Version;
use serde_json::Value;
use shared_rules::identity;

use crate::codes;
use crate::content::{Content, Kind, Parameter};
use crate::references::Inherited;

/// Compares the parameters with those of the active version. A version that is published already is let through: the
/// registry answers it, and a rollback to it is asked about here too.
pub fn check(
    version: &Version,
    content: &Content<'_>,
    inherited: &Inherited,
    submission: &Submission,
    findings: &mut Findings,
) {
    let subject = submission.subject();
    let Some(active) = registry::manifest(&subject.kind, &subject.id, None) else { return };
    // The host hands out JSON alone.
    let Ok(active) = serde_json::from_str::<Value>(&active) else { return };
    let Some(active_version) = active["version"].as_str().and_then(|text| Version::parse(text).ok()) else { return };
    if !promises(&active_version, version) || identity::is_published(submission) {
        return;
    }
    let before = Content::read(active.pointer(&subject.document), &subject.document, &[]);
    let comparison = Comparison { before: &before, now: content, inherited, version: &active_version };
    comparison.check(findings);
}

/// True where the new version may not break what uses the active one. A prerelease promises nothing, 0.x promises
/// within one minor version, and an older line is not compared with a newer one.
fn promises(active: &Version, new: &Version) -> bool {
    let is_one_line = active.major == new.major && (active.major > 0 || active.minor == new.minor);
    is_one_line && active.pre.is_empty() && new > active
}

fn next_breaking(active: &Version) -> Version {
    match active.major {
        0 => Version::new(0, active.minor.saturating_add(1), 0),
        major => Version::new(major.saturating_add(1), 0, 0),
    }
}

struct Comparison<'a> {
    before: &'a Content<'a>,
    now: &'a Content<'a>,
    inherited: &'a Inherited,
    version: &'a Version,
}

impl Comparison<'_> {
    fn check(&self, findings: &mut Findings) {
        let known: std::collections::BTreeMap<_, _> = self.now.declared().collect();
        let before: std::collections::BTreeMap<_, _> = self.before.declared().collect();
        for (name, old) in &before {
            match known.get(name) {
                Some(new) => self.compare(name, old, new, findings),
                // What a template that is included declares can be given still.
                None if self.inherited.has(name) || !self.inherited.is_whole() => {}
                None => {
                    let place = match self.now.parameters {
                        Some(_) => self.now.parameters_place(),
                        None => self.now.place.clone(),
                    };
                    let message = format!("the parameter {} of {} is gone", quoted(name), self.version);
                    let finding = codes::COMPATIBILITY_REMOVED.at(place).message(message);
                    findings.add(self.told(finding, "keep it, optional"));
                }
            }
        }
        for (name, new) in known.iter().filter(|(name, new)| new.is_required() && !before.contains_key(*name)) {
            let finding = codes::COMPATIBILITY_REQUIRED.at(new.place.as_str()).message(format!(
                "the parameter {} is new since {} and must be given",
                quoted(name),
                self.version
            ));
            findings.add(self.told(finding, "give it a default or \"required\": false"));
        }
    }

    fn compare(&self, name: &str, old: &Parameter<'_>, new: &Parameter<'_>, findings: &mut Findings) {
        let version = self.version;
        if new.is_required() && !old.is_required() {
            let finding = codes::COMPATIBILITY_REQUIRED
                .at(new.place.as_str())
                .message(format!("the parameter {} must be given, and {version} does without", quoted(name)));
            findings.add(self.told(finding, "give it a default or \"required\": false"));
        }
        let (Some(old_kind), Some(new_kind)) = (old.kind, new.kind) else { return };
        let is_wider = (old_kind, new_kind) == (Kind::Integer, Kind::Number);
        if old_kind != new_kind && !is_wider {
            let finding = codes::COMPATIBILITY_TYPE.at(new.place.as_str()).message(format!(
                "the parameter {} has the type {}, in {version} it is {}",
                quoted(name),
                new_kind.name(),
                old_kind.name()
            ));
            findings.add(self.told(finding, "keep its type, or give the new one another name"));
            return;
        }
        let Some(allowed) = new.allowed else { return };
        let place = new.at("enum");
        match old.allowed {
            None => {
                let message = format!("the parameter {} takes some values alone, in {version} all", quoted(name));
                let finding = codes::COMPATIBILITY_ENUM.at(place).message(message);
                findings.add(self.told(finding, "let it take all"));
            }
            Some(before) => {
                if let Some(gone) = before.iter().find(|value| !allowed.contains(value)) {
                    let gone = gone.as_str().map_or_else(|| gone.to_string(), str::to_owned);
                    let message = format!(
                        "the parameter {} no longer takes {}, as it does in {version}",
                        quoted(name),
                        quoted(&gone)
                    );
                    let finding = codes::COMPATIBILITY_ENUM.at(place).message(message);
                    findings.add(self.told(finding, "let it take the value still"));
                }
            }
        }
    }

    fn told(&self, finding: Finding, instead: &str) -> Finding {
        let next = next_breaking(self.version);
        finding.help(format!("{instead}, or publish {next}")).fix(Patch::new().replace("/version", next.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_promises_to_the_next_major_one() {
        let promised = |active: &str, new: &str| {
            let version = |text: &str| Version::parse(text).expect("a version");
            promises(&version(active), &version(new))
        };
        for (active, new) in [("1.0.0", "1.0.1"), ("1.2.0", "1.3.0-rc.1"), ("0.3.0", "0.3.1")] {
            assert!(promised(active, new), "{active} to {new}");
        }
        for (active, new) in
            [("1.0.0", "2.0.0"), ("0.3.0", "0.4.0"), ("0.9.0", "1.0.0"), ("1.0.0-rc.1", "1.0.0"), ("1.2.0", "1.1.1")]
        {
            assert!(!promised(active, new), "{active} to {new}");
        }
        assert_eq!(next_breaking(&Version::new(1, 4, 2)), Version::new(2, 0, 0));
        assert_eq!(next_breaking(&Version::new(0, 4, 2)), Version::new(0, 5, 0));
    }
}
