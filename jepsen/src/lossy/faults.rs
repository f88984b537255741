//! Faults of single directories, asked for while the process runs.
//!
//! The file `FAULTS` in the durable directory is read at every sync. Each line is `fail-sync PATH` or `hang-sync PATH`:
//! syncs of files and directories at PATH, which is below the live directory, fail, or do not come back for as long as the
//! line is there. Reads, writes into the page cache and renames go on as before.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// Between two looks of a sync that hangs.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// What a disk says that has lost a write.
const EIO: i32 = 5;

/// The faults of one disk.
#[derive(Debug)]
pub(super) struct Faults {
    file: PathBuf,
    live: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Fail,
    Hang,
}

impl Faults {
    pub(super) fn new(live: &Path, durable: &Path) -> Self {
        Self {
            file: durable.join("FAULTS"),
            live: live.to_owned(),
        }
    }

    /// Called before a sync of what is at `path`, with no lock held.
    pub(super) fn before_sync(&self, path: &Path) -> io::Result<()> {
        let below = path.strip_prefix(&self.live).unwrap_or(path);
        loop {
            // A process that nobody torments has no such file.
            let asked = fs::read_to_string(&self.file).unwrap_or_default();
            match fault_of(&asked, below) {
                None => return Ok(()),
                Some(Fault::Fail) => return Err(io::Error::from_raw_os_error(EIO)),
                #[expect(
                    clippy::disallowed_methods,
                    reason = "a sync that hangs blocks its thread"
                )]
                Some(Fault::Hang) => thread::sleep(LOOK_EVERY),
            }
        }
    }
}

/// The first fault that was asked for at this path.
fn fault_of(asked: &str, path: &Path) -> Option<Fault> {
    asked.lines().find_map(|line| {
        let (kind, at) = line.trim().split_once(' ')?;
        let fault = match kind {
            "fail-sync" => Fault::Fail,
            "hang-sync" => Fault::Hang,
            _ => return None,
        };
        path.starts_with(at).then_some(fault)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_of_one_directory() {
        let asked = "hang-sync b\nfail-sync a/t-0\n";
        let of = |path: &str| fault_of(asked, Path::new(path));
        assert_eq!(of("b/t-0/0.log"), Some(Fault::Hang));
        assert_eq!(of("b"), Some(Fault::Hang));
        assert_eq!(of("a/t-0"), Some(Fault::Fail));
        assert_eq!(of("a/t-00"), None);
        assert_eq!(of("a"), None);
    }
}
