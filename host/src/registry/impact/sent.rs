//! A manifest as it was sent, where the candidate resolves it otherwise than the active rules do: both sides run the
//! gate's own schema and resolve stages over it, and each judges what it resolves to.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use super::judge::{Circumstances, KindPlan, TRIES_MAX, Trial};
use super::sides::{Side, Sides, says_nothing};
use crate::names::Digest;
use crate::plugin::{Document, Facts};
use crate::registry::decisions::sent_as_stored;
use crate::registry::gate::Bench;
use crate::registry::gate::front::{Front, front_aside};
use crate::registry::rules::LoadedKind;
use crate::registry::store::StoredVersion;
use crate::registry::submission::Submission;
use crate::report::{Finding, Mode, Remark, Severity, Stage};

/// Why a version of the time before what was sent was kept cannot be told of.
const NOT_KEPT: &str = "what was sent was not kept: the decision is of the time before it was, so what other resolvers or \
                        placeholder defaults make of it cannot be told; a version that is published from now on is judged";

/// Characters of a value that are shown.
const VALUE_MAX: usize = 100;

impl<'a> Trial<'a> {
    /// Of a manifest as it was sent.
    pub(super) fn of_sent(
        plan: &'a KindPlan,
        run: &'a Circumstances,
        stored: &StoredVersion,
        facts: Arc<dyn Facts>,
    ) -> Result<(Self, Sides), String> {
        let sent = what_was_sent(stored).ok_or_else(|| NOT_KEPT.to_owned())?;
        let bench = Bench {
            tenant: run.tenant.clone(),
            publisher: stored.published_by.clone(),
            at: run.at,
            facts: Arc::clone(&facts),
            limits: Arc::clone(&run.limits),
        };
        let ours = front(&plan.active, stored, &sent, &bench)?;
        let theirs = front(plan.candidate.as_ref().unwrap_or(&plan.active), stored, &sent, &bench)?;
        let otherwise = resolved_differently(&ours, &theirs);
        let documents = [&ours, &theirs].map(|front| front.document.clone().unwrap_or_default());
        let mut sides = Sides { active: side(ours), candidate: side(theirs) };
        sides.candidate.findings.extend(otherwise);
        Ok((Self::new(plan, run, stored, documents, facts), sides))
    }
}

/// None where it was not kept.
fn what_was_sent(stored: &StoredVersion) -> Option<String> {
    let kept = stored.sent.as_ref()?;
    let text = match &kept.text {
        Some(text) => Some(text.clone()),
        None => sent_as_stored(serde_json::from_str(&stored.manifest).ok()?, &kept.digest),
    };
    text.filter(|text| Digest::of(text.as_bytes()) == kept.digest)
}

fn front(kind: &Arc<LoadedKind>, stored: &StoredVersion, sent: &str, bench: &Bench) -> Result<Front, String> {
    let run = || {
        let (id, version) = (stored.id.clone(), stored.version.clone());
        // Nothing was wrong with its variables: it was let in.
        let submission = Submission::kept(kind, id, version, sent.to_owned(), Vec::new());
        submission
            .map(|submission| front_aside(submission, bench))
            .map_err(|error| format!("what was sent cannot be read: {error}"))
    };
    let mut front = run()?;
    for _ in 1..TRIES_MAX {
        if !front.broke.as_ref().is_some_and(|(_, failure)| says_nothing(&failure.cause)) {
            break;
        }
        front = run()?;
    }
    Ok(front)
}

fn side(front: Front) -> Side {
    Side { has_stopped: front.document.is_none(), findings: front.findings, broke: front.broke }
}

/// Says so where both resolve, and not to the same values.
fn resolved_differently(ours: &Front, theirs: &Front) -> Option<Finding> {
    let (Some(now), Some(then)) = (&ours.document, &theirs.document) else { return None };
    let places: BTreeSet<&str> =
        now.substituted.iter().chain(&then.substituted).map(|substitution| substitution.path.as_str()).collect();
    let mut differ = places.into_iter().filter(|path| now.value.pointer(path) != then.value.pointer(path));
    let path = differ.next()?;
    let more = match differ.count() {
        0 => String::new(),
        1 => "; one more place comes out otherwise".to_owned(),
        more => format!("; {more} more places come out otherwise"),
    };
    let message = if is_secret(path, [(ours, now), (theirs, then)]) {
        format!("another value would stand here: it comes from a secret{more}")
    } else {
        format!(
            "the value is {} and would be {}{more}",
            shown(now.value.pointer(path)),
            shown(then.value.pointer(path))
        )
    };
    let remark = Remark { severity: Severity::Info, ..Remark::error("impact.resolved-differently", path, message) };
    Some(Finding { stage: Stage::Resolve, plugin: None, mode: Mode::Enforce, remark, exemption: None })
}

/// True where a variable in what stands there is secret on either side.
fn is_secret(path: &str, sides: [(&Front, &Arc<Document>); 2]) -> bool {
    let names: BTreeSet<&str> = sides
        .iter()
        .flat_map(|(_, document)| &document.substituted)
        .filter(|substitution| substitution.path == path)
        .flat_map(|substitution| substitution.origins.iter().map(|origin| origin.name.as_str()))
        .collect();
    let mut placeholders = sides.iter().flat_map(|(front, _)| &front.placeholders);
    placeholders.any(|placeholder| placeholder.secret && names.contains(placeholder.name.as_str()))
}

fn shown(value: Option<&Value>) -> String {
    let Some(value) = value else { return "nothing".to_owned() };
    let mut text = value.to_string();
    if let Some((end, _)) = text.char_indices().nth(VALUE_MAX) {
        text.truncate(end);
        text.push('…');
    }
    text
}
