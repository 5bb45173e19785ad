//! Entries and versions of every kind: publish, validate, read, roll back.

use serde::{Deserialize, Serialize};

use super::call::Call;
use super::error::Success;
use super::journal;
use super::page::{self, PageView};
use super::reply::{Answer, Reply};
use super::view::{DecisionView, EntryView, FailureView, Named, Stored, VersionView};
use crate::names::VersionName;
use crate::registry::store::VersionHead;
use crate::registry::{Published, RegistryError, Report};

#[derive(Serialize)]
struct Decided<'a> {
    decision: DecisionView<'a>,
}

#[derive(Serialize)]
struct Skipped<'a> {
    status: &'static str,
    reason: &'static str,
    decision: Id<'a>,
}

#[derive(Serialize)]
struct Id<'a> {
    id: &'a str,
}

/// `POST /api/{kind}/publish`
pub async fn publish(call: Call) -> Answer {
    let published = call.registry.publish(&call.actor, call.word("kind"), call.body.clone(), call.format).await;
    journal::published(&call, &published);
    match published? {
        Published::Created { kind, entry, version, decision, .. } => {
            let stored = Stored::of(&version)?;
            let thing = EntryView::full(&kind, &entry, &version, &stored);
            let more = Decided { decision: DecisionView::of(&decision) };
            let location = format!("/api/{}/{}/versions/{}", kind.name, version.id, version.version);
            let named = Named { singular: &kind.singular, thing, more };
            Ok(Reply::json(Success::Created, &named)?.at(&location))
        }
        Published::Skipped { kind, existing } => {
            let stored = Stored::of(&existing)?;
            let thing = EntryView::version(&kind, &existing, &stored);
            let decision = Id { id: existing.decision.as_str() };
            let more = Skipped { status: "skipped", reason: "duplicate", decision };
            Reply::json(Success::Skipped, &Named { singular: &kind.singular, thing, more })
        }
    }
}

/// `POST /api/{kind}/validate`
pub async fn validate(call: Call) -> Answer {
    let judged = call.registry.validate(&call.actor, call.word("kind"), call.body.clone(), call.format).await;
    journal::validated(&call, &judged);
    let report = match judged {
        // A dry run answers what is wrong, whatever it is: only a request that cannot be read is refused.
        Err(RegistryError::Unidentified { findings }) => Report::unidentified(findings),
        other => other?,
    };
    Reply::json(Success::Found, &report)
}

/// `GET /api/{kind}`
pub async fn list(call: Call) -> Answer {
    let kind = call.word("kind");
    let asked = page::asked(&call, kind)?;
    let (kind, page) = call.registry.entries(&call.actor, kind, asked.after.as_ref(), asked.limit).await?;
    let view = |entry| EntryView::listed(&kind, entry);
    page::answer(&call, &PageView::of(kind.name.as_str(), &page, |entry| &entry.id, view))
}

/// `GET /api/{kind}/{id}`
pub async fn show(call: Call) -> Answer {
    // A route that ends in a fixed word serves the entry of that name.
    let id = match call.word("id") {
        "" => call.uri.path().rsplit('/').next().unwrap_or_default(),
        id => id,
    };
    let (kind, entry, version, versions) = call.registry.entry(&call.actor, call.word("kind"), id).await?;
    let stored = Stored::of(&version)?;
    let view = EntryView { versions: Some(&versions), ..EntryView::full(&kind, &entry, &version, &stored) };
    Reply::json(Success::Found, &view)
}

/// `GET /api/{kind}/{id}/versions`
pub async fn versions(call: Call) -> Answer {
    let (kind, id) = (call.word("kind"), call.word("id"));
    let list = format!("versions of {kind}/{id}");
    let asked = page::asked(&call, &list)?;
    let page = call.registry.versions(&call.actor, kind, id, asked.after.as_ref(), asked.limit).await?;
    page::answer(&call, &PageView::of(&list, &page, VersionHead::place, VersionView::of))
}

/// `GET /api/{kind}/{id}/versions/{version}`
pub async fn version(call: Call) -> Answer {
    let (kind, id, version) = (call.word("kind"), call.word("id"), call.word("version"));
    let (kind, row) = call.registry.version(&call.actor, kind, id, version).await?;
    let stored = Stored::of(&row)?;
    Reply::json(Success::Found, &EntryView::version(&kind, &row, &stored))
}

/// `GET /api/{kind}/{id}/versions/{version}/manifest`
pub async fn manifest(call: Call) -> Answer {
    let (kind, id, version) = (call.word("kind"), call.word("id"), call.word("version"));
    let (_, row) = call.registry.version(&call.actor, kind, id, version).await?;
    Ok(Reply::forever(&row.digest, row.manifest.to_string().into()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct RollbackRequest {
    target_version: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RolledBackView<'a> {
    previous_version: &'a VersionName,
    report: Option<&'a Report>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<FailureView<'a>>,
}

/// `POST /api/{kind}/{id}/rollback`
pub async fn roll_back(call: Call) -> Answer {
    let request: RollbackRequest = call.json()?;
    let (kind, id) = (call.word("kind"), call.word("id"));
    let result = call.registry.roll_back(&call.actor, kind, id, &request.target_version).await;
    journal::rolled_back(&call, &result);
    let done = result?;
    let more = RolledBackView {
        previous_version: &done.previous,
        report: done.report.as_ref().ok(),
        failure: done.report.as_ref().err().map(FailureView::of),
    };
    let thing = EntryView::listed(&done.kind, &done.entry);
    Reply::json(Success::Found, &Named { singular: &done.kind.singular, thing, more })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;
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
            json!(RolledBackView { previous_version: &previous, report: None, failure: Some(FailureView::of(&busy)) }),
        ];
        let members: BTreeSet<&str> = answers
            .iter()
            .flat_map(|answer| answer.as_object().expect("an object").keys().map(String::as_str))
            .collect();
        assert_eq!(members.into_iter().collect::<Vec<_>>(), ANSWER_WORDS);
    }
}
