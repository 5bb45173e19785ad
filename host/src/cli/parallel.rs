//! Many things at once, and no more than so many; what comes of them is in the order of the things.

use std::io::IsTerminal as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Does `work` to every item, `jobs` at once.
pub fn each<T: Sync, R: Send>(jobs: usize, items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<(usize, R)>> = Mutex::new(Vec::with_capacity(items.len()));
    std::thread::scope(|scope| {
        for _ in 0..jobs.clamp(1, items.len().max(1)) {
            scope.spawn(|| {
                while let Some((index, item)) = take(&next, items) {
                    let result = work(item);
                    done.lock().expect("nobody panics with it").push((index, result));
                }
            });
        }
    });
    let mut done = done.into_inner().expect("nobody panics with it");
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}

fn take<'a, T>(next: &AtomicUsize, items: &'a [T]) -> Option<(usize, &'a T)> {
    let index = next.fetch_add(1, Ordering::Relaxed);
    Some((index, items.get(index)?))
}

/// A bar on the standard error, where that is a terminal and there is more than one thing to wait for.
pub fn progress(count: usize, what: &str) -> ProgressBar {
    let is_shown = count > 1 && std::io::stderr().is_terminal();
    let target = if is_shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(u64::try_from(count).ok(), target);
    let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {eta}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.with_message(what.to_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    #[test]
    fn what_comes_is_in_order_however_many_work() {
        let items: Vec<usize> = (0..100).collect();
        for jobs in [0, 1, 7, 1000] {
            assert_eq!(each(jobs, &items, |item| item * 2), (0..200).step_by(2).collect::<Vec<_>>());
        }
        assert!(each(4, &[] as &[usize], |item| *item).is_empty());
    }

    #[test]
    fn as_many_work_at_once_as_are_told() {
        // Each waits until three are there.
        let barrier = Barrier::new(3);
        assert_eq!(each(3, &[(); 3], |()| barrier.wait().is_leader()).iter().filter(|leads| **leads).count(), 1);
    }
}
