//! Shadows and staged releases of modules and of the policies, and what their bindings that observe would change.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::call::Call;
use super::error::{Code, Problem, Success};
use super::journal;
use super::openapi::told::Told;
use super::reply::{Answer, Reply};
use crate::clock::Instant;
use crate::clock::Millis;
use crate::names::Scope;
use crate::registry::shadow::{Agreement, Change, ObservingReport, Plan, ShadowRow, ShadowState, ShadowWanted, Tally};
use crate::registry::staging::Budget;
use crate::registry::store::{ObservationCode, ObservationExample};

/// An instant in a request.
///
/// # Errors
/// It is none, and the text says of which field.
pub fn instant(field: &str, text: &str) -> Result<Millis, Problem> {
    text.parse().map_err(|error| Problem::new(Code::BadChange, format!("{field}: {error}")))
}

#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = StagePlan)]
struct PlanView<'a> {
    at: Option<Instant>,
    after_publishes: u32,
    after_hours: u32,
    budget: &'a Budget,
    replaces: Option<i64>,
}

/// A shadow.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Shadow)]
pub struct ShadowView<'a> {
    id: &'a str,
    scope: &'a Scope,
    release: i64,
    percent: u8,
    state: ShadowState,
    reason: &'a str,
    started_by: &'a str,
    started_at: Instant,
    changed_by: &'a str,
    changed_at: Instant,
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<PlanView<'a>>,
}

impl<'a> ShadowView<'a> {
    /// Shows it.
    pub fn of(row: &'a ShadowRow) -> Self {
        let plan = |plan: &'a Plan| PlanView {
            at: plan.at.map(Instant),
            after_publishes: plan.after_publishes,
            after_hours: plan.after_hours,
            budget: &plan.budget,
            replaces: plan.expected,
        };
        Self {
            id: &row.id,
            scope: &row.release.scope,
            release: row.release.number,
            percent: row.percent,
            state: row.state,
            reason: &row.reason,
            started_by: &row.started_by,
            started_at: Instant(row.started_at),
            changed_by: &row.changed_by,
            changed_at: Instant(row.changed_at),
            plan: row.plan.as_ref().map(plan),
        }
    }
}

#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ShadowExample)]
struct ExampleView<'a> {
    decision_id: &'a str,
    kind: &'a str,
    entry: &'a str,
    version: &'a str,
}

impl<'a> ExampleView<'a> {
    fn of(row: &'a ObservationExample) -> Self {
        let (kind, entry, version) = (row.kind.as_str(), row.entry.as_str(), row.version.as_str());
        Self { decision_id: row.decision.as_str(), kind, entry, version }
    }
}

fn examples(rows: &[ObservationExample]) -> Vec<ExampleView<'_>> {
    rows.iter().map(ExampleView::of).collect()
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = ShadowCode)]
struct CodeView<'a> {
    change: Change,
    code: &'a str,
    publishes: i64,
    examples: Vec<ExampleView<'a>>,
}

impl<'a> CodeView<'a> {
    fn of((code, rows): &'a (ObservationCode, Vec<ObservationExample>)) -> Self {
        Self { change: code.change, code: &code.code, publishes: code.publishes, examples: examples(rows) }
    }
}

/// What was counted; all zeros where nothing was.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Tally)]
struct TallyView<'a> {
    seen: i64,
    publishes: BTreeMap<&'static str, i64>,
    slower_micros: Option<i64>,
    examples: BTreeMap<&'static str, Vec<ExampleView<'a>>>,
    codes: Vec<CodeView<'a>>,
}

impl<'a> TallyView<'a> {
    fn of(tally: Option<&'a Tally>) -> Self {
        let counts = tally.map_or(&[][..], |tally| &tally.counts[..]);
        let shown = counts.iter().filter(|(_, _, rows)| !rows.is_empty());
        let publishes = match tally {
            Some(_) => counts.iter().map(|(agreement, count, _)| (agreement.as_str(), *count)).collect(),
            None => Agreement::ALL.into_iter().map(|agreement| (agreement.as_str(), 0)).collect(),
        };
        Self {
            seen: counts.iter().map(|(_, count, _)| count).sum(),
            publishes,
            slower_micros: tally.and_then(|tally| tally.slower_micros),
            examples: shown.map(|(agreement, _, rows)| (agreement.as_str(), examples(rows))).collect(),
            codes: tally.into_iter().flat_map(|tally| &tally.codes).map(CodeView::of).collect(),
        }
    }
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = ObservingReport)]
struct ObservingView<'a> {
    release: i64,
    binding: &'a str,
    percent: u8,
    #[serde(flatten)]
    tally: TallyView<'a>,
}

impl<'a> ObservingView<'a> {
    fn of(report: &'a ObservingReport) -> Self {
        let ObservingReport { release, binding, percent, tally } = report;
        Self { release: *release, binding, percent: *percent, tally: TallyView::of(Some(tally)) }
    }
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = ShadowReport)]
struct ReportView<'a> {
    scope: &'a Scope,
    shadow: Option<ShadowView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unable: Option<&'a str>,
    #[serde(flatten)]
    tally: TallyView<'a>,
    observing: Vec<ObservingView<'a>>,
}

/// `GET …/shadow`
pub async fn show(call: Call) -> Answer {
    let scope = call.scope()?;
    let report = call.registry.shadow_report(&call.actor, &scope).await?;
    let observing = call.registry.observing_reports(&call.actor, &scope).await?;
    let view = ReportView {
        scope: &scope,
        shadow: report.as_ref().map(|report| ShadowView::of(&report.shadow)),
        unable: report.as_ref().and_then(|report| report.unable.as_deref()),
        tally: TallyView::of(report.as_ref().map(|report| &report.tally)),
        observing: observing.iter().map(ObservingView::of).collect(),
    };
    Reply::json(Success::Found, &view)
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ShadowRequest)]
struct StartRequest {
    release: i64,
    #[serde(default = "every_entry")]
    #[schema(minimum = 1, maximum = 100)]
    percent: u8,
}

fn every_entry() -> u8 {
    100
}

/// `POST …/shadow`
pub async fn start(call: Call) -> Answer {
    let request: StartRequest = call.json()?;
    let wanted = ShadowWanted { release: request.release, percent: request.percent, plan: None };
    begin(call, "start", wanted).await
}

#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct StageRequest {
    release: i64,
    #[serde(default = "every_entry")]
    #[schema(minimum = 1, maximum = 100)]
    percent: u8,
    at: Option<String>,
    #[serde(default)]
    after_publishes: u32,
    #[serde(default)]
    after_hours: u32,
    #[serde(default)]
    budget: Budget,
}

/// `POST …/stage`
pub async fn stage(call: Call) -> Answer {
    let request: StageRequest = call.json()?;
    let StageRequest { release, percent, at, after_publishes, after_hours, budget } = request;
    let at = at.map(|text| instant("at", &text)).transpose()?;
    let plan = Some(Plan { at, after_publishes, after_hours, budget, expected: None });
    begin(call, "stage", ShadowWanted { release, percent, plan }).await
}

async fn begin(call: Call, action: &'static str, wanted: ShadowWanted) -> Answer {
    let scope = call.scope()?;
    let result = call.registry.start_shadow(&call.actor, &scope, wanted, Millis::now()).await;
    journal::shadowed(&call, action, &scope.to_string(), &result);
    Reply::json(Success::Created, &ShadowView::of(&result?))
}

/// `POST …/shadow/stop`
pub async fn stop(call: Call) -> Answer {
    let scope = call.scope()?;
    let result = call.registry.stop_shadow(&call.actor, &scope, Millis::now()).await;
    journal::shadowed(&call, "stop", &scope.to_string(), &result);
    Reply::json(Success::Found, &ShadowView::of(&result?))
}

/// What the API's description tells of these.
pub fn told() -> Vec<Told> {
    let of_modules = of_scope("/api/modules/{name}", "Module");
    of_modules.into_iter().chain(of_scope("/api/policies", "Policies")).collect()
}

fn of_scope(at: &str, noun: &str) -> [Told; 4] {
    let refusals =
        [Code::NotFound, Code::ShadowRunning, Code::BadChange, Code::BadRules, Code::PluginUnfit, Code::PluginUnsigned];
    let stage = json!({
        "release": 1, "at": "2100-01-01T09:00:00Z", "afterPublishes": 1000, "afterHours": 24,
        "budget": {"rejections": 0, "disagreements": 3, "failures": 0, "slowerMs": 5},
    });
    [
        Told::post(format!("{at}/stage"), format!("stage{noun}Release"))
            .takes::<StageRequest>(stage)
            .gives::<ShadowView<'_>>(Success::Created)
            .refuses(&refusals)
            .refuses(&[Code::ScopeFrozen]),
        Told::get(format!("{at}/shadow"), format!("show{noun}Shadow")).gives::<ReportView<'_>>(Success::Found),
        Told::post(format!("{at}/shadow"), format!("start{noun}Shadow"))
            .takes::<StartRequest>(json!({"release": 1, "percent": 10}))
            .gives::<ShadowView<'_>>(Success::Created)
            .refuses(&refusals),
        Told::post(format!("{at}/shadow/stop"), format!("stop{noun}Shadow"))
            .gives::<ShadowView<'_>>(Success::Found)
            .refuses(&[Code::NotFound]),
    ]
}
