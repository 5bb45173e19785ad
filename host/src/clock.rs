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

    /// As text (RFC 3339), in UTC: `2026-11-20T17:40:56.123Z`.
    pub fn rfc3339(self) -> String {
        let (days, of_day) = (self.0.div_euclid(86_400_000), self.0.rem_euclid(86_400_000));
        let (year, month, day) = civil(days);
        let (hour, minute, second) = (of_day / 3_600_000, of_day / 60_000 % 60, of_day / 1_000 % 60);
        let subsecond = of_day % 1_000;
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{subsecond:03}Z")
    }

    /// Reads what `rfc3339` writes; seconds and their fraction may be left out, and the time of day altogether.
    pub fn from_rfc3339(text: &str) -> Option<Self> {
        let (date, time) = match text.split_once('T') {
            Some((date, time)) => (date, time.strip_suffix('Z')?),
            None => (text, "00:00"),
        };
        let number = |text: &str, digits: usize| -> Option<i64> {
            let is_number = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
            if is_number { text.parse().ok() } else { None }
        };
        let mut date = date.splitn(3, '-');
        let year = number(date.next()?, 4)?;
        let month = number(date.next()?, 2).filter(|month| (1..=12).contains(month))?;
        let day = number(date.next()?, 2)?;
        let mut time = time.splitn(3, ':');
        let hour = number(time.next()?, 2).filter(|hour| *hour < 24)?;
        let minute = number(time.next()?, 2).filter(|minute| *minute < 60)?;
        let (second, fraction) = time.next().map_or(("00", "0"), |rest| rest.split_once('.').unwrap_or((rest, "0")));
        let second = number(second, 2).filter(|second| *second < 60)?;
        let millis = number(fraction, fraction.len().min(9)).map(|_| format!("{fraction:0<3}"))?;
        let days = days_of(year, month, day);
        if civil(days) != (year, month, day) {
            return None;
        }
        let of_day = (hour * 60 + minute) * 60 + second;
        Some(Self(days * 86_400_000 + of_day * 1_000 + millis[..3].parse::<i64>().ok()?))
    }
}

/// The day from 1970-01-01 of a Gregorian date: what `civil` takes back. Of a date that there is not, some other day.
fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let year_from_march = if month <= 2 { year - 1 } else { year };
    let era = year_from_march.div_euclid(400);
    let year_of_era = year_from_march.rem_euclid(400);
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
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

/// An instant as text: `2026-11-20T17:40:56.123Z`.
#[derive(Debug, Clone, Copy)]
pub struct Instant(pub Millis);

impl std::fmt::Display for Instant {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0.rfc3339())
    }
}

impl utoipa::PartialSchema for Instant {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .format(Some(utoipa::openapi::SchemaFormat::KnownFormat(utoipa::openapi::KnownFormat::DateTime)))
            .description(Some("An instant (RFC 3339) in UTC, with milliseconds."))
            .into()
    }
}

impl utoipa::ToSchema for Instant {
    fn name() -> std::borrow::Cow<'static, str> {
        std::borrow::Cow::Borrowed("Instant")
    }
}

impl serde::Serialize for Instant {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A text that is no instant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' is not an instant: write it as in 2026-12-31, which is its first moment in UTC, or 2026-12-31T18:00:00Z"
)]
pub struct NoInstant(String);

impl FromStr for Instant {
    type Err = NoInstant;

    fn from_str(text: &str) -> Result<Self, NoInstant> {
        text.parse().map(Self)
    }
}

impl FromStr for Millis {
    type Err = NoInstant;

    /// Reads an instant (RFC 3339), or a date, which is its first moment in UTC.
    fn from_str(text: &str) -> Result<Self, NoInstant> {
        Self::from_rfc3339(text).ok_or_else(|| NoInstant(text.chars().take(80).collect()))
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
    fn instants_are_read_as_they_are_written() {
        for at in [0, 1, 951_782_399_999, 951_782_400_000, 1_795_196_456_123, -1, 4_102_444_800_000] {
            assert_eq!(Millis::from_rfc3339(&Millis(at).rfc3339()), Some(Millis(at)));
        }
        let read = |text| Millis::from_rfc3339(text).map(Millis::rfc3339);
        assert_eq!(read("2026-11-20").as_deref(), Some("2026-11-20T00:00:00.000Z"));
        assert_eq!(read("2024-02-29T17:40Z").as_deref(), Some("2024-02-29T17:40:00.000Z"));
        assert_eq!(read("2026-11-20T17:40:56.5Z").as_deref(), Some("2026-11-20T17:40:56.500Z"));
        for wrong in [
            "",
            "yesterday",
            "2026-02-29",
            "2026-13-01",
            "2026-11-00",
            "26-11-20",
            "2026-11-20T17:40",
            "2026-11-20T24:00Z",
            "2026-11-20T17:40:60Z",
            "2026-11-20T17:40:00.Z",
            "2026-11-20T17:40:00.1234567890Z",
            "2026-11-2üT00:00Z",
            "2026-11-20T17:40:00.12éZ",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn says_how_an_instant_is_written() {
        assert_eq!("2026-11-20".parse(), Ok(Millis(1_795_132_800_000)));
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
}
