//! Which release of a scope is in force, who may replace it, and since when.

use axum::http::HeaderName;
use axum::http::header::{IF_MATCH, IF_NONE_MATCH};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::call::Call;
use super::error::{Code, Problem, Success};
use super::journal;
use super::openapi::told::{Tagged, Told};
use super::reply::{Answer, Reply};
use super::view::ReleaseView;
use crate::clock::Instant;
use crate::names::{Reason, Scope};
use crate::registry::store::{Freeze, ScopeState};

/// What holds of a scope, whatever its rules say.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ScopeState)]
pub struct StateView<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    activated_by: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    activated_at: Option<Instant>,
    frozen: Option<FreezeView<'a>>,
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Freeze)]
struct FreezeView<'a> {
    by: &'a str,
    at: Instant,
    reason: &'a Reason,
}

impl<'a> StateView<'a> {
    /// Shows it beside the active release of this number.
    pub fn of(state: &'a ScopeState, number: Option<i64>) -> Self {
        let active = state.active.as_ref().filter(|active| Some(active.number) == number);
        let freeze = |freeze: &'a Freeze| FreezeView { by: &freeze.by, at: Instant(freeze.at), reason: &freeze.reason };
        Self {
            activated_by: active.and_then(|active| active.by.as_deref()),
            activated_at: active.map(|active| Instant(active.at)),
            frozen: state.freeze.as_ref().map(freeze),
        }
    }
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct ActivateRequest {
    release: i64,
    #[serde(default)]
    if_impact_at_most: Option<u64>,
}

/// The release that the caller believes active, by the preconditions of RFC 9110: `If-Match` with its number as a
/// strong tag, `If-None-Match: *` for none, neither for whichever there is.
fn expected(call: &Call) -> Result<Option<Option<i64>>, Problem> {
    let one = |name: &HeaderName| -> Result<Option<&str>, Problem> {
        let mut values = call.headers.get_all(name).iter();
        match (values.next(), values.next()) {
            (None, _) => Ok(None),
            (Some(value), None) => Ok(Some(value.to_str().unwrap_or_default().trim())),
            (Some(_), Some(_)) => {
                Err(Problem::new(Code::BadHeader, format!("the header {name} stands twice: send it once")))
            }
        }
    };
    match (one(&IF_MATCH)?, one(&IF_NONE_MATCH)?) {
        (None, None) => Ok(None),
        (None, Some("*")) => Ok(Some(None)),
        (Some(tag), None) => match number(tag) {
            Some(number) => Ok(Some(Some(number))),
            None => Err(Problem::new(
                Code::BadHeader,
                "If-Match names the one release that may be replaced, as in If-Match: \"3\"; where none may be active, \
                 send If-None-Match: *",
            )),
        },
        _ => Err(Problem::new(
            Code::BadHeader,
            "send If-Match: \"3\" to replace release 3 alone, or If-None-Match: * to replace none, not both",
        )),
    }
}

fn number(tag: &str) -> Option<i64> {
    let digits = tag.strip_prefix('"')?.strip_suffix('"')?;
    digits.parse().ok().filter(|number| *number >= 1 && digits.bytes().all(|byte| byte.is_ascii_digit()))
}

/// `POST …/activate`
pub async fn activate(call: Call) -> Answer {
    let scope = call.scope()?;
    let expected = expected(&call)?;
    let request: ActivateRequest = call.json()?;
    let (registry, actor, number) = (&call.registry, &call.actor, request.release);
    let result = match request.if_impact_at_most {
        None => registry.activate(actor, &scope, number, expected).await,
        Some(at_most) => registry.activate_if_impact(actor, &scope, number, expected, at_most).await,
    };
    journal::activated(&call, &scope.to_string(), request.release, &result);
    let row = result?;
    let number = Some(row.release.number);
    Ok(Reply::json(Success::Found, &ReleaseView::beside(&row, number))?.of_release(number))
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct FreezeRequest {
    reason: Reason,
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct UnfreezeRequest {}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = ScopeHeld)]
struct Held<'a> {
    scope: &'a Scope,
    release: Option<i64>,
    #[serde(flatten)]
    state: StateView<'a>,
}

fn held(scope: &Scope, state: &ScopeState) -> Answer {
    let release = state.active.as_ref().map(|active| active.number);
    Reply::json(Success::Found, &Held { scope, release, state: StateView::of(state, release) })
}

/// `POST …/freeze`
pub async fn freeze(call: Call) -> Answer {
    let scope = call.scope()?;
    let request: FreezeRequest = call.json()?;
    let result = call.registry.freeze(&call.actor, &scope, request.reason).await;
    journal::frozen(&call, &scope.to_string(), &result);
    held(&scope, &result?)
}

/// `POST …/unfreeze`
pub async fn unfreeze(call: Call) -> Answer {
    let scope = call.scope()?;
    let UnfreezeRequest {} = call.json()?;
    let result = call.registry.unfreeze(&call.actor, &scope).await;
    journal::unfrozen(&call, &scope.to_string(), &result);
    held(&scope, &result?)
}

/// What the API's description tells of these.
pub fn told() -> Vec<Told> {
    let of_modules = of_scope("/api/modules/{name}", "Module");
    of_modules.into_iter().chain(of_scope("/api/policies", "Policies")).collect()
}

fn of_scope(at: &str, noun: &str) -> [Told; 3] {
    let activate = Told::post(format!("{at}/activate"), format!("activate{noun}Release"))
        .header("If-Match", "The number of the release that may be replaced, in quotes: `\"3\"`.")
        .header("If-None-Match", "`*`: only where no release is active.")
        .takes::<ActivateRequest>(json!({"release": 1, "ifImpactAtMost": 0}))
        .gives::<ReleaseView<'_>>(Success::Found)
        .tagged(Tagged::Release)
        .refuses(&[
            Code::BadHeader,
            Code::NotFound,
            Code::ScopeFrozen,
            Code::ReleaseMoved,
            Code::ImpactTooLarge,
            Code::BadRules,
            Code::BadImpact,
            Code::PluginUnfit,
            Code::PluginUnsigned,
        ]);
    let freeze = Told::post(format!("{at}/freeze"), format!("freeze{noun}"))
        .takes::<FreezeRequest>(json!({"reason": "release week"}))
        .gives::<Held<'_>>(Success::Found)
        .refuses(&[Code::NotFound, Code::ScopeFrozen]);
    let unfreeze = Told::post(format!("{at}/unfreeze"), format!("unfreeze{noun}"))
        .takes::<UnfreezeRequest>(json!({}))
        .gives::<Held<'_>>(Success::Found)
        .refuses(&[Code::NotFound]);
    [activate, freeze, unfreeze]
}
