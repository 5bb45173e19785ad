//! One chunk, from the queue to its stored result, on a thread that gives way to all others. It may be run twice, by
//! two hosts even: its result is written once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::runtime::Handle;

use super::What;
use super::found::Found;
use super::judge::{Circumstances, Plan, Refuted, Trust};
use super::reduce::{Instances, Settings};
use super::report::Report;
use crate::clock::Millis;
use crate::names::Tenant;
use crate::plugin::{Haste, Unfit};
use crate::registry::exemptions::Exemptions;
use crate::registry::facts::StoreFacts;
use crate::registry::fleet::beside;
use crate::registry::publish::busy;
use crate::registry::release::ReleaseRef;
use crate::registry::releasing::unnumbered;
use crate::registry::store::{ChunkDone, ImpactChunk, ImpactRow, ImpactState, StoreError, StoredVersion};
use crate::registry::{Registry, RegistryError, sample};

/// Versions that are read at once; between two readings a run that was cancelled is noticed.
const READ_AT_ONCE: u32 = 100;
/// Runs whose rules a host keeps loaded.
const PLANS_MAX: usize = 4;
/// Times in a row that a run's chunks are handed out again before it is given up.
const REPEATED_MAX: i64 = 5;
/// Until a chunk that met trouble is given back to the queue.
const GIVE_BACK_AFTER: Duration = Duration::from_millis(500);

/// The rules of the runs that this host judges for.
#[derive(Default)]
pub struct Plans(tokio::sync::Mutex<Vec<(String, Arc<Plan>)>>);

/// Tells the thread to stop where its caller is gone.
struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Registry {
    /// Judges a chunk and writes what came of it. Nothing is done where it is done already or its run has ended.
    ///
    /// # Errors
    /// `Store`, `Blobs`, `Busy`: worth trying again. What cannot be mended by that ends the run.
    pub async fn run_chunk(self: &Arc<Self>, tenant: &Tenant, impact: &str, number: i64) -> Result<(), RegistryError> {
        let done = self.try_chunk(tenant, impact, number).await;
        match done {
            Err(error) if is_passing(&error) => {
                tokio::time::sleep(GIVE_BACK_AFTER).await;
                Err(error)
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, impact, "a preview is given up");
                // Causes may name what strangers need not know: the log has them.
                let why = format!("chunk {number} could not be judged: {}", in_short(&error));
                self.store.end_impact(tenant, impact, ImpactState::Failed, Some(&why), Millis::now()).await?;
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    async fn try_chunk(self: &Arc<Self>, tenant: &Tenant, impact: &str, number: i64) -> Result<(), RegistryError> {
        // Again where it was judged in a way that the run has left meanwhile.
        while let Some(chunk) = self.store.open_chunk(tenant, impact, number).await? {
            let Some(row) = self.store.impact(tenant, impact).await? else { return Ok(()) };
            let plan = self.plan(tenant, &row).await?;
            let is_believed = row.not_independent.is_none();
            let rests_on_claim = is_believed && plan.rests_on_claims(&chunk.kind);
            let stop = Arc::new(AtomicBool::new(false));
            let _stop_on_drop = StopOnDrop(Arc::clone(&stop));
            let (tenant_there, runtime) = (tenant.clone(), Handle::current());
            let what = What::of(&row)?;
            let job = Job { tenant: tenant_there, impact: row.id, chunk, what, plan, is_believed, stop, runtime };
            let registry = Arc::clone(self);
            let judged = self.sandbox.run_aside(move || job.run(&registry)).await.map_err(busy)?;
            match judged? {
                Judged::Stopped => return Ok(()),
                Judged::Refuted(refuted) => self.begin_again(tenant, impact, &refuted).await?,
                Judged::Told(report) => {
                    let result = serde_json::to_string(&report).expect("a report is plain data");
                    let (judged, at) = (report.judged(), Millis::now());
                    let done = ChunkDone { number, judged, result: &result, rests_on_claim, at };
                    if self.store.finish_chunk(tenant, impact, done).await? {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    /// What was judged until now may rest on what proved wrong, on whichever host.
    async fn begin_again(&self, tenant: &Tenant, impact: &str, refuted: &Refuted) -> Result<(), RegistryError> {
        let Refuted { bindings } = refuted;
        tracing::warn!(
            impact,
            bindings,
            "a plugin declares settings independent (x-hallmark-independent) that are not: the preview begins again"
        );
        let numbers = self.store.begin_again(tenant, impact, bindings, Millis::now()).await?;
        Ok(self.store.enqueue_chunks(tenant, impact, &numbers).await?)
    }

    /// The run's rules, loaded once.
    async fn plan(self: &Arc<Self>, tenant: &Tenant, impact: &ImpactRow) -> Result<Arc<Plan>, RegistryError> {
        let mut plans = self.plans.0.lock().await;
        if let Some((_, plan)) = plans.iter().find(|(id, _)| *id == impact.id) {
            return Ok(Arc::clone(plan));
        }
        let plan = Arc::new(self.load_plan(tenant, impact).await?);
        if plans.len() >= PLANS_MAX {
            plans.remove(0);
        }
        plans.push((impact.id.clone(), Arc::clone(&plan)));
        Ok(plan)
    }

    async fn load_plan(self: &Arc<Self>, tenant: &Tenant, impact: &ImpactRow) -> Result<Plan, RegistryError> {
        let judged_by = self.store.impact_rules(tenant, &impact.id).await?;
        let judged_by = judged_by.ok_or_else(|| RegistryError::Internal("a preview without rules".to_owned()))?;
        let mut active = Vec::with_capacity(impact.active.len());
        for ReleaseRef { scope, number, .. } in &impact.active {
            let row = self.store.release(tenant, scope, *number).await?;
            active.push(row.ok_or_else(|| RegistryError::Internal(format!("release {number} of {scope} is gone")))?);
        }
        let scope = &impact.scope;
        let candidate = beside(active.clone(), unnumbered(scope, &impact.candidate, judged_by.rules));
        let settings = [Settings::of(&active, scope)?, Settings::of(&candidate, scope)?];
        // The second takes what the first has configured alike, so that what is the same is one plugin.
        let active = self.load(active, Haste::Ahead, None).await?.map_err(|not| not.error)?;
        let other = Some(Arc::clone(&active));
        let candidate = self.load_beside(candidate, Haste::Ahead, None, other).await?.map_err(|not| not.error)?;
        let run = Circumstances {
            tenant: tenant.to_string(),
            at: impact.created_at,
            exemptions: Exemptions { number: impact.exemptions.number, list: judged_by.exemptions },
            limits: Arc::clone(&self.limits),
        };
        let plan = Plan::new(&active, &candidate, run);
        if impact.not_independent.is_some() {
            return Ok(plan);
        }
        self.reduce(plan, settings, impact.versions).await
    }

    /// Hands out again what nobody finishes: chunks that never came into the queue, or were lost with it.
    pub async fn watch_impacts(self: Arc<Self>) {
        let stalled = i64::try_from(self.limits.impact_stalled_ms.max(1)).unwrap_or(i64::MAX);
        let every = Duration::from_millis((self.limits.impact_stalled_ms / 4).clamp(100, 30_000));
        let watched = Arc::downgrade(&self);
        drop(self);
        loop {
            tokio::time::sleep(every).await;
            let Some(registry) = watched.upgrade() else { return };
            if let Err(error) = registry.repeat_stalled(stalled).await {
                tracing::warn!(error = &error as &dyn std::error::Error, "stalled previews cannot be looked for");
            }
        }
    }

    async fn repeat_stalled(&self, stalled_ms: i64) -> Result<(), RegistryError> {
        let now = Millis::now();
        let stalled = self.store.stalled_impacts(&self.tenant, Millis(now.0 - stalled_ms), now).await?;
        for (id, repeated) in stalled {
            if repeated > REPEATED_MAX {
                let why = "no host finished its chunks (impact_stalled_ms)";
                self.store.end_impact(&self.tenant, &id, ImpactState::Failed, Some(why), now).await?;
                continue;
            }
            tracing::warn!(impact = id, repeated, "a preview made no progress: its chunks are handed out again");
            let numbers = self.store.open_chunks(&self.tenant, &id).await?;
            self.store.enqueue_chunks(&self.tenant, &id, &numbers).await?;
        }
        Ok(())
    }
}

/// What came of judging a chunk.
enum Judged {
    Told(Report),
    /// The run ended meanwhile, or nobody waits any more.
    Stopped,
    /// What it would have rested on proved wrong.
    Refuted(Refuted),
}

/// A chunk with everything that the thread needs that judges it.
struct Job {
    tenant: Tenant,
    impact: String,
    chunk: ImpactChunk,
    what: What,
    plan: Arc<Plan>,
    /// Whether plugins are believed that declare settings independent.
    is_believed: bool,
    stop: Arc<AtomicBool>,
    runtime: Handle,
}

impl Job {
    fn run(&self, registry: &Registry) -> Result<Judged, RegistryError> {
        let Self { tenant, impact, chunk, plan, runtime, .. } = self;
        let _runtime = runtime.enter();
        let which = (self.what.judged(), plan.reading(&chunk.kind));
        let mut found = Found::default();
        let mut instances = Instances::default();
        let mut after = None;
        loop {
            let place = after.as_ref().map(|(id, version)| (id, version));
            let read = registry.store.versions_to_judge(tenant, chunk, which, place, READ_AT_ONCE);
            let versions = runtime.block_on(read)?;
            let Some(last) = versions.last() else { return Ok(Judged::Told(found.into_report())) };
            after = Some((last.id.clone(), last.version.clone()));
            let proved = proved(impact, last, versions.len());
            for (index, version) in versions.iter().enumerate() {
                if self.stop.load(Ordering::Relaxed) {
                    return Ok(Judged::Stopped);
                }
                let facts = Arc::new(StoreFacts::new(Arc::clone(&registry.store), tenant.clone()));
                if let Err(refuted) =
                    plan.judge(&chunk.kind, version, facts, self.trust(index == proved), (&mut instances, &mut found))
                {
                    return Ok(Judged::Refuted(refuted));
                }
            }
            if runtime.block_on(registry.store.open_chunk(tenant, impact, chunk.number))?.is_none() {
                return Ok(Judged::Stopped);
            }
        }
    }

    /// Of each reading one manifest is judged both ways.
    fn trust(&self, is_proved: bool) -> Trust {
        match (self.is_believed, is_proved) {
            (false, _) => Trust::Refused,
            (true, true) => Trust::Proved,
            (true, false) => Trust::Given,
        }
    }
}

/// Which manifest of a reading is the proof: another in every run, so that the same ones are not passed over for ever, and
/// the same one whichever host reads.
fn proved(impact: &str, last: &StoredVersion, read: usize) -> usize {
    let StoredVersion { id, version, .. } = last;
    sample::number(&format!("hallmark:proof:{impact}/{id}@{version}")) as usize % read.max(1)
}

/// True where the same may go well later, or on another host.
fn is_passing(error: &RegistryError) -> bool {
    matches!(
        error,
        RegistryError::Store(StoreError::Unavailable(_))
            | RegistryError::Blobs(_)
            | RegistryError::Unfit { unfit: Unfit::Load(_), .. }
            | RegistryError::Busy { .. }
    )
}

fn in_short(error: &RegistryError) -> String {
    match error {
        RegistryError::Internal(_) => "this host failed; its log says why".to_owned(),
        error => error.to_string(),
    }
}
