//! What can go wrong with a database, told apart by who must act: wait (`Unavailable`), run a command, or read the log.

use crate::registry::store::StoreError;

/// The database cannot be put to work.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The address has no form that is known. It may hold a password, so it is not repeated.
    #[error("the database address must be sqlite:PATH or postgres://USER@HOST/NAME")]
    Address(#[source] Option<Box<dyn std::error::Error + Send + Sync>>),
    /// The file cannot be made or opened.
    #[error("the database file cannot be opened")]
    File(#[source] std::io::Error),
    /// Never migrated.
    #[error("the database has no tables yet: run `hallmark migrate --database URL`")]
    Missing,
    /// Migrated by an older binary.
    #[error(
        "the database's schema is at migration {found} and this binary needs {needed}: run `hallmark migrate --database URL`"
    )]
    Behind {
        /// The newest that was applied.
        found: i64,
        /// The newest that this binary holds.
        needed: i64,
    },
    /// Migrated by a newer binary.
    #[error(
        "the database's schema is at migration {found}, newer than this binary knows ({known}): \
         upgrade this host to the hallmark that migrated it"
    )]
    Newer {
        /// The newest that was applied.
        found: i64,
        /// The newest that this binary holds.
        known: i64,
    },
    /// An applied migration is not the one that this binary holds.
    #[error(
        "migration {number} was applied to the database from another text than this binary holds: \
         run the hallmark that migrated it, or one released after it"
    )]
    Changed {
        /// Its number.
        number: i64,
    },
    /// A migration's statements failed. Nothing of the run was kept.
    #[error("migration {number} failed and nothing was changed")]
    Failed {
        /// Its number.
        number: i64,
        /// Why.
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No step has the number that the schema should go back to.
    #[error("there is no migration {number}: name 0, or one of those up to {known} in the folder migrations/")]
    NoMigration {
        /// The number.
        number: i64,
        /// The newest that this binary holds.
        known: i64,
    },
    /// An archive would be mixed with what is there.
    #[error(
        "the database is not empty: its table {table} has rows. An archive is restored into a new database alone: \
         name another with --database, or remove this one"
    )]
    NotEmpty {
        /// One of those that have.
        table: String,
    },
    /// An archive holds what this binary does not know.
    #[error(
        "the archive was made at migration {found}, newer than this binary knows ({known}): \
         restore it with the hallmark that made it, or one released after it"
    )]
    ArchiveNewer {
        /// The newest that was applied when it was made.
        found: i64,
        /// The newest that this binary holds.
        known: i64,
    },
    /// An archive's rows do not fit the schema that they were taken from.
    #[error("the archive's table {table} has a column {column} that the schema of its time has not: it was changed")]
    NoColumn {
        /// The table.
        table: String,
        /// The column.
        column: String,
    },
    /// Rows were refused, or not all were taken.
    #[error("rows of the table {table} cannot be written")]
    Rows {
        /// The table.
        table: String,
        /// Why.
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The database cannot be asked.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Maps a statement's error; `what` completes "the database refused: ".
pub(super) fn failed(what: &'static str) -> impl Fn(sqlx::Error) -> StoreError {
    move |error| match kind(&error) {
        Kind::Unavailable => StoreError::Unavailable(Box::new(error)),
        Kind::Conflict | Kind::Other => StoreError::Broken(what.to_owned(), Some(Box::new(error))),
    }
}

/// True where the same transaction, run again, may well succeed.
pub(super) fn is_conflict(error: &StoreError) -> bool {
    match error {
        StoreError::Broken(_, Some(cause)) => {
            cause.downcast_ref::<sqlx::Error>().is_some_and(|error| kind(error) == Kind::Conflict)
        }
        StoreError::Broken(_, None) | StoreError::Unavailable(_) => false,
    }
}

/// True where a lock was waited for as long as the transaction may.
pub(super) fn is_lock_wait(error: &StoreError) -> bool {
    has_code(error, LOCK_NOT_AVAILABLE)
}

/// True where the transaction stood still for longer than it may. The database has taken it back: even where it was to
/// be committed next, it was not.
pub(super) fn was_ended_for_idling(error: &StoreError) -> bool {
    has_code(error, ENDED_FOR_IDLING)
}

fn has_code(error: &StoreError, wanted: &str) -> bool {
    match error {
        StoreError::Unavailable(cause) => cause
            .downcast_ref::<sqlx::Error>()
            .and_then(sqlx::Error::as_database_error)
            .and_then(|error| error.code())
            .is_some_and(|code| code == wanted),
        StoreError::Broken(..) => false,
    }
}

/// PostgreSQL's code for a `lock_timeout` that ran out.
const LOCK_NOT_AVAILABLE: &str = "55P03";

/// PostgreSQL's code for an `idle_in_transaction_session_timeout` that ran out.
const ENDED_FOR_IDLING: &str = "25P03";

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Unavailable,
    Conflict,
    Other,
}

fn kind(error: &sqlx::Error) -> Kind {
    match error {
        sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_) => Kind::Unavailable,
        sqlx::Error::Database(database) => database.code().map_or(Kind::Other, |code| kind_of_code(&code)),
        _ => Kind::Other,
    }
}

/// PostgreSQL's codes have five characters; SQLite's are numbers of at most four digits, with the kind in the low byte.
fn kind_of_code(code: &str) -> Kind {
    if code.len() < 5 {
        return match code.parse::<u32>().map(|number| number & 0xff) {
            Ok(BUSY | LOCKED | INPUT_OUTPUT | CANNOT_OPEN) => Kind::Unavailable,
            _ => Kind::Other,
        };
    }
    match code {
        "40001" | "40P01" => Kind::Conflict,
        "53300" | LOCK_NOT_AVAILABLE | ENDED_FOR_IDLING | "57014" | "57P01" | "57P02" | "57P03" => Kind::Unavailable,
        _ if code.starts_with("08") => Kind::Unavailable,
        _ => Kind::Other,
    }
}

const BUSY: u32 = 5;
const LOCKED: u32 = 6;
const INPUT_OUTPUT: u32 = 10;
const CANNOT_OPEN: u32 = 14;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_what_passes_from_what_stays() {
        for code in ["5", "261", "517", "6", "778", "14", "08006", "57P01", "53300", "25P03"] {
            assert_eq!(kind_of_code(code), Kind::Unavailable, "{code}");
        }
        for code in ["40001", "40P01"] {
            assert_eq!(kind_of_code(code), Kind::Conflict, "{code}");
        }
        for code in ["1", "19", "2067", "23505", "42P01"] {
            assert_eq!(kind_of_code(code), Kind::Other, "{code}");
        }
    }

    #[test]
    fn shows_strangers_no_cause() {
        let refused = failed("to read an entry")(sqlx::Error::ColumnNotFound("secret".to_owned()));
        assert_eq!(refused.to_string(), "the database refused: to read an entry");
        let away = failed("to read an entry")(sqlx::Error::PoolTimedOut);
        assert_eq!(away.to_string(), "the database cannot be reached");
    }
}
