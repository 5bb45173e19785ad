//! Decisions: the stored records of the gate's runs. They are listed, shown, explained, run again, and given as signed
//! statements.

use serde::Serialize;
use serde_json::Value;

use super::call::Call;
use super::error::{Code, Problem, Success};
use super::journal;
use super::openapi::told::{Told, instant, text_like, word_of};
use super::page::{self, PageView};
use super::reply::{Answer, Reply};
use super::view::{DecisionHead, DecisionView, ReleaseRefView};
use crate::clock::Millis;
use crate::names::{Digest, EntryId, KindName, Scope};
use crate::plugin::FindingCode;
use crate::registry::Outcome;
use crate::registry::explain::Explained;
use crate::registry::replay::Replay;
use crate::registry::signing::Envelope;
use crate::registry::store::DecisionFilter;
use crate::report::Finding;

/// What the list is of, in its cursors.
const DECISIONS: &str = "decisions";

/// `GET /api/decisions`
pub async fn list(call: Call) -> Answer {
    let known = ["limit", "cursor", "kind", "entry", "outcome", "release", "since"];
    let [limit, cursor, kind, entry, outcome, release, since] = call.query(known)?;
    let asked = page::parsed(DECISIONS, limit.as_deref(), cursor)?;
    let filter = DecisionFilter {
        kind: kind.map(|kind| kind.parse()).transpose()?,
        entry: entry.map(|entry| entry.parse()).transpose()?,
        outcome: outcome.as_deref().map(read_outcome).transpose()?,
        release: release.as_deref().map(read_release).transpose()?,
        since: since.as_deref().map(read_since).transpose()?,
    };
    if filter.entry.is_some() && filter.kind.is_none() {
        return Err(Problem::new(Code::BadQuery, "an entry is known by its kind and its id: add kind=KIND"));
    }
    let page = call.registry.decisions(&call.actor, &filter, asked.after.as_ref(), asked.limit).await?;
    page::answer(&call, &PageView::of(DECISIONS, &page, |decision| &decision.id, DecisionHead::of))
}

fn read_outcome(text: &str) -> Result<Outcome, Problem> {
    let outcomes = [Outcome::Approved, Outcome::Rejected, Outcome::Failed];
    outcomes.into_iter().find(|outcome| outcome.as_str() == text).ok_or_else(|| {
        let text: String = text.chars().take(80).collect();
        Problem::new(Code::BadQuery, format!("outcome is approved, rejected or failed, not '{text}'"))
    })
}

fn read_release(text: &str) -> Result<(Scope, i64), Problem> {
    let read = || {
        let (scope, number) = text.rsplit_once('#')?;
        Some((scope.parse().ok()?, number.parse().ok().filter(|number| *number >= 1)?))
    };
    read().ok_or_else(|| {
        let text: String = text.chars().take(80).collect();
        let detail = format!("release is a scope, # (in a URL: %23) and a number, as in module:agents#3, not '{text}'");
        Problem::new(Code::BadQuery, detail)
    })
}

fn read_since(text: &str) -> Result<Millis, Problem> {
    Millis::from_rfc3339(text).ok_or_else(|| {
        let text: String = text.chars().take(80).collect();
        let detail = format!("since is an instant in UTC, as in 2026-11-20 or 2026-11-20T17:40:00Z, not '{text}'");
        Problem::new(Code::BadQuery, detail)
    })
}

/// `GET /api/decisions/{id}`
pub async fn show(call: Call) -> Answer {
    let decision = call.registry.decision(&call.actor, call.word("id")).await?;
    Reply::json(Success::Found, &DecisionView::of(&decision))
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Explanation)]
struct ExplanationView<'a> {
    decision: DecisionView<'a>,
    submission: Option<&'a Value>,
    findings: Vec<ExplainedView<'a>>,
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = ExplainedFinding)]
struct ExplainedView<'a> {
    #[serde(flatten)]
    finding: &'a Finding,
    release: Option<ReleaseRefView<'a>>,
    by: Option<SpeakerView<'a>>,
    documentation: Option<&'a FindingCode>,
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Speaker)]
struct SpeakerView<'a> {
    name: &'a str,
    version: &'a str,
    digest: &'a Digest,
}

impl<'a> ExplainedView<'a> {
    fn of(explained: &'a Explained) -> Self {
        Self {
            finding: &explained.finding,
            release: explained.release.as_ref().map(ReleaseRefView::of),
            by: explained.plugin.as_ref().map(|speaker| SpeakerView {
                name: &speaker.name,
                version: &speaker.version,
                digest: &speaker.digest,
            }),
            documentation: explained.documentation.as_ref(),
        }
    }
}

/// `GET /api/decisions/{id}/explanation`
pub async fn explain(call: Call) -> Answer {
    let explanation = call.registry.explain(&call.actor, call.word("id")).await?;
    let view = ExplanationView {
        decision: DecisionView::of(&explanation.decision),
        submission: explanation.submission.as_ref(),
        findings: explanation.findings.iter().map(ExplainedView::of).collect(),
    };
    Reply::json(Success::Found, &view)
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Replay)]
struct ReplayView<'a> {
    decision: &'a str,
    verdict: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recorded: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replayed: Option<&'a Value>,
}

/// `POST /api/decisions/{id}/replay`
pub async fn replay(call: Call) -> Answer {
    let result = call.registry.replay(&call.actor, call.word("id")).await;
    journal::replayed(&call, &result);
    let (id, replay) = result?;
    let mut view = ReplayView { decision: id.as_str(), verdict: "same", reason: None, recorded: None, replayed: None };
    match &replay {
        Replay::Same => {}
        Replay::Different { recorded, replayed } => {
            view = ReplayView { verdict: "different", recorded: Some(recorded), replayed: Some(replayed), ..view };
        }
        Replay::Impossible { reason } => view = ReplayView { verdict: "impossible", reason: Some(reason), ..view },
    }
    Reply::json(Success::Found, &view)
}

/// `GET /api/decisions/{id}/statement`
pub async fn statement(call: Call) -> Answer {
    let envelope = call.registry.statement(&call.actor, call.word("id")).await?;
    Reply::json(Success::Found, &envelope)
}

/// `GET /api/signing-key`
pub async fn signing_key(call: Call) -> Answer {
    Ok(Reply::text("application/x-pem-file", call.registry.public_key()?.to_pem()))
}

/// What the API's description tells of these.
pub fn told() -> Vec<Told> {
    let mut list = Told::get("/api/decisions", "listDecisions");
    let (kind, entry) = (list.named::<KindName>(), list.named::<EntryId>());
    let list = list
        .query("kind", kind, "Those about a kind.")
        .query("entry", entry, "Those about an entry; with `kind`.")
        .query("outcome", word_of(&["approved", "rejected", "failed"]), "Those that ended so.")
        .query(
            "release",
            text_like("^(policies|module:[a-z0-9-]+)#[1-9][0-9]*$"),
            "Those by a release: `SCOPE#NUMBER`.",
        )
        .query("since", instant(), "Those made at this instant or later.")
        .pages::<DecisionHead<'_>>()
        .refuses(&[Code::BadName]);
    vec![
        Told::get("/api/signing-key", "showSigningKey").gives_text("application/x-pem-file"),
        list,
        Told::get("/api/decisions/{id}", "showDecision").gives::<DecisionView<'_>>(Success::Found),
        Told::get("/api/decisions/{id}/explanation", "explainDecision").gives::<ExplanationView<'_>>(Success::Found),
        Told::post("/api/decisions/{id}/replay", "replayDecision")
            .gives::<ReplayView<'_>>(Success::Found)
            .refuses(&[Code::PluginUnfit]),
        Told::get("/api/decisions/{id}/statement", "showStatement").gives::<Envelope>(Success::Found),
    ]
}
