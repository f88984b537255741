//! The file work of a log that runs on the I/O thread: removal of segments, and producer state read back.
//!
//! - A file that is already gone is no fault: a crash or an earlier attempt took it.
//! - A removed segment keeps its bytes under a `.deleted` name for a while, for people and for slow readers.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::{LogShared, PartitionLog};
use crate::batch::BatchView;
use crate::directory::queue::Later;
use crate::directory::{Directory, Fault};
use crate::fs::read_exact_at;
use crate::ids::Offset;
use crate::planted::is_planted;
use crate::producer_state::ProducerStates;
use crate::segment::scan::ScanError;
use crate::segment::{FileKind, Home, Segment, write_file, write_index_files};
use crate::time::WallMillis;
use crate::view::{LogView, ReadError};

/// The suffix of a file that is to be removed.
pub(crate) const DELETED: &str = "deleted";
/// A snapshot of a million producers; anything larger is not one.
const SNAPSHOT_BYTES_MAX: u64 = 64 << 20;

/// A segment whose files are to go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RemovedSegment {
    base: Offset,
}

impl RemovedSegment {
    pub(crate) fn of(segment: &Segment) -> Self {
        Self {
            base: segment.base(),
        }
    }

    /// Gives the segment's files their last names.
    pub(crate) fn rename(self, home: &Home) -> Result<(), Fault> {
        for kind in FileKind::ALL {
            let path = home.path(self.base, kind);
            ignore_missing(home.fs.rename(&path, &path.with_added_extension(DELETED)))
                .map_err(Fault::of_call)?;
        }
        Ok(())
    }

    fn remove(self, home: &Home) -> io::Result<()> {
        for kind in FileKind::ALL {
            let path = home.path(self.base, kind).with_added_extension(DELETED);
            ignore_missing(home.fs.remove(&path))?;
        }
        Ok(())
    }
}

pub(crate) fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error)
            if error.kind() == io::ErrorKind::NotFound
                && !is_planted("a-missing-file-is-no-failure") =>
        {
            Ok(())
        }
        result => result,
    }
}

/// Removes renamed segments when `delay` has passed.
pub(crate) fn remove_later(
    directory: &Arc<Directory>,
    log: &Arc<LogShared>,
    removed: Vec<RemovedSegment>,
    delay: Duration,
) {
    if removed.is_empty() {
        return;
    }
    let home = Arc::clone(&log.home);
    let job = move |directory: &Arc<Directory>| {
        for segment in removed {
            if let Err(error) = segment.remove(&home) {
                // The names are out of the way, and the next start removes what is left.
                tracing::warn!(dir = %home.dir.display(), base = %segment.base, %error, "remove segment");
                directory.handle(Fault::of_call(error));
            }
        }
    };
    directory.queue.at(
        directory.now().saturating_add(delay),
        Later::Job(Box::new(job)),
    );
}

/// The snapshots of a log's directory by offset, lowest first.
fn snapshots(home: &Home) -> io::Result<Vec<Offset>> {
    let mut found: Vec<_> = home
        .fs
        .list(&home.dir)?
        .iter()
        .filter_map(|entry| FileKind::parse(&entry.name))
        .filter_map(|(offset, kind)| (kind == FileKind::ProducerSnapshot).then_some(offset))
        .collect();
    found.sort_unstable();
    Ok(found)
}

/// Removes the snapshots of states that the log no longer reaches.
pub(crate) fn remove_snapshots_above(home: &Home, end: Offset) -> Result<(), Fault> {
    for offset in snapshots(home)
        .map_err(Fault::of_call)?
        .into_iter()
        .filter(|offset| *offset > end)
    {
        ignore_missing(
            home.fs
                .remove(&home.path(offset, FileKind::ProducerSnapshot)),
        )
        .map_err(Fault::of_call)?;
    }
    Ok(())
}

/// The producers of the log that `view` shows: the newest snapshot that can be read, and the batches after it.
pub(crate) fn rebuild_producers(
    view: &LogView,
    home: &Home,
    now: WallMillis,
    expiry: Duration,
) -> Result<ProducerStates, ReadError> {
    let fault = |source| ReadError::Segment {
        base: view.log_start,
        source: ScanError::Io {
            position: 0,
            source,
        },
    };
    let usable = |offset: &Offset| *offset > view.log_start && *offset <= view.log_end;
    for offset in snapshots(home)
        .map_err(fault)?
        .into_iter()
        .rev()
        .filter(usable)
    {
        let path = home.path(offset, FileKind::ProducerSnapshot);
        let bytes = crate::fs::read_all(&*home.fs, &path, SNAPSHOT_BYTES_MAX).map_err(fault)?;
        match ProducerStates::decode(&bytes, offset, now, expiry) {
            Ok(mut producers) => {
                replay(view, &mut producers, offset)?;
                return Ok(producers);
            }
            // An earlier one with more to replay does as well.
            Err(error) => tracing::warn!(path = %path.display(), %error, "producer snapshot"),
        }
    }
    let mut producers = ProducerStates::new(view.log_start);
    replay(view, &mut producers, view.log_start)?;
    Ok(producers)
}

fn replay(view: &LogView, producers: &mut ProducerStates, from: Offset) -> Result<(), ReadError> {
    for at in view.segment_at(from)..view.segments.len() {
        let Some(visible) = view.visible(at).filter(|visible| visible.size > 0) else {
            continue;
        };
        let fault = |source| ReadError::Segment {
            base: visible.base(),
            source,
        };
        let Some((start, _)) = visible.first_batch_reaching(from).map_err(fault)? else {
            continue;
        };
        let file = visible.file().map_err(fault)?;
        let mut scan = visible.headers(start).map_err(fault)?;
        while let Some((position, header)) = scan.next().map_err(fault)? {
            if !header.attributes().is_control() {
                producers.replay_data(&header);
                continue;
            }
            let mut bytes = vec![0; header.size()];
            read_exact_at(&**file, &mut bytes, position)
                .map_err(|source| fault(ScanError::Io { position, source }))?;
            let batch =
                BatchView::parse(&bytes).map_err(|_| fault(ScanError::Corrupt { position }))?;
            if let Err(error) = producers.replay(&batch) {
                tracing::error!(dir = %visible.segment.home().dir.display(), %error, "producer state");
            }
        }
    }
    producers.advance_to(view.log_end);
    Ok(())
}

impl PartitionLog {
    /// Brings everything to stable storage, with what makes the next opening quick, and marks the log clean. On the
    /// I/O thread, by the log's last owner.
    pub(crate) fn close(mut self) -> Result<(), Fault> {
        let shared = Arc::clone(&self.shared);
        let is_ready = self.is_ready();
        // Nobody reads any more: tails of cut segments go without asking.
        shared.take_tails_off(true)?;
        let view = shared.view.load_full();
        shared.sync(&view)?;
        if is_ready {
            self.write_closing_files(&view)?;
        }
        let home = &shared.home;
        home.fs.sync_dir(&home.dir).map_err(Fault::Sync)?;
        shared
            .finish_close(&view, is_ready)
            .map_err(Fault::of_call)?;
        shared.close();
        Ok(())
    }

    fn write_closing_files(&mut self, view: &LogView) -> Result<(), Fault> {
        let home = Arc::clone(&self.shared.home);
        write_file(
            &home,
            view.log_end,
            FileKind::ProducerSnapshot,
            &self.producers.encode(),
        )?;
        if self.active.size > 0 {
            // Batches were shown in order, so closing the index can not fail.
            let _ = self.active.index.close();
            write_index_files(&home, view.active_base(), &self.active.index)?;
        }
        Ok(())
    }
}
