//! Opening a database from its address: `sqlite:PATH` or `postgres://…`.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::time::Duration;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::{AnyPool, AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _};

use super::errors::{DatabaseError, failed};
use super::fleet::Channel;
use super::queue::Queue;
use super::{Database, Engine, Writers};
use crate::config::Limits;

/// What every SQLite connection is told. FULL: a commit that was answered survives a power cut.
const SQLITE_SETTINGS: &str =
    "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA journal_size_limit = 67108864";

/// SQLite's own limit of its `busy_timeout`.
pub(super) const BUSY_MAX_MS: u64 = i32::MAX as u64;

/// A connection idle for longer is tried before it is used: the server may have gone away meanwhile.
const TRIED_AFTER_IDLE: Duration = Duration::from_secs(1);

impl Database {
    /// Opens the database. A SQLite file that is missing is made, for its owner's eyes alone. The schema is not looked
    /// at: call `migrate` or `check_schema` next.
    ///
    /// # Errors
    /// The address is wrong, or nothing answers there.
    pub async fn connect(address: &str, limits: &Limits) -> Result<Self, DatabaseError> {
        sqlx::any::install_default_drivers();
        match address.split_once(':') {
            Some(("sqlite", path)) => sqlite(path, limits).await,
            Some(("postgres" | "postgresql", _)) => postgres(address, limits).await,
            _ => Err(DatabaseError::Address(None)),
        }
    }
}

/// True where there is something to connect to, as far as that can be told without connecting: opening a SQLite file
/// that is missing makes it.
pub fn is_there(address: &str) -> bool {
    match address.split_once(':') {
        Some(("sqlite", path)) => std::path::Path::new(path.strip_prefix("//").unwrap_or(path)).is_file(),
        _ => true,
    }
}

fn pool_options(limits: &Limits) -> AnyPoolOptions {
    AnyPoolOptions::new()
        .max_connections(limits.database_connections_max)
        .acquire_timeout(Duration::from_millis(limits.database_acquire_max_ms))
        .test_before_acquire(false)
}

async fn sqlite(path: &str, limits: &Limits) -> Result<Database, DatabaseError> {
    let path = path.strip_prefix("//").unwrap_or(path);
    if path.is_empty() || path == ":memory:" {
        return Err(DatabaseError::Address(None));
    }
    OpenOptions::new().create(true).append(true).mode(0o600).open(path).map_err(DatabaseError::File)?;
    let options = connect_options(&format!("sqlite:{}?mode=rw", percent_encoded(path)))?;
    keep_journal_ahead(&options).await?;
    // Another host that writes to the file holds it for as long as a connection may be waited for.
    let settings =
        format!("{SQLITE_SETTINGS}; PRAGMA busy_timeout = {}", limits.database_acquire_max_ms.min(BUSY_MAX_MS));
    let pool = || {
        let settings = settings.clone();
        pool_options(limits).after_connect(move |connection, _| {
            let settings = settings.clone();
            Box::pin(async move { connection.execute(AssertSqlSafe(settings)).await.map(|_| ()) })
        })
    };
    // One writer, kept open: its statements stay prepared, and the last connection to close is not an idle reader.
    let writers = pool().max_connections(1).min_connections(1).idle_timeout(None).max_lifetime(None);
    let idle_max_ms = limits.database_idle_max_ms;
    let writers = Writers { engine: Engine::Sqlite, pool: open(writers, &options).await?, idle_max_ms };
    Ok(Database::of(open(pool(), &options).await?, writers, Channel::default(), Queue::beside(path, limits), limits))
}

async fn postgres(address: &str, limits: &Limits) -> Result<Database, DatabaseError> {
    let options = connect_options(address)?;
    let pool = pool_options(limits).before_acquire(|connection, known| {
        Box::pin(async move {
            if known.idle_for > TRIED_AFTER_IDLE {
                connection.ping().await?;
            }
            Ok(true)
        })
    });
    let pool = open(pool, &options).await?;
    let connect_max = Duration::from_millis(limits.database_acquire_max_ms);
    let channel = Channel::at(address, connect_max).map_err(|error| DatabaseError::Address(Some(Box::new(error))))?;
    let queue = Queue::on(address, limits)?;
    let writers = Writers { engine: Engine::Postgres, pool: pool.clone(), idle_max_ms: limits.database_idle_max_ms };
    Ok(Database::of(pool, writers, channel, queue, limits))
}

fn connect_options(address: &str) -> Result<AnyConnectOptions, DatabaseError> {
    let options: AnyConnectOptions = address.parse().map_err(|error| DatabaseError::Address(Some(Box::new(error))))?;
    Ok(options.disable_statement_logging())
}

async fn open(pool: AnyPoolOptions, options: &AnyConnectOptions) -> Result<AnyPool, DatabaseError> {
    pool.connect_with(options.clone()).await.map_err(|error| match error {
        sqlx::Error::Configuration(cause) => DatabaseError::Address(Some(cause)),
        error => failed("to connect")(error).into(),
    })
}

/// Puts the file into write-ahead mode, where readers and the writer do not wait for each other. The file keeps the
/// mode. The change needs the file alone, and SQLite does not wait for that by itself: two hosts that start at once
/// meet here.
async fn keep_journal_ahead(options: &AnyConnectOptions) -> Result<(), DatabaseError> {
    let mut connection = options.connect().await.map_err(failed("to connect"))?;
    let mut patience = 100;
    loop {
        match connection.execute("PRAGMA journal_mode = WAL").await {
            Ok(_) => break,
            Err(error) if patience == 0 => return Err(failed("to change the journal")(error).into()),
            Err(_) => patience -= 1,
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    connection.close().await.map_err(failed("to close"))?;
    Ok(())
}

/// A path as an address carries it: nothing in it is taken for a query or an escape.
fn percent_encoded(path: &str) -> String {
    let mut encoded = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"/._-".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}
