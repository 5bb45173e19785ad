//! Templates as those meet them who publish one and those who fill it in: published over HTTP, read again, and never
//! changed under the feet of those who use them.

use serde_json::{Value, json};

use crate::support::host::{Answer, Host, Options};

/// An invitation, in a version, with these parameters.
fn invitation(version: &str, body: &str, parameters: &Value) -> Value {
    json!({
        "templateId": "invitation", "name": "Invitation", "version": version, "category": "email", "language": "en",
        "description": "Invites somebody to an event.", "tags": ["events"],
        "content": {"format": "text", "body": body, "parameters": parameters},
    })
}

fn publish(host: &Host, submission: &Value) -> Answer {
    host.post("/api/templates/publish", submission)
}

/// What was found, each as code, path and help.
fn told(answer: &Answer) -> Vec<String> {
    let findings = answer.body["findings"].as_array().unwrap_or_else(|| panic!("findings: {answer:?}"));
    let word = |finding: &Value, field: &str| finding[field].as_str().unwrap_or_default().to_owned();
    findings
        .iter()
        .map(|finding| format!("{} {}: {}", word(finding, "code"), word(finding, "path"), word(finding, "help")))
        .collect()
}

#[test]
fn a_template_is_published_and_read_with_what_stands_beside_its_content() {
    let host = Options::examples().start();
    let parameters = json!([{"name": "guest", "description": "Who is invited.", "default": "friend"}]);
    let submission = invitation("1.0.0", "Dear {{ guest }}, will you come?", &parameters);
    let published = publish(&host, &submission);
    assert_eq!(published.status, 201, "{published:?}");
    assert_eq!(published.body["decision"]["findings"], json!([]));
    let read = host.get("/api/templates/invitation").body;
    for field in ["templateId", "name", "version", "description", "tags", "category", "language", "content"] {
        assert_eq!(read[field], submission[field], "{field}");
    }
    // A text can be the whole content, and what looks like a placeholder of a manifest is text in it.
    let short = json!({
        "templateId": "greeting", "name": "Greeting", "version": "1.0.0", "description": "Greets.",
        "content": "Good day, ${USER}.",
    });
    assert_eq!(publish(&host, &short).status, 201);
    assert_eq!(host.get("/api/templates/greeting").body["content"], "Good day, ${USER}.");
    let wrong = publish(&host, &json!({"templateId": "n", "name": "N", "version": "1.0.0", "content": 3}));
    assert_eq!(told(&wrong), ["schema.type /content: "]);
}

#[test]
fn a_version_that_breaks_those_who_use_the_active_one_is_a_major_one() {
    let host = Options::examples().start();
    let guest = json!({"name": "guest", "description": "Who is invited.", "default": "friend"});
    let place = json!({"name": "place", "description": "Where it is."});
    let first = invitation("1.0.0", "Dear {{ guest }}, come.", &json!([guest]));
    assert_eq!(publish(&host, &first).status, 201);

    let asks_more = |version| invitation(version, "Dear {{ guest }}, come to {{ place }}.", &json!([guest, place]));
    let refused = publish(&host, &asks_more("1.1.0"));
    assert_eq!(refused.status, 422, "{refused:?}");
    assert_eq!(
        told(&refused),
        ["compatibility.required /content/parameters/1: give it a default or \"required\": false, or publish 2.0.0"]
    );
    assert_eq!(publish(&host, &asks_more("2.0.0")).status, 201);

    // The version that is gone back to is not held to the one that it replaces, and what comes after it is.
    let back = host.post("/api/templates/invitation/rollback", &json!({"targetVersion": "1.0.0"}));
    assert_eq!((back.status, &back.body["report"]["valid"]), (200, &json!(true)), "{back:?}");
    let forward = host.post("/api/templates/invitation/rollback", &json!({"targetVersion": "2.0.0"}));
    assert_eq!(forward.status, 200, "{forward:?}");
    let gone = publish(&host, &invitation("2.1.0", "Dear friend, come to {{ place }}.", &json!([place])));
    assert_eq!(told(&gone), ["compatibility.removed /content/parameters: keep it, optional, or publish 3.0.0"]);
}

#[test]
fn templates_that_build_upon_each_other_are_read_from_the_registry() {
    let host = Options::examples().start();
    let template = |id: &str, version: &str, content: Value| {
        let submission = json!({
            "templateId": id, "name": id, "version": version, "description": "A part of a mail.", "content": content,
        });
        publish(&host, &submission)
    };
    let early = template("mail", "1.0.0", json!({"body": "Hello. {{ company }}", "includes": ["footer"]}));
    assert_eq!(told(&early), ["references.unknown /content/includes/0: publish it first, or correct its id"]);
    let footer = json!({"body": "{{ company }}", "parameters": [{"name": "company", "description": "Who writes."}]});
    assert_eq!(template("footer", "1.0.0", footer).status, 201);
    let mail = template("mail", "1.0.0", json!({"body": "Hello. {{ company }}", "includes": ["footer"]}));
    assert_eq!(mail.status, 201, "{mail:?}");
    let circle = json!({
        "body": "{{ company }}", "extends": "mail", "parameters": [{"name": "company", "description": "Who writes."}],
    });
    assert_eq!(
        told(&template("footer", "1.1.0", circle)),
        ["references.cycle /content/extends: remove this reference, or another one of the circle"]
    );
}
