//! The command line as people and programs meet it: what it writes, and its exit codes. Judging needs no server here.

use std::path::Path;
use std::process::{Command, Output};

use hallmark::names::Digest;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::command::{PATIENT, argument, hallmark, text};
use crate::support::host::{component, root};

/// `validate` with the examples' rules and a cache that all tests of this file share.
fn validate(arguments: &[&str]) -> Output {
    let cache = root().join("target/tmp/cli-cache");
    let cache = cache.to_str().expect("a path in UTF-8");
    let rules = ["validate", "--modules", "examples/modules", "--policies", "examples/policies", "--cache", cache];
    hallmark(&[&rules, &PATIENT[..], arguments].concat())
}

/// Each finding of a JSON report as `severity code path`.
fn findings(output: &Output) -> Vec<String> {
    let document: Value = serde_json::from_slice(&output.stdout).expect("a JSON report");
    let results = document["results"].as_array().expect("results").iter();
    let malformed = |result: &Value| result["malformed"]["detail"].as_str().map(|detail| format!("malformed {detail}"));
    let told = |finding: &Value| {
        let word = |field: &str| finding[field].as_str().unwrap_or_default().to_owned();
        format!("{} {} {}", word("severity"), word("code"), word("path"))
    };
    results
        .flat_map(|result| {
            let findings = result["report"]["findings"].as_array().cloned().unwrap_or_default();
            malformed(result).into_iter().chain(findings.iter().map(told).collect::<Vec<_>>())
        })
        .collect()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let mut names: Vec<_> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn every_valid_example_is_valid() {
    let output = validate(&["examples/manifests/valid"]);
    assert_eq!(text(&output.stdout), "8 manifests: 8 valid, 0 rejected (0 errors, 0 warnings)\n");
    assert_eq!((text(&output.stderr).as_str(), output.status.code()), ("", Some(0)));
}

/// Every invalid example with everything that is said of it.
const INVALID: &[(&str, &[&str])] = &[
    ("agent-bad-id.yaml", &["error schema.id /agentId"]),
    ("agent-bad-version.yaml", &["error schema.version /version"]),
    (
        "agent-duplicate-key.yaml",
        &["malformed 'name' stands twice in one object: remove one of them at line 4, column 1"],
    ),
    ("agent-missing-placeholder.yaml", &["error placeholder.missing /manifest/spec/runtime/cpu"]),
    ("agent-no-readiness-probe.yaml", &["error rule.agent.health /manifest/spec"]),
    ("agent-unbound-dependency.yaml", &["error rule.agent.dependencies /manifest/spec/runtime/dependencies"]),
    ("agent-undeclared-capability.yaml", &["error capabilities.undeclared /manifest/spec/capabilities/1"]),
    ("agent-unknown-field.yaml", &["error schema.additional-properties /manifest/spec/runtime/memroy"]),
    ("agent-unknown-service.yaml", &["error services.unknown /manifest/spec/services/0"]),
    (
        "service-bad-url.yaml",
        &["error base-url.form /manifest/services/0/baseUrl", "error rule.service.transport /manifest/services"],
    ),
    ("service-conflicting-defaults.yaml", &["error placeholder.conflict /manifest/services/0/env/0/value"]),
    ("service-cycle.yaml", &["error dependencies.cycle /manifest/services/1/dependsOn/0"]),
    ("service-duplicate-slug.yaml", &["error slug.duplicate /manifest/services/1/slug"]),
    ("service-in-clear.yaml", &["error rule.service.transport /manifest/services"]),
    ("service-misplaced-placeholder.yaml", &["error placeholders.unresolved /manifest/services/0/displayName"]),
    ("service-port-claimed-twice.yaml", &["error ports.duplicate /manifest/services/1/baseUrl"]),
    ("service-secret-in-clear.yaml", &["error rule.service.secrets /manifest/services"]),
    ("service-unknown-dependency.yaml", &["error dependencies.unknown /manifest/services/0/dependsOn/0"]),
    ("template-blank.yaml", &["error content.blank /content"]),
    ("template-duplicate-parameter.yaml", &["error parameters.duplicate /content/parameters/1"]),
    ("template-extends-itself.yaml", &["error references.self /content/extends"]),
    ("template-file-outside.yaml", &["error files.path /content/files/0/path"]),
    ("template-in-clear.yaml", &["error urls.in-clear /content"]),
    ("template-member-of-text.yaml", &["error placeholders.member /content/body"]),
    ("template-required-default.yaml", &["error parameters.required /content/parameters/0/required"]),
    ("template-secret-in-clear.yaml", &["error secrets.in-clear /content"]),
    ("template-section.yaml", &["error placeholders.form /content/body", "error placeholders.form /content/body"]),
    ("template-unclosed-placeholder.yaml", &["error placeholders.unclosed /content/body"]),
    ("template-undeclared-parameter.yaml", &["error placeholders.undeclared /content"]),
    ("template-unknown-category.yaml", &["error category.unknown /category"]),
    ("template-unknown-field.yaml", &["error schema.additional-properties /content/paramters"]),
    ("template-unknown-include.yaml", &["error references.unknown /content/includes/0"]),
    ("template-wrong-default.yaml", &["error parameters.default /content/parameters/0/default"]),
];

#[test]
fn every_invalid_example_is_refused_for_what_is_wrong_with_it() {
    let folder = root().join("examples/manifests/invalid");
    let pinned: Vec<_> = INVALID.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names(&folder), pinned, "each invalid example has its findings pinned, and each pin its example");
    let mut wrong = Vec::new();
    for (name, expected) in INVALID {
        let output = validate(&[&format!("examples/manifests/invalid/{name}"), "--output", "json"]);
        let found = findings(&output);
        if found != *expected || output.status.code() != Some(1) {
            wrong.push((name, output.status.code(), found, text(&output.stderr)));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn findings_stand_beside_the_lines_they_are_about() {
    let output = validate(&["examples/manifests/invalid/agent-unknown-field.yaml"]);
    assert_eq!(
        text(&output.stdout),
        "error[schema.additional-properties]: the field 'memroy' is not known here\n  \
         --> examples/manifests/invalid/agent-unknown-field.yaml:17:7\n   |\n\
         17 |       memroy: 512Mi\n   |       ^^^^^^\n   |\n   \
         = note: by hallmark (schema), at /manifest/spec/runtime/memroy\n   = help: did you mean 'memory'?\n\n\
         1 manifest: 0 valid, 1 rejected (1 error, 0 warnings)\n"
    );
    assert_eq!(output.status.code(), Some(1));
    let output = validate(&["examples/manifests/invalid/agent-duplicate-key.yaml"]);
    assert_eq!(
        text(&output.stdout),
        "error[malformed]: 'name' stands twice in one object: remove one of them\n \
         --> examples/manifests/invalid/agent-duplicate-key.yaml:4:1\n  |\n4 | name: Sample\n  | ^\n\n\
         1 manifest: 0 valid, 0 rejected, 1 unreadable (1 error, 0 warnings)\n"
    );
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn variables_reach_the_placeholders_and_secrets_do_not_show() {
    let example = "examples/manifests/invalid/agent-missing-placeholder.yaml";
    let output = validate(&[example, "--var", "AGENT_CPU=500m", "--output", "json"]);
    assert_eq!((findings(&output).as_slice(), output.status.code()), (&[][..], Some(0)));
    let output = validate(&[example, "--secret-var", "AGENT_CPU=hush-hush", "--output", "json"]);
    let report = text(&output.stdout);
    assert!(!report.contains("hush-hush") && report.contains("__secret_AGENT_CPU__"), "{report}");
}

#[test]
fn manifests_beside_and_published_answer_look_ups() {
    let folder = TempDir::new().expect("a folder");
    let service = std::fs::read_to_string(root().join("examples/manifests/valid/service.yaml")).expect("the example");
    let service = service.replace("serviceId: weather", "serviceId: nowhere");
    std::fs::write(folder.path().join("service.yaml"), service).expect("a file");
    let folder = folder.path().to_str().expect("a path in UTF-8");
    let agent = "examples/manifests/invalid/agent-unknown-service.yaml";
    assert_eq!(validate(&[agent, "--registry", folder]).status.code(), Some(0));
    assert_eq!(validate(&[agent, folder]).status.code(), Some(0));
    assert_eq!(validate(&[agent]).status.code(), Some(1));
}

#[test]
fn exit_codes_tell_usage_from_what_could_not_run() {
    let nothing = hallmark(&["validate"]);
    assert_eq!(nothing.status.code(), Some(2));
    for (arguments, expected, code) in [
        (
            &["validate", "missing.yaml", "--modules", "examples/modules"][..],
            "error: missing.yaml: no such file or folder\n",
            2,
        ),
        (&["validate", "a.yaml", "--modules", "examples"], "examples: no module.toml here or one folder below\n", 1),
        (
            &["validate", "a.yaml", "--modules", "examples/modules", "--limit", "plugin_dedline_ms=1"],
            "error: --limit: unknown name 'plugin_dedline_ms': did you mean 'plugin_deadline_ms'?\n",
            2,
        ),
        (
            &["list", "agents", "--server", "http://127.0.0.1:1", "--token", "hm_1"],
            "error: no answer from http://127.0.0.1:1: does 'hallmark serve' run there? (--server): io: Connection \
             refused (os error 111)\n",
            3,
        ),
        (&["plugin", "check", "missing.wasm"], "error: missing.wasm: No such file or directory (os error 2)\n", 2),
        (
            &["plugin", "build", "examples/modules"],
            "error: examples/modules is not a plugin's crate: it has no Cargo.toml\n",
            3,
        ),
    ] {
        let output = hallmark(arguments);
        assert_eq!((text(&output.stderr).as_str(), output.status.code()), (expected, Some(code)), "{arguments:?}");
    }
    let check = hallmark(&["plugin", "check", "examples/policies/rules.yaml"]);
    assert_eq!(check.status.code(), Some(1));
    assert!(text(&check.stdout).starts_with("examples/policies/rules.yaml: not a WebAssembly component"));
}

#[test]
fn refused_settings_are_told_with_what_to_look_at() {
    let folder = TempDir::new().expect("a folder");
    let component = root().join("plugins/target/components/placeholders.wasm");
    let module = format!(
        "[module]\nname = \"notes\"\n[[kinds]]\nname = \"notes\"\nsingular = \"note\"\nid_field = \"noteId\"\n\
         schema = \"note.json\"\n[[bindings]]\nname = \"fill\"\nstage = \"resolve\"\ncomponent = {component:?}\n\
         settings = {{ pathz = [] }}\n"
    );
    std::fs::write(folder.path().join("module.toml"), module).expect("a file");
    std::fs::write(folder.path().join("note.json"), "{}").expect("a file");
    let note = folder.path().join("note.yaml");
    std::fs::write(&note, "{noteId: a, name: A, version: 1.0.0, manifest: {}}").expect("a file");
    let (modules, note) = (folder.path().display().to_string(), note.display().to_string());
    let output = hallmark(&["validate", "--modules", &modules, "--cache", &modules, &note]);
    assert_eq!(
        text(&output.stderr),
        "error: the settings of the binding 'fill' are refused:\n  \
         /pathz: the setting 'pathz' is not known here\n    \
         help: did you mean 'paths'?\n"
    );
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_check_says_what_a_component_is_and_needs() {
    let output = hallmark(&["plugin", "check", argument(&component("agent-rules"))]);
    let told = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{told}{}", text(&output.stderr));
    for line in [
        "agent-rules 0.1.0: Checks an agent's id, version, capabilities, permissions, tags and references to services.",
        "contract   hallmark:plugin@0.1.0",
        "stages     validate",
        "snapshot   yes: it is configured once, and each evaluation starts from there",
        "imports",
        "  hallmark:plugin/submission@0.1.0",
        "exports",
        "  configure",
        "  hallmark:plugin/validator-stage@0.1.0",
        "finding codes",
    ] {
        assert!(told.lines().any(|shown| shown == line), "{line} is missing in\n{told}");
    }
}

#[test]
fn a_build_makes_a_component_that_can_be_put_to_work() {
    // Where the other plugins are built, what they share with this one is built already.
    let target = root().join("plugins/target");
    let output = Command::new(env!("CARGO_BIN_EXE_hallmark"))
        .args(["plugin", "build", "examples/plugins/few-tags", "--output", "json"])
        .env("CARGO_TARGET_DIR", &target)
        .current_dir(root())
        .output()
        .expect("the binary runs");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let built: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let path = target.join("components/few-tags.wasm");
    let bytes = std::fs::read(&path).expect("a component");
    let expected = json!([
        {"name": "few-tags", "path": path, "digest": Digest::of(&bytes), "sizeBytes": bytes.len()},
    ]);
    assert_eq!(built, expected);
    let check = hallmark(&["plugin", "check", argument(&path)]);
    assert_eq!(check.status.code(), Some(0), "{}", text(&check.stdout));
    assert!(text(&check.stdout).starts_with("few-tags 1.0.0: "), "{}", text(&check.stdout));
}

#[test]
fn migrate_brings_a_database_forward_once() {
    let folder = TempDir::new().expect("a folder");
    let address = format!("sqlite:{}", folder.path().join("registry.db").display());
    let told = || {
        let output = hallmark(&["migrate", "--database", &address]);
        (text(&output.stdout), text(&output.stderr), output.status.code())
    };
    let (applied, error, code) = told();
    // SQLite has no second step and no third: they are PostgreSQL's.
    assert!(applied.starts_with("applied 1, 4, ") && applied.lines().count() == 1, "{applied}");
    assert_eq!((error.as_str(), code), ("", Some(0)));
    assert_eq!(told(), ("the schema is up to date: nothing was changed\n".to_owned(), String::new(), Some(0)));
}

#[test]
fn migrate_takes_steps_back_as_far_as_it_is_told() {
    let folder = TempDir::new().expect("a folder");
    let address = format!("sqlite:{}", folder.path().join("registry.db").display());
    let told = |more: &[&str]| {
        let output = hallmark(&[&["migrate", "--database", &address], more].concat());
        (text(&output.stdout) + &text(&output.stderr), output.status.code())
    };
    let refused = "error: the database has no tables yet: run `hallmark migrate --database URL`\n".to_owned();
    assert_eq!(told(&["--revert-to", "20"]), (refused, Some(3)));
    let applied = told(&[]).0.replace("applied ", "");
    let above = |number: i64| -> Vec<String> {
        let numbers = applied.trim().split(", ").filter(|applied| applied.parse().is_ok_and(|it: i64| it > number));
        numbers.map(str::to_owned).collect()
    };
    let back = |number: i64| above(number).into_iter().rev().collect::<Vec<_>>().join(", ");
    assert_eq!(told(&["--revert-to", "26"]), (format!("took back {}\n", back(26)), Some(0)));
    let nothing = "the schema has no step above 26: nothing was changed\n".to_owned();
    assert_eq!(told(&["--revert-to", "26"]), (nothing, Some(0)));
    // A schema that is behind is taken back further.
    assert_eq!(told(&["--revert-to", "24"]), ("took back 26\n".to_owned(), Some(0)));
    let (unknown, code) = told(&["--revert-to", "19"]);
    assert!(unknown.starts_with("error: there is no migration 19: name 0, or one of those up to "), "{unknown}");
    assert_eq!(code, Some(3));
    assert_eq!(told(&[]), (format!("applied {}\n", above(24).join(", ")), Some(0)));
    assert_eq!(told(&["--revert-to", "0"]).1, Some(0));
}
