//! Tenants: each has a registry of its own, on the same hosts and in the same database.

use std::process::Output;

use serde_json::{Value, json};
use sqlx::{AnyConnection, Connection as _, Row as _};
use tempfile::TempDir;

use crate::support::as_superuser;
use crate::support::command::{argument, hallmark, text};
use crate::support::engines::{Place, through_the_binary};
use crate::support::events::Stream;
use crate::support::host::{Caller, Host, component, until};
use crate::support::issuer::{AUDIENCE, Issuer, SigningKey};

const PUBLISHED: &str = "dev.hallmark.entry.published.v1";

/// A command about this place.
fn command(place: &Place, arguments: &[&str]) -> Output {
    let place = place.arguments();
    let place: Vec<&str> = place.iter().map(String::as_str).collect();
    hallmark(&[arguments, &place].concat())
}

fn tenant(place: &Place, arguments: &[&str]) -> Output {
    command(place, &[&["tenant"], arguments].concat())
}

/// The token of a new tenant's admin.
fn made(place: &Place, name: &str) -> String {
    let made = tenant(place, &["create", name]);
    assert_eq!(made.status.code(), Some(0), "{}", text(&made.stderr));
    text(&made.stdout).trim().to_owned()
}

/// Lets any manifest be a note.
fn with_notes(caller: &Caller<'_>) {
    let kind = json!({
        "name": "notes", "singular": "note", "idField": "noteId", "documentField": "manifest", "schema": true,
    });
    let rules = json!({"scope": "module:notes", "kinds": [kind]});
    let released = caller.post("/api/modules/notes/releases", &json!({"rules": rules}));
    assert_eq!(released.status, 201, "{released:?}");
    let activated = caller.post("/api/modules/notes/activate", &json!({"release": 1}));
    assert_eq!(activated.status, 200, "{activated:?}");
}

fn note(id: &str, says: &str) -> Value {
    json!({"noteId": id, "name": id, "version": "1.0.0", "manifest": {"says": says}})
}

fn publish(caller: &Caller<'_>, id: &str, says: &str) -> Value {
    let published = caller.post("/api/notes/publish", &note(id, says));
    assert_eq!(published.status, 201, "{published:?}");
    published.body
}

/// The values of one field of a list.
fn listed(caller: &Caller<'_>, path: &str, field: &str) -> Vec<String> {
    let page = caller.get(path);
    assert_eq!(page.status, 200, "{path}: {page:?}");
    let items = page.body["items"].as_array().expect("items").clone();
    items.iter().map(|item| item[field].as_str().unwrap_or_default().to_owned()).collect()
}

/// A host with a tenant `acme` beside its own, and an issuer.
struct Vouching {
    host: Host,
    acme: String,
    issuer: Issuer,
    key: SigningKey,
    _folder: TempDir,
}

impl Vouching {
    fn at(place: &Place, settings: &str) -> Self {
        let (key, folder) = (SigningKey::ec("a"), TempDir::new().expect("a folder"));
        let issuer = Issuer::start(&[&key]);
        let file = folder.path().join("issuers.toml");
        let url = &issuer.url;
        let grants = "[[issuer.grants]]\nclaims = { team = \"search\" }\nroles = [\"reader\"]\n";
        let text = format!(
            "[[issuer]]\nname = \"ci\"\nissuer = \"{url}\"\naudiences = [\"{AUDIENCE}\"]\n{settings}\n{grants}"
        );
        std::fs::write(&file, text).expect("written");
        let host = place.options().flag("--issuers", argument(&file)).start();
        let acme = made(place, "acme");
        with_notes(&host.by(&host.token));
        with_notes(&host.by(&acme));
        Self { host, acme, issuer, key, _folder: folder }
    }

    fn token(&self, claims: Value) -> String {
        self.issuer.token(&self.key, claims)
    }

    /// What a request with the token is answered that means this tenant.
    fn asked(&self, token: &str, meant: &str) -> (u16, String, String) {
        let headers = [("authorization", format!("Bearer {token}")), ("hallmark-tenant", meant.to_owned())];
        let headers: Vec<(&str, &str)> = headers
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let answer = self.host.ask("GET", "/api/session", &headers);
        let field = |name: &str| answer.body[name].as_str().unwrap_or_default().to_owned();
        (answer.status, field("tenant"), field("detail"))
    }
}

/// A host with two tenants, each of which has a note `a`; the first has a note `b` and a plugin besides.
struct Two {
    host: Host,
    acme: String,
}

impl Two {
    fn at(place: &Place) -> Self {
        let host = place.options().start();
        let two = Self { acme: made(place, "acme"), host };
        for (caller, says) in [(two.ours(), "ours"), (two.theirs(), "theirs")] {
            with_notes(&caller);
            publish(&caller, "a", says);
        }
        publish(&two.ours(), "b", "secret");
        two
    }

    fn ours(&self) -> Caller<'_> {
        self.host.by(&self.host.token)
    }

    fn theirs(&self) -> Caller<'_> {
        self.host.by(&self.acme)
    }
}

fn two_tenants_publish_the_same_entry_and_see_their_own_alone(place: &Place) {
    let two = Two::at(place);
    let says =
        |caller: &Caller<'_>| caller.get("/api/notes/a/versions/1.0.0/manifest").body["manifest"]["says"].clone();
    assert_eq!([says(&two.ours()), says(&two.theirs())], ["ours", "theirs"]);
    assert_eq!(listed(&two.ours(), "/api/notes", "noteId"), ["a", "b"]);
    assert_eq!(listed(&two.theirs(), "/api/notes", "noteId"), ["a"]);
    assert_eq!(listed(&two.theirs(), "/api/search?q=secret", "noteId"), [""; 0]);
    assert_eq!(listed(&two.theirs(), "/api/inbox", "key"), ["registry:note:a:1.0.0"]);
    // The same again is the same for each.
    assert_eq!(two.theirs().post("/api/notes/publish", &note("a", "theirs")).status, 202);
    assert_eq!(two.theirs().post("/api/notes/publish", &note("a", "ours")).status, 409);
}

fn no_route_reaches_what_is_another_tenants(place: &Place) {
    let two = Two::at(place);
    let pushed =
        two.host.send("/api/plugins", "application/wasm", &std::fs::read(component("hostile")).expect("bytes"));
    assert_eq!(pushed.status, 201, "{pushed:?}");
    let plugin = pushed.body["digest"].as_str().expect("a digest").to_owned();
    let decision = listed(&two.ours(), "/api/decisions", "id").remove(0);
    let token = listed(&two.ours(), "/api/tokens", "id").remove(0);
    let hook = two.ours().post("/api/webhooks", &json!({"url": "https://hooks.example/x"}));
    assert_eq!(hook.status, 201, "{hook:?}");
    let hook = hook.body["id"].as_str().expect("an id").to_owned();
    let found = [
        "/api/notes/b".to_owned(),
        "/api/notes/b/versions".to_owned(),
        "/api/notes/b/versions/1.0.0".to_owned(),
        "/api/notes/b/versions/1.0.0/manifest".to_owned(),
        "/api/notes/b/referrers".to_owned(),
        "/api/notes/b/ratings".to_owned(),
        format!("/api/decisions/{decision}"),
        format!("/api/decisions/{decision}/explanation"),
        format!("/api/decisions/{decision}/statement"),
        format!("/api/plugins/{plugin}"),
        format!("/api/webhooks/{hook}"),
        format!("/api/webhooks/{hook}/deliveries"),
    ];
    for path in found {
        assert_eq!(two.ours().get(&path).status, 200, "{path}");
        assert_eq!(two.theirs().get(&path).status, 404, "{path}");
    }
    for (path, body) in [
        ("/api/notes/b/rollback".to_owned(), json!({"targetVersion": "1.0.0"})),
        ("/api/notes/b/disable".to_owned(), json!({"reason": "not ours"})),
        ("/api/notes/b/versions/1.0.0/withdraw".to_owned(), json!({"reason": "not ours"})),
        ("/api/notes/rate".to_owned(), json!({"noteId": "b", "rating": 1})),
        (format!("/api/decisions/{decision}/replay"), json!({})),
        (format!("/api/tokens/{token}/revoke"), json!({})),
        (format!("/api/webhooks/{hook}/rotate"), json!({})),
    ] {
        let refused = two.theirs().post(&path, &body);
        assert_eq!(refused.status, 404, "{path}: {refused:?}");
    }
    assert_eq!(two.ours().get("/api/notes/b").body["status"], "active");
    assert_eq!(listed(&two.theirs(), "/api/plugins", "digest"), [""; 0]);
    let told = listed(&two.theirs(), "/api/audit?limit=100", "subject");
    assert!(told.contains(&"notes/a@1.0.0".to_owned()) && !told.contains(&"notes/b@1.0.0".to_owned()), "{told:?}");
}

fn a_stream_has_the_events_of_its_own_tenant(place: &Place) {
    let two = Two::at(place);
    publish(&two.theirs(), "last", "theirs");
    let mut stream = Stream::open_by(&two.host, &two.acme, "/api/events?after=0", None);
    let mut seen = stream.until(PUBLISHED);
    while seen.last().and_then(|block| block.data.clone()).expect("an event")["subject"] != "notes/last@1.0.0" {
        seen.extend(stream.until(PUBLISHED));
    }
    let ids: Vec<i64> = seen.iter().filter_map(|block| block.id).collect();
    assert_eq!(ids, (1..=i64::try_from(ids.len()).expect("a count")).collect::<Vec<_>>(), "a line of its own");
    for event in seen.iter().filter_map(|block| block.data.as_ref()) {
        assert_eq!(event["tenant"], "acme");
        assert_ne!(event["subject"], "notes/b@1.0.0");
    }
}

fn rules_of_one_tenant_judge_no_other(place: &Place) {
    let two = Two::at(place);
    let strict = json!({"scope": "module:notes", "kinds": [{
        "name": "notes", "singular": "note", "idField": "noteId", "documentField": "manifest", "schema": false,
    }]});
    assert_eq!(two.theirs().post("/api/modules/notes/releases", &json!({"rules": strict})).status, 201);
    assert_eq!(two.theirs().post("/api/modules/notes/activate", &json!({"release": 2})).status, 200);
    assert_eq!(two.theirs().post("/api/notes/publish", &note("c", "theirs")).status, 422);
    publish(&two.ours(), "c", "ours");
}

fn a_revoked_token_holds_for_no_tenant(place: &Place) {
    let two = Two::at(place);
    let made = two.theirs().post("/api/tokens", &json!({"name": "reads", "roles": ["reader"]}));
    let field = |name: &str| made.body[name].as_str().expect("a text").to_owned();
    let (id, token) = (field("id"), field("token"));
    let reads = two.host.by(&token);
    assert_eq!(listed(&reads, "/api/notes", "noteId"), ["a"]);
    assert_eq!(two.theirs().post(&format!("/api/tokens/{id}/revoke"), &json!({})).status, 200);
    assert_eq!(reads.get("/api/notes").status, 401);
}

fn a_tenant_that_was_made_elsewhere_is_found_by_looking(place: &Place) {
    let _host = place.options().limit("tenant_poll_ms", 50).start();
    made(place, "acme");
    sqlx::any::install_default_drivers();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let placed = || {
        runtime.block_on(async {
            let mut database = AnyConnection::connect(&as_superuser(&place.address())).await.expect("it opens");
            let counted = "SELECT COUNT(*) FROM events WHERE tenant_id = 'acme' AND place IS NOT NULL";
            sqlx::query(counted).fetch_one(&mut database).await.expect("a count").get::<i64, _>(0)
        })
    };
    until("the host announces that the tenant's admin has a token", || placed() == 1);
}

fn a_backup_holds_the_rows_of_every_tenant(place: &Place) {
    let two = Two::at(place);
    let (folder, other) = (TempDir::new().expect("a folder"), place.of_other_engine());
    let archive = folder.path().join("all.hallmark");
    let archive = argument(&archive);
    for done in [command(place, &["backup", "--out", archive]), command(&other, &["restore", archive])] {
        assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
    }
    let host = other.options().start();
    assert_eq!(text(&tenant(&other, &["list"]).stdout), "acme\ndefault\n");
    for (token, says, notes) in [(&host.token, "ours", &["a", "b"][..]), (&two.acme, "theirs", &["a"][..])] {
        let caller = host.by(token);
        assert_eq!(caller.get("/api/notes/a/versions/1.0.0/manifest").body["manifest"]["says"], says);
        assert_eq!(listed(&caller, "/api/notes", "noteId"), notes);
        publish(&caller, "c", says);
    }
}

fn the_operator_makes_and_lists_tenants(place: &Place) {
    let host = place.options().start();
    let made = tenant(place, &["create", "acme"]);
    let (token, said) = (text(&made.stdout).trim().to_owned(), text(&made.stderr));
    assert!(token.starts_with("hm_"), "{token}");
    assert!(said.ends_with("…  admin, of the tenant acme, without end\n"), "{said}");
    let listed = |arguments: &[&str]| text(&tenant(place, arguments).stdout);
    assert_eq!(listed(&["list"]), "acme\ndefault\n");
    let items: Value = serde_json::from_str(&listed(&["list", "--output", "json"])).expect("JSON");
    assert_eq!(items, json!({"items": [{"name": "acme"}, {"name": "default"}]}));
    let another = text(&tenant(place, &["token", "acme"]).stdout).trim().to_owned();
    assert_ne!(token, another);
    for token in [&token, &another] {
        assert_eq!(host.by(token).get("/api/tokens").body["items"].as_array().map(Vec::len), Some(2));
    }
    for (arguments, told) in [
        (
            ["create", "acme"],
            "error: there is a tenant 'acme' already: `hallmark tenant token acme` makes a token of it\n",
        ),
        (
            ["create", "Acme"],
            "error: 'Acme' is not a valid tenant: lower case letters, digits and dashes, a letter first, at most 63\n",
        ),
        (
            ["token", "ecma"],
            "error: there is no tenant 'ecma': there are acme, default, and `hallmark tenant create` makes others\n",
        ),
    ] {
        let refused = tenant(place, &arguments);
        assert_eq!((refused.status.code(), text(&refused.stderr).as_str()), (Some(2), told));
    }
}

fn a_session_is_of_its_tokens_tenant(place: &Place) {
    let two = Two::at(place);
    for (caller, tenant, notes) in [(two.ours(), "default", 2), (two.theirs(), "acme", 1)] {
        let begun = caller.post("/api/session", &json!(null));
        assert_eq!((begun.status, &begun.body["tenant"]), (201, &json!(tenant)), "{begun:?}");
        let cookie = begun.header("set-cookie").expect("a cookie");
        let cookie = cookie.split(';').next().expect("its value");
        let asked = |path: &str| two.host.ask("GET", path, &[("cookie", cookie)]);
        assert_eq!(asked("/api/session").body["tenant"], tenant);
        assert_eq!(asked("/api/notes").body["items"].as_array().map(Vec::len), Some(notes), "{tenant}");
        let other = cookie.replace(&format!(".{tenant}."), ".other.");
        assert_eq!(two.host.ask("GET", "/api/notes", &[("cookie", &other)]).status, 401);
    }
}

fn a_token_of_an_issuer_is_of_the_tenant_that_it_names(place: &Place) {
    let vouching = Vouching::at(place, "tenant_claim = \"organisation\"");
    let token = |tenant: &str| vouching.token(json!({"organisation": tenant}));
    let answered = |status: u16, tenant: &str, detail: &str| (status, tenant.to_owned(), detail.to_owned());
    assert_eq!(vouching.asked(&token("acme"), ""), answered(200, "acme", ""));
    assert_eq!(vouching.asked(&token("acme"), "acme"), answered(200, "acme", ""));
    assert_eq!(vouching.asked(&token("default"), ""), answered(200, "default", ""));
    let another =
        "the token is for another tenant, or does not name one: ask its issuer for one of the tenant that you mean";
    assert_eq!(vouching.asked(&token("acme"), "default"), answered(401, "", another));
    assert_eq!(vouching.asked(&vouching.token(json!({})), "default"), answered(401, "", another));
    let missing = "the token is for the tenant 'nobody', which is not here: ask the operator of this registry";
    assert_eq!(vouching.asked(&token("nobody"), ""), answered(403, "", missing));
}

fn a_ci_publishes_in_the_tenants_that_trust_it_and_in_no_other(place: &Place) {
    let vouching = Vouching::at(place, "");
    let host = &vouching.host;
    let trusted = host.by(&vouching.acme).post(
        "/api/trusted-publishers",
        &json!({"name": "ci", "issuer": "ci", "claims": {"repository": "acme/notes"}, "entries": ["notes/*"]}),
    );
    assert_eq!(trusted.status, 201, "{trusted:?}");
    let token = vouching.token(json!({"repository": "acme/notes", "team": "others"}));
    let publish = |tenant: &[&str]| {
        let (folder, note) = (TempDir::new().expect("a folder"), note("ci", "built"));
        let file = folder.path().join("note.json");
        std::fs::write(&file, note.to_string()).expect("written");
        let server = [argument(&file), "--kind", "notes", "--server", &host.url, "--token", &token];
        let published = hallmark(&[&["publish"], &server[..], tenant].concat());
        (published.status.code(), text(&published.stderr))
    };
    let published = publish(&["--tenant", "acme"]);
    assert_eq!(published.0, Some(0), "{published:?}");
    assert_eq!(listed(&host.by(&vouching.acme), "/api/notes", "noteId"), ["ci"]);
    let (code, said) = publish(&[]);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("the token is believed, and nothing is granted to its holder here: ask an admin"), "{said}");
    assert_eq!(listed(&host.by(&host.token), "/api/notes", "noteId"), [""; 0]);
    // What the settings grant holds in the issuer's own tenant alone.
    let granted = vouching.token(json!({"repository": "others/notes", "team": "search"}));
    assert_eq!(vouching.asked(&granted, "").0, 200);
    assert_eq!(vouching.asked(&granted, "acme").0, 403);
    // A token of the registry's own says whose it is, and a header takes it nowhere else.
    let own = "the header Hallmark-Tenant asks for 'default', and the token is one of 'acme': leave it out";
    assert_eq!(vouching.asked(&vouching.acme, "default"), (403, String::new(), own.to_owned()));
    assert_eq!(vouching.asked(&vouching.acme, "acme").1, "acme");
    let (status, _, said) = vouching.asked(&vouching.acme, "No Tenant");
    let form = "the header Hallmark-Tenant names no tenant: 'No Tenant' is not a valid tenant: lower case letters, digits \
                and dashes, a letter first, at most 63";
    assert_eq!((status, said.as_str()), (400, form));
}

through_the_binary!(
    a_session_is_of_its_tokens_tenant,
    a_token_of_an_issuer_is_of_the_tenant_that_it_names,
    a_ci_publishes_in_the_tenants_that_trust_it_and_in_no_other,
    two_tenants_publish_the_same_entry_and_see_their_own_alone,
    no_route_reaches_what_is_another_tenants,
    a_stream_has_the_events_of_its_own_tenant,
    rules_of_one_tenant_judge_no_other,
    a_revoked_token_holds_for_no_tenant,
    a_tenant_that_was_made_elsewhere_is_found_by_looking,
    a_backup_holds_the_rows_of_every_tenant,
    the_operator_makes_and_lists_tenants,
);
