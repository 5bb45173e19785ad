//! What the rule plugins' own tests share: a finding as one text, and a README that is held to what the plugin says.

use hallmark_plugin::{Finding, Severity, Validator};
use serde_json::{Value, json};

/// A finding in one text: what a test compares.
///
/// # Panics
/// It has no help.
pub fn told(finding: &Finding) -> String {
    let help = finding.help.as_deref().expect("every finding has help");
    let fix = finding.fix.as_deref().map(|fix| format!(" [{fix}]")).unwrap_or_default();
    format!("{} {}: {}; {help}{fix}", finding.code, finding.path, finding.message)
}

/// The same of the only one that there is.
///
/// # Panics
/// There is none, or more.
pub fn only(findings: &[Finding]) -> String {
    let [finding] = findings else { panic!("one finding is expected: {findings:#?}") };
    told(finding)
}

/// The settings' schema says the defaults that apply, and the README's table has a row for every setting.
///
/// # Panics
/// They differ.
pub fn check_settings<P: Validator>(default: &impl serde::Serialize, readme: &str) {
    let schema: Value = serde_json::from_str(&P::description().settings_schema).expect("a JSON Schema");
    let mut defaults = serde_json::to_value(default).expect("settings");
    // They are read and never written.
    defaults["severities"] = json!({});
    let said = schema["properties"].as_object().expect("properties").iter();
    let said: Value = said.map(|(name, property)| (name.clone(), property["default"].clone())).collect();
    assert_eq!(said, defaults);
    for name in defaults.as_object().expect("settings").keys() {
        assert!(readme.contains(&format!("\n| `{name}` | ")), "README.md does not name the setting {name}");
    }
}

/// The README's table under "Finding codes" is the list of codes, and each of its examples gives the code that it
/// stands for, with the weight that it says. `judge` is given an example's settings and the rest of it.
///
/// # Panics
/// They differ.
pub fn check_codes<P: Validator>(readme: &str, judge: impl Fn(Value, Value) -> Vec<Finding>) {
    let (_, codes_part) = readme.split_once("## Finding codes").expect("the part on codes");
    let mut documented = Vec::new();
    for row in codes_part.lines().filter(|line| line.starts_with("| `")) {
        let columns: Vec<_> =
            row.trim_matches('|').split(" | ").map(|column| column.trim_matches([' ', '`'])).collect();
        let [code, weight, _, example] = columns[..] else { panic!("not a row of codes: {row}") };
        let mut example: Value = serde_json::from_str(example).expect("an example is JSON");
        let settings = example.as_object_mut().expect("an object").remove("settings").unwrap_or(Value::Null);
        let findings = judge(settings, example);
        let given = findings.iter().find(|finding| finding.code == code);
        let given = given.unwrap_or_else(|| panic!("the example does not give {code}: {findings:#?}"));
        let weighed = match given.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Info => "info",
        };
        assert_eq!(weighed, weight, "{code}");
        documented.push(code.to_owned());
    }
    let described: Vec<_> = P::description().finding_codes.into_iter().map(|code| code.code.into_owned()).collect();
    assert_eq!(documented, described);
}
