//! The rules of modules and of the tenant's policies: one set of handlers, since a path names a module or it does not.

use serde::{Deserialize, Deserializer, Serialize};

use super::call::Call;
use super::error::{Code, Problem, Success};
use super::journal;
use super::page::{self, PageView};
use super::reply::{Answer, Reply};
use super::view::{ReleaseView, ScopeView};
use crate::names::{ModuleName, Scope};
use crate::registry::RegistryError;
use crate::registry::release::Rules;

/// What the list is of, in its cursors.
const MODULES: &str = "modules";

/// `GET /api/modules`
pub async fn list(call: Call) -> Answer {
    let asked = page::asked::<ModuleName>(&call, MODULES)?;
    let page = call.registry.modules(&call.actor, asked.after.as_ref(), asked.limit).await?;
    let shown =
        PageView::of(MODULES, &page, |(name, _)| name, |(_, active)| ScopeView::of(&active.release, &active.rules));
    Reply::json(Success::Found, &shown)
}

#[derive(Serialize)]
struct WithRules<'a, T> {
    #[serde(flatten)]
    view: T,
    rules: &'a Rules,
}

/// A tenant has policies even where none were ever activated.
#[derive(Serialize)]
struct NoPolicies {
    scope: Scope,
    release: Option<i64>,
    rules: Option<i64>,
}

/// `GET /api/modules/{name}` and `GET /api/policies`
pub async fn show(call: Call) -> Answer {
    let scope = call.scope()?;
    match (call.registry.scope(&call.actor, &scope).await?, &scope) {
        (Some(active), _) => {
            let (view, rules) = (ScopeView::of(&active.release, &active.rules), &active.rules);
            Reply::json(Success::Found, &WithRules { view, rules })
        }
        (None, Scope::Policies) => Reply::json(Success::Found, &NoPolicies { scope, release: None, rules: None }),
        (None, Scope::Module(name)) => Err(RegistryError::NotFound { what: "module", name: name.to_string() }.into()),
    }
}

#[derive(Serialize)]
struct Releases<'a> {
    #[serde(flatten)]
    page: PageView<ReleaseView<'a>>,
    active: Option<i64>,
}

/// `GET …/releases`
pub async fn releases(call: Call) -> Answer {
    let scope = call.scope()?;
    let list = format!("releases of {scope}");
    let asked = page::asked(&call, &list)?;
    let (page, active) = call.registry.releases(&call.actor, &scope, asked.after, asked.limit).await?;
    let view = |head| ReleaseView::listed(head, active);
    let page = PageView::of(&list, &page, |head| head.release.number, view);
    Reply::json(Success::Found, &Releases { page, active })
}

/// `GET …/releases/{number}`
pub async fn show_release(call: Call) -> Answer {
    let (row, rules) = call.registry.release(&call.actor, &call.scope()?, call.number()?).await?;
    Reply::json(Success::Found, &WithRules { view: ReleaseView::of(&row), rules: &rules })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReleaseRequest {
    rules: Rules,
    #[serde(default)]
    message: String,
}

#[derive(Serialize)]
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct ActivateRequest {
    release: i64,
    // Left out: whatever is active may be replaced. `null`: nothing may be active.
    #[serde(default, deserialize_with = "given")]
    expected: Option<Option<i64>>,
    #[serde(default)]
    if_impact_at_most: Option<u64>,
}

fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<i64>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// `POST …/activate`
pub async fn activate(call: Call) -> Answer {
    let scope = call.scope()?;
    let request: ActivateRequest = call.json()?;
    let (registry, actor, number, expected) = (&call.registry, &call.actor, request.release, request.expected);
    let result = match request.if_impact_at_most {
        None => registry.activate(actor, &scope, number, expected).await,
        Some(at_most) => registry.activate_if_impact(actor, &scope, number, expected, at_most).await,
    };
    journal::activated(&call, &scope.to_string(), request.release, &result);
    let row = result?;
    Reply::json(Success::Found, &ReleaseView::beside(&row, Some(row.release.number)))
}
