//! Small values on the command line: `key=value`, durations, sizes, moments, escapes.
//!
//! Every parser takes the whole text or refuses it with what it expected.

use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

/// `key=value`; the value may hold further `=` signs and may be empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyValue {
    pub(crate) key: String,
    pub(crate) value: String,
}

impl FromStr for KeyValue {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('=') {
            Some((key, value)) if !key.trim().is_empty() => Ok(Self {
                key: key.trim().to_owned(),
                value: value.to_owned(),
            }),
            _ => Err("expected KEY=VALUE".to_owned()),
        }
    }
}

/// `250ms`, `5s`, `2m`, `1h`; a bare number is milliseconds, as in Kafka's settings.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let expected = || "expected a duration such as 500ms, 5s, 2m or 1h".to_owned();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = text.get(digits.len()..).unwrap_or_default();
    let number: u64 = digits.parse().map_err(|_| expected())?;
    let millis_per_unit: u64 = match unit {
        "" | "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(expected()),
    };
    number
        .checked_mul(millis_per_unit)
        .map(Duration::from_millis)
        .ok_or_else(expected)
}

/// `65536`, `64KiB`, `1MiB`, also `k`, `m`, `g` (powers of 1024).
pub(crate) fn size(text: &str) -> Result<usize, String> {
    let expected = || "expected a size such as 65536, 64KiB or 1MiB".to_owned();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = text
        .get(digits.len()..)
        .unwrap_or_default()
        .to_ascii_lowercase();
    let number: usize = digits.parse().map_err(|_| expected())?;
    let shift: u32 = match unit.as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        _ => return Err(expected()),
    };
    number.checked_mul(1 << shift).ok_or_else(expected)
}

/// A moment as milliseconds since 1970: a bare number, RFC 3339 (`2026-01-31T08:00:00Z`), or a date
/// with or without a time of day in UTC, as Kafka's tools read one that names no zone.
pub(crate) fn moment_ms(text: &str) -> Result<i64, String> {
    match text.parse::<i64>() {
        Ok(ms) if ms == 0 || ms >= BARE_MS_MIN => return Ok(ms),
        Ok(_) => {
            return Err(
                "so small a number is no time in milliseconds since 1970: seconds need three more \
                 digits, a date is written 2026-01-31"
                    .to_owned(),
            );
        }
        Err(_) => {}
    }
    if let Ok(timestamp) = text.parse::<Timestamp>() {
        return Ok(timestamp.as_millisecond());
    }
    // A civil time takes a zone in brackets and does not heed it.
    let civil = Some(text).filter(|text| !text.contains('['));
    let civil = civil.and_then(|text| {
        let midnight = |date: Date| date.to_datetime(jiff::civil::Time::midnight());
        let date = || text.parse::<Date>().map(midnight);
        text.parse::<DateTime>().or_else(|_| date()).ok()
    });
    let timestamp = civil.and_then(|civil| TimeZone::UTC.to_timestamp(civil).ok());
    timestamp.map(Timestamp::as_millisecond).ok_or_else(|| {
        "expected milliseconds since 1970 or a time such as 2026-01-31T08:00:00Z (UTC where it \
         names no zone)"
            .to_owned()
    })
}

/// A bare number below is more likely a year, a date without dashes, or in seconds: 3 March 1973.
const BARE_MS_MIN: i64 = 100_000_000_000;

/// Milliseconds since 1970 as RFC 3339 with milliseconds, or the number itself where no calendar
/// reaches.
pub(crate) fn rfc3339(ms: i64) -> String {
    Timestamp::from_millisecond(ms)
        .map_or_else(|_| ms.to_string(), |timestamp| format!("{timestamp:.3}"))
}

/// A separator with the usual escapes: `\t`, `\n`, `\r`, `\0`, `\\`, `\xHH`.
pub(crate) fn escaped_bytes(text: &str) -> Result<Bytes, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if c == '\\' {
            bytes.push(escape(&mut rest)?);
        } else {
            bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
    Ok(Bytes(bytes))
}

/// Bytes given as an escaped string. A type of its own: clap reads a `Vec<u8>` as a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bytes(pub(crate) Vec<u8>);

/// The byte that stands after a backslash.
pub(crate) fn escape(rest: &mut std::str::Chars<'_>) -> Result<u8, String> {
    match rest.next() {
        Some('n') => Ok(b'\n'),
        Some('r') => Ok(b'\r'),
        Some('t') => Ok(b'\t'),
        Some('0') => Ok(0),
        Some('\\') => Ok(b'\\'),
        Some('x') => {
            let digits: String = rest.by_ref().take(2).collect();
            u8::from_str_radix(&digits, 16)
                .ok()
                .filter(|_| digits.len() == 2)
                .ok_or_else(|| "expected two hexadecimal digits after \\x".to_owned())
        }
        Some(other) => Err(format!("unknown escape \\{other}")),
        None => Err("a backslash at the end escapes nothing".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_may_hold_equal_signs_and_be_empty() {
        let parsed: KeyValue = "a=b=c".parse().unwrap();
        assert_eq!((parsed.key.as_str(), parsed.value.as_str()), ("a", "b=c"));
        assert_eq!("a=".parse::<KeyValue>().unwrap().value, "");
        assert!("a".parse::<KeyValue>().is_err());
        assert!("=b".parse::<KeyValue>().is_err());
    }

    #[test]
    fn durations_take_units_and_bare_milliseconds() {
        assert_eq!(duration("250"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("5s"), Ok(Duration::from_secs(5)));
        assert_eq!(duration("2m"), Ok(Duration::from_mins(2)));
        for bad in ["", "s", "5 s", "-1s", "99999999999999999999", "5d"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes_take_binary_units() {
        assert_eq!(size("64KiB"), Ok(65_536));
        assert_eq!(size("1m"), Ok(1_048_576));
        assert!(size("1 TiB").is_err());
    }

    #[test]
    fn moments_are_milliseconds_or_rfc_3339() {
        assert_eq!(moment_ms("1700000000000"), Ok(1_700_000_000_000));
        assert_eq!(moment_ms("0"), Ok(0));
        assert_eq!(moment_ms("2026-01-31T08:00:00Z"), Ok(1_769_846_400_000));
        for text in [
            "2026-01-31T08:00:00.250+01:00",
            "2026-01-31T08:00:00.250+0100",
            "2026-01-31T08:00:00.250+01",
        ] {
            assert_eq!(moment_ms(text), Ok(1_769_842_800_250), "{text}");
        }
        for bad in [
            "yesterday",
            "",
            "2026-02-30",
            "2026-01-31T08:00:00[Europe/Berlin]",
        ] {
            assert!(moment_ms(bad).is_err(), "{bad}");
        }
    }

    /// Kafka's tools read it so. In the zone of the machine one command would mean other records
    /// on other machines.
    #[test]
    fn a_moment_without_a_zone_is_in_utc() {
        for text in [
            "2026-01-31T08:00:00",
            "2026-01-31T08:00",
            "2026-01-31 08:00:00.000",
        ] {
            assert_eq!(moment_ms(text), Ok(1_769_846_400_000), "{text}");
        }
        assert_eq!(moment_ms("2026-01-31"), Ok(1_769_817_600_000));
    }

    /// 2026 was taken for two seconds after the beginning of 1970: before every record.
    #[test]
    fn a_year_or_seconds_are_not_milliseconds() {
        for bad in ["2026", "20260131", "1769846400", "99999999999", "-1000"] {
            let refusal = moment_ms(bad).unwrap_err();
            assert!(refusal.contains("2026-01-31"), "{bad}: {refusal}");
        }
        assert_eq!(moment_ms("100000000000"), Ok(100_000_000_000));
    }

    #[test]
    fn moments_print_as_rfc_3339() {
        assert_eq!(rfc3339(1_769_842_800_250), "2026-01-31T07:00:00.250Z");
        assert_eq!(rfc3339(i64::MAX), i64::MAX.to_string());
    }

    #[test]
    fn separators_take_escapes() {
        assert_eq!(escaped_bytes("\\t|\\x00\\xff").unwrap().0, b"\t|\x00\xff");
        for bad in ["\\", "\\q", "\\x1", "\\xzz"] {
            assert!(escaped_bytes(bad).is_err(), "{bad}");
        }
    }
}
