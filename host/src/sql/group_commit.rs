//! Group commit: publishes that arrive while others are being committed wait, and are committed together. A commit's
//! cost is its round trips and its wait for the disk, and a group pays them once. One that arrives alone is committed
//! at once: nothing is waited for.
//!
//! Groups run in tasks of their own, since a client that hangs up must not take back what others are promised.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::{Mutex, mpsc, oneshot};

use super::Writers;
use super::publishing::{COMMITTING, Publish, Told, commit_group};
use crate::config::Limits;
use crate::registry::store::StoreError;

/// The door to the groups.
#[derive(Debug)]
pub(super) struct GroupCommit {
    queue: mpsc::UnboundedSender<Job>,
}

struct Job {
    publish: Publish,
    answer: oneshot::Sender<Result<Told, StoreError>>,
}

impl GroupCommit {
    /// Starts `groups` tasks, each of which commits one group at a time.
    pub(super) fn start(writers: &Writers, groups: u32, limits: &Limits) -> Self {
        // No bound of its own: whoever waits here holds one of the host's requests, which are bounded.
        let (queue, jobs) = mpsc::unbounded_channel();
        let jobs = Arc::new(Mutex::new(Jobs {
            arriving: jobs,
            aside: VecDeque::new(),
            together_max: limits.commits_together_max.max(1),
        }));
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
                    let _ = tokio::spawn(async move { run(&writers, group).await }).await;
                }
            });
        }
        Self { queue }
    }

    pub(super) async fn commit(&self, publish: Publish) -> Result<Told, StoreError> {
        let (answer, told) = oneshot::channel();
        let gone = || StoreError::Broken(COMMITTING.to_owned(), Some("its group broke off".into()));
        self.queue.send(Job { publish, answer }).map_err(|_| gone())?;
        told.await.map_err(|_| gone())?
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

async fn run(writers: &Writers, mut group: Vec<Job>) {
    let publishes: Vec<&Publish> = group.iter().map(|job| &job.publish).collect();
    match commit_group(writers, &publishes).await {
        Ok(told) => group.into_iter().zip(told).for_each(|(job, told)| drop(job.answer.send(Ok(told)))),
        // The database is away for all of them.
        Err(StoreError::Unavailable(cause)) => {
            let cause: Arc<dyn std::error::Error + Send + Sync> = cause.into();
            for job in group {
                drop(job.answer.send(Err(StoreError::Unavailable(Box::new(Arc::clone(&cause))))));
            }
        }
        Err(error) if group.len() == 1 => drop(group.remove(0).answer.send(Err(error))),
        // One of them is at fault: it must not take the others with it.
        Err(_) => {
            for job in group {
                let told = commit_group(writers, &[&job.publish]).await;
                drop(job.answer.send(told.map(|mut told| told.remove(0))));
            }
        }
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
                assert!(queue.send(Job { publish, answer }).is_ok());
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
