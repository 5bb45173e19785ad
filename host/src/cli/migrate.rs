//! `hallmark migrate`: brings a database's schema to what this binary was written for, or back to what an earlier one was.

use super::configuration::Configuration;
use super::{Ended, Outcome, Trouble, database, show};
use crate::clock::Millis;
use crate::config::Limits;
use crate::sql::Database;

/// What `migrate` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    database: database::Arguments,
    /// Take back every step above this one, with all that it holds: what an earlier version needs before it starts. It says
    /// the number itself, where it refuses a newer schema. Stop the hosts of this version first.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(i64).range(0..))]
    revert_to: Option<i64>,
}

/// Migrates.
pub fn run(arguments: &Arguments, configuration: &Configuration) -> Outcome {
    let url = arguments.database.url()?.ok_or_else(|| {
        let message = "no database is named: give --database URL or --database-file FILE, or set DATABASE_URL";
        Trouble::Usage(message.to_owned())
    })?;
    let limits = configuration.limits(&[])?;
    super::on_one_thread(migrate(&url, arguments.revert_to, &limits))
}

async fn migrate(url: &str, revert_to: Option<i64>, limits: &Limits) -> Outcome {
    let database = Database::connect(url, limits).await.map_err(anyhow::Error::from)?;
    let (steps, done) = match revert_to {
        Some(number) => (database.revert_to(number).await, "took back"),
        None => (database.migrate(Millis::now()).await, "applied"),
    };
    let steps = steps.map_err(anyhow::Error::from)?;
    database.close().await;
    show::out(&match (steps.as_slice(), revert_to) {
        ([], None) => "the schema is up to date: nothing was changed".to_owned(),
        ([], Some(number)) => format!("the schema has no step above {number}: nothing was changed"),
        (steps, _) => {
            let numbers: Vec<String> = steps.iter().map(i64::to_string).collect();
            format!("{done} {}", numbers.join(", "))
        }
    });
    Ok(Ended::Fine)
}
