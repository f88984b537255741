//! What a crash leaves between two steps, and the segments that are left.

use super::{Fault, FileKind, Home, Offset, OpenError, ReadError};
use crate::compact::swap::{CLEANED, INDEX_KINDS, SWAP};
use crate::fs::OpenMode;
use crate::log::files::{DELETED, ignore_missing};
use crate::segment::scan::HeaderScan;

/// The log files of a directory, lowest base offset first.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub(super) bases: Vec<Offset>,
    files: Vec<(Offset, FileKind)>,
}

impl Listing {
    pub(super) fn has(&self, base: Offset, kind: FileKind) -> bool {
        self.files.contains(&(base, kind))
    }
}

/// Lists a log's directory, finishing what was begun: cleaned segments that are whole take their originals' place,
/// everything else half-done is removed.
pub(super) fn tidy(home: &Home) -> Result<Listing, OpenError> {
    let entries = home.fs.list(&home.dir).map_err(Fault::of_call)?;
    let mut files = Vec::new();
    let mut swaps = Vec::new();
    for entry in entries {
        let Some((name, suffix)) = entry.name.rsplit_once('.') else {
            continue;
        };
        match suffix {
            SWAP => match FileKind::parse(name) {
                Some((base, FileKind::Log)) => swaps.push(base),
                _ => remove(home, &entry.name)?,
            },
            DELETED | CLEANED | "tmp" => remove(home, &entry.name)?,
            _ => files.extend(FileKind::parse(&entry.name)),
        }
    }
    for base in swaps {
        finish_swap(home, base, &mut files)?;
    }
    files.sort_unstable();
    files.dedup();
    let logs = files.iter().filter(|(_, kind)| *kind == FileKind::Log);
    let bases = logs.map(|(base, _)| *base).collect();
    Ok(Listing { bases, files })
}

fn remove(home: &Home, name: &str) -> Result<(), Fault> {
    ignore_missing(home.fs.remove(&home.dir.join(name))).map_err(Fault::of_call)
}

/// Puts a whole copy in the place of the segments that it was made of, in the order in which `compact::swap` does.
///
/// A copy ends where its originals end, so those that begin inside of it are what is left of them.
fn finish_swap(
    home: &Home,
    base: Offset,
    files: &mut Vec<(Offset, FileKind)>,
) -> Result<(), OpenError> {
    let path = home.path(base, FileKind::Log);
    let swap = path.with_added_extension(SWAP);
    let file = home
        .fs
        .open(&swap, OpenMode::Read)
        .map_err(Fault::of_call)?;
    let size = file.stat().map_err(Fault::of_call)?.len;
    let fault = |source| ReadError::Segment { base, source };
    let mut headers = HeaderScan::new(&*file, 0, size);
    let mut end = base;
    while let Some((_, header)) = headers.next().map_err(fault)? {
        end = header.next_offset();
    }
    drop(file);
    let is_original = |at: Offset, kind: FileKind| {
        (at == base && INDEX_KINDS.contains(&kind)) || (at > base && at < end)
    };
    for (at, kind) in files.iter().filter(|(at, kind)| is_original(*at, *kind)) {
        ignore_missing(home.fs.remove(&home.path(*at, *kind))).map_err(Fault::of_call)?;
    }
    files.retain(|(at, kind)| !is_original(*at, *kind));
    home.fs.sync_dir(&home.dir).map_err(Fault::Sync)?;
    home.fs.rename(&swap, &path).map_err(Fault::of_call)?;
    home.fs.sync_dir(&home.dir).map_err(Fault::Sync)?;
    files.push((base, FileKind::Log));
    tracing::info!(dir = %home.dir.display(), %base, %end, "finished putting cleaned segments in place");
    Ok(())
}

/// Removes the files of a segment.
pub(super) fn remove_segment(home: &Home, base: Offset) -> Result<(), Fault> {
    for kind in FileKind::ALL {
        ignore_missing(home.fs.remove(&home.path(base, kind))).map_err(Fault::of_call)?;
    }
    Ok(())
}
