//! The three traits, one for each stage, and the way from settings text to a configured plugin.

use serde::de::DeserializeOwned;

use crate::{Description, Finding, Resolution, Submission, Variable, pointer};

/// A plugin of the `resolve` stage: it says what stands in the place of placeholders.
pub trait Resolver: Sized + 'static {
    /// What a binding sets; [`NoSettings`](crate::NoSettings) for none.
    type Settings: DeserializeOwned;

    /// What the plugin says of itself. It knows no settings.
    fn description() -> Description;

    /// Makes the plugin from its settings, once; what it holds is the start of every evaluation.
    ///
    /// # Errors
    /// What is wrong with the settings: [`Finding::setting`] points into them.
    fn configure(settings: Self::Settings) -> Result<Self, Vec<Finding>>;

    /// Resolves one submission. Every resolver sees the submission as it was sent; the host puts their substitutions
    /// together, and two at one place are refused. `variables` are sorted by name, each at most once; the value of a
    /// secret is a mask.
    fn resolve(&self, submission: &Submission, variables: &[Variable]) -> Resolution;
}

/// A plugin of the `validate` stage: it checks a resolved submission for the module that owns its kind.
pub trait Validator: Sized + 'static {
    /// What a binding sets; [`NoSettings`](crate::NoSettings) for none.
    type Settings: DeserializeOwned;

    /// What the plugin says of itself. It knows no settings.
    fn description() -> Description;

    /// Makes the plugin from its settings, once; what it holds is the start of every evaluation.
    ///
    /// # Errors
    /// What is wrong with the settings: [`Finding::setting`] points into them.
    fn configure(settings: Self::Settings) -> Result<Self, Vec<Finding>>;

    /// Checks one submission. Give every finding at once: the publisher mends them all in one go.
    fn validate(&self, submission: &Submission) -> Vec<Finding>;
}

/// A plugin of the `policy` stage: it checks a resolved submission against the rules of the tenant.
pub trait Policy: Sized + 'static {
    /// What a binding sets; [`NoSettings`](crate::NoSettings) for none.
    type Settings: DeserializeOwned;

    /// What the plugin says of itself. It knows no settings.
    fn description() -> Description;

    /// Makes the plugin from its settings, once; what it holds is the start of every evaluation.
    ///
    /// # Errors
    /// What is wrong with the settings: [`Finding::setting`] points into them.
    fn configure(settings: Self::Settings) -> Result<Self, Vec<Finding>>;

    /// Decides on one submission. An error rejects it; give every finding at once.
    fn decide(&self, submission: &Submission) -> Vec<Finding>;
}

/// Reads the settings and makes the plugin.
#[doc(hidden)]
pub fn configure_resolver<P: Resolver>(settings: &str) -> Result<P, Vec<Finding>> {
    P::configure(read_settings(settings)?)
}

/// Reads the settings and makes the plugin.
#[doc(hidden)]
pub fn configure_validator<P: Validator>(settings: &str) -> Result<P, Vec<Finding>> {
    P::configure(read_settings(settings)?)
}

/// Reads the settings and makes the plugin.
#[doc(hidden)]
pub fn configure_policy<P: Policy>(settings: &str) -> Result<P, Vec<Finding>> {
    P::configure(read_settings(settings)?)
}

/// Settings that are absent are written `null` by the host, and mean an empty object: so defaults apply.
fn read_settings<S: DeserializeOwned>(text: &str) -> Result<S, Vec<Finding>> {
    let text = match text.trim() {
        "" | "null" => "{}",
        given => given,
    };
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let settings =
        serde_path_to_error::deserialize(&mut deserializer).map_err(|error| vec![unreadable_setting(&error)])?;
    deserializer.end().map_err(|error| vec![Finding::setting("").message(error.to_string())])?;
    Ok(settings)
}

fn unreadable_setting(error: &serde_path_to_error::Error<serde_json::Error>) -> Finding {
    use serde_path_to_error::Segment;
    let path = error.path().iter().fold(String::new(), |path, segment| match segment {
        Segment::Seq { index } => pointer::child(&path, index),
        Segment::Map { key } => pointer::child(&path, key),
        Segment::Enum { .. } | Segment::Unknown => path,
    });
    Finding::setting(path).message(without_position(&error.inner().to_string()))
}

/// serde_json adds where in the text it stopped, which a pointer says better.
pub(crate) fn without_position(message: &str) -> &str {
    message.rfind(" at line ").map_or(message, |end| &message[..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NoSettings;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Settings {
        #[serde(default)]
        rules: Vec<Rule>,
    }

    #[derive(Debug, serde::Deserialize)]
    struct Rule {
        #[serde(rename = "a/b")]
        limit: u32,
    }

    #[test]
    fn names_the_place_of_a_setting_that_cannot_be_read() {
        let findings = read_settings::<Settings>(r#"{"rules": [{"a/b": 1}, {"a/b": "two"}]}"#).expect_err("a text");
        assert_eq!(findings[0].code, "settings.invalid");
        assert_eq!(findings[0].path, "/rules/1/a~1b");
        assert_eq!(findings[0].message, "invalid type: string \"two\", expected u32");

        let findings = read_settings::<Settings>(r#"{"rulez": []}"#).expect_err("an unknown field");
        assert_eq!(findings[0].message, "unknown field `rulez`, expected `rules`");
    }

    #[test]
    fn absent_settings_are_an_empty_object() {
        let settings: Settings = read_settings("null").expect("defaults");
        assert_eq!(settings.rules.iter().map(|rule| rule.limit).sum::<u32>(), 0);
        assert!(read_settings::<NoSettings>("").is_ok());
        assert!(read_settings::<NoSettings>("{}").is_ok());
        assert!(read_settings::<NoSettings>(r#"{"a": 1}"#).is_err());
    }
}
