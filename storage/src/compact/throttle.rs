//! `log.cleaner.io.max.bytes.per.second`: how long to wait after so many bytes.

use std::time::Duration;

use crate::time::MonoMillis;

/// Bytes are counted over this long: a wait is never made up for by a burst of more than that.
const WINDOW: Duration = Duration::from_millis(500);

/// The pace of one thread of the cleaner.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Throttle {
    /// Bytes a second; `None` is no limit.
    rate: Option<u64>,
    since: MonoMillis,
    bytes: u64,
}

impl Throttle {
    pub(crate) fn new(rate: Option<u64>, now: MonoMillis) -> Self {
        Self {
            rate: rate.map(|rate| rate.max(1)),
            since: now,
            bytes: 0,
        }
    }

    /// Notes that so many bytes were read or written; how long to wait before more.
    pub(crate) fn note(&mut self, bytes: u64, now: MonoMillis) -> Duration {
        let Some(rate) = self.rate else {
            return Duration::ZERO;
        };
        self.bytes = self.bytes.saturating_add(bytes);
        let due = self.bytes.saturating_mul(1000) / rate;
        let spent = now.since(self.since);
        let wait = Duration::from_millis(due).saturating_sub(spent);
        if wait.is_zero() && spent >= WINDOW {
            self.since = now;
            self.bytes = 0;
        }
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pace_is_kept_and_idle_time_is_not_saved_up() {
        let at = MonoMillis::from_millis;
        let mut throttle = Throttle::new(Some(1000), at(0));
        assert_eq!(throttle.note(100, at(0)), Duration::from_millis(100));
        assert_eq!(throttle.note(100, at(100)), Duration::from_millis(100));
        // A minute of rest is not a minute's worth of bytes at once.
        assert_eq!(throttle.note(100, at(60_000)), Duration::ZERO);
        assert_eq!(throttle.note(1000, at(60_000)), Duration::from_secs(1));
        assert_eq!(
            Throttle::new(None, at(0)).note(u64::MAX, at(0)),
            Duration::ZERO
        );
    }
}
