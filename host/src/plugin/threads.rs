//! The gate's threads. A bounded number of them judge, a bounded number of submissions wait, none waits long; past
//! that the host says so rather than grow. A job that has begun runs to its end whether anyone waits for it or not,
//! so that what it holds is given back by itself.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;

use super::Busy;
use super::engine::HOST_STACK_BYTES;
use crate::config::Limits;

const WAITS: u8 = 0;
const BEGAN: u8 = 1;
const LEFT: u8 = 2;

/// The threads and their queue.
pub struct Threads {
    queue: Arc<Queue>,
    waiting_max: usize,
    wait_max: Duration,
}

#[derive(Default)]
struct Queue {
    inside: Mutex<Inside>,
    changed: Condvar,
}

#[derive(Default)]
struct Inside {
    waiting: VecDeque<Job>,
    is_closed: bool,
}

struct Job {
    /// `WAITS`, then either `BEGAN`, set by a thread, or `LEFT`, set by the caller; whoever is first decides.
    state: Arc<AtomicU8>,
    work: Box<dyn FnOnce() + Send>,
}

impl Queue {
    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> Option<Job> {
        let mut inside = self
            .changed
            .wait_while(self.inside(), |inside| inside.waiting.is_empty() && !inside.is_closed)
            .unwrap_or_else(PoisonError::into_inner);
        let job = inside.waiting.pop_front();
        depth(&inside);
        job
    }
}

fn depth(inside: &Inside) {
    metrics::gauge!("hallmark_gate_queue_depth").set(inside.waiting.len() as f64);
}

impl Threads {
    /// Starts `count` threads.
    pub fn start(count: usize, limits: &Limits) -> Result<Self, String> {
        let queue = Arc::new(Queue::default());
        depth(&queue.inside());
        metrics::gauge!("hallmark_gate_queue_max").set(limits.gate_queue_max as f64);
        let threads = Self {
            queue: Arc::clone(&queue),
            waiting_max: limits.gate_queue_max,
            wait_max: Duration::from_millis(limits.gate_queue_wait_max_ms),
        };
        for number in 0..count {
            let queue = Arc::clone(&queue);
            thread::Builder::new()
                .name(format!("gate-{number}"))
                .stack_size(limits.plugin_stack_max_bytes + HOST_STACK_BYTES)
                .spawn(move || {
                    while let Some(job) = queue.next() {
                        run(job);
                    }
                })
                .map_err(|error| format!("the gate's threads cannot be started: {error}; lower gate_threads"))?;
        }
        Ok(threads)
    }

    /// Runs the job on one of them.
    pub async fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> Result<T, Busy> {
        let (answer, mut answered) = oneshot::channel();
        let span = tracing::Span::current();
        let work = Box::new(move || {
            // Nobody may be left to hear it.
            let _ = answer.send(span.in_scope(job));
        });
        let state = Arc::new(AtomicU8::new(WAITS));
        self.push(Job { state: Arc::clone(&state), work })?;
        // Leaves the queue where this future is dropped while the job waits.
        let place = Place { queue: &self.queue, state: &state };
        // The wait ends with the answer itself where that comes in time, as it nearly always does: one wake-up.
        let answer = match tokio::time::timeout(self.wait_max, &mut answered).await {
            Ok(answer) => answer,
            Err(_) if place.leave() => {
                return Err(Busy(format!(
                    "no thread of the gate was free in time (gate_queue_wait_max_ms = {})",
                    self.wait_max.as_millis()
                )));
            }
            Err(_) => answered.await,
        };
        answer.map_err(|_| Busy("the judgement broke off; its cause is in the host's log".to_owned()))
    }

    fn push(&self, job: Job) -> Result<(), Busy> {
        let mut inside = self.queue.inside();
        if inside.waiting.len() >= self.waiting_max {
            return Err(Busy(format!("the gate's queue is full (gate_queue_max = {})", self.waiting_max)));
        }
        inside.waiting.push_back(job);
        depth(&inside);
        drop(inside);
        self.queue.changed.notify_one();
        Ok(())
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.queue.inside().is_closed = true;
        self.queue.changed.notify_all();
    }
}

struct Place<'a> {
    queue: &'a Queue,
    state: &'a Arc<AtomicU8>,
}

impl Place<'_> {
    /// True where the job had not begun; now it never will.
    fn leave(&self) -> bool {
        let has_left = self.state.compare_exchange(WAITS, LEFT, Ordering::AcqRel, Ordering::Acquire).is_ok();
        if has_left {
            let mut inside = self.queue.inside();
            inside.waiting.retain(|job| !Arc::ptr_eq(&job.state, self.state));
            depth(&inside);
        }
        has_left
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.leave();
    }
}

fn run(job: Job) {
    if job.state.compare_exchange(WAITS, BEGAN, Ordering::AcqRel, Ordering::Acquire).is_err() {
        return;
    }
    // A fault of the host in one judgement must not cost the others their thread. The panic itself is logged by
    // the process's hook.
    if catch_unwind(AssertUnwindSafe(job.work)).is_err() {
        tracing::error!("a judgement panicked");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn limits(waiting_max: usize, wait_max_ms: u64) -> Limits {
        Limits { gate_queue_max: waiting_max, gate_queue_wait_max_ms: wait_max_ms, ..Limits::default() }
    }

    #[tokio::test]
    async fn a_panic_costs_one_answer_and_no_thread() {
        let threads = Threads::start(1, &limits(4, 60_000)).expect("threads");
        let broken = threads.run(|| -> u8 { panic!("on purpose") }).await;
        assert_eq!(broken, Err(Busy("the judgement broke off; its cause is in the host's log".to_owned())));
        assert_eq!(threads.run(|| 7).await, Ok(7));
    }

    #[tokio::test]
    async fn sheds_what_does_not_fit_or_waits_too_long() {
        let threads = Threads::start(1, &limits(1, 20)).expect("threads");
        let (release, held) = mpsc::channel::<()>();
        let (began, has_begun) = oneshot::channel();
        // Pushed rather than run: it must begin, however long that takes.
        let first = Box::new(move || {
            let _ = began.send(());
            let _ = held.recv();
        });
        threads.push(Job { state: Arc::new(AtomicU8::new(WAITS)), work: first }).expect("room");
        has_begun.await.expect("the first job begins");
        let (second, third) = tokio::join!(threads.run(|| ()), threads.run(|| ()));
        assert_eq!(
            second,
            Err(Busy("no thread of the gate was free in time (gate_queue_wait_max_ms = 20)".to_owned()))
        );
        assert_eq!(third, Err(Busy("the gate's queue is full (gate_queue_max = 1)".to_owned())));
        assert!(threads.queue.inside().waiting.is_empty());
        release.send(()).expect("the first job waits");
    }

    #[tokio::test]
    async fn a_job_that_began_ends_though_its_caller_left() {
        let threads = Arc::new(Threads::start(1, &limits(1, 60_000)).expect("threads"));
        let (release, held) = mpsc::channel::<()>();
        let (began, has_begun) = oneshot::channel();
        let (ended, has_ended) = oneshot::channel();
        let caller = tokio::spawn({
            let threads = Arc::clone(&threads);
            async move {
                threads
                    .run(move || {
                        let _ = began.send(());
                        let _ = held.recv();
                        let _ = ended.send(());
                    })
                    .await
            }
        });
        has_begun.await.expect("it begins");
        caller.abort();
        release.send(()).expect("it waits");
        has_ended.await.expect("it ends");
    }
}
