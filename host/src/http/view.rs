//! Entries, versions, releases, plugins and decisions as the API shows them, each in one place. Instants are RFC 3339
//! in UTC; what is not there is left out, save where a reader would miss it.

mod entry;
mod form;

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::error::limit_of;
use crate::clock::{Instant, Millis};
use crate::names::{Digest, KindName, ModuleName, Scope, VersionName};
use crate::registry::release::{Binding, ReleaseRef, Rules};
use crate::registry::shadow::{ObservingRecord, ShadowRecord};
use crate::registry::store::{PluginRow, ReleaseHead, ReleaseRow};
use crate::registry::{Decision, FailureRecord, LookupRecord, NotJudged, Outcome, SubstitutionRecord};
use crate::report::{Finding, Mode, Placeholder, Severity, Stage, Timing};
pub use entry::{ADDED, EntryView, RatingsView, Stored, UsesView, VersionView};

/// JSON text of ours, handed on as it is.
struct Json<'a>(&'a str);

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match serde_json::from_str::<&RawValue>(self.0) {
            Ok(raw) => raw.serialize(serializer),
            Err(_) => Err(serde::ser::Error::custom("stored JSON cannot be read")),
        }
    }
}

/// A named thing under the kind's singular, with what was decided about it.
pub struct Named<'a, T> {
    /// The singular.
    pub singular: &'a str,
    /// The thing.
    pub thing: EntryView<'a>,
    /// Further members.
    pub more: T,
}

impl<T: Serialize> Serialize for Named<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Flat<'a, T> {
            #[serde(flatten)]
            thing: BTreeMap<&'a str, &'a EntryView<'a>>,
            #[serde(flatten)]
            more: &'a T,
        }
        let thing = BTreeMap::from([(self.singular, &self.thing)]);
        Flat { thing, more: &self.more }.serialize(serializer)
    }
}

/// A decision.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Decision)]
pub struct DecisionView<'a> {
    id: &'a str,
    kind: &'a KindName,
    entry: &'a str,
    version: &'a VersionName,
    publisher: &'a str,
    submitted_at: Instant,
    outcome: Outcome,
    submitted_digest: &'a Digest,
    digest: Option<&'a Digest>,
    releases: Vec<ReleaseRefView<'a>>,
    findings: &'a [Finding],
    failures: &'a [FailureRecord],
    placeholders: &'a [Placeholder],
    substituted: &'a [SubstitutionRecord],
    lookups: &'a [LookupRecord],
    timings: &'a [Timing],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    shadows: &'a [ShadowRecord],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    observing: &'a [ObservingRecord],
}

/// A release, as judgements refer to it.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = ReleaseName)]
pub struct ReleaseRefView<'a> {
    scope: &'a Scope,
    number: i64,
    digest: &'a Digest,
}

impl<'a> ReleaseRefView<'a> {
    /// Shows it.
    pub fn of(release: &'a ReleaseRef) -> Self {
        Self { scope: &release.scope, number: release.number, digest: &release.digest }
    }
}

/// A decision as lists show it.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DecisionHead<'a> {
    id: &'a str,
    kind: &'a KindName,
    entry: &'a str,
    version: &'a VersionName,
    publisher: &'a str,
    submitted_at: Instant,
    outcome: Outcome,
    releases: Vec<ReleaseRefView<'a>>,
    errors: usize,
    warnings: usize,
}

impl<'a> DecisionHead<'a> {
    /// Shows it.
    pub fn of(decision: &'a Decision) -> Self {
        let weighing = |severity| {
            let weighs = |finding: &&Finding| finding.mode == Mode::Enforce && finding.exemption.is_none();
            let enforced = decision.findings.iter().filter(weighs);
            enforced.filter(|finding| finding.remark.severity == severity).count()
        };
        Self {
            id: decision.id.as_str(),
            kind: &decision.kind,
            entry: decision.entry.as_str(),
            version: &decision.version,
            publisher: &decision.publisher,
            submitted_at: Instant(Millis(decision.submitted_at)),
            outcome: decision.outcome,
            releases: decision.releases.iter().map(ReleaseRefView::of).collect(),
            errors: weighing(Severity::Error),
            warnings: weighing(Severity::Warning),
        }
    }
}

impl<'a> DecisionView<'a> {
    /// Shows it.
    pub fn of(decision: &'a Decision) -> Self {
        Self {
            id: decision.id.as_str(),
            kind: &decision.kind,
            entry: decision.entry.as_str(),
            version: &decision.version,
            publisher: &decision.publisher,
            submitted_at: Instant(Millis(decision.submitted_at)),
            outcome: decision.outcome,
            submitted_digest: &decision.submitted_digest,
            digest: decision.digest.as_ref(),
            releases: decision.releases.iter().map(ReleaseRefView::of).collect(),
            findings: &decision.findings,
            failures: &decision.failures,
            placeholders: &decision.placeholders,
            substituted: &decision.substituted,
            lookups: &decision.lookups,
            timings: &decision.timings,
            shadows: &decision.shadows,
            observing: &decision.observing,
        }
    }
}

/// A release, and whether it is the active one.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Release)]
pub struct ReleaseView<'a> {
    scope: &'a Scope,
    number: i64,
    digest: &'a Digest,
    author: &'a str,
    message: &'a str,
    created_at: Instant,
    #[serde(skip_serializing_if = "Option::is_none")]
    active: Option<bool>,
}

impl<'a> ReleaseView<'a> {
    /// Shows it, where nobody asked which is active.
    pub fn of(row: &'a ReleaseRow) -> Self {
        Self {
            scope: &row.release.scope,
            number: row.release.number,
            digest: &row.release.digest,
            author: &row.author,
            message: &row.message,
            created_at: Instant(row.created_at),
            active: None,
        }
    }

    /// Shows it as lists do, beside the active one.
    pub fn listed(head: &'a ReleaseHead, active: Option<i64>) -> Self {
        Self {
            scope: &head.release.scope,
            number: head.release.number,
            digest: &head.release.digest,
            author: &head.author,
            message: &head.message,
            created_at: Instant(head.created_at),
            active: Some(active == Some(head.release.number)),
        }
    }

    /// Shows it beside the active one.
    pub fn beside(row: &'a ReleaseRow, active: Option<i64>) -> Self {
        Self { active: Some(active == Some(row.release.number)), ..Self::of(row) }
    }
}

/// A scope with its active rules, in short.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = ScopeHead)]
pub struct ScopeView<'a> {
    scope: &'a Scope,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a ModuleName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    release: ReleaseView<'a>,
    kinds: Vec<&'a KindName>,
    bindings: Vec<BindingView<'a>>,
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = BindingHead)]
struct BindingView<'a> {
    name: &'a str,
    stage: Stage,
    mode: Mode,
    #[serde(skip_serializing_if = "Option::is_none")]
    percent: Option<u8>,
    plugin: &'a Digest,
}

impl<'a> ScopeView<'a> {
    /// Shows it.
    pub fn of(row: &'a ReleaseRow, rules: &'a Rules) -> Self {
        let binding = |binding: &'a Binding| BindingView {
            name: &binding.name,
            stage: binding.stage,
            mode: binding.mode,
            percent: binding.percent,
            plugin: &binding.plugin,
        };
        Self {
            scope: &rules.scope,
            name: match &rules.scope {
                Scope::Module(name) => Some(name),
                Scope::Policies => None,
            },
            description: rules.description.as_deref(),
            release: ReleaseView::of(row),
            kinds: rules.kinds.iter().map(|kind| &kind.name).collect(),
            bindings: rules.bindings.iter().map(binding).collect(),
        }
    }
}

/// A plugin.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PluginHead)]
pub struct PluginView<'a> {
    digest: &'a Digest,
    name: &'a str,
    version: &'a str,
    contract: &'a str,
    size_bytes: i64,
    pushed_by: &'a str,
    pushed_at: Instant,
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<crate::plugin::Inspection>)]
    inspection: Option<Json<'a>>,
}

impl<'a> PluginView<'a> {
    /// Shows it as lists do.
    pub fn listed(row: &'a PluginRow) -> Self {
        Self {
            digest: &row.digest,
            name: &row.name,
            version: &row.version,
            contract: &row.contract,
            size_bytes: row.size_bytes,
            pushed_by: &row.pushed_by,
            pushed_at: Instant(row.pushed_at),
            created: None,
            inspection: None,
        }
    }

    /// Shows it with what it says and needs.
    pub fn full(row: &'a PluginRow) -> Self {
        Self { inspection: Some(Json(&row.inspection)), ..Self::listed(row) }
    }

    /// Shows what came of a push.
    pub fn pushed(row: &'a PluginRow, created: bool) -> Self {
        Self { created: Some(created), ..Self::full(row) }
    }
}

/// Why a stored version was not judged, where that decides nothing.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = NotJudged)]
pub struct FailureView<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    plugin: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<&'a Digest>,
    cause: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<&'static str>,
}

impl<'a> FailureView<'a> {
    /// Shows it.
    pub fn of(why: &'a NotJudged) -> Self {
        match why {
            NotJudged::Broke(failure) => Self {
                plugin: Some(&failure.plugin),
                digest: Some(&failure.digest),
                cause: failure.cause.to_string(),
                limit: limit_of(&failure.cause),
            },
            NotJudged::Busy(_) => Self { plugin: None, digest: None, cause: why.to_string(), limit: None },
        }
    }
}

#[cfg(test)]
mod tests;
