//! How long a guest may run. A guest pays with processor time of the thread that runs it, so that one on a busy
//! machine is not punished for its neighbours; a second, longer limit on the clock on the wall ends what waits.

use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};

use super::Cause;

/// The time that one guest has used, and may use.
pub struct Pace {
    allowance: Allowance,
    began: Instant,
    /// The thread's processor time at which the guest's share began; moved on by what is not the guest's.
    processor_began: Duration,
}

/// How much of it, under the names of the limits.
#[derive(Debug, Clone, Copy)]
pub enum Allowance {
    /// For one evaluation.
    Evaluation {
        /// Milliseconds of processor time.
        processor_max_ms: u64,
        /// Milliseconds of wall time.
        wall_max_ms: u64,
    },
    /// For `describe` and `configure`, which can wait for nothing and so need no limit of wall time.
    Configuration {
        /// Milliseconds of processor time.
        processor_max_ms: u64,
    },
    /// Without an end, for the host's own reading of a guest.
    Host,
}

impl Pace {
    /// Starts to count.
    pub fn start(allowance: Allowance) -> Self {
        Self { allowance, began: Instant::now(), processor_began: processor_time() }
    }

    /// Wall time since the start.
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Runs work that is the host's own: its processor time is not the guest's.
    pub fn exempt<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let before = processor_time();
        let result = work();
        self.processor_began += processor_time().saturating_sub(before);
        result
    }

    /// Ends a guest that has used up its time.
    pub fn check(&self) -> Result<(), Cause> {
        let has_used =
            |limit_ms| processor_time().saturating_sub(self.processor_began) >= Duration::from_millis(limit_ms);
        match self.allowance {
            Allowance::Evaluation { processor_max_ms, .. } if has_used(processor_max_ms) => {
                Err(Cause::Deadline { limit_ms: processor_max_ms })
            }
            Allowance::Evaluation { wall_max_ms, .. } if self.elapsed() >= Duration::from_millis(wall_max_ms) => {
                Err(Cause::Wall { limit_ms: wall_max_ms })
            }
            Allowance::Configuration { processor_max_ms } if has_used(processor_max_ms) => {
                Err(Cause::ConfigureDeadline { limit_ms: processor_max_ms })
            }
            _ => Ok(()),
        }
    }
}

fn processor_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)
        .map(Duration::from)
        .expect("every kernel that wasmtime runs on has this clock")
}
