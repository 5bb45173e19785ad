//! What an operator wants to know of the database: how its connections are used, and what waits in it.

use sqlx::AnyPool;

use super::rows::plain;
use super::{Database, Engine};
use crate::registry::store::{Store as _, StoreError};

/// Things that are counted at most, so that a long line costs no more than a short one.
const COUNTED_MAX: i64 = 10_000;

/// How the connections of one pool are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connections {
    /// `shared`, `readers` or `writer`.
    pub pool: &'static str,
    /// Somebody has them.
    pub in_use: u32,
    /// Nobody has them.
    pub idle: u32,
    /// How many there may be.
    pub max: u32,
}

impl Connections {
    fn of(pool: &'static str, of: &AnyPool) -> Self {
        // The two are read one after the other: what was given back between them is idle.
        let (open, idle) = (of.size(), u32::try_from(of.num_idle()).unwrap_or(u32::MAX));
        Self { pool, in_use: open.saturating_sub(idle), idle, max: of.options().get_max_connections() }
    }
}

impl Database {
    /// Every pool of connections.
    pub fn connections(&self) -> Vec<Connections> {
        match self.engine {
            Engine::Postgres => vec![Connections::of("shared", &self.readers)],
            Engine::Sqlite => {
                vec![Connections::of("readers", &self.readers), Connections::of("writer", &self.writers.pool)]
            }
        }
    }

    /// Deliveries to webhooks that wait, of every tenant, counted up to ten thousand.
    ///
    /// # Errors
    /// The database.
    pub async fn deliveries_waiting(&self) -> Result<u32, StoreError> {
        let text = "SELECT COUNT(*) AS waiting FROM (
                        SELECT 1 FROM deliveries WHERE tenant_id = $1 AND state = 'waiting' LIMIT $2) AS pending";
        self.counted("to count deliveries", text).await
    }

    /// Committed events of every tenant that are not announced, counted up to ten thousand.
    ///
    /// # Errors
    /// The database.
    pub async fn events_waiting(&self) -> Result<u32, StoreError> {
        let text = "SELECT COUNT(*) AS waiting FROM (
                        SELECT 1 FROM events WHERE tenant_id = $1 AND announced_at IS NULL LIMIT $2) AS pending";
        self.counted("to count events", text).await
    }

    async fn counted(&self, what: &'static str, text: &'static str) -> Result<u32, StoreError> {
        let mut all = 0;
        for tenant in self.tenants().await? {
            let statement = sqlx::query(text).bind(tenant.to_string()).bind(COUNTED_MAX - all);
            let row = self.read_one(&tenant, what, statement).await?;
            all += row.as_ref().map_or(Ok(0), |row| plain::<i64>(row, "waiting"))?;
        }
        Ok(u32::try_from(all).unwrap_or(u32::MAX))
    }
}
