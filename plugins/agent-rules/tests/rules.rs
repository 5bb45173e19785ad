//! Every rule, with the words that people read.

use agent_rules::{AgentRules, Settings};
use hallmark_plugin::serde_json::{Value, json};
use hallmark_plugin::testing::Bench;
use hallmark_plugin::{Finding, Severity};
use shared_rules::testing::{check_codes, check_settings, only, told};

/// A submission that is right, in a registry with its 1.2.0 and the service `billing`.
fn right() -> Value {
    json!({
        "agentId": "my-agent",
        "name": "My agent",
        "version": "1.3.0",
        "capabilities": ["search", {"name": "summarise"}],
        "tags": ["sales", "stage:discovery"],
        "manifest": {
            "spec": {
                "tools": [{"name": "web", "capability": "search"}, {"capabilities": ["summarise"]}],
                "permissions": {"roles": [{"reader": ["value.models"]}], "audit": [{"log": true}]},
                "services": ["billing"],
            },
            "services": [{"name": "billing", "version": "^1"}, {"id": "billing"}],
        },
    })
}

fn bench(submission: Value) -> Bench {
    let text = |field: &str| submission[field].as_str().expect("a text").to_owned();
    let (id, version) = (text("agentId"), text("version"));
    Bench::new()
        .subject(|subject| {
            subject.id = id;
            subject.version = version;
        })
        .submission(submission)
        .published("agents", "my-agent", "1.0.0", json!({}))
        .published("agents", "my-agent", "1.2.0", json!({}))
        .active("agents", "my-agent", "1.0.0")
        .published("services", "billing", "2.0.0", json!({}))
}

/// The right submission with members changed.
fn with(changes: &Value) -> Value {
    let mut submission = right();
    for (name, value) in changes.as_object().expect("an object") {
        submission[name] = value.clone();
    }
    submission
}

fn check(changes: Value) -> Vec<Finding> {
    bench(with(&changes)).validate::<AgentRules>()
}

#[test]
fn accepts_what_is_right() {
    assert_eq!(check(json!({})), []);
    assert_eq!(check(json!({"capabilities": null, "tags": null, "manifest": {}})).len(), 0);
}

#[test]
fn accepts_the_first_version_of_an_agent() {
    assert_eq!(check(json!({"agentId": "another", "version": "0.1.0-alpha.1+build.5"})), []);
}

#[test]
fn asks_for_a_well_formed_id() {
    assert_eq!(
        only(&check(json!({"agentId": "1 My  Agent!"}))),
        "id.form /agentId: the id '1 My  Agent!' is not lower case letters and digits joined by single '-', '.' or '_', \
         a letter first; choose an id such as 'my-agent'"
    );
    let long = "a".repeat(65);
    assert_eq!(
        only(&check(json!({"agentId": long}))),
        format!(
            "id.form /agentId: the id '{long}' has 65 characters, 64 are allowed; choose an id of at most 64 characters"
        )
    );
    assert_eq!(check(json!({"agentId": "a".repeat(64)})), []);
    for wrong in ["My-agent", "my--agent", "-agent", "agent-", "3d", "ägent"] {
        assert_eq!(check(json!({"agentId": wrong}))[0].code, "id.form", "{wrong}");
    }
    let elsewhere = bench(with(&json!({"agentId": "A"}))).settings(json!({"id_field": "a/b"})).validate::<AgentRules>();
    assert_eq!(elsewhere[0].path, "/a~1b");
}

#[test]
fn asks_for_a_semantic_version() {
    assert_eq!(
        only(&check(json!({"version": "v1.3"}))),
        "version.form /version: the version 'v1.3' is not a semantic version: unexpected character 'v' while parsing \
         major version number; write MAJOR.MINOR.PATCH, such as '1.3.0' \
         [[{\"op\":\"replace\",\"path\":\"/version\",\"value\":\"1.3.0\"}]]"
    );
    let finding = &check(json!({"version": "latest"}))[0];
    assert_eq!((finding.code.as_str(), finding.fix.as_deref()), ("version.form", None));
}

#[test]
fn refuses_a_new_version_below_the_highest() {
    assert_eq!(
        only(&check(json!({"version": "1.2.0-rc.1"}))),
        "version.lower /version: the version 1.2.0-rc.1 is lower than 1.2.0, the highest published version of \
         'my-agent'; publish 1.2.1 or higher; to go back to an older version, roll back"
    );
    assert_eq!(check(json!({"version": "1.0.0"})), [], "published already: the registry answers");
    assert_eq!(check(json!({"version": "1.2.0+other"})), [], "build metadata has no order");
    let allowed = bench(with(&json!({"version": "1.0.9"}))).settings(json!({"allow_lower_version": true}));
    assert_eq!(allowed.validate::<AgentRules>(), []);
    let after_a_candidate =
        bench(with(&json!({"version": "1.9.0"}))).published("agents", "my-agent", "2.0.0-rc.1", json!({}));
    assert!(
        after_a_candidate.validate::<AgentRules>()[0].help.as_deref().expect("help").starts_with("publish 2.0.0 or")
    );
    let no_order = bench(right()).published("agents", "my-agent", "tuesday", json!({}));
    assert_eq!(no_order.validate::<AgentRules>(), []);
}

#[test]
fn asks_for_each_capability_once_and_named() {
    assert_eq!(
        only(&check(json!({"capabilities": ["search", "summarise", {"id": "search"}]}))),
        "capabilities.duplicate /capabilities/2/id: the capability 'search' is already declared at /capabilities/0; \
         remove this declaration [[{\"op\":\"test\",\"path\":\"/capabilities/2\",\"value\":{\"id\":\"search\"}},\
         {\"op\":\"remove\",\"path\":\"/capabilities/2\"}]]"
    );
    assert_eq!(
        only(&check(json!({"capabilities": ["search", "summarise", " "]}))),
        "capabilities.form /capabilities/2: the capability has no name: it is neither a text nor an object with a \
         'name', 'id' or 'slug'; write the capability's name"
    );
    assert_eq!(check(json!({"capabilities": ["search", "summarise", 3]}))[0].path, "/capabilities/2");
    assert_eq!(check(json!({"capabilities": {"search": true}}))[0].code, "submission.unreadable");
}

#[test]
fn asks_for_used_capabilities_to_be_declared() {
    assert_eq!(
        only(&check(json!({"capabilities": ["search"]}))),
        "capabilities.undeclared /manifest/spec/tools/1/capabilities/0: the manifest uses the capability 'summarise', \
         which /capabilities does not declare; add 'summarise' to /capabilities, or stop using it \
         [[{\"op\":\"add\",\"path\":\"/capabilities/-\",\"value\":\"summarise\"}]]"
    );
    let mut without = right();
    without.as_object_mut().expect("an object").remove("capabilities");
    let findings = bench(without).validate::<AgentRules>();
    let fix = r#"[{"op":"add","path":"/capabilities","value":["search","summarise"]}]"#;
    assert_eq!(findings.iter().filter_map(|finding| finding.fix.as_deref()).collect::<Vec<_>>(), [fix, fix]);

    let every_place = json!({"manifest": {
        "capabilities": ["a", {"name": "b"}],
        "steps": [{"capability": "c"}, {"capability": "a"}],
        "spec": {"capabilities": ["d"], "steps": [{"capabilities": ["e"]}], "tools": [{"capability": {"id": "f"}}]},
    }});
    let places: Vec<_> = check(every_place).into_iter().map(|finding| finding.path).collect();
    assert_eq!(
        places,
        [
            "/manifest/capabilities/0",
            "/manifest/capabilities/1/name",
            "/manifest/steps/0/capability",
            "/manifest/spec/capabilities/0",
            "/manifest/spec/steps/0/capabilities/0",
            "/manifest/spec/tools/0/capability/id",
        ]
    );
    let own = json!({"manifest": {"plan": [{"do": {"needs": "fly"}}]}});
    let findings =
        bench(with(&own)).settings(json!({"capability_paths": ["$.manifest..needs"]})).validate::<AgentRules>();
    assert_eq!(findings[0].path, "/manifest/plan/0/do/needs");
    let off = bench(with(&json!({"capabilities": []}))).settings(json!({"capability_paths": []}));
    assert_eq!(off.validate::<AgentRules>(), []);
}

#[test]
fn flags_wildcards_by_their_reach() {
    let roles =
        |permission: &str| json!({"manifest": {"spec": {"permissions": {"roles": [{"a": ["x.y", permission]}]}}}});
    assert_eq!(
        only(&check(roles("*.*"))),
        "permissions.wildcard /manifest/spec/permissions/roles/0/a/1: the permission '*.*' grants everything; name what \
         the agent needs"
    );
    let scoped = check(roles("agent.*"));
    assert_eq!(
        only(&scoped),
        "permissions.wildcard-scoped /manifest/spec/permissions/roles/0/a/1: the permission 'agent.*' has a wildcard: it \
         also grants what is added there later; name what the agent needs in this scope"
    );
    assert_eq!(scoped[0].severity, Severity::Warning);
    let settings = json!({"permissions_allowed": ["agent.*"]});
    assert_eq!(bench(with(&roles("agent.*"))).settings(settings).validate::<AgentRules>(), []);
    let settings = json!({"severities": {"permissions.wildcard-scoped": "error", "permissions.wildcard": "info"}});
    let weigh = |permission: &str| {
        bench(with(&roles(permission))).settings(settings.clone()).validate::<AgentRules>()[0].severity
    };
    assert_eq!((weigh("agent.*"), weigh("*")), (Severity::Error, Severity::Info));

    let member_names = check(json!({"manifest": {"permissions": {"*": "read", "tools": {"db.*": true}}}}));
    let places: Vec<_> = member_names.iter().map(|finding| (finding.code.as_str(), finding.path.as_str())).collect();
    assert_eq!(
        places,
        [
            ("permissions.wildcard", "/manifest/permissions/*"),
            ("permissions.wildcard-scoped", "/manifest/permissions/tools/db.*"),
        ]
    );
    assert_eq!(check(json!({"manifest": {"permissions": "*"}}))[0].path, "/manifest/permissions");
}

#[test]
fn asks_for_few_well_formed_tags() {
    let many: Vec<_> = (0..21).map(|number| format!("tag-{number}")).collect();
    assert_eq!(
        only(&check(json!({"tags": many}))),
        "tags.count /tags: there are 21 tags, 20 are allowed; keep at most 20 tags, those that people search for"
    );
    assert_eq!(
        only(&check(json!({"tags": ["Data Science"]}))),
        "tags.form /tags/0: the tag 'Data Science' is not lower case letters and digits joined by single '-', '.', '_' or \
         ':'; write 'data-science' [[{\"op\":\"replace\",\"path\":\"/tags/0\",\"value\":\"data-science\"}]]"
    );
    assert_eq!(
        only(&check(json!({"tags": ["Sales", "sales"]}))),
        "tags.form /tags/0: the tag 'Sales' is not lower case letters and digits joined by single '-', '.', '_' or ':'; \
         remove this tag, since 'sales' is there too [[{\"op\":\"test\",\"path\":\"/tags/0\",\"value\":\"Sales\"},\
         {\"op\":\"remove\",\"path\":\"/tags/0\"}]]"
    );
    assert_eq!(
        only(&check(json!({"tags": ["sales", "sales"]}))),
        "tags.duplicate /tags/1: the tag 'sales' is already there at /tags/0; remove this one \
         [[{\"op\":\"test\",\"path\":\"/tags/1\",\"value\":\"sales\"},{\"op\":\"remove\",\"path\":\"/tags/1\"}]]"
    );
    let nothing_left = &check(json!({"tags": ["!!"]}))[0];
    assert_eq!(nothing_left.help.as_deref(), Some("remove this tag, or use letters and digits"));
    assert!(check(json!({"tags": ["a".repeat(41)]}))[0].message.ends_with("has 41 characters, 40 are allowed"));
    assert_eq!(check(json!({"tags": ["A b", "a B"]})).len(), 2, "the second is removed, since the first becomes it");
    assert_eq!(
        check(json!({"tags": [1]}))[0].message,
        "/tags cannot be read: invalid type: integer `1`, expected a string"
    );
}

#[test]
fn asks_for_services_that_are_published() {
    assert_eq!(
        only(&check(json!({"manifest": {"services": ["billing", {"name": "bilingual"}]}}))),
        "services.unknown /manifest/services/1/name: the service 'bilingual' is not published in services; publish the \
         service first, or correct its id"
    );
    assert_eq!(
        only(&check(json!({"manifest": {"spec": {"services": [true]}}}))),
        "services.form /manifest/spec/services/0: the reference names no service: it is neither a text nor an object with \
         a 'name', 'id' or 'slug'; write the id under which the service is published in services"
    );
    let elsewhere = bench(right()).settings(json!({"services_kind": "backends"})).validate::<AgentRules>();
    assert_eq!(elsewhere[0].message, "the service 'billing' is not published in backends");
    let many: Vec<_> = (0..300).map(|number| format!("service-{number}")).collect();
    let findings = check(json!({"manifest": {"services": many}}));
    assert_eq!(findings.len(), 101);
    assert_eq!(
        told(&findings[100]),
        "services.count /manifest/services/100: the manifest refers to more than 100 different services; refer to at \
         most 100, or raise 'services_max'"
    );
}

#[test]
fn counts_the_findings_that_it_does_not_show() {
    let tags: Vec<_> = (0..600).map(|number| format!("Tag {number}")).collect();
    let findings = check(json!({"tags": tags}));
    assert_eq!(findings.len(), 201);
    assert_eq!(
        told(&findings[200]),
        "findings.omitted : 401 further findings are not shown; mend what is shown and check again"
    );
    assert_eq!(findings[200].severity, Severity::Error);
}

#[test]
fn huge_names_do_not_overrun_the_answer() {
    let huge = "x*".repeat(100_000);
    let names: Vec<_> = (0..20_000).map(|number| format!("capability-{number}")).collect();
    let mut submission = with(&json!({
        "tags": [huge, huge],
        "manifest": {"capabilities": names, "permissions": {huge.clone(): 1, format!("{huge}*"): huge}},
    }));
    submission.as_object_mut().expect("an object").remove("capabilities");
    let findings = bench(submission).validate::<AgentRules>();
    let size: usize = findings.iter().map(|finding| told(finding).len()).sum();
    assert!(size < 300 * 1024, "{size}");
    assert_eq!(findings.last().map(|finding| finding.code.as_str()), Some("findings.omitted"));
}

#[test]
fn refuses_wrong_settings_with_their_place() {
    let refused = |settings: Value| {
        let findings = Bench::new().settings(settings).configure_validator::<AgentRules>().expect_err("wrong settings");
        format!("{}: {}", findings[0].path, findings[0].message)
    };
    assert_eq!(
        refused(json!({"service_paths": ["$.a", "$.b[?@.c]"]})),
        "/service_paths/1: '$.b[?@.c]' cannot be used, at position 5: expected '*', a number or a name in quotes; \
         filters, slices and lists are not supported here"
    );
    assert_eq!(
        refused(json!({"severities": {"tags.counts": "info"}})),
        "/severities/tags.counts: 'tags.counts' is not a finding code of this plugin"
    );
    assert!(
        refused(json!({"severities": {"tags.count": "fatal"}})).starts_with("/severities/tags.count: unknown variant")
    );
    assert!(refused(json!({"tag_max": 1})).contains("unknown field `tag_max`"));
}

#[test]
fn the_schema_says_the_defaults_that_apply() {
    check_settings::<AgentRules>(&Settings::default(), include_str!("../README.md"));
}

#[test]
fn documents_every_code_with_an_example_that_gives_it() {
    check_codes::<AgentRules>(include_str!("../README.md"), |settings, example| {
        bench(with(&example)).settings(settings).validate::<AgentRules>()
    });
}
