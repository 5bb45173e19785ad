//! What is asked of the database about webhooks: who is told of what, and what was sent to whom.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{Page, PlacedEvent, StoreError};
use crate::clock::Millis;
use crate::names::{KindName, Tenant};

/// Somebody who is told of events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookRow {
    /// Its id.
    pub id: String,
    /// Where events are sent.
    pub url: String,
    /// What is sent, as in `entry.published`; nothing for everything.
    pub types: Vec<String>,
    /// The kinds whose entries' events are sent; nothing for all events.
    pub kinds: Vec<KindName>,
    /// Which key its secrets are made from.
    pub key_id: String,
    /// What tells its secret from others of the key.
    pub salt: String,
    /// The salt before the last rotation, and until when its secret signs too.
    pub previous: Option<(String, Millis)>,
    /// Deliveries that were given up since the last that arrived.
    pub failures: i64,
    /// When it was disabled, and why.
    pub disabled: Option<(Millis, String)>,
    /// Who made it.
    pub created_by: String,
    /// When.
    pub created_at: Millis,
}

/// What became of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryState {
    /// It is to be sent, for the first time or again.
    Waiting,
    /// The receiver took it.
    Delivered,
    /// It was tried as often as it may be.
    GivenUp,
}

impl DeliveryState {
    /// The word used in JSON and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Delivered => "delivered",
            Self::GivenUp => "given-up",
        }
    }
}

/// One try to deliver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SendAttempt {
    /// When it began.
    pub at: Millis,
    /// Milliseconds that it took.
    pub took_ms: u64,
    /// The status that the receiver answered.
    pub status: Option<u16>,
    /// Why it did not arrive.
    pub error: Option<String>,
}

/// One event for one webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryRow {
    /// Its id.
    pub id: String,
    /// The webhook's.
    pub webhook: String,
    /// The event, at its place.
    pub event: PlacedEvent,
    /// What became of it.
    pub state: DeliveryState,
    /// The tries, in order.
    pub attempts: Vec<SendAttempt>,
    /// When it is tried next, while it waits.
    pub next_at: Millis,
    /// When it began to wait.
    pub created_at: Millis,
    /// When it arrived or was given up.
    pub finished_at: Option<Millis>,
    /// The delivery that it repeats.
    pub replay_of: Option<String>,
}

/// The right to send a delivery, until an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// Now.
    pub at: Millis,
    /// Until when nobody else sends it.
    pub until: Millis,
}

/// What is written of a delivery that was tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled<'a> {
    /// The receiver took it.
    Delivered,
    /// It is tried again at this instant.
    Again(Millis),
    /// It is not tried any more. The webhook is disabled where `failures_max` were given up in a row, or at once where
    /// the receiver says that it is gone; the text says why.
    GivenUp {
        /// Deliveries given up in a row.
        failures_max: i64,
        /// The receiver wants no more.
        gone: Option<&'a str>,
    },
}

/// What is asked of the database about webhooks.
#[async_trait]
pub trait WebhookStore {
    /// Writes a webhook; false where the tenant has as many as it may.
    async fn insert_webhook(&self, tenant: &Tenant, webhook: &WebhookRow, most: u32) -> Result<bool, StoreError>;
    /// One webhook.
    async fn webhook(&self, tenant: &Tenant, id: &str) -> Result<Option<WebhookRow>, StoreError>;
    /// Webhooks, newest first, before an id, at most `limit`.
    async fn webhooks(&self, tenant: &Tenant, before: Option<&str>, limit: u32)
    -> Result<Page<WebhookRow>, StoreError>;
    /// Removes a webhook with its deliveries; false where it is not there.
    async fn remove_webhook(&self, tenant: &Tenant, id: &str, by: &str, at: Millis) -> Result<bool, StoreError>;
    /// Writes its new salt and the one before; false where it is not there.
    async fn rotate_webhook(
        &self,
        tenant: &Tenant,
        webhook: &WebhookRow,
        by: &str,
        at: Millis,
    ) -> Result<bool, StoreError>;
    /// Sends to it again what waits; false where it is not there or was not disabled.
    async fn enable_webhook(&self, tenant: &Tenant, id: &str, by: &str, at: Millis) -> Result<bool, StoreError>;

    /// A webhook's deliveries, newest first, before an id, at most `limit`.
    async fn deliveries(
        &self,
        tenant: &Tenant,
        webhook: &str,
        before: Option<&str>,
        limit: u32,
    ) -> Result<Page<DeliveryRow>, StoreError>;
    /// One delivery.
    async fn delivery(&self, tenant: &Tenant, webhook: &str, id: &str) -> Result<Option<DeliveryRow>, StoreError>;
    /// Writes a delivery that repeats another, in a lane of its own.
    async fn insert_replay(&self, tenant: &Tenant, delivery: &DeliveryRow) -> Result<(), StoreError>;

    /// The webhooks that something is to be sent to now.
    async fn due_webhooks(&self, tenant: &Tenant, at: Millis) -> Result<Vec<WebhookRow>, StoreError>;
    /// Takes deliveries that are to be sent now: the first of each lane, in order, at most `limit`.
    async fn take_deliveries(
        &self,
        tenant: &Tenant,
        webhook: &str,
        lease: Lease,
        limit: u32,
    ) -> Result<Vec<DeliveryRow>, StoreError>;
    /// Writes what came of one that was taken until `leased_until`; nothing where another host has taken it since.
    async fn settle_delivery(
        &self,
        tenant: &Tenant,
        delivery: &DeliveryRow,
        leased_until: Millis,
        settled: &Settled<'_>,
        at: Millis,
    ) -> Result<(), StoreError>;
}
