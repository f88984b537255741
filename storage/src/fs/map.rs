//! Read-only maps of files that will never change again.
//!
//! - Only files that nobody writes, cuts or replaces in place are mapped: indexes of sealed segments are written
//!   aside and renamed, and a removed file stays readable through its map.
//! - A file without a descriptor (a disk in memory) is read instead.

#![expect(unsafe_code, reason = "mapping a file has no safe form")]

use std::io;
use std::ops::Deref;

use memmap2::{Mmap, MmapOptions};

use super::{File, read_exact_at};

/// The bytes of a file.
#[derive(Debug)]
pub(crate) enum FileBytes {
    Mapped(Mmap),
    Read(Vec<u8>),
}

impl Deref for FileBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Read(bytes) => bytes,
        }
    }
}

/// Maps all of `file`, which must be immutable from now on.
pub(crate) fn map(file: &dyn File) -> io::Result<FileBytes> {
    let len = usize::try_from(file.stat()?.len).map_err(|_| io::ErrorKind::FileTooLarge)?;
    let Some(fd) = file.fd().filter(|_| len > 0) else {
        let mut bytes = vec![0; len];
        read_exact_at(file, &mut bytes, 0)?;
        return Ok(FileBytes::Read(bytes));
    };
    // SAFETY: the module's first rule: no one writes or cuts the file, so the bytes do not change under the map.
    // Should somebody outside of ottla cut it, an access ends the process with a bus error: fail stop.
    let map = unsafe { MmapOptions::new().len(len).map(&fd)? };
    Ok(FileBytes::Mapped(map))
}
