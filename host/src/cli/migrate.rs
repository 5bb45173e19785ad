//! `hallmark migrate`: brings a database's schema to what this binary was written for.

use anyhow::Context as _;

use super::{Ended, Outcome, show};
use crate::clock::Millis;
use crate::config::Limits;
use crate::sql::Database;

/// What `migrate` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The database: sqlite:PATH or postgres://…
    #[arg(long, value_name = "URL", env = "DATABASE_URL", hide_env_values = true)]
    database: String,
}

/// Migrates.
pub fn run(arguments: &Arguments) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the thread for the database cannot be started")?;
    let steps = runtime.block_on(async {
        let database = Database::connect(&arguments.database, &Limits::default()).await?;
        let steps = database.migrate(Millis::now()).await?;
        database.close().await;
        anyhow::Ok(steps)
    })?;
    match steps.as_slice() {
        [] => show::out("the schema is up to date: nothing was changed"),
        steps => {
            let numbers: Vec<String> = steps.iter().map(i64::to_string).collect();
            show::out(&format!("applied {}", numbers.join(", ")));
        }
    }
    Ok(Ended::Fine)
}
