//! A first plugin: it limits how many tags an entry carries.

use hallmark_plugin::{Description, Finding, Submission, Validator};

/// What a module sets.
#[derive(serde::Deserialize)]
pub struct Settings {
    tags_max: usize,
}

/// The plugin, configured.
pub struct FewTags {
    tags_max: usize,
}

impl Validator for FewTags {
    type Settings = Settings;

    fn description() -> Description {
        Description::new("few-tags", "1.0.0", "Limits how many tags an entry carries.")
            .settings_schema(
                r#"{"type": "object", "required": ["tags_max"], "additionalProperties": false,
                    "properties": {"tags_max": {"type": "integer", "minimum": 0}}}"#,
            )
            .code("tags.count", "There are more tags than allowed.", "Keep the tags that people search for.")
    }

    fn configure(settings: Settings) -> Result<Self, Vec<Finding>> {
        Ok(Self { tags_max: settings.tags_max })
    }

    fn validate(&self, submission: &Submission) -> Vec<Finding> {
        let tags: Vec<String> = match submission.get("/tags") {
            Ok(tags) => tags.unwrap_or_default(),
            Err(mismatch) => return vec![mismatch.into()],
        };
        if tags.len() <= self.tags_max {
            return Vec::new();
        }
        vec![
            Finding::error("tags.count")
                .at("/tags")
                .message(format!("there are {} tags, {} are allowed", tags.len(), self.tags_max))
                .help(format!("keep at most {}", self.tags_max)),
        ]
    }
}

hallmark_plugin::export_validator!(FewTags);

#[cfg(test)]
mod tests {
    use hallmark_plugin::serde_json::json;
    use hallmark_plugin::testing::Bench;

    use super::*;

    fn findings(tags: &[&str]) -> Vec<Finding> {
        Bench::new()
            .settings(json!({"tags_max": 2}))
            .submission(json!({"agentId": "greeter", "tags": tags}))
            .validate::<FewTags>()
    }

    #[test]
    fn allows_as_many_tags_as_it_is_set_to() {
        assert!(findings(&["a", "b"]).is_empty());
    }

    #[test]
    fn refuses_one_tag_more() {
        let [finding] = &findings(&["a", "b", "c"])[..] else { panic!("one finding") };
        assert_eq!(finding.path, "/tags");
        assert_eq!(finding.message, "there are 3 tags, 2 are allowed");
    }
}
