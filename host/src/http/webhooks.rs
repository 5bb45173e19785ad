//! Webhooks: who is sent events, and what was sent.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::call::Call;
use super::error::{Code, Success};
use super::journal;
use super::openapi::told::Told;
use super::page::{self, PageView};
use super::reply::{Answer, Reply};
use crate::clock::{Instant, Millis};
use crate::registry::events::type_of;
use crate::registry::store::{DeliveryRow, DeliveryState, SendAttempt, WebhookRow};
use crate::registry::webhooks::{MadeWebhook, WebhookWanted};

/// What the lists are of, in their cursors.
const WEBHOOKS: &str = "webhooks";
const DELIVERIES: &str = "deliveries";

#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Webhook)]
struct WebhookView<'a> {
    id: &'a str,
    url: &'a str,
    types: Vec<String>,
    kinds: Vec<&'a str>,
    /// `enabled` or `disabled`.
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    disabled_at: Option<Instant>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disabled_reason: Option<&'a str>,
    /// Deliveries given up since the last that arrived.
    failures: i64,
    /// Until when the secret before signs too.
    #[serde(skip_serializing_if = "Option::is_none")]
    previous_secret_until: Option<Instant>,
    created_by: &'a str,
    created_at: Instant,
    /// The secret itself, in the one answer that ever has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

impl<'a> WebhookView<'a> {
    fn of(row: &'a WebhookRow, now: Millis) -> Self {
        let disabled = row.disabled.as_ref();
        let previous = row.previous.as_ref().map(|(_, until)| *until).filter(|until| now < *until);
        Self {
            id: &row.id,
            url: &row.url,
            types: row.types.iter().map(|what| type_of(what)).collect(),
            kinds: row.kinds.iter().map(|kind| kind.as_str()).collect(),
            state: if disabled.is_some() { "disabled" } else { "enabled" },
            disabled_at: disabled.map(|(at, _)| Instant(*at)),
            disabled_reason: disabled.map(|(_, reason)| reason.as_str()),
            failures: row.failures,
            previous_secret_until: previous.map(Instant),
            created_by: &row.created_by,
            created_at: Instant(row.created_at),
            secret: None,
        }
    }

    fn made(made: &'a MadeWebhook, now: Millis) -> Self {
        Self { secret: Some(made.secret.to_text()), ..Self::of(&made.row, now) }
    }
}

#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = DeliveryAttempt)]
struct AttemptView<'a> {
    at: Instant,
    took_ms: u64,
    status: Option<u16>,
    error: Option<&'a str>,
}

impl<'a> AttemptView<'a> {
    fn of(attempt: &'a SendAttempt) -> Self {
        let SendAttempt { at, took_ms, status, error } = attempt;
        Self { at: Instant(*at), took_ms: *took_ms, status: *status, error: error.as_deref() }
    }
}

#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Delivery)]
struct DeliveryView<'a> {
    id: &'a str,
    /// The event's id, which is the message's.
    event: &'a str,
    #[serde(rename = "type")]
    kind: String,
    subject: String,
    /// `waiting`, `delivered` or `given-up`.
    state: &'static str,
    attempts: Vec<AttemptView<'a>>,
    /// When it is sent next.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_at: Option<Instant>,
    created_at: Instant,
    finished_at: Option<Instant>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replay_of: Option<&'a str>,
}

impl<'a> DeliveryView<'a> {
    fn of(row: &'a DeliveryRow) -> Self {
        let event = &row.event.event;
        Self {
            id: &row.id,
            event: &event.id,
            kind: type_of(&event.what),
            subject: event.subject(),
            state: row.state.as_str(),
            attempts: row.attempts.iter().map(AttemptView::of).collect(),
            next_at: (row.state == DeliveryState::Waiting).then_some(Instant(row.next_at)),
            created_at: Instant(row.created_at),
            finished_at: row.finished_at.map(Instant),
            replay_of: row.replay_of.as_deref(),
        }
    }
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct WebhookRequest {
    url: String,
    #[serde(default)]
    types: Vec<String>,
    #[serde(default)]
    kinds: Vec<String>,
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct RotateRequest {
    #[serde(default)]
    overlap_seconds: Option<u64>,
}

/// `GET /api/webhooks`
pub async fn list(call: Call) -> Answer {
    let now = Millis::now();
    let asked = page::asked::<String>(&call, WEBHOOKS)?;
    let page = call.registry.webhooks(&call.actor, asked.after.as_deref(), asked.limit).await?;
    page::answer(&call, &PageView::of(WEBHOOKS, &page, |row| &row.id, |row| WebhookView::of(row, now)))
}

/// `POST /api/webhooks`
pub async fn add(call: Call) -> Answer {
    let WebhookRequest { url, types, kinds } = call.json()?;
    let (wanted, now) = (WebhookWanted { url, types, kinds }, Millis::now());
    let result = call.registry.add_webhook(&call.actor, &wanted, now).await;
    journal::webhook(&call, "add", "added", &result);
    let made = result?;
    let reply = Reply::json(Success::Created, &WebhookView::made(&made, now))?;
    Ok(reply.at(&format!("/api/webhooks/{}", made.row.id)).secret())
}

/// `GET /api/webhooks/{id}`
pub async fn show(call: Call) -> Answer {
    let row = call.registry.webhook(&call.actor, call.word("id")).await?;
    Reply::json(Success::Found, &WebhookView::of(&row, Millis::now()))
}

/// `DELETE /api/webhooks/{id}`
pub async fn remove(call: Call) -> Answer {
    let now = Millis::now();
    let result = call.registry.remove_webhook(&call.actor, call.word("id"), now).await;
    journal::webhook(&call, "remove", "removed", &result);
    Reply::json(Success::Found, &WebhookView::of(&result?, now))
}

/// `POST /api/webhooks/{id}/rotate`
pub async fn rotate(call: Call) -> Answer {
    let RotateRequest { overlap_seconds } = call.json()?;
    let (overlap_ms, now) = (overlap_seconds.map(|seconds| seconds.saturating_mul(1_000)), Millis::now());
    let result = call.registry.rotate_webhook(&call.actor, call.word("id"), overlap_ms, now).await;
    journal::webhook(&call, "rotate", "rotated", &result);
    Ok(Reply::json(Success::Found, &WebhookView::made(&result?, now))?.secret())
}

/// `POST /api/webhooks/{id}/enable`
pub async fn enable(call: Call) -> Answer {
    let now = Millis::now();
    let result = call.registry.enable_webhook(&call.actor, call.word("id"), now).await;
    journal::webhook(&call, "enable", "enabled", &result);
    Reply::json(Success::Found, &WebhookView::of(&result?, now))
}

/// `GET /api/webhooks/{id}/deliveries`
pub async fn deliveries(call: Call) -> Answer {
    let asked = page::asked::<String>(&call, DELIVERIES)?;
    let page = call.registry.deliveries(&call.actor, call.word("id"), asked.after.as_deref(), asked.limit).await?;
    page::answer(&call, &PageView::of(DELIVERIES, &page, |row| &row.id, DeliveryView::of))
}

/// `POST /api/webhooks/{id}/deliveries/{delivery}/replay`
pub async fn replay(call: Call) -> Answer {
    let (webhook, delivery) = (call.word("id"), call.word("delivery"));
    let result = call.registry.replay_delivery(&call.actor, webhook, delivery, Millis::now()).await;
    journal::webhook(&call, "replay", "replayed", &result);
    Reply::json(Success::Begun, &DeliveryView::of(&result?))
}

/// What the API's description tells of these.
pub fn told() -> Vec<Told> {
    let example = json!({
        "url": "https://hooks.invalid/hallmark", "types": ["dev.hallmark.key.trusted.v1"], "kinds": [],
    });
    vec![
        Told::get("/api/webhooks", "listWebhooks").pages::<WebhookView<'_>>(),
        Told::post("/api/webhooks", "addWebhook")
            .takes::<WebhookRequest>(example)
            .gives::<WebhookView<'_>>(Success::Created)
            .with_header("Location")
            .tells_once()
            .refuses(&[Code::BadChange]),
        Told::get("/api/webhooks/{id}", "showWebhook").gives::<WebhookView<'_>>(Success::Found),
        Told::delete("/api/webhooks/{id}", "removeWebhook").gives::<WebhookView<'_>>(Success::Found),
        Told::post("/api/webhooks/{id}/rotate", "rotateWebhook")
            .takes::<RotateRequest>(json!({"overlapSeconds": 3600}))
            .gives::<WebhookView<'_>>(Success::Found)
            .tells_once()
            .refuses(&[Code::BadChange]),
        Told::post("/api/webhooks/{id}/enable", "enableWebhook").gives::<WebhookView<'_>>(Success::Found),
        Told::get("/api/webhooks/{id}/deliveries", "listDeliveries").pages::<DeliveryView<'_>>(),
        Told::post("/api/webhooks/{id}/deliveries/{delivery}/replay", "replayDelivery")
            .gives::<DeliveryView<'_>>(Success::Begun)
            .refuses(&[Code::BadChange]),
    ]
}
