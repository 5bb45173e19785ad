//! Work beside the gate: on threads of its own, which give way to every other thread of the machine.

use std::thread;

use tokio::sync::oneshot;

use super::engine::HOST_STACK_BYTES;
use super::{Busy, Sandbox};

/// The lowest priority that a thread can have.
const NICENESS: i32 = 19;

impl Sandbox {
    /// Threads that may judge beside the gate at once; whoever calls `run_aside` keeps to it.
    pub fn aside_threads(limits: &crate::config::Limits) -> usize {
        super::engine::aside_threads(limits)
    }

    /// Runs a job on a thread of its own, at the lowest priority. It runs to its end even where the caller goes away.
    ///
    /// # Errors
    /// No thread can be started, or the job panicked.
    pub async fn run_aside<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> Result<T, Busy> {
        let (answer, answered) = oneshot::channel();
        thread::Builder::new()
            .name("impact".to_owned())
            .stack_size(self.limits().plugin_stack_max_bytes + HOST_STACK_BYTES)
            .spawn(move || {
                // On Linux the priority is the thread's own. Where it cannot be lowered the work is done all the same.
                if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
                    tracing::debug!(%error, "the priority of a thread cannot be lowered");
                }
                // Nobody may be left to hear it.
                let _ = answer.send(job());
            })
            .map_err(|error| Busy(format!("no thread can be started: {error}")))?;
        answered.await.map_err(|_| Busy("the judgement broke off; its cause is in the host's log".to_owned()))
    }
}
