//! The API's description (OpenAPI 3.1): made of the route table, of what each resource tells of its operations, and of
//! the words of docs/API.md and docs/ERRORS.md. It says nothing that these do not, and a test holds it to what the host
//! answers.

mod operation;
mod page;
mod parts;
pub mod told;
mod words;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use axum::http::Uri;
use utoipa::openapi::example::ExampleBuilder;
use utoipa::openapi::info::{InfoBuilder, LicenseBuilder};
use utoipa::openapi::schema::Components;
use utoipa::openapi::{HttpMethod, OpenApi, OpenApiBuilder, Paths, ServerBuilder};

use self::operation::{Shared, headers, operation};
use self::told::{Told, named, object};
use super::Host;
use super::error::{Code, Document, Success};
use super::reply::{Answer, Reply};
use super::routes::{Route, table};
use crate::names::Digest;
use crate::report::{Finding, Remark};

/// The description as JSON text, and what its version is called in the query.
static TEXT: LazyLock<String> = LazyLock::new(|| {
    let mut text = document().to_pretty_json().expect("a description holds only strings, numbers and JSON values");
    text.push('\n');
    text
});
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let digest = Digest::of(TEXT.as_bytes());
    format!("{}-{}", env!("CARGO_PKG_VERSION"), &digest.hex()[..12])
});
static PAGE: LazyLock<page::Page> = LazyLock::new(|| page::write(&document(), &VERSION));

const ABOUT: &str = "A registry with a gate: manifests are judged by sandboxed WebAssembly plugins before they are stored.\n\n\
What holds everywhere:\n\n\
- Every refusal is a problem document (RFC 9457), told apart by its `code`.\n\
- `X-Request-Id` (1 to 128 visible ASCII characters) is taken over, or one is made; it is on every answer, and in every \
problem as `correlationId`. A `traceparent` (W3C Trace Context) is followed.\n\
- Lists are read page by page: `nextCursor` is passed as `cursor`, until it is null.\n\
- Instants are RFC 3339 in UTC with milliseconds; in requests the time of day may be left out.\n\
- A `POST` or `DELETE` with an `Idempotency-Key` is run once.\n\
- Paths with fixed words win over those with `{kind}`: no kind is called as one of them.";

/// The description as text.
pub fn text() -> &'static str {
    &TEXT
}

/// What is told of each operation, with the name of its group.
fn all_told() -> Vec<(&'static str, Told)> {
    parts::GROUPS.iter().flat_map(|group| (group.told)().into_iter().map(|told| (group.name, told))).collect()
}

fn document() -> OpenApi {
    let mut told: BTreeMap<(&str, String), (&str, Told)> = BTreeMap::new();
    for (group, one) in all_told() {
        told.insert((one.method, one.path.clone()), (group, one));
    }
    let (mut paths, mut shared) = (Paths::new(), Shared::default());
    for route in table() {
        // A test names the routes of which nothing is told.
        let Some((group, one)) = told.remove(&(route.method, route.path.to_owned())) else { continue };
        let described = operation(group, &route, one, &mut shared);
        paths.add_path_operation(route.path, vec![method(&route)], described);
    }
    let license = LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0")).build();
    let info = InfoBuilder::new()
        .title("Hallmark")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(ABOUT))
        .license(Some(license))
        .build();
    OpenApiBuilder::new()
        .info(info)
        .servers(Some([ServerBuilder::new().url("/").description(Some("This host.")).build()]))
        .paths(paths)
        .tags(Some(parts::tags()))
        .components(Some(components(shared)))
        .build()
}

fn method(route: &Route) -> HttpMethod {
    match route.method {
        "POST" => HttpMethod::Post,
        "DELETE" => HttpMethod::Delete,
        _ => HttpMethod::Get,
    }
}

fn components(mut shared: Shared) -> Components {
    named::<Document<'_>>(&mut shared.schemas);
    named::<Finding>(&mut shared.schemas);
    named::<Remark>(&mut shared.schemas);
    let mut components = Components::new();
    components.headers = headers(&shared).map(|(name, header)| (name.to_owned(), header.into())).collect();
    components.schemas = shared.schemas.into_iter().collect();
    components.responses = shared.responses.into_iter().map(|(name, response)| (name, response.into())).collect();
    let parameters = shared.parameters.into_iter();
    components.parameters = parameters.map(|(name, parameter)| (name, parameter.build().into())).collect();
    components.examples = Code::ALL.iter().map(|code| (code.as_str().to_owned(), example(*code))).collect();
    components.add_security_schemes_from_iter(parts::security_schemes());
    components
}

fn example(code: Code) -> utoipa::openapi::RefOr<utoipa::openapi::example::Example> {
    ExampleBuilder::new()
        .summary(code.title())
        .description(words::of_problem(code).unwrap_or_default())
        .value(words::example(code))
        .into()
}

/// `GET /api/openapi.json`: kept for good where it is asked for by its version.
pub async fn json(_: Arc<Host>, uri: Uri) -> Answer {
    let is_versioned = uri.query().and_then(|query| query.strip_prefix("version=")) == Some(VERSION.as_str());
    let reply = Reply::of_everybody("application/json", TEXT.as_bytes());
    Ok(if is_versioned { reply.for_good() } else { reply })
}

/// `GET /docs`: the same as a page.
pub async fn page(_: Arc<Host>, _: Uri) -> Answer {
    let page = &*PAGE;
    Ok(Reply::of_everybody("text/html; charset=utf-8", page.text.as_bytes()).under(&page.policy))
}

/// What is told of these.
pub fn told() -> Vec<Told> {
    vec![
        Told::get("/api/openapi.json", "describeApi")
            .query(
                "version",
                told::text(),
                "The version of the description that `/docs` names: it may be kept for good.",
            )
            .gives_form(Success::Found, object([])),
        Told::get("/docs", "showDocumentation")
            .gives_text("text/html; charset=utf-8")
            .with_header("Content-Security-Policy"),
    ]
}

#[cfg(test)]
mod tests;
