//! Every route: method, path, who may ask, what is read, and the handler. A path that is not here is not served.

use std::future::Future;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::Uri;
use axum::routing::{MethodFilter, MethodRouter, on};

use super::call::Call;
use super::front::{self, Guard, Label};
use super::intake::Intake;
use super::reply::Answer;
use super::{
    Host, activation, audit, changes, decisions, entries, events, exemptions, health, impact, inbox, keys, life, lists,
    openapi, plugins, publishers, ratings, scopes, session, shadow, tokens, webhooks,
};
use crate::registry::access::Role;

/// Who may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody.
    Public,
    /// Who holds a token with this role.
    Role(Role),
}

impl Access {
    /// As docs/API.md calls it.
    #[cfg(test)]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Public => "everybody",
            Self::Role(role) => role.as_str(),
        }
    }
}

/// One row of the table.
pub struct Route {
    /// The method.
    pub method: &'static str,
    /// The path, with `{parameters}`.
    pub path: &'static str,
    /// Who may ask.
    pub access: Access,
    /// What is read.
    pub intake: Intake,
    /// The handler, behind what every request passes.
    pub service: MethodRouter<Arc<Host>>,
}

/// The table. Fixed words win over `{kind}`: the router sees to it, and no module may declare one as a kind.
pub fn table() -> Vec<Route> {
    let parts = [of_the_host(), of_rules(), of_the_rest(), of_events(), of_entries()];
    parts.into_iter().flatten().collect()
}

fn of_the_host() -> Vec<Route> {
    vec![
        public("/health", health::health),
        public("/livez", health::livez),
        public("/readyz", health::readyz),
        public("/api/openapi.json", openapi::json),
        public("/docs", openapi::page),
        get("/metrics", Role::Reader, health::metrics),
    ]
}

fn of_rules() -> Vec<Route> {
    use Intake::{Json, Nothing};
    use Role::{Reader, Rules};
    vec![
        get("/api/modules", Reader, scopes::list),
        get("/api/modules/{name}", Reader, scopes::show),
        get("/api/modules/{name}/releases", Reader, scopes::releases),
        post("/api/modules/{name}/releases", Rules, Intake::Rules, scopes::release),
        get("/api/modules/{name}/releases/{number}", Reader, scopes::show_release),
        post("/api/modules/{name}/activate", Rules, Json, activation::activate),
        post("/api/modules/{name}/freeze", Rules, Json, activation::freeze),
        post("/api/modules/{name}/unfreeze", Rules, Json, activation::unfreeze),
        post("/api/modules/{name}/impact", Rules, Intake::Rules, impact::begin),
        post("/api/modules/{name}/stage", Rules, Json, shadow::stage),
        get("/api/modules/{name}/shadow", Reader, shadow::show),
        post("/api/modules/{name}/shadow", Rules, Json, shadow::start),
        post("/api/modules/{name}/shadow/stop", Rules, Nothing, shadow::stop),
        get("/api/policies", Reader, scopes::show),
        get("/api/policies/releases", Reader, scopes::releases),
        post("/api/policies/releases", Rules, Intake::Rules, scopes::release),
        get("/api/policies/releases/{number}", Reader, scopes::show_release),
        post("/api/policies/activate", Rules, Json, activation::activate),
        post("/api/policies/freeze", Rules, Json, activation::freeze),
        post("/api/policies/unfreeze", Rules, Json, activation::unfreeze),
        post("/api/policies/impact", Rules, Intake::Rules, impact::begin),
        post("/api/policies/stage", Rules, Json, shadow::stage),
        get("/api/policies/shadow", Reader, shadow::show),
        post("/api/policies/shadow", Rules, Json, shadow::start),
        post("/api/policies/shadow/stop", Rules, Nothing, shadow::stop),
        get("/api/policies/exemptions", Reader, exemptions::list),
        post("/api/policies/exemptions", Rules, Json, exemptions::make),
        post("/api/policies/exemptions/{id}/revoke", Rules, Nothing, exemptions::revoke),
    ]
}

/// Previews, plugins, keys, decisions, the log, the inbox and who may ask.
fn of_the_rest() -> Vec<Route> {
    use Intake::{Component, Json, Nothing};
    use Role::{Admin, Reader, Rules};
    vec![
        get("/api/impacts", Reader, impact::list),
        get("/api/impacts/{id}", Reader, impact::show),
        get("/api/impacts/{id}/page", Reader, impact::page),
        post("/api/impacts/{id}/cancel", Rules, Json, impact::cancel),
        get("/api/plugins", Reader, plugins::list),
        post("/api/plugins", Rules, Component, plugins::push),
        get("/api/plugins/{digest}", Reader, plugins::show),
        post("/api/plugins/{digest}/signatures", Rules, Json, keys::sign),
        get("/api/keys", Reader, keys::list),
        post("/api/keys", Admin, Json, keys::add),
        post("/api/keys/require", Admin, Json, keys::require),
        post("/api/keys/{id}/revoke", Admin, Nothing, keys::revoke),
        get("/api/signing-key", Reader, decisions::signing_key),
        get("/api/decisions", Reader, decisions::list),
        get("/api/decisions/{id}", Reader, decisions::show),
        get("/api/decisions/{id}/explanation", Reader, decisions::explain),
        post("/api/decisions/{id}/replay", Rules, Nothing, decisions::replay),
        get("/api/decisions/{id}/statement", Reader, decisions::statement),
        get("/api/audit", Rules, audit::list),
        get("/api/audit/status", Rules, audit::status),
        get("/api/audit/versions", Rules, audit::versions),
        get("/api/inbox", Reader, inbox::list),
        delete("/api/inbox/{key}", Admin, inbox::forget),
        get("/api/tokens", Admin, tokens::list),
        post("/api/tokens", Admin, Json, tokens::create),
        post("/api/tokens/revoke", Admin, Json, tokens::revoke_before),
        post("/api/tokens/{id}/revoke", Admin, Nothing, tokens::revoke),
        get("/api/trusted-publishers", Admin, publishers::list),
        post("/api/trusted-publishers", Admin, Json, publishers::trust),
        post("/api/trusted-publishers/{id}/remove", Admin, Nothing, publishers::remove),
        get("/api/session", Reader, session::show),
        post("/api/session", Reader, Nothing, session::begin),
        delete("/api/session", Reader, session::end),
    ]
}

/// Events, and who is sent them.
fn of_events() -> Vec<Route> {
    use Intake::{Json, Nothing};
    use Role::{Admin, Reader};
    vec![
        get("/api/events", Reader, events::stream),
        get("/api/webhooks", Admin, webhooks::list),
        post("/api/webhooks", Admin, Json, webhooks::add),
        get("/api/webhooks/{id}", Admin, webhooks::show),
        delete("/api/webhooks/{id}", Admin, webhooks::remove),
        post("/api/webhooks/{id}/rotate", Admin, Json, webhooks::rotate),
        post("/api/webhooks/{id}/enable", Admin, Nothing, webhooks::enable),
        get("/api/webhooks/{id}/deliveries", Admin, webhooks::deliveries),
        post("/api/webhooks/{id}/deliveries/{delivery}/replay", Admin, Nothing, webhooks::replay),
    ]
}

fn of_entries() -> Vec<Route> {
    use Intake::{Document, Json, Nothing};
    use Role::{Publisher, Reader};
    vec![
        get("/api/search", Reader, lists::search),
        get("/api/changes", Reader, changes::list),
        get("/api/{kind}", Reader, lists::list),
        post("/api/{kind}/publish", Publisher, Document, entries::publish),
        post("/api/{kind}/validate", Reader, Document, entries::validate),
        post("/api/{kind}/rate", Reader, Json, ratings::rate),
        post("/api/{kind}/use", Reader, Json, ratings::count_use),
        // An entry may be called as an action is; it is read all the same.
        get("/api/{kind}/publish", Reader, entries::show),
        get("/api/{kind}/validate", Reader, entries::show),
        get("/api/{kind}/rate", Reader, entries::show),
        get("/api/{kind}/use", Reader, entries::show),
        get("/api/{kind}/{id}", Reader, entries::show),
        get("/api/{kind}/{id}/references", Reader, lists::references),
        get("/api/{kind}/{id}/referrers", Reader, lists::referrers),
        get("/api/{kind}/{id}/ratings", Reader, ratings::list),
        get("/api/{kind}/{id}/versions", Reader, entries::versions),
        get("/api/{kind}/{id}/versions/{version}", Reader, entries::version),
        get("/api/{kind}/{id}/versions/{version}/manifest", Reader, entries::manifest),
        get("/api/{kind}/{id}/versions/{version}/diff/{other}", Reader, lists::difference),
        post("/api/{kind}/{id}/versions/{version}/withdraw", Publisher, Json, life::withdraw),
        post("/api/{kind}/{id}/rollback", Publisher, Json, life::roll_back),
        post("/api/{kind}/{id}/deprecate", Publisher, Json, life::deprecate),
        post("/api/{kind}/{id}/disable", Publisher, Json, life::disable),
        post("/api/{kind}/{id}/activate", Publisher, Nothing, life::activate),
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
    Route { method: "GET", path, access: Access::Public, intake: Intake::Nothing, service }
}

fn get<H, F>(path: &'static str, role: Role, handler: H) -> Route
where
    H: Fn(Call) -> F + Copy + Send + Sync + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    let guard = Guard { role, intake: Intake::Nothing };
    let service = guarded(MethodFilter::GET, Label { method: "GET", path }, guard, handler);
    Route { method: "GET", path, access: Access::Role(role), intake: Intake::Nothing, service }
}

fn post<H, F>(path: &'static str, role: Role, intake: Intake, handler: H) -> Route
where
    H: Fn(Call) -> F + Copy + Send + Sync + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    let service = guarded(MethodFilter::POST, Label { method: "POST", path }, Guard { role, intake }, handler);
    Route { method: "POST", path, access: Access::Role(role), intake, service }
}

fn delete<H, F>(path: &'static str, role: Role, handler: H) -> Route
where
    H: Fn(Call) -> F + Copy + Send + Sync + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    let guard = Guard { role, intake: Intake::Nothing };
    let service = guarded(MethodFilter::DELETE, Label { method: "DELETE", path }, guard, handler);
    Route { method: "DELETE", path, access: Access::Role(role), intake: Intake::Nothing, service }
}

fn guarded<H, F>(method: MethodFilter, label: Label, guard: Guard, handler: H) -> MethodRouter<Arc<Host>>
where
    H: Fn(Call) -> F + Copy + Send + Sync + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    on(method, move |State(host): State<Arc<Host>>, request: Request| {
        front::guarded(label, guard, host, request, handler)
    })
}
