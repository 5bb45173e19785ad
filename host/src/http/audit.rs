//! The audit log: its sealed rows, and how it is.

use serde::Serialize;
use serde_json::Value;

use super::call::Call;
use super::cursor;
use super::error::{Code, Problem, Success};
use super::page::{self, Asked, PageView, asked, size};
use super::reply::{Answer, Reply};
use crate::clock::{Instant, Millis, NoInstant};
use crate::names::Digest;
use crate::registry::audit::AuditAsked;
use crate::registry::audit::chain::AuditRow;
use crate::registry::store::{AuditSpan, AuditedPlace, AuditedVersion};

/// What the lists are of, in their cursors.
const AUDIT: &str = "audit";
const VERSIONS: &str = "audit-versions";

/// `GET /api/audit`
pub async fn list(call: Call) -> Answer {
    let [limit, cursor, since, until] = call.query(["limit", "cursor", "since", "until"])?;
    let limit = size(limit.as_deref())?;
    let asked = match cursor {
        // It holds the span that the first page was asked for.
        Some(cursor) => AuditAsked::Rest(cursor::read(AUDIT, &cursor)?),
        None => AuditAsked::Times { since: instant("since", since)?, until: instant("until", until)? },
    };
    let (span, page) = call.registry.audit_rows(&call.actor, asked, limit).await?;
    let place = |row: &AuditRow| AuditSpan { after: row.place, ..span };
    page::answer(&call, &PageView::<Value>::of(AUDIT, &page, place, AuditRow::line))
}

fn instant(name: &str, given: Option<String>) -> Result<Option<Millis>, Problem> {
    let Some(text) = given else { return Ok(None) };
    let instant: Result<Instant, NoInstant> = text.parse();
    let instant = instant.map_err(|error| Problem::new(Code::BadQuery, format!("{name}: {error}")))?;
    Ok(Some(instant.0))
}

#[derive(Serialize)]
struct VersionView<'a> {
    subject: String,
    digest: &'a str,
    waiting: bool,
}

impl<'a> VersionView<'a> {
    fn of(version: &'a AuditedVersion) -> Self {
        Self { subject: version.place.subject(), digest: &version.digest, waiting: version.waits }
    }
}

/// `GET /api/audit/versions`
pub async fn versions(call: Call) -> Answer {
    let Asked { after, limit } = asked::<AuditedPlace>(&call, VERSIONS)?;
    let page = call.registry.audit_versions(&call.actor, &after.unwrap_or_default(), limit).await?;
    page::answer(&call, &PageView::of(VERSIONS, &page, |version| &version.place, VersionView::of))
}

#[derive(Serialize)]
struct StatusView {
    head: Option<HeadView>,
    waiting: i64,
}

#[derive(Serialize)]
struct HeadView {
    place: i64,
    hash: Digest,
}

/// `GET /api/audit/status`
pub async fn status(call: Call) -> Answer {
    let status = call.registry.audit_status(&call.actor).await?;
    let head = status.head().map(|head| HeadView { place: head.place, hash: head.hash });
    Reply::json(Success::Found, &StatusView { head, waiting: status.waiting })
}
