//! `hallmark tenant`: makes and lists the tenants of a database, without a server: who may do that is not a tenant's admin
//! but whoever runs the hosts.

use serde_json::json;

use super::configuration::Configuration;
use super::place::Place;
use super::{Ended, Outcome, Output, Trouble, report, show};
use crate::clock::Millis;
use crate::names::Tenant;
use crate::registry::access::MadeToken;
use crate::registry::store::Store as _;
use crate::registry::tenants;
use crate::sql::Database;

/// What is done with tenants.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Make a tenant. The token of its first admin is written to the standard output, once: nobody can be shown it again.
    Create {
        /// What it is called: lower case letters, digits and dashes.
        tenant: String,
        #[command(flatten)]
        place: Place,
    },
    /// Make one more token of an admin of a tenant, where every other is lost.
    Token {
        /// What the tenant is called.
        tenant: String,
        #[command(flatten)]
        place: Place,
    },
    /// List the tenants.
    List {
        #[command(flatten)]
        place: Place,
        /// How they are written.
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
}

/// Does it, and gives the exit code.
pub fn run(command: &Command, configuration: &Configuration) -> Outcome {
    let limits = configuration.limits(&[])?;
    super::on_one_thread(async {
        let (Command::Create { place, .. } | Command::Token { place, .. } | Command::List { place, .. }) = command;
        let database = place.open_database(&limits).await?;
        database.check_schema().await.map_err(anyhow::Error::from)?;
        let done = match command {
            Command::Create { tenant, .. } => create(&database, named(tenant)?).await,
            Command::Token { tenant, .. } => token(&database, named(tenant)?).await,
            Command::List { output, .. } => list(&database, *output).await,
        };
        database.close().await;
        done
    })
}

fn named(tenant: &str) -> Result<Tenant, Trouble> {
    tenant.parse().map_err(|error: crate::names::NameError| Trouble::Usage(error.to_string()))
}

async fn create(database: &Database, tenant: Tenant) -> Outcome {
    match tenants::create(database, &tenant, Millis::now()).await.map_err(anyhow::Error::from)? {
        Some(made) => tell(&tenant, &made),
        None => {
            let what =
                format!("there is a tenant '{tenant}' already: `hallmark tenant token {tenant}` makes a token of it");
            Err(Trouble::Usage(what))
        }
    }
}

async fn token(database: &Database, tenant: Tenant) -> Outcome {
    let known = database.tenants().await.map_err(anyhow::Error::from)?;
    if !known.contains(&tenant) {
        let names: Vec<&str> = known.iter().map(Tenant::as_str).collect();
        return Err(Trouble::Usage(format!(
            "there is no tenant '{tenant}': there are {}, and `hallmark tenant create` makes others",
            names.join(", ")
        )));
    }
    let made = tenants::admit(database, &tenant, Millis::now()).await.map_err(anyhow::Error::from)?;
    tell(&tenant, &made)
}

fn tell(tenant: &Tenant, made: &MadeToken) -> Outcome {
    show::out(&made.token);
    let MadeToken { row, .. } = made;
    show::err(&format!("{}  {}…  {}, of the tenant {tenant}, without end", row.id, row.prefix, row.name));
    Ok(Ended::Fine)
}

async fn list(database: &Database, output: Output) -> Outcome {
    let tenants = database.tenants().await.map_err(anyhow::Error::from)?;
    match output {
        Output::Json => {
            let items: Vec<_> = tenants.iter().map(|tenant| json!({"name": tenant})).collect();
            show::out(&report::pretty(&json!({"items": items})));
        }
        Output::Text => tenants.iter().for_each(|tenant| show::out(tenant.as_str())),
    }
    Ok(Ended::Fine)
}
