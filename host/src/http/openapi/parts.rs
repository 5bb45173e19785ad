//! What operations share: the words of paths, headers, how a token is sent, and what the groups are called.

use serde_json::{Value, json};
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{Header, Ref, RefOr, Required};

use super::super::session::COOKIE_NAME;
use super::told::{Schemas, Told, named, text, text_like};
use crate::http::{
    activation, audit, decisions, entries, events, exemptions, health, impact, inbox, keys, life, lists, openapi,
    plugins, publishers, ratings, scopes, session, shadow, tokens, webhooks,
};
use crate::names::{DecisionId, Digest, EntryId, KeyId, KindName, ModuleName, VersionName};

/// A group of operations: what it is called, what it is about, and who tells of its operations.
pub struct Group {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) told: fn() -> Vec<Told>,
}

const fn group(name: &'static str, about: &'static str, told: fn() -> Vec<Told>) -> Group {
    Group { name, about, told }
}

/// Every group, in the order of docs/API.md.
pub const GROUPS: [Group; 21] = [
    group("Host", "Whether a host lives, is ready and is well; and its metrics.", health::told),
    group("Description", "This description, for programs and for people.", openapi::told),
    group("Rules", "Modules, the tenant's policies, and their releases.", scopes::told),
    group("Activation", "Which release of a scope is in force, and who keeps it there.", activation::told),
    group("Shadows", "Releases that run beside the active one, and staged ones.", shadow::told),
    group("Exemptions", "Which entries may pass one finding's code until a date.", exemptions::told),
    group("Previews", "What other rules would say of what is stored.", impact::told),
    group("Plugins", "Components by the digest of their bytes.", plugins::told),
    group("Keys", "Whose plugins are believed.", keys::told),
    group("Decisions", "The records of what the gate did.", decisions::told),
    group("Audit", "A sealed row for every change.", audit::told),
    group("Inbox", "Which submissions were taken in.", inbox::told),
    group("Tokens", "Who may ask for what, until when.", tokens::told),
    group("Trusted publishing", "Whom issuers of tokens vouch for, and what each may publish.", publishers::told),
    group("Sessions", "What a browser asks by.", session::told),
    group("Events", "What happens, as a stream.", events::told),
    group("Webhooks", "Who is sent events, and what was sent.", webhooks::told),
    group("Publishing", "Judging submissions and storing them.", entries::told),
    group("Reading", "Entries and versions, and how they are found.", lists::told),
    group("Life of entries", "What becomes of entries after they were published.", life::told),
    group("Ratings", "What people think of entries, and that they use them.", ratings::told),
];

/// The groups as tags.
pub fn tags() -> Vec<utoipa::openapi::Tag> {
    GROUPS.iter().map(|group| TagBuilder::new().name(group.name).description(Some(group.about)).build()).collect()
}

/// How a token is sent; each operation asks for one of them, with the role beside it.
pub fn security_schemes() -> Vec<(&'static str, SecurityScheme)> {
    let about = "A token, as `hallmark token create` makes it, or an issuer's. What an operation asks for beside it is the \
                 role. The header `Hallmark-Tenant` says which tenant is meant, where an issuer's token does not.";
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(about)).build();
    let key = ApiKeyValue::with_description("X-API-Key", "The same token, where the Authorization header is taken.");
    let about = "What `POST /api/session` gave a browser; a change carries the header `X-CSRF-Token` beside it.";
    let cookie = ApiKeyValue::with_description(COOKIE_NAME, about);
    vec![
        ("bearer", SecurityScheme::Http(bearer)),
        ("apiKey", SecurityScheme::ApiKey(ApiKey::Header(key))),
        ("session", SecurityScheme::ApiKey(ApiKey::Cookie(cookie))),
    ]
}

/// A word of a path: what it is called among the parameters, its form, what it is, and one that there may be.
struct Word {
    component: &'static str,
    about: &'static str,
    form: fn(&mut Schemas) -> RefOr<Schema>,
    example: Value,
}

fn any_id(_: &mut Schemas) -> RefOr<Schema> {
    text().into()
}

fn number(_: &mut Schemas) -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)).into()
}

fn word(path: &str, name: &str) -> Word {
    let id = "0199e2c4-6f0d-7d11-8f64-1c9a7b2e4d55";
    let of = |component, about, form, example: &str| Word { component, about, form, example: json!(example) };
    match name {
        "kind" => of("kind", "A kind that an active module declares, by its plural.", named::<KindName>, "agents"),
        "id" if path.starts_with("/api/{kind}") => of("entry", "The entry's id.", named::<EntryId>, "release-notes"),
        "id" if path.starts_with("/api/keys") => of("key-id", "The key's id.", named::<KeyId>, &"0".repeat(64)),
        "id" if path.starts_with("/api/decisions") => of("decision", "The decision's id.", named::<DecisionId>, id),
        "id" => of("id", "Its id.", any_id, id),
        "name" => of("module", "The module.", named::<ModuleName>, "agents"),
        "number" => Word { component: "number", about: "The release's number.", form: number, example: json!(1) },
        "digest" => of("digest", "The plugin's digest.", named::<Digest>, Digest::of(b"").as_str()),
        "version" => of("version", "The version.", named::<VersionName>, "1.0.0"),
        "other" => of("other", "The version to compare with.", named::<VersionName>, "1.0.0"),
        "key" => of("inbox-key", "The submission's key.", inbox_key, "registry:agent:release-notes:1.0.0"),
        "delivery" => of("delivery", "The delivery's id.", any_id, id),
        _ => of("word", "A word of the path.", any_id, id),
    }
}

fn inbox_key(_: &mut Schemas) -> RefOr<Schema> {
    text_like("^[^/]+$").into()
}

/// The words of a path as parameters, by their names among the components.
pub fn of_path(path: &str, schemas: &mut Schemas) -> Vec<(&'static str, ParameterBuilder)> {
    let names = path.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name);
    names
        .map(|name| {
            let Word { component, about, form, example } = word(path, name);
            let parameter = ParameterBuilder::new()
                .name(name)
                .parameter_in(ParameterIn::Path)
                .required(Required::True)
                .description(Some(about))
                .schema(Some(form(schemas)))
                .example(Some(example));
            (component, parameter)
        })
        .collect()
}

/// The header that an answer may have, by its name.
pub fn header(name: &str) -> Header {
    let (about, form) = match name {
        "ETag" => ("What it is now, for `If-None-Match`; of an entry or a scope for `If-Match` too.", text()),
        "Cache-Control" => ("How long it may be kept.", text()),
        "Link" => ("Where the next page is (RFC 8288, `rel=\"next\"`), where there is one.", text()),
        "Location" => ("Where what was made is.", text()),
        "RateLimit" => {
            ("How many requests the caller has left, and until when (draft-ietf-httpapi-ratelimit-headers-10).", text())
        }
        "RateLimit-Policy" => ("How many requests a caller has.", text()),
        "Set-Cookie" => ("The session, or that there is none.", text()),
        "Retry-After" => ("Seconds after which it is worth trying again.", text_like("^[0-9]+$")),
        "WWW-Authenticate" => ("The scheme of the token.", text()),
        "Content-Security-Policy" => ("What the page may do: nothing.", text()),
        "Idempotency-Replayed" => {
            ("The answer was given before, to the same request.", super::told::word_of(&["true"]))
        }
        "X-Request-Id" => ("The request's own id, or one that was made for it.", text()),
        _ => ("", text()),
    };
    HeaderBuilder::new().schema(Some(form)).description(Some(about)).build()
}

/// A header among the components.
pub fn header_ref(name: &str) -> Ref {
    Ref::new(format!("#/components/headers/{name}"))
}
