//! Before somebody is told that a kind does not exist, the host looks whether the rules that it has loaded are the
//! active ones: another host of the fleet may have put the kind in force a moment ago. However many ask, one looks at a
//! time, and no more often than it may.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use super::rules::{LoadedKind, RulesInForce};
use super::store::StoreError;
use super::{Registry, RegistryError};
use crate::names::KindName;

/// Who looks, and what the last look found.
pub(super) struct Looks {
    every: Duration,
    turn: Mutex<Turn>,
}

#[derive(Default)]
struct Turn {
    /// When the last look began, whether or not it came to its end.
    begun: Option<Instant>,
    /// When the last look began that came to its end, and whether it went well.
    ended: Option<(Instant, bool)>,
}

impl Looks {
    pub(super) fn every(every: Duration) -> Self {
        Self { every, turn: Mutex::default() }
    }

    /// Waits for a look that began after this was called, and makes it where nobody else does; false where it failed.
    async fn fresh(&self, look: impl Future<Output = bool>) -> bool {
        let asked = Instant::now();
        let mut turn = self.turn.lock().await;
        if let Some((begun, went_well)) = turn.ended
            && begun > asked
        {
            return went_well;
        }
        // What was found earlier may be wrong by now: better wait than tell it.
        if let Some(begun) = turn.begun {
            tokio::time::sleep(self.every.saturating_sub(begun.elapsed())).await;
        }
        let begun = Instant::now();
        turn.begun = Some(begun);
        let went_well = look.await;
        turn.ended = Some((begun, went_well));
        went_well
    }
}

impl Registry {
    /// Makes sure that what this host has loaded was compared with what is active since this was called.
    ///
    /// # Errors
    /// `Store`.
    pub(super) async fn look_again(self: &Arc<Self>) -> Result<(), RegistryError> {
        // Loading goes on though the client that asked hangs up: else the next would begin it anew beside it.
        let registry = Arc::clone(self);
        let look = async {
            let looked = tokio::spawn(async move { registry.refresh_rules().await }).await;
            let looked = looked.unwrap_or_else(|broken| Err(RegistryError::Internal(broken.to_string())));
            if let Err(error) = &looked {
                let error = error as &dyn std::error::Error;
                tracing::warn!(error, "what is in force cannot be looked up");
            }
            looked.is_ok()
        };
        match self.looks.fresh(look).await {
            true => Ok(()),
            false => Err(StoreError::Unavailable("what is in force could not be looked up".into()).into()),
        }
    }

    /// The rules to judge by, with a kind that they have.
    ///
    /// # Errors
    /// `NoKind`, of the rules that are active now; `NotReady`, `Store`.
    pub(super) async fn kind_to_judge_by(
        self: &Arc<Self>,
        name: &str,
    ) -> Result<(Arc<RulesInForce>, Arc<LoadedKind>), RegistryError> {
        let rules = self.rules_to_judge_by()?;
        if let Ok(kind) = rules.kind(name).map(Arc::clone) {
            return Ok((rules, kind));
        }
        self.look_for(name).await?;
        let rules = self.rules_to_judge_by()?;
        let kind = Arc::clone(rules.kind(name)?);
        Ok((rules, kind))
    }

    /// A kind that can be read: also while this host waits for rules that it could not load, where it knows the kind.
    ///
    /// # Errors
    /// `NoKind`, of the rules that are active now; `NotReady` where those cannot be loaded; `Store`.
    pub(super) async fn kind_in_force(self: &Arc<Self>, name: &str) -> Result<Arc<LoadedKind>, RegistryError> {
        match self.kind(name) {
            Err(RegistryError::NoKind { .. }) => self.kind_to_judge_by(name).await.map(|(_, kind)| kind),
            kind => kind,
        }
    }

    async fn look_for(self: &Arc<Self>, kind: &str) -> Result<(), RegistryError> {
        // No module can have declared what is no name.
        if kind.parse::<KindName>().is_err() {
            return Ok(());
        }
        self.look_again().await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::task::Poll;

    use futures_util::future::join_all;

    use super::*;

    /// Looks that were begun, and those of them that ended.
    #[derive(Default)]
    struct Counted {
        begun: AtomicU32,
        ended: AtomicU32,
    }

    impl Counted {
        async fn look(&self, went_well: bool) -> bool {
            self.begun.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            self.ended.fetch_add(1, Ordering::SeqCst);
            went_well
        }

        fn counts(&self) -> (u32, u32) {
            (self.begun.load(Ordering::SeqCst), self.ended.load(Ordering::SeqCst))
        }
    }

    #[tokio::test]
    async fn a_flood_looks_once_for_all_that_came_before_it_began() {
        let (looks, counted) = (Looks::every(Duration::from_millis(20)), Counted::default());
        let begun = Instant::now();
        let answers = join_all((0..500).map(|_| looks.fresh(counted.look(true)))).await;
        assert!(answers.into_iter().all(|went_well| went_well));
        // The first began before the others had asked, and cannot speak for them.
        assert_eq!(counted.counts(), (2, 2));
        assert!(begun.elapsed() >= Duration::from_millis(20), "the second waited for its time");
    }

    #[tokio::test]
    async fn every_one_that_comes_later_gets_a_look_of_its_time() {
        let (looks, counted) = (Looks::every(Duration::ZERO), Counted::default());
        for looked in 1..=3 {
            assert!(looks.fresh(counted.look(true)).await);
            assert_eq!(counted.counts(), (looked, looked));
        }
    }

    #[tokio::test]
    async fn all_that_waited_for_a_look_that_failed_are_told() {
        let (looks, counted) = (Looks::every(Duration::ZERO), Counted::default());
        let answers = join_all((0..50).map(|_| looks.fresh(counted.look(false)))).await;
        assert!(answers.into_iter().all(|went_well| !went_well));
        assert_eq!(counted.counts(), (2, 2));
    }

    #[tokio::test]
    async fn a_client_that_hangs_up_leaves_its_look_to_the_next() {
        let (looks, counted) = (Looks::every(Duration::ZERO), Counted::default());
        {
            let mut dropped = std::pin::pin!(looks.fresh(counted.look(true)));
            let polled = std::future::poll_fn(|context| Poll::Ready(dropped.as_mut().poll(context)));
            assert!(polled.await.is_pending());
        }
        assert_eq!(counted.counts(), (1, 0));
        assert!(looks.fresh(counted.look(true)).await);
        assert_eq!(counted.counts(), (2, 1));
    }
}
