//! Opening a log that the journal calls clean: sizes and positions are trusted, nothing is scanned but the tail
//! behind the last index entry.

use std::sync::Arc;

use super::epochs::Epochs;
use super::leftovers::{self, Listing};
use super::{Fault, FileKind, Found, LogState, Offset, OpenError, ReadError, Site, epochs};
use crate::fs::{File, OpenMode, read_all};
use crate::index::SegmentIndex;
use crate::log::{Growing, files, index_limits, observe};
use crate::producer_state::ProducerStates;
use crate::segment::scan::{HeaderScan, first_timestamp};
use crate::segment::{Segment, write_index_files};

/// No index file is larger: 2^31 bytes of log with an entry every few bytes is not a thing.
const INDEX_BYTES_MAX: u64 = 1 << 30;

/// The log, or `None` if its files are not what the journal says: then it is to be recovered.
pub(crate) fn load(site: &Site, state: &LogState) -> Result<Option<Found>, OpenError> {
    super::check_metadata(site)?;
    let listing = leftovers::tidy(&site.home)?;
    let Some((sealed, active)) = split(site, state, &listing)? else {
        return Ok(None);
    };
    let all = sealed.iter().copied();
    let all = all.chain([(state.active_base, state.active_size)]);
    let first = sealed.first().map_or(state.active_base, |(base, _)| *base);
    let log_start = first.max(state.log_start);
    let Epochs {
        all: mut epochs,
        written,
    } = epochs::find(site, log_start, all)?;
    let mut segments = Vec::with_capacity(sealed.len() + 1);
    // Segments below the log start, whose removal a crash kept from being finished, go with the next retention.
    for (base, size) in sealed {
        let is_indexed =
            listing.has(base, FileKind::OffsetIndex) && listing.has(base, FileKind::TimeIndex);
        if !is_indexed {
            rebuild_index(site, base, size)?;
        }
        segments.push(Arc::new(Segment::sealed(
            base,
            Arc::clone(&site.home),
            size,
        )));
    }
    let growing = open_active(site, state, active.as_ref())?;
    segments.push(Arc::new(Segment::growing(
        state.active_base,
        Arc::clone(&site.home),
        active,
    )));
    epochs.truncate_from_end(state.log_end.next());
    epochs.truncate_from_start(log_start);
    let mut found = Found {
        log_start: log_start.min(state.log_end),
        log_end: state.log_end,
        segments,
        active: growing,
        epochs,
        written_epochs: written,
        producers: ProducerStates::new(state.log_end),
    };
    found.producers = files::rebuild_producers(
        &found.view(),
        &site.home,
        site.now,
        site.config.producers.expiry,
    )?;
    Ok(Some(found))
}

type Split = (Vec<(Offset, u64)>, Option<Arc<dyn File>>);

/// The sealed segments with their sizes, and the file of the active one if it has been made; `None` if the files
/// contradict the journal.
fn split(site: &Site, state: &LogState, listing: &Listing) -> Result<Option<Split>, OpenError> {
    let mut sealed = Vec::with_capacity(listing.bases.len());
    let mut active = None;
    for base in &listing.bases {
        let path = site.home.path(*base, FileKind::Log);
        let mode = if *base == state.active_base {
            OpenMode::Existing
        } else {
            OpenMode::Read
        };
        let file = site.home.fs.open(&path, mode).map_err(Fault::of_call)?;
        let size = file.stat().map_err(Fault::of_call)?.len;
        match base.cmp(&state.active_base) {
            std::cmp::Ordering::Less => sealed.push((*base, size)),
            std::cmp::Ordering::Equal if size == state.active_size => active = Some(file),
            // A longer file, or one behind: writes that the journal had not heard of when the power went.
            _ => return Ok(None),
        }
    }
    let first = sealed.first().map_or(state.active_base, |(base, _)| *base);
    if (active.is_none() && state.active_size > 0) || first > state.log_start {
        return Ok(None);
    }
    Ok(Some((sealed, active)))
}

fn rebuild_index(site: &Site, base: Offset, size: u64) -> Result<(), OpenError> {
    let path = site.home.path(base, FileKind::Log);
    let file = site
        .home
        .fs
        .open(&path, OpenMode::Read)
        .map_err(Fault::of_call)?;
    let mut growing = Growing::new(base, &site.config.segment);
    scan_into(&mut growing, &*file, base, size, None)?;
    // Entries of one scan rise, so closing the index can not fail.
    let _ = growing.index.close();
    write_index_files(&site.home, base, &growing.index)?;
    Ok(())
}

/// The writer's knowledge of the active segment: its index files, and a scan of what they do not reach.
fn open_active(
    site: &Site,
    state: &LogState,
    file: Option<&Arc<dyn File>>,
) -> Result<Growing, OpenError> {
    let base = state.active_base;
    let mut growing = Growing::new(base, &site.config.segment);
    growing.created = Some(site.now);
    let Some(file) = file else {
        return Ok(growing);
    };
    if let Some(index) = read_index(site, base, state.active_size) {
        growing.index = index;
    }
    let indexed = growing.index.offsets().last();
    scan_into(&mut growing, &**file, base, state.active_size, indexed)?;
    let first = first_timestamp(&**file, state.active_size);
    growing.first_timestamp = first.map_err(|source| ReadError::Segment { base, source })?;
    growing.created = growing.first_timestamp.or(growing.created);
    Ok(growing)
}

fn read_index(site: &Site, base: Offset, size: u64) -> Option<SegmentIndex> {
    let read = |kind| read_all(&*site.home.fs, &site.home.path(base, kind), INDEX_BYTES_MAX).ok();
    let (offsets, times) = (read(FileKind::OffsetIndex)?, read(FileKind::TimeIndex)?);
    let limits = index_limits(&site.config.segment);
    let index = SegmentIndex::from_bytes(base, limits, &offsets, &times).ok()?;
    let is_within = index
        .offsets()
        .last()
        .is_none_or(|last| u64::from(last.position) < size);
    is_within.then_some(index)
}

fn scan_into(
    growing: &mut Growing,
    file: &dyn File,
    base: Offset,
    size: u64,
    indexed: Option<crate::index::OffsetEntry>,
) -> Result<(), OpenError> {
    let fault = |source| ReadError::Segment { base, source };
    let from = indexed.map_or(0, |entry| u64::from(entry.position));
    let mut scan = HeaderScan::new(file, from, size);
    while let Some((position, header)) = scan.next().map_err(fault)? {
        observe(&mut growing.index, indexed, &header, position);
    }
    growing.size = size;
    Ok(())
}
