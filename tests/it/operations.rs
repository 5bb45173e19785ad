//! The runbook is held to the code: a text or a metric that it tells somebody to look for is one that is written.

use std::fs;
use std::path::{Path, PathBuf};

use hallmark::config::Limits;

use crate::support::host::root;

fn runbook() -> String {
    fs::read_to_string(root().join("docs/OPERATIONS.md")).expect("the runbook")
}

fn sources(folder: &Path, found: &mut String) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path: PathBuf = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push_str(&fs::read_to_string(path).expect("a text"));
        }
    }
}

/// All that the host can write, with texts on one line that the sources break.
fn written() -> String {
    let mut text = String::new();
    sources(&root().join("host/src"), &mut text);
    let mut lines = text.split("\\\n");
    let mut whole = lines.next().unwrap_or_default().to_owned();
    lines.for_each(|line| whole.push_str(line.trim_start()));
    whole
}

/// What stands between backticks in the first column of the table under a heading.
fn symptoms(page: &str, heading: &str) -> Vec<String> {
    let (_, section) = page.split_once(&format!("\n## {heading}\n")).unwrap_or_else(|| panic!("no section {heading}"));
    let section = section.split("\n## ").next().expect("a section");
    let rows = section.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
    rows.flat_map(|cell| cell.split('`').skip(1).step_by(2)).map(str::to_owned).collect()
}

#[test]
fn every_symptom_is_one_that_the_host_shows() {
    let (page, written) = (runbook(), written());
    let symptoms = symptoms(&page, "Troubleshooting");
    assert!(symptoms.len() > 20, "{symptoms:?}");
    let is_written = |symptom: &&String| symptom.split('…').all(|part| written.contains(part.trim()));
    let unknown: Vec<&String> = symptoms.iter().filter(|symptom| !is_written(symptom)).collect();
    assert!(unknown.is_empty(), "no source writes: {unknown:#?}");
}

#[test]
fn every_limit_that_the_runbook_names_exists() {
    let page = runbook();
    let is_limit = |word: &&str| {
        let units = ["_max", "_max_ms", "_max_bytes", "_drain_ms", "_poll_ms", "_deadline_ms"];
        units.iter().any(|unit| word.ends_with(unit)) && word.contains('_')
    };
    let spans = page.split('`').skip(1).step_by(2).filter(is_limit);
    let unknown: Vec<&str> = spans.filter(|word| !Limits::NAMES.contains(word)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}
