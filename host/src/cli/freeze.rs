//! `freeze`, `unfreeze` and `status` of a module or of the policies: whether the active release may be replaced, and who
//! says so.

use serde_json::{Value, json};

use super::client::{self, Client};
use super::rules::path;
use super::{Ended, Outcome, show};
use crate::names::{Reason, Scope};

/// What `freeze` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Why: told to everybody who would activate a release meanwhile.
    #[arg(long, short)]
    reason: Reason,
    #[command(flatten)]
    client: client::Arguments,
}

/// Freezes.
pub fn freeze(scope: &Scope, arguments: &Arguments) -> Outcome {
    let client = Client::new(&arguments.client)?;
    let state = client.post(&format!("{}/freeze", path(scope)), &json!({"reason": arguments.reason}))?.body;
    tell(scope, &state);
    Ok(Ended::Fine)
}

/// Unfreezes.
pub fn unfreeze(scope: &Scope, client: &client::Arguments) -> Outcome {
    let state = Client::new(client)?.post(&format!("{}/unfreeze", path(scope)), &json!({}))?.body;
    tell(scope, &state);
    Ok(Ended::Fine)
}

/// Shows what is.
pub fn status(scope: &Scope, client: &client::Arguments) -> Outcome {
    let mut state = Client::new(client)?.get(&path(scope))?.body;
    state["release"] = state["release"]["number"].take();
    tell(scope, &state);
    Ok(Ended::Fine)
}

fn tell(scope: &Scope, state: &Value) {
    for line in lines(scope, state) {
        show::out(&show::plain(&line));
    }
}

fn lines(scope: &Scope, state: &Value) -> [String; 2] {
    let text = |value: &Value| value.as_str().unwrap_or("?").to_owned();
    let active = match state["release"].as_i64() {
        None => format!("{scope}: no release is active"),
        Some(number) => match state["activatedBy"].as_str() {
            Some(by) => {
                format!("{scope}: release {number} is active, {by} activated it at {}", text(&state["activatedAt"]))
            }
            None => format!("{scope}: release {number} is active since {}", text(&state["activatedAt"])),
        },
    };
    let frozen = match &state["frozen"] {
        Value::Null => format!("{scope}: not frozen"),
        freeze => {
            let [by, at, reason] = ["by", "at", "reason"].map(|field| text(&freeze[field]));
            format!("{scope}: frozen, {by} froze it at {at}: {reason}")
        }
    };
    [active, frozen]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_what_is_active_and_what_keeps_it() {
        let told = |state: Value| lines(&Scope::Policies, &state);
        assert_eq!(told(json!({"release": null})), ["policies: no release is active", "policies: not frozen"]);
        let at = "2026-01-02T03:04:05.678Z";
        let freeze = json!({"by": "ada", "at": at, "reason": "release week"});
        assert_eq!(
            told(json!({"release": 7, "activatedBy": "bob", "activatedAt": at, "frozen": freeze})),
            [
                "policies: release 7 is active, bob activated it at 2026-01-02T03:04:05.678Z",
                "policies: frozen, ada froze it at 2026-01-02T03:04:05.678Z: release week",
            ]
        );
        assert_eq!(
            told(json!({"release": 7, "activatedAt": at}))[0],
            "policies: release 7 is active since 2026-01-02T03:04:05.678Z"
        );
    }
}
