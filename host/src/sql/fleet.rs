//! Notices between hosts: PostgreSQL's NOTIFY, sent in the transaction that they tell of, so that they go out with its
//! commit or not at all. SQLite has none, and one host.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::AnyConnection;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};

use super::errors::failed;
use super::{Database, Engine};
use crate::names::{Scope, Tenant};
use crate::registry::store::{FleetStore, Happened, Listener, Notice, StoreError};

/// PostgreSQL keeps the channels of its databases apart.
const CHANNEL: &str = "hallmark_rules";

/// By this name an operator finds the connections that listen.
pub(super) const APPLICATION: &str = "hallmark listener";

/// How to connect for listening; none on SQLite. It may hold a password, so it is never shown.
#[derive(Clone, Default)]
pub(super) struct Channel(Option<(PgConnectOptions, Duration)>);

impl fmt::Debug for Channel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if self.0.is_some() { "Channel" } else { "no channel" })
    }
}

impl Channel {
    /// The channel of the database at this address.
    pub(super) fn at(address: &str, connect_max: Duration) -> Result<Self, sqlx::Error> {
        let options: PgConnectOptions = address.parse()?;
        Ok(Self(Some((options.application_name(APPLICATION), connect_max))))
    }
}

/// Tells every host, once the transaction is committed.
pub(super) async fn tell(
    database: &Database,
    connection: &mut AnyConnection,
    tenant: &Tenant,
    (what, scope, number): (Happened, &Scope, i64),
) -> Result<(), StoreError> {
    if database.engine == Engine::Sqlite {
        return Ok(());
    }
    let notice = Notice { what, tenant: tenant.clone(), scope: scope.clone(), number };
    sqlx::query("SELECT pg_notify($1, $2)")
        .bind(CHANNEL)
        .bind(serde_json::to_string(&notice).expect("a notice is plain data"))
        .execute(connection)
        .await
        .map(|_| ())
        .map_err(failed("to tell of a release"))
}

struct Heard(PgListener);

#[async_trait]
impl Listener for Heard {
    async fn next(&mut self) -> Result<Option<Notice>, StoreError> {
        match self.0.try_recv().await.map_err(failed("to listen"))? {
            Some(told) => Ok(serde_json::from_str(told.payload()).ok()),
            None => Err(StoreError::Unavailable("the connection that listens was lost".into())),
        }
    }
}

#[async_trait]
impl FleetStore for Database {
    async fn listen(&self) -> Result<Option<Box<dyn Listener>>, StoreError> {
        let Some((options, connect_max)) = &self.channel.0 else { return Ok(None) };
        // A connection of its own: one of the pool's would be one less for publishes.
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .max_lifetime(None)
            .idle_timeout(None)
            .acquire_timeout(*connect_max)
            .connect_lazy_with(options.clone());
        let failed = failed("to listen");
        let mut listener = PgListener::connect_with(&pool).await.map_err(&failed)?;
        // A lost connection is told at once: what was missed is looked for meanwhile.
        listener.eager_reconnect(false);
        listener.listen(CHANNEL).await.map_err(&failed)?;
        Ok(Some(Box::new(Heard(listener))))
    }
}
