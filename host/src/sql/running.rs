//! Statements as they are run, each for whom it is about. On PostgreSQL each is in a transaction, since only that can carry
//! a tenant and leave nothing behind.

use sqlx::any::AnyRow;
use sqlx::pool::PoolConnection;
use sqlx::{Any, AnyPool};
use tokio::sync::oneshot;

use super::errors::failed;
use super::transaction::Transaction;
use super::whose::Whose;
use super::{Database, Engine, Statement, audit};
use crate::names::Tenant;
use crate::registry::audit::AuditRecord;
use crate::registry::store::StoreError;

impl Database {
    /// The connections that statements run on, as they lie in the pool: for a test that asks what one would see which says
    /// nothing of whose rows it means.
    pub fn pool(&self) -> &AnyPool {
        &self.writers.pool
    }

    pub(super) async fn read_all(
        &self,
        whose: impl Into<Whose<'_>>,
        what: &'static str,
        statement: Statement,
    ) -> Result<Vec<AnyRow>, StoreError> {
        let read = match self.engine {
            Engine::Sqlite => statement.fetch_all(&self.readers).await,
            Engine::Postgres => self.read_within(whose.into(), statement).await,
        };
        read.map_err(failed(what))
    }

    pub(super) async fn read_one(
        &self,
        whose: impl Into<Whose<'_>>,
        what: &'static str,
        statement: Statement,
    ) -> Result<Option<AnyRow>, StoreError> {
        let read = match self.engine {
            Engine::Sqlite => statement.fetch_optional(&self.readers).await,
            Engine::Postgres => self.read_within(whose.into(), statement).await.map(|rows| rows.into_iter().next()),
        };
        read.map_err(failed(what))
    }

    /// The transaction ends beside whoever has the rows by then; and in a task of its own, so that a client that hangs up
    /// does not have its connection closed.
    async fn read_within(&self, whose: Whose<'_>, statement: Statement) -> Result<Vec<AnyRow>, sqlx::Error> {
        let begin = Engine::begin_reading(whose, self.writers.idle_max_ms);
        let connection = self.readers.acquire().await?;
        let (answer, told) = oneshot::channel();
        tokio::spawn(async move {
            match read(connection, begin, statement).await {
                Ok((rows, transaction)) => {
                    let _ = answer.send(Ok(rows));
                    // What does not end is closed.
                    let _ = transaction.commit().await;
                }
                Err(error) => drop(answer.send(Err(error))),
            }
        });
        told.await.unwrap_or(Err(sqlx::Error::WorkerCrashed))
    }

    /// Runs one statement by itself and says whether it wrote a row.
    pub(super) async fn write(
        &self,
        whose: impl Into<Whose<'_>>,
        what: &'static str,
        statement: Statement,
    ) -> Result<bool, StoreError> {
        self.write_rows(whose, what, statement).await.map(|rows| rows > 0)
    }

    /// The same, and says how many rows it wrote.
    pub(super) async fn write_rows(
        &self,
        whose: impl Into<Whose<'_>>,
        what: &'static str,
        statement: Statement,
    ) -> Result<u64, StoreError> {
        let failed = failed(what);
        if self.engine == Engine::Sqlite {
            let done = statement.execute(&self.writers.pool).await.map_err(&failed)?;
            return Ok(done.rows_affected());
        }
        let mut transaction = self.writers.begin(whose).await.map_err(&failed)?;
        let done = statement.execute(&mut *transaction).await.map_err(&failed)?;
        transaction.commit().await.map_err(&failed)?;
        Ok(done.rows_affected())
    }

    /// Runs one statement with a row of the audit log where it wrote one, and says whether it did.
    pub(super) async fn write_told(
        &self,
        tenant: &Tenant,
        what: &'static str,
        statement: Statement,
        record: AuditRecord,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.writers.begin(tenant).await.map_err(failed(what))?;
        let done = statement.execute(&mut *transaction).await.map_err(failed(what))?;
        if done.rows_affected() == 0 {
            transaction.roll_back().await.map_err(failed(what))?;
            return Ok(false);
        }
        audit::insert(&mut transaction, tenant, &[record]).await?;
        transaction.commit().await.map_err(failed(what))?;
        Ok(true)
    }
}

async fn read(
    connection: PoolConnection<Any>,
    begin: String,
    statement: Statement,
) -> Result<(Vec<AnyRow>, Transaction), sqlx::Error> {
    let mut transaction = Transaction::begin_on(connection, begin).await?;
    let rows = statement.fetch_all(&mut *transaction).await?;
    Ok((rows, transaction))
}
