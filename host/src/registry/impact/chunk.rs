//! One chunk, from the queue to its stored result, on a thread that gives way to all others. It may be run twice, by
//! two hosts even: its result is written once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::runtime::Handle;

use super::What;
use super::judge::{Found, Plan};
use super::report::Report;
use crate::clock::Millis;
use crate::names::Tenant;
use crate::plugin::{Haste, Unfit};
use crate::registry::facts::StoreFacts;
use crate::registry::release::ReleaseRef;
use crate::registry::releasing::unnumbered;
use crate::registry::store::{ImpactChunk, ImpactRow, ImpactState, ReleaseRow, StoreError};
use crate::registry::{Registry, RegistryError};

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
        let Some(chunk) = self.store.open_chunk(tenant, impact, number).await? else { return Ok(()) };
        let Some(row) = self.store.impact(tenant, impact).await? else { return Ok(()) };
        let what = What::of(&row)?;
        let plan = self.plan(tenant, &row).await?;
        let stop = Arc::new(AtomicBool::new(false));
        let _stop_on_drop = StopOnDrop(Arc::clone(&stop));
        let (registry, runtime, tenant_there) = (Arc::clone(self), Handle::current(), tenant.clone());
        let job = move || {
            let _runtime = runtime.enter();
            registry.judge_chunk(&tenant_there, &row.id, &chunk, what, &plan, &stop, &runtime)
        };
        let judged = self.sandbox.run_aside(job).await.map_err(crate::registry::publish::busy)?;
        let Some(report) = judged? else { return Ok(()) };
        let text = serde_json::to_string(&report).expect("a report is plain data");
        self.store.finish_chunk(tenant, impact, number, report.judged(), &text, Millis::now()).await?;
        Ok(())
    }

    /// None where the run ended meanwhile.
    #[expect(clippy::too_many_arguments, reason = "a thread is given everything it needs at once")]
    fn judge_chunk(
        &self,
        tenant: &Tenant,
        impact: &str,
        chunk: &ImpactChunk,
        what: What,
        plan: &Plan,
        stop: &AtomicBool,
        runtime: &Handle,
    ) -> Result<Option<Report>, RegistryError> {
        let mut found = Found::default();
        let mut after = None;
        loop {
            let place = after.as_ref().map(|(id, version)| (id, version));
            let read = self.store.versions_to_judge(tenant, chunk, what.judged(), place, READ_AT_ONCE);
            let versions = runtime.block_on(read)?;
            let Some(last) = versions.last() else { return Ok(Some(found.into_report())) };
            after = Some((last.id.clone(), last.version.clone()));
            for version in versions {
                if stop.load(Ordering::Relaxed) {
                    return Ok(None);
                }
                let facts = Arc::new(StoreFacts::new(Arc::clone(&self.store), tenant.clone()));
                plan.judge(&chunk.kind, version, facts, &self.limits, &mut found);
            }
            if runtime.block_on(self.store.open_chunk(tenant, impact, chunk.number))?.is_none() {
                return Ok(None);
            }
        }
    }

    /// The run's rules, loaded once.
    async fn plan(self: &Arc<Self>, tenant: &Tenant, impact: &ImpactRow) -> Result<Arc<Plan>, RegistryError> {
        let mut plans = self.plans.0.lock().await;
        if let Some((_, plan)) = plans.iter().find(|(id, _)| *id == impact.id) {
            return Ok(Arc::clone(plan));
        }
        let rules = self.store.impact_rules(tenant, &impact.id).await?;
        let rules = rules.ok_or_else(|| RegistryError::Internal("a preview without rules".to_owned()))?;
        let mut active = Vec::with_capacity(impact.active.len());
        for ReleaseRef { scope, number, .. } in &impact.active {
            let row = self.store.release(tenant, scope, *number).await?;
            active.push(row.ok_or_else(|| RegistryError::Internal(format!("release {number} of {scope} is gone")))?);
        }
        let mut candidate: Vec<ReleaseRow> =
            active.iter().filter(|row| row.release.scope != impact.scope).cloned().collect();
        candidate.push(unnumbered(&impact.scope, &impact.candidate, rules));
        // The second takes what the first has configured alike, so that what is the same is one plugin.
        let active = self.load(active, Haste::Ahead, None).await?.map_err(|not| not.error)?;
        let beside = Some(Arc::clone(&active));
        let candidate = self.load_beside(candidate, Haste::Ahead, None, beside).await?.map_err(|not| not.error)?;
        let plan = Arc::new(Plan::new(&active, &candidate, tenant.to_string(), impact.created_at));
        if plans.len() >= PLANS_MAX {
            plans.remove(0);
        }
        plans.push((impact.id.clone(), Arc::clone(&plan)));
        Ok(plan)
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
