//! `hallmark module|policy shadow`: run a release beside the active one, see what it and the bindings that observe would
//! have said, and stop it; and `activate` with conditions, which stages a release.

use serde_json::{Value, json};

use super::client::{self, Client};
use super::rules::path;
use super::{Ended, Outcome, Output, Trouble, report, show};
use crate::names::Scope;

/// What is done with the shadow of a scope; without it, what it would have said is shown.
#[derive(Debug, clap::Subcommand)]
pub enum Action {
    /// Run a release beside the active one. It decides nothing.
    Start {
        /// The release's number.
        release: i64,
        /// The share of entries, 1 to 100. Which they are hangs on kind and id alone.
        #[arg(long, value_name = "P", default_value_t = 100, value_parser = clap::value_parser!(u8).range(1..=100))]
        percent: u8,
        #[command(flatten)]
        client: client::Arguments,
    },
    /// Stop the shadow, staged or not.
    Stop {
        #[command(flatten)]
        client: client::Arguments,
    },
}

/// What `shadow` takes where nothing is to be done.
#[derive(Debug, clap::Args)]
pub struct ReportArguments {
    #[command(flatten)]
    client: client::Arguments,
    /// How it is written.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// When a release is to be activated by itself.
#[derive(Debug, clap::Args)]
pub struct StageArguments {
    /// Not now, but at this instant or on this day (UTC), as in 2026-12-31T18:00:00Z: until then it runs as a shadow,
    /// and demotes itself when it exceeds its budget.
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// Not before it has judged so many publishes as a shadow.
    #[arg(long, value_name = "N")]
    after_publishes: Option<u32>,
    /// Not before it has run so many hours as a shadow.
    #[arg(long, value_name = "H")]
    after_hours: Option<u32>,
    /// Publishes that it may newly reject as a shadow before it demotes itself; none unless told.
    #[arg(long, value_name = "R")]
    budget_rejections: Option<u32>,
    /// Publishes over which it may disagree as a shadow (newly rejected, newly approved, other findings) before it
    /// demotes itself; not compared unless told.
    #[arg(long, value_name = "D")]
    budget_disagreements: Option<u32>,
    /// Publishes that it may fail over as a shadow before it demotes itself; none unless told.
    #[arg(long, value_name = "F")]
    budget_failures: Option<u32>,
    /// Milliseconds by which it may be slower on average before it demotes itself; not compared unless told.
    #[arg(long, value_name = "S")]
    budget_slower_ms: Option<u32>,
}

impl StageArguments {
    /// The request to stage a release, where a condition is given.
    ///
    /// # Errors
    /// A budget without a condition.
    pub fn request(&self, release: i64) -> Result<Option<Value>, Trouble> {
        let stated = [self.budget_rejections, self.budget_disagreements, self.budget_failures, self.budget_slower_ms];
        if self.at.is_none() && self.after_publishes.is_none() && self.after_hours.is_none() {
            if stated.iter().any(Option::is_some) {
                let message = "a budget is for a staged release: add --at, --after-publishes or --after-hours";
                return Err(Trouble::Usage(message.to_owned()));
            }
            return Ok(None);
        }
        let mut budget = json!({
            "rejections": self.budget_rejections.unwrap_or(0),
            "failures": self.budget_failures.unwrap_or(0),
        });
        for (name, most) in [("disagreements", self.budget_disagreements), ("slowerMs", self.budget_slower_ms)] {
            if let Some(most) = most {
                budget[name] = most.into();
            }
        }
        Ok(Some(json!({
            "release": release,
            "at": self.at,
            "afterPublishes": self.after_publishes.unwrap_or(0),
            "afterHours": self.after_hours.unwrap_or(0),
            "budget": budget,
        })))
    }
}

/// Stages a release.
pub fn stage(scope: &Scope, request: &Value, client: &client::Arguments) -> Outcome {
    let staged = Client::new(client)?.post(&format!("{}/stage", path(scope)), request)?.body;
    let replaces = show::text(&staged["plan"]["replaces"]);
    show::out(&format!(
        "{scope}: release {} is staged to take the place of release {replaces}",
        show::text(&staged["release"])
    ));
    Ok(Ended::Fine)
}

/// Starts or stops a scope's shadow, or shows what it would have said.
pub fn run(scope: &Scope, action: Option<&Action>, arguments: &ReportArguments) -> Outcome {
    match action {
        None => {
            let report = Client::new(&arguments.client)?.get(&format!("{}/shadow", path(scope)))?.body;
            show::out(&match arguments.output {
                Output::Text => told(&report),
                Output::Json => report::pretty(&report),
            });
        }
        Some(Action::Start { release, percent, client }) => {
            let request = json!({"release": release, "percent": percent});
            Client::new(client)?.post(&format!("{}/shadow", path(scope)), &request)?;
            show::out(&format!("{scope}: release {release} shadows the active one, for {percent} % of entries"));
        }
        Some(Action::Stop { client }) => {
            let stopped = Client::new(client)?.post(&format!("{}/shadow/stop", path(scope)), &json!({}))?.body;
            show::out(&format!("{scope}: the shadow of release {} is stopped", show::text(&stopped["release"])));
        }
    }
    Ok(Ended::Fine)
}

fn told(report: &Value) -> String {
    let observing = report["observing"].as_array().map(Vec::as_slice).unwrap_or_default();
    let scope = show::text(&report["scope"]);
    let mut lines = match (report["shadow"].is_null(), observing.is_empty()) {
        (false, _) => shadow(report),
        (true, false) => vec![format!("{scope}: no release was ever run as a shadow")],
        (true, true) => {
            vec![format!("{scope}: no release was ever run as a shadow, and no binding of the active one observes")]
        }
    };
    for binding in observing {
        let field = |name: &str| show::text(&binding[name]);
        lines.push(format!(
            "observing  {} of release {}, for {} % of entries",
            field("binding"),
            field("release"),
            field("percent")
        ));
        lines.extend(tally(binding));
    }
    lines.iter().map(|line| show::plain(line)).collect::<Vec<_>>().join("\n")
}

fn shadow(report: &Value) -> Vec<String> {
    let shadow = &report["shadow"];
    let field = |name: &str| show::text(&shadow[name]);
    let mut lines = vec![format!(
        "{}: release {} is {}, for {} % of entries, started {} by {}",
        field("scope"),
        field("release"),
        field("state"),
        field("percent"),
        field("startedAt"),
        field("startedBy")
    )];
    if shadow["reason"].as_str().is_some_and(|reason| !reason.is_empty()) {
        lines.push(format!("because    {}, {}", field("reason"), field("changedAt")));
    }
    if !shadow["plan"].is_null() {
        lines.push(format!("plan       {}", plan(&shadow["plan"])));
    }
    if let Some(why) = report["unable"].as_str() {
        lines.push(format!("unable     {why}"));
    }
    lines.extend(tally(report));
    lines
}

/// What was counted: of a binding, nothing is newly approved.
fn tally(tally: &Value) -> Vec<String> {
    let counts = [
        ("agreed", "agreed"),
        ("newly-rejected", "newly rejected"),
        ("newly-approved", "newly approved"),
        ("other-findings", "with other findings"),
        ("failed", "failed"),
    ];
    let counted = counts.iter().filter_map(|(count, told)| Some(format!("{} {told}", tally["publishes"].get(count)?)));
    let counted: Vec<String> = counted.collect();
    let publishes = if tally["seen"] == 1 { "publish" } else { "publishes" };
    let mut lines = vec![format!("seen       {} {publishes}: {}", show::text(&tally["seen"]), counted.join(", "))];
    if let Some(micros) = tally["slowerMicros"].as_i64() {
        lines.push(format!("slower     {micros} us on average"));
    }
    for code in tally["codes"].as_array().into_iter().flatten() {
        let (change, name, publishes) =
            (show::text(&code["change"]), show::text(&code["code"]), show::text(&code["publishes"]));
        lines.push(format!("{change:10} {name} in {publishes}"));
        lines.extend(examples(&code["examples"]));
    }
    if let Some(failed) = tally["examples"].get("failed") {
        lines.push("failed     over".to_owned());
        lines.extend(examples(failed));
    }
    lines
}

fn examples(rows: &Value) -> Vec<String> {
    let line = |row: &Value| {
        let field = |name: &str| show::text(&row[name]);
        format!(
            "             {}/{} {} (decision {})",
            field("kind"),
            field("entry"),
            field("version"),
            field("decisionId")
        )
    };
    rows.as_array().into_iter().flatten().map(line).collect()
}

fn plan(plan: &Value) -> String {
    let mut when = Vec::new();
    if let Some(at) = plan["at"].as_str() {
        when.push(format!("at {at}"));
    }
    for (field, one, many) in [("afterPublishes", "publish", "publishes"), ("afterHours", "hour", "hours")] {
        match plan[field].as_u64() {
            None | Some(0) => {}
            Some(1) => when.push(format!("after 1 {one}")),
            Some(count) => when.push(format!("after {count} {many}")),
        }
    }
    let parts = [
        ("rejections", "newly rejected"),
        ("disagreements", "disagreeing"),
        ("failures", "failed"),
        ("slowerMs", "ms slower"),
    ];
    let stated = parts.iter().filter_map(|(part, told)| Some(format!("{} {told}", plan["budget"][*part].as_u64()?)));
    format!(
        "{} in the place of release {}; budget: {}",
        when.join(" and "),
        show::text(&plan["replaces"]),
        stated.collect::<Vec<_>>().join(", ")
    )
}
