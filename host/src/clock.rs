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

/// A text that is no instant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' is not an instant: write it as in 2026-12-31, which is its first moment in UTC, or 2026-12-31T18:00:00Z"
)]
pub struct NoInstant(String);

impl std::str::FromStr for Millis {
    type Err = NoInstant;

    /// Reads an instant (RFC 3339), or a date, which is its first moment in UTC.
    fn from_str(text: &str) -> Result<Self, NoInstant> {
        instant(text).map(Self).ok_or_else(|| NoInstant(text.chars().take(80).collect()))
    }
}

fn instant(text: &str) -> Option<i64> {
    let day = days(text.get(..10)?)? * 86_400_000;
    let Some(rest) = text.get(10..).filter(|rest| !rest.is_empty()) else { return Some(day) };
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let of_day = clock_time(rest.get(..5)?)? * 60_000;
    let rest = rest.get(5..)?.strip_prefix(':')?;
    let second = digits(rest.get(..2)?, 59)? * 1_000;
    let rest = rest.get(2..)?;
    let (fraction, zone) = match rest.strip_prefix('.') {
        Some(rest) => rest.split_at(rest.bytes().take_while(u8::is_ascii_digit).count()),
        None => ("0", rest),
    };
    // Finer than a millisecond is cut off.
    let millis = digits(format!("{:0<3}", fraction.get(..3).unwrap_or(fraction)).as_str(), 999)?;
    let offset = match zone.split_at_checked(1)? {
        ("Z" | "z", "") => 0,
        ("+", ahead) => clock_time(ahead)? * 60_000,
        ("-", behind) => -clock_time(behind)? * 60_000,
        _ => return None,
    };
    Some(day + of_day + second + millis - offset)
}

/// The days from 1970-01-01 to a date of the Gregorian calendar. Years are counted from March, so that the day that is
/// sometimes there is the last.
fn days(date: &str) -> Option<i64> {
    let mut parts = date.split('-');
    let (year, month, day) = (parts.next()?, digits(parts.next()?, 12)?, digits(parts.next()?, 31)?);
    let year = if year.len() == 4 { digits(year, 9_999)? } else { return None };
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days_of_month = match month {
        2 => 28 + i64::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    if date.len() != 10 || month < 1 || !(1..=days_of_month).contains(&day) {
        return None;
    }
    let from_march = year - i64::from(month <= 2);
    let (era, year_of_era) = (from_march.div_euclid(400), from_march.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    Some(era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468)
}

/// Minutes of `HH:MM`.
fn clock_time(text: &str) -> Option<i64> {
    let (hour, minute) = text.split_once(':')?;
    (text.len() == 5).then_some(())?;
    Some(digits(hour, 23)? * 60 + digits(minute, 59)?)
}

fn digits(text: &str, max: i64) -> Option<i64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten().filter(|number| *number <= max)
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
    fn reads_instants_and_dates() {
        for (text, millis) in [
            ("1970-01-01", 0),
            ("2026-11-20T17:40:56.123Z", 1_795_196_456_123),
            ("2026-11-20T17:40:56Z", 1_795_196_456_000),
            ("2026-11-20t19:40:56.1239+02:00", 1_795_196_456_123),
            ("2026-11-20 12:10:56.1-05:30", 1_795_196_456_100),
            ("2024-02-29", 1_709_164_800_000),
            ("1969-12-31T23:59:59.999Z", -1),
        ] {
            assert_eq!(text.parse(), Ok(Millis(millis)), "{text}");
        }
        for text in [
            "",
            "soon",
            "2026-02-29",
            "2026-13-01",
            "2026-11-20T",
            "2026-11-20T17:40Z",
            "2026-11-20T17:40:56",
            "2026-11-20T24:00:00Z",
            "26-11-20",
            "2026-1-200",
            "2026-11-20T17:40:56.Zé",
            "2026-11-20T1é:40:56Z",
        ] {
            assert!(text.parse::<Millis>().is_err(), "{text}");
        }
        assert_eq!(
            "soon".parse::<Millis>().expect_err("no instant").to_string(),
            "'soon' is not an instant: write it as in 2026-12-31, which is its first moment in UTC, or \
             2026-12-31T18:00:00Z"
        );
    }

    #[test]
    fn ids_of_one_millisecond_sort_as_they_were_made() {
        let at = Millis::now();
        let ids: Vec<String> = (0..1_000).map(|_| new_id(at)).collect();
        assert!(ids.is_sorted_by(|one, next| one < next));
        assert!(ids[999] < new_id(Millis(at.0 + 1)));
    }
}
