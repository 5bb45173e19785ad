//! What stands beside the content: the description and the category; and the content as a whole.

use std::collections::BTreeMap;

use hallmark_plugin::Patch;
use hallmark_plugin::findings::{Findings, quoted};
use serde_json::Value;
use shared_rules::forms::{as_words, is_words};
use shared_rules::nearest::nearest;

use crate::codes;
use crate::content::Content;

const CATEGORY: &str = "/category";
const CATEGORY_SEPARATORS: &[u8] = b"-._";

/// There is a description.
pub fn check_description(submission: &Value, findings: &mut Findings) {
    let description = submission.get("description").and_then(Value::as_str).unwrap_or_default();
    if description.trim().is_empty() {
        findings.add(
            codes::DESCRIPTION_MISSING
                .at("")
                .message("the template has no description")
                .help("say in 'description' what it is for"),
        );
    }
}

/// The category, where there is one, is one of those that there are.
pub fn check_category(categories: &[String], submission: &Value, findings: &mut Findings) {
    let Some(category) = submission.get("category").and_then(Value::as_str) else { return };
    if !categories.is_empty() {
        if categories.iter().any(|known| known == category) {
            return;
        }
        let finding =
            codes::CATEGORY_UNKNOWN.at(CATEGORY).message(format!("there is no category {}", quoted(category)));
        findings.add(match nearest(&category.to_lowercase(), categories.iter().map(String::as_str)) {
            Some(meant) => finding
                .help(format!("write '{meant}'; there are {}", categories.join(", ")))
                .fix(Patch::new().replace(CATEGORY, meant)),
            None => finding.help(format!("there are {}", categories.join(", "))),
        });
    } else if !is_words(category, CATEGORY_SEPARATORS) {
        let finding = codes::CATEGORY_FORM.at(CATEGORY).message(format!(
            "the category {} is not lower case letters and digits joined by single '-', '.' or '_'",
            quoted(category)
        ));
        findings.add(match as_words(category, CATEGORY_SEPARATORS) {
            Some(right) => finding.help(format!("write '{right}'")).fix(Patch::new().replace(CATEGORY, right)),
            None => finding.help("use letters and digits, or leave it out"),
        });
    }
}

/// The content says something and is not too large; answered is whether its placeholders can be looked at.
pub fn check_content(content: &Content<'_>, size_max_bytes: usize, findings: &mut Findings) -> bool {
    let is_blank = content.texts.iter().all(|text| text.text.trim().is_empty());
    if is_blank && !content.is_extension {
        findings.add(
            codes::CONTENT_BLANK
                .at(content.place.as_str())
                .message("the template has no text")
                .help("write it as the content itself, as its 'body', or as the bodies of 'messages' or 'files'"),
        );
    }
    let size_bytes = content.size_bytes();
    let is_small = size_bytes <= size_max_bytes;
    if !is_small {
        findings.add(
            codes::CONTENT_SIZE
                .at(content.place.as_str())
                .message(format!("the template's texts have {size_bytes} bytes, {size_max_bytes} are allowed"))
                .help("divide it into templates that include each other, or keep data out of it"),
        );
    }
    is_small
}

/// Files stay in the folder that a scaffold is unfolded in, each under a path of its own.
pub fn check_files(content: &Content<'_>, findings: &mut Findings) {
    let mut first: BTreeMap<&str, &str> = BTreeMap::new();
    for file in &content.files {
        let place = file.place.as_str();
        let Some(path) = file.path.filter(|path| !path.trim().is_empty()) else {
            findings.add(
                codes::FILES_PATH
                    .at(place)
                    .message("the file has no path")
                    .help("write it from the folder that the template is unfolded in, such as 'src/main.py'"),
            );
            continue;
        };
        if let Some(why) = leads_out(path) {
            findings.add(
                codes::FILES_PATH
                    .at(place)
                    .message(format!("the path {} {why}", quoted(path)))
                    .help("write it from the folder that the template is unfolded in, such as 'src/main.py'"),
            );
        } else if let Some(before) = first.insert(path, place) {
            findings.add(
                codes::FILES_DUPLICATE
                    .at(place)
                    .message(format!("the path {} is already that of the file at {before}", quoted(path)))
                    .help("give each file its own path"),
            );
        }
    }
}

/// Why a path could lead out of the folder, to follow its name.
fn leads_out(path: &str) -> Option<&'static str> {
    let has_drive = path.as_bytes().get(1) == Some(&b':') && path.as_bytes()[0].is_ascii_alphabetic();
    if path.contains('\\') {
        Some("holds a backslash")
    } else if path.starts_with('/') || path.starts_with('~') || has_drive {
        Some("does not begin in the template's folder")
    } else if path.split('/').any(|step| step == "..") {
        Some("leads out of the template's folder")
    } else {
        None
    }
}
