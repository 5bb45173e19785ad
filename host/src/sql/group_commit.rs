//! Group commit: publishes that arrive while others are being committed wait, and are committed together. A commit's
//! cost is its round trips and its wait for the disk, and a group pays them once. One that arrives alone is committed
//! at once: nothing is waited for.
//!
//! Groups run in tasks of their own, since a client that hangs up must not take back what others are promised. A group
//! that meets a lock which is held for longer than a commit takes, or a publish that the database refuses, is taken
//! apart: its publishes are committed one by one, beside the groups, so that one that waits holds up no other.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::Writers;
use super::errors::is_lock_wait;
use super::publishing::{COMMITTING, Publish, Told, commit_group};
use crate::config::Limits;
use crate::registry::store::StoreError;

/// Milliseconds that a group waits for a lock: much longer than a commit holds one.
const GROUP_WAIT_MAX_MS: u64 = 500;

/// Publishes in one transaction, whatever the limit: a statement's arguments are counted in 16 bits.
const TOGETHER_MAX: usize = 1_000;

/// The door to the groups.
#[derive(Debug)]
pub(super) struct GroupCommit {
    queue: mpsc::UnboundedSender<Job>,
    /// What waits or is being committed, whoever still waits for its answer.
    room: Arc<Semaphore>,
    wait_max: Duration,
}

struct Job {
    publish: Publish,
    answer: oneshot::Sender<Result<Told, StoreError>>,
    _room: Option<OwnedSemaphorePermit>,
}

impl GroupCommit {
    /// Starts `groups` tasks, each of which commits one group at a time.
    pub(super) fn start(writers: &Writers, groups: u32, limits: &Limits) -> Self {
        let wait_max_ms = limits.database_acquire_max_ms;
        let (queue, arriving) = mpsc::unbounded_channel();
        let together_max = limits.commits_together_max.clamp(1, TOGETHER_MAX);
        let jobs = Arc::new(Mutex::new(Jobs { arriving, aside: VecDeque::new(), together_max }));
        for _ in 0..groups.max(1) {
            let (writers, jobs) = (writers.clone(), Arc::clone(&jobs));
            tokio::spawn(async move {
                loop {
                    let group = jobs.lock().await.take().await;
                    if group.is_empty() {
                        return;
                    }
                    let writers = writers.clone();
                    // In a task of its own, so that a panic ends one group and not the line.
                    let _ = tokio::spawn(async move { run(writers, group, wait_max_ms).await }).await;
                }
            });
        }
        let room = Arc::new(Semaphore::new(limits.requests_in_flight_max));
        Self { queue, room, wait_max: Duration::from_millis(wait_max_ms) }
    }

    /// # Errors
    /// `Unavailable` where too many wait, or where it took longer than `database_acquire_max_ms`: then it may be
    /// committed all the same, and whoever publishes it again is told so.
    pub(super) async fn commit(&self, publish: Publish) -> Result<Told, StoreError> {
        let unavailable = |why: &str| StoreError::Unavailable(why.into());
        let room = Arc::clone(&self.room).try_acquire_owned().map_err(|_| unavailable("too many commits wait"))?;
        let (answer, told) = oneshot::channel();
        let gone = || StoreError::Broken(COMMITTING.to_owned(), Some("its group broke off".into()));
        self.queue.send(Job { publish, answer, _room: Some(room) }).map_err(|_| gone())?;
        let told = tokio::time::timeout(self.wait_max, told).await;
        told.map_err(|_| unavailable("the commit took too long"))?.map_err(|_| gone())?
    }
}

struct Jobs {
    arriving: mpsc::UnboundedReceiver<Job>,
    /// What could not go with the group before.
    aside: VecDeque<Job>,
    together_max: usize,
}

impl Jobs {
    /// Waits for a publish and takes with it what waits already and may go with it: of the same tenant, each of
    /// another entry. Empty where none will come any more.
    async fn take(&mut self) -> Vec<Job> {
        let mut group: Vec<Job> = Vec::new();
        let mut waiting = std::mem::take(&mut self.aside);
        while group.is_empty() {
            if waiting.is_empty() {
                let Some(job) = self.arriving.recv().await else { return group };
                waiting.push_back(job);
            }
            while let Ok(job) = self.arriving.try_recv() {
                waiting.push_back(job);
            }
            for job in waiting.drain(..) {
                // Whoever asked for it has gone, and nothing was begun.
                if job.answer.is_closed() {
                    continue;
                }
                if group.len() < self.together_max
                    && group.iter().all(|other| may_go_together(&other.publish, &job.publish))
                {
                    group.push(job);
                } else {
                    self.aside.push_back(job);
                }
            }
        }
        group
    }
}

fn may_go_together(one: &Publish, other: &Publish) -> bool {
    one.tenant == other.tenant && one.entry() != other.entry()
}

async fn run(writers: Writers, mut group: Vec<Job>, wait_max_ms: u64) {
    let publishes: Vec<&Publish> = group.iter().map(|job| &job.publish).collect();
    match commit_group(&writers, &publishes, GROUP_WAIT_MAX_MS.min(wait_max_ms)).await {
        Ok(told) => group.into_iter().zip(told).for_each(|(job, told)| drop(job.answer.send(Ok(told)))),
        // Somebody holds what one of them needs, or one of them is at fault: it must not take the others with it.
        Err(error) if is_lock_wait(&error) || (group.len() > 1 && matches!(error, StoreError::Broken(..))) => {
            for job in group {
                tokio::spawn(run_alone(writers.clone(), job, wait_max_ms));
            }
        }
        Err(error) if group.len() == 1 => drop(group.remove(0).answer.send(Err(error))),
        // The database is away for all of them.
        Err(error) => {
            let cause = Arc::new(error);
            for job in group {
                drop(job.answer.send(Err(StoreError::Unavailable(Box::new(Arc::clone(&cause))))));
            }
        }
    }
}

async fn run_alone(writers: Writers, job: Job, wait_max_ms: u64) {
    if !job.answer.is_closed() {
        let told = commit_group(&writers, &[&job.publish], wait_max_ms).await;
        drop(job.answer.send(told.map(|mut told| told.remove(0))));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What waits, by tenant, entry and version.
    fn waiting(jobs: &[(&str, &str, &str)]) -> (mpsc::UnboundedSender<Job>, mpsc::UnboundedReceiver<Job>, Vec<Answer>) {
        let (queue, arriving) = mpsc::unbounded_channel();
        let told = jobs
            .iter()
            .map(|(tenant, entry, version)| {
                let (answer, told) = oneshot::channel();
                let publish = Publish::sample(tenant, entry, version);
                assert!(queue.send(Job { publish, answer, _room: None }).is_ok());
                told
            })
            .collect();
        (queue, arriving, told)
    }

    type Answer = oneshot::Receiver<Result<Told, StoreError>>;

    async fn groups(jobs: &[(&str, &str, &str)], limits: &Limits) -> Vec<Vec<String>> {
        let (queue, arriving, _told) = waiting(jobs);
        drop(queue);
        let mut jobs = Jobs { arriving, aside: VecDeque::new(), together_max: limits.commits_together_max };
        let mut groups = Vec::new();
        loop {
            let group = jobs.take().await;
            if group.is_empty() {
                return groups;
            }
            groups.push(group.iter().map(|job| job.publish.label()).collect());
        }
    }

    #[tokio::test]
    async fn groups_hold_one_tenant_each_entry_once_and_no_more_than_they_may() {
        let limits = Limits { commits_together_max: 3, ..Limits::default() };
        let jobs = [
            ("one", "a", "1"),
            ("two", "a", "1"),
            ("one", "a", "2"),
            ("one", "b", "1"),
            ("one", "c", "1"),
            ("one", "d", "1"),
        ];
        assert_eq!(
            groups(&jobs, &limits).await,
            [vec!["one/a/1", "one/b/1", "one/c/1"], vec!["two/a/1"], vec!["one/a/2", "one/d/1"],]
        );
    }

    #[tokio::test]
    async fn a_client_that_hung_up_before_its_turn_publishes_nothing() {
        let (queue, arriving, mut told) = waiting(&[("one", "a", "1"), ("one", "b", "1")]);
        drop(queue);
        drop(told.remove(0));
        let mut jobs = Jobs { arriving, aside: VecDeque::new(), together_max: 16 };
        let group = jobs.take().await;
        assert_eq!(group.iter().map(|job| job.publish.label()).collect::<Vec<_>>(), ["one/b/1"]);
        assert!(jobs.take().await.is_empty());
    }
}
