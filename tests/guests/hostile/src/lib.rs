//! A validator that breaks what its settings name.

mod damage;

use damage::{CODES, Settings};
use hallmark_plugin::{Description, Finding, Submission, Validator};

/// The guest.
pub struct Hostile(Settings);

impl Validator for Hostile {
    type Settings = Settings;

    fn description() -> Description {
        let description =
            Description::new("hostile", env!("CARGO_PKG_VERSION"), "Breaks the limit that its settings name.")
                .settings_schema(include_str!("settings.schema.json"));
        CODES.into_iter().fold(description, |description, (code, summary)| {
            description.code(code, summary, "Nothing to mend: the plugin is a test.")
        })
    }

    fn configure(settings: Settings) -> Result<Self, Vec<Finding>> {
        damage::configure(settings).map(Self)
    }

    fn validate(&self, submission: &Submission) -> Vec<Finding> {
        damage::evaluate(&self.0, submission)
    }
}

hallmark_plugin::export_validator!(Hostile);

#[cfg(test)]
mod tests {
    use hallmark_plugin::serde_json::json;
    use hallmark_plugin::testing::Bench;

    use super::*;

    #[test]
    fn behaves_where_it_is_not_told_to_break() {
        assert!(Bench::new().validate::<Hostile>().is_empty());
        let findings = Bench::new().settings(json!({"break": "findings", "amount": 3})).validate::<Hostile>();
        assert_eq!(findings.len(), 3);
    }

    #[test]
    fn reads_parses_and_applies_rules_where_it_behaves() {
        for behaved in [json!({"break": "fields", "amount": 3}), json!({"break": "parse"})] {
            assert!(Bench::new().settings(behaved).validate::<Hostile>().is_empty());
        }
        let rules = json!([
            {"id": "one", "forbidden": "Example", "message": "no example"},
            {"id": "two", "forbidden": "Other", "message": "no other"},
        ]);
        let findings = Bench::new().settings(json!({"break": "rules", "rules": rules})).validate::<Hostile>();
        assert_eq!(findings.iter().map(|finding| finding.message.as_str()).collect::<Vec<_>>(), ["one: no example"]);
    }

    #[test]
    fn counts_rules_that_it_declares_independent() {
        let rule = |name: &str| json!({"id": "one", "forbidden": name, "message": "no"});
        for (most, name, found) in [(2, "Other", 0), (1, "Other", 1), (1, "Example", 0)] {
            let rules = json!([rule("Another"), rule(name)]);
            let together = json!({"break": "rules-together", "amount": most, "rules": rules});
            assert_eq!(Bench::new().settings(together).validate::<Hostile>().len(), found, "{most} {name}");
        }
    }

    #[test]
    fn refuses_its_settings_on_demand() {
        let bench = Bench::new().settings(json!({"break": "configure-refuse"}));
        let findings = bench.configure_validator::<Hostile>().map(|_| ()).expect_err("asked to be refused");
        assert_eq!(findings[0].path, "/break");
    }
}
