//! Group flush: many logs, one sync of the journal.
//!
//! Order: data, epochs and names of every log; then the journal, if it holds a dirty mark that is not yet durable;
//! only then is anything announced. So whatever was announced is found again by recovery (S6).

use std::sync::Arc;

use super::events::LogEvent;
use super::queue::Later;
use super::{Directory, Fault, RETRY_AFTER};
use crate::log::LogShared;
use crate::view::LogView;

/// Flushes the logs and announces what is durable.
pub(crate) fn flush(directory: &Arc<Directory>, logs: Vec<Arc<LogShared>>) {
    run(directory, logs, false);
}

/// Flushes a log whose timer went off, and marks it clean if it is quiet.
pub(crate) fn settle(directory: &Arc<Directory>, log: Arc<LogShared>) {
    run(directory, vec![log], true);
}

fn run(directory: &Arc<Directory>, logs: Vec<Arc<LogShared>>, is_settling: bool) {
    let mut synced: Vec<(Arc<LogShared>, Arc<LogView>)> = Vec::with_capacity(logs.len());
    for log in logs.into_iter().filter(|log| !log.is_closed()) {
        let view = log.take_for_flush();
        let result = if directory.is_offline() {
            Err(None)
        } else {
            log.sync(&view).map_err(Some)
        };
        match result {
            Ok(()) => synced.push((log, view)),
            Err(Some(Fault::Full)) => {
                directory.handle(Fault::Full);
                again_later(directory, log, is_settling);
            }
            Err(fault) => {
                if let Some(fault) = fault {
                    directory.handle(fault);
                }
                directory.events.partition(log.key, LogEvent::FlushFailed);
            }
        }
    }
    if synced.iter().any(|(log, _)| log.is_mark_unsynced())
        && let Err(source) = directory.journal.sync()
    {
        directory.handle(Fault::Sync(source));
    }
    for (log, view) in synced {
        announce(directory, &log, &view, is_settling);
    }
}

/// A full disk took nothing away: the same flush is done again when there may be room.
fn again_later(directory: &Directory, log: Arc<LogShared>, is_settling: bool) {
    let again = move |directory: &Arc<Directory>| run(directory, vec![log], is_settling);
    let due = directory.now().saturating_add(RETRY_AFTER);
    directory.queue.at(due, Later::Job(Box::new(again)));
}

fn announce(directory: &Arc<Directory>, log: &Arc<LogShared>, view: &LogView, is_settling: bool) {
    if directory.is_offline() {
        directory.events.partition(log.key, LogEvent::FlushFailed);
        return;
    }
    match log.finish_flush(view, is_settling) {
        Ok(up_to) => directory
            .events
            .partition(log.key, LogEvent::Flushed { up_to }),
        // The data is safe; only the journal did not hear of it, so recovery will look at more than it must.
        Err(error) => {
            directory.handle(Fault::of_call(error));
            directory.events.partition(
                log.key,
                LogEvent::Flushed {
                    up_to: log.flushed(),
                },
            );
        }
    }
}
