//! Exemptions: who may pass which finding until when.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::call::Call;
use super::error::{Code, Problem, Success};
use super::journal;
use super::openapi::told::{Told, word_of};
use super::page::{self, Asked, PageView};
use super::reply::{Answer, Reply};
use super::shadow::instant;
use crate::clock::Instant;
use crate::clock::Millis;
use crate::registry::exemptions::{Exemption, ExemptionToTell, ExemptionWanted};

/// What the list is of, in its cursors.
const EXEMPTIONS: &str = "exemptions";

#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Exemption)]
struct ExemptionView<'a> {
    id: &'a str,
    entries: String,
    code: &'a str,
    binding: Option<&'a str>,
    until: Instant,
    reason: &'a str,
    author: &'a str,
    created_at: Instant,
    /// `holding`, `expired` or `revoked`.
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked_at: Option<Instant>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked_by: Option<&'a str>,
    /// What whoever made it should know.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'a str>,
}

impl<'a> ExemptionView<'a> {
    fn of(exemption: &'a Exemption, now: Millis) -> Self {
        let revoked = exemption.revoked.as_ref();
        Self {
            id: &exemption.id,
            entries: exemption.pattern.to_string(),
            code: &exemption.code,
            binding: exemption.binding.as_deref(),
            until: Instant(exemption.until),
            reason: &exemption.reason,
            author: &exemption.author,
            created_at: Instant(exemption.created_at),
            state: match revoked {
                Some(_) => "revoked",
                None if exemption.holds(now) => "holding",
                None => "expired",
            },
            revoked_at: revoked.map(|(at, _)| Instant(*at)),
            revoked_by: revoked.map(|(_, by)| by.as_str()),
            note: None,
        }
    }
}

/// `GET /api/policies/exemptions`
pub async fn list(call: Call) -> Answer {
    let now = Millis::now();
    let [limit, cursor, all] = call.query(["limit", "cursor", "all"])?;
    let Asked { after, limit } = page::parsed::<String>(EXEMPTIONS, limit.as_deref(), cursor)?;
    let holding_at = match all.as_deref() {
        None | Some("false") => Some(now),
        Some("true" | "") => None,
        Some(other) => {
            let other: String = other.chars().take(80).collect();
            return Err(Problem::new(Code::BadQuery, format!("all is true or false, not '{other}'")));
        }
    };
    let page = call.registry.exemptions(&call.actor, holding_at, after.as_deref(), limit).await?;
    let view = |exemption| ExemptionView::of(exemption, now);
    page::answer(&call, &PageView::of(EXEMPTIONS, &page, |exemption| &exemption.id, view))
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct ExemptionRequest {
    entries: String,
    code: String,
    #[serde(default)]
    binding: Option<String>,
    until: String,
    reason: String,
    #[serde(default)]
    undocumented: bool,
}

/// `POST /api/policies/exemptions`
pub async fn make(call: Call) -> Answer {
    let ExemptionRequest { entries: pattern, code, binding, until, reason, undocumented } = call.json()?;
    let (until, now) = (instant("until", &until)?, Millis::now());
    let wanted = ExemptionWanted { pattern, code, binding, until, reason, undocumented };
    let (result, note) = match call.registry.exempt(&call.actor, wanted, now).await {
        Ok(ExemptionToTell { exemption, note }) => (Ok(exemption), note),
        Err(error) => (Err(error), None),
    };
    journal::exempted(&call, "make", &result);
    Reply::json(Success::Created, &ExemptionView { note: note.as_deref(), ..ExemptionView::of(&result?, now) })
}

/// `POST /api/policies/exemptions/{id}/revoke`
pub async fn revoke(call: Call) -> Answer {
    let now = Millis::now();
    let result = call.registry.revoke_exemption(&call.actor, call.word("id"), now).await;
    journal::exempted(&call, "revoke", &result);
    Reply::json(Success::Found, &ExemptionView::of(&result?, now))
}

/// What the API's description tells of these.
pub fn told() -> Vec<Told> {
    let example = json!({
        "entries": "agents/legacy-*", "code": "permissions.wildcard", "reason": "they are replaced in spring",
        "until": "2026-12-31",
    });
    vec![
        Told::get("/api/policies/exemptions", "listExemptions")
            .query("all", word_of(&["true", "false", ""]), "`true` for those that hold no more as well.")
            .pages::<ExemptionView<'_>>(),
        Told::post("/api/policies/exemptions", "makeExemption")
            .takes::<ExemptionRequest>(example)
            .gives::<ExemptionView<'_>>(Success::Created)
            .refuses(&[Code::BadChange]),
        Told::post("/api/policies/exemptions/{id}/revoke", "revokeExemption")
            .gives::<ExemptionView<'_>>(Success::Found),
    ]
}
