//! One transaction, on a connection of its own.
//!
//! sqlx's own transaction is not used. Dropped while PostgreSQL answers its BEGIN, as happens when a client hangs up,
//! it gives its connection back to the pool with the transaction still open, and what is written through that
//! connection next is lost. Here a connection whose transaction did not end is closed, never given back.

use std::ops::{Deref, DerefMut};

use sqlx::pool::PoolConnection;
use sqlx::{Any, AnyConnection, AnyPool, AssertSqlSafe, Executor as _};

pub(super) struct Transaction {
    connection: PoolConnection<Any>,
    ended: bool,
}

impl Transaction {
    pub(super) async fn begin(pool: &AnyPool, statement: String) -> Result<Self, sqlx::Error> {
        Self::begin_on(pool.acquire().await?, statement).await
    }

    pub(super) async fn begin_on(connection: PoolConnection<Any>, statement: String) -> Result<Self, sqlx::Error> {
        let mut transaction = Self { connection, ended: false };
        transaction.connection.execute(AssertSqlSafe(statement)).await?;
        Ok(transaction)
    }

    pub(super) async fn commit(self) -> Result<(), sqlx::Error> {
        self.end("COMMIT").await
    }

    /// Takes back everything, and keeps the connection for others.
    pub(super) async fn roll_back(self) -> Result<(), sqlx::Error> {
        self.end("ROLLBACK").await
    }

    async fn end(mut self, statement: &'static str) -> Result<(), sqlx::Error> {
        self.connection.execute(statement).await?;
        self.ended = true;
        Ok(())
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if !self.ended {
            self.connection.close_on_drop();
        }
    }
}

impl Deref for Transaction {
    type Target = AnyConnection;

    fn deref(&self) -> &AnyConnection {
        &self.connection
    }
}

impl DerefMut for Transaction {
    fn deref_mut(&mut self) -> &mut AnyConnection {
        &mut self.connection
    }
}
