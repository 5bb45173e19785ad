//! Manifests that others published go through the gate, and each copy that is broken in one way is refused with
//! findings that name the place.

#![expect(clippy::print_stdout, reason = "a test that is skipped says so")]

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::command::{against, argument, results, text};
use crate::support::host::{Host, Options, root};

/// The corpus, where the machine has it.
fn corpus() -> Option<PathBuf> {
    let folder = root().join("../shared/corpus");
    if !folder.is_dir() {
        println!("skipped: there is no corpus at {}", folder.display());
        return None;
    }
    Some(folder)
}

/// The example's services module with the placeholders that the corpus's own descriptor declares.
fn services_module(corpus: &Path, into: &Path) -> Value {
    let example = root().join("examples/modules/services");
    let descriptor = fs::read_to_string(corpus.join("apphub/config.json")).expect("a descriptor");
    let descriptor: Value = serde_json::from_str(&descriptor).expect("JSON");
    let placeholders = descriptor["placeholders"].clone();
    let mut module: toml::Table =
        fs::read_to_string(example.join("module.toml")).expect("a module").parse().expect("TOML");
    module.insert("placeholders".to_owned(), toml::Value::try_from(&placeholders).expect("TOML"));
    for binding in module["bindings"].as_array_mut().expect("bindings") {
        let component = example.join(binding["component"].as_str().expect("a path"));
        binding["component"] = toml::Value::String(component.display().to_string());
    }
    let home = into.join("services");
    fs::create_dir_all(&home).expect("a folder");
    fs::write(home.join("module.toml"), module.to_string()).expect("a file");
    fs::copy(example.join("service.schema.json"), home.join("service.schema.json")).expect("a copy");
    placeholders
}

#[test]
fn agent_manifests_are_published() {
    let Some(corpus) = corpus() else { return };
    let host = Options::examples().start();
    let agents = corpus.join("valuecanvas/agents");
    let output = against(&host, &["publish", "--kind", "agents", argument(&agents)]);
    assert_eq!(output.status.code(), Some(0), "{}{}", text(&output.stdout), text(&output.stderr));
    for id in ["integrity-agent", "opportunity-agent", "orchestrator-agent", "target-agent"] {
        let entry = host.get(&format!("/api/agents/{id}"));
        assert_eq!((entry.status, &entry.body["version"]), (200, &json!("1.0.0")), "{entry:?}");
        assert_eq!(entry.body["manifest"]["kind"], "AgentManifest");
    }
}

#[test]
fn service_manifests_are_published_with_their_descriptors_defaults() {
    let Some(corpus) = corpus() else { return };
    let folder = TempDir::new().expect("a folder");
    let placeholders = services_module(&corpus, folder.path());
    let host = Options::new().modules(folder.path()).policies(&root().join("examples/policies")).start();
    for (file, id) in [("service-manifest.json", "observatory"), ("service-manifest-inline-tokens.json", "inline")] {
        let path = corpus.join("apphub").join(file);
        let flags = ["--kind", "services", "--id", id, "--version", "1.0.0", "--name", "Observatory"];
        let output = against(&host, &[&["publish"], &flags[..], &[argument(&path)]].concat());
        assert_eq!(output.status.code(), Some(0), "{file}: {}{}", text(&output.stdout), text(&output.stderr));
    }
    let entry = host.get("/api/services/observatory").body;
    let root_of = &entry["manifest"]["services"][0]["env"][3];
    assert_eq!(root_of["key"], "OBSERVATORY_DATA_ROOT");
    // The default holds braces of another template language: it is data and stays as it is.
    assert_eq!(root_of["value"], placeholders[0]["default"]);
    let decision = host.get(&format!("/api/decisions/{}", entry["decisionId"].as_str().expect("an id"))).body;
    let origins = decision["substituted"].as_array().expect("origins");
    let of_root = origins.iter().find(|origin| origin["path"] == "/manifest/services/0/env/3/value");
    assert_eq!(of_root.expect("its origin")["origins"], json!([{"name": "OBSERVATORY_DATA_ROOT", "source": "module"}]));
    assert_eq!(decision["placeholders"][0]["description"].as_str(), descriptor_text(&placeholders, &decision));
}

fn descriptor_text<'a>(placeholders: &'a Value, decision: &Value) -> Option<&'a str> {
    let name = &decision["placeholders"][0]["name"];
    placeholders.as_array()?.iter().find(|declared| declared["name"] == *name)?["description"].as_str()
}

/// Publishes a changed copy and gives the findings, or the place where it cannot be read.
fn refused(host: &Host, flags: &[&str], original: &Path, change: impl Fn(String) -> String) -> Vec<String> {
    let folder = TempDir::new().expect("a folder");
    let before = fs::read_to_string(original).expect("a manifest");
    let after = change(before.clone());
    assert_ne!(before, after, "the change does something");
    let copy = folder.path().join(original.file_name().expect("a file"));
    fs::write(&copy, after).expect("a copy");
    let output = against(host, &[&["publish", "--output", "json"], flags, &[argument(&copy)]].concat());
    assert_eq!(output.status.code(), Some(1), "{}{}", text(&output.stdout), text(&output.stderr));
    results(&output)
        .iter()
        .flat_map(|result| {
            let findings = result["refused"]["findings"].as_array().cloned().unwrap_or_default();
            let malformed = result["malformed"]["detail"].as_str().map(str::to_owned);
            let told = |finding: &Value| {
                format!("{} {}", finding["code"].as_str().unwrap_or("?"), finding["path"].as_str().unwrap_or("?"))
            };
            malformed.into_iter().chain(findings.iter().map(told).collect::<Vec<_>>())
        })
        .collect()
}

#[test]
fn broken_copies_of_an_agent_manifest_are_refused_with_their_place() {
    let Some(corpus) = corpus() else { return };
    let host = Options::examples().start();
    let original = corpus.join("valuecanvas/agents/target_agent.yaml");
    let agents = ["--kind", "agents"];
    let broken = |change: &dyn Fn(String) -> String| refused(&host, &agents, &original, change);
    assert_eq!(broken(&|text| text.replace("version: \"1.0.0\"", "version: \"1.0\"")), ["schema.version /version"]);
    assert_eq!(
        broken(&|text| text.replace("memory: \"1Gi\"", "memroy: \"1Gi\"")),
        ["schema.additional-properties /manifest/spec/runtime/memroy"]
    );
    assert_eq!(
        broken(&|text| text.replace("memory: \"1Gi\"", "memory: \"${TARGET_MEMORY}\"")),
        ["placeholder.missing /manifest/spec/runtime/memory"]
    );
    assert_eq!(
        broken(&|text| text.replace("version: \"^1.23\"", "version: \"*\"")),
        ["rule.agent.dependencies /manifest/spec/runtime/dependencies"]
    );
    assert_eq!(
        broken(&|text| text.replace("- publisher: [\"events.value.target.defined\"]", "- publisher: [\"*\"]")),
        ["permissions.wildcard /manifest/spec/permissions/roles/2/publisher/0"]
    );
    let twice = broken(&|text| text.replace("name: target-agent", "name: target-agent\n  name: other"));
    assert_eq!(twice.len(), 1, "{twice:?}");
    assert!(twice[0].contains("'name' stands twice in one object"), "{twice:?}");
    assert_eq!(host.get("/api/agents/target-agent").status, 404, "nothing of them was stored");
}

#[test]
fn broken_copies_of_a_service_manifest_are_refused_with_their_place() {
    let Some(corpus) = corpus() else { return };
    let folder = TempDir::new().expect("a folder");
    services_module(&corpus, folder.path());
    let host = Options::new().modules(folder.path()).policies(&root().join("examples/policies")).start();
    let original = corpus.join("apphub/service-manifest.json");
    let flags = ["--kind", "services", "--id", "observatory", "--version", "1.0.0", "--name", "Observatory"];
    let broken = |change: &dyn Fn(String) -> String| refused(&host, &flags, &original, change);
    assert_eq!(
        broken(&|text| text.replace("${OBSERVATORY_CONFIG_PATH}", "${OBSERVATORY_CONFIG}")),
        ["placeholder.missing /manifest/services/0/env/2/value"]
    );
    assert_eq!(
        broken(&|text| text.replace("observatory-admin\"", "observatory-dashboard\"")),
        ["slug.duplicate /manifest/services/1/slug"]
    );
    assert_eq!(
        broken(&|text| text.replace("http://127.0.0.1:4322", "http://observatory.example")),
        ["rule.service.transport /manifest/services"]
    );
    assert_eq!(
        broken(&|text| text.replace("\"healthEndpoint\": \"/healthz\"", "\"healthEndpiont\": \"/healthz\"")),
        ["schema.additional-properties /manifest/services/0/healthEndpiont"]
    );
    assert_eq!(host.get("/api/services/observatory").status, 404, "nothing of them was stored");
}
