//! Keeps the number of time series bounded, whoever names plugins, kinds and bindings: of each label the first values
//! are told apart, and all that come later are one.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use metrics::{Counter, Gauge, Histogram, Key, KeyName, Label, Metadata, Recorder, SharedString, Unit};

/// What a value past the bound is called.
pub const OTHER: &str = "other";

/// The values of each label.
type Known = HashMap<String, HashSet<String>>;

/// A recorder whose labels are bounded.
pub struct Bounded<R> {
    inner: R,
    values_max: usize,
    known: ArcSwap<Known>,
    /// One who adds at a time.
    adding: Mutex<()>,
}

impl<R> Bounded<R> {
    /// Bounds what `inner` is given.
    pub fn new(inner: R, values_max: usize) -> Self {
        Self { inner, values_max, known: ArcSwap::default(), adding: Mutex::new(()) }
    }

    fn bounded<'k>(&self, key: &'k Key) -> Cow<'k, Key> {
        if !key.labels().all(|label| is_known(&self.known.load(), label)) {
            self.add(key);
        }
        let known = self.known.load();
        if key.labels().all(|label| is_known(&known, label)) {
            return Cow::Borrowed(key);
        }
        let bound = |label: &Label| match is_known(&known, label) {
            true => label.clone(),
            false => Label::new(label.key().to_owned(), OTHER),
        };
        Cow::Owned(Key::from_parts(key.name().to_owned(), key.labels().map(bound).collect::<Vec<_>>()))
    }

    /// Adds the values that there is room for. Once there is none, nothing is copied any more.
    fn add(&self, key: &Key) {
        let has_room = |known: &Known, label: &Label| {
            known.get(label.key()).map_or(0, HashSet::len) < self.values_max && !is_known(known, label)
        };
        if !key.labels().any(|label| has_room(&self.known.load(), label)) {
            return;
        }
        let _adding = self.adding.lock().unwrap_or_else(PoisonError::into_inner);
        let mut known = Known::clone(&self.known.load());
        for label in key.labels() {
            if has_room(&known, label) {
                known.entry(label.key().to_owned()).or_default().insert(label.value().to_owned());
            }
        }
        self.known.store(Arc::new(known));
    }
}

fn is_known(known: &Known, label: &Label) -> bool {
    known.get(label.key()).is_some_and(|values| values.contains(label.value()))
}

impl<R: Recorder> Recorder for Bounded<R> {
    fn describe_counter(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        self.inner.describe_counter(key, unit, description);
    }

    fn describe_gauge(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        self.inner.describe_gauge(key, unit, description);
    }

    fn describe_histogram(&self, key: KeyName, unit: Option<Unit>, description: SharedString) {
        self.inner.describe_histogram(key, unit, description);
    }

    fn register_counter(&self, key: &Key, metadata: &Metadata<'_>) -> Counter {
        self.inner.register_counter(&self.bounded(key), metadata)
    }

    fn register_gauge(&self, key: &Key, metadata: &Metadata<'_>) -> Gauge {
        self.inner.register_gauge(&self.bounded(key), metadata)
    }

    fn register_histogram(&self, key: &Key, metadata: &Metadata<'_>) -> Histogram {
        self.inner.register_histogram(&self.bounded(key), metadata)
    }
}

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;

    #[test]
    fn past_their_number_the_values_of_a_label_are_one() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        // As `metric_label_values_max` has it.
        let bounded = Bounded::new(recorder, 2);
        metrics::with_local_recorder(&bounded, || {
            for number in 0..1_000 {
                let (plugin, outcome) = (format!("plugin-{number}"), if number % 2 == 0 { "even" } else { "odd" });
                metrics::counter!("runs_total", "plugin" => plugin, "outcome" => outcome).increment(1);
            }
        });
        let mut lines: Vec<String> =
            handle.render().lines().filter(|line| line.starts_with("runs_total")).map(str::to_owned).collect();
        lines.sort();
        assert_eq!(
            lines,
            [
                r#"runs_total{plugin="other",outcome="even"} 499"#,
                r#"runs_total{plugin="other",outcome="odd"} 499"#,
                r#"runs_total{plugin="plugin-0",outcome="even"} 1"#,
                r#"runs_total{plugin="plugin-1",outcome="odd"} 1"#,
            ]
        );
    }
}
