//! What `hallmark doctor` asks of a database beyond whether it answers.

use sqlx::Executor as _;
use sqlx::any::AnyRow;

use super::errors::failed;
use super::fleet::APPLICATION;
use super::rows::{millis, name, plain};
use super::{Database, Engine};
use crate::clock::Millis;
use crate::config::Limits;
use crate::names::Digest;
use crate::registry::impact;
use crate::registry::store::StoreError;

/// A PostgreSQL server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Server {
    /// What its clock says.
    pub at: Millis,
    /// Connections that it gives to others than its superusers.
    pub connections_max: i64,
    /// Hosts of this database that are connected now.
    pub hosts: i64,
}

/// Connections that one host may take of a PostgreSQL server: its pool, those of the queue of previews, and the one
/// that listens.
pub fn connections_of_host(limits: &Limits) -> i64 {
    let queue = i64::try_from(impact::threads(limits)).unwrap_or(i64::MAX).saturating_add(2);
    i64::from(limits.database_connections_max).saturating_add(queue).saturating_add(1)
}

impl Database {
    /// The server; none on SQLite, which has none.
    ///
    /// # Errors
    /// The database.
    pub async fn server(&self) -> Result<Option<Server>, StoreError> {
        const WHAT: &str = "to tell of itself";
        if self.engine == Engine::Sqlite {
            return Ok(None);
        }
        let query = sqlx::query(
            "SELECT (EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::bigint AS at,
                    current_setting('max_connections')::bigint
                        - current_setting('superuser_reserved_connections')::bigint AS connections_max,
                    (SELECT COUNT(*) FROM pg_stat_activity
                     WHERE datname = current_database() AND application_name = $1) AS hosts",
        );
        let Some(row) = self.read_one(WHAT, query.bind(APPLICATION)).await? else { return Ok(None) };
        Ok(Some(Server {
            at: millis(&row, "at")?,
            connections_max: plain(&row, "connections_max")?,
            hosts: plain(&row, "hosts")?,
        }))
    }

    /// The keys that webhooks' secrets are made from, by their ids, each with how many webhooks are of it; of every tenant.
    ///
    /// # Errors
    /// The database.
    pub async fn webhook_keys(&self) -> Result<Vec<(String, u64)>, StoreError> {
        let text = "SELECT key_id, COUNT(*) AS webhooks FROM webhooks GROUP BY key_id ORDER BY key_id";
        let rows = self.read_all("to read the webhooks", sqlx::query(text)).await?;
        let count = |row: &AnyRow| Ok(u64::try_from(plain::<i64>(row, "webhooks")?).unwrap_or(0));
        rows.iter().map(|row| Ok((plain(row, "key_id")?, count(row)?))).collect()
    }

    /// The components that rows name, of every tenant, with their sizes in bytes.
    ///
    /// # Errors
    /// The database.
    pub async fn components(&self) -> Result<Vec<(Digest, u64)>, StoreError> {
        const WHAT: &str = "to read the plugins";
        let mut connection = self.readers.acquire().await.map_err(failed(WHAT))?;
        let select = "SELECT DISTINCT digest, size_bytes FROM plugins ORDER BY digest";
        let rows = connection.fetch_all(select).await.map_err(failed(WHAT))?;
        let sized =
            |row: &AnyRow| Ok((name(row, "digest")?, u64::try_from(plain::<i64>(row, "size_bytes")?).unwrap_or(0)));
        rows.iter().map(sized).collect()
    }
}
