//! The content of a template, read as far as it is judged. The kind's JSON Schema decides what a content may look like;
//! here a value of another form is simply not what was looked for.

use hallmark_plugin::pointer;
use serde_json::{Map, Value};
use shared_rules::values::each_child;

/// A content: a text, or an object with texts, parameters and references.
#[derive(Debug, Default)]
pub struct Content<'v> {
    /// Where it stands.
    pub place: String,
    /// Every text in which placeholders may stand, wherever in the content it is.
    pub texts: Vec<Text<'v>>,
    /// The parameters; none where nothing declares any.
    pub parameters: Option<Vec<Parameter<'v>>>,
    /// The templates that it builds upon: the one that it extends first.
    pub references: Vec<Reference<'v>>,
    /// The files of a scaffold.
    pub files: Vec<File<'v>>,
    /// It extends another template.
    pub is_extension: bool,
    /// The content is a text and can hold nothing else.
    pub is_bare_text: bool,
}

/// A text, and where it stands.
#[derive(Debug)]
pub struct Text<'v> {
    /// Its place.
    pub place: String,
    /// The text.
    pub text: &'v str,
    has_lines: bool,
}

/// A file of a scaffold.
#[derive(Debug)]
pub struct File<'v> {
    /// Where its path stands, or the file where it has none.
    pub place: String,
    /// Its path.
    pub path: Option<&'v str>,
}

/// A template that another builds upon.
#[derive(Debug)]
pub struct Reference<'v> {
    /// Where it stands.
    pub place: String,
    /// Its id.
    pub id: Option<&'v str>,
    /// Its version; none: the active one.
    pub version: Option<&'v str>,
}

/// What is asked of whoever fills the template in.
#[derive(Debug)]
pub struct Parameter<'v> {
    /// Where it is declared.
    pub place: String,
    /// The declaration.
    pub value: &'v Value,
    /// Its name.
    pub name: Option<&'v str>,
    /// Its type: a string unless it says otherwise, none where it says what is no type.
    pub kind: Option<Kind>,
    /// What it says of being required.
    pub required: Option<bool>,
    /// What it is where it is not given.
    pub default: Option<&'v Value>,
    /// The values that it takes, where not all of its type.
    pub allowed: Option<&'v [Value]>,
}

/// A parameter's type: JSON Schema's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A text.
    String,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// True or false.
    Boolean,
    /// A list.
    Array,
    /// Named members.
    Object,
}

impl Kind {
    /// Every type, by name.
    pub const ALL: [(&'static str, Self); 6] = [
        ("string", Self::String),
        ("integer", Self::Integer),
        ("number", Self::Number),
        ("boolean", Self::Boolean),
        ("array", Self::Array),
        ("object", Self::Object),
    ];

    /// The type of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| *name)
    }

    /// True where a value has the type.
    pub fn fits(self, value: &Value) -> bool {
        match self {
            Self::String => value.is_string(),
            Self::Integer => {
                value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|number| number.fract() == 0.0)
            }
            Self::Number => value.is_number(),
            Self::Boolean => value.is_boolean(),
            Self::Array => value.is_array(),
            Self::Object => value.is_object(),
        }
    }

    /// The value of this type that a text plainly means, such as 3 for `"3"`.
    pub fn meant(self, text: &str) -> Option<Value> {
        let value = match self {
            Self::Integer | Self::Number | Self::Boolean => serde_json::from_str::<Value>(text.trim()).ok()?,
            Self::String | Self::Array | Self::Object => return None,
        };
        self.fits(&value).then_some(value)
    }
}

impl<'v> Content<'v> {
    /// Reads a content that stands at `place`. What `literal_members` names is no template text.
    pub fn read(value: Option<&'v Value>, place: &str, literal_members: &[String]) -> Self {
        let mut content = Self { place: place.to_owned(), ..Self::default() };
        match value {
            Some(Value::String(text)) => {
                content.is_bare_text = true;
                content.texts.push(Text::new(text, place.to_owned()));
            }
            Some(Value::Object(members)) => content.read_members(members, literal_members),
            _ => {}
        }
        content
    }

    fn read_members(&mut self, members: &'v Map<String, Value>, literal_members: &[String]) {
        if let Some(extended) = members.get("extends") {
            self.is_extension = true;
            self.references.push(Reference::new(extended, pointer::child(&self.place, "extends")));
        }
        for (name, member) in members {
            let place = pointer::child(&self.place, name);
            match (name.as_str(), member) {
                ("extends", _) => {}
                ("includes", Value::Array(elements)) => {
                    let elements = elements.iter().enumerate();
                    let references =
                        elements.map(|(index, element)| Reference::new(element, pointer::child(&place, index)));
                    self.references.extend(references);
                }
                ("parameters", Value::Array(elements)) => {
                    let elements = elements.iter().enumerate();
                    let parameters =
                        elements.map(|(index, element)| Parameter::new(element, pointer::child(&place, index)));
                    self.parameters = Some(parameters.collect());
                }
                ("includes" | "parameters", _) => {}
                _ => {
                    if let ("files", Value::Array(files)) = (name.as_str(), member) {
                        self.files = files.iter().enumerate().map(|file| File::new(file, &place)).collect();
                    }
                    gather_texts(name, member, place, literal_members, &mut self.texts);
                }
            }
        }
    }

    /// The parameters that have a name, each name once.
    pub fn declared(&self) -> impl Iterator<Item = (&'v str, &Parameter<'v>)> {
        let mut seen = std::collections::BTreeSet::new();
        self.parameters.iter().flatten().filter_map(move |parameter| {
            let name = parameter.name?;
            seen.insert(name).then_some((name, parameter))
        })
    }

    /// The place of the parameters, whether there are any or not.
    pub fn parameters_place(&self) -> String {
        pointer::child(&self.place, "parameters")
    }

    /// Bytes of all texts.
    pub fn size_bytes(&self) -> usize {
        self.texts.iter().map(|text| text.text.len()).sum()
    }
}

fn gather_texts<'v>(name: &str, value: &'v Value, place: String, literal: &[String], texts: &mut Vec<Text<'v>>) {
    if literal.iter().any(|known| known == name) {
        return;
    }
    match value {
        Value::String(text) => texts.push(Text::new(text, place)),
        Value::Object(members) => {
            for (name, member) in members {
                gather_texts(name, member, pointer::child(&place, name), literal, texts);
            }
        }
        _ => each_child(value, &place, |child, place| gather_texts("", child, place, literal, texts)),
    }
}

impl<'v> Text<'v> {
    /// A text at a place.
    pub fn new(text: &'v str, place: String) -> Self {
        Self { place, text, has_lines: text.contains('\n') }
    }

    /// ` in line 3`; nothing where the text has one line alone.
    pub fn in_line(&self, line: usize) -> String {
        if self.has_lines { format!(" in line {line}") } else { String::new() }
    }

    /// The same of a byte of the text.
    pub fn in_line_of(&self, offset: usize) -> String {
        if !self.has_lines {
            return String::new();
        }
        let before = self.text.as_bytes().get(..offset).unwrap_or_default();
        self.in_line(1 + before.iter().filter(|byte| **byte == b'\n').count())
    }
}

impl<'v> File<'v> {
    fn new((index, value): (usize, &'v Value), files: &str) -> Self {
        let place = pointer::child(files, index);
        match value.get("path").and_then(Value::as_str) {
            Some(path) => Self { place: pointer::child(&place, "path"), path: Some(path) },
            None => Self { place, path: None },
        }
    }
}

impl<'v> Reference<'v> {
    fn new(value: &'v Value, place: String) -> Self {
        let member = |name| value.get(name).and_then(Value::as_str);
        let id = value.as_str().or_else(|| member("id")).filter(|id| !id.trim().is_empty());
        Self { place, id, version: member("version") }
    }

    /// What messages call it: `footer` or `footer 1.2.0`.
    pub fn title(&self) -> String {
        let id = self.id.unwrap_or_default();
        self.version.map_or_else(|| id.to_owned(), |version| format!("{id} {version}"))
    }
}

impl<'v> Parameter<'v> {
    fn new(value: &'v Value, place: String) -> Self {
        let kind = match value.get("type") {
            None | Some(Value::Null) => Some(Kind::String),
            Some(kind) => kind.as_str().and_then(Kind::named),
        };
        Self {
            place,
            value,
            name: value.get("name").and_then(Value::as_str),
            kind,
            required: value.get("required").and_then(Value::as_bool),
            default: value.get("default").filter(|default| !default.is_null()),
            allowed: value.get("enum").and_then(Value::as_array).map(Vec::as_slice),
        }
    }

    /// It must be given: so it says, or it has no default and says nothing.
    pub fn is_required(&self) -> bool {
        self.required.unwrap_or(self.default.is_none())
    }

    /// The place of one of its members.
    pub fn at(&self, member: &str) -> String {
        pointer::child(&self.place, member)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn texts_are_found_wherever_they_stand() {
        let value = json!({
            "format": "html",
            "subject": "a",
            "body": {"deep": [{"x/y": "b"}, 3]},
            "messages": [{"role": "user", "body": "c"}],
            "parameters": [{"name": "d", "description": "no text of the template"}],
            "extends": "e",
            "includes": ["f", {"id": "g", "version": "1.0.0"}, {"version": "1.0.0"}],
        });
        let content = Content::read(Some(&value), "/content", &["format".to_owned(), "role".to_owned()]);
        let texts: Vec<_> = content.texts.iter().map(|text| (text.place.as_str(), text.text)).collect();
        assert_eq!(
            texts,
            [("/content/body/deep/0/x~1y", "b"), ("/content/messages/0/body", "c"), ("/content/subject", "a")]
        );
        let references: Vec<_> = content.references.iter().map(|one| (one.place.as_str(), one.title())).collect();
        let named = |place, title: &str| (place, title.to_owned());
        assert_eq!(
            references,
            [
                named("/content/extends", "e"),
                named("/content/includes/0", "f"),
                named("/content/includes/1", "g 1.0.0"),
                named("/content/includes/2", " 1.0.0"),
            ]
        );
        assert!(content.is_extension && !content.is_bare_text);
    }

    #[test]
    fn a_parameter_without_a_default_is_required_unless_it_says_otherwise() {
        let is_required = |value: Value| Parameter::new(&value, String::new()).is_required();
        assert!(is_required(json!({"name": "a"})));
        assert!(is_required(json!({"name": "a", "default": null})));
        assert!(!is_required(json!({"name": "a", "default": "b"})));
        assert!(!is_required(json!({"name": "a", "required": false})));
    }

    #[test]
    fn values_have_types_as_in_json_schema() {
        assert!(Kind::Integer.fits(&json!(3)) && Kind::Integer.fits(&json!(3.0)) && !Kind::Integer.fits(&json!(3.5)));
        assert!(Kind::Number.fits(&json!(3)) && !Kind::Number.fits(&json!("3")));
        assert_eq!(Kind::Integer.meant(" 3 "), Some(json!(3)));
        assert_eq!(Kind::Boolean.meant("true"), Some(json!(true)));
        assert_eq!(Kind::Integer.meant("3.5"), None);
        assert_eq!(Kind::Boolean.meant("yes"), None);
        assert_eq!(Kind::named("text"), None);
        assert_eq!(Kind::Object.name(), "object");
    }
}
