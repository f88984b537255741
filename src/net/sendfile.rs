//! File bytes to a socket, without a copy where that pays.
//!
//! Below 64 KiB a read and a shared `writev` with the response's head are cheaper than `sendfile`;
//! above, `sendfile` takes half the time (performance.md 1.3). A file that lives in memory has no
//! descriptor and is read.

use std::io;

use bytes::{Bytes, BytesMut};
use ottla_storage::fs::File;
use rustix::fs::sendfile;
use rustix::net::{SendAncillaryBuffer, SendFlags, sendmsg};
use tokio::io::Interest;
use tokio::net::TcpStream;

use crate::broker::reply::FileSlice;

/// From here on `sendfile` is the cheaper way.
const SENDFILE_MIN: u32 = 64 << 10;
/// What one call moves at most, so that one reader who catches up does not hold the core.
const CHUNK_MAX: u32 = 512 << 10;

/// Whether the slice is sent by `sendfile`.
pub(crate) fn is_sendable(slice: &FileSlice) -> bool {
    let fd = slice.file.file().and_then(File::fd);
    slice.len >= SENDFILE_MIN && fd.is_some()
}

/// Sends some of the slice and cuts off what was sent; `WouldBlock` if the socket takes nothing.
pub(crate) fn try_send(socket: &TcpStream, slice: &mut FileSlice) -> io::Result<()> {
    let file = slice.file.clone();
    let fd = file
        .file()
        .and_then(File::fd)
        .ok_or(io::ErrorKind::Unsupported)?;
    let count = usize::try_from(slice.len.min(CHUNK_MAX)).unwrap_or(usize::MAX);
    let sent = socket.try_io(Interest::WRITABLE, || {
        let mut position = slice.position;
        Ok(sendfile(socket, fd, Some(&mut position), count)?)
    })?;
    advance(slice, sent)
}

/// Reads the next bytes of a slice, at most `CHUNK_MAX`, and cuts them off.
pub(crate) fn read(slice: &mut FileSlice) -> io::Result<Bytes> {
    let count = usize::try_from(slice.len.min(CHUNK_MAX)).unwrap_or(usize::MAX);
    let mut bytes = BytesMut::zeroed(count);
    let file = slice.file.file().ok_or(io::ErrorKind::UnexpectedEof)?;
    if file.read_at(&mut bytes, slice.position)? < count {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    advance(slice, count)?;
    Ok(bytes.freeze())
}

/// Writes the buffers; `more` says that a file follows, which then shares a segment with them.
pub(crate) fn try_write(
    socket: &TcpStream,
    buffers: &[io::IoSlice<'_>],
    more: bool,
) -> io::Result<usize> {
    let mut flags = SendFlags::NOSIGNAL;
    flags.set(SendFlags::MORE, more);
    socket.try_io(Interest::WRITABLE, || {
        Ok(sendmsg(
            socket,
            buffers,
            &mut SendAncillaryBuffer::default(),
            flags,
        )?)
    })
}

fn advance(slice: &mut FileSlice, sent: usize) -> io::Result<()> {
    // Nothing sent although the file was named: it is shorter than the log said.
    let sent = u32::try_from(sent).ok().filter(|sent| *sent > 0);
    let sent = sent.ok_or(io::ErrorKind::UnexpectedEof)?;
    slice.position = slice.position.saturating_add(u64::from(sent));
    slice.len = slice.len.saturating_sub(sent);
    Ok(())
}
