//! A guest whose self-test fails, once in each way. It never gets as far as a binding.

use hallmark_plugin::serde_json::json;
use hallmark_plugin::{Description, Example, Finding, Policy, Submission, serde};

#[derive(serde::Deserialize)]
#[serde(crate = "hallmark_plugin::serde", deny_unknown_fields)]
struct Settings {
    #[serde(default)]
    panics: bool,
}

struct Mistaken {
    panics: bool,
}

impl Policy for Mistaken {
    type Settings = Settings;

    fn description() -> Description {
        Description::new("mistaken", env!("CARGO_PKG_VERSION"), "Finds fault with every name.")
            .settings_schema(r#"{"type": "object", "properties": {"panics": {"type": "boolean"}}}"#)
            .code("name.any", "There is a name.", "There is no help.")
    }

    fn configure(settings: Settings) -> Result<Self, Vec<Finding>> {
        Ok(Self { panics: settings.panics })
    }

    fn decide(&self, submission: &Submission) -> Vec<Finding> {
        assert!(!self.panics, "as it was told to");
        let named = submission.text("/name").is_some();
        named.then(|| Finding::error("name.any").at("/name").message("there is a name")).into_iter().collect()
    }
}

fn examples() -> Vec<Example> {
    vec![
        Example::new("right").finds("name.any", "/name"),
        Example::new("nothing is expected"),
        Example::new("another path is expected").finds("name.any", ""),
        Example::new("twice is expected").finds("name.any", "/name").finds("name.any", "/name"),
        Example::new("no name").submission(json!({})).finds("name.any", "/name"),
        Example::new("panics").settings(json!({"panics": true})),
        Example::new("wrong settings").settings(json!({"panics": 7})),
    ]
}

hallmark_plugin::export_policy!(Mistaken, examples = examples);
