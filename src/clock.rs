//! The only reader of the clocks.
//!
//! Cores take time as an argument; drivers read it here, once per turn, and pass it on.

use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ottla_storage::time::{MonoMillis, WallMillis};

#[expect(clippy::disallowed_methods, reason = "this is the clock")]
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Milliseconds since the first reading in this process; never goes back.
pub fn mono() -> MonoMillis {
    MonoMillis::ZERO.saturating_add(uptime())
}

/// How long ago the first reading was taken.
pub fn uptime() -> Duration {
    START.elapsed()
}

/// The calendar: milliseconds since 1970. May jump both ways.
#[expect(clippy::disallowed_methods, reason = "this is the clock")]
pub fn wall() -> WallMillis {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    WallMillis::ZERO.saturating_add(since)
}

/// These clocks, for logs.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock;

impl ottla_storage::Clock for SystemClock {
    fn mono(&self) -> MonoMillis {
        mono()
    }

    fn wall(&self) -> WallMillis {
        wall()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_monotonic_clock_never_goes_back() {
        let readings: Vec<_> = (0..1000).map(|_| mono()).collect();
        assert!(readings.is_sorted());
    }

    #[test]
    fn the_calendar_is_after_1970() {
        assert!(wall() > WallMillis::ZERO);
    }
}
