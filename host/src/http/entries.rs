//! Entries and versions of every kind: publish, validate, read, roll back.

use serde::{Deserialize, Serialize};

use super::call::Call;
use super::error::{Code, Problem, Success};
use super::reply::{Answer, Reply};
use super::view::{DecisionView, EntryView, FailureView, Named, Stored};
use super::{cursor, journal};
use crate::names::VersionName;
use crate::registry::{Published, RegistryError, Report};

/// Entries of a page where the query does not say.
const PAGE_DEFAULT: u32 = 25;
/// Entries of a page at most.
const PAGE_MAX: u32 = 100;

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
        Published::Created { kind, entry, version, decision } => {
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

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PageView<'a> {
    items: Vec<EntryView<'a>>,
    next_cursor: Option<String>,
}

/// `GET /api/{kind}`
pub async fn list(call: Call) -> Answer {
    let [limit, cursor] = call.query(["limit", "cursor"])?;
    let limit = page_limit(limit.as_deref())?;
    let kind = call.word("kind");
    let after = cursor.map(|cursor| cursor::read(kind, &cursor)).transpose()?;
    let (kind, page) = call.registry.entries(&call.actor, kind, after.as_ref(), limit).await?;
    let last = page.items.last().filter(|_| page.more);
    let next_cursor = last.map(|entry| cursor::after(kind.name.as_str(), &entry.id));
    let items = page.items.iter().map(|entry| EntryView::listed(&kind, entry)).collect();
    Reply::json(Success::Found, &PageView { items, next_cursor })
}

fn page_limit(given: Option<&str>) -> Result<u32, Problem> {
    let Some(text) = given else { return Ok(PAGE_DEFAULT) };
    text.parse().ok().filter(|limit| (1..=PAGE_MAX).contains(limit)).ok_or_else(|| {
        let text: String = text.chars().take(80).collect();
        Problem::new(Code::BadQuery, format!("limit is a whole number from 1 to {PAGE_MAX}, not '{text}'"))
    })
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

/// `GET /api/{kind}/{id}/versions/{version}`
pub async fn version(call: Call) -> Answer {
    let (kind, id, version) = (call.word("kind"), call.word("id"), call.word("version"));
    let (kind, row) = call.registry.version(&call.actor, kind, id, version).await?;
    let stored = Stored::of(&row)?;
    Reply::json(Success::Found, &EntryView::version(&kind, &row, &stored))
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
