//! The id's form, and the version's form and place among those that are published.

use std::cmp::Ordering;

use hallmark_plugin::findings::{Findings, quoted};
use hallmark_plugin::{Patch, Submission, pointer, registry};
use semver::Version;

use crate::codes;
use crate::forms;

const ID_SEPARATORS: &[u8] = b"-._";

/// The id is well-formed. Findings point at the kind's id field.
pub fn check_id(id_field: &str, length_max: usize, submission: &Submission, findings: &mut Findings) {
    let id = submission.subject().id.as_str();
    let finding = codes::ID_FORM.at(pointer::child("", id_field));
    let length = id.chars().count();
    if length > length_max {
        findings.add(
            finding
                .message(format!("the id {} has {length} characters, {length_max} are allowed", quoted(id)))
                .help(format!("choose an id of at most {length_max} characters")),
        );
    } else if !(id.starts_with(|first: char| first.is_ascii_lowercase()) && forms::is_words(id, ID_SEPARATORS)) {
        let suggested =
            forms::as_words(id.trim_start_matches(|first: char| !first.is_ascii_alphabetic()), ID_SEPARATORS);
        findings.add(
            finding
                .message(format!(
                    "the id {} is not lower case letters and digits joined by single '-', '.' or '_', a letter first",
                    quoted(id)
                ))
                .help(format!("choose an id such as '{}'", suggested.as_deref().unwrap_or("daily-report"))),
        );
    }
}

/// The version is semantic; it is answered where it is.
pub fn check_version_form(submission: &Submission, findings: &mut Findings) -> Option<Version> {
    let text = submission.subject().version.as_str();
    match Version::parse(text) {
        Ok(version) => Some(version),
        Err(error) => {
            let meant = forms::as_version(text);
            let example = meant.as_ref().map_or_else(|| "1.0.0".to_owned(), Version::to_string);
            let mut finding = codes::VERSION_FORM
                .at("/version")
                .message(format!("the version {} is not a semantic version: {error}", quoted(text)))
                .help(format!("write MAJOR.MINOR.PATCH, such as '{example}'"));
            if meant.is_some() {
                finding = finding.fix(Patch::new().replace("/version", example));
            }
            findings.add(finding);
            None
        }
    }
}

/// The version is not lower than the highest published one. One that is itself published already is let through: publishing it again is skipped or refused by the
/// registry, and a rollback to it is asked about here too.
pub fn check_version_order(version: &Version, submission: &Submission, findings: &mut Findings) {
    let subject = submission.subject();
    let Some(known) = registry::lookup(&subject.kind, &subject.id, None) else { return };
    // A history that is not semantic has no order to keep.
    let Ok(highest) = Version::parse(&known.highest_version) else { return };
    if version.cmp_precedence(&highest) != Ordering::Less || is_published(submission) {
        return;
    }
    findings.add(
        codes::VERSION_LOWER
            .at("/version")
            .message(format!(
                "the version {version} is lower than {highest}, the highest published version of {}",
                quoted(&subject.id)
            ))
            .help(format!("publish {} or higher; to go back to an older version, roll back", next(&highest))),
    );
}

/// True where this very version is published.
pub fn is_published(submission: &Submission) -> bool {
    let subject = submission.subject();
    registry::lookup(&subject.kind, &subject.id, Some(&subject.version)).is_some()
}

fn next(highest: &Version) -> Version {
    let patch = if highest.pre.is_empty() { highest.patch.saturating_add(1) } else { highest.patch };
    Version::new(highest.major, highest.minor, patch)
}
