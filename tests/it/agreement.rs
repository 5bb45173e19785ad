//! `validate`, `publish` and the offline command are one pipeline: over every example and every manifest of the corpus
//! they say the same, and resolve to the same bytes.

#![expect(clippy::print_stdout, reason = "a test that is skipped says so")]

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::command::{PATIENT, against, argument, hallmark, results};
use crate::support::host::{Options, root};

/// A manifest with the flags that say what a bare document is.
struct Sample {
    path: PathBuf,
    flags: Vec<&'static str>,
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> =
        fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    found.sort();
    found
}

fn samples() -> Vec<Sample> {
    let mut samples = Vec::new();
    for folder in ["examples/manifests/valid", "examples/manifests/invalid"] {
        samples.extend(files(&root().join(folder)).into_iter().map(|path| Sample { path, flags: Vec::new() }));
    }
    let corpus = root().join("../shared/corpus");
    if !corpus.is_dir() {
        println!("without the corpus: there is none at {}", corpus.display());
        return samples;
    }
    let agents = files(&corpus.join("valuecanvas/agents"));
    samples.extend(agents.into_iter().map(|path| Sample { path, flags: vec!["--kind", "agents"] }));
    for (file, id) in [("service-manifest.json", "observatory"), ("service-manifest-inline-tokens.json", "inline")] {
        let flags = vec!["--kind", "services", "--id", id, "--version", "1.0.0", "--name", "Observatory"];
        samples.push(Sample { path: corpus.join("apphub").join(file), flags });
    }
    samples
}

/// What all three say of one submission, in one form: the findings, and the digest of what would be stored.
#[derive(Debug, PartialEq)]
struct Said {
    entry: String,
    findings: Value,
    digest: Value,
}

fn said(result: &Value) -> Said {
    let entry = format!("{}/{}", result["kind"].as_str().unwrap_or("?"), result["id"].as_str().unwrap_or("?"));
    let report = [&result["report"], &result["published"]["decision"], &result["refused"]]
        .into_iter()
        .find(|report| report.is_object())
        .unwrap_or(&Value::Null);
    let digest = match &report["digest"] {
        // A refusal over HTTP does not carry the digest.
        Value::Null => json!(null),
        digest => digest.clone(),
    };
    Said { entry, findings: report["findings"].clone(), digest }
}

#[test]
fn validate_publish_and_the_offline_command_say_the_same() {
    let host = Options::examples().start();
    let published = TempDir::new().expect("a folder");
    let cache = TempDir::new().expect("a folder");
    let (mut stored, mut refused) = (0, 0);
    for sample in samples() {
        let path = argument(&sample.path);
        let named: Vec<&str> = sample.flags.iter().copied().chain([path, "--output", "json"]).collect();
        let rules = ["--modules", "examples/modules", "--policies", "examples/policies"];
        let mut facts = vec!["--cache", argument(cache.path())];
        if stored > 0 {
            facts.extend(["--registry", argument(published.path())]);
        }
        let offline = results(&hallmark(&[&["validate"], &rules[..], &PATIENT, &facts, &named].concat()));
        let validated = results(&against(&host, &[&["publish", "--dry-run"], &named[..]].concat()));
        let sent = results(&against(&host, &[&["publish"], &named[..]].concat()));
        assert_eq!(offline.len(), sent.len(), "{path}");
        for ((offline, validated), sent) in offline.iter().zip(&validated).zip(&sent) {
            let (by_offline, by_validate, by_publish) = (said(offline), said(validated), said(sent));
            assert_eq!(by_offline, by_validate, "{path}: offline beside validate");
            assert_eq!(by_offline.findings, by_publish.findings, "{path}: offline beside publish");
            assert_eq!(by_offline.entry, by_publish.entry, "{path}");
            if sent["published"].is_object() {
                assert_eq!(by_offline.digest, by_publish.digest, "{path}: what was resolved");
                assert!(by_offline.digest.is_string(), "{path}");
                stored += 1;
            } else {
                refused += 1;
            }
        }
        // What the host has published, the offline command is told of.
        if sent.iter().all(|result| result["published"].is_object()) && sample.flags.is_empty() {
            fs::copy(&sample.path, published.path().join(sample.path.file_name().expect("a file"))).expect("a copy");
        }
    }
    assert!(stored >= 4, "{stored} were stored");
    assert!(refused >= 15, "{refused} were refused");
}
