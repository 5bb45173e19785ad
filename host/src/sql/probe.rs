//! What `hallmark doctor` asks of a database beyond whether it answers.

use std::collections::BTreeMap;

use super::errors::DatabaseError;
use super::fleet::APPLICATION;
use super::rows::{millis, name, plain};
use super::whose::Whose;
use super::{Database, Engine};
use crate::clock::Millis;
use crate::config::Limits;
use crate::names::Digest;
use crate::registry::impact;
use crate::registry::store::{Store as _, StoreError};

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
        let Some(row) = self.read_one(Whose::Nobody, WHAT, query.bind(APPLICATION)).await? else { return Ok(None) };
        Ok(Some(Server {
            at: millis(&row, "at")?,
            connections_max: plain(&row, "connections_max")?,
            hosts: plain(&row, "hosts")?,
        }))
    }

    /// Makes sure that PostgreSQL holds this host's role to the tenant that a transaction carries.
    ///
    /// # Errors
    /// `Unbound`; the database.
    pub async fn check_role(&self) -> Result<(), DatabaseError> {
        if self.engine == Engine::Sqlite {
            return Ok(());
        }
        let query = sqlx::query(
            "SELECT rolname::text AS name, CASE WHEN rolsuper THEN 'is a superuser' ELSE 'has BYPASSRLS' END AS why
             FROM pg_roles WHERE rolname = current_user AND (rolsuper OR rolbypassrls)",
        );
        match self.read_one(Whose::Nobody, "to tell of its role", query).await? {
            None => Ok(()),
            Some(row) => Err(DatabaseError::Unbound { role: plain(&row, "name")?, why: plain(&row, "why")? }),
        }
    }

    /// The keys that webhooks' secrets are made from, by their ids, each with how many webhooks are of it; of every tenant.
    ///
    /// # Errors
    /// The database.
    pub async fn webhook_keys(&self) -> Result<Vec<(String, u64)>, StoreError> {
        let mut all: BTreeMap<String, u64> = BTreeMap::new();
        for tenant in self.tenants().await? {
            let text = "SELECT key_id, COUNT(*) AS webhooks FROM webhooks WHERE tenant_id = $1 GROUP BY key_id";
            let query = sqlx::query(text).bind(tenant.to_string());
            for row in self.read_all(&tenant, "to read the webhooks", query).await? {
                let count = u64::try_from(plain::<i64>(&row, "webhooks")?).unwrap_or(0);
                *all.entry(plain(&row, "key_id")?).or_default() += count;
            }
        }
        Ok(all.into_iter().collect())
    }

    /// The components that rows name, of every tenant, with their sizes in bytes.
    ///
    /// # Errors
    /// The database.
    pub async fn components(&self) -> Result<Vec<(Digest, u64)>, StoreError> {
        const WHAT: &str = "to read the plugins";
        let mut all = BTreeMap::new();
        for tenant in self.tenants().await? {
            let select = sqlx::query("SELECT digest, size_bytes FROM plugins WHERE tenant_id = $1");
            for row in self.read_all(&tenant, WHAT, select.bind(tenant.to_string())).await? {
                all.insert(name(&row, "digest")?, u64::try_from(plain::<i64>(&row, "size_bytes")?).unwrap_or(0));
            }
        }
        Ok(all.into_iter().collect())
    }
}
