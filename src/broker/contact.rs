//! When the controller last said that this broker is alive. For so long as a session lasts from then on nobody else is
//! given what it leads, so what it knows of its groups is the newest that there is (C2).
//!
//! - A broker that is cut off, or was stopped for a while, finds its contact too old, and does not tell what may be older
//!   than what another one has acknowledged since.
//! - What counts is when the heartbeat was sent: the controller counts from a later moment.
//! - A broker that is fenced because its port was closed to the controller (a probe) is deposed sooner; then a client that
//!   reaches it all the same may hear what is older, for one session at the most.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ottla_storage::time::MonoMillis;

/// Nobody beats: there is no life yet.
const NEVER: u64 = u64::MAX;

/// The contact of this broker with the controller.
#[derive(Debug)]
pub struct Contact {
    session: Duration,
    /// When the heartbeat was sent, in milliseconds.
    sent: AtomicU64,
}

impl Contact {
    /// No contact yet, of a broker that is fenced after `session`.
    pub(super) fn new(session: Duration) -> Self {
        Self {
            session,
            sent: AtomicU64::new(NEVER),
        }
    }

    /// The controller has answered a heartbeat that was sent then: the broker is not fenced, and knows what it leads.
    pub(super) fn heard(&self, sent: MonoMillis) {
        self.sent.store(sent.as_millis(), Ordering::Release);
    }

    /// The last one until now.
    pub(crate) fn last(&self) -> LastContact {
        let sent = match self.sent.load(Ordering::Acquire) {
            NEVER => None,
            sent => Some(MonoMillis::from_millis(sent)),
        };
        LastContact {
            session: self.session,
            sent,
        }
    }
}

/// A contact that was once the last.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LastContact {
    session: Duration,
    sent: Option<MonoMillis>,
}

impl LastContact {
    /// Whether nobody else can have been given by now what this broker led when that was the last contact.
    pub(crate) fn is_recent(&self, now: MonoMillis) -> bool {
        self.sent.is_none_or(|sent| now.since(sent) < self.session)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> MonoMillis {
        MonoMillis::from_millis(millis)
    }

    #[test]
    fn contact_lasts_for_a_session_from_the_heartbeat_that_was_answered() {
        let contact = Contact::new(Duration::from_secs(9));
        assert!(contact.last().is_recent(at(100_000)));
        contact.heard(at(100_000));
        let first = contact.last();
        assert!(first.is_recent(at(108_999)));
        assert!(!first.is_recent(at(109_000)));
        contact.heard(at(108_500));
        assert!(contact.last().is_recent(at(109_000)));
        assert!(
            !first.is_recent(at(109_000)),
            "what was read then may be old"
        );
    }
}
