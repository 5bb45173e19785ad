//! Parameters: declared and used, and each right by itself.

use hallmark_plugin::serde_json::{Value, json};
use hallmark_plugin::{Finding, Severity};
use shared_rules::testing::{only, told};

use super::{check, content};

/// What is found in a content with these parameters, each of which its text uses.
pub fn found(parameters: Value) -> Vec<Finding> {
    let names = parameters.as_array().expect("a list").iter().filter_map(|parameter| parameter["name"].as_str());
    let body = names.map(|name| format!("{{{{ {name} }}}}")).collect::<Vec<_>>().join(" ");
    let mut findings = check(json!({"content": {"body": body + ".", "parameters": parameters}}));
    findings.retain(|finding| !finding.code.starts_with("placeholders.") && finding.severity != Severity::Info);
    findings
}

#[test]
fn asks_for_used_parameters_to_be_declared() {
    assert_eq!(
        only(&check(json!({"content": "Dear {{ customer }},"}))),
        "placeholders.undeclared /content: the placeholder '{{ customer }}' names no declared parameter; write the content \
         as an object with this text as 'body', and declare it in its 'parameters' \
         [[{\"op\":\"replace\",\"path\":\"/content\",\"value\":{\"body\":\"Dear {{ customer }},\",\
         \"parameters\":[{\"name\":\"customer\"}]}}]]"
    );
    let two = check(json!({"content": {"subject": "{{ b }}", "body": "\n{{ a }} {{ a }}"}}));
    let fix = r#"[{"op":"add","path":"/content/parameters","value":[{"name":"a"},{"name":"b"}]}]"#;
    assert_eq!(two.iter().filter_map(|finding| finding.fix.as_deref()).collect::<Vec<_>>(), [fix, fix]);
    assert_eq!(two[0].message, "the placeholder '{{ a }}' in line 2 names no declared parameter");
    assert_eq!(two[1].help.as_deref(), Some("declare it in /content/parameters"));

    let mut content = content();
    content["body"] = "Dear {{ custmer }}, {{ order }} {{ carrier }} {{ xyz }}".into();
    let findings = check(json!({"content": content}));
    assert_eq!(
        told(&findings[0]),
        "placeholders.undeclared /content/body: the placeholder '{{ custmer }}' names no declared parameter; write \
         'customer' [[{\"op\":\"test\",\"path\":\"/content/body\",\"value\":\"Dear {{ custmer }}, {{ order }} {{ carrier }} \
         {{ xyz }}\"},{\"op\":\"replace\",\"path\":\"/content/body\",\"value\":\"Dear {{ customer }}, {{ order }} \
         {{ carrier }} {{ xyz }}\"}]]"
    );
    assert_eq!(
        findings[1].fix.as_deref(),
        Some(r#"[{"op":"add","path":"/content/parameters/-","value":{"name":"xyz"}}]"#)
    );
    assert_eq!(
        told(&findings[2]),
        "parameters.unused /content/parameters/0: nothing in the template uses the parameter 'customer'; is it what \
         '{{ custmer }}' means?"
    );
}

#[test]
fn a_name_that_is_used_elsewhere_is_not_taken_for_the_one_that_was_meant() {
    let content = json!({
        "body": "{{ price1 }} {{ price2 }}",
        "parameters": [{"name": "price1", "description": "A price."}],
    });
    assert_eq!(
        only(&check(json!({"content": content}))),
        "placeholders.undeclared /content/body: the placeholder '{{ price2 }}' names no declared parameter; did you mean \
         'price1'? Otherwise declare it in /content/parameters"
    );
}

#[test]
fn asks_for_declared_parameters_to_be_used() {
    let findings = check(json!({"content": {"body": "a", "parameters": [{"name": "b", "description": "c"}]}}));
    assert_eq!(
        only(&findings),
        "parameters.unused /content/parameters/0: nothing in the template uses the parameter 'b'; write '{{ b }}' where it \
         belongs, or remove it [[{\"op\":\"test\",\"path\":\"/content/parameters/0\",\"value\":{\"description\":\"c\",\
         \"name\":\"b\"}},{\"op\":\"remove\",\"path\":\"/content/parameters/0\"}]]"
    );
    assert_eq!(findings[0].severity, Severity::Warning);
}

#[test]
fn asks_for_parameters_that_can_be_named() {
    assert_eq!(
        only(&found(json!([{"type": "string"}]))),
        "parameters.form /content/parameters/0: the parameter has no name; choose a name such as 'first_name'"
    );
    assert_eq!(
        only(&found(json!([{"name": "first name"}]))),
        "parameters.form /content/parameters/0/name: the parameter's name 'first name' is not a letter or '_' and then \
         letters, digits, '_' or '-', at most 64; choose a name such as 'first_name'"
    );
    assert_eq!(
        only(&found(json!([{"name": "a"}, {"name": "a"}]))),
        "parameters.duplicate /content/parameters/1: the parameter 'a' is already declared at /content/parameters/0; remove \
         this declaration [[{\"op\":\"test\",\"path\":\"/content/parameters/1\",\"value\":{\"name\":\"a\"}},\
         {\"op\":\"remove\",\"path\":\"/content/parameters/1\"}]]"
    );
    let differing = &found(json!([{"name": "a"}, {"name": "a", "type": "integer"}]))[0];
    assert_eq!(
        (differing.help.as_deref(), differing.fix.as_deref()),
        (Some("they differ: keep the right one, or give this one another name"), None)
    );
}

#[test]
fn asks_for_types_that_there_are() {
    assert_eq!(
        only(&found(json!([{"name": "a", "type": "Integer"}]))),
        "parameters.type /content/parameters/0/type: 'Integer' is not a type; write 'integer'; the types are string, \
         integer, number, boolean, array, object [[{\"op\":\"test\",\"path\":\"/content/parameters/0/type\",\
         \"value\":\"Integer\"},{\"op\":\"replace\",\"path\":\"/content/parameters/0/type\",\"value\":\"integer\"}]]"
    );
    let help = |kind: Value| found(json!([{"name": "a", "type": kind}]))[0].help.clone().expect("help");
    assert!(help(json!("list")).starts_with("write 'array'; "));
    assert!(help(json!("markdown")).starts_with("the types are string, "));
    assert!(help(json!(["string", "null"])).starts_with("the types are string, "));
}

#[test]
fn asks_for_defaults_that_could_be_given() {
    assert_eq!(
        only(&found(json!([{"name": "copies", "type": "integer", "default": "3"}]))),
        "parameters.default /content/parameters/0/default: the default '3' of 'copies' is no integer; write 3 without \
         quotes [[{\"op\":\"test\",\"path\":\"/content/parameters/0/default\",\"value\":\"3\"},\
         {\"op\":\"replace\",\"path\":\"/content/parameters/0/default\",\"value\":3}]]"
    );
    assert_eq!(
        only(&found(json!([{"name": "zip", "default": 1234}]))),
        "parameters.default /content/parameters/0/default: the default 1234 of 'zip' is no string; put it in quotes, or \
         give the parameter its type [[{\"op\":\"test\",\"path\":\"/content/parameters/0/default\",\"value\":1234},\
         {\"op\":\"replace\",\"path\":\"/content/parameters/0/default\",\"value\":\"1234\"}]]"
    );
    assert_eq!(
        only(&found(json!([{"name": "plan", "default": "glod", "enum": ["free", "gold"]}]))),
        "parameters.default /content/parameters/0/default: the default 'glod' of 'plan' is none of its allowed values; \
         write 'gold' [[{\"op\":\"test\",\"path\":\"/content/parameters/0/default\",\"value\":\"glod\"},\
         {\"op\":\"replace\",\"path\":\"/content/parameters/0/default\",\"value\":\"gold\"}]]"
    );
    assert_eq!(
        found(json!([{"name": "n", "type": "integer", "default": 3, "enum": [1, 2]}]))[0].help.as_deref(),
        Some("take one of [1,2]")
    );
    let list = &found(json!([{"name": "list", "type": "array", "default": "a"}]))[0];
    assert_eq!(list.help.as_deref(), Some("write one of this type, or give the parameter another type"));
    assert_eq!(
        only(&found(json!([{"name": "n", "type": "integer", "enum": [1, "2"]}]))),
        "parameters.enum /content/parameters/0/enum/1: the allowed value '2' of 'n' is no integer; write 2 without quotes \
         [[{\"op\":\"test\",\"path\":\"/content/parameters/0/enum/1\",\"value\":\"2\"},\
         {\"op\":\"replace\",\"path\":\"/content/parameters/0/enum/1\",\"value\":2}]]"
    );
    assert_eq!(
        only(&found(json!([{"name": "a", "required": true, "default": "b"}]))),
        "parameters.required /content/parameters/0/required: the parameter 'a' is required and has a default, which would \
         never be used; remove 'required', or the default [[{\"op\":\"test\",\"path\":\"/content/parameters/0/required\",\
         \"value\":true},{\"op\":\"remove\",\"path\":\"/content/parameters/0/required\"}]]"
    );
    assert_eq!(found(json!([{"name": "a", "default": null, "required": true}])), []);
}

#[test]
fn asks_what_a_parameter_is() {
    let findings = check(json!({"content": {"body": "{{ a }}", "parameters": [{"name": "a"}]}}));
    assert_eq!(
        only(&findings),
        "parameters.description /content/parameters/0: the parameter 'a' has no description; say what to give, with an \
         example"
    );
    assert_eq!(findings[0].severity, Severity::Info);
}
