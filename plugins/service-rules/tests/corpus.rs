//! Real service manifests pass once their placeholders are resolved. They are read in place, and skipped where they
//! are not.

use std::path::{Path, PathBuf};

use hallmark_plugin::Finding;
use hallmark_plugin::serde_json::{Value, from_str, json};
use hallmark_plugin::testing::Bench;
use service_rules::ServiceRules;

#[expect(clippy::print_stdout, reason = "a test that is skipped says so")]
fn corpus(name: &str) -> Option<PathBuf> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus/apphub").join(name);
    if !file.is_file() {
        println!("skipped: there is no corpus at {}", file.display());
        return None;
    }
    Some(file)
}

fn check(text: &str) -> Vec<Finding> {
    let document: Value = from_str(text).expect("the manifest is JSON");
    Bench::new()
        .submission(json!({"serviceId": "observatory", "name": "Observatory", "version": "1.0.0"}))
        .document(document)
        .validate::<ServiceRules>()
}

#[test]
fn a_real_manifest_without_placeholders_passes() {
    let Some(file) = corpus("service-manifest-inline-tokens.json") else { return };
    assert_eq!(check(&std::fs::read_to_string(file).expect("the manifest is readable")), []);
}

#[test]
fn a_real_manifest_passes_once_its_placeholders_are_resolved() {
    let Some(file) = corpus("service-manifest.json") else { return };
    let text = std::fs::read_to_string(file).expect("the manifest is readable");
    let left: Vec<_> = check(&text).into_iter().map(|finding| (finding.code, finding.path)).collect();
    let unresolved = |path: &str| ("placeholders.unresolved".to_owned(), path.to_owned());
    assert_eq!(
        left,
        [
            unresolved("/manifest/services/0/env/2/value"),
            unresolved("/manifest/services/0/env/3/value"),
            unresolved("/manifest/services/1/env/3/value"),
        ]
    );
    let resolved = text
        .replace("${OBSERVATORY_CONFIG_PATH}", "/data/config.json")
        .replace("${OBSERVATORY_DATA_ROOT}", "/data")
        .replace("${APPHUB_OPERATOR_TOKEN:-}", "");
    assert_eq!(check(&resolved), []);
}
