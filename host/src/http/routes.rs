//! Every route: method, path, who may ask, what is read, and the handler. A path that is not here is not served.

use std::future::Future;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::Uri;
use axum::routing::{MethodFilter, MethodRouter, on};

use super::call::Call;
use super::front::{self, Label};
use super::intake::Intake;
use super::reply::Answer;
use super::{Host, activation, audit, decisions, entries, exemptions, health, impact, keys, plugins, scopes, shadow};

/// Who may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody.
    Public,
    /// Who holds a token.
    Token,
}

/// One row of the table.
#[cfg_attr(not(test), expect(dead_code, reason = "a test holds docs/API.md to every column"))]
pub struct Route {
    /// The method.
    pub method: &'static str,
    /// The path, with `{parameters}`.
    pub path: &'static str,
    /// Who may ask.
    pub access: Access,
    /// The handler, behind what every request passes.
    pub service: MethodRouter<Arc<Host>>,
}

/// The table. Fixed words win over `{kind}`: the router sees to it, and no module may declare one as a kind.
pub fn table() -> Vec<Route> {
    use Intake::{Component, Document, Json, Nothing, Rules};
    vec![
        public("/health", health::health),
        public("/livez", health::livez),
        public("/readyz", health::readyz),
        get("/metrics", health::metrics),
        get("/api/modules", scopes::list),
        get("/api/modules/{name}", scopes::show),
        get("/api/modules/{name}/releases", scopes::releases),
        post("/api/modules/{name}/releases", Rules, scopes::release),
        get("/api/modules/{name}/releases/{number}", scopes::show_release),
        post("/api/modules/{name}/activate", Json, activation::activate),
        post("/api/modules/{name}/freeze", Json, activation::freeze),
        post("/api/modules/{name}/unfreeze", Json, activation::unfreeze),
        post("/api/modules/{name}/impact", Rules, impact::begin),
        post("/api/modules/{name}/stage", Json, shadow::stage),
        get("/api/modules/{name}/shadow", shadow::show),
        post("/api/modules/{name}/shadow", Json, shadow::start),
        post("/api/modules/{name}/shadow/stop", Nothing, shadow::stop),
        get("/api/policies", scopes::show),
        get("/api/policies/releases", scopes::releases),
        post("/api/policies/releases", Rules, scopes::release),
        get("/api/policies/releases/{number}", scopes::show_release),
        post("/api/policies/activate", Json, activation::activate),
        post("/api/policies/freeze", Json, activation::freeze),
        post("/api/policies/unfreeze", Json, activation::unfreeze),
        post("/api/policies/impact", Rules, impact::begin),
        post("/api/policies/stage", Json, shadow::stage),
        get("/api/policies/shadow", shadow::show),
        post("/api/policies/shadow", Json, shadow::start),
        post("/api/policies/shadow/stop", Nothing, shadow::stop),
        get("/api/policies/exemptions", exemptions::list),
        post("/api/policies/exemptions", Json, exemptions::make),
        post("/api/policies/exemptions/{id}/revoke", Nothing, exemptions::revoke),
        get("/api/impacts", impact::list),
        get("/api/impacts/{id}", impact::show),
        get("/api/impacts/{id}/page", impact::page),
        post("/api/impacts/{id}/cancel", Json, impact::cancel),
        get("/api/plugins", plugins::list),
        post("/api/plugins", Component, plugins::push),
        get("/api/plugins/{digest}", plugins::show),
        post("/api/plugins/{digest}/signatures", Json, keys::sign),
        get("/api/keys", keys::list),
        post("/api/keys", Json, keys::add),
        post("/api/keys/require", Json, keys::require),
        post("/api/keys/{id}/revoke", Nothing, keys::revoke),
        get("/api/signing-key", decisions::signing_key),
        get("/api/decisions", decisions::list),
        get("/api/decisions/{id}", decisions::show),
        get("/api/decisions/{id}/explanation", decisions::explain),
        post("/api/decisions/{id}/replay", Nothing, decisions::replay),
        get("/api/decisions/{id}/statement", decisions::statement),
        get("/api/audit", audit::list),
        get("/api/audit/status", audit::status),
        get("/api/audit/versions", audit::versions),
        get("/api/{kind}", entries::list),
        post("/api/{kind}/publish", Document, entries::publish),
        post("/api/{kind}/validate", Document, entries::validate),
        // An entry may be called as an action is; it is read all the same.
        get("/api/{kind}/publish", entries::show),
        get("/api/{kind}/validate", entries::show),
        get("/api/{kind}/{id}", entries::show),
        get("/api/{kind}/{id}/versions", entries::versions),
        get("/api/{kind}/{id}/versions/{version}", entries::version),
        post("/api/{kind}/{id}/rollback", Json, entries::roll_back),
    ]
}

fn public<H, F>(path: &'static str, handler: H) -> Route
where
    H: Fn(Arc<Host>, Uri) -> F + Copy + Send + Sync + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    let label = Label { method: "GET", path };
    let service = on(MethodFilter::GET, move |State(host): State<Arc<Host>>, request: Request| {
        front::public(label, host, request, handler)
    });
    Route { method: "GET", path, access: Access::Public, service }
}

fn get<H, F>(path: &'static str, handler: H) -> Route
where
    H: Fn(Call) -> F + Copy + Send + Sync + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    let service = guarded(MethodFilter::GET, Label { method: "GET", path }, Intake::Nothing, handler);
    Route { method: "GET", path, access: Access::Token, service }
}

fn post<H, F>(path: &'static str, intake: Intake, handler: H) -> Route
where
    H: Fn(Call) -> F + Copy + Send + Sync + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    let service = guarded(MethodFilter::POST, Label { method: "POST", path }, intake, handler);
    Route { method: "POST", path, access: Access::Token, service }
}

fn guarded<H, F>(method: MethodFilter, label: Label, intake: Intake, handler: H) -> MethodRouter<Arc<Host>>
where
    H: Fn(Call) -> F + Copy + Send + Sync + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    on(method, move |State(host): State<Arc<Host>>, request: Request| {
        front::guarded(label, intake, host, request, handler)
    })
}
