//! Where a host keeps what it keeps: its data folder, its database and its components. What is said of them on the
//! command line, or configured, is the same for every command that looks there without a server.

use std::path::PathBuf;

use anyhow::bail;

use super::{Trouble, database, objects};
use crate::config::Limits;
use crate::registry::blobs::{Blobs, Location};
use crate::sql::{Database, is_there};

/// What names them.
#[derive(Debug, clap::Args)]
pub struct Place {
    /// The host's data folder.
    #[arg(long, value_name = "DIR", default_value = "./data")]
    pub data: PathBuf,
    #[command(flatten)]
    database: database::Arguments,
    #[command(flatten)]
    objects: objects::Arguments,
}

impl Place {
    /// The database's address: the SQLite file in the data folder where none is named.
    ///
    /// # Errors
    /// The file that it is in cannot be read.
    pub fn address(&self) -> Result<String, Trouble> {
        let own = || format!("sqlite:{}", self.data.join("hallmark.db").display());
        Ok(self.database.url()?.unwrap_or_else(own))
    }

    /// Where the components are.
    ///
    /// # Errors
    /// What is said of it cannot be.
    pub fn objects(&self) -> Result<Location, Trouble> {
        self.objects.location(&self.data)
    }

    /// The database, which must be there: to look into it must not make it.
    pub async fn open_database(&self, limits: &Limits) -> Result<Database, Trouble> {
        let address = self.address()?;
        let open = async {
            if !is_there(&address) {
                let path = address.trim_start_matches("sqlite:");
                bail!("there is no database {path}: name it with --data or --database");
            }
            Ok(Database::connect(&address, limits).await?)
        };
        Ok(open.await?)
    }

    /// The components; a folder is made where it is missing.
    pub fn open_objects(&self, limits: &Limits) -> Result<Blobs, Trouble> {
        self.objects.open(&self.data, limits)
    }
}
