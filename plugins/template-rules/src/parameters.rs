//! What is asked of each declared parameter by itself.

use std::collections::BTreeMap;

use hallmark_plugin::findings::{Findings, cut, quoted};
use hallmark_plugin::{Finding, Patch};
use serde_json::Value;
use shared_rules::nearest::nearest;

use crate::codes;
use crate::content::{Content, Kind, Parameter};
use crate::syntax::is_name;

/// Checks every declaration.
pub fn check(content: &Content<'_>, findings: &mut Findings) {
    let mut first: BTreeMap<&str, &Parameter<'_>> = BTreeMap::new();
    for parameter in content.parameters.iter().flatten() {
        let Some(name) = parameter.name.filter(|name| is_name(name)) else {
            findings.add(form_finding(parameter));
            continue;
        };
        if let Some(before) = first.get(name) {
            findings.add(duplicate_finding(name, parameter, before));
            continue;
        }
        first.insert(name, parameter);
        match parameter.kind {
            None => findings.add(type_finding(parameter)),
            Some(kind) => check_values(name, parameter, kind, findings),
        }
        if parameter.required == Some(true) && parameter.default.is_some() {
            let place = parameter.at("required");
            findings.add(
                codes::PARAMETERS_REQUIRED
                    .at(place.as_str())
                    .message(format!(
                        "the parameter {} is required and has a default, which would never be used",
                        quoted(name)
                    ))
                    .help("remove 'required', or the default")
                    .fix(Patch::removal(&place, true)),
            );
        }
        let is_described = parameter.value["description"].as_str().is_some_and(|text| !text.trim().is_empty());
        if !is_described {
            findings.add(
                codes::PARAMETERS_DESCRIPTION
                    .at(parameter.place.as_str())
                    .message(format!("the parameter {} has no description", quoted(name)))
                    .help("say what to give, with an example"),
            );
        }
    }
}

fn form_finding(parameter: &Parameter<'_>) -> Finding {
    match parameter.name {
        None => codes::PARAMETERS_FORM.at(parameter.place.as_str()).message("the parameter has no name"),
        Some(name) => codes::PARAMETERS_FORM.at(parameter.at("name")).message(format!(
            "the parameter's name {} is not a letter or '_' and then letters, digits, '_' or '-', at most 64",
            quoted(name)
        )),
    }
    .help("choose a name such as 'first_name'")
}

fn duplicate_finding(name: &str, parameter: &Parameter<'_>, before: &Parameter<'_>) -> Finding {
    let finding = codes::PARAMETERS_DUPLICATE.at(parameter.place.as_str()).message(format!(
        "the parameter {} is already declared at {}",
        quoted(name),
        before.place
    ));
    if parameter.value == before.value {
        let patch = Patch::removal(&parameter.place, parameter.value.clone());
        finding.help("remove this declaration").fix(patch)
    } else {
        finding.help("they differ: keep the right one, or give this one another name")
    }
}

fn type_finding(parameter: &Parameter<'_>) -> Finding {
    let (given, place) = (&parameter.value["type"], parameter.at("type"));
    let names = Kind::ALL.map(|(name, _)| name);
    let text = given.as_str().map_or_else(|| given.to_string(), str::to_owned);
    let finding = codes::PARAMETERS_TYPE.at(place.as_str()).message(format!("{} is not a type", quoted(&text)));
    // What other languages call them.
    let meant = match text.as_str() {
        "text" | "str" | "date" | "email" | "url" => Some("string"),
        "int" => Some("integer"),
        "float" | "double" | "decimal" => Some("number"),
        "list" => Some("array"),
        "map" | "dict" => Some("object"),
        other => nearest(other, names),
    };
    match meant {
        Some(meant) => finding
            .help(format!("write '{meant}'; the types are {}", names.join(", ")))
            .fix(Patch::exchange(&place, given.clone(), meant)),
        None => finding.help(format!("the types are {}", names.join(", "))),
    }
}

/// Checks the allowed values and the default.
fn check_values(name: &str, parameter: &Parameter<'_>, kind: Kind, findings: &mut Findings) {
    let enum_place = parameter.at("enum");
    for (index, value) in parameter.allowed.unwrap_or_default().iter().enumerate() {
        if !kind.fits(value) {
            let place = hallmark_plugin::pointer::child(&enum_place, index);
            let message = format!("the allowed value {} of {} is no {}", shown(value), quoted(name), kind.name());
            findings.add(mistyped(codes::PARAMETERS_ENUM.at(place.as_str()).message(message), &place, value, kind));
        }
    }
    let Some(default) = parameter.default else { return };
    let place = parameter.at("default");
    if !kind.fits(default) {
        let message = format!("the default {} of {} is no {}", shown(default), quoted(name), kind.name());
        findings.add(mistyped(codes::PARAMETERS_DEFAULT.at(place.as_str()).message(message), &place, default, kind));
        return;
    }
    let Some(allowed) = parameter.allowed.filter(|allowed| !allowed.contains(default)) else { return };
    let finding = codes::PARAMETERS_DEFAULT.at(place.as_str()).message(format!(
        "the default {} of {} is none of its allowed values",
        shown(default),
        quoted(name)
    ));
    let meant = default.as_str().and_then(|text| nearest(text, allowed.iter().filter_map(Value::as_str)));
    findings.add(match meant {
        Some(meant) => {
            finding.help(format!("write '{}'", cut(meant))).fix(Patch::exchange(&place, default.clone(), meant))
        }
        None => finding.help(format!("take one of {}", cut(&Value::from(allowed).to_string()))),
    });
}

/// Says what to do about a value of the wrong type.
fn mistyped(finding: Finding, place: &str, value: &Value, kind: Kind) -> Finding {
    match value.as_str().and_then(|text| kind.meant(text)) {
        Some(meant) => {
            finding.help(format!("write {meant} without quotes")).fix(Patch::exchange(place, value.clone(), meant))
        }
        None if kind == Kind::String && (value.is_number() || value.is_boolean()) => finding
            .help("put it in quotes, or give the parameter its type")
            .fix(Patch::exchange(place, value.clone(), value.to_string())),
        None => finding.help("write one of this type, or give the parameter another type"),
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text),
        other => cut(&other.to_string()).into_owned(),
    }
}
