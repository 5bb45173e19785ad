//! What becomes of entries after they were published: deprecated, disabled, activated, withdrawn, rolled back; each under
//! `If-Match`, where it is sent or must be.

use axum::http::header::{IF_MATCH, IF_NONE_MATCH};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::call::Call;
use super::error::{Code, Problem, Success};
use super::journal;
use super::openapi::told::Told;
use super::reply::{Answer, Reply};
use super::view::{EntryView, FailureView, Named};
use crate::names::{EntryId, KindName, Reason, VersionName};
use crate::registry::Report;
use crate::registry::life::{ChangedEntry, StatusWanted};
use crate::registry::store::{EntryName, EntryStatus, Expected};

/// The revisions of which the entry must be at one, by `If-Match` (RFC 9110, 13.1.1); none where it may be at any. A tag
/// that no entry ever had matches none.
fn expected(call: &Call) -> Result<Option<Vec<i64>>, Problem> {
    let tags = tags(call);
    if tags.is_empty() {
        if call.host.limits.require_if_match {
            let detail = "this host changes no entry unseen (require_if_match): send If-Match with the ETag of \
                          GET /api/{kind}/{id}";
            return Err(Problem::new(Code::MatchRequired, detail).limited_by("require_if_match"));
        }
        return Ok(None);
    }
    if tags == ["*"] { Ok(None) } else { revisions(&tags).map(Some) }
}

/// The same of a publish, which needs none, and may also be of an entry that must not be there (`If-None-Match: *`).
pub(super) fn expected_of_publish(call: &Call) -> Result<Expected, Problem> {
    let none = call.headers.get_all(IF_NONE_MATCH).iter().map(|value| value.as_bytes()).collect::<Vec<_>>();
    let tags = tags(call);
    match (&tags[..], &none[..]) {
        ([], []) => Ok(Expected::Anything),
        ([], [b"*"]) => Ok(Expected::Nothing),
        (["*"], []) => Ok(Expected::Something),
        (tags, []) => revisions(tags).map(Expected::Revisions),
        _ => {
            let detail = "a publish takes If-Match with the ETag of the entry, or If-None-Match: * where it is to be new, \
                          and not both";
            Err(Problem::new(Code::BadHeader, detail))
        }
    }
}

fn tags(call: &Call) -> Vec<&str> {
    let values = call.headers.get_all(IF_MATCH).iter().map(|value| value.to_str().unwrap_or_default());
    values.flat_map(|text| text.split(',').map(str::trim)).collect()
}

fn revisions(tags: &[&str]) -> Result<Vec<i64>, Problem> {
    let revision = |tag: &str| -> Option<i64> {
        let bare = tag.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'))?;
        // A weak tag matches nothing here (8.8.3.2), and so does what is no number.
        Some(bare.split('-').next().and_then(|digits| digits.parse().ok()).unwrap_or(-1))
    };
    let read = |tag: &&str| if tag.starts_with("W/") { Some(-1) } else { revision(tag) };
    tags.iter().map(read).collect::<Option<_>>().ok_or_else(|| {
        let detail =
            "If-Match holds the ETag of the entry in its quotes, as in If-Match: \"1764230400000-0a1b2c3d\", or *";
        Problem::new(Code::BadHeader, detail)
    })
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct DeprecateRequest {
    reason: Reason,
    #[serde(default)]
    replacement: Option<Replacement>,
}

/// An entry of the same kind by its id, or one of another.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(untagged, expecting = "replacement is the id of an entry of this kind, or {\"kind\": …, \"id\": …}")]
enum Replacement {
    Same(EntryId),
    Other(OtherEntry),
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct OtherEntry {
    kind: KindName,
    id: EntryId,
}

/// `POST /api/{kind}/{id}/deprecate`
pub async fn deprecate(call: Call) -> Answer {
    let request: DeprecateRequest = call.json()?;
    let replacement = match request.replacement {
        None => None,
        Some(Replacement::Same(id)) => Some(EntryName { kind: call.word("kind").parse()?, id }),
        Some(Replacement::Other(OtherEntry { kind, id })) => Some(EntryName { kind, id }),
    };
    let wanted = StatusWanted { status: EntryStatus::Deprecated, reason: Some(request.reason), replacement };
    set_status(call, ("deprecate", "deprecated"), wanted).await
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct ReasonRequest {
    reason: Reason,
}

/// `POST /api/{kind}/{id}/disable`
pub async fn disable(call: Call) -> Answer {
    let ReasonRequest { reason } = call.json()?;
    let wanted = StatusWanted { status: EntryStatus::Disabled, reason: Some(reason), replacement: None };
    set_status(call, ("disable", "disabled"), wanted).await
}

/// `POST /api/{kind}/{id}/activate`
pub async fn activate(call: Call) -> Answer {
    let wanted = StatusWanted { status: EntryStatus::Active, reason: None, replacement: None };
    set_status(call, ("activate", "activated"), wanted).await
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = OnlyTheEntry)]
struct Nothing {}

async fn set_status(call: Call, what: (&'static str, &'static str), wanted: StatusWanted) -> Answer {
    let expected = expected(&call)?;
    let of = (call.word("kind"), call.word("id"));
    let result = call.registry.set_status(&call.actor, of, &wanted, expected.as_deref()).await;
    journal::changed(&call, what, "", &result);
    answer(&result?, Nothing {})
}

fn answer(changed: &ChangedEntry, more: impl Serialize) -> Answer {
    let thing = EntryView::listed(&changed.kind, &changed.entry);
    let named = Named { singular: &changed.kind.singular, thing, more };
    Ok(Reply::json(Success::Found, &named)?.now_at(changed.entry.revision()))
}

#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Withdrawn)]
struct WithdrawnView<'a> {
    withdrawn: &'a VersionName,
    previous_version: &'a VersionName,
}

/// `POST /api/{kind}/{id}/versions/{version}/withdraw`
pub async fn withdraw(call: Call) -> Answer {
    let ReasonRequest { reason } = call.json()?;
    let expected = expected(&call)?;
    let (of, version) = ((call.word("kind"), call.word("id")), call.word("version"));
    let result = call.registry.withdraw(&call.actor, of, version, &reason, expected.as_deref()).await;
    journal::changed(&call, ("withdraw", "withdrawn"), version, &result);
    let done = result?;
    let withdrawn: VersionName = version.parse()?;
    answer(&done, WithdrawnView { withdrawn: &withdrawn, previous_version: &done.previous })
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct RollbackRequest {
    target_version: String,
}

#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = RolledBack)]
struct RolledBackView<'a> {
    previous_version: &'a VersionName,
    report: Option<&'a Report>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<FailureView<'a>>,
}

/// `POST /api/{kind}/{id}/rollback`
pub async fn roll_back(call: Call) -> Answer {
    let request: RollbackRequest = call.json()?;
    let expected = expected(&call)?;
    let of = (call.word("kind"), call.word("id"));
    let result = call.registry.roll_back(&call.actor, of, &request.target_version, expected.as_deref()).await;
    journal::rolled_back(&call, &result);
    let done = result?;
    let more = RolledBackView {
        previous_version: &done.previous,
        report: done.report.as_ref().ok(),
        failure: done.report.as_ref().err().map(FailureView::of),
    };
    let thing = EntryView::listed(&done.kind, &done.entry);
    let named = Named { singular: &done.kind.singular, thing, more };
    Ok(Reply::json(Success::Found, &named)?.now_at(done.entry.revision()))
}

/// What the API's description tells of these.
pub fn told() -> Vec<Told> {
    let changed = |path: &str, id: &str| {
        let mut told = Told::post(path, id).under_if_match();
        let entry = Named::<Nothing>::told(&mut told);
        told.gives_form(Success::Found, entry).refuses(&[Code::BadChange])
    };
    let mut withdraw = Told::post("/api/{kind}/{id}/versions/{version}/withdraw", "withdrawVersion").under_if_match();
    let withdrawn = Named::<WithdrawnView<'_>>::told(&mut withdraw);
    let mut rollback = Told::post("/api/{kind}/{id}/rollback", "rollBack").under_if_match();
    let rolled_back = Named::<RolledBackView<'_>>::told(&mut rollback);
    vec![
        withdraw
            .takes::<ReasonRequest>(json!({"reason": "it names nobody"}))
            .gives_form(Success::Found, withdrawn)
            .refuses(&[Code::BadChange]),
        rollback
            .takes::<RollbackRequest>(json!({"targetVersion": "1.0.0"}))
            .gives_form(Success::Found, rolled_back)
            .refuses(&[Code::EntryDisabled, Code::VersionWithdrawn, Code::BadChange]),
        changed("/api/{kind}/{id}/deprecate", "deprecateEntry")
            .takes::<DeprecateRequest>(json!({"reason": "one template does", "replacement": "invitation"})),
        changed("/api/{kind}/{id}/disable", "disableEntry").takes::<ReasonRequest>(json!({"reason": "nobody uses it"})),
        changed("/api/{kind}/{id}/activate", "activateEntry"),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::http::entries::{Decided, Id, Skipped};
    use crate::http::view::DecisionView;
    use crate::registry::rules::ANSWER_WORDS;
    use crate::registry::{Decision, NotJudged};

    #[test]
    fn no_kind_may_be_called_as_a_member_of_an_answer() {
        let decision: Decision = serde_json::from_value(json!({
            "id": "0199e2c4-6f0d-7d11-8f64-1c9a7b2e4d55", "kind": "agents", "entry": "a", "version": "1.0.0",
            "publisher": "admin", "submittedAt": 0, "outcome": "approved",
            "submittedDigest": crate::names::Digest::of(b"a"), "digest": null, "releases": [], "findings": [],
            "failures": [], "placeholders": [], "substituted": [], "lookups": [], "timings": [],
        }))
        .expect("a decision");
        let previous = "1.0.0".parse().expect("a version");
        let busy = NotJudged::Busy("full".to_owned());
        let answers = [
            json!(Decided { decision: DecisionView::of(&decision) }),
            json!(Skipped { status: "skipped", reason: "duplicate", decision: Id { id: "a" } }),
            json!(WithdrawnView { withdrawn: &previous, previous_version: &previous }),
            json!(RolledBackView { previous_version: &previous, report: None, failure: Some(FailureView::of(&busy)) }),
        ];
        let members: BTreeSet<&str> = answers
            .iter()
            .flat_map(|answer| answer.as_object().expect("an object").keys().map(String::as_str))
            .collect();
        assert_eq!(members.into_iter().collect::<Vec<_>>(), ANSWER_WORDS);
    }
}
