//! Where consuming starts in each partition.
//!
//! - `start` and `end` are asked of the leader; a number is taken as it is; `-N` and `+N` are
//!   relative to the end and the start and never leave the log.

use std::str::FromStr;

use crate::cli::value::moment_ms;

/// `--offset`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StartAt {
    Start,
    End,
    Offset(i64),
    AfterStart(i64),
    BeforeEnd(i64),
    TimestampMs(i64),
}

impl FromStr for StartAt {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let expected = || {
            "expected start, end, an offset, +N (after the start), -N (before the end) or \
             @TIMESTAMP (ms or RFC 3339)"
                .to_owned()
        };
        let count = |digits: &str| {
            digits
                .parse::<i64>()
                .ok()
                .filter(|n| *n >= 0 && !digits.starts_with('+'))
        };
        match text {
            "start" | "beginning" | "earliest" => return Ok(Self::Start),
            "end" | "latest" => return Ok(Self::End),
            _ => {}
        }
        if let Some(moment) = text.strip_prefix('@').or_else(|| text.strip_prefix("s@")) {
            return moment_ms(moment).map(Self::TimestampMs);
        }
        if let Some(digits) = text.strip_prefix('-') {
            return count(digits).map(Self::BeforeEnd).ok_or_else(expected);
        }
        if let Some(digits) = text.strip_prefix('+') {
            return count(digits).map(Self::AfterStart).ok_or_else(expected);
        }
        count(text).map(Self::Offset).ok_or_else(expected)
    }
}

/// What the leader said of one partition.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) start: i64,
    pub(crate) end: i64,
    /// The first offset at or after the asked timestamp; none when every record is older.
    pub(crate) at_timestamp: Option<i64>,
}

impl StartAt {
    /// The first offset to read. An absolute offset is not bent into the log: asking for a record
    /// that is gone is an error that the user should see.
    pub(crate) fn resolve(self, bounds: Bounds) -> i64 {
        let Bounds {
            start,
            end,
            at_timestamp,
        } = bounds;
        match self {
            Self::Start => start,
            Self::End => end,
            Self::Offset(offset) => offset,
            Self::AfterStart(count) => start.saturating_add(count).min(end),
            Self::BeforeEnd(count) => end.saturating_sub(count).max(start),
            Self::TimestampMs(_) => at_timestamp.unwrap_or(end),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_take_the_spellings_of_kcat_and_rpk() {
        let cases = [
            ("start", StartAt::Start),
            ("beginning", StartAt::Start),
            ("end", StartAt::End),
            ("0", StartAt::Offset(0)),
            ("12", StartAt::Offset(12)),
            ("-5", StartAt::BeforeEnd(5)),
            ("+5", StartAt::AfterStart(5)),
            ("@1700000000000", StartAt::TimestampMs(1_700_000_000_000)),
            ("s@1700000000000", StartAt::TimestampMs(1_700_000_000_000)),
            (
                "@2026-01-31T08:00:00Z",
                StartAt::TimestampMs(1_769_846_400_000),
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
        for bad in [
            "",
            "--5",
            "+-5",
            "-+5",
            "++5",
            "begin",
            "@",
            "1.5",
            "99999999999999999999",
        ] {
            assert!(bad.parse::<StartAt>().is_err(), "{bad}");
        }
    }

    #[test]
    fn relative_positions_stay_inside_the_log() {
        let bounds = Bounds {
            start: 10,
            end: 20,
            at_timestamp: None,
        };
        assert_eq!(StartAt::BeforeEnd(3).resolve(bounds), 17);
        assert_eq!(StartAt::BeforeEnd(i64::MAX).resolve(bounds), 10);
        assert_eq!(StartAt::AfterStart(i64::MAX).resolve(bounds), 20);
        assert_eq!(StartAt::Offset(99).resolve(bounds), 99);
    }

    #[test]
    fn a_timestamp_after_the_last_record_starts_at_the_end() {
        let bounds = Bounds {
            start: 10,
            end: 20,
            at_timestamp: None,
        };
        assert_eq!(StartAt::TimestampMs(1).resolve(bounds), 20);
        let bounds = Bounds {
            at_timestamp: Some(12),
            ..bounds
        };
        assert_eq!(StartAt::TimestampMs(1).resolve(bounds), 12);
    }
}
