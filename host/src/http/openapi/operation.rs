//! One operation of the description: what is told of it, with what every operation of its kind has.

use std::collections::{BTreeMap, BTreeSet};

use utoipa::openapi::example::Example;
use utoipa::openapi::path::{OperationBuilder, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Required, Response, ResponseBuilder};

use super::parts::{header, header_ref, of_path, security_schemes};
use super::told::{Given, Schemas, Tagged, Told, text, text_like};
use super::words;
use crate::config::Limits;
use crate::http::error::{Code, Success};
use crate::http::intake::Intake;
use crate::http::routes::{Access, Route};

/// What operations refer to, by name.
#[derive(Default)]
pub struct Shared {
    pub(super) schemas: Schemas,
    pub(super) parameters: BTreeMap<String, ParameterBuilder>,
    pub(super) headers: BTreeSet<String>,
    pub(super) responses: BTreeMap<String, Response>,
}

impl Shared {
    fn header(&mut self, response: ResponseBuilder, name: &str) -> ResponseBuilder {
        self.headers.insert(name.to_owned());
        response.header_ref(name, header_ref(name))
    }

    fn parameter(&mut self, operation: OperationBuilder, name: &str, parameter: ParameterBuilder) -> OperationBuilder {
        self.parameters.insert(name.to_owned(), parameter);
        operation.parameter_ref(Ref::new(format!("#/components/parameters/{name}")))
    }
}

/// The operation of a route.
pub fn operation(group: &str, route: &Route, mut told: Told, shared: &mut Shared) -> OperationBuilder {
    shared.schemas.append(&mut told.schemas);
    let row = words::of_route(route.method, route.path).or_else(|| entry_called(route.path)).unwrap_or_default();
    let mut operation = OperationBuilder::new()
        .tag(group)
        .operation_id(Some(told.id.as_str()))
        .summary(Some(words::summary(&row)))
        .description(Some(description(route, &told, &row)));
    for (name, parameter) in of_path(route.path, &mut shared.schemas) {
        operation = shared.parameter(operation, name, parameter);
    }
    operation = parameters(operation, route, &told, shared);
    if let Some(body) = body(route, &told) {
        operation = operation.request_body(Some(body.build()));
    }
    operation = answers(operation, route, &told, shared);
    match route.access {
        Access::Public => operation.securities(Some([])),
        Access::Role(role) => security_schemes().iter().fold(operation, |operation, (scheme, _)| {
            operation.security(SecurityRequirement::new(*scheme, [role.as_str()]))
        }),
    }
}

/// An entry may be called as an action is; docs/API.md has no row for it.
fn entry_called(path: &str) -> Option<String> {
    let name = path.strip_prefix("/api/{kind}/").filter(|rest| !rest.contains(['{', '/']))?;
    Some(format!("an entry that is called {name}, with its active version"))
}

fn description(route: &Route, told: &Told, row: &str) -> String {
    let mut sentences = Vec::new();
    if words::summary(row) != row {
        sentences.push(format!("{row}."));
    }
    sentences.extend(told.more.map(str::to_owned));
    sentences.push(match route.access {
        Access::Public => "Everybody may ask, without a token.".to_owned(),
        Access::Role(role) => format!("Asks for a token with the role `{}`.", role.as_str()),
    });
    sentences.join(" ")
}

fn parameters(mut operation: OperationBuilder, route: &Route, told: &Told, shared: &mut Shared) -> OperationBuilder {
    for query in &told.query {
        let required = if query.is_required { Required::True } else { Required::False };
        let parameter = ParameterBuilder::new()
            .name(query.name)
            .parameter_in(ParameterIn::Query)
            .required(required)
            .description(Some(query.about))
            .schema(Some(query.schema.clone()));
        operation = match query.name {
            "limit" | "cursor" => shared.parameter(operation, query.name, parameter),
            _ => operation.parameter(parameter),
        };
    }
    let in_head = |name: &str, about: &str, schema| {
        ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some(about))
            .schema(Some::<utoipa::openapi::schema::Object>(schema))
    };
    for (name, about) in &told.headers {
        operation = operation.parameter(in_head(name, about, text()));
    }
    if told.tagged == Tagged::Bytes {
        let about = "Tags of answers that the caller has: where one is the answer's, it is 304 and has no body.";
        operation = shared.parameter(operation, "If-None-Match", in_head("If-None-Match", about, text()));
    }
    if route.method != "GET" {
        let about = "Runs the request once, however often it is sent: 1 to 255 visible ASCII characters, in quotes \
                     or bare.";
        let key = text_like(r#"^("[!#-\[\]-~]{1,255}"|[!#-\[\]-~]{1,255})$"#);
        operation = shared.parameter(operation, "Idempotency-Key", in_head("Idempotency-Key", about, key));
    }
    operation
}

fn body(route: &Route, told: &Told) -> Option<RequestBodyBuilder> {
    let body = told.body.as_ref()?;
    let (limit, bytes) = route.intake.limit(&Limits::default());
    let about = format!("At most `{limit}` bytes, {bytes} unless the operator says otherwise.");
    let builder = RequestBodyBuilder::new().description(Some(about)).required(Some(Required::True));
    let media_types = route.intake.media_types().iter();
    Some(media_types.fold(builder, |builder, media_type| {
        let content = ContentBuilder::new().schema(body.schema.clone()).example(body.example.clone());
        builder.content(*media_type, content.build())
    }))
}

fn answers(mut operation: OperationBuilder, route: &Route, told: &Told, shared: &mut Shared) -> OperationBuilder {
    let mut by_status: BTreeMap<u16, ResponseBuilder> = BTreeMap::new();
    for given in &told.answers {
        let status = given.success.status().as_u16();
        let response = by_status.remove(&status).unwrap_or_else(|| answer(route, told, given, shared));
        let content = ContentBuilder::new().schema(Some(given.schema.clone())).build();
        by_status.insert(status, response.content(given.media_type, content));
    }
    if told.tagged == Tagged::Bytes {
        let response = ResponseBuilder::new().description("The caller has it already.");
        let headers = ["ETag", "Cache-Control", "X-Request-Id"];
        let response = headers.iter().fold(response, |response, name| shared.header(response, name));
        let name = "Unchanged";
        shared.responses.insert(name.to_owned(), response.build());
        let status = Success::Unchanged.status().as_u16().to_string();
        operation = operation.response(status, RefOr::Ref(Ref::from_response_name(name)));
    }
    for (status, codes) in refusals(route, told) {
        if by_status.contains_key(&status) {
            continue;
        }
        let words: Vec<&str> = codes.iter().map(|code| code.as_str()).collect();
        let name = format!("{status}.{}", words.join("."));
        if !shared.responses.contains_key(&name) {
            let response = problem(&codes, shared);
            shared.responses.insert(name.clone(), response);
        }
        operation = operation.response(status.to_string(), RefOr::Ref(Ref::from_response_name(name)));
    }
    by_status
        .into_iter()
        .fold(operation, |operation, (status, response)| operation.response(status.to_string(), response.build()))
}

fn answer(route: &Route, told: &Told, given: &Given, shared: &mut Shared) -> ResponseBuilder {
    let is_whole = given.success == Success::Found;
    let tags: &[&str] = match told.tagged {
        Tagged::Bytes if is_whole => &["ETag", "Cache-Control"],
        Tagged::Release | Tagged::Revision if is_whole => &["ETag"],
        _ => &[],
    };
    let replayed: &[&str] = if route.method == "GET" { &[] } else { &["Idempotency-Replayed"] };
    let rates: &[&str] = if route.access == Access::Public { &[] } else { &["RateLimit", "RateLimit-Policy"] };
    let names = given.headers.iter().chain(tags).chain(replayed).chain(rates).chain(&["X-Request-Id"]);
    names.fold(ResponseBuilder::new().description(given.about), |response, name| shared.header(response, name))
}

/// The codes that the operation may be refused with, by status.
fn refusals(route: &Route, told: &Told) -> BTreeMap<u16, Vec<Code>> {
    let mut codes = told.refuses.clone();
    codes.push(Code::Internal);
    if route.access != Access::Public {
        let of_callers = [Code::BadHeader, Code::Unauthenticated, Code::Forbidden, Code::QuotaExceeded];
        codes.extend(of_callers.into_iter().chain([Code::Busy, Code::NotReady, Code::Unavailable]));
    }
    let words: Vec<&str> = route.path.split('{').skip(1).filter_map(|rest| rest.split('}').next()).collect();
    if !words.is_empty() {
        // A word that is empty, or has a slash in it, makes it another path.
        codes.extend([Code::BadName, Code::NoRoute]);
    }
    if words.contains(&"kind") {
        codes.push(Code::NoKind);
        // What stands for the kind may be a fixed word of other routes.
        codes.extend((route.method != "GET").then_some(Code::NoMethod));
    }
    if words.iter().any(|word| *word != "kind") {
        codes.push(Code::NotFound);
    }
    if !told.query.is_empty() && route.access != Access::Public {
        codes.push(Code::BadQuery);
    }
    if route.intake != Intake::Nothing {
        codes.extend([Code::Malformed, Code::TooSlow, Code::TooLarge, Code::MediaType]);
    }
    if route.method != "GET" {
        codes.extend([Code::BadHeader, Code::IdempotencyRunning, Code::IdempotencyReused]);
        codes.extend((route.access != Access::Public).then_some(Code::CrossSite));
    }
    let mut by_status: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    for code in Code::ALL.iter().filter(|code| codes.contains(code)) {
        by_status.entry(code.status().as_u16()).or_default().push(*code);
    }
    by_status
}

fn problem(codes: &[Code], shared: &mut Shared) -> Response {
    let titles: Vec<&str> = codes.iter().map(|code| code.title()).collect();
    let example = |code: &Code| {
        let place = format!("#/components/examples/{}", code.as_str());
        (code.as_str(), RefOr::<Example>::Ref(Ref::new(place)))
    };
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name("Problem")))
        .examples_from_iter(codes.iter().map(example))
        .build();
    let mut response = ResponseBuilder::new()
        .description(format!("{}.", titles.join(". ")))
        .content("application/problem+json", content);
    if codes.iter().any(|code| code.retry_after_s().is_some()) {
        response = shared.header(response, "Retry-After");
    }
    if codes.contains(&Code::Unauthenticated) {
        response = shared.header(response, "WWW-Authenticate");
    }
    shared.header(response, "X-Request-Id").build()
}

/// What the headers are, of which any operation has one.
pub fn headers(shared: &Shared) -> impl Iterator<Item = (&str, utoipa::openapi::Header)> {
    shared.headers.iter().map(|name| (name.as_str(), header(name)))
}
