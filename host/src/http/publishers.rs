//! Trusted publishers: whom an issuer vouches for, and the entries that each may publish.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::call::Call;
use super::error::{Code, Success};
use super::journal;
use super::openapi::told::Told;
use super::page::{self, PageView};
use super::reply::{Answer, Reply};
use crate::clock::{Instant, Millis};
use crate::identity::Claims;
use crate::registry::access::PublisherWanted;
use crate::registry::store::PublisherRow;

/// What the list is of, in its cursors.
const PUBLISHERS: &str = "trusted-publishers";

#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = TrustedPublisher)]
struct PublisherView<'a> {
    id: &'a str,
    name: &'a str,
    issuer: &'a str,
    claims: &'a Claims,
    entries: Vec<String>,
    /// `trusted` or `removed`.
    state: &'static str,
    added_by: &'a str,
    added_at: Instant,
    #[serde(skip_serializing_if = "Option::is_none")]
    removed_by: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    removed_at: Option<Instant>,
}

impl<'a> PublisherView<'a> {
    fn of(row: &'a PublisherRow) -> Self {
        let removed = row.removed.as_ref();
        Self {
            id: &row.id,
            name: &row.name,
            issuer: &row.issuer,
            claims: &row.claims,
            entries: row.entries.iter().map(ToString::to_string).collect(),
            state: if removed.is_some() { "removed" } else { "trusted" },
            added_by: &row.added_by,
            added_at: Instant(row.added_at),
            removed_by: removed.map(|(by, _)| by.as_str()),
            removed_at: removed.map(|(_, at)| Instant(*at)),
        }
    }
}

/// `GET /api/trusted-publishers`
pub async fn list(call: Call) -> Answer {
    let asked = page::asked::<String>(&call, PUBLISHERS)?;
    let page = call.registry.trusted_publishers(&call.actor, asked.after.as_deref(), asked.limit).await?;
    page::answer(&call, &PageView::of(PUBLISHERS, &page, |row| &row.id, PublisherView::of))
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TrustedPublisherRequest)]
struct PublisherRequest {
    name: String,
    issuer: String,
    claims: Claims,
    entries: Vec<String>,
}

/// `POST /api/trusted-publishers`
pub async fn trust(call: Call) -> Answer {
    let PublisherRequest { name, issuer, claims, entries } = call.json()?;
    let wanted = PublisherWanted { name, issuer, claims, entries };
    let result = call.registry.trust_publisher(&call.actor, wanted, Millis::now()).await;
    journal::publisher(&call, "trust", "trusted", &result);
    Reply::json(Success::Created, &PublisherView::of(&result?))
}

/// `POST /api/trusted-publishers/{id}/remove`
pub async fn remove(call: Call) -> Answer {
    let result = call.registry.remove_publisher(&call.actor, call.word("id"), Millis::now()).await;
    journal::publisher(&call, "remove", "removed", &result);
    Reply::json(Success::Found, &PublisherView::of(&result?))
}

/// What the API's description tells of these.
pub fn told() -> Vec<Told> {
    let example = json!({
        "name": "agents' CI", "issuer": "https://ci.example", "claims": {"repository": "acme/agents"},
        "entries": ["agents/search-*"],
    });
    vec![
        Told::get("/api/trusted-publishers", "listTrustedPublishers").pages::<PublisherView<'_>>(),
        Told::post("/api/trusted-publishers", "trustPublisher")
            .takes::<PublisherRequest>(example)
            .gives::<PublisherView<'_>>(Success::Created)
            .refuses(&[Code::BadChange]),
        Told::post("/api/trusted-publishers/{id}/remove", "removeTrustedPublisher")
            .gives::<PublisherView<'_>>(Success::Found),
    ]
}
