//! What a host and its clients are set to: defaults < `hallmark.toml` < the environment < flags. One table of keys
//! makes what the file and the environment may say, what is told of a name that is not known, and what
//! `hallmark config show` shows. The file and the environment become the defaults of flags, so that a value is read in
//! one way, whoever says it.

mod keys;
mod layers;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::ArgMatches;
use clap::builder::StyledStr;
use clap::error::ContextKind;
use clap::parser::ValueSource;

use super::Trouble;
use crate::config::Limits;
pub use keys::{Form, KEYS, Key};

/// The file that is looked for in the working directory.
pub const FILE: &str = "hallmark.toml";

/// The section of the limits.
const LIMITS: &str = "limits";

/// Who said a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody.
    Default,
    /// A file.
    File(PathBuf),
    /// A variable.
    Environment(String),
    /// An argument.
    Flag(String),
}

impl std::fmt::Display for Origin {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Default => formatter.write_str("default"),
            Self::File(path) => write!(formatter, "{}", path.display()),
            Self::Environment(name) | Self::Flag(name) => formatter.write_str(name),
        }
    }
}

/// A value that is not the default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// As a flag would say it.
    pub value: String,
    /// Who said it.
    pub origin: Origin,
}

/// What the file and the environment say.
#[derive(Debug, Default)]
pub struct Configuration {
    /// The file that was read.
    pub file: Option<PathBuf>,
    keys: BTreeMap<&'static str, Given>,
    limits: BTreeMap<&'static str, Given>,
}

impl Configuration {
    /// Reads the file that is named, or the one in the working directory, and the environment.
    ///
    /// # Errors
    /// Everything in them that cannot be.
    pub fn read(
        named: Option<&Path>,
        environment: impl Iterator<Item = (OsString, OsString)>,
    ) -> Result<Self, Trouble> {
        let environment = layers::environment(environment);
        let named = named.map(Path::to_owned).or_else(|| environment.file.clone());
        let file = named.or_else(|| Some(PathBuf::from(FILE)).filter(|file| file.is_file()));
        let mut configuration = Self { file: file.clone(), ..Self::default() };
        let mut problems = Vec::new();
        if let Some(file) = &file {
            layers::file(file, &mut problems).lay_over(&mut configuration, &mut problems);
        }
        problems.extend(environment.problems);
        environment.layer.lay_over(&mut configuration, &mut problems);
        if problems.is_empty() { Ok(configuration) } else { Err(Trouble::Usage(problems.join("\nerror: "))) }
    }

    /// The limits: what is configured, and over it what `--limit` says.
    ///
    /// # Errors
    /// An assignment is none.
    pub fn limits(&self, assignments: &[String]) -> Result<Limits, Trouble> {
        let mut limits = Limits::default();
        for (name, Given { value, origin }) in &self.limits {
            let set = limits.set(&format!("{name}={value}"));
            set.map_err(|message| Trouble::Usage(format!("{origin}: {message}")))?;
        }
        for assignment in assignments {
            limits.set(assignment).map_err(|message| Trouble::Usage(format!("--limit: {message}")))?;
        }
        Ok(limits)
    }

    /// Who said a limit, flags aside.
    pub fn origin_of_limit(&self, name: &str) -> Origin {
        self.limits.get(name).map_or(Origin::Default, |given| given.origin.clone())
    }

    /// What the file or the environment says of a key.
    pub fn given(&self, key: &Key) -> Option<&Given> {
        self.keys.get(key.name)
    }

    /// Parses the process's command line again, over what is configured. `first` is how it was parsed without.
    ///
    /// # Errors
    /// A configured value is none that the flag would take.
    pub fn parse(
        &self,
        command: clap::Command,
        first: &ArgMatches,
        line: impl Iterator<Item = OsString>,
    ) -> Result<ArgMatches, Trouble> {
        self.put_under(command, first).try_get_matches_from(line).map_err(|error| self.blame(&error))
    }

    /// Makes what is configured the defaults of the command that is asked for.
    fn put_under(&self, command: clap::Command, first: &ArgMatches) -> clap::Command {
        if let Some((name, matches)) = first.subcommand() {
            return command.mut_subcommand(name, |inner| self.put_under(inner, matches));
        }
        let of_this: Vec<&Key> = KEYS.iter().filter(|key| key.is_of(&command)).collect();
        let is_flagged = |name: &str| first.value_source(name) == Some(ValueSource::CommandLine);
        command.mut_args(|argument| {
            let key = of_this.iter().find(|key| argument.get_id() == key.argument);
            let Some((key, given)) = key.and_then(|key| Some((key, self.keys.get(key.name)?))) else { return argument };
            // Whoever gives a token on the command line means it, and not the file of another that is configured.
            let twin = key.twin.and_then(keys::find).map(|twin| twin.argument);
            if twin.is_some_and(is_flagged) { argument } else { argument.default_value(given.value.clone()) }
        })
    }

    /// What is wrong with a value that was configured, and where it comes from.
    fn blame(&self, error: &clap::Error) -> Trouble {
        let flag = error.get(ContextKind::InvalidArg).map(ToString::to_string).unwrap_or_default();
        let long = flag.split([' ', '=']).next().unwrap_or_default();
        let key = KEYS.iter().find(|key| key.flag() == long);
        let given = key.and_then(|key| Some((key, self.keys.get(key.name)?)));
        let text = error.render().to_string();
        let text = text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
        Trouble::Usage(match given {
            Some((key, given)) => format!("{}: {}: {text}", given.origin, key.name),
            None => text,
        })
    }
}

/// The command line, each flag telling the variable that sets it too.
pub fn described(command: clap::Command) -> clap::Command {
    let of_this: Vec<&Key> = KEYS.iter().filter(|key| key.is_of(&command)).collect();
    let command = command.mut_args(|argument| match of_this.iter().find(|key| argument.get_id() == key.argument) {
        Some(key) => {
            let variables = key.variables().join(", ");
            let tell = |help: &StyledStr| format!("{help} [env: {variables}]");
            let (short, long) = (argument.get_help().map(tell), argument.get_long_help().map(tell));
            let argument = argument.help(short.unwrap_or_default());
            match long {
                Some(long) => argument.long_help(long),
                None => argument,
            }
        }
        None => argument,
    });
    command.mut_subcommands(described)
}

#[cfg(test)]
mod tests;
