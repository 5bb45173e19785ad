//! Entries and versions of every kind: publish, validate and read. What else changes them is in `life`.

use serde::Serialize;

use super::call::Call;
use super::error::{Code, Problem, Success};
use super::journal;
use super::life::expected_of_publish;
use super::page::{self, PageView};
use super::reply::{Answer, Reply};
use super::view::{DecisionView, EntryView, Named, Stored, VersionView};
use crate::registry::publish::PublishWanted;
use crate::registry::store::{EntryStatus, VersionHead};
use crate::registry::{Published, RegistryError, Report};

#[derive(Serialize)]
pub(super) struct Decided<'a> {
    pub(super) decision: DecisionView<'a>,
}

#[derive(Serialize)]
pub(super) struct Skipped<'a> {
    pub(super) status: &'static str,
    pub(super) reason: &'static str,
    pub(super) decision: Id<'a>,
}

#[derive(Serialize)]
pub(super) struct Id<'a> {
    pub(super) id: &'a str,
}

/// `POST /api/{kind}/publish`
pub async fn publish(call: Call) -> Answer {
    let [status] = call.query(["status"])?;
    let status = match status.as_deref() {
        None => EntryStatus::Active,
        Some("draft") => EntryStatus::Draft,
        Some(other) => {
            let detail = format!("status is 'draft', or left out, not '{}'", short(other));
            return Err(Problem::new(Code::BadQuery, detail));
        }
    };
    let sent = (call.body.clone(), call.format);
    let wanted = PublishWanted { status, expected: expected_of_publish(&call)? };
    let published = call.registry.publish_as(&call.actor, call.word("kind"), sent, wanted).await;
    journal::published(&call, &published);
    match published? {
        Published::Created { kind, entry, version, decision, .. } => {
            let stored = Stored::of(&version)?;
            let thing = EntryView::full(&kind, &entry, &version, &stored);
            let more = Decided { decision: DecisionView::of(&decision) };
            let location = format!("/api/{}/{}/versions/{}", kind.name, version.id, version.version);
            let named = Named { singular: &kind.singular, thing, more };
            Ok(Reply::json(Success::Created, &named)?.at(&location).now_at(entry.revision()))
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

/// `GET /api/{kind}/{id}`
pub async fn show(call: Call) -> Answer {
    // A route that ends in a fixed word serves the entry of that name.
    let id = match call.word("id") {
        "" => call.uri.path().rsplit('/').next().unwrap_or_default(),
        id => id,
    };
    let read = call.registry.entry(&call.actor, call.word("kind"), id).await?;
    let stored = Stored::of(&read.version)?;
    let view = EntryView {
        versions: Some(&read.versions),
        standing: Some(read.standing),
        ..EntryView::full(&read.kind, &read.entry, &read.version, &stored)
    };
    Ok(Reply::json(Success::Found, &view)?.at_revision(read.entry.revision()))
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

/// What a caller wrote, as far as it is worth showing.
pub(super) fn short(text: &str) -> String {
    text.chars().take(80).collect()
}
