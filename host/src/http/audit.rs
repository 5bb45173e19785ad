//! The audit log: its sealed rows, and how it is.

use serde::Serialize;
use serde_json::Value;

use super::call::Call;
use super::cursor;
use super::error::{Code, Problem, Success};
use super::page::{self, PageView, size};
use super::reply::{Answer, Reply};
use crate::clock::{Instant, Millis, NoInstant};
use crate::names::Digest;
use crate::registry::audit::chain::AuditRow;
use crate::registry::store::AuditSpan;

/// What the list is of, in its cursors.
const AUDIT: &str = "audit";

/// `GET /api/audit`
pub async fn list(call: Call) -> Answer {
    let [limit, cursor, since, until] = call.query(["limit", "cursor", "since", "until"])?;
    let limit = size(limit.as_deref())?;
    let span: AuditSpan = match cursor {
        // It holds the span that the first page was asked for.
        Some(cursor) => cursor::read(AUDIT, &cursor)?,
        None => {
            let (since, until) = (instant("since", since)?, instant("until", until)?);
            call.registry.audit_span(&call.actor, since, until).await?
        }
    };
    let page = call.registry.audit_rows(&call.actor, span, limit).await?;
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
struct StatusView {
    head: Option<HeadView>,
    waiting: i64,
    versions: i64,
    unrecorded: Vec<String>,
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
    let (waiting, versions, unrecorded) = (status.waiting, status.versions, status.unrecorded);
    Reply::json(Success::Found, &StatusView { head, waiting, versions, unrecorded })
}
