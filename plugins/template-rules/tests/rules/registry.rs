//! What is published: the templates that one builds upon, and the versions before it.

use hallmark_plugin::serde_json::{Value, json};
use hallmark_plugin::testing::Bench;
use hallmark_plugin::{Finding, Severity};
use shared_rules::testing::only;
use template_rules::TemplateRules;

use super::{bench, check, codes, content, published, with};

#[test]
fn asks_for_templates_that_are_published() {
    let built = |more: Value| {
        let mut content = content();
        for (name, value) in more.as_object().expect("an object") {
            content[name] = value.clone();
        }
        check(json!({"content": content}))
    };
    assert_eq!(built(json!({"extends": "footer", "includes": ["footer", {"id": "footer", "version": "1.0.0"}]})), []);
    assert_eq!(
        only(&built(json!({"includes": ["footer", "foter"]}))),
        "references.unknown /content/includes/1: the template 'foter' is not published in templates; publish it first, or \
         correct its id"
    );
    assert_eq!(
        only(&built(json!({"extends": {"id": "footer", "version": "2.0.0"}}))),
        "references.unknown /content/extends: the template 'footer 2.0.0' is not published in templates; publish it first, \
         or correct its id or its version"
    );
    assert_eq!(
        only(&built(json!({"extends": "other"}))),
        "references.self /content/extends: the template 'other' builds upon itself; remove this reference"
    );
    assert_eq!(
        only(&built(json!({"includes": [{"version": "1.0.0"}]}))),
        "references.form /content/includes/0: the reference names no template: it is neither a text nor an object with an \
         'id'; write the id under which the template is published, or {\"id\": …, \"version\": …}"
    );
}

/// A registry in which each template includes the next.
fn chain(bench: Bench, names: &[&str]) -> Bench {
    names.windows(2).fold(bench, |bench, pair| {
        let content = json!({"body": "a", "includes": [pair[1]], "parameters": [{"name": format!("of-{}", pair[0])}]});
        bench.published("templates", pair[0], "1.0.0", json!({"content": content}))
    })
}

#[test]
fn tells_circles_and_too_many_templates() {
    let submission = with(&json!({"templateId": "other", "content": {"body": "a", "includes": ["b"]}}));
    let circle = chain(bench(submission.clone()), &["b", "c", "other"]);
    assert_eq!(
        only(&circle.validate::<TemplateRules>()),
        "references.cycle /content/includes/0: the templates build upon each other in a circle: other -> b -> c -> other; \
         remove this reference, or another one of the circle"
    );
    let among_themselves = chain(bench(submission.clone()), &["b", "c", "b"]);
    assert_eq!(among_themselves.validate::<TemplateRules>(), [], "it is theirs to mend");
    let long = chain(bench(submission), &["b", "c", "d", "e", "footer"]).settings(json!({"references_max": 3}));
    assert_eq!(
        only(&long.validate::<TemplateRules>()),
        "references.count /content/includes/0: the template builds upon more than 3 templates, those of the included ones \
         counted; build upon at most 3, or raise 'references_max'"
    );
}

#[test]
fn what_an_included_template_declares_is_declared() {
    let content = json!({
        "body": "{{ of-b }} {{ of-c }} {{ own }}",
        "includes": ["b"],
        "parameters": [{"name": "own", "description": "A."}, {"name": "of-c", "description": "Given on."}],
    });
    let submission = with(&json!({"templateId": "other", "content": content}));
    assert_eq!(chain(bench(submission), &["b", "c", "footer"]).validate::<TemplateRules>(), []);
    let only_given_on = json!({"body": "a", "includes": ["b"], "parameters": [{"name": "of-c", "description": "A."}]});
    let submission = with(&json!({"templateId": "other", "content": only_given_on}));
    assert_eq!(chain(bench(submission), &["b", "c", "footer"]).validate::<TemplateRules>(), []);
    let unknown = json!({"body": "{{ whose }}", "includes": ["b"]});
    let findings = check(json!({"content": unknown}));
    assert_eq!(codes(&findings), ["references.unknown"], "it may be declared there");
}

/// What is found in a new version of the template whose active one is 1.2.0.
fn next(version: &str, parameters: Value) -> Vec<Finding> {
    let names = parameters.as_array().expect("a list").iter().filter_map(|parameter| parameter["name"].as_str());
    let body = names.map(|name| format!("{{{{ {name} }}}}")).collect::<String>();
    let content = json!({"body": body + ".", "parameters": parameters});
    let mut findings = bench(with(&json!({"version": version, "content": content}))).validate::<TemplateRules>();
    findings.retain(|finding| finding.severity != Severity::Info);
    findings
}

#[test]
fn asks_for_a_major_version_where_a_template_breaks_its_users() {
    let kept = json!([{"name": "customer"}, {"name": "order"}]);
    assert_eq!(
        only(&next("1.3.0", kept.clone())),
        "compatibility.removed /content/parameters: the parameter 'carrier' of 1.2.0 is gone; keep it, optional, or publish \
         2.0.0 [[{\"op\":\"replace\",\"path\":\"/version\",\"value\":\"2.0.0\"}]]"
    );
    assert_eq!(next("2.0.0", kept.clone()), []);
    assert_eq!(next("2.0.0-rc.1", kept.clone()), []);
    assert_eq!(codes(&next("1.2.1", kept)), ["compatibility.removed"]);

    let with_carrier = |more: Value, carrier: Value| {
        let mut parameters = json!([{"name": "customer"}, {"name": "order"}, {"name": "carrier"}]);
        for (name, value) in carrier.as_object().expect("an object") {
            parameters[2][name] = value.clone();
        }
        parameters.as_array_mut().expect("a list").extend(more.as_array().expect("a list").iter().cloned());
        next("1.3.0", parameters)
    };
    let default = json!({"default": "post"});
    assert_eq!(
        with_carrier(json!([{"name": "gift", "default": "no"}, {"name": "note", "required": false}]), default.clone()),
        []
    );
    assert_eq!(
        only(&with_carrier(json!([{"name": "gift"}]), default)),
        "compatibility.required /content/parameters/3: the parameter 'gift' is new since 1.2.0 and must be given; give it a \
         default or \"required\": false, or publish 2.0.0 [[{\"op\":\"replace\",\"path\":\"/version\",\"value\":\"2.0.0\"}]]"
    );
    let carrier =
        |carrier: Value| only(&with_carrier(json!([]), carrier)).split(';').next().expect("a text").to_owned();
    assert_eq!(
        carrier(json!({})),
        "compatibility.required /content/parameters/2: the parameter 'carrier' must be given, and 1.2.0 does without"
    );
    assert_eq!(
        carrier(json!({"type": "integer", "default": 1})),
        "compatibility.type /content/parameters/2: the parameter 'carrier' has the type integer, in 1.2.0 it is string"
    );
    assert_eq!(
        carrier(json!({"default": "post", "enum": ["post", "drone"]})),
        "compatibility.enum /content/parameters/2/enum: the parameter 'carrier' no longer takes 'courier', as it does in 1.2.0"
    );
    let any = json!([{"name": "customer", "enum": ["ada"]}, {"name": "order"}, {"name": "carrier", "default": "post"}]);
    assert_eq!(next("1.3.0", any)[0].message, "the parameter 'customer' takes some values alone, in 1.2.0 all");
}

#[test]
fn a_published_version_is_not_compared_with_the_active_one() {
    let bench = bench(with(&json!({"version": "1.0.0", "content": "Your order is on its way."})))
        .published("templates", "order-shipped", "1.0.0", published("1.0.0", json!("Your order is on its way.")))
        .active("templates", "order-shipped", "1.2.0");
    assert_eq!(bench.validate::<TemplateRules>(), [], "a rollback asks about it too");
}

#[test]
fn a_parameter_that_an_included_template_declares_is_not_gone() {
    let content = json!({"body": "{{ customer }} {{ order }}.", "includes": ["carriers"], "parameters": [
        {"name": "customer", "description": "Who ordered."}, {"name": "order", "description": "Its number."},
    ]});
    let carriers = json!({"content": {"body": "{{ carrier }}", "parameters": [{"name": "carrier"}]}});
    let bench = bench(with(&json!({"content": content}))).published("templates", "carriers", "1.0.0", carriers);
    assert_eq!(bench.validate::<TemplateRules>(), []);
}
