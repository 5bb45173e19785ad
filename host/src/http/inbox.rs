//! The inbox: which submissions were taken in.

use serde::Serialize;

use super::call::Call;
use super::error::Success;
use super::journal;
use super::openapi::told::{Told, text};
use super::page::{self, PageView};
use super::reply::{Answer, Reply};
use crate::clock::{Instant, Millis};

/// What the list is of, in its cursors.
const INBOX: &str = "inbox";

#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = InboxKey)]
struct InboxView<'a> {
    key: &'a str,
    received_at: Instant,
}

/// `GET /api/inbox`
pub async fn list(call: Call) -> Answer {
    let [limit, cursor, prefix] = call.query(["limit", "cursor", "prefix"])?;
    let asked = page::parsed::<String>(INBOX, limit.as_deref(), cursor)?;
    let prefix = prefix.unwrap_or_default();
    let page = call.registry.inbox(&call.actor, &prefix, asked.after.as_deref(), asked.limit).await?;
    let view = PageView::of(
        INBOX,
        &page,
        |row| &row.key,
        |row| InboxView { key: &row.key, received_at: Instant(row.created_at) },
    );
    page::answer(&call, &view)
}

#[derive(Serialize, utoipa::ToSchema)]
struct Forgotten<'a> {
    forgotten: &'a str,
}

/// `DELETE /api/inbox/{key}`
pub async fn forget(call: Call) -> Answer {
    let key = call.word("key");
    let result = call.registry.forget_inbox(&call.actor, key, Millis::now()).await;
    journal::inbox(&call, key, &result);
    result?;
    Reply::json(Success::Found, &Forgotten { forgotten: key })
}

/// What the API's description tells of these.
pub fn told() -> Vec<Told> {
    vec![
        Told::get("/api/inbox", "listInbox")
            .query("prefix", text(), "Those whose keys begin so.")
            .pages::<InboxView<'_>>(),
        Told::delete("/api/inbox/{key}", "forgetSubmission").gives::<Forgotten<'_>>(Success::Found),
    ]
}
