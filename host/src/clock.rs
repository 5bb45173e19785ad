//! Where time, ids and randomness come from. They are passed in, so that a decision can be run again with what it
//! had; nothing outside this file asks the machine for them (`.clippy.toml` holds it).

use std::str::FromStr;
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

/// An instant as text: `2026-11-20T17:40:56.123Z`.
#[derive(Debug, Clone, Copy)]
pub struct Instant(pub Millis);

impl std::fmt::Display for Instant {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let millis = self.0.0;
        let (days, of_day) = (millis.div_euclid(86_400_000), millis.rem_euclid(86_400_000));
        let (year, month, day) = civil(days);
        let (hour, minute, second) = (of_day / 3_600_000, of_day / 60_000 % 60, of_day / 1_000 % 60);
        let subsecond = of_day % 1_000;
        write!(formatter, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{subsecond:03}Z")
    }
}

impl serde::Serialize for Instant {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The Gregorian date of a day counted from 1970-01-01. Years are counted from March, so that the day that is
/// sometimes there is the last.
fn civil(days: i64) -> (i64, i64, i64) {
    let from_march_0000 = days + 719_468;
    let era = from_march_0000.div_euclid(146_097);
    let day_of_era = from_march_0000.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// A text that is no instant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not an instant: write a date, or an instant in UTC as in 2026-11-20T17:40:56Z (RFC 3339)")]
pub struct NoInstant(String);

impl FromStr for Instant {
    type Err = NoInstant;

    /// Reads `2026-11-20T17:40:56.123Z`, with any fraction of a second or none, and `2026-11-20` for its first instant.
    fn from_str(text: &str) -> Result<Self, NoInstant> {
        read_instant(text).map(Self).ok_or_else(|| NoInstant(text.chars().take(80).collect()))
    }
}

fn read_instant(text: &str) -> Option<Millis> {
    let number = |digits: &str, length: usize, range: std::ops::RangeInclusive<i64>| -> Option<i64> {
        let is_number = digits.len() == length && digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse().ok().filter(|number| is_number && range.contains(number))
    };
    let (date, time) = text.split_once('T').map_or((text, None), |(date, time)| (date, Some(time)));
    let mut parts = date.split('-');
    let mut part = |length, range| number(parts.next()?, length, range);
    let (year, month, day) = (part(4, 0..=9_999)?, part(2, 1..=12)?, part(2, 1..=31)?);
    let days = days_of(year, month, day);
    if parts.next().is_some() || civil(days) != (year, month, day) {
        return None;
    }
    let Some(time) = time else { return Some(Millis(days * 86_400_000)) };
    let (whole, fraction) = time.strip_suffix('Z')?.split_once('.').unwrap_or((time.strip_suffix('Z')?, "0"));
    let mut parts = whole.split(':');
    let mut part = |range| number(parts.next()?, 2, range);
    let (hour, minute, second) = (part(0..=23)?, part(0..=59)?, part(0..=59)?);
    if parts.next().is_some() || fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let millis: i64 = format!("{fraction:0<3}")[..3].parse().ok()?;
    Some(Millis(days * 86_400_000 + hour * 3_600_000 + minute * 60_000 + second * 1_000 + millis))
}

/// The day, counted from 1970-01-01, of a Gregorian date: what `civil` undoes.
fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let (year, month_from_march) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
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

    #[test]
    fn instants_are_rfc_3339() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_763_660_456_123, "2025-11-20T17:40:56.123Z"),
            (4_107_542_399_999, "2100-02-28T23:59:59.999Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(Instant(Millis(millis)).to_string(), text);
            assert_eq!(text.parse::<Instant>().expect(text).0, Millis(millis));
        }
    }

    #[test]
    fn reads_dates_and_instants_and_nothing_else() {
        for (text, millis) in [
            ("1970-01-02", 86_400_000),
            ("1970-01-01T00:00:01Z", 1_000),
            ("1970-01-01T00:00:01.5Z", 1_500),
            ("1970-01-01T00:00:01.123999Z", 1_123),
        ] {
            assert_eq!(text.parse::<Instant>().expect(text).0, Millis(millis));
        }
        for wrong in [
            "",
            "1970",
            "1970-1-1",
            "2001-02-29",
            "1970-13-01",
            "1970-01-01T",
            "1970-01-01T00:00Z",
            "1970-01-01T24:00:00Z",
            "1970-01-01T00:00:00",
            "1970-01-01T00:00:00+01:00",
            "1970-01-01T00:00:00.Z",
            "+970-01-01",
            "1970-01-01-01",
            "1970-01-01T00:00:00.éZ",
        ] {
            assert!(wrong.parse::<Instant>().is_err(), "{wrong}");
        }
        assert_eq!(
            "soon".parse::<Instant>().expect_err("no instant").to_string(),
            "'soon' is not an instant: write a date, or an instant in UTC as in 2026-11-20T17:40:56Z (RFC 3339)"
        );
    }
}
