//! Recovery after an unclean stop: from the segment that holds the recovery point on, every batch is checked.

use std::sync::Arc;

use super::leftovers::{self, Listing};
use super::{
    BatchView, Fault, FileKind, LeaderEpoch, LogState, Offset, OpenError, ReadError, ScanError,
    Site, epochs,
};
use crate::batch::LogOrder;
use crate::checkpoint::{LEADER_EPOCH_FILE, encode_epochs};
use crate::epoch_cache::EpochCache;
use crate::fs::{File, OpenMode};
use crate::log::{Found, Growing, files, observe};
use crate::producer_state::ProducerStates;
use crate::segment::{Segment, write_file, write_index_files};
use crate::time::WallMillis;

/// What the scan of one segment found.
#[derive(Debug)]
struct Scanned {
    base: Offset,
    file: Arc<dyn File>,
    /// Where the valid bytes end, and the file.
    size: u64,
    file_size: u64,
    growing: Growing,
    epochs: Vec<(LeaderEpoch, Offset)>,
    end: LogOrder,
}

/// A whole log, scanned and not yet changed.
#[derive(Debug)]
struct Outcome {
    /// Segments before the recovery point, with their sizes.
    trusted: Vec<(Offset, u64)>,
    scanned: Vec<Scanned>,
    /// Base offsets of segments behind the end.
    surplus: Vec<Offset>,
    log_end: Offset,
}

/// Scans an unclean log, cuts it at its last valid batch and makes everything durable. Returns what the journal is
/// to say of it: clean.
pub(crate) fn recover(site: &Site, state: &LogState) -> Result<LogState, OpenError> {
    super::check_metadata(site)?;
    let listing = leftovers::tidy(&site.home)?;
    let mut outcome = scan(site, state, &listing)?;
    if outcome.log_end < state.log_start {
        // The log was begun anew behind its end, and the crash came before the old segments were gone.
        outcome.drop_everything(&listing);
        outcome.log_end = state.log_start;
    }
    let (found, recovery_point) = (outcome.log_end, state.recovery_point);
    if found < recovery_point {
        return Err(OpenError::LostSynced {
            recovery_point,
            found,
        });
    }
    apply(site, state, outcome)
}

fn scan(site: &Site, state: &LogState, listing: &Listing) -> Result<Outcome, OpenError> {
    // A clean log whose files say otherwise was written to after its last record: its active segment is suspect too.
    let from = state
        .recovery_point
        .min(state.active_base.max(state.log_start));
    let first = listing
        .bases
        .partition_point(|base| *base <= from)
        .saturating_sub(1);
    let mut outcome = Outcome {
        trusted: Vec::new(),
        scanned: Vec::new(),
        surplus: Vec::new(),
        log_end: state.log_start,
    };
    let mut order: Option<LogOrder> = None;
    // The log start is durable before what lies below goes: a first segment behind it is what a hole left.
    let mut is_broken = listing
        .bases
        .first()
        .is_some_and(|first| *first > state.log_start);
    for (at, base) in listing.bases.iter().copied().enumerate() {
        let next = listing.bases.get(at + 1).copied();
        // A roll and a truncation begin a segment exactly where the one before ends: anything else is a hole.
        is_broken = is_broken || order.is_some_and(|order| order.next_offset() != base);
        if is_broken {
            outcome.surplus.push(base);
            continue;
        }
        if at < first {
            outcome
                .trusted
                .push((base, trusted_size(site, base, next)?));
            continue;
        }
        let start = LogOrder::new(base, order.and_then(|order| order.last_epoch()));
        let scanned = scan_segment(site, base, next, start)?;
        order = Some(scanned.end);
        outcome.log_end = scanned.end.next_offset();
        outcome.scanned.push(scanned);
    }
    Ok(outcome)
}

/// The size of a segment below the recovery point: its file's, unless a truncation went on in the next segment and
/// did not come to shorten this one.
fn trusted_size(site: &Site, base: Offset, next: Option<Offset>) -> Result<u64, OpenError> {
    let file = open(site, base, OpenMode::Read)?;
    let size = file.stat().map_err(Fault::of_call)?.len;
    let segment = Arc::new(Segment::sealed(base, Arc::clone(&site.home), size));
    let visible = crate::segment::visible::VisibleSegment {
        segment: &segment,
        size,
        index: None,
    };
    let beyond = next
        .map(|next| visible.first_batch_reaching(next))
        .transpose();
    let beyond = beyond
        .map_err(|source| ReadError::Segment { base, source })?
        .flatten();
    Ok(beyond.map_or(size, |(position, _)| position))
}

fn open(site: &Site, base: Offset, mode: OpenMode) -> Result<Arc<dyn File>, OpenError> {
    let path = site.home.path(base, FileKind::Log);
    Ok(site.home.fs.open(&path, mode).map_err(Fault::of_call)?)
}

fn scan_segment(
    site: &Site,
    base: Offset,
    next: Option<Offset>,
    mut order: LogOrder,
) -> Result<Scanned, OpenError> {
    let file = open(site, base, OpenMode::Existing)?;
    let file_size = file.stat().map_err(Fault::of_call)?.len;
    let mut growing = Growing::new(base, &site.config.segment);
    let mut epochs: Vec<(LeaderEpoch, Offset)> = Vec::new();
    let mut batch = Vec::new();
    let mut size = 0;
    while read_batch(&*file, &mut batch, size, file_size).map_err(|source| ReadError::Segment {
        base,
        source: ScanError::Io {
            position: size,
            source,
        },
    })? {
        let Ok(view) = BatchView::parse(&batch) else {
            break;
        };
        let header = *view.header();
        if next.is_some_and(|next| header.base_offset() >= next) || order.check(&view).is_err() {
            break;
        }
        observe(&mut growing.index, None, &header, size);
        if growing.first_timestamp.is_none() && header.max_timestamp() > WallMillis::NONE {
            growing.first_timestamp = Some(header.max_timestamp());
        }
        if let Some(epoch) = header.leader_epoch()
            && epochs.last().is_none_or(|(last, _)| *last != epoch)
        {
            epochs.push((epoch, header.base_offset()));
        }
        size += header.size() as u64;
    }
    growing.size = size;
    Ok(Scanned {
        base,
        file,
        size,
        file_size,
        growing,
        epochs,
        end: order,
    })
}

/// Reads the batch at `position` into `buffer`; false if there is no whole one.
fn read_batch(
    file: &dyn File,
    buffer: &mut Vec<u8>,
    position: u64,
    file_size: u64,
) -> std::io::Result<bool> {
    let mut head = [0; crate::batch::HEADER_SIZE];
    if file.read_at(&mut head, position)? < head.len() {
        return Ok(false);
    }
    let Ok(header) = crate::batch::BatchHeader::decode(&head) else {
        return Ok(false);
    };
    // A length from torn bytes must not make us allocate more than the file holds.
    if header.size() as u64 > file_size - position {
        return Ok(false);
    }
    buffer.resize(header.size(), 0);
    Ok(file.read_at(buffer, position)? == buffer.len())
}

impl Outcome {
    fn drop_everything(&mut self, listing: &Listing) {
        self.trusted.clear();
        self.scanned.clear();
        self.surplus.clone_from(&listing.bases);
    }
}

/// Makes the files what the scan says, durably.
fn apply(site: &Site, state: &LogState, outcome: Outcome) -> Result<LogState, OpenError> {
    let home = &site.home;
    // From the last to the first, so that what another crash leaves is still a prefix.
    for base in outcome.surplus.iter().rev() {
        tracing::warn!(dir = %home.dir.display(), %base, "segment behind the end of the log");
        leftovers::remove_segment(home, *base)?;
    }
    for (base, size) in &outcome.trusted {
        let file = open(site, *base, OpenMode::Existing)?;
        cut(&*file, *size, file.stat().map_err(Fault::of_call)?.len)?;
    }
    let epochs = epochs_of(site, state, &outcome)?;
    let text = encode_epochs(&epochs);
    crate::directory::replace_file(
        &*home.fs,
        &home.dir.join(LEADER_EPOCH_FILE),
        text.as_bytes(),
    )?;
    let log_end = outcome.log_end;
    let mut found = Found {
        log_start: state.log_start.min(log_end),
        log_end,
        segments: Vec::new(),
        active: Growing::new(log_end, &site.config.segment),
        written_epochs: epochs.clone(),
        epochs,
        producers: ProducerStates::new(log_end),
    };
    for (base, size) in outcome.trusted {
        found
            .segments
            .push(Arc::new(Segment::sealed(base, Arc::clone(home), size)));
    }
    let count = outcome.scanned.len();
    for (at, mut scanned) in outcome.scanned.into_iter().enumerate() {
        cut(&*scanned.file, scanned.size, scanned.file_size)?;
        // Entries of one scan rise, so closing the index can not fail.
        let _ = scanned.growing.index.close();
        write_index_files(home, scanned.base, &scanned.growing.index)?;
        if at + 1 == count {
            found.segments.push(Arc::new(Segment::growing(
                scanned.base,
                Arc::clone(home),
                Some(scanned.file),
            )));
            found.active = scanned.growing;
        } else {
            found.segments.push(Arc::new(Segment::sealed(
                scanned.base,
                Arc::clone(home),
                scanned.size,
            )));
        }
    }
    if count == 0 {
        found
            .segments
            .push(Arc::new(Segment::growing(log_end, Arc::clone(home), None)));
    }
    let first = found.segments.first().map_or(log_end, |first| first.base());
    found.log_start = found.log_start.max(first).min(log_end);
    finish(site, state, &found)
}

fn cut(file: &dyn File, size: u64, file_size: u64) -> Result<(), OpenError> {
    if size < file_size {
        file.set_len(size).map_err(Fault::of_call)?;
    }
    // Also what was not cut may never have been synced.
    Ok(file.sync().map_err(Fault::Sync)?)
}

fn epochs_of(site: &Site, state: &LogState, outcome: &Outcome) -> Result<EpochCache, OpenError> {
    let trusted = outcome.trusted.iter().copied();
    let mut epochs = epochs::find(site, state.log_start, trusted)?.all;
    // From the first batch that was scanned on the batches say it: assigning an epoch that began before them would move
    // its start up to them, and an epoch that was cut may still stand in the file.
    if let Some(first) = outcome.scanned.first() {
        epochs.truncate_from_end(first.base);
    }
    for (epoch, start) in outcome.scanned.iter().flat_map(|scanned| &scanned.epochs) {
        epochs.assign(*epoch, *start);
    }
    epochs.truncate_from_end(outcome.log_end);
    epochs.truncate_from_start(state.log_start);
    Ok(epochs)
}

/// Writes the producer snapshot, syncs the names, and says what the journal is to say.
fn finish(site: &Site, state: &LogState, found: &Found) -> Result<LogState, OpenError> {
    let (home, log_end) = (&site.home, found.log_end);
    let view = found.view();
    files::remove_snapshots_above(home, log_end)?;
    let producers = files::rebuild_producers(&view, home, site.now, site.config.producers.expiry)?;
    write_file(
        home,
        log_end,
        FileKind::ProducerSnapshot,
        &producers.encode(),
    )?;
    home.fs.sync_dir(&home.dir).map_err(Fault::Sync)?;
    Ok(LogState {
        topic: Arc::clone(&state.topic),
        recovery_point: log_end,
        log_end,
        log_start: found.log_start,
        high_watermark: state.high_watermark.clamp(found.log_start, log_end),
        last_epoch: view.last_epoch(),
        active_base: view.active_base(),
        active_size: found.active.size,
        is_dirty: false,
    })
}
