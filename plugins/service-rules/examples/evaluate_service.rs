//! What one evaluation of a manifest of about 2 KB costs on the machine itself:
//! `cargo run --release -p service-rules --example evaluate_service`.

use std::time::Instant;

use hallmark_plugin::Validator;
use hallmark_plugin::serde_json::{Value, json};
use hallmark_plugin::testing::Bench;
use service_rules::ServiceRules;

#[expect(clippy::print_stdout, reason = "the figure is the program's purpose")]
fn main() {
    const EVALUATIONS: u32 = 20_000;
    let services: Vec<Value> = (0..7)
        .map(|number| {
            json!({
                "slug": format!("service-{number}"),
                "displayName": format!("Service {number}"),
                "baseUrl": format!("http://127.0.0.1:{}", 4300 + number),
                "healthEndpoint": "/healthz",
                "devCommand": "npm run dev -- --host 0.0.0.0",
                "dependsOn": if number > 0 { vec![format!("service-{}", number - 1)] } else { Vec::new() },
                "env": [{"key": "PORT", "value": (4300 + number).to_string()}, {"key": "API", "fromService": "service-0"}],
            })
        })
        .map(|mut service| {
            if service["slug"] == "service-0" {
                service["env"] = json!([{"key": "HOST", "value": "0.0.0.0"}]);
            }
            service
        })
        .collect();
    let submission =
        json!({"serviceId": "example", "name": "Example", "version": "1.0.0", "manifest": {"services": services}});
    let size = submission.to_string().len();
    let bench = Bench::new().submission(submission);
    let plugin = bench.configure_validator::<ServiceRules>().expect("the default settings");
    let started = Instant::now();
    for _ in 0..EVALUATIONS {
        let findings = bench.run(|submission| plugin.validate(submission));
        assert!(findings.is_empty(), "{findings:#?}");
    }
    println!("{:?} an evaluation of {size} bytes", started.elapsed() / EVALUATIONS);
}
