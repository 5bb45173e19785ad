//! `hallmark doctor`: looks at what a host needs, without a server and without changing anything, and says of each part
//! whether it is well and what to do where it is not.

mod folders;
mod store;

use std::path::PathBuf;

use serde::Serialize;
use serde_json::json;

use super::configuration::Configuration;
use super::place::Place;
use super::{Ended, Outcome, Output, Trouble, certificate, report, show};
use crate::config::Limits;

/// What `doctor` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    place: Place,
    /// The private key that decisions are signed with; without it the one in the data folder.
    #[arg(long, value_name = "FILE")]
    signing_key: Option<PathBuf>,
    /// The key that webhooks' secrets are made from; without it the one in the data folder.
    #[arg(long, value_name = "FILE")]
    webhook_key: Option<PathBuf>,
    #[command(flatten)]
    tls: certificate::Arguments,
    /// Sets a limit, as for `serve`; may be given often.
    #[arg(long = "limit", value_name = "NAME=VALUE")]
    limits: Vec<String>,
    /// How it is written.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// How a part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Ok,
    /// It works, and will not for long, or not as it should.
    Warn,
    /// It does not work, or anybody may break it.
    Fail,
}

impl State {
    fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// What was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Check {
    part: &'static str,
    state: State,
    /// How it is.
    detail: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<String>,
}

impl Check {
    fn ok(part: &'static str, detail: impl Into<String>) -> Self {
        Self { part, state: State::Ok, detail: detail.into(), help: None }
    }

    fn warn(part: &'static str, detail: impl Into<String>, help: impl Into<String>) -> Self {
        Self { part, state: State::Warn, detail: detail.into(), help: Some(help.into()) }
    }

    fn fail(part: &'static str, detail: impl Into<String>, help: impl Into<String>) -> Self {
        Self { part, state: State::Fail, detail: detail.into(), help: Some(help.into()) }
    }
}

/// Looks, tells, and gives the exit code.
///
/// `misread` is what keeps the configuration from being read; then the rest is looked at as flags and defaults have it.
pub fn run(arguments: &Arguments, configuration: &Configuration, misread: Option<String>) -> Outcome {
    let mut checks = Vec::new();
    let limits = configured(arguments, configuration, misread, &mut checks);
    folders::look(arguments, &mut checks);
    let outcome = super::on_one_thread(async {
        store::look(arguments, &limits, &mut checks).await;
        Ok(Ended::Fine)
    });
    outcome?;
    tell(&checks, arguments.output);
    let is_ill = checks.iter().any(|check| check.state == State::Fail);
    Ok(if is_ill { Ended::Findings } else { Ended::Fine })
}

/// The limits that are looked at further on are those that hold, or the defaults where they cannot be read.
fn configured(
    arguments: &Arguments,
    configuration: &Configuration,
    misread: Option<String>,
    checks: &mut Vec<Check>,
) -> Limits {
    const PART: &str = "configuration";
    let limits = match (misread, configuration.limits(&arguments.limits)) {
        (Some(why), _) | (None, Err(Trouble::Usage(why))) => Err(why),
        (None, limits) => limits.map_err(|_| "it cannot be read".to_owned()),
    };
    match limits {
        Ok(limits) => {
            let read =
                configuration.file.as_ref().map_or("the environment".to_owned(), |file| file.display().to_string());
            checks.push(Check::ok(PART, format!("{read} and flags can be read")));
            limits
        }
        Err(why) => {
            checks.push(Check::fail(PART, why, "a host that is given this does not start: change it"));
            Limits::default()
        }
    }
}

fn tell(checks: &[Check], output: Output) {
    if output == Output::Json {
        let is_well = checks.iter().all(|check| check.state != State::Fail);
        return show::out(&report::pretty(&json!({"ok": is_well, "checks": checks})));
    }
    for check in checks {
        show::out(&show::plain(&format!("{:<4}  {:<13}  {}", check.state.as_str(), check.part, check.detail)));
        if let Some(help) = &check.help {
            show::out(&show::plain(&format!("{:21}{help}", "")));
        }
    }
    let count = |state| checks.iter().filter(|check| check.state == state).count();
    show::out(&format!("\n{} ok, {} warn, {} fail", count(State::Ok), count(State::Warn), count(State::Fail)));
}
