//! `hallmark migrate`: brings a database's schema to what this binary was written for.

use anyhow::Context as _;

use super::configuration::Configuration;
use super::{Ended, Outcome, Trouble, database, show};
use crate::clock::Millis;
use crate::sql::Database;

/// What `migrate` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    database: database::Arguments,
}

/// Migrates.
pub fn run(arguments: &Arguments, configuration: &Configuration) -> Outcome {
    let url = arguments.database.url()?.ok_or_else(|| {
        let message = "no database is named: give --database URL or --database-file FILE, or set DATABASE_URL";
        Trouble::Usage(message.to_owned())
    })?;
    let limits = configuration.limits(&[])?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the thread for the database cannot be started")?;
    let steps = runtime.block_on(async {
        let database = Database::connect(&url, &limits).await?;
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
