//! Two kinds of time, and no way from one to the other.
//!
//! [`MonoMillis`] never goes back and means nothing outside this process: sessions, lag, deadlines.
//! [`WallMillis`] is the calendar, may jump both ways, and is what records carry and retention
//! compares. A clock step may cost availability, never safety, because the types do not mix.

use std::fmt;
use std::time::Duration;

/// Milliseconds on the process's monotonic clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MonoMillis(u64);

impl MonoMillis {
    /// The clock's origin.
    pub const ZERO: Self = Self(0);
    /// Later than every deadline.
    pub const MAX: Self = Self(u64::MAX);

    /// A reading of `millis` since the clock's origin.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the clock's origin.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// The moment `wait` later, at most [`MonoMillis::MAX`]. Parts of a millisecond are dropped.
    #[must_use]
    pub fn saturating_add(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(whole_millis(wait)))
    }

    /// How long after `earlier` this is; zero if it is not later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for MonoMillis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", self.0)
    }
}

/// Milliseconds since 1970-01-01 UTC: the clock on the wall and the timestamp of a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WallMillis(i64);

impl WallMillis {
    /// The epoch.
    pub const ZERO: Self = Self(0);
    /// What a record without a timestamp carries, and the maximum of none.
    pub const NONE: Self = Self(-1);
    /// Later than every timestamp.
    pub const MAX: Self = Self(i64::MAX);

    /// A timestamp as it stands in a record; negatives other than [`WallMillis::NONE`] are kept as
    /// they are, because a client may send them.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the epoch, or -1.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// The moment `wait` later, at most [`WallMillis::MAX`].
    #[must_use]
    pub fn saturating_add(self, wait: Duration) -> Self {
        Self(self.0.saturating_add_unsigned(whole_millis(wait)))
    }

    /// The moment `wait` earlier.
    #[must_use]
    pub fn saturating_sub(self, wait: Duration) -> Self {
        Self(self.0.saturating_sub_unsigned(whole_millis(wait)))
    }

    /// `self - earlier` in milliseconds, saturating; negative if `earlier` is the later one.
    pub const fn millis_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for WallMillis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

fn whole_millis(wait: Duration) -> u64 {
    u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_stops_at_the_ends() {
        let second = Duration::from_secs(1);
        assert_eq!(MonoMillis::MAX.saturating_add(second), MonoMillis::MAX);
        assert_eq!(
            MonoMillis::ZERO.since(MonoMillis::from_millis(5)),
            Duration::ZERO
        );
        assert_eq!(
            WallMillis::MAX.saturating_add(Duration::MAX),
            WallMillis::MAX
        );
        assert_eq!(
            WallMillis::ZERO.saturating_sub(second),
            WallMillis::from_millis(-1000)
        );
        assert_eq!(
            WallMillis::from_millis(i64::MIN).millis_since(WallMillis::MAX),
            i64::MIN
        );
    }
}
