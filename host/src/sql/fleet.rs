//! Notices between hosts: PostgreSQL's NOTIFY, sent in the transaction that they tell of, so that they go out with its
//! commit or not at all. SQLite has none, and one host.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use sqlx::AnyConnection;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Mutex, broadcast};
use tokio::task::AbortHandle;

use super::errors::failed;
use super::{Database, Engine};
use crate::names::{Scope, Tenant};
use crate::registry::store::{FleetStore, Happened, Listener, Notice, StoreError};

/// PostgreSQL keeps the channels of its databases apart.
const CHANNEL: &str = "hallmark_rules";

/// By this name an operator finds the connections that listen.
pub(super) const APPLICATION: &str = "hallmark listener";

/// How to connect for listening; none on SQLite. It may hold a password, so it is never shown.
#[derive(Default)]
pub(super) struct Channel(Option<Place>);

struct Place {
    options: PgConnectOptions,
    connect_max: Duration,
    /// The connection that listens, for as long as somebody wants to know.
    ear: Mutex<Weak<Ear>>,
}

impl fmt::Debug for Channel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if self.0.is_some() { "Channel" } else { "no channel" })
    }
}

impl Channel {
    /// The channel of the database at this address.
    pub(super) fn at(address: &str, connect_max: Duration) -> Result<Self, sqlx::Error> {
        let options: PgConnectOptions = address.parse()?;
        let options = options.application_name(APPLICATION);
        Ok(Self(Some(Place { options, connect_max, ear: Mutex::default() })))
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

/// Notices that wait for whoever is slow to hear them; past that he looks for what he missed.
const WAITING_MAX: usize = 256;

/// One connection that listens, however many want to know.
struct Ear {
    /// Told nothing where what came is not understood.
    told: broadcast::Receiver<Option<Notice>>,
    is_lost: Arc<AtomicBool>,
    listening: AbortHandle,
}

impl Drop for Ear {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

impl Ear {
    fn of(mut listener: PgListener) -> Self {
        let (tell, told) = broadcast::channel(WAITING_MAX);
        let is_lost = Arc::new(AtomicBool::new(false));
        let lost = Arc::clone(&is_lost);
        let listening = tokio::spawn(async move {
            while let Ok(Some(notice)) = listener.try_recv().await {
                let _ = tell.send(serde_json::from_str(notice.payload()).ok());
            }
            lost.store(true, Ordering::SeqCst);
            // Dropping `tell` is what tells of it, to who may ask for another at once.
        });
        Self { told, is_lost, listening: listening.abort_handle() }
    }
}

struct Heard {
    told: broadcast::Receiver<Option<Notice>>,
    _ear: Arc<Ear>,
}

impl Heard {
    fn by(ear: Arc<Ear>) -> Self {
        Self { told: ear.told.resubscribe(), _ear: ear }
    }
}

#[async_trait]
impl Listener for Heard {
    async fn next(&mut self) -> Result<Option<Notice>, StoreError> {
        match self.told.recv().await {
            Ok(notice) => Ok(notice),
            Err(RecvError::Lagged(_)) => Ok(None),
            Err(RecvError::Closed) => Err(StoreError::Unavailable("the connection that listens was lost".into())),
        }
    }
}

#[async_trait]
impl FleetStore for Database {
    async fn listen(&self) -> Result<Option<Box<dyn Listener>>, StoreError> {
        let Some(Place { options, connect_max, ear }) = &self.channel.0 else { return Ok(None) };
        let mut ear = ear.lock().await;
        if let Some(listens) = ear.upgrade().filter(|ear| !ear.is_lost.load(Ordering::SeqCst)) {
            return Ok(Some(Box::new(Heard::by(listens))));
        }
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
        let listens = Arc::new(Ear::of(listener));
        *ear = Arc::downgrade(&listens);
        Ok(Some(Box::new(Heard::by(listens))))
    }
}
