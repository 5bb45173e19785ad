//! Which database a command works on.

use std::path::{Path, PathBuf};

use super::Trouble;

/// The database.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The database: sqlite:PATH or postgres://…; a server takes a SQLite file in its data folder without it.
    #[arg(long, value_name = "URL", conflicts_with = "database_file")]
    database: Option<String>,
    /// The file that the database's URL is in, so that its password stands in no environment and no command line.
    #[arg(long, value_name = "FILE")]
    database_file: Option<PathBuf>,
}

impl Arguments {
    /// Its URL; none where nobody named one.
    ///
    /// # Errors
    /// The file that it is in cannot be read, or holds none.
    pub fn url(&self) -> Result<Option<String>, Trouble> {
        match (&self.database, &self.database_file) {
            (Some(url), _) => Ok(Some(url.clone())),
            (None, Some(file)) => read(file).map(Some),
            (None, None) => Ok(None),
        }
    }
}

fn read(file: &Path) -> Result<String, Trouble> {
    let wrong = |why: &str| Trouble::Usage(format!("--database-file: {}: {why}", file.display()));
    let text = std::fs::read_to_string(file).map_err(|error| wrong(&error.to_string()))?;
    match text.trim() {
        "" => Err(wrong("it is empty: write the database's URL into it")),
        url => Ok(url.to_owned()),
    }
}
