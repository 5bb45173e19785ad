//! Where time, ids and randomness come from. They are passed in, so that a decision can be run again with what it
//! had; nothing outside this file asks the machine for them (`.clippy.toml` holds it).

use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

use uuid::{ContextV7, Timestamp, Uuid};

/// Counts the ids of one millisecond.
static IDS: Mutex<ContextV7> = Mutex::new(ContextV7::new());

/// An instant, in milliseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Millis(pub i64);

impl Millis {
    /// The machine's time.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    pub fn now() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
    }
}

/// A new id that sorts after every one that this process made before, also within a millisecond, and by time (UUID
/// version 7 with a counter, RFC 9562, 6.2).
#[expect(clippy::disallowed_methods, reason = "the one place that makes ids")]
pub fn new_id(at: Millis) -> String {
    let millis = u64::try_from(at.0).unwrap_or(0);
    let subsecond_nanos = u32::try_from(millis % 1000).unwrap_or(0) * 1_000_000;
    Uuid::new_v7(Timestamp::from_unix(&IDS, millis / 1000, subsecond_nanos)).to_string()
}

/// `N` bytes from the operating system's generator.
pub fn random_bytes<const N: usize>() -> [u8; N] {
    rand::random()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_one_millisecond_sort_as_they_were_made() {
        let at = Millis::now();
        let ids: Vec<String> = (0..1_000).map(|_| new_id(at)).collect();
        assert!(ids.is_sorted_by(|one, next| one < next));
        assert!(ids[999] < new_id(Millis(at.0 + 1)));
    }
}
