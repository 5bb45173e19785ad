//! What keeps one plugin's trouble its own: how many of its evaluations run, how long more wait, and the rest that it takes
//! after it broke too often in a row. Shared by every binding of the same component.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{Cause, engine};
use crate::config::Limits;
use crate::names::Digest;

/// The bulkheads of one host, by component.
#[derive(Default)]
pub struct Bulkheads {
    by_digest: Mutex<HashMap<Digest, Arc<Bulkhead>>>,
}

impl Bulkheads {
    /// The component's own.
    pub fn of(&self, digest: &Digest, name: &str) -> Arc<Bulkhead> {
        let mut by_digest = self.by_digest.lock().unwrap_or_else(PoisonError::into_inner);
        // Those of plugins that are no longer prepared go, unless they still rest.
        let now = Instant::now();
        by_digest.retain(|_, bulkhead| Arc::strong_count(bulkhead) > 1 || bulkhead.rests(now));
        Arc::clone(by_digest.entry(digest.clone()).or_insert_with(|| Arc::new(Bulkhead::new(name))))
    }

    /// The names of the plugins that rest, sorted.
    pub fn resting(&self, now: Instant) -> Vec<String> {
        let by_digest = self.by_digest.lock().unwrap_or_else(PoisonError::into_inner);
        let mut names: Vec<String> =
            by_digest.values().filter(|bulkhead| bulkhead.rests(now)).map(|bulkhead| bulkhead.name.clone()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

/// One component's.
pub struct Bulkhead {
    name: String,
    inside: Mutex<Inside>,
    left: Condvar,
}

#[derive(Default)]
struct Inside {
    running: usize,
    waiting: usize,
    failures: u32,
    /// Set where it rests; past this instant one trial may run.
    rests_until: Option<Instant>,
    is_tried: bool,
}

/// The right to run one evaluation. Must be told the outcome; where it is dropped untold, the outcome counts for
/// nothing.
pub struct Permit<'a> {
    bulkhead: &'a Bulkhead,
    is_trial: bool,
}

impl Bulkhead {
    /// One that no other evaluation shares.
    pub fn new(name: &str) -> Self {
        let bulkhead = Self { name: name.to_owned(), inside: Mutex::default(), left: Condvar::new() };
        // It is there, as none, from the start: an increase from nothing is seen by nobody.
        bulkhead.quarantines().increment(0);
        bulkhead
    }

    fn quarantines(&self) -> metrics::Counter {
        metrics::counter!("hallmark_plugin_quarantines_total", "plugin" => self.name.clone())
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rests(&self, now: Instant) -> bool {
        self.inside().rests_until.is_some_and(|until| now < until)
    }

    /// Waits for a turn, in a queue behind itself alone.
    pub fn enter(&self, limits: &Limits, now: Instant) -> Result<Permit<'_>, Cause> {
        let running_max = engine::running_max(limits);
        let mut inside = self.inside();
        if let Some(until) = inside.rests_until {
            if now < until || inside.is_tried {
                return Err(Cause::Quarantined { failures: inside.failures });
            }
            inside.is_tried = true;
            inside.running += 1;
            return Ok(Permit { bulkhead: self, is_trial: true });
        }
        // Not their number but their time is bounded: a brisk plugin may have every thread wait for a moment, a slow
        // one keeps none for long.
        let wait_max = Duration::from_millis(limits.plugin_turn_wait_max_ms);
        inside.waiting += 1;
        let (mut inside, _) = self
            .left
            .wait_timeout_while(inside, wait_max, |inside| {
                inside.running >= running_max && inside.rests_until.is_none()
            })
            .unwrap_or_else(PoisonError::into_inner);
        inside.waiting -= 1;
        if inside.rests_until.is_some() {
            return Err(Cause::Quarantined { failures: inside.failures });
        }
        if inside.running >= running_max {
            return Err(Cause::Busy { running: running_max, wait_ms: limits.plugin_turn_wait_max_ms });
        }
        inside.running += 1;
        Ok(Permit { bulkhead: self, is_trial: false })
    }
}

impl Permit<'_> {
    /// The evaluation went well.
    pub fn succeeded(self) {
        let mut inside = self.bulkhead.inside();
        inside.failures = 0;
        // One that began before the rest says nothing about it; only the trial ends it.
        if self.is_trial && inside.rests_until.take().is_some() {
            tracing::info!(plugin = self.bulkhead.name, "a plugin left quarantine");
        }
    }

    /// The plugin broke.
    pub fn failed(self, limits: &Limits, now: Instant) {
        let mut inside = self.bulkhead.inside();
        inside.failures = inside.failures.saturating_add(1);
        let is_too_many = inside.failures >= limits.plugin_failures_max;
        if self.is_trial || (is_too_many && inside.rests_until.is_none()) {
            inside.rests_until = Some(now + Duration::from_millis(limits.plugin_quarantine_ms));
            let failures = inside.failures;
            tracing::warn!(plugin = self.bulkhead.name, failures, "a plugin is in quarantine");
            self.bulkhead.left.notify_all();
            self.bulkhead.quarantines().increment(1);
        }
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let mut inside = self.bulkhead.inside();
        inside.running -= 1;
        if self.is_trial {
            inside.is_tried = false;
        }
        let waits = inside.waiting > 0;
        drop(inside);
        // Most often nobody waits, and waking nobody is a call of the kernel too.
        if waits {
            self.bulkhead.left.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits {
            plugin_running_max: 1,
            plugin_turn_wait_max_ms: 1,
            plugin_failures_max: 2,
            plugin_quarantine_ms: 1_000,
            ..Limits::default()
        }
    }

    fn fail(bulkhead: &Bulkhead, now: Instant) {
        bulkhead.enter(&limits(), now).expect("a turn").failed(&limits(), now);
    }

    #[test]
    fn rests_after_failures_in_a_row_and_is_tried_once() {
        let bulkheads = Bulkheads::default();
        let bulkhead = bulkheads.of(&Digest::of(b"x"), "x");
        let now = Instant::now();
        fail(&bulkhead, now);
        bulkhead.enter(&limits(), now).expect("a turn").succeeded();
        fail(&bulkhead, now);
        assert_eq!(bulkheads.resting(now), Vec::<String>::new());
        fail(&bulkhead, now);
        assert_eq!(bulkheads.resting(now), vec!["x".to_owned()]);
        assert_eq!(bulkhead.enter(&limits(), now).err(), Some(Cause::Quarantined { failures: 2 }));

        let later = now + Duration::from_millis(1_000);
        let trial = bulkhead.enter(&limits(), later).expect("one trial");
        assert_eq!(bulkhead.enter(&limits(), later).err(), Some(Cause::Quarantined { failures: 2 }));
        trial.failed(&limits(), later);
        assert_eq!(bulkhead.enter(&limits(), later).err(), Some(Cause::Quarantined { failures: 3 }));

        let latest = later + Duration::from_millis(1_000);
        bulkhead.enter(&limits(), latest).expect("one trial").succeeded();
        assert!(bulkhead.enter(&limits(), latest).is_ok());
        assert!(bulkheads.resting(latest).is_empty());
    }

    #[test]
    fn a_trial_that_says_nothing_may_be_repeated() {
        let bulkhead = Bulkhead::new("x");
        let now = Instant::now();
        fail(&bulkhead, now);
        fail(&bulkhead, now);
        let later = now + Duration::from_millis(1_000);
        drop(bulkhead.enter(&limits(), later).expect("one trial"));
        assert!(bulkhead.enter(&limits(), later).is_ok());
    }

    #[test]
    fn bounds_what_runs_and_how_long_more_wait() {
        let bulkhead = Bulkhead::new("x");
        let now = Instant::now();
        let running = bulkhead.enter(&limits(), now).expect("a turn");
        assert_eq!(bulkhead.enter(&limits(), now).err(), Some(Cause::Busy { running: 1, wait_ms: 1 }));
        assert_eq!(
            Cause::Busy { running: 1, wait_ms: 1 }.to_string(),
            "is busy (plugin_running_max = 1, plugin_turn_wait_max_ms = 1)"
        );
        let patient = Limits { plugin_turn_wait_max_ms: 60_000, ..limits() };
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| bulkhead.enter(&patient, now).is_ok());
            while bulkhead.inside().waiting == 0 {
                std::thread::yield_now();
            }
            drop(running);
            assert!(waits.join().expect("no panic"));
        });
    }
}
