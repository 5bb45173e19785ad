//! Schemas in words: what a value is, and what an object has.

use std::fmt::Write as _;

use serde_json::Value;

use crate::http::html::escaped;

/// What a value is, in a few words; other schemas are links.
pub fn form(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|place| place.rsplit('/').next()) {
        return format!("<a href=\"#schema-{0}\">{0}</a>", escaped(name));
    }
    for (word, between) in [("oneOf", " or "), ("anyOf", " or "), ("allOf", " and ")] {
        if let Some(parts) = schema[word].as_array() {
            return parts.iter().map(form).collect::<Vec<_>>().join(between);
        }
    }
    if let Some(words) = schema["enum"].as_array() {
        let words: Vec<String> =
            words.iter().map(|word| format!("<code>{}</code>", escaped(&word.to_string()))).collect();
        return words.join(", ");
    }
    let kinds = match &schema["type"] {
        Value::String(kind) => vec![kind.as_str()],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => return "any value".to_owned(),
    };
    let mut text = match (kinds.as_slice(), schema.get("items")) {
        (["array"], Some(items)) => format!("list of {}", form(items)),
        _ => escaped(&kinds.join(" or ")),
    };
    text.push_str(&bounds(schema));
    if let Some(properties) = schema["properties"].as_object().filter(|properties| !properties.is_empty()) {
        let members =
            properties.iter().map(|(name, form_of)| format!("<code>{}</code>: {}", escaped(name), form(form_of)));
        let _ = write!(text, " {{{}}}", members.collect::<Vec<_>>().join(", "));
    }
    if schema["additionalProperties"].is_object() {
        let _ = write!(text, ", each further member {}", form(&schema["additionalProperties"]));
    }
    text
}

fn bounds(schema: &Value) -> String {
    let mut text = String::new();
    for (word, shown) in [
        ("minimum", "from"),
        ("maximum", "to"),
        ("minLength", "characters from"),
        ("maxLength", "characters to"),
        ("default", "else"),
        ("format", "as"),
        ("pattern", "like"),
    ] {
        if let Some(value) = schema.get(word).filter(|value| !value.is_null()) {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let _ = write!(text, ", {shown} <code>{}</code>", escaped(&value));
        }
    }
    text
}

/// What an object has, member by member; of what is none, what it is.
pub fn members(text: &mut String, schema: &Value) {
    let parts = schema["allOf"].as_array().map_or_else(|| vec![schema], |parts| parts.iter().collect());
    if !parts.iter().any(|part| part["properties"].is_object()) {
        let _ = writeln!(text, "<p>{}</p>", form(schema));
        return;
    }
    text.push_str("<table>\n<tbody>\n");
    for part in parts {
        let Some(properties) = part["properties"].as_object() else {
            let _ = writeln!(text, "<tr><td colspan=\"3\">the members of {}</td></tr>", form(part));
            continue;
        };
        for (name, member) in properties {
            let needed = part["required"].as_array().is_some_and(|names| names.iter().any(|one| one == name));
            let _ = writeln!(
                text,
                "<tr><td><code>{}</code>{}</td><td>{}</td><td>{}</td></tr>",
                escaped(name),
                if needed { "" } else { "<br>may be missing" },
                form(member),
                markdown(member["description"].as_str().unwrap_or_default()),
            );
        }
        if part["additionalProperties"].is_object() {
            let form = form(&part["additionalProperties"]);
            let _ = writeln!(text, "<tr><td>each further</td><td colspan=\"2\">{form}</td></tr>");
        }
    }
    text.push_str("</tbody>\n</table>\n");
}

/// Paragraphs, lists and code, which is all that our own texts use.
pub fn markdown(text: &str) -> String {
    let mut html = String::new();
    for block in text.split("\n\n").map(str::trim).filter(|block| !block.is_empty()) {
        match block.strip_prefix("- ") {
            Some(items) => {
                html.push_str("<ul>");
                for item in items.split("\n- ") {
                    let _ = write!(html, "<li>{}</li>", code(item));
                }
                html.push_str("</ul>");
            }
            None => {
                let _ = write!(html, "<p>{}</p>", code(block));
            }
        }
    }
    html
}

fn code(text: &str) -> String {
    let parts = text.split('`').enumerate();
    let shown = parts.map(|(index, part)| match index % 2 {
        0 => escaped(part),
        _ => format!("<code>{}</code>", escaped(part)),
    });
    shown.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn schemas_are_told_in_words() {
        for (schema, words) in [
            (json!({"$ref": "#/components/schemas/Finding"}), "<a href=\"#schema-Finding\">Finding</a>"),
            (json!({"type": ["string", "null"], "maxLength": 5}), "string or null, characters to <code>5</code>"),
            (json!({"type": "array", "items": {"type": "integer"}}), "list of integer"),
            (json!({"enum": ["a", "b"]}), "<code>&quot;a&quot;</code>, <code>&quot;b&quot;</code>"),
            (json!({"oneOf": [{"type": "null"}, {"type": "boolean"}]}), "null or boolean"),
            (json!({}), "any value"),
        ] {
            assert_eq!(form(&schema), words);
        }
    }

    #[test]
    fn what_a_text_says_stays_a_text() {
        assert_eq!(
            markdown("a `<b>` & c\n\n- one\n- `two`"),
            "<p>a <code>&lt;b&gt;</code> &amp; c</p><ul><li>one</li><li><code>two</code></li></ul>"
        );
    }
}
