//! The audit log: its sealed rows, and how it is.

use serde::Serialize;
use serde_json::Value;

use super::call::Call;
use super::cursor;
use super::error::{Code, Problem, Success};
use super::openapi::told::{self, Told};
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

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = AuditedVersion)]
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

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = AuditStatus)]
struct StatusView {
    head: Option<HeadView>,
    waiting: i64,
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = AuditHead)]
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

/// What the API's description tells of these.
pub fn told() -> Vec<Told> {
    let mut list = Told::get("/api/audit", "listAuditRows");
    let (place, digest, at) = (told::whole(), list.named::<Digest>(), list.named::<Instant>());
    // A row is written member by member: what is hashed must not change with a type.
    let words = ["tenant", "id", "what", "actor", "subject"].map(|name| (name, told::text().into()));
    let members = [("place", place.into()), ("hash", digest), ("at", at), ("body", told::anything().into())];
    let row = told::object(words.into_iter().chain(members));
    let list = list
        .lists()
        .query(
            "since",
            told::instant(),
            "From the first row at or after it; not beside `cursor`, which keeps the span.",
        )
        .query("until", told::instant(), "To the last row before it; not beside `cursor`.")
        .gives_form(Success::Found, told::page(row.into()))
        .with_header("Link");
    vec![
        list,
        Told::get("/api/audit/status", "showAuditStatus").gives::<StatusView>(Success::Found),
        Told::get("/api/audit/versions", "listAuditedVersions").pages::<VersionView<'_>>(),
    ]
}
