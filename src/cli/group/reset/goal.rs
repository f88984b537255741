//! Where a group's offsets are to go.

use std::str::FromStr;

use anyhow::{Result, bail};
use jiff::{Span, SpanRelativeTo};

use crate::cli::value::{moment_ms, rfc3339};
use crate::clock;

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub(super) struct GoalFlags {
    /// To the start of the log
    #[arg(long)]
    to_earliest: bool,
    /// To the end of the log
    #[arg(long)]
    to_latest: bool,
    /// To this offset
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(0..))]
    to_offset: Option<i64>,
    /// To the first record at or after this time: RFC 3339, a date (UTC where it names no zone), or
    /// milliseconds since 1970
    #[arg(long, value_name = "TIME", value_parser = moment_ms)]
    to_datetime: Option<i64>,
    /// By so many records, back if negative
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    shift_by: Option<i64>,
    /// To the first record that is no older than this: `PnDTnHnMnS`, such as PT1H30M or P7D
    #[arg(long, value_name = "DURATION")]
    by_duration: Option<Age>,
    /// To where it is, or to the end of the log where it has no offset
    #[arg(long)]
    to_current: bool,
}

impl GoalFlags {
    pub(super) fn goal(&self) -> Result<Goal> {
        Ok(match *self {
            Self {
                to_earliest: true, ..
            } => Goal::Earliest,
            Self {
                to_latest: true, ..
            } => Goal::Latest,
            Self {
                to_current: true, ..
            } => Goal::Current,
            Self {
                to_offset: Some(offset),
                ..
            } => Goal::Offset(offset),
            Self {
                to_datetime: Some(ms),
                ..
            } => Goal::TimestampMs(ms.max(0)),
            Self {
                by_duration: Some(Age(ms)),
                ..
            } => Goal::TimestampMs(clock::wall().as_millis().saturating_sub(ms).max(0)),
            Self {
                shift_by: Some(count),
                ..
            } => Goal::Shift(count),
            // Clap demands one.
            _ => bail!("say where the offsets are to go, for example --to-earliest"),
        })
    }
}

/// An ISO 8601 duration in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Age(i64);

impl FromStr for Age {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let span = text.parse::<Span>().ok();
        // Months have no length of their own; days are of 24 hours, as for Kafka's tool.
        let duration =
            span.and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()).ok());
        let ms = duration.map(|duration| duration.as_millis());
        let ms = ms
            .and_then(|ms| i64::try_from(ms).ok())
            .filter(|ms| *ms >= 0);
        ms.map(Self)
            .ok_or_else(|| "expected a duration PnDTnHnMnS, such as PT1H30M or P7D".to_owned())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Goal {
    Earliest,
    Latest,
    Offset(i64),
    TimestampMs(i64),
    Shift(i64),
    Current,
}

/// What is known of one partition.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    pub(super) committed: Option<i64>,
    pub(super) start: i64,
    pub(super) end: i64,
    /// None when every record is older.
    pub(super) at_timestamp: Option<i64>,
}

impl Goal {
    /// The moment that was understood, as RFC 3339.
    pub(super) fn time(self) -> Option<String> {
        match self {
            Self::TimestampMs(ms) => Some(rfc3339(ms)),
            Self::Earliest | Self::Latest | Self::Offset(_) | Self::Shift(_) | Self::Current => {
                None
            }
        }
    }

    /// What is asked for, and what that is within the log. `None` if it depends on an offset that
    /// the group does not have. The current offset is kept as it is, as Kafka's tool does.
    pub(super) fn resolve(self, known: Known) -> Option<(i64, i64)> {
        let Known {
            committed,
            start,
            end,
            at_timestamp,
        } = known;
        let within = |offset: i64| (offset, offset.min(end).max(start));
        Some(match self {
            Self::Earliest => within(start),
            Self::Latest => within(end),
            Self::TimestampMs(_) => within(at_timestamp.unwrap_or(end)),
            Self::Offset(offset) => within(offset),
            Self::Shift(count) => within(committed?.saturating_add(count)),
            Self::Current => {
                let offset = committed.unwrap_or(end);
                (offset, offset)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: Known = Known {
        committed: Some(15),
        start: 10,
        end: 20,
        at_timestamp: None,
    };

    #[test]
    fn offsets_stay_within_the_log() {
        for (goal, expected) in [
            (Goal::Earliest, (10, 10)),
            (Goal::Latest, (20, 20)),
            (Goal::Offset(12), (12, 12)),
            (Goal::Offset(3), (3, 10)),
            (Goal::Offset(99), (99, 20)),
            (Goal::Shift(-2), (13, 13)),
            (Goal::Shift(-9), (6, 10)),
            (Goal::Shift(i64::MAX), (i64::MAX, 20)),
            (Goal::TimestampMs(1), (20, 20)),
            (Goal::Current, (15, 15)),
        ] {
            assert_eq!(goal.resolve(LOG), Some(expected), "{goal:?}");
        }
    }

    #[test]
    fn a_time_is_where_its_record_is() {
        let known = Known {
            at_timestamp: Some(12),
            ..LOG
        };
        let goal = Goal::TimestampMs(1_769_846_400_000);
        assert_eq!(goal.resolve(known), Some((12, 12)));
        assert_eq!(goal.time().unwrap(), "2026-01-31T08:00:00.000Z");
        assert_eq!(Goal::Latest.time(), None);
    }

    #[test]
    fn without_an_offset_there_is_nothing_to_shift_and_the_current_is_the_end() {
        let known = Known {
            committed: None,
            ..LOG
        };
        assert_eq!(Goal::Shift(1).resolve(known), None);
        assert_eq!(Goal::Current.resolve(known), Some((20, 20)));
    }

    #[test]
    fn durations_are_those_of_iso_8601() {
        for (text, ms) in [
            ("PT1H30M", 5_400_000),
            ("P1DT1S", 86_401_000),
            ("P7D", 604_800_000),
            ("PT0S", 0),
        ] {
            assert_eq!(text.parse(), Ok(Age(ms)), "{text}");
        }
        for bad in ["", "P", "P1M", "P1Y", "-PT1H", "1 fortnight"] {
            assert!(bad.parse::<Age>().is_err(), "{bad}");
        }
    }
}
