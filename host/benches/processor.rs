//! Processor time of the calling thread: what a criterion bench measures where the clock on the wall would also count
//! the machine's other work.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// The processor time that so many turns take.
pub fn processor_time(turns: u64, mut turn: impl FnMut()) -> Duration {
    let now = || Duration::from(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("every Linux has this clock"));
    let began = now();
    (0..turns).for_each(|_| turn());
    now() - began
}
