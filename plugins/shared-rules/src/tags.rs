//! Tags: not too many, in one form, each once.

use std::collections::{BTreeMap, BTreeSet};

use hallmark_plugin::findings::{Findings, quoted};
use hallmark_plugin::{Finding, Patch, Submission, pointer};

use crate::codes;
use crate::forms;

const TAGS: &str = "/tags";
const SEPARATORS: &[u8] = b"-._:";

/// Checks the submission's tags.
pub fn check(tags_max: usize, length_max: usize, submission: &Submission, findings: &mut Findings) {
    let tags = match submission.get::<Option<Vec<String>>>(TAGS) {
        Ok(tags) => tags.flatten().unwrap_or_default(),
        Err(mismatch) => return findings.add(mismatch.into()),
    };
    if tags.len() > tags_max {
        findings.add(
            codes::TAGS_COUNT
                .at(TAGS)
                .message(format!("there are {} tags, {tags_max} are allowed", tags.len()))
                .help(format!("keep at most {tags_max} tags, those that people search for")),
        );
    }
    let mut first = BTreeMap::new();
    let mut there: BTreeSet<String> = tags.iter().cloned().collect();
    for (index, tag) in tags.iter().enumerate() {
        let place = pointer::child(TAGS, index);
        if let Some(before) = first.get(tag) {
            findings.add(
                codes::TAGS_DUPLICATE
                    .at(place.as_str())
                    .message(format!("the tag {} is already there at {TAGS}/{before}", quoted(tag)))
                    .help("remove this one")
                    .fix(Patch::removal(&place, tag.as_str())),
            );
            continue;
        }
        first.insert(tag, index);
        let length = tag.chars().count();
        if length > length_max {
            findings.add(
                codes::TAGS_FORM
                    .at(place)
                    .message(format!("the tag {} has {length} characters, {length_max} are allowed", quoted(tag)))
                    .help("use a shorter tag"),
            );
        } else if !forms::is_words(tag, SEPARATORS) {
            findings.add(form_finding(tag, place, &mut there));
        }
    }
}

fn form_finding(tag: &str, place: String, there: &mut BTreeSet<String>) -> Finding {
    let finding = codes::TAGS_FORM.at(place.as_str()).message(format!(
        "the tag {} is not lower case letters and digits joined by single '-', '.', '_' or ':'",
        quoted(tag)
    ));
    match forms::as_words(tag, SEPARATORS) {
        None => finding.help("remove this tag, or use letters and digits"),
        Some(right) if there.contains(&right) => {
            finding.help(format!("remove this tag, since '{right}' is there too")).fix(Patch::removal(&place, tag))
        }
        Some(right) => {
            there.insert(right.clone());
            finding.help(format!("write '{right}'")).fix(Patch::new().replace(&place, right))
        }
    }
}
