//! What the tests share.

pub mod approval;
pub mod browser;
pub mod collector;
pub mod command;
pub mod description;
pub mod engines;
pub mod events;
pub mod fleet;
pub mod ground;
pub mod host;
pub mod issuer;
pub mod postgres;
pub mod promql;
pub mod receiver;
pub mod rules;
pub mod s3;
pub mod tamper;
pub mod tls;
pub mod waiting;

use postgres::Cluster;

/// Nothing of a test's database must survive a crash of the machine, so nothing waits for the disk.
const CLUSTER: Cluster = Cluster {
    name: "postgres",
    settings: &[
        "fsync=off",
        "synchronous_commit=off",
        "full_page_writes=off",
        "autovacuum=off",
        // Says in which order transactions were committed.
        "track_commit_timestamp=on",
        "max_connections=400",
        "shared_buffers=64MB",
    ],
};

/// The address of a new, empty PostgreSQL database.
pub async fn new_postgres_database() -> String {
    postgres::new_database(&CLUSTER).await
}

/// The same database for somebody who is shown the rows of every tenant. SQLite's address stays what it is.
pub fn as_superuser(address: &str) -> String {
    address.replacen("postgres://hallmark@", "postgres://postgres@", 1)
}
