//! The queue that hands the chunks of the preview to the hosts of a fleet: apalis, on the engine in use. It says who
//! judges a chunk next and hands out again what a host that died had taken; whether a chunk is done is said by
//! `impact_chunks` alone, so that a chunk may be handed out twice and the queue may even be lost.
//!
//! On PostgreSQL its tables are a schema of their own. On SQLite they are a file of their own, since looking for work
//! writes: in the registry's file it would take the lock that publishes wait for.

use std::sync::Arc;
use std::time::Duration;

use apalis::prelude::{BackendExt as _, BoxDynError, Data, TaskSink as _, WorkerBuilder, WorkerContext};
use apalis_postgres::PostgresStorage;
use apalis_sqlite::SqliteStorage;
use serde::{Deserialize, Serialize};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Executor as _, PgPool, SqlitePool};
use tokio::sync::OnceCell;

use super::Database;
use super::errors::{DatabaseError, failed};
use crate::clock::{Millis, new_id};
use crate::config::Limits;
use crate::names::Tenant;
use crate::registry::impact::threads;
use crate::registry::store::StoreError;
use crate::registry::tenants::Tenants;

const QUEUE: &str = "hallmark-impact";

/// A chunk as it waits.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Waiting {
    tenant: String,
    impact: String,
    number: i64,
}

/// Where the queue is, and its connections once it is asked for.
#[derive(Debug)]
pub(super) struct Queue {
    place: Place,
    pools: OnceCell<Pools>,
    heartbeat: Duration,
    poll: Duration,
    connections_max: u32,
    idle_max_ms: u64,
}

#[derive(Debug)]
enum Place {
    File(SqliteConnectOptions),
    Server(Box<PgConnectOptions>),
}

#[derive(Debug, Clone)]
enum Pools {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

impl Queue {
    /// The queue of a registry in a SQLite file.
    pub(super) fn beside(path: &str, limits: &Limits) -> Self {
        let options = SqliteConnectOptions::new()
            .filename(format!("{path}-queue"))
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // What a power cut takes is handed out again: see `stalled_impacts`.
            .synchronous(SqliteSynchronous::Normal)
            .busy_timeout(Duration::from_millis(limits.database_acquire_max_ms.min(super::open::BUSY_MAX_MS)))
            .disable_statement_logging();
        Self::at(Place::File(options), limits)
    }

    /// The queue of a registry on a PostgreSQL server.
    pub(super) fn on(address: &str, limits: &Limits) -> Result<Self, DatabaseError> {
        let options: PgConnectOptions =
            address.parse().map_err(|error| DatabaseError::Address(Some(Box::new(error))))?;
        Ok(Self::at(Place::Server(Box::new(options.disable_statement_logging())), limits))
    }

    fn at(place: Place, limits: &Limits) -> Self {
        Self {
            place,
            pools: OnceCell::new(),
            // The queue counts in whole seconds: with less, what lives would be taken for dead.
            heartbeat: Duration::from_millis(limits.impact_heartbeat_ms.max(1_000)),
            poll: Duration::from_millis(limits.impact_poll_ms.max(1)),
            connections_max: u32::try_from(threads(limits)).unwrap_or(u32::MAX).saturating_add(2),
            idle_max_ms: limits.database_idle_max_ms,
        }
    }

    /// The connections; the first call brings the queue's tables forward.
    async fn pools(&self) -> Result<&Pools, StoreError> {
        self.pools.get_or_try_init(|| self.open()).await
    }

    async fn open(&self) -> Result<Pools, StoreError> {
        let migrated = failed("to make the queue's tables");
        match &self.place {
            Place::File(options) => {
                let pool = SqlitePoolOptions::new().max_connections(self.connections_max);
                let pool = pool.connect_with(options.clone()).await.map_err(failed("to open the queue"))?;
                // Its own set-up would have the file written without care for power cuts.
                SqliteStorage::migrations().run(&pool).await.map_err(|error| migrated(error.into()))?;
                Ok(Pools::Sqlite(pool))
            }
            Place::Server(options) => {
                // A host that stands still must not keep the others from the queue.
                let patience = super::idle_max(self.idle_max_ms);
                let pool =
                    PgPoolOptions::new().max_connections(self.connections_max).after_connect(move |connection, _| {
                        let patience = AssertSqlSafe(format!("SET {patience}"));
                        Box::pin(async move { connection.execute(patience).await.map(|_| ()) })
                    });
                let pool = pool.connect_with((**options).clone()).await.map_err(failed("to open the queue"))?;
                PostgresStorage::migrations().run(&pool).await.map_err(|error| migrated(error.into()))?;
                Ok(Pools::Postgres(pool))
            }
        }
    }

    /// Adds chunks.
    pub(super) async fn push(&self, tenant: &Tenant, impact: &str, numbers: &[i64]) -> Result<(), StoreError> {
        let wait = |number: &i64| Waiting { tenant: tenant.to_string(), impact: impact.to_owned(), number: *number };
        let waiting = numbers.iter().map(wait).collect();
        let pools = self.pools().await?;
        sweep(pools).await.map_err(failed("to clear the queue"))?;
        let pushed = match pools {
            Pools::Sqlite(pool) => self.sqlite(pool).push_bulk(waiting).await.map_err(|error| error.to_string()),
            Pools::Postgres(pool) => self.postgres(pool).push_bulk(waiting).await.map_err(|error| error.to_string()),
        };
        pushed.map_err(|why| StoreError::Unavailable(why.into()))
    }

    /// One task at a time for each worker: what a host has taken no other can have.
    fn sqlite(&self, pool: &SqlitePool) -> SqliteStorage<Waiting> {
        let config = apalis_sqlite::Config::default().queue(QUEUE).batch_size(1).heartbeat_interval(self.heartbeat);
        SqliteStorage::new(pool).with_config(config.missed_heartbeats(3))
    }

    fn postgres(&self, pool: &PgPool) -> PostgresStorage<Waiting> {
        let config = apalis_postgres::Config::default().queue(QUEUE).batch_size(1).heartbeat_interval(self.heartbeat);
        PostgresStorage::new(pool).with_config(config.missed_heartbeats(3))
    }

    pub(super) async fn close(&self) {
        match self.pools.get() {
            Some(Pools::Sqlite(pool)) => pool.close().await,
            Some(Pools::Postgres(pool)) => pool.close().await,
            None => {}
        }
    }
}

/// Removes what is done, and workers that were not seen for a day.
async fn sweep(pools: &Pools) -> Result<(), sqlx::Error> {
    match pools {
        Pools::Sqlite(pool) => {
            let done = "DELETE FROM Jobs WHERE job_type = ?1 AND status IN ('Done', 'Killed')";
            sqlx::query(done).bind(QUEUE).execute(pool).await?;
            let gone = "DELETE FROM Workers WHERE last_seen < strftime('%s', 'now') - 86400
                          AND id NOT IN (SELECT lock_by FROM Jobs WHERE lock_by IS NOT NULL)";
            sqlx::query(gone).execute(pool).await?;
        }
        Pools::Postgres(pool) => {
            let done = "DELETE FROM apalis.jobs WHERE job_type = $1 AND status IN ('Done', 'Killed')";
            sqlx::query(done).bind(QUEUE).execute(pool).await?;
            let gone = "DELETE FROM apalis.workers WHERE last_seen < NOW() - INTERVAL '1 day'
                          AND id NOT IN (SELECT lock_by FROM apalis.jobs WHERE lock_by IS NOT NULL)";
            sqlx::query(gone).execute(pool).await?;
        }
    }
    Ok(())
}

impl Database {
    /// Judges chunks as one of the fleet's workers, one at a time, whichever tenant's they are. What keeps it from the
    /// queue is logged and tried again.
    pub async fn judge_chunks(self: Arc<Self>, tenants: Arc<Tenants>) {
        loop {
            // A name of its own each time: what a worker of this name had taken is handed out again.
            let name = format!("{QUEUE}-{}", new_id(Millis::now()));
            if let Err(error) = self.work(&name, Arc::clone(&tenants)).await {
                tracing::warn!(%error, "the queue of previews cannot be used; it is tried again");
            }
            tokio::time::sleep(RETRY_AFTER).await;
        }
    }

    async fn work(&self, name: &str, tenants: Arc<Tenants>) -> Result<(), BoxDynError> {
        let queue = &self.queue;
        match queue.pools().await? {
            Pools::Sqlite(pool) => {
                let backend = queue.sqlite(pool).poll_with_interval(queue.poll);
                WorkerBuilder::new(name).backend(backend).data(tenants).build(judge).run().await?;
            }
            Pools::Postgres(pool) => {
                let backend = queue.postgres(pool).poll_with_interval(queue.poll);
                WorkerBuilder::new(name).backend(backend).data(tenants).build(judge).run().await?;
            }
        }
        Ok(())
    }
}

/// Until the queue is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A worker would take all that waits, and other hosts nothing: it pauses while it has a chunk.
async fn judge(waiting: Waiting, tenants: Data<Arc<Tenants>>, worker: WorkerContext) -> Result<(), BoxDynError> {
    let _ = worker.pause();
    let judged = match waiting.tenant.parse() {
        Ok(tenant) => match tenants.registry(&tenant).await {
            Ok(Some(registry)) => registry.run_chunk(&tenant, &waiting.impact, waiting.number).await,
            // Of a database that is no more.
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        },
        Err(error) => Err(crate::registry::RegistryError::from(error)),
    };
    let _ = worker.resume();
    if let Err(error) = &judged {
        tracing::warn!(error = error as &dyn std::error::Error, impact = waiting.impact, "a chunk is left for later");
    }
    Ok(judged?)
}
