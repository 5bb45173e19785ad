//! What goes on beside requests, for each tenant from when its registry is open until the host stops.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::announce::announce;
use crate::announce::webhooks::deliver;
use crate::config::Limits;
use crate::registry::Registry;
use crate::telemetry;

/// The tasks of every tenant.
pub struct Tending {
    limits: Arc<Limits>,
    stopping: watch::Sender<()>,
    tasks: Mutex<Tasks>,
}

#[derive(Default)]
struct Tasks {
    /// They can be broken off: what they did not do is done by another host, or by this one when it is back.
    endless: Vec<JoinHandle<()>>,
    /// They end by themselves, once their work is done.
    announcers: Vec<JoinHandle<()>>,
    senders: Vec<JoinHandle<()>>,
}

impl Tending {
    pub fn new(limits: &Arc<Limits>) -> Self {
        Self { limits: Arc::clone(limits), stopping: watch::Sender::new(()), tasks: Mutex::default() }
    }

    /// Starts what a tenant needs.
    pub fn begin(&self, registry: &Arc<Registry>) {
        let registry = || Arc::clone(registry);
        let stager = registry().watch_staged(|ended| {
            telemetry::shadow_ended(&ended.shadow.release.scope.to_string(), ended.state.as_str());
        });
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.endless.extend([
            tokio::spawn(registry().watch_impacts()),
            tokio::spawn(registry().watch_rules()),
            tokio::spawn(stager),
            tokio::spawn(registry().keep_audit_sealed()),
            tokio::spawn(registry().sweep_keys()),
            tokio::spawn(registry().sweep_events()),
            tokio::spawn(registry().keep_filled()),
        ]);
        tasks.announcers.push(tokio::spawn(announce(registry(), Arc::clone(&self.limits), self.stopped())));
        tasks.senders.push(tokio::spawn(deliver(registry(), Arc::clone(&self.limits), self.stopped())));
    }

    /// Keeps a task of the host's own that can be broken off.
    pub fn keep(&self, task: JoinHandle<()>) {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).endless.push(task);
    }

    /// Ready when the host stops.
    fn stopped(&self) -> impl Future<Output = ()> + use<> {
        let mut stopped = self.stopping.subscribe();
        async move {
            let _ = stopped.changed().await;
        }
    }

    /// Ends everything. What was accepted is answered: now the events of those answers go out.
    pub async fn end(&self) -> anyhow::Result<()> {
        let Tasks { endless, announcers, senders } =
            std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        self.stopping.send_replace(());
        endless.iter().for_each(JoinHandle::abort);
        for announcer in announcers {
            announcer.await.context("an announcer ended early")?;
        }
        // What is on its way to webhooks arrives; what waits is sent later.
        let sent = async {
            for sender in senders {
                let _ = sender.await;
            }
        };
        let _ = tokio::time::timeout(Duration::from_millis(self.limits.shutdown_max_ms), sent).await;
        Ok(())
    }
}
