//! Every rule, with the words that people read.

use std::time::{Duration, Instant};

use hallmark_plugin::serde_json::{Value, json};
use hallmark_plugin::testing::Bench;
use hallmark_plugin::{Finding, Severity, Substitution};
use service_rules::{ServiceRules, Settings};
use shared_rules::testing::{check_codes, check_settings, only};

fn bench(document: Value) -> Bench {
    Bench::new()
        .subject(|subject| {
            subject.module = "services".to_owned();
            subject.kind = "services".to_owned();
        })
        .submission(json!({"serviceId": "example", "name": "Example", "version": "1.0.0"}))
        .document(document)
        .published("services", "billing", "2.0.0", json!({}))
}

fn check(services: Value) -> Vec<Finding> {
    bench(json!({"services": services})).validate::<ServiceRules>()
}

fn check_with(settings: Value, services: Value) -> Vec<Finding> {
    bench(json!({"services": services})).settings(settings).validate::<ServiceRules>()
}

fn places(findings: &[Finding]) -> Vec<(&str, &str)> {
    findings.iter().map(|finding| (finding.code.as_str(), finding.path.as_str())).collect()
}

#[test]
fn accepts_what_is_right() {
    let services = json!([
        {
            "slug": "api",
            "baseUrl": "http://127.0.0.1:4000",
            "healthEndpoint": "/healthz?deep=1",
            "env": [{"key": "PORT", "value": "4000"}, {"key": "BILLING", "fromService": "billing"}],
            "port": 4000,
            "ports": ["4000:80"],
        },
        {
            "slug": "web",
            "baseUrl": "https://example.org/web",
            "healthEndpoint": "https://status.example.org/web",
            "dependsOn": ["api", {"service": "billing"}],
            "env": {"API": {"fromService": {"service": "api", "property": "baseUrl", "fallback": "x"}}, "PORT": "0"},
        },
        {"slug": "3d-view", "baseUrl": null, "dependsOn": "api"},
    ]);
    assert_eq!(check(services), []);
    assert_eq!(bench(json!({})).validate::<ServiceRules>(), []);
    assert_eq!(check(json!([])), []);
}

#[test]
fn asks_for_well_formed_slugs_that_are_unique() {
    assert_eq!(
        only(&check(json!([{"slug": "AI Connector"}]))),
        "slug.form /manifest/services/0/slug: the slug 'AI Connector' is not lower case letters and digits joined by \
         single dashes; choose a slug such as 'ai-connector'"
    );
    assert_eq!(
        only(&check(json!([{"slug": "api"}, {"slug": "web"}, {"slug": "api"}]))),
        "slug.duplicate /manifest/services/2/slug: the slug 'api' is already that of /manifest/services/0; give each \
         service its own slug"
    );
    assert_eq!(
        only(&check(json!([{"displayName": "API"}]))),
        "slug.form /manifest/services/0: the service has no slug; add a 'slug' such as 'ai-connector'"
    );
    assert_eq!(places(&check(json!([{"slug": 3}]))), [("slug.form", "/manifest/services/0/slug")]);
    for wrong in ["", "-a", "a-", "a--b", "a_b", "a.b", "ä"] {
        assert_eq!(check(json!([{"slug": wrong}]))[0].code, "slug.form", "{wrong}");
    }
    let long = check(json!([{"slug": "a".repeat(64)}]));
    assert!(long[0].message.ends_with("has 64 characters, 63 are allowed"), "{long:?}");
}

#[test]
fn asks_for_well_formed_addresses() {
    assert_eq!(
        only(&check(json!([{"slug": "api", "baseUrl": "127.0.0.1:4174"}]))),
        "base-url.form /manifest/services/0/baseUrl: '127.0.0.1:4174' is not an absolute http or https URL: it does not \
         start with http:// or https://; write the scheme too: 'http://127.0.0.1:4174' or with https"
    );
    assert_eq!(
        only(&check(json!([{"slug": "api", "baseUrl": " http://a "}]))),
        "base-url.form /manifest/services/0/baseUrl: ' http://a ' is not an absolute http or https URL: its scheme is \
         neither http nor https; remove the white space around it \
         [[{\"op\":\"replace\",\"path\":\"/manifest/services/0/baseUrl\",\"value\":\"http://a\"}]]"
    );
    assert_eq!(
        only(&check(json!([{"slug": "api", "baseUrl": "http:///x"}]))),
        "base-url.form /manifest/services/0/baseUrl: 'http:///x' is not an absolute http or https URL: it has no host; \
         write scheme, host and port, such as 'http://127.0.0.1:4311'"
    );
    assert_eq!(
        only(&check(json!([{"slug": "api", "healthEndpoint": "healthz"}]))),
        "health-endpoint.form /manifest/services/0/healthEndpoint: 'healthz' is neither a path nor an absolute http or \
         https URL: it does not start with '/'; write '/healthz' \
         [[{\"op\":\"replace\",\"path\":\"/manifest/services/0/healthEndpoint\",\"value\":\"/healthz\"}]]"
    );
    let endpoint = |text: &str| check(json!([{"slug": "api", "healthEndpoint": text}]))[0].clone();
    assert!(endpoint("//host/x").message.ends_with("it starts with two slashes, which name a host"));
    assert!(endpoint("/a b").message.ends_with("it contains white space or a control character"));
    assert!(endpoint("ftp://a/b").message.ends_with("its scheme is neither http nor https"));
    assert_eq!(endpoint("").fix, None);
    assert_eq!(check(json!([{"slug": "api", "baseUrl": 80}]))[0].code, "base-url.form");
}

#[test]
fn asks_for_dependencies_that_exist() {
    assert_eq!(
        only(&check(json!([{"slug": "api", "dependsOn": ["billing", "bilingual"]}]))),
        "dependencies.unknown /manifest/services/0/dependsOn/1: the service 'bilingual' is neither in the document nor \
         published in services; add the service, publish it first, or correct the slug"
    );
    let services =
        json!([{"slug": "api", "env": [{"key": "A", "value": "1"}, {"key": "B", "fromService": {"service": "b"}}]}]);
    assert_eq!(places(&check(services)), [("dependencies.unknown", "/manifest/services/0/env/1/fromService")]);
    let services = json!([{"slug": "api", "dependsOn": ["billing"]}]);
    assert_eq!(
        only(&check_with(json!({"registry_kind": null}), services.clone())),
        "dependencies.unknown /manifest/services/0/dependsOn/0: the service 'billing' is not in the document; add the \
         service to the document"
    );
    assert_eq!(
        check_with(json!({"registry_kind": "backends"}), services)[0].message,
        "the service 'billing' is neither in the document nor published in backends"
    );
    assert_eq!(
        only(&check(json!([{"slug": "api", "env": [{"key": "B", "fromService": {"property": "port"}}]}]))),
        "dependencies.form /manifest/services/0/env/0/fromService: no service is named here; write a slug, or an object \
         with the slug as 'service'"
    );
    assert_eq!(check(json!([{"slug": "api", "dependsOn": [7, " "]}])).len(), 2);
}

#[test]
fn bounds_what_it_looks_up() {
    let names: Vec<_> = (0..150).flat_map(|number| [format!("service-{number}"), "billing".to_owned()]).collect();
    let findings = check(json!([{"slug": "api", "dependsOn": names}]));
    let unknown = findings.iter().filter(|finding| finding.code == "dependencies.unknown").count();
    assert_eq!((findings.len(), unknown), (100, 99));
    assert_eq!(
        only(&findings[99..]),
        "dependencies.count /manifest/services/0/dependsOn/198: more than 100 services are named that are not in the \
         document; divide the manifest, or raise 'lookups_max'"
    );
}

#[test]
fn tells_circles_where_they_close() {
    assert_eq!(
        only(&check(json!([
            {"slug": "a", "dependsOn": ["b"]},
            {"slug": "b", "env": [{"key": "C", "fromService": "c"}]},
            {"slug": "c", "dependsOn": ["billing", "b"]},
        ]))),
        "dependencies.cycle /manifest/services/2/dependsOn/1: the services depend on each other in a circle: b -> c -> b; \
         remove this reference, or another one of the circle"
    );
    assert_eq!(
        only(&check(json!([{"slug": "a", "dependsOn": ["a"]}]))),
        "dependencies.self /manifest/services/0/dependsOn/0: the service 'a' depends on itself; remove this reference \
         [[{\"op\":\"test\",\"path\":\"/manifest/services/0/dependsOn/0\",\"value\":\"a\"},\
         {\"op\":\"remove\",\"path\":\"/manifest/services/0/dependsOn/0\"}]]"
    );
    let twice = json!([{"slug": "a", "dependsOn": ["b", "b"]}, {"slug": "b", "dependsOn": ["a", "a"]}]);
    assert_eq!(places(&check(twice)), [("dependencies.cycle", "/manifest/services/1/dependsOn/0")]);
    let diamond = json!([
        {"slug": "a", "dependsOn": ["b", "c"]}, {"slug": "b", "dependsOn": ["d"]}, {"slug": "c", "dependsOn": ["d"]},
        {"slug": "d"},
    ]);
    assert_eq!(check(diamond), []);
    let two = json!([
        {"slug": "a", "dependsOn": ["b"]}, {"slug": "b", "dependsOn": ["a", "c"]}, {"slug": "c", "dependsOn": ["a"]},
    ]);
    let circles: Vec<_> = check(two).into_iter().map(|finding| finding.message).collect();
    assert!(circles[0].ends_with(": a -> b -> a") && circles[1].ends_with(": a -> b -> c -> a"), "{circles:?}");
}

#[test]
fn follows_the_references_that_the_settings_name() {
    let services = json!([
        {"slug": "a", "env": [{"key": "B", "fromService": "b"}, {"key": "A", "fromService": "a"}]},
        {"slug": "b", "env": [{"key": "A", "fromService": "a"}]},
    ]);
    let codes: Vec<_> = check(services.clone()).into_iter().map(|finding| finding.code).collect();
    assert_eq!(codes, ["dependencies.self", "dependencies.cycle"]);
    assert_eq!(check_with(json!({"cycles_through": ["dependsOn"]}), services), []);
}

#[test]
fn refuses_a_port_that_two_services_claim() {
    assert_eq!(
        only(&check(json!([
            {"slug": "a", "baseUrl": "http://127.0.0.1:4311"},
            {"slug": "b", "baseUrl": "http://localhost:4322", "env": [{"key": "PORT", "value": "4311"}]},
        ]))),
        "ports.duplicate /manifest/services/1/env/0/value: port 4311 of 127.0.0.1 is already claimed by 'a' at \
         /manifest/services/0/baseUrl; give one of the two services another port"
    );
    let claims = |one: Value, other: Value| {
        let (mut one, mut other) = (one, other);
        (one["slug"], other["slug"]) = (json!("a"), json!("b"));
        let findings = check(json!([one, other]));
        assert!(findings.iter().all(|finding| finding.code == "ports.duplicate"), "{findings:?}");
        findings.into_iter().map(|finding| finding.path).collect::<Vec<_>>()
    };
    let at = |field: &str| vec![format!("/manifest/services/1/{field}")];
    let url = |url: &str| json!({"baseUrl": url});
    assert_eq!(claims(json!({"port": 80}), json!({"port": "80"})), at("port"));
    assert_eq!(claims(json!({"port": 80}), json!({"ports": [81, {"hostPort": 80}]})), at("ports/1"));
    assert_eq!(claims(json!({"env": {"PORT": 80}}), json!({"env": {"PORT": {"value": "80"}}})), at("env/PORT/value"));
    assert_eq!(claims(url("http://[::1]:80/"), json!({"ports": ["80:8080"]})), at("ports/0"));
    assert_eq!(claims(url("http://A.internal:80"), url("http://a.internal:80/")), at("baseUrl"));

    let none = Vec::<String>::new();
    assert_eq!(claims(url("http://a:80"), url("http://b:80")), none, "two hosts");
    assert_eq!(claims(url("https://a/one"), url("https://a/two")), none, "a gateway");
    assert_eq!(claims(url("http://127.0.0.1:80/one"), url("http://127.0.0.1:80/two")), none, "a gateway here");
    let behind = |base: &str| json!({"baseUrl": base, "env": [{"key": "PORT", "value": "3000"}]});
    assert_eq!(claims(behind("https://a.org"), behind("https://a.org")), none, "behind one public name");
    assert_eq!(claims(behind("http://localhost:81"), behind("http://localhost:82")), none, "two containers");
    assert_eq!(claims(behind("http://localhost:81"), url("http://localhost:3000")), at("baseUrl"), "one is outside");
    assert_eq!(claims(url("http://localhost:3000"), behind("http://localhost:81")), at("env/0/value"), "the first is");
    assert_eq!(claims(json!({"ports": ["53:53/udp"]}), json!({"ports": ["53"]})), none, "two protocols");
    assert_eq!(claims(json!({"ports": [{"containerPort": 80}]}), json!({"port": 80})), none, "inside a container");
}

#[test]
fn a_service_without_a_base_url_listens_where_the_settings_say() {
    let services = json!([{"slug": "a", "baseUrl": "http://dev:80"}, {"slug": "b", "port": 80}]);
    assert_eq!(check(services.clone()), []);
    assert_eq!(check_with(json!({"default_host": "dev"}), services)[0].path, "/manifest/services/1/port");
    let services = json!([{"slug": "a", "port": 80}, {"slug": "b", "port": 80}]);
    assert_eq!(check_with(json!({"default_host": null}), services.clone()), []);
    assert_eq!(check_with(json!({"default_host": ""}), services), []);
}

#[test]
fn asks_for_ports_that_are_numbers() {
    assert_eq!(
        only(&check(json!([{"slug": "a", "baseUrl": "https://a.org", "ports": [80, "http"]}]))),
        "ports.form /manifest/services/0/ports/1: 'http' is not a port; write a number from 1 to 65535"
    );
    assert_eq!(check(json!([{"slug": "a", "port": 70000}]))[0].message, "70000 is not a port");
    assert_eq!(check(json!([{"slug": "a", "port": 80.5}]))[0].message, "the value is not a port");
    let port = |value: Value| check(json!([{"slug": "a", "env": [{"key": "PORT", "value": value}]}])).len();
    assert_eq!([json!("0"), json!(0), json!(""), json!(null), json!("x")].map(port), [0, 0, 0, 0, 1]);
}

#[test]
fn refuses_placeholders_that_are_left() {
    assert_eq!(
        only(&check(json!([{"slug": "a", "baseUrl": "http://${HOST:-a b}:80"}]))),
        "placeholders.unresolved /manifest/services/0/baseUrl: the placeholder '${HOST:-a b}' is not resolved here; write \
         the value, or move it to where this module resolves placeholders (such as a variable's value)"
    );
    let everywhere = json!({
        "title": "${A}",
        "note": "$${A} costs $5",
        "services": [{
            "slug": "${B}", "baseUrl": {"$var": {"name": "C"}}, "healthEndpoint": "${D}",
            "dependsOn": ["${E}", {"service": "${F}"}, {"$var": {"name": "G"}}],
            "env": [{"key": "PORT", "value": "${H}"}, {"key": "${I}", "value": {"$var": "J"}}], "port": "${K}",
            "more": {"${L}": [["${M}"]]},
        }],
    });
    let findings = bench(everywhere).validate::<ServiceRules>();
    assert!(findings.iter().all(|finding| finding.code == "placeholders.unresolved"), "{findings:#?}");
    assert_eq!(findings.len(), 13);
    assert!(findings.iter().any(|finding| finding.message == "the placeholder '$var: C' is not resolved here"));
    assert!(findings.iter().any(|finding| finding.message == "the placeholder '$var: J' is not resolved here"));
}

#[test]
fn what_a_resolver_put_there_is_data() {
    let services = json!([{"slug": "a", "env": [{"key": "A", "value": "${A}"}, {"key": "B", "value": "${B}"}]}]);
    let substituted =
        |path: &str| Substitution { path: path.to_owned(), value: "\"${A}\"".to_owned(), origins: Vec::new() };
    let bench = bench(json!({"services": services})).substituted(vec![substituted("/manifest/services/0/env/0/value")]);
    assert_eq!(
        places(&bench.validate::<ServiceRules>()),
        [("placeholders.unresolved", "/manifest/services/0/env/1/value")]
    );
    let services = json!([{"slug": "a", "devCommand": "PORT=${PORT} npm start"}]);
    assert_eq!(check(services.clone()).len(), 1);
    assert_eq!(check_with(json!({"literal_members": ["devCommand"]}), services), []);
}

#[test]
fn asks_for_no_form_where_a_secret_will_stand() {
    let services = json!([{"slug": "a", "baseUrl": "__secret_URL__", "env": {"PORT": "__secret_PORT__"}}]);
    let masked = |path: &str, name: &str| Substitution {
        path: format!("/manifest/services/0/{path}"),
        value: format!("\"__secret_{name}__\""),
        origins: Vec::new(),
    };
    let bench = || bench(json!({"services": services}));
    let substituted = vec![masked("baseUrl", "URL"), masked("env/PORT", "PORT")];
    assert_eq!(bench().substituted(substituted).validate::<ServiceRules>(), []);
    let by_hand = bench().validate::<ServiceRules>();
    assert_eq!(places(&by_hand).len(), 2, "{by_hand:?}");
}

/// A document of 2,000 services with 10,000 references, a chain and a circle through all of them: a walk over all
/// pairs would take minutes.
#[test]
fn stays_fast_with_many_services() {
    const COUNT: usize = 2_000;
    let services: Vec<_> = (0..COUNT)
        .map(|index| {
            let named: Vec<_> = [1, 2, 3, 5, 8].iter().map(|step| format!("s-{}", (index + step) % COUNT)).collect();
            json!({"slug": format!("s-{index}"), "baseUrl": format!("http://127.0.0.1:{}", 10_000 + index), "dependsOn": named})
        })
        .collect();
    let started = Instant::now();
    let findings = check(services.into());
    assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
    assert!(findings.iter().all(|finding| finding.code == "dependencies.cycle"), "{findings:#?}");
    let (first, rest) = findings.split_first().expect("a circle");
    assert!(
        first.message.ends_with(
            "s-0 -> s-1 -> s-2 -> s-3 -> s-4 -> s-5 -> s-6 -> s-7 -> (1990 more) -> s-1998 -> s-1999 -> s-0"
        ),
        "{first:?}"
    );
    assert!(rest.len() < 40);
}

#[test]
fn counts_the_findings_that_it_does_not_show() {
    let services: Vec<_> = (0..600).map(|_| json!({"slug": "a"})).collect();
    let findings = check(services.into());
    assert_eq!(findings.len(), 201);
    assert_eq!(
        only(&findings[200..]),
        "findings.omitted : 399 further findings are not shown; mend what is shown and check again"
    );
    assert_eq!(findings[200].severity, Severity::Error);
}

#[test]
fn says_when_the_document_cannot_be_read() {
    let findings = bench(json!({"services": "all"})).validate::<ServiceRules>();
    assert_eq!(
        (findings[0].code.as_str(), findings[0].path.as_str(), findings[0].message.as_str()),
        (
            "submission.unreadable",
            "/manifest",
            "/manifest cannot be read: invalid type: string \"all\", expected a sequence"
        )
    );
}

#[test]
fn refuses_wrong_settings_with_their_place() {
    let refused = |settings: Value| {
        let findings =
            Bench::new().settings(settings).configure_validator::<ServiceRules>().expect_err("wrong settings");
        format!("{}: {}", findings[0].path, findings[0].message)
    };
    assert_eq!(
        refused(json!({"severities": {"ports": "info"}})),
        "/severities/ports: 'ports' is not a finding code of this plugin"
    );
    assert!(refused(json!({"cycles_through": ["needs"]})).starts_with("/cycles_through/0: unknown variant `needs`"));
}

#[test]
fn the_schema_says_the_defaults_that_apply() {
    check_settings::<ServiceRules>(&Settings::default(), include_str!("../README.md"));
}

#[test]
fn documents_every_code_with_an_example_that_gives_it() {
    check_codes::<ServiceRules>(include_str!("../README.md"), |settings, example| {
        bench(example).settings(settings).validate::<ServiceRules>()
    });
}
