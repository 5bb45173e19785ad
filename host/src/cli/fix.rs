//! `--fix`: the JSON Patches that findings carry, done to the files that the findings are about. A patch that cannot be
//! done to the text without changing something else is refused, and told.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use json_patch::PatchOperation;
use similar::{ChangeTag, TextDiff};

use super::edit::Document;
use super::report::Verdict;
use super::source::Candidate;
use super::{Trouble, patch, show};
use crate::config::Limits;
use crate::report::Finding;

/// Times that manifests are judged and mended before what is left stays.
pub const PASSES_MAX: usize = 10;

/// What was done to files.
#[derive(Debug, Default)]
pub struct Mended {
    /// Each file as it was at first, and as it is.
    files: BTreeMap<PathBuf, (String, String)>,
    applied: usize,
    /// Fixes that could not be done, and why.
    refused: BTreeMap<String, String>,
}

impl Mended {
    /// Does what fixes of the findings can be done beside each other, and writes the files. False where none can.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn pass(&mut self, judged: &[(Candidate, Verdict)], limits: &Limits) -> Result<bool, Trouble> {
        let mut files: BTreeMap<&str, Vec<(&Candidate, &Finding)>> = BTreeMap::new();
        for (candidate, verdict) in judged {
            let fixes = verdict.findings().iter().filter(|finding| finding.remark.fix.is_some());
            let fixes = fixes.filter(|finding| finding.exemption.is_none());
            files.entry(&candidate.source.name).or_default().extend(fixes.map(|finding| (candidate, finding)));
        }
        let mut changed = false;
        for (name, fixes) in files.into_iter().filter(|(_, fixes)| !fixes.is_empty()) {
            let before = &fixes[0].0.source;
            let after = self.mend(name, &before.text, &fixes, limits)?;
            if after != before.text {
                write(Path::new(name), &after)?;
                let kept =
                    self.files.entry(PathBuf::from(name)).or_insert_with(|| (before.text.clone(), String::new()));
                kept.1 = after;
                changed = true;
            }
        }
        Ok(changed)
    }

    /// The file's text after the fixes that can be done beside each other.
    fn mend(
        &mut self,
        name: &str,
        text: &str,
        fixes: &[(&Candidate, &Finding)],
        limits: &Limits,
    ) -> Result<String, Trouble> {
        let format = fixes[0].0.source.format;
        let mut document = Document::read(name, text, format, limits).map_err(anyhow::Error::msg)?;
        let mut touched: Vec<Touch> = Vec::new();
        let mut done: Vec<Vec<PatchOperation>> = Vec::new();
        for (candidate, finding) in fixes {
            let remark = &finding.remark;
            let what = format!("{name}: {} at {}", remark.code, show::place(&remark.path));
            let operations = match operations(candidate, finding) {
                Ok(operations) => operations,
                Err(why) => {
                    self.refused.insert(what, why);
                    continue;
                }
            };
            let touches: Vec<Touch> = operations.iter().flat_map(Touch::of).collect();
            // One that was done already, or that another may have moved from its place, waits for the next judgement.
            let waits = touches.iter().any(|touch| touched.iter().any(|other| touch.meets(other)));
            if done.contains(&operations) || waits {
                continue;
            }
            match document.patched(&operations) {
                Ok(patched) => {
                    document = patched;
                    touched.extend(touches);
                    done.push(operations);
                    self.applied += 1;
                    self.refused.remove(&what);
                }
                Err(why) => {
                    self.refused.insert(what, why);
                }
            }
        }
        Ok(document.text().to_owned())
    }

    /// Tells what was done: a diff of each file, and what could not be done.
    pub fn tell(&self, say: impl Fn(&str)) {
        for (path, (before, after)) in &self.files {
            say(diff(&path.display().to_string(), before, after).trim_end());
        }
        for (what, why) in &self.refused {
            say(&show::plain(&format!("not fixed: {what}: {why}: change it by hand")));
        }
        if self.applied > 0 {
            let files = show::counted(self.files.len(), "file");
            say(&format!("{} done in {files}\n", show::counted(self.applied, "fix").replace("fixs", "fixes")));
        }
    }
}

/// A finding's fix in the pointers of the file.
fn operations(candidate: &Candidate, finding: &Finding) -> Result<Vec<PatchOperation>, String> {
    if candidate.source.name == "<stdin>" {
        return Err("the standard input cannot be changed".to_owned());
    }
    let fix = finding.remark.fix.clone().unwrap_or_default();
    let operations: Vec<PatchOperation> =
        serde_json::from_value(fix).map_err(|error| format!("the fix is no JSON Patch: {error}"))?;
    let moved = |operation: &PatchOperation| patch::moved(operation, |path| candidate.exactly_in_file(path));
    operations
        .iter()
        .map(moved)
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| "the file holds the document alone, and what would be changed stands around it".to_owned())
}

/// What an operation changes: a place with all in it, or the end of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Touch {
    Place(String),
    End(String),
}

impl Touch {
    fn of(operation: &PatchOperation) -> Vec<Self> {
        let of = |path: &str| match path.rsplit_once('/') {
            Some((list, "-")) => Self::End(list.to_owned()),
            // What goes into or out of a list moves its other elements.
            Some((list, token)) if token.bytes().all(|byte| byte.is_ascii_digit()) => Self::Place(list.to_owned()),
            _ => Self::Place(path.to_owned()),
        };
        let path = operation.path().as_str();
        match operation {
            PatchOperation::Test(_) => Vec::new(),
            PatchOperation::Replace(_) => vec![Self::Place(path.to_owned())],
            PatchOperation::Add(_) | PatchOperation::Remove(_) => vec![of(path)],
            PatchOperation::Move(from) => vec![of(from.from.as_str()), of(path)],
            PatchOperation::Copy(copy) => vec![of(copy.from.as_str()), of(path)],
        }
    }

    /// Whether one may change what the other is about. Two that append to one list do not.
    fn meets(&self, other: &Self) -> bool {
        let within = |inner: &str, outer: &str| {
            inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        match (self, other) {
            (Self::End(_), Self::End(_)) => false,
            (Self::Place(one) | Self::End(one), Self::Place(two) | Self::End(two)) => {
                within(one, two) || within(two, one)
            }
        }
    }
}

/// Puts the text in the place of the file in one step, so that nobody finds half of it.
fn write(path: &Path, text: &str) -> Result<(), Trouble> {
    let failed = || format!("{} cannot be written", path.display());
    // A link stays one: what it points to is replaced.
    let path = std::fs::canonicalize(path).with_context(failed)?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder).with_context(failed)?;
    file.write_all(text.as_bytes()).with_context(failed)?;
    let permissions = std::fs::metadata(&path).with_context(failed)?.permissions();
    file.as_file().set_permissions(permissions).with_context(failed)?;
    file.persist(&path).with_context(failed)?;
    Ok(())
}

fn diff(name: &str, before: &str, after: &str) -> String {
    let is_coloured =
        std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let diff = TextDiff::from_lines(before, after);
    let mut text = format!("--- {name}\n+++ {name}\n");
    for hunk in diff.unified_diff().context_radius(2).iter_hunks() {
        text.push_str(&format!("{}\n", hunk.header()));
        for change in hunk.iter_changes() {
            let (sign, colour) = match change.tag() {
                ChangeTag::Delete => ("-", "31"),
                ChangeTag::Insert => ("+", "32"),
                ChangeTag::Equal => (" ", "0"),
            };
            let line = show::plain(change.value().trim_end_matches(['\n', '\r']));
            text.push_str(&match is_coloured {
                true => format!("\u{1b}[{colour}m{sign}{line}\u{1b}[0m\n"),
                false => format!("{sign}{line}\n"),
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixes_that_may_be_of_one_place_wait_for_each_other() {
        let place = |path: &str| Touch::Place(path.to_owned());
        let end = |path: &str| Touch::End(path.to_owned());
        for (one, other, meets) in [
            (place("/a"), place("/a"), true),
            (place("/a"), place("/a/b"), true),
            (place("/a"), place("/ab"), false),
            (end("/list"), end("/list"), false),
            (end("/list"), place("/list"), true),
        ] {
            assert_eq!((one.meets(&other), other.meets(&one)), (meets, meets), "{one:?} {other:?}");
        }
        let remove = serde_json::from_str(r#"{"op": "remove", "path": "/list/1"}"#).expect("an operation");
        assert_eq!(Touch::of(&remove), [place("/list")]);
    }
}
