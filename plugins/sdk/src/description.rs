//! What a plugin says of itself.

use std::borrow::Cow;

use crate::findings::Code;

/// Settings for a plugin that has none: absent or an empty object.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoSettings {}

/// A plugin's name, version, purpose, settings and finding codes. Shown by `hallmark plugin check` and kept by the
/// registry, so it must be the same at every call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// Lower case letters, digits and dashes, a letter first, at most 63: `agent-rules`.
    pub name: Cow<'static, str>,
    /// Semantic version of the plugin; `env!("CARGO_PKG_VERSION")` keeps it in one place.
    pub version: Cow<'static, str>,
    /// What it checks, in a sentence or two.
    pub summary: Cow<'static, str>,
    /// JSON Schema (2020-12) of its settings, as JSON text.
    pub settings_schema: Cow<'static, str>,
    /// Every code that it can give.
    pub finding_codes: Vec<FindingCode>,
}

/// One documented finding code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FindingCode {
    /// The code. It also stands for the codes that begin with it and a dot, where settings make them: `rule` for
    /// `rule.owner`.
    pub code: Cow<'static, str>,
    /// One sentence: when it is given.
    pub summary: Cow<'static, str>,
    /// Markdown: why it matters and how to mend it.
    pub help: Cow<'static, str>,
}

impl Description {
    /// A plugin without settings and codes.
    pub fn new(
        name: impl Into<Cow<'static, str>>,
        version: impl Into<Cow<'static, str>>,
        summary: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            name: name.into(),
            version: version.into(),
            summary: summary.into(),
            settings_schema: r#"{"type":"object","additionalProperties":false}"#.into(),
            finding_codes: Vec::new(),
        }
    }

    /// The JSON Schema of the settings, as JSON text: `include_str!("settings.schema.json")`. The host checks settings
    /// against it before `configure` sees them.
    #[must_use]
    pub fn settings_schema(mut self, schema: impl Into<Cow<'static, str>>) -> Self {
        self.settings_schema = schema.into();
        self
    }

    /// One more finding code: when it is given, and in Markdown why it matters and how to mend it.
    #[must_use]
    pub fn code(
        mut self,
        code: impl Into<Cow<'static, str>>,
        summary: impl Into<Cow<'static, str>>,
        help: impl Into<Cow<'static, str>>,
    ) -> Self {
        self.finding_codes.push(FindingCode { code: code.into(), summary: summary.into(), help: help.into() });
        self
    }

    /// All codes of a plugin that declares them as constants.
    #[must_use]
    pub fn codes(self, codes: &[&Code]) -> Self {
        codes.iter().fold(self, |description, code| description.code(code.name, code.summary, code.help))
    }
}
