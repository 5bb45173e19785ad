//! Whose rows a transaction reads and writes. On PostgreSQL it says so before its first statement, and row-level security
//! (migration 58) shows it those rows and no others: a statement that runs without sees nothing. It is said for the
//! transaction and never for the connection, so that one that is given back to the pool carries nothing.

use sqlx::{AnyConnection, AssertSqlSafe, Executor as _};

use super::Engine;
use super::errors::failed;
use crate::names::Tenant;
use crate::registry::store::StoreError;

/// The tenant that a transaction carries, to PostgreSQL.
pub(super) const CARRIED: &str = "current_setting('hallmark.tenant')";

/// Whose rows.
#[derive(Debug, Clone, Copy)]
pub(super) enum Whose<'a> {
    /// One tenant's.
    Of(&'a Tenant),
    /// The token with this hash, whichever tenant's it is; to be read alone. Who shows a token has not said whose it is.
    Token(&'a str),
    /// The list of tenants, to be read alone; of no other table is there more to see.
    Tenants,
    /// Nobody's: what belongs to the database itself.
    Nobody,
}

impl<'a> From<&'a Tenant> for Whose<'a> {
    fn from(tenant: &'a Tenant) -> Self {
        Self::Of(tenant)
    }
}

impl Whose<'_> {
    /// The statement that says it, as a text of PostgreSQL's.
    pub(super) fn told(self) -> Option<String> {
        match self {
            Self::Of(tenant) => Some(format!("SET LOCAL hallmark.tenant = {}", literal(tenant.as_str()))),
            Self::Token(hash) => Some(format!("SET LOCAL hallmark.token = {}", literal(hash))),
            Self::Tenants => Some("SET LOCAL hallmark.tenants = 'listed'".to_owned()),
            Self::Nobody => None,
        }
    }
}

/// Has a transaction go on as another's.
pub(super) async fn carry(connection: &mut AnyConnection, engine: Engine, whose: Whose<'_>) -> Result<(), StoreError> {
    let Some(told) = whose.told().filter(|_| engine == Engine::Postgres) else { return Ok(()) };
    connection.execute(AssertSqlSafe(told)).await.map(|_| ()).map_err(failed("to say whose rows are meant"))
}

/// A text as SQL carries it.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

impl Engine {
    /// SQLite must take its write lock at once: a transaction that first reads cannot always be given it later, and
    /// fails with "database is locked".
    pub(super) fn begin(self, whose: Whose<'_>, idle_max_ms: u64) -> String {
        match self {
            Self::Sqlite => "BEGIN IMMEDIATE".to_owned(),
            // Whatever the server's default: what a statement reads after it waited for a lock must be what was
            // committed meanwhile.
            Self::Postgres => begin_postgres("READ COMMITTED", whose, idle_max_ms),
        }
    }

    /// Begins a transaction that only reads, on PostgreSQL: SQLite's reads need none.
    pub(super) fn begin_reading(whose: Whose<'_>, idle_max_ms: u64) -> String {
        begin_postgres("READ COMMITTED READ ONLY", whose, idle_max_ms)
    }
}

/// How long it may stand still, and whose it is, are set here and not once for a connection: it costs no round trip, and a
/// pooler that shares connections between clients gives the settings to nobody else.
fn begin_postgres(how: &str, whose: Whose<'_>, idle_max_ms: u64) -> String {
    let begin = format!("BEGIN ISOLATION LEVEL {how}; SET LOCAL {}", super::idle_max(idle_max_ms));
    match whose.told() {
        Some(told) => format!("{begin}; {told}"),
        None => begin,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_says_whose_it_is_before_anything_else_is_asked() {
        let tenant: Tenant = "acme".parse().expect("a tenant");
        let begin = Engine::Postgres.begin(Whose::Of(&tenant), 5);
        assert_eq!(
            begin,
            "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL idle_in_transaction_session_timeout = 5; \
             SET LOCAL hallmark.tenant = 'acme'"
        );
        let begin = Engine::begin_reading(Whose::Token("it's"), 5);
        assert!(begin.ends_with(
            "READ ONLY; SET LOCAL idle_in_transaction_session_timeout = 5; SET LOCAL hallmark.token = 'it''s'"
        ));
        assert!(!Engine::Postgres.begin(Whose::Nobody, 5).contains("hallmark"));
    }
}
