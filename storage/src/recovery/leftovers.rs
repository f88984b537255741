//! What a crash leaves between two steps, and the segments that are left.

use super::{Fault, FileKind, Home, Offset, OpenError};
use crate::log::files::{DELETED, ignore_missing};

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

/// Lists a log's directory, finishing what was begun: a swap is completed, everything else half-done is removed.
pub(super) fn tidy(home: &Home) -> Result<Listing, OpenError> {
    let entries = home.fs.list(&home.dir).map_err(Fault::of_call)?;
    let mut listing = Listing::default();
    for entry in entries {
        let path = home.dir.join(&entry.name);
        let Some((name, suffix)) = entry.name.rsplit_once('.') else {
            continue;
        };
        let finished = match suffix {
            "swap" => {
                home.fs
                    .rename(&path, &home.dir.join(name))
                    .map_err(Fault::of_call)?;
                FileKind::parse(name)
            }
            DELETED | "cleaned" | "tmp" => {
                ignore_missing(home.fs.remove(&path)).map_err(Fault::of_call)?;
                None
            }
            _ => FileKind::parse(&entry.name),
        };
        listing.files.extend(finished);
    }
    listing.files.sort_unstable();
    listing.files.dedup();
    let logs = listing
        .files
        .iter()
        .filter(|(_, kind)| *kind == FileKind::Log);
    listing.bases = logs.map(|(base, _)| *base).collect();
    Ok(listing)
}

/// Removes the files of a segment.
pub(super) fn remove_segment(home: &Home, base: Offset) -> Result<(), Fault> {
    for kind in FileKind::ALL {
        ignore_missing(home.fs.remove(&home.path(base, kind))).map_err(Fault::of_call)?;
    }
    Ok(())
}
