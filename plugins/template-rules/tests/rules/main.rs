//! Every rule, with the words that people read.

mod parameters;
mod registry;

use std::time::{Duration, Instant};

use hallmark_plugin::serde_json::{Value, json};
use hallmark_plugin::testing::Bench;
use hallmark_plugin::{Finding, Severity};
use shared_rules::testing::{check_codes, check_settings, only, told};
use template_rules::{Settings, TemplateRules};

/// A content that is right.
fn content() -> Value {
    json!({
        "format": "text",
        "subject": "Your order {{ order }}",
        "body": "Dear {{ customer }},\n\nyour order {{ order }} is with {{ carrier }}.\n",
        "parameters": [
            {"name": "customer", "description": "Who ordered."},
            {"name": "order", "description": "The order's number.", "type": "string", "required": true},
            {"name": "carrier", "description": "Who brings it.", "default": "post", "enum": ["post", "courier"]},
        ],
    })
}

/// A submission that is right, in a registry with its 1.2.0 and the template `footer`.
fn right() -> Value {
    json!({
        "templateId": "order-shipped",
        "name": "Order shipped",
        "version": "1.3.0",
        "description": "Tells a customer that the order is on its way.",
        "category": "email",
        "tags": ["orders"],
        "content": content(),
    })
}

fn published(version: &str, content: Value) -> Value {
    json!({"templateId": "order-shipped", "name": "Order shipped", "version": version, "content": content})
}

fn bench(submission: Value) -> Bench {
    let text = |field: &str| submission[field].as_str().expect("a text").to_owned();
    let (id, version) = (text("templateId"), text("version"));
    Bench::new()
        .subject(|subject| {
            subject.module = "templates".to_owned();
            subject.kind = "templates".to_owned();
            subject.document = "/content".to_owned();
            (subject.id, subject.version) = (id, version);
        })
        .submission(submission)
        .published("templates", "order-shipped", "1.2.0", published("1.2.0", content()))
        .published("templates", "footer", "1.0.0", json!({"version": "1.0.0", "content": "The order team"}))
        .published("templates", "circular", "1.0.0", json!({"content": {"body": "a", "extends": "order-shipped"}}))
}

/// The right submission with members changed.
fn with(changes: &Value) -> Value {
    let mut submission = right();
    for (name, value) in changes.as_object().expect("an object") {
        submission[name] = value.clone();
    }
    submission
}

/// What is found in the right submission with members changed, of an entry that has no version yet: so nothing is
/// compared with one.
fn check(changes: Value) -> Vec<Finding> {
    check_with(Value::Null, changes)
}

fn check_with(settings: Value, changes: Value) -> Vec<Finding> {
    let mut submission = with(&changes);
    if changes.get("templateId").is_none() {
        submission["templateId"] = "other".into();
    }
    bench(submission).settings(settings).validate::<TemplateRules>()
}

fn codes(findings: &[Finding]) -> Vec<&str> {
    findings.iter().map(|finding| finding.code.as_str()).collect()
}

#[test]
fn accepts_what_is_right() {
    assert_eq!(bench(right()).validate::<TemplateRules>(), []);
    assert_eq!(check(json!({"content": "Good day.", "category": null, "tags": null})), []);
    let scaffold = json!({
        "files": [
            {"path": "{{ name }}/README.md", "body": "# {{ name }}\n"},
            {"path": "{{ name }}/.github/build.yaml", "body": "run: echo \\{{ github.ref }}\n"},
        ],
        "parameters": [{"name": "name", "description": "The project."}],
    });
    assert_eq!(check(json!({"content": scaffold})), []);
    let prompt = json!({
        "messages": [{"role": "system", "body": "You summarise."}, {"role": "user", "body": "{{ text }}"}],
        "parameters": [{"name": "text", "description": "What is summarised."}],
    });
    assert_eq!(check(json!({"content": prompt})), []);
}

#[test]
fn asks_for_a_well_formed_id_version_and_tags() {
    assert_eq!(
        only(&check(json!({"templateId": "Order Shipped"}))),
        "id.form /templateId: the id 'Order Shipped' is not lower case letters and digits joined by single '-', '.' or \
         '_', a letter first; choose an id such as 'order-shipped'"
    );
    assert_eq!(check(json!({"templateId": "!"}))[0].help.as_deref(), Some("choose an id such as 'daily-report'"));
    assert_eq!(codes(&check(json!({"version": "1.3"}))), ["version.form"]);
    assert_eq!(codes(&bench(with(&json!({"version": "1.1.9"}))).validate::<TemplateRules>()), ["version.lower"]);
    assert_eq!(codes(&check(json!({"tags": ["Orders", "b", "b"]}))), ["tags.form", "tags.duplicate"]);
}

#[test]
fn asks_what_the_template_is_for() {
    for blank in [json!(null), json!(" ")] {
        let findings = check(json!({"description": blank}));
        assert_eq!(
            only(&findings),
            "description.missing : the template has no description; say in 'description' what it is for"
        );
        assert_eq!(findings[0].severity, Severity::Warning);
    }
}

#[test]
fn asks_for_a_category_that_there_is() {
    let settings = json!({"categories": ["email", "prompt"]});
    assert_eq!(
        only(&check_with(settings.clone(), json!({"category": "Emial"}))),
        "category.unknown /category: there is no category 'Emial'; write 'email'; there are email, prompt \
         [[{\"op\":\"replace\",\"path\":\"/category\",\"value\":\"email\"}]]"
    );
    assert_eq!(
        only(&check_with(settings.clone(), json!({"category": "invoices"}))),
        "category.unknown /category: there is no category 'invoices'; there are email, prompt"
    );
    assert_eq!(check_with(settings, json!({"category": "prompt"})), []);
    assert_eq!(
        only(&check(json!({"category": "E-Mails & more"}))),
        "category.form /category: the category 'E-Mails & more' is not lower case letters and digits joined by single \
         '-', '.' or '_'; write 'e-mails-more' \
         [[{\"op\":\"replace\",\"path\":\"/category\",\"value\":\"e-mails-more\"}]]"
    );
}

#[test]
fn asks_for_a_text_that_is_not_too_large() {
    for blank in [json!(" \n"), json!({}), json!({"body": ""}), json!({"files": [{"path": "", "body": ""}]})] {
        assert!(codes(&check(json!({"content": blank}))).contains(&"content.blank"), "{blank}");
    }
    assert_eq!(
        only(&check(json!({"content": ""}))),
        "content.blank /content: the template has no text; write it as the content itself, as its 'body', or as the \
         bodies of 'messages' or 'files'"
    );
    assert_eq!(check(json!({"content": {"extends": "footer"}})), []);
    let settings = json!({"content_size_max_bytes": 10});
    assert_eq!(
        only(&check_with(settings, json!({"content": {"subject": "äöü", "body": "{{ nobody }}"}}))),
        "content.size /content: the template's texts have 18 bytes, 10 are allowed; divide it into templates that include \
         each other, or keep data out of it"
    );
}

#[test]
fn asks_for_placeholders_that_are_whole() {
    let body = |body: &str| check(json!({"content": {"body": body}}));
    assert_eq!(
        only(&body("Dear {{ customer,\nyour order")),
        "placeholders.unclosed /content/body: the placeholder that begins with '{{ customer,' in line 1 has no '}}'; close \
         it in the same line, as in {{ name }}; a '{{' that is text is written '\\{{'"
    );
    assert_eq!(
        only(&body("Dear { customer }},")),
        "placeholders.unopened /content/body: a '}}' ends no placeholder; begin it, as in {{ name }}, or take the '}}' out"
    );
    assert_eq!(
        only(&body("a\n\n{{}}")),
        "placeholders.form /content/body: a placeholder in line 3 is empty; write the name of a parameter, as in {{ name }}"
    );
    assert_eq!(
        only(&body("{{#each orders}}")),
        "placeholders.form /content/body: the placeholder '{{#each orders}}' does not hold a name; write the name of a \
         parameter alone, as in {{ name }}: letters, digits, '_' and '-'; sections, filters and partials are not known here"
    );
    assert_eq!(
        only(&body("{{ customer.name }}")),
        "placeholders.form /content/body: the placeholder '{{ customer.name }}' has a dotted name; pass the member as a \
         parameter of its own; the setting 'dotted_names' would allow it"
    );
    assert_eq!(codes(&body("{\"a\":{\"b\":{}}}")), [""; 0]);
    let other = json!({"placeholder_open": "<%", "placeholder_close": "%>"});
    assert!(
        only(&check_with(other, json!({"content": "<% a"})))
            .contains("close it in the same line, as in <% name %>; a '<%'")
    );
    let parts = json!({"content": {"messages": [{"role": "user", "body": "a"}, {"role": "{{", "body": "{{"}]}});
    assert_eq!(check(parts)[0].path, "/content/messages/1/body", "a role is no text of the template");
}

#[test]
fn a_placeholder_with_more_than_a_name_counts_as_its_use() {
    let content = json!({"body": "{{ name | upper }}", "parameters": [{"name": "name", "description": "A name."}]});
    assert_eq!(codes(&check(json!({"content": content}))), ["placeholders.form"]);
}

#[test]
fn asks_for_members_of_what_has_members() {
    let settings = json!({"dotted_names": true});
    let typed = |kind: &str| {
        let parameter = json!({"name": "customer", "description": "Who ordered.", "type": kind});
        check_with(settings.clone(), json!({"content": {"body": "{{ customer.name }}", "parameters": [parameter]}}))
    };
    assert_eq!(typed("object"), []);
    assert_eq!(
        only(&typed("string")),
        "placeholders.member /content/body: the placeholder '{{ customer.name }}' reads a member of 'customer', which has \
         the type string; declare 'customer' with the type object, or write {{ customer }}"
    );
}

#[test]
fn keeps_files_in_their_folder() {
    let path = |path: Value| check(json!({"content": {"files": [{"path": path, "body": "a"}]}}));
    assert_eq!(
        only(&path(json!("../a"))),
        "files.path /content/files/0/path: the path '../a' leads out of the template's folder; write it from the folder that \
         the template is unfolded in, such as 'src/main.py'"
    );
    let why = |text: &str| path(json!(text))[0].message.clone();
    assert_eq!(why("/etc/a"), "the path '/etc/a' does not begin in the template's folder");
    assert_eq!(why("C:a"), "the path 'C:a' does not begin in the template's folder");
    assert_eq!(why("a\\b"), "the path 'a\\b' holds a backslash");
    assert_eq!(path(json!(null))[0].path, "/content/files/0");
    assert_eq!(path(json!("a/..b")), []);
    let twice = json!({"files": [{"path": "a", "body": "1"}, {"path": "a", "body": "2"}]});
    assert_eq!(
        only(&check(json!({"content": twice}))),
        "files.duplicate /content/files/1/path: the path 'a' is already that of the file at /content/files/0/path; give \
         each file its own path"
    );
}

#[test]
fn asks_for_encrypted_addresses() {
    assert_eq!(
        only(&check(json!({"content": "See\nhttp://example.org/a?b, http://localhost:80 and HTTP://b.example"}))),
        "urls.in-clear /content: 'http://example.org/a?b' in line 2 is reached without encryption, and 1 more; write \
         https:// (wss:// for ws://), or name the host in the setting 'http_hosts_allowed' [[{\"op\":\"test\",\
         \"path\":\"/content\",\"value\":\"See\\nhttp://example.org/a?b, http://localhost:80 and HTTP://b.example\"},\
         {\"op\":\"replace\",\"path\":\"/content\",\"value\":\"See\\nhttps://example.org/a?b, http://localhost:80 and \
         https://b.example\"}]]"
    );
    assert_eq!(check(json!({"content": "ftp://example.org"}))[0].fix, None);
    assert_eq!(check(json!({"metadata": {"homepage": "http://example.org"}}))[0].path, "/metadata/homepage");
    let allowed = json!({"http_hosts_allowed": ["Example.org"]});
    assert_eq!(check_with(allowed, json!({"content": "http://docs.example.org"})), []);
}

#[test]
fn keeps_credentials_out_without_showing_them() {
    let token = format!("ghp_{}", "a1B2c3".repeat(6));
    let findings = check(json!({"content": format!("a\nuse {token}")}));
    assert_eq!(
        only(&findings),
        "secrets.in-clear /content: the text holds what looks like a token of GitHub in line 2; make it a parameter without \
         a default, and revoke this one: it was sent"
    );
    let default = json!([{"name": "key", "description": "A key.", "default": "AKIAIOSFODNN7EXAMPLE"}]);
    let findings = parameters::found(default);
    assert_eq!(
        (findings[0].code.as_str(), findings[0].path.as_str()),
        ("secrets.in-clear", "/content/parameters/0/default")
    );
    assert!(!told(&findings[0]).contains("AKIA"));
}

#[test]
fn flags_folders_of_people() {
    let findings = check(json!({"content": "cd /home/ada/work\ncd C:\\Users\\ada"}));
    assert_eq!(
        only(&findings),
        "paths.personal /content: '/home/ada' in line 1 is a folder of a person's machine, and 1 more; write the path from \
         the project's folder, or make it a parameter"
    );
    assert_eq!(findings[0].severity, Severity::Warning);
}

#[test]
fn counts_the_findings_that_it_does_not_show() {
    let body: String = (0..600).map(|number| format!("{{{{ name-{number} }}}}")).collect();
    let findings = check(json!({"content": {"body": body}}));
    assert_eq!(findings.len(), 201);
    assert_eq!(
        told(&findings[200]),
        "findings.omitted : 400 further findings are not shown; mend what is shown and check again"
    );
}

/// Contents of the largest size that are wrong everywhere, each in the way that makes the most work.
#[test]
fn stays_fast_with_what_is_wrong_everywhere() {
    const SIZE_BYTES: usize = 256 * 1024;
    let filled = |part: &str| part.repeat(SIZE_BYTES / part.len());
    let names: String = (0..SIZE_BYTES / 10).map(|number| format!("{{{{n{number:05}}}}}")).collect();
    let near: Vec<_> = (0..2_000).map(|number| json!({"name": format!("n{number:05}x")})).collect();
    let mut texts = vec![names];
    texts.extend(
        ["{{", "}}", "{{ a b }}", "http://a.b ", "/home/ada ", "eyJ", "eyJaaaaaaaaaa.", "SG.", "token=", "://a:", "= "]
            .map(filled),
    );
    for text in texts {
        let started = Instant::now();
        let findings = check(json!({"content": {"body": text, "parameters": near}}));
        let (shown, taken) = (&text[..10], started.elapsed());
        assert!(findings.len() <= 201, "{shown}");
        // Natively and without optimisation; in the sandbox it is a small part of that.
        assert!(taken < Duration::from_secs(20), "{shown} took {taken:?}");
    }
}

#[test]
fn refuses_wrong_settings_with_their_place() {
    let refused = |settings: Value| {
        let findings =
            Bench::new().settings(settings).configure_validator::<TemplateRules>().expect_err("wrong settings");
        format!("{}: {}", findings[0].path, findings[0].message)
    };
    assert_eq!(
        refused(json!({"placeholder_open": "<a"})),
        "/placeholder_open: '<a' cannot stand beside a name: the name could go on in it"
    );
    assert_eq!(
        refused(json!({"placeholder_close": " "})),
        "/placeholder_close: ' ' cannot stand beside a name: the name could go on in it"
    );
    assert_eq!(
        refused(json!({"severities": {"urls": "info"}})),
        "/severities/urls: 'urls' is not a finding code of this plugin"
    );
    assert!(refused(json!({"category": []})).contains("unknown field `category`"));
}

#[test]
fn the_schema_says_the_defaults_that_apply() {
    check_settings::<TemplateRules>(&Settings::default(), include_str!("../../README.md"));
}

#[test]
fn documents_every_code_with_an_example_that_gives_it() {
    check_codes::<TemplateRules>(include_str!("../../README.md"), |settings, example| {
        bench(with(&example)).settings(settings).validate::<TemplateRules>()
    });
}
