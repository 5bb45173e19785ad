//! Tokens: who may ask for what, until when.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::call::Call;
use super::error::{Code, Success};
use super::journal;
use super::openapi::told::Told;
use super::page::{self, PageView};
use super::reply::{Answer, Reply};
use super::shadow::instant;
use crate::clock::{Instant, Millis};
use crate::registry::access::{MadeToken, TokenWanted};
use crate::registry::store::TokenRow;

/// What the list is of, in its cursors.
const TOKENS: &str = "tokens";

#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Token)]
struct TokenView<'a> {
    id: &'a str,
    name: &'a str,
    prefix: &'a str,
    roles: Vec<&'static str>,
    entries: Vec<String>,
    /// `holding`, `expired` or `revoked`.
    state: &'static str,
    created_by: &'a str,
    created_at: Instant,
    expires_at: Option<Instant>,
    last_used_at: Option<Instant>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked_by: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked_at: Option<Instant>,
    /// The token itself, in the one answer that ever has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
}

impl<'a> TokenView<'a> {
    fn of(row: &'a TokenRow, now: Millis) -> Self {
        let revoked = row.revoked.as_ref();
        Self {
            id: &row.id,
            name: &row.name,
            prefix: &row.prefix,
            roles: row.grants.roles().iter().map(|role| role.as_str()).collect(),
            entries: row.grants.entries().iter().map(ToString::to_string).collect(),
            state: match revoked {
                Some(_) => "revoked",
                None if row.expires_at.is_some_and(|at| at <= now) => "expired",
                None => "holding",
            },
            created_by: &row.created_by,
            created_at: Instant(row.created_at),
            expires_at: row.expires_at.map(Instant),
            last_used_at: row.last_used_at.map(Instant),
            revoked_by: revoked.map(|(by, _)| by.as_str()),
            revoked_at: revoked.map(|(_, at)| Instant(*at)),
            token: None,
        }
    }
}

/// `GET /api/tokens`
pub async fn list(call: Call) -> Answer {
    let now = Millis::now();
    let asked = page::asked::<String>(&call, TOKENS)?;
    let page = call.registry.tokens(&call.actor, asked.after.as_deref(), asked.limit).await?;
    page::answer(&call, &PageView::of(TOKENS, &page, |row| &row.id, |row| TokenView::of(row, now)))
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct TokenRequest {
    name: String,
    roles: Vec<String>,
    #[serde(default)]
    entries: Vec<String>,
    #[serde(default)]
    expires_at: Option<String>,
}

/// `POST /api/tokens`
pub async fn create(call: Call) -> Answer {
    let TokenRequest { name, roles, entries, expires_at } = call.json()?;
    let expires_at = expires_at.map(|text| instant("expiresAt", &text)).transpose()?;
    let (wanted, now) = (TokenWanted { name, roles, entries, expires_at }, Millis::now());
    let result = call.registry.create_token(&call.actor, wanted, now).await;
    journal::token(&call, "create", "created", &result);
    let MadeToken { token, row } = result?;
    Ok(Reply::json(Success::Created, &TokenView { token: Some(&token), ..TokenView::of(&row, now) })?.secret())
}

/// `POST /api/tokens/{id}/revoke`
pub async fn revoke(call: Call) -> Answer {
    let now = Millis::now();
    let result = call.registry.revoke_token(&call.actor, call.word("id"), now).await;
    journal::token(&call, "revoke", "revoked", &result);
    Reply::json(Success::Found, &TokenView::of(&result?, now))
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RevokeTokensRequest)]
struct RevokeRequest {
    before: String,
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = RevokedTokens)]
struct Revoked {
    revoked: u64,
}

/// `POST /api/tokens/revoke`
pub async fn revoke_before(call: Call) -> Answer {
    let RevokeRequest { before } = call.json()?;
    let before = instant("before", &before)?;
    let result = call.registry.revoke_tokens(&call.actor, before, Millis::now()).await;
    journal::token(&call, "revoke", "revoked", &result);
    Reply::json(Success::Found, &Revoked { revoked: result? })
}

/// What the API's description tells of these.
pub fn told() -> Vec<Told> {
    let example =
        json!({"name": "ci", "roles": ["publisher"], "entries": ["agents/search-*"], "expiresAt": "2099-01-01"});
    vec![
        Told::get("/api/tokens", "listTokens").pages::<TokenView<'_>>(),
        Told::post("/api/tokens", "createToken")
            .takes::<TokenRequest>(example)
            .gives::<TokenView<'_>>(Success::Created)
            .tells_once()
            .refuses(&[Code::BadChange]),
        Told::post("/api/tokens/revoke", "revokeTokensBefore")
            .takes::<RevokeRequest>(json!({"before": "2020-01-01"}))
            .gives::<Revoked>(Success::Found)
            .refuses(&[Code::BadChange]),
        Told::post("/api/tokens/{id}/revoke", "revokeToken")
            .gives::<TokenView<'_>>(Success::Found)
            .refuses(&[Code::BadChange]),
    ]
}
