//! `hallmark openapi`: the description of the HTTP API, as a server of this version gives it. It looks at no configuration.

use std::path::PathBuf;

use anyhow::Context as _;

use super::{Ended, Outcome, show};
use crate::http::description;

/// What `openapi` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The file to write; without it the standard output.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Writes it.
pub fn run(arguments: &Arguments) -> Outcome {
    match &arguments.out {
        Some(file) => {
            std::fs::write(file, description()).with_context(|| format!("{} cannot be written", file.display()))?;
            show::out(&format!("wrote {}", file.display()));
        }
        None => show::raw(description().as_bytes()),
    }
    Ok(Ended::Fine)
}
