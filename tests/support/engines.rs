//! Tests of the built binary that hold on both engines.

use tempfile::TempDir;

use super::host::Options;
use super::new_postgres_database;

/// Runs each case, which takes a `Place`, on SQLite and on PostgreSQL.
macro_rules! through_the_binary {
    ($($case:ident),+ $(,)?) => {
        mod sqlite {
            $(#[test]
            fn $case() {
                super::$case(&$crate::support::engines::Place::sqlite());
            })+
        }

        mod postgresql {
            $(#[test]
            fn $case() {
                super::$case(&$crate::support::engines::Place::postgres());
            })+
        }
    };
}

pub(crate) use through_the_binary;

/// A data folder, and where the database is that does not lie in it.
pub struct Place {
    address: Option<String>,
    folder: TempDir,
}

impl Place {
    /// On SQLite.
    pub fn sqlite() -> Self {
        Self { address: None, folder: TempDir::new().expect("a folder") }
    }

    /// On PostgreSQL.
    pub fn postgres() -> Self {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        Self { address: Some(runtime.block_on(new_postgres_database())), ..Self::sqlite() }
    }

    /// A host here; one that is started again finds what the one before left.
    pub fn options(&self) -> Options {
        let options = Options::new().data(&self.folder.path().join("data"));
        match &self.address {
            Some(address) => options.database(address),
            None => options,
        }
    }
}
