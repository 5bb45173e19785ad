//! The outbox: events that were committed with what they tell of, given places one after another, and kept for a time.

use async_trait::async_trait;

use super::StoreError;
use crate::clock::Millis;
use crate::names::{EntryId, KindName, Tenant};

/// An event, as it is read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its id.
    pub id: String,
    /// `entry.published`, `release.activated`.
    pub what: String,
    /// The kind and the entry, where it is about one.
    pub entry: Option<(KindName, EntryId)>,
    /// What it is about, as in the audit log; none where the entry says so.
    pub subject: Option<String>,
    /// A JSON object.
    pub body: String,
    /// When.
    pub created_at: Millis,
}

/// An event that is about no entry, to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewHappening {
    /// Its id; of two with the same id the first stays.
    pub id: String,
    /// What happened.
    pub what: String,
    /// What it is about.
    pub subject: String,
    /// A JSON object.
    pub body: String,
    /// When.
    pub created_at: Millis,
}

/// A row of the outbox, read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRow {
    /// The tenant.
    pub tenant: Tenant,
    /// Its number, unique and growing within the database, but not visible in order.
    pub sequence: i64,
    /// The event.
    pub event: Event,
}

/// An event that has its place in the tenant's line. Places follow each other without a gap, from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacedEvent {
    /// The tenant.
    pub tenant: Tenant,
    /// The place.
    pub place: i64,
    /// The event.
    pub event: Event,
}

/// The places that are kept: from the first to the last. Before the first event both are 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PlacesKept {
    /// The oldest.
    pub first: i64,
    /// The newest, which always stays.
    pub last: i64,
}

/// What is asked of the database about events.
#[async_trait]
pub trait EventStore {
    /// Events that have no place yet, in order, at most `limit`.
    async fn pending_events(&self, limit: u32) -> Result<Vec<EventRow>, StoreError>;
    /// Gives places to those of the events that have none yet, in their order, and writes a delivery for each webhook that
    /// wants one. Of one tenant.
    async fn place_events(&self, tenant: &Tenant, events: &[EventRow], at: Millis) -> Result<(), StoreError>;
    /// Events with places above `after`, in order, at most `limit`.
    async fn events_after(&self, tenant: &Tenant, after: i64, limit: u32) -> Result<Vec<PlacedEvent>, StoreError>;
    /// Which places are kept.
    async fn places_kept(&self, tenant: &Tenant) -> Result<PlacesKept, StoreError>;
    /// Forgets events that have places and happened before an instant, but the newest, with their deliveries; says how
    /// many.
    async fn forget_events(&self, tenant: &Tenant, before: Millis) -> Result<u64, StoreError>;
}
