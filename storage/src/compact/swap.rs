//! Putting a copy in the place of its originals, on the disk.
//!
//! What a crash leaves after each step, and what the next opening makes of it (`recovery::leftovers`):
//!
//! 1. The copy is written and synced as `.log.cleaned`: the originals are the log, the copy is removed.
//! 2. It is renamed to `.log.swap`, and the directory synced: from here on the copy counts, and opening the log goes on
//!    with what is left to do.
//! 3. The indexes of the first original are removed, all files of the others renamed to `.deleted`; the directory is synced.
//! 4. The copy takes the name of the first original's log file; the directory is synced.
//! 5. Its indexes are written. Without them they are made again (S8).
//!
//! Readers have seen the copy since before step 2. Whoever still holds a view with the originals reads their files, which
//! were opened by the round, and does without their index files, which are no longer theirs.

use std::sync::Arc;

use super::desk::Turn;
use crate::directory::events::LogEvent;
use crate::directory::queue::Later;
use crate::directory::{Directory, Fault, RETRY_AFTER};
use crate::fs::File;
use crate::ids::Offset;
use crate::index::SegmentIndex;
use crate::log::LogShared;
use crate::log::files::{self, RemovedSegment, ignore_missing};
use crate::segment::{FileKind, Segment, write_index_files};

/// The suffix of a copy that is being written.
pub(crate) const CLEANED: &str = "cleaned";
/// The suffix of a copy that is whole and takes its originals' place.
pub(crate) const SWAP: &str = "swap";

/// The files that tell where to find what in a segment: they belong to its log file and to no other.
pub(crate) const INDEX_KINDS: [FileKind; 3] = [
    FileKind::OffsetIndex,
    FileKind::TimeIndex,
    FileKind::TransactionIndex,
];

/// A copy, whole and synced, of neighbouring segments.
#[derive(Debug)]
pub(crate) struct Cleaned {
    pub(crate) originals: Vec<Arc<Segment>>,
    pub(crate) base: Offset,
    /// Where the originals end, and the copy with them.
    pub(crate) end: Offset,
    /// Of the log that the round looked at: what a truncation cut off since supersedes nothing.
    pub(crate) generation: u64,
    pub(crate) file: Arc<dyn File>,
    pub(crate) size: u64,
    /// Closed.
    pub(crate) index: SegmentIndex,
}

impl Cleaned {
    /// Removes the copy: nobody wants it.
    pub(super) fn discard(&self, log: &LogShared) {
        discard(log, self.base);
    }
}

/// Removes a copy that did not come to be offered. What can't be removed is removed when the log is next opened.
pub(super) fn discard(log: &LogShared, base: Offset) {
    let path = log.home.path(base, FileKind::Log);
    let removed = log.home.fs.remove(&path.with_added_extension(CLEANED));
    if let Err(error) = ignore_missing(removed) {
        tracing::debug!(log = %log.key, %base, %error, "remove a copy");
    }
}

/// The file work of one copy that readers see already.
#[derive(Debug)]
pub(crate) struct Swap {
    pub(crate) copy: Arc<Segment>,
    pub(crate) index: SegmentIndex,
    /// The originals but for the first.
    pub(crate) others: Vec<RemovedSegment>,
    pub(crate) delete_after: std::time::Duration,
}

impl Swap {
    pub(crate) fn run(mut self, directory: &Arc<Directory>, log: &Arc<LogShared>) {
        // A log that was closed meanwhile is finished when it is opened, and one that was removed not at all.
        if directory.is_offline() || log.is_closed() {
            log.desk.answer(Turn::Refused);
            return;
        }
        match self.put_in_place(directory, log) {
            Ok(()) => {
                self.copy.unmap_index();
                let others = std::mem::take(&mut self.others);
                files::remove_later(directory, log, others, self.delete_after);
                log.desk.answer(Turn::Swapped);
                directory.events.partition(log.key, LogEvent::FilesReady);
            }
            Err(fault) => {
                directory.handle(fault);
                if directory.is_offline() {
                    log.desk.answer(Turn::Refused);
                    return;
                }
                // A full disk took nothing away: each step can be done again.
                let log = Arc::clone(log);
                log.hold_job();
                let again = move |directory: &Arc<Directory>| {
                    self.run(directory, &log);
                    log.release_job();
                };
                let due = directory.now().saturating_add(RETRY_AFTER);
                directory.queue.at(due, Later::Job(Box::new(again)));
            }
        }
    }

    fn put_in_place(&self, directory: &Directory, log: &LogShared) -> Result<(), Fault> {
        let home = &log.home;
        let sync_names = || home.fs.sync_dir(&home.dir).map_err(Fault::Sync);
        let path = self.copy.path(FileKind::Log);
        let swap = path.with_added_extension(SWAP);
        // The recovery point beyond the copy: no scan compares it with anything.
        directory.journal.sync().map_err(Fault::Sync)?;
        let cleaned = path.with_added_extension(CLEANED);
        ignore_missing(home.fs.rename(&cleaned, &swap)).map_err(Fault::of_call)?;
        sync_names()?;
        for kind in INDEX_KINDS {
            let removed = home.fs.remove(&self.copy.path(kind));
            ignore_missing(removed).map_err(Fault::of_call)?;
        }
        for other in &self.others {
            other.rename(home)?;
        }
        sync_names()?;
        ignore_missing(home.fs.rename(&swap, &path)).map_err(Fault::of_call)?;
        sync_names()?;
        write_index_files(home, self.copy.base(), &self.index)?;
        sync_names()
    }
}
