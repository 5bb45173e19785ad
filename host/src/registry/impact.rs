//! The preview (impact): what a candidate's rules would say of what is stored, beside the rules that are active. A run is
//! planned in chunks, which the hosts of a fleet take from a queue (`docs/decisions/0015-impact-jobs.md`); it is of the
//! releases that were active at its start, whatever is activated meanwhile. Nothing here changes an entry or a rule.

mod chunk;
mod found;
mod judge;
mod plan;
mod reduce;
mod report;
mod sent;
mod sides;

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::activation::Conditions;
use super::publish::{not_found, sane_id};
use super::release::Rules;
use super::releasing::unnumbered;
use super::rules::{check, unknown_kinds};
use super::store::{ImpactBegun, ImpactRow, ImpactState, Judged, NewImpact, Page, ReleaseRow};
use super::{Actor, Registry, RegistryError};
use crate::clock::{Millis, new_id};
use crate::config::Limits;
use crate::names::{Digest, KindName, Scope};
use crate::plugin::Sandbox;

pub use chunk::Plans;
use report::Merging;
pub use report::{Change, Counts, Example, Group, Report};

/// Previews among which one that answers for an activation is looked for.
const LOOKED_AT: u32 = 50;
/// Milliseconds between two looks at a run that is waited for.
const WAIT_STEP_MS: u64 = 50;
/// Chunks whose results are read at once.
const RESULTS_AT_ONCE: u32 = 10;
/// Codes that a refused activation names.
const CODES_NAMED: usize = 5;

/// Threads of this host that judge chunks, as many as it takes from the queue at once.
pub fn threads(limits: &Limits) -> usize {
    Sandbox::aside_threads(limits)
}

/// Whose place the candidate would take, and what it is.
#[derive(Debug, Clone)]
pub enum Candidate {
    /// A release of the scope.
    Release(i64),
    /// Rules that are no release yet.
    Rules(Box<Rules>),
}

/// What a run judges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum What {
    /// The active version of every entry.
    #[default]
    Active,
    /// Every version published at this time or later.
    Since(Millis),
    /// The active versions of as many entries, chosen by a hash of their ids: the same ones each time.
    Sample(u32),
}

impl What {
    fn judged(self) -> Judged {
        match self {
            Self::Active | Self::Sample(_) => Judged::Active,
            Self::Since(since) => Judged::Since(since),
        }
    }

    fn of(impact: &ImpactRow) -> Result<Self, RegistryError> {
        serde_json::from_str(&impact.what)
            .map_err(|error| RegistryError::Internal(format!("what a preview judges cannot be read: {error}")))
    }
}

/// A run with what it found so far.
#[derive(Debug, Clone)]
pub struct Impact {
    /// The run.
    pub row: ImpactRow,
    /// What it judges.
    pub what: What,
    /// What it found.
    pub report: Report,
}

impl Registry {
    /// Plans a run and puts its chunks into the queue.
    ///
    /// # Errors
    /// `BadRules`, `Unfit`, `NotFound`, `BadImpact`: what must change. `Busy`: too many run. `Store`, `Blobs`.
    pub async fn begin_impact(
        self: &Arc<Self>,
        actor: &Actor,
        scope: &Scope,
        candidate: Candidate,
        what: What,
    ) -> Result<ImpactRow, RegistryError> {
        if let What::Sample(count) = what
            && !(1..=self.limits.impact_sample_max).contains(&count)
        {
            let most = self.limits.impact_sample_max;
            return Err(RegistryError::BadImpact(format!("a sample is of 1 to {most} entries (impact_sample_max)")));
        }
        let active = self.store.active_releases(&actor.tenant).await?;
        let (number, rules) = match candidate {
            Candidate::Release(number) => (Some(number), self.release(actor, scope, number).await?.1),
            Candidate::Rules(rules) => (None, *rules),
        };
        let remarks = check(&rules);
        if !remarks.is_empty() {
            return Err(RegistryError::BadRules(remarks));
        }
        let unknown = unknown_kinds(&rules, &kinds_of(&Scope::Policies, &active)?);
        if number.is_none() && !unknown.is_empty() {
            return Err(RegistryError::BadRules(unknown));
        }
        let (text, digest) = rules.canonical();
        self.prove(actor, &rules, unnumbered(scope, &digest, text.clone()), active.clone()).await?;
        let at = Millis::now();
        let kinds = kinds_of(scope, &active)?;
        let mark = self.store.publish_mark(&actor.tenant).await?;
        let exemptions = self.store.exemptions_in_force(&actor.tenant, at).await?;
        let planned = self.plan_chunks(&actor.tenant, &kinds, what).await?;
        let row = ImpactRow {
            id: new_id(at),
            scope: scope.clone(),
            candidate: digest,
            number,
            active: active.into_iter().map(|row| row.release).collect(),
            what: serde_json::to_string(&what).expect("it is plain data"),
            state: if planned.chunks.is_empty() { ImpactState::Done } else { ImpactState::Running },
            why: None,
            versions: planned.versions,
            judged: 0,
            chunks: i64::try_from(planned.chunks.len()).unwrap_or(i64::MAX),
            chunks_done: 0,
            mark,
            exemptions: (&exemptions).into(),
            not_independent: None,
            author: actor.name.clone(),
            created_at: at,
            ended_at: planned.chunks.is_empty().then_some(at),
        };
        let (running_max, kept_max) = (self.limits.impacts_running_max, self.limits.impacts_kept_max);
        let new = NewImpact { row: &row, rules: &text, exemptions: &exemptions.list, chunks: &planned.chunks };
        let begun = self.store.begin_impact(&actor.tenant, new, running_max, kept_max).await?;
        if begun == ImpactBegun::TooMany {
            let what = format!("as many previews run as may (impacts_running_max = {running_max})");
            return Err(RegistryError::Busy { what });
        }
        let numbers: Vec<i64> = planned.chunks.iter().map(|chunk| chunk.number).collect();
        if let Err(error) = self.store.enqueue_chunks(&actor.tenant, &row.id, &numbers).await {
            let why = "its chunks could not be put into the queue";
            self.store.end_impact(&actor.tenant, &row.id, ImpactState::Failed, Some(why), Millis::now()).await?;
            return Err(error.into());
        }
        tracing::info!(%scope, impact = row.id, actor = actor.name, "registry.impact.begun");
        Ok(row)
    }

    /// A run with what it found so far.
    ///
    /// # Errors
    /// `NotFound`, `Store`.
    pub async fn impact(&self, actor: &Actor, id: &str) -> Result<Impact, RegistryError> {
        sane_id("preview", id)?;
        // The row first: what is told is at least what it counts.
        let row = self.store.impact(&actor.tenant, id).await?.ok_or_else(|| not_found("preview", id))?;
        let mut merging = Merging::default();
        let mut last = 0;
        loop {
            let results = self.store.chunk_results(&actor.tenant, id, last, RESULTS_AT_ONCE).await?;
            let Some((number, _)) = results.last() else { break };
            last = *number;
            results.iter().try_for_each(|(_, result)| merging.add(result, &self.limits))?;
        }
        Ok(Impact { what: What::of(&row)?, row, report: merging.into_report() })
    }

    /// Runs, newest first, before an id.
    ///
    /// # Errors
    /// `Store`.
    pub async fn impacts(
        &self,
        actor: &Actor,
        before: Option<&str>,
        limit: u32,
    ) -> Result<Page<(ImpactRow, What)>, RegistryError> {
        let page = self.store.impacts(&actor.tenant, before, limit).await?;
        let items = page.items.into_iter().map(|row| Ok((row.clone(), What::of(&row)?)));
        Ok(Page { items: items.collect::<Result<_, RegistryError>>()?, more: page.more })
    }

    /// Stops a run; one that has ended stays as it is.
    ///
    /// # Errors
    /// `NotFound`, `Store`.
    pub async fn cancel_impact(&self, actor: &Actor, id: &str) -> Result<Impact, RegistryError> {
        let impact = self.impact(actor, id).await?;
        let cancelled = ImpactState::Cancelled;
        if self.store.end_impact(&actor.tenant, id, cancelled, None, Millis::now()).await? {
            tracing::info!(impact = id, actor = actor.name, "registry.impact.cancelled");
            return self.impact(actor, id).await;
        }
        Ok(impact)
    }

    /// Puts a release in force where at most so many active manifests would newly fail, by a run over all of them that
    /// is made now, or was made of the same rules beside the same releases with nothing published since.
    ///
    /// # Errors
    /// `ImpactTooLarge`, `ImpactUnfinished`, and those of `begin_impact` and `activate`.
    pub async fn activate_if_impact(
        self: &Arc<Self>,
        actor: &Actor,
        scope: &Scope,
        number: i64,
        expected: Option<Option<i64>>,
        at_most: u64,
    ) -> Result<ReleaseRow, RegistryError> {
        let (row, _) = self.release(actor, scope, number).await?;
        let id = match self.fitting_impact(actor, scope, &row.release.digest).await? {
            Some(id) => id,
            None => self.begin_impact(actor, scope, Candidate::Release(number), What::Active).await?.id,
        };
        let impact = self.wait_for_impact(actor, &id).await?;
        let counts = &impact.report.counts;
        if counts.newly_fail + counts.not_judged > at_most {
            let codes = impact.report.newly_fail.iter().chain(&impact.report.not_judged).take(CODES_NAMED);
            return Err(RegistryError::ImpactTooLarge {
                impact: id,
                would_fail: counts.newly_fail,
                not_judged: counts.not_judged,
                at_most,
                codes: codes.map(|group| format!("{} ({})", group.code, group.count)).collect(),
            });
        }
        // The run was beside this release: no other may be replaced by what it allowed.
        let beside = impact.row.active.iter().find(|release| release.scope == *scope).map(|release| release.number);
        let mut others = impact.row.active.clone();
        others.retain(|release| release.scope != *scope);
        others.sort();
        let conditions = Conditions { beside: Some(&others), exemptions: Some(impact.row.exemptions), staged: None };
        self.activate_if(actor, scope, number, Some(expected.unwrap_or(beside)), conditions).await
    }

    async fn fitting_impact(
        &self,
        actor: &Actor,
        scope: &Scope,
        candidate: &Digest,
    ) -> Result<Option<String>, RegistryError> {
        let stamp = self.store.rules_stamp(&actor.tenant).await?;
        let active = stamp.releases;
        let mark = self.store.publish_mark(&actor.tenant).await?;
        let page = self.impacts(actor, None, LOOKED_AT).await?;
        let now = Millis::now();
        let fits = |row: &ImpactRow| {
            let mut beside = row.active.clone();
            beside.sort();
            // One that ended tells of what was there: nothing may have been published since. One that runs is waited for
            // on, or a busy registry would begin a new one at each question.
            let still_tells = match row.state {
                ImpactState::Done => row.mark == mark,
                ImpactState::Running => true,
                ImpactState::Cancelled | ImpactState::Failed => false,
            };
            let has_same_exemptions = row.exemptions.hold_still(stamp.exemptions, now);
            let is_of_it = row.scope == *scope && row.candidate == *candidate && beside == active;
            still_tells && has_same_exemptions && is_of_it
        };
        let found = page.items.into_iter().find(|(row, what)| *what == What::Active && fits(row));
        Ok(found.map(|(row, _)| row.id))
    }

    async fn wait_for_impact(&self, actor: &Actor, id: &str) -> Result<Impact, RegistryError> {
        let until = Millis::now().0 + i64::try_from(self.limits.impact_wait_max_ms).unwrap_or(i64::MAX / 2);
        loop {
            let row = self.store.impact(&actor.tenant, id).await?.ok_or_else(|| not_found("preview", id))?;
            match row.state {
                ImpactState::Done => return self.impact(actor, id).await,
                ImpactState::Running if Millis::now().0 >= until => {
                    let ImpactRow { judged, versions, .. } = row;
                    return Err(RegistryError::ImpactUnfinished { impact: id.to_owned(), judged, versions });
                }
                ImpactState::Running => tokio::time::sleep(Duration::from_millis(WAIT_STEP_MS)).await,
                ImpactState::Cancelled | ImpactState::Failed => {
                    let why = row.why.unwrap_or_else(|| "somebody cancelled it".to_owned());
                    return Err(RegistryError::BadImpact(format!("preview {id} did not end: {why}")));
                }
            }
        }
    }
}

/// The kinds that a scope's rules judge, of those that are in force. What a candidate newly declares has no entries.
pub(super) fn kinds_of(scope: &Scope, active: &[ReleaseRow]) -> Result<Vec<KindName>, RegistryError> {
    let mut kinds = Vec::new();
    for row in active.iter().filter(|row| *scope == Scope::Policies || row.release.scope == *scope) {
        let rules: Rules = serde_json::from_str(&row.rules)
            .map_err(|error| RegistryError::Internal(format!("a stored release cannot be read: {error}")))?;
        kinds.extend(rules.kinds.into_iter().map(|kind| kind.name));
    }
    kinds.sort();
    Ok(kinds)
}
