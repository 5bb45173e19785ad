//! Real agent manifests are publishable with the default settings. They are read in place, and skipped where they are not.

use std::path::Path;

use agent_rules::AgentRules;
use hallmark_plugin::serde_json::{Value, json};
use hallmark_plugin::testing::Bench;
use hallmark_plugin::{Finding, Severity};

fn check(file: &Path) -> Vec<Finding> {
    let text = std::fs::read_to_string(file).expect("the manifest is readable");
    let manifest: Value = serde_yaml_ng::from_str(&text).expect("the manifest is YAML");
    let id = manifest["metadata"]["name"].as_str().expect("a name").to_owned();
    let version = manifest["metadata"]["version"].as_str().expect("a version").to_owned();
    let submission = json!({"agentId": id, "name": id, "version": version, "manifest": manifest});
    Bench::new()
        .subject(|subject| (subject.id, subject.version) = (id, version))
        .submission(submission)
        .validate::<AgentRules>()
}

#[test]
fn real_agents_are_publishable() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus/valuecanvas/agents");
    if !folder.is_dir() {
        println!("skipped: there is no corpus at {}", folder.display());
        return;
    }
    let mut warned = Vec::new();
    let mut count = 0;
    for entry in folder.read_dir().expect("the folder is readable") {
        count += 1;
        for finding in check(&entry.expect("an entry").path()) {
            assert_eq!(finding.severity, Severity::Warning, "{finding:#?}");
            warned.push((finding.code, finding.path));
        }
    }
    assert_eq!(count, 4);
    let scoped = |path: &str| ("permissions.wildcard-scoped".to_owned(), path.to_owned());
    assert_eq!(
        warned,
        [
            scoped("/manifest/spec/permissions/roles/1/publisher/0"),
            scoped("/manifest/spec/permissions/roles/2/controller/0"),
        ]
    );
}
