//! `hallmark completions` and `hallmark man`: what shells and `man` read of the command line, made from the command line
//! itself. Neither looks at any configuration.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap_complete::Shell;
use clap_mangen::Man;

use super::{Ended, Outcome, Trouble, show};

/// What `completions` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
    /// The folder to write the file into, under the name that the shell looks for; without it the standard output.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// What `man` takes.
#[derive(Debug, clap::Args)]
pub struct ManArguments {
    /// The command whose page is written, as in `plugin build`; without it the page of `hallmark`.
    #[arg(value_name = "COMMAND")]
    command: Vec<String>,
    /// The folder to write every page into.
    #[arg(long, value_name = "DIR", conflicts_with = "command")]
    out: Option<PathBuf>,
}

/// Writes a shell's completions.
pub fn run(arguments: &Arguments, mut command: clap::Command) -> Outcome {
    match &arguments.out {
        Some(folder) => {
            make(folder)?;
            let path = clap_complete::generate_to(arguments.shell, &mut command, "hallmark", folder);
            let path = path.with_context(|| format!("nothing can be written into {}", folder.display()))?;
            show::out(&format!("wrote {}", path.display()));
        }
        None => {
            let mut script = Vec::new();
            clap_complete::generate(arguments.shell, &mut command, "hallmark", &mut script);
            show::raw(&script);
        }
    }
    Ok(Ended::Fine)
}

/// Writes pages of the manual.
pub fn run_man(arguments: &ManArguments, mut command: clap::Command) -> Outcome {
    if let Some(folder) = &arguments.out {
        make(folder)?;
        clap_mangen::generate_to(command, folder)
            .with_context(|| format!("nothing can be written into {}", folder.display()))?;
        show::out(&format!("wrote the pages into {}", folder.display()));
        return Ok(Ended::Fine);
    }
    command.build();
    let mut told = &command;
    for word in &arguments.command {
        told = told.find_subcommand(word).ok_or_else(|| {
            let names: Vec<&str> = told.get_subcommands().map(clap::Command::get_name).collect();
            Trouble::Usage(format!("'{}' has no command: {}", told.get_name(), crate::config::unknown(word, &names)))
        })?;
    }
    let mut page = Vec::new();
    Man::new(told.clone()).render(&mut page).context("the page cannot be made")?;
    show::raw(&page);
    Ok(Ended::Fine)
}

fn make(folder: &Path) -> Result<(), Trouble> {
    std::fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    Ok(())
}
