//! Previews: what a candidate's rules would say of what is stored.

mod page_html;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::call::Call;
use super::error::{Code, Problem, Success};
use super::journal;
use super::openapi::told::{Told, anything};
use super::page::{self, PageView};
use super::reply::{Answer, Reply};
use crate::clock::{Instant, Millis};
use crate::names::{DecisionId, Digest, Scope};
use crate::registry::RegistryError;
use crate::registry::impact::{Candidate, Impact, Report, What};
use crate::registry::release::{ReleaseRef, Rules};
use crate::registry::store::ImpactRow;

/// What the list is of, in its cursors.
const IMPACTS: &str = "impacts";

/// A candidate, and one of `what`, `since` and `sample`.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ImpactRequest)]
struct Request {
    release: Option<i64>,
    rules: Option<Rules>,
    what: Option<String>,
    since: Option<String>,
    sample: Option<u32>,
}

impl Request {
    fn candidate(&mut self, scope: &Scope) -> Result<Candidate, Problem> {
        match (self.release, self.rules.take()) {
            (Some(number), None) => Ok(Candidate::Release(number)),
            (None, Some(rules)) if rules.scope == *scope => Ok(Candidate::Rules(Box::new(rules))),
            (None, Some(rules)) => {
                let detail =
                    format!("the path is of the scope '{scope}', the rules are of '{}': make them one", rules.scope);
                Err(Problem::new(Code::BadName, detail))
            }
            _ => Err(bad("say what is previewed: \"release\" or \"rules\", one of them")),
        }
    }

    fn what(&self) -> Result<What, Problem> {
        match (self.what.as_deref(), &self.since, self.sample) {
            (None | Some("active"), None, None) => Ok(What::Active),
            (None, Some(since), None) => match since.parse() {
                Ok(since) => Ok(What::Since(since)),
                Err(why) => Err(bad(&format!("since: {why}"))),
            },
            (None, None, Some(count)) => Ok(What::Sample(count)),
            _ => {
                Err(bad("say what is judged: \"what\": \"active\", \"since\": TIME or \"sample\": NUMBER, one of them"))
            }
        }
    }
}

fn bad(detail: &str) -> Problem {
    RegistryError::BadImpact(detail.to_owned()).into()
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = ImpactCandidate)]
struct CandidateView<'a> {
    digest: &'a Digest,
    /// None where the rules are no release.
    release: Option<i64>,
}

#[derive(Serialize, utoipa::ToSchema)]
#[serde(untagged)]
#[schema(as = ImpactWhat)]
enum WhatView {
    Active { what: &'static str },
    Since { since: Instant },
    Sample { sample: u32 },
}

impl From<What> for WhatView {
    fn from(what: What) -> Self {
        match what {
            What::Active => Self::Active { what: "active" },
            What::Since(since) => Self::Since { since: Instant(since) },
            What::Sample(sample) => Self::Sample { sample },
        }
    }
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = ImpactProgress)]
struct Progress {
    versions: i64,
    judged: i64,
    chunks: i64,
    done: i64,
}

/// A run as lists show it.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ImpactRun)]
struct RunView<'a> {
    id: &'a str,
    scope: &'a Scope,
    candidate: CandidateView<'a>,
    /// The releases that were active at the start: what the candidate is compared with.
    beside: &'a [ReleaseRef],
    #[serde(flatten)]
    what: WhatView,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'a str>,
    /// How many exemptions held when it began; those let findings pass.
    exemptions: i64,
    /// The bindings that declare settings independent which are not: it judged whole settings.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_independent: Option<&'a str>,
    progress: Progress,
    author: &'a str,
    created_at: Instant,
    ended_at: Option<Instant>,
}

impl<'a> RunView<'a> {
    fn of(row: &'a ImpactRow, what: What) -> Self {
        Self {
            id: &row.id,
            scope: &row.scope,
            candidate: CandidateView { digest: &row.candidate, release: row.number },
            beside: &row.active,
            what: what.into(),
            state: row.state.as_str(),
            why: row.why.as_deref(),
            exemptions: row.exemptions.count,
            not_independent: row.not_independent.as_deref(),
            progress: Progress {
                versions: row.versions,
                judged: row.judged,
                chunks: row.chunks,
                done: row.chunks_done,
            },
            author: &row.author,
            created_at: Instant(row.created_at),
            ended_at: row.ended_at.map(Instant),
        }
    }
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Impact)]
struct ImpactView<'a> {
    #[serde(flatten)]
    run: RunView<'a>,
    #[serde(flatten)]
    report: &'a Report,
}

fn shown(success: Success, impact: &Impact) -> Answer {
    let run = RunView::of(&impact.row, impact.what);
    Reply::json(success, &ImpactView { run, report: &impact.report })
}

/// `POST …/impact`
pub async fn begin(call: Call) -> Answer {
    let scope = call.scope()?;
    let mut request: Request = call.json()?;
    let what = request.what()?;
    let candidate = request.candidate(&scope)?;
    let result = call.registry.begin_impact(&call.actor, &scope, candidate, what).await;
    journal::previewed(&call, &scope.to_string(), &result);
    let row = result?;
    Ok(Reply::json(Success::Begun, &RunView::of(&row, what))?.at(&format!("/api/impacts/{}", row.id)))
}

/// `GET /api/impacts`
pub async fn list(call: Call) -> Answer {
    let asked = page::asked::<DecisionId>(&call, IMPACTS)?;
    let page = call.registry.impacts(&call.actor, asked.after.as_ref().map(DecisionId::as_str), asked.limit).await?;
    let view = PageView::of(IMPACTS, &page, |(row, _)| &row.id, |(row, what)| RunView::of(row, *what));
    page::answer(&call, &view)
}

/// `GET /api/impacts/{id}`
pub async fn show(call: Call) -> Answer {
    shown(Success::Found, &call.registry.impact(&call.actor, call.word("id")).await?)
}

/// `GET /api/impacts/{id}/page`
pub async fn page(call: Call) -> Answer {
    let impact = call.registry.impact(&call.actor, call.word("id")).await?;
    Ok(Reply::text("text/html; charset=utf-8", page_html::write(&impact, Millis::now())))
}

/// `POST /api/impacts/{id}/cancel`
pub async fn cancel(call: Call) -> Answer {
    shown(Success::Found, &call.registry.cancel_impact(&call.actor, call.word("id")).await?)
}

/// What the API's description tells of these.
pub fn told() -> Vec<Told> {
    let begin = |at: &str, noun: &str| {
        Told::post(format!("{at}/impact"), format!("preview{noun}"))
            .takes::<Request>(json!({"release": 1}))
            .gives::<RunView<'_>>(Success::Begun)
            .with_header("Location")
            .refuses(&[
                Code::BadName,
                Code::NotFound,
                Code::BadRules,
                Code::BadImpact,
                Code::PluginUnfit,
                Code::PluginUnsigned,
            ])
    };
    vec![
        begin("/api/modules/{name}", "Module"),
        begin("/api/policies", "Policies"),
        Told::get("/api/impacts", "listPreviews").pages::<RunView<'_>>(),
        Told::get("/api/impacts/{id}", "showPreview").gives::<ImpactView<'_>>(Success::Found),
        Told::get("/api/impacts/{id}/page", "showPreviewPage").gives_text("text/html; charset=utf-8"),
        Told::post("/api/impacts/{id}/cancel", "cancelPreview")
            .more("The body is not read.")
            .takes_form(anything(), json!({}))
            .gives::<ImpactView<'_>>(Success::Found),
    ]
}
