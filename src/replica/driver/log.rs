//! The log of a partition: where it is on its way from closed to open to gone.
//!
//! - It is opened by its directory's I/O thread when it is first needed; until then requests wait in the queue.
//! - Once it is doomed or gone nothing brings it back: what waits is refused.

use std::sync::mpsc;

use ottla_storage::LogEvent;
use ottla_storage::log::PartitionLog;
use ottla_storage::time::MonoMillis;

use super::super::core::effect::{self, LogBounds};
use super::super::{OPEN_PAUSE, OpenFailure, OpenedLog};
use super::{Driver, Part};

/// Where the log is.
#[derive(Debug)]
pub(super) enum Log {
    Closed,
    /// The I/O thread is at it; whether a scan has ended meanwhile.
    Opening {
        is_scanned: bool,
    },
    /// It waits for its scan.
    Recovering,
    /// It can't be opened just now: requests are refused, and one that comes later tries again.
    Unavailable,
    Open(Box<PartitionLog>),
    /// It is on its way here, and goes on from here at once.
    Doomed(Disposal),
    /// There is none, and never will be.
    Gone,
}

impl Log {
    /// Whether requests wait for it.
    pub(super) fn is_awaited(&self) -> bool {
        matches!(self, Self::Closed | Self::Opening { .. } | Self::Recovering)
    }
}

/// What becomes of a log that comes when nobody wants it any more.
#[derive(Debug)]
pub(super) enum Disposal {
    /// Its directory is offline: nothing.
    Keep,
    Delete,
    Close(Closing),
}

/// Dropped when a log is closed; whoever stops the node waits for all of them.
pub(crate) type Closing = mpsc::SyncSender<()>;

impl Driver {
    pub(super) fn open(&mut self) {
        let is_closed = matches!(self.log, Log::Closed | Log::Unavailable);
        if is_closed {
            self.start_opening();
        }
    }

    /// Opens a log of which retention or the cleaner may take something; the next pass finds it open.
    pub(super) fn open_to_retain(&mut self) {
        let Some(replica) = self.replica.upgrade() else {
            return;
        };
        let compaction = &self.config.log.compaction;
        let rolls_by_itself = compaction.is_enabled && compaction.lag_max.is_some();
        if self.directories.holds_inactive_segments(&replica)
            || (rolls_by_itself && self.directories.holds_records(&replica))
        {
            self.open();
        }
    }

    fn start_opening(&mut self) {
        if let Some(replica) = self.replica.upgrade() {
            self.log = Log::Opening { is_scanned: false };
            let is_led = matches!(self.part, Some(Part::Lead(_)));
            let config = self.config.log.clone();
            self.directories.open(replica, config, is_led);
        }
    }

    pub(super) fn opened(&mut self, now: MonoMillis, result: Result<OpenedLog, OpenFailure>) {
        let is_scanned = match std::mem::replace(&mut self.log, Log::Gone) {
            Log::Opening { is_scanned } => is_scanned,
            Log::Doomed(disposal) => {
                self.dispose(result.ok().map(|opened| opened.log), disposal);
                return;
            }
            other => unreachable!("only one opening is under way: {other:?}"),
        };
        match result {
            Ok(OpenedLog {
                mut log,
                high_watermark,
            }) => {
                self.turn.is_changed = true;
                log.set_config(self.config.log.clone());
                let bounds = bounds(&log);
                self.log = Log::Open(Box::new(log));
                self.opened_high_watermark = high_watermark;
                if let Some(part) = self.part.take() {
                    self.play(now, part, bounds);
                }
            }
            // The end of the scan came first, and is not announced again.
            Err(OpenFailure::Unrecovered) if is_scanned => self.start_opening(),
            Err(OpenFailure::Unrecovered) => self.log = Log::Recovering,
            // To readers it is closed as before: nobody is woken, or who waits would ask again at once, for ever.
            Err(OpenFailure::Unavailable) => {
                self.log = Log::Unavailable;
                if let Some(replica) = self.replica.upgrade() {
                    replica.may_ask_open_again(now.saturating_add(OPEN_PAUSE));
                }
            }
            Err(OpenFailure::Offline) => {
                self.end(now, effect::Event::Offline, Disposal::Keep);
            }
        }
    }

    pub(super) fn log_event(&mut self, now: MonoMillis, event: LogEvent) {
        match event {
            LogEvent::Flushed { .. } => self.moved(now),
            LogEvent::FlushFailed | LogEvent::RecoveryFailed => {
                self.end(now, effect::Event::Offline, Disposal::Keep);
            }
            LogEvent::Recovered { .. } => match &mut self.log {
                Log::Recovering => self.start_opening(),
                Log::Opening { is_scanned } => *is_scanned = true,
                _ => {}
            },
            LogEvent::CleanerWaits => {
                if let Log::Open(log) = &mut self.log {
                    self.turn.is_changed |= log.serve_cleaner();
                }
            }
            LogEvent::FilesReady => {
                if let Log::Open(log) = &mut self.log {
                    log.is_ready();
                }
                self.moved(now);
            }
        }
    }

    /// Nothing leads back from here: what waits is refused, and the log is let go.
    pub(super) fn end(&mut self, now: MonoMillis, event: effect::Event, disposal: Disposal) {
        self.turn.is_changed = true;
        self.part = None;
        self.decide(now, event);
        match std::mem::replace(&mut self.log, Log::Gone) {
            Log::Open(log) => self.dispose(Some(*log), disposal),
            Log::Closed | Log::Unavailable | Log::Recovering => self.dispose(None, disposal),
            Log::Opening { .. } => self.log = Log::Doomed(disposal),
            Log::Doomed(earlier) => self.log = Log::Doomed(later_of(earlier, disposal)),
            Log::Gone => {}
        }
    }

    fn dispose(&self, log: Option<PartitionLog>, disposal: Disposal) {
        let Some(replica) = self.replica.upgrade() else {
            return;
        };
        match (log, disposal) {
            (_, Disposal::Keep) | (None, Disposal::Close(_)) => {}
            (Some(log), Disposal::Close(closing)) => {
                self.directories.close(&replica, log, move || drop(closing));
            }
            (log, Disposal::Delete) => {
                let delay = self.config.log.retention.file_delete_delay;
                self.directories.delete(&replica, log, delay);
            }
        }
    }
}

/// A log that waits for its opening to be deleted is deleted, whatever else happens.
fn later_of(earlier: Disposal, later: Disposal) -> Disposal {
    match (earlier, later) {
        (Disposal::Delete, _) => Disposal::Delete,
        (_, later) => later,
    }
}

pub(super) fn bounds(log: &PartitionLog) -> LogBounds {
    LogBounds {
        start: log.log_start(),
        end: log.log_end(),
        flushed_end: log.flushed_end(),
    }
}
