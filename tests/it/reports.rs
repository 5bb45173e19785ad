//! The forms in which findings are given to other programs, what fails a call, and what `--fix` and `--watch` do to
//! files. Judging needs no server here.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::command::{PATIENT, argument, hallmark, text};
use crate::support::host::root;

const UNDECLARED: &str = "examples/manifests/invalid/agent-undeclared-capability.yaml";

fn rules() -> Vec<String> {
    let cache = root().join("target/tmp/cli-cache").display().to_string();
    let rules = ["validate", "--modules", "examples/modules", "--policies", "examples/policies", "--cache", &cache];
    rules.iter().chain(&PATIENT).map(ToString::to_string).collect()
}

/// `validate` with the examples' rules.
fn validate(arguments: &[&str]) -> Output {
    let rules = rules();
    hallmark(&[rules.iter().map(String::as_str).collect::<Vec<_>>(), arguments.to_vec()].concat())
}

/// An example in a folder of its own, with a piece of it replaced.
fn changed(folder: &Path, example: &str, from: &str, to: &str) -> String {
    let text = fs::read_to_string(root().join(example)).expect("the example");
    assert!(text.contains(from), "{example} has no '{from}'");
    let path = folder.join(Path::new(example).file_name().expect("a name"));
    fs::write(&path, text.replace(from, to)).expect("a file");
    argument(&path).to_owned()
}

#[test]
fn sarif_has_a_rule_for_each_code_and_the_exact_place() {
    let output = validate(&[UNDECLARED, "examples/manifests/invalid/agent-duplicate-key.yaml", "--output", "sarif"]);
    assert_eq!(output.status.code(), Some(1));
    let log: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let run = &log["runs"][0];
    assert_eq!(run["tool"]["driver"]["rules"][1]["id"], "capabilities.undeclared");
    let result = &run["results"][1];
    assert_eq!((&result["ruleId"], &result["ruleIndex"]), (&"capabilities.undeclared".into(), &1.into()));
    let place = &result["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], UNDECLARED);
    let lines = fs::read_to_string(root().join(UNDECLARED)).expect("the example");
    let region = &place["region"];
    let (line, column) =
        (region["startLine"].as_u64().expect("a line"), region["startColumn"].as_u64().expect("a column"));
    let shown = lines.lines().nth(usize::try_from(line).expect("small") - 1).expect("the line");
    assert_eq!(&shown[usize::try_from(column).expect("small") - 1..][..11], "notes.write");
    assert_eq!(region["endColumn"], column + 11);
    assert_eq!(run["results"][0]["ruleId"], "malformed");
    assert_eq!(run["results"][0]["locations"][0]["physicalLocation"]["region"]["startLine"], 4);
}

#[test]
fn junit_has_a_test_for_each_manifest_that_passes_and_each_finding_of_one_that_does_not() {
    let output = validate(&["examples/manifests/valid/agent.yaml", UNDECLARED, "--output", "junit"]);
    let report = text(&output.stdout);
    assert!(
        report.contains(r#"<testsuite name="hallmark" tests="2" skipped="0" errors="0" failures="1">"#),
        "{report}"
    );
    assert!(report.contains(r#"name="agents/release-notes 1.0.0" classname="examples/manifests/valid/agent.yaml""#));
    assert!(
        report.contains(r#"file="examples/manifests/invalid/agent-undeclared-capability.yaml" line="18""#),
        "{report}"
    );
    assert!(report.contains(r#"type="capabilities.undeclared""#), "{report}");
    assert!(report.contains("agent-undeclared-capability.yaml:18:32: [capabilities.undeclared]"), "{report}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn github_gets_an_annotation_for_each_finding() {
    let output = validate(&[UNDECLARED, "--output", "github"]);
    let told = text(&output.stdout);
    let lines: Vec<&str> = told.lines().collect();
    let expected = "::error file=examples/manifests/invalid/agent-undeclared-capability.yaml,line=18,endLine=18,col=32,\
                    endColumn=43,title=capabilities.undeclared::agents/example 1.0.0: ";
    assert!(lines[0].starts_with(expected), "{told}");
    assert_eq!(lines[1], "1 manifest: 1 failed");
}

#[test]
fn warnings_fail_a_call_that_says_so() {
    let folder = TempDir::new().expect("a folder");
    let agent = changed(folder.path(), "examples/manifests/valid/agent.yaml", "${AGENT_LOG_LEVEL:-WARNING}", "DEBUG");
    let output = validate(&[&agent]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
    assert!(text(&output.stdout).ends_with("1 manifest: 1 valid, 0 rejected (0 errors, 1 warning)\n"));
    let output = validate(&[&agent, "--fail-on", "warning"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).ends_with("1 manifest: 0 valid, 1 rejected (0 errors, 1 warning)\n"));
    let output = validate(&[&agent, "--fail-on", "warning", "--output", "junit"]);
    assert!(text(&output.stdout).contains(r#"type="rule.agent.debug""#), "{}", text(&output.stdout));
}

#[test]
fn fixes_change_the_file_and_nothing_beside_them() {
    let folder = TempDir::new().expect("a folder");
    let agent = changed(
        folder.path(),
        UNDECLARED,
        "capabilities: [notes.read]\n",
        "capabilities:\n  # What it reads.\n  - notes.read # all of them\n",
    );
    let before = fs::read_to_string(&agent).expect("the file");
    let output = validate(&[&agent, "--fix"]);
    let after = fs::read_to_string(&agent).expect("the file");
    assert_eq!(after, before.replace("# all of them\n", "# all of them\n  - notes.write\n"));
    assert_eq!(
        text(&output.stdout),
        format!(
            "--- {agent}\n+++ {agent}\n@@ -6,4 +6,5 @@\n   # What it reads.\n   - notes.read # all of them\n+  - notes.write\n \
             manifest:\n   apiVersion: v1\n1 fix done in 1 file\n\n1 manifest: 1 valid, 0 rejected (0 errors, 0 warnings)\n"
        )
    );
    assert_eq!((text(&output.stderr).as_str(), output.status.code()), ("", Some(0)));
    let again = validate(&[&agent, "--fix", "--output", "json"]);
    assert_eq!((again.status.code(), fs::read_to_string(&agent).expect("the file")), (Some(0), after));
}

#[test]
fn a_fix_that_cannot_be_done_safely_is_told() {
    let folder = TempDir::new().expect("a folder");
    let agent = changed(
        folder.path(),
        UNDECLARED,
        "capabilities: [notes.read]\n",
        "capabilities: &all [notes.read]\ntags: *all\n",
    );
    let before = fs::read_to_string(&agent).expect("the file");
    let output = validate(&[&agent, "--fix"]);
    let told = text(&output.stdout);
    let why = "the text cannot be edited without changing something else: change it by hand";
    assert!(
        told.contains(&format!("not fixed: {agent}: capabilities.undeclared at /manifest/spec/capabilities/1: {why}")),
        "{told}"
    );
    assert_eq!((output.status.code(), fs::read_to_string(&agent).expect("the file")), (Some(1), before));
}

#[test]
fn a_watch_judges_again_when_a_manifest_changes() {
    let folder = TempDir::new().expect("a folder");
    let agent = changed(folder.path(), UNDECLARED, "name: Example", "name: Example");
    let mut child = Command::new(env!("CARGO_BIN_EXE_hallmark"))
        .args(rules())
        .args([&agent, "--watch"])
        .current_dir(root())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut told = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let mut until_count = || {
        let count = told.find(|line| line.as_ref().is_ok_and(|line| line.starts_with("1 manifest: ")));
        count.expect("it goes on").expect("a line")
    };
    let mut waits = BufReader::new(child.stderr.take().expect("a pipe")).lines();
    assert_eq!(until_count(), "1 manifest: 0 valid, 1 rejected (1 error, 0 warnings)");
    assert_eq!(waits.next().expect("a line").expect("text"), "waiting for a change: end with Ctrl-C");
    changed(folder.path(), UNDECLARED, "[notes.read]\n", "[notes.read, notes.write]\n");
    assert_eq!(until_count(), "1 manifest: 1 valid, 0 rejected (0 errors, 0 warnings)");
    child.kill().expect("it is there");
    child.wait().expect("it ends");
}
