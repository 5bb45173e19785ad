//! What one evaluation of a manifest of about 2 KB costs on the machine itself:
//! `cargo run --release -p agent-rules --example evaluate_agent`.

use std::time::Instant;

use agent_rules::AgentRules;
use hallmark_plugin::Validator;
use hallmark_plugin::serde_json::{Value, json};
use hallmark_plugin::testing::Bench;

#[expect(clippy::print_stdout, reason = "the figure is the program's purpose")]
fn main() {
    const EVALUATIONS: u32 = 20_000;
    let tools: Vec<Value> = (0..12)
        .map(|number| json!({"name": format!("tool-{number}"), "capability": format!("skill-{}", number % 4), "timeoutSeconds": 30}))
        .collect();
    let submission = json!({
        "agentId": "example", "name": "Example", "version": "1.0.0",
        "capabilities": ["skill-0", "skill-1", "skill-2", "skill-3"],
        "tags": ["sales", "discovery", "stage:opportunity"],
        "manifest": {"apiVersion": "v1", "spec": {
            "tools": tools,
            "permissions": {"roles": [{"reader": ["value.models", "value.ontology"]}, {"publisher": ["events.created"]}]},
            "services": ["billing"],
            "schema": {"description": "x".repeat(600)},
        }},
    });
    let size = submission.to_string().len();
    let bench = Bench::new().submission(submission).published("services", "billing", "1.0.0", json!({}));
    let plugin = bench.configure_validator::<AgentRules>().expect("the default settings");
    let started = Instant::now();
    for _ in 0..EVALUATIONS {
        let findings = bench.run(|submission| plugin.validate(submission));
        assert!(findings.is_empty(), "{findings:#?}");
    }
    println!("{:?} an evaluation of {size} bytes", started.elapsed() / EVALUATIONS);
}
