//! `hallmark module|policy activate` and `rollback`: put another release in force, in place of the one that its user
//! looked at, or of the one that is active when the command begins.

use std::str::FromStr;

use serde_json::json;

use super::client::{self, Client};
use super::rules::{active_rules, path};
use super::{Ended, Outcome, Trouble, shadow, show};
use crate::names::Scope;

/// Which release another takes the place of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replaces {
    /// The one of this number.
    Release(i64),
    /// None: no release is active.
    Nothing,
}

impl Replaces {
    /// The release that is active, where one is.
    pub fn of(active: Option<i64>) -> Self {
        active.map_or(Self::Nothing, Self::Release)
    }
}

impl FromStr for Replaces {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self::Nothing);
        }
        let number = text.parse().ok().filter(|number: &i64| *number > 0);
        number.map(Self::Release).ok_or_else(|| "write the number of the release to replace, or none".to_owned())
    }
}

/// What `activate` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The release's number.
    release: i64,
    /// Only in place of this release, or of none where none is active: whichever you looked at. Another that is active
    /// by now stays so. Without it, whichever is active when the command begins is replaced.
    #[arg(long, value_name = "NUMBER | none", conflicts_with_all = ["at", "after_publishes", "after_hours"])]
    replaces: Option<Replaces>,
    /// Only where at most so many stored manifests would newly fail, by a preview of all of them.
    #[arg(long, value_name = "NUMBER", conflicts_with_all = ["at", "after_publishes", "after_hours"])]
    if_impact_at_most: Option<u64>,
    #[command(flatten)]
    stage: shadow::StageArguments,
    #[command(flatten)]
    client: client::Arguments,
}

/// What `rollback` takes.
#[derive(Debug, clap::Args)]
pub struct RollbackArguments {
    /// The release's number, lower than that of the active one.
    release: i64,
    /// Only in place of this release: the one you looked at. Another that is active by now stays so. Without it,
    /// whichever is active when the command begins is replaced.
    #[arg(long, value_name = "NUMBER")]
    replaces: Option<Replaces>,
    #[command(flatten)]
    client: client::Arguments,
}

/// Puts a release in force, or stages it where a condition is given.
pub fn activate_or_stage(scope: &Scope, arguments: &Arguments) -> Outcome {
    let Arguments { release, replaces, if_impact_at_most, stage, client } = arguments;
    match stage.request(*release)? {
        // The conditions of a stage are refused beside those of an activation at once.
        Some(request) => shadow::stage(scope, &request, client),
        None => activate(scope, *release, *replaces, *if_impact_at_most, &Client::new(client)?, |_| true),
    }
}

/// Puts an earlier release in force.
pub fn roll_back(scope: &Scope, arguments: &RollbackArguments) -> Outcome {
    let RollbackArguments { release, replaces, client } = arguments;
    let client = Client::new(client)?;
    // Of a number that is nobody's it must not be said that it is not earlier.
    client.get(&format!("{}/releases/{release}", path(scope)))?;
    activate(scope, *release, *replaces, None, &client, |active| release < &active)
}

/// Puts a release in force where `may` allows it in place of the one that it replaces.
fn activate(
    scope: &Scope,
    number: i64,
    replaces: Option<Replaces>,
    at_most: Option<u64>,
    client: &Client,
    may: impl Fn(i64) -> bool,
) -> Outcome {
    let active = match replaces {
        // Whether it is so is for the server to say, in the activation's own transaction.
        Some(replaces) => replaces,
        None => Replaces::of(active_rules(client, scope)?.map(|(active, _)| active)),
    };
    match active {
        Replaces::Release(active) if active == number && replaces.is_none() => {
            show::out(&format!("{scope}: unchanged, release {number} is active already"));
            return Ok(Ended::Fine);
        }
        Replaces::Release(active) if !may(active) => {
            let which = if replaces.is_some() { "it is to replace" } else { "is active" };
            let message =
                format!("release {number} is not earlier than release {active}, which {which}: use 'activate'");
            return Err(Trouble::Usage(message));
        }
        Replaces::Nothing if !may(i64::MIN) => {
            let message = match replaces {
                Some(_) => "a rollback replaces a release that is active: give --replaces its number".to_owned(),
                None => format!("{scope} has no active release to go back from: use 'activate'"),
            };
            return Err(Trouble::Usage(message));
        }
        _ => {}
    }
    show::out(&put_in_force(client, scope, number, &active, at_most)?);
    Ok(Ended::Fine)
}

/// Puts a release in force in place of that one alone: somebody who activated another meanwhile must not be overruled
/// unseen. Gives what to tell of it.
pub fn put_in_force(
    client: &Client,
    scope: &Scope,
    number: i64,
    replaces: &Replaces,
    at_most: Option<u64>,
) -> Result<String, Trouble> {
    let tag;
    let precondition = match replaces {
        Replaces::Release(active) => {
            tag = format!("\"{active}\"");
            ("if-match", tag.as_str())
        }
        Replaces::Nothing => ("if-none-match", "*"),
    };
    let mut request = json!({"release": number});
    if let Some(at_most) = at_most {
        request["ifImpactAtMost"] = json!(at_most);
    }
    client.post_if(&format!("{}/activate", path(scope)), &request, precondition)?;
    Ok(match replaces {
        Replaces::Release(before) if *before == number => {
            format!("{scope}: unchanged, release {number} is active already")
        }
        Replaces::Release(before) => format!("{scope}: release {number} is active, it was {before}"),
        Replaces::Nothing => format!("{scope}: release {number} is active, the first"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_replaced_is_a_number_or_none() {
        assert_eq!("7".parse(), Ok(Replaces::Release(7)));
        assert_eq!("none".parse(), Ok(Replaces::Nothing));
        for text in ["", "0", "-1", "None", "7.0", "\"7\""] {
            let refused = text.parse::<Replaces>();
            assert_eq!(refused, Err("write the number of the release to replace, or none".to_owned()), "{text}");
        }
    }
}
