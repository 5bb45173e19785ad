//! The rules of modules and of the tenant's policies: one set of handlers, since a path names a module or it does not.

use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::openapi::schema::{Object, ObjectBuilder, OneOfBuilder, Type};

use super::activation::StateView;
use super::call::Call;
use super::error::{Code, Problem, Success};
use super::journal;
use super::openapi::told::{self, Tagged, Told, all_of, object};
use super::page::{self, PageView};
use super::reply::{Answer, Reply};
use super::shadow::ShadowView;
use super::view::{ReleaseView, ScopeView};
use crate::names::{ModuleName, Scope};
use crate::registry::release::Rules;
use crate::registry::{RegistryError, Releases};

/// What the list is of, in its cursors.
const MODULES: &str = "modules";

/// `GET /api/modules`
pub async fn list(call: Call) -> Answer {
    let asked = page::asked::<ModuleName>(&call, MODULES)?;
    let page = call.registry.modules(&call.actor, asked.after.as_ref(), asked.limit).await?;
    let shown =
        PageView::of(MODULES, &page, |(name, _)| name, |(_, active)| ScopeView::of(&active.release, &active.rules));
    page::answer(&call, &shown)
}

#[derive(Serialize)]
struct WithRules<'a, T> {
    #[serde(flatten)]
    view: T,
    rules: &'a Rules,
}

/// A scope with what holds of it; a tenant has policies even where none were ever activated.
#[derive(Serialize)]
#[serde(untagged)]
enum Shown<'a> {
    Active {
        #[serde(flatten)]
        scope: WithRules<'a, ScopeView<'a>>,
        #[serde(flatten)]
        state: StateView<'a>,
    },
    Idle {
        scope: &'a Scope,
        release: Option<i64>,
        rules: Option<i64>,
        #[serde(flatten)]
        state: StateView<'a>,
    },
}

/// `GET /api/modules/{name}` and `GET /api/policies`
pub async fn show(call: Call) -> Answer {
    let scope = call.scope()?;
    let active = call.registry.scope(&call.actor, &scope).await?;
    let state = match (&active, &scope) {
        (None, Scope::Module(name)) => {
            return Err(RegistryError::NotFound { what: "module", name: name.to_string() }.into());
        }
        _ => call.registry.scope_state(&call.actor, &scope).await?,
    };
    let number = active.as_ref().map(|active| active.release.release.number);
    // Two reads: a release that was activated between them is shown at the next request.
    let state = StateView::of(&state, number);
    let shown = match &active {
        Some(active) => {
            let view = ScopeView::of(&active.release, &active.rules);
            Shown::Active { scope: WithRules { view, rules: &active.rules }, state }
        }
        None => Shown::Idle { scope: &scope, release: None, rules: None, state },
    };
    Ok(Reply::json(Success::Found, &shown)?.of_release(number))
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = ReleasesBeside)]
struct ReleasesView<'a> {
    #[serde(flatten)]
    #[schema(ignore)]
    page: PageView<ReleaseView<'a>>,
    active: Option<i64>,
    #[serde(flatten)]
    state: StateView<'a>,
    #[schema(ignore)]
    shadow: Option<ShadowView<'a>>,
}

/// `GET …/releases`
pub async fn releases(call: Call) -> Answer {
    let scope = call.scope()?;
    let list = format!("releases of {scope}");
    let asked = page::asked(&call, &list)?;
    let Releases { page, state, shadow } =
        call.registry.releases(&call.actor, &scope, asked.after, asked.limit).await?;
    let active = state.active.as_ref().map(|active| active.number);
    let view = |head| ReleaseView::listed(head, active);
    let page = PageView::of(&list, &page, |head| head.release.number, view);
    let (state, shadow) = (StateView::of(&state, active), shadow.as_ref().map(ShadowView::of));
    let next = page.next(&call);
    Ok(Reply::json(Success::Found, &ReleasesView { page, active, state, shadow })?.followed_by(next))
}

/// `GET …/releases/{number}`
pub async fn show_release(call: Call) -> Answer {
    let (row, rules) = call.registry.release(&call.actor, &call.scope()?, call.number()?).await?;
    Reply::json(Success::Found, &WithRules { view: ReleaseView::of(&row), rules: &rules })
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct ReleaseRequest {
    rules: Rules,
    #[serde(default)]
    message: String,
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Released)]
struct ReleasedView<'a> {
    #[serde(flatten)]
    release: ReleaseView<'a>,
    created: bool,
}

/// `POST …/releases`
pub async fn release(call: Call) -> Answer {
    let scope = call.scope()?;
    let request: ReleaseRequest = call.json()?;
    if request.rules.scope != scope {
        let detail =
            format!("the path is of the scope '{scope}', the rules are of '{}': make them one", request.rules.scope);
        return Err(Problem::new(Code::BadName, detail));
    }
    let result = call.registry.create_release(&call.actor, request.rules, request.message).await;
    journal::released(&call, &scope.to_string(), &result);
    let released = result?;
    let success = if released.created { Success::Created } else { Success::Found };
    let view = ReleasedView { release: ReleaseView::of(&released.release), created: released.created };
    let location = format!("{}/{}", call.uri.path(), released.release.release.number);
    Ok(Reply::json(success, &view)?.at(&location))
}

/// What the API's description tells of these.
pub fn told() -> Vec<Told> {
    let list = Told::get("/api/modules", "listModules").pages::<ScopeView<'_>>();
    let of_modules = of_scope("/api/modules/{name}", "Module");
    std::iter::once(list).chain(of_modules).chain(of_scope("/api/policies", "Policies")).collect()
}

fn of_scope(at: &str, noun: &str) -> impl Iterator<Item = Told> {
    let mut list = Told::get(format!("{at}/releases"), format!("list{noun}Releases")).lists();
    let shadow = OneOfBuilder::new().item(null()).item(list.named::<ShadowView<'_>>()).into();
    let page = told::page(list.named::<ReleaseView<'_>>()).into();
    let parts = [page, list.named::<ReleasesView<'_>>(), object([("shadow", shadow)]).into()];
    let mut one = Told::get(format!("{at}/releases/{{number}}"), format!("show{noun}Release"));
    let with_rules = all_of([one.named::<ReleaseView<'_>>(), object([("rules", one.named::<Rules>())]).into()]);
    let example = json!({
        "message": "no policies",
        "rules": {"scope": if at == "/api/policies" { "policies" } else { "module:agents" }, "bindings": []},
    });
    let make = Told::post(format!("{at}/releases"), format!("release{noun}"))
        .takes::<ReleaseRequest>(example)
        .gives::<ReleasedView<'_>>(Success::Created)
        .with_header("Location")
        .gives::<ReleasedView<'_>>(Success::Found)
        .with_header("Location")
        .meaning("The active release has the same rules: none was made.")
        .refuses(&[Code::BadName, Code::BadRules, Code::PluginUnfit, Code::PluginUnsigned]);
    [
        shown(at, noun),
        list.gives_form(Success::Found, all_of(parts)).with_header("Link").refuses(&[Code::NotFound]),
        one.gives_form(Success::Found, with_rules).refuses(&[Code::NotFound]),
        make,
    ]
    .into_iter()
}

fn shown(at: &str, noun: &str) -> Told {
    let mut told = Told::get(at, format!("show{noun}")).tagged(Tagged::Release);
    let state = told.named::<StateView<'_>>();
    let rules = object([("rules", told.named::<Rules>())]).into();
    let active = all_of([told.named::<ScopeView<'_>>(), rules, state.clone()]);
    let idle = object([("scope", told.named::<Scope>()), ("release", null().into()), ("rules", null().into())]);
    let either = OneOfBuilder::new().item(active).item(all_of([idle.into(), state]));
    told.gives_form(Success::Found, either)
}

fn null() -> Object {
    ObjectBuilder::new().schema_type(Type::Null).build()
}
