//! The names that every room uses, each parsed once at the edge into a type that cannot hold a wrong one.
//! This room uses no other.

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

/// A name that does not have its form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{given}' is not a valid {what}: {form}")]
pub struct NameError {
    /// Which name: `entry id`.
    pub what: &'static str,
    /// What was given, cut to 80 characters.
    pub given: String,
    /// The form it must have, in words.
    pub form: &'static str,
}

impl NameError {
    pub(crate) fn new(what: &'static str, given: &str, form: &'static str) -> Self {
        Self { what, given: given.chars().take(80).collect(), form }
    }
}

// Nine types share one body of conversions; a macro keeps a change of one from missing the others. The pattern is the
// check as a JSON Schema can say it; a test holds the two together.
macro_rules! name {
    ($(#[doc = $doc:literal])+ $name:ident, $what:literal, $form:literal, $pattern:literal, $check:expr) => {
        $(#[doc = $doc])+
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                let check: fn(&str) -> bool = $check;
                if check(text) { Ok(Self(text.to_owned())) } else { Err(NameError::new($what, text, $form)) }
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                text_schema(concat!($($doc, "\n"),+, " Form: ", $form, "."), $pattern)
            }
        }

        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                Cow::Borrowed(stringify!($name))
            }
        }
    };
}

/// Text of a form, as the API's description tells it.
fn text_schema(description: &str, pattern: &str) -> RefOr<Schema> {
    let description: Vec<&str> = description.split_whitespace().collect();
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some(description.join(" ")))
        .pattern(Some(pattern))
        .into()
}

fn is_label(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && !text.ends_with('-')
}

fn is_dotted(text: &str, length_max: usize, also: &[u8]) -> bool {
    (1..=length_max).contains(&text.len())
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || also.contains(&byte))
}

name!(
    /// The scope that owns everything below it.
    Tenant,
    "tenant",
    "lower case letters, digits and dashes, a letter first, at most 63",
    r"^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$",
    is_label
);
name!(
    /// A named unit of ownership that declares kinds and carries plugins.
    ModuleName,
    "module name",
    "lower case letters, digits and dashes, a letter first, at most 63",
    r"^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$",
    is_label
);
name!(
    /// A type of manifest by its plural, which is also its route: `agents`.
    KindName,
    "kind",
    "lower case letters, digits and dashes, a letter first, at most 63",
    r"^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$",
    is_label
);
name!(
    /// A plugin's own name, as it describes itself: `agent-rules`.
    PluginName,
    "plugin name",
    "lower case letters, digits and dashes, a letter first, at most 63",
    r"^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$",
    is_label
);
name!(
    /// The id of an entry within its kind.
    EntryId,
    "entry id",
    "letters, digits, '.', '_' and '-', a letter or digit first, at most 128",
    r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$",
    |text| is_dotted(text, 128, b"._-")
);
name!(
    /// The name of one version of an entry.
    VersionName,
    "version",
    "letters, digits, '.', '_', '+' and '-', a letter or digit first, at most 64",
    r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$",
    |text| is_dotted(text, 64, b"._+-")
);
name!(
    /// Why somebody did something, in their own words.
    Reason,
    "reason",
    "1 to 1000 characters, not only spaces, without control characters",
    r"^(?=.*\S)[^\x00-\x1f\x7f-\x9f]{1,1000}$",
    |text| !text.trim().is_empty() && text.chars().count() <= 1_000 && !text.chars().any(char::is_control)
);
name!(
    /// A decision's id: a UUID (version 7, RFC 9562) in lower case.
    DecisionId,
    "decision id",
    "a UUID in lower case",
    r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$",
    |text| uuid::Uuid::try_parse(text).is_ok_and(|id| id.to_string() == text)
);
name!(
    /// A SHA-256 as `sha256:` and 64 lower case hexadecimal digits.
    Digest,
    "digest",
    "sha256: and 64 lower case hexadecimal digits",
    r"^sha256:[0-9a-f]{64}$",
    |text| text.strip_prefix("sha256:").is_some_and(|hex| {
        hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    })
);

name!(
    /// A key's id: the SHA-256 of its public part, as SubjectPublicKeyInfo in DER, in hexadecimal.
    KeyId,
    "key id",
    "64 lower case hexadecimal digits",
    r"^[0-9a-f]{64}$",
    |text| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
);

impl KeyId {
    /// The id of the key with this SubjectPublicKeyInfo.
    pub fn of(public_key_der: &[u8]) -> Self {
        Self(hex(&Sha256::digest(public_key_der)))
    }
}

impl Tenant {
    /// The tenant of a registry that was told of no other.
    pub fn default_tenant() -> Self {
        Self("default".to_owned())
    }
}

impl Digest {
    /// The digest of the bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(format!("sha256:{}", hex(&Sha256::digest(bytes))))
    }

    /// The 64 hexadecimal digits alone, as file names carry them.
    pub fn hex(&self) -> &str {
        &self.0["sha256:".len()..]
    }
}

/// Lower case hexadecimal digits of the bytes.
pub fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// What a release belongs to: one module, or the tenant's policies. As text: `module:agents` or `policies`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Scope {
    /// The rules of the kinds that the module declares.
    Module(ModuleName),
    /// The rules of the whole tenant.
    Policies,
}

impl FromStr for Scope {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        match text.strip_prefix("module:") {
            Some(module) => Ok(Self::Module(module.parse()?)),
            None if text == "policies" => Ok(Self::Policies),
            None => Err(NameError::new("scope", text, "'policies' or 'module:' and a module name")),
        }
    }
}

impl TryFrom<String> for Scope {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<Scope> for String {
    fn from(scope: Scope) -> String {
        scope.to_string()
    }
}

impl PartialSchema for Scope {
    fn schema() -> RefOr<Schema> {
        text_schema(
            "What a release belongs to: `policies`, or `module:` and a module's name.",
            r"^(policies|module:[a-z]([a-z0-9-]{0,61}[a-z0-9])?)$",
        )
    }
}

impl ToSchema for Scope {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("Scope")
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Module(module) => write!(formatter, "module:{module}"),
            Self::Policies => formatter.write_str("policies"),
        }
    }
}

/// JSON Pointers (RFC 6901) are built here alone, but for those of patches, which are a type of their own: escaping is never
/// forgotten.
pub mod pointer {
    use serde_json::Value;

    /// The pointer of a member of the object, or an element of the array, at `parent`.
    pub fn child(parent: &str, token: impl std::fmt::Display) -> String {
        let token = token.to_string();
        if token.contains(['~', '/']) {
            format!("{parent}/{}", token.replace('~', "~0").replace('/', "~1"))
        } else {
            format!("{parent}/{token}")
        }
    }

    /// True where `text` has the form of a pointer.
    pub fn is_pointer(text: &str) -> bool {
        (text.is_empty() || text.starts_with('/')) && text.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']))
    }

    /// The members that a JSON Schema names beside the keyword at this place, as beside `additionalProperties`.
    pub fn named_beside<'a>(schema: &'a Value, keyword: &str) -> Vec<&'a str> {
        let around = keyword.rsplit_once('/').map_or("", |(around, _)| around);
        match schema.pointer(&format!("{around}/properties")) {
            Some(Value::Object(properties)) => properties.keys().map(String::as_str).collect(),
            _ => Vec::new(),
        }
    }

    /// Puts `value` in the place of what stands at the pointer; false where nothing stands there.
    pub fn replace(document: &mut Value, pointer: &str, value: Value) -> bool {
        match document.pointer_mut(pointer) {
            Some(place) => {
                *place = value;
                true
            }
            None => false,
        }
    }
}

/// True where the text is like the pattern, in which `*` stands for any characters, none among them. Each part between
/// two stars is looked for where the one before ended: the first place is as good as any later one.
pub fn is_like(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(first) else { return false };
    let (middle, last) = rest.rsplit_once('*').unwrap_or(("", rest));
    for part in middle.split('*') {
        let Some(found) = text.find(part) else { return false };
        text = &text[found + part.len()..];
    }
    text.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_names_without_their_form() {
        assert!("agents".parse::<KindName>().is_ok());
        for wrong in ["", "Agents", "1agents", "a_b", "agents-", "a/b", &"a".repeat(64)] {
            assert!(wrong.parse::<KindName>().is_err(), "{wrong}");
        }
        for wrong in ["", ".hidden", "a b", "a/b", "ü", &"a".repeat(129)] {
            assert!(wrong.parse::<EntryId>().is_err(), "{wrong}");
        }
        assert_eq!(
            "a b".parse::<EntryId>().expect_err("a space").to_string(),
            "'a b' is not a valid entry id: letters, digits, '.', '_' and '-', a letter or digit first, at most 128"
        );
    }

    fn patterned<T: PartialSchema + FromStr>(texts: &[&str]) {
        let schema = serde_json::to_value(T::schema()).expect("a schema is JSON");
        let validator = jsonschema::validator_for(&schema).expect("it compiles");
        for text in texts {
            let said = validator.is_valid(&serde_json::json!(text));
            assert_eq!(said, text.parse::<T>().is_ok(), "{schema}: {text:?}");
        }
    }

    #[test]
    fn patterns_say_what_the_checks_do() {
        let (long, longer) = ("a".repeat(63), "a".repeat(64));
        let labels = ["a", "a-b", "a1", "", "1a", "-a", "a-", "A", "a_b", "a\n", &long, &longer];
        patterned::<Tenant>(&labels);
        patterned::<ModuleName>(&labels);
        patterned::<KindName>(&labels);
        patterned::<PluginName>(&labels);
        let (long, longer) = ("a".repeat(128), "a".repeat(129));
        patterned::<EntryId>(&["a", "A.b_c-d", "1", "", ".a", "a b", "a/b", "\u{fc}", &long, &longer]);
        let (long, longer) = ("1".repeat(64), "1".repeat(65));
        patterned::<VersionName>(&["1.0.0", "1.0.0-a+b", "", "+a", "1 0", &long, &longer]);
        let (long, longer) = ("x".repeat(1_000), "x".repeat(1_001));
        patterned::<Reason>(&["a", " a ", "", "   ", "a\tb", "a\u{85}", "\u{fc}", &long, &longer]);
        let id = "0199e2c4-6f0d-7d11-8f64-1c9a7b2e4d55";
        patterned::<DecisionId>(&[id, &id.to_uppercase(), "", &id[1..]]);
        let digest = Digest::of(b"");
        patterned::<Digest>(&[digest.as_str(), digest.hex(), &digest.as_str().to_uppercase(), ""]);
        patterned::<KeyId>(&[digest.hex(), digest.as_str(), ""]);
        patterned::<Scope>(&["policies", "module:agents", "module:", "module:A", "modules:agents", ""]);
    }

    #[test]
    fn digests_and_scopes_round_trip() {
        let digest = Digest::of(b"");
        assert_eq!(digest.as_str(), "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(digest.as_str().parse(), Ok(digest));
        for scope in ["module:agents", "policies"] {
            assert_eq!(scope.parse::<Scope>().expect("a scope").to_string(), scope);
        }
        assert!("modules:agents".parse::<Scope>().is_err());
    }

    #[test]
    fn pointers_escape_their_tokens() {
        assert_eq!(pointer::child("/a", "b/c~d"), "/a/b~1c~0d");
        assert_eq!(pointer::child("", 3), "/3");
        assert!(pointer::is_pointer(""));
        assert!(pointer::is_pointer("/a~1b"));
        assert!(!pointer::is_pointer("a"));
        assert!(!pointer::is_pointer("/a~2"));
    }
}
