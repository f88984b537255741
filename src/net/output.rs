//! What waits to be written to one socket.
//!
//! Pieces of several responses share a `writev`; a file range follows its head in the same segment.
//! A turn writes a bounded amount and then lets the core's other connections go on.

use std::collections::VecDeque;
use std::io::{self, IoSlice};

use bytes::{Buf, Bytes};
use tokio::net::TcpStream;

use super::sendfile;
use crate::broker::reply::{FileSlice, Holding, Response};
use crate::wire::writer::Piece;

/// Buffers of one `writev`.
const SLICES_MAX: usize = 32;
/// Bytes of file ranges that one turn sends or reads.
const TURN_BYTES: u64 = 1 << 20;

#[derive(Debug)]
enum Item {
    Bytes(Bytes),
    File(FileSlice),
    /// The end of a response: what its request held is given back.
    End {
        _holding: Option<Holding>,
    },
}

/// How far a turn of writing came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Nothing is left.
    Done,
    /// The socket takes no more for now.
    Blocked,
    /// The turn's bytes are spent.
    Yield,
}

/// The responses that are on their way, in order.
#[derive(Debug, Default)]
pub(crate) struct Output {
    items: VecDeque<Item>,
    /// Responses whose last byte has not left.
    response_count: usize,
}

impl Output {
    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub(crate) fn response_count(&self) -> usize {
        self.response_count
    }

    /// Appends a response; `holding` is what its request has taken, given back once the last byte has left.
    pub(crate) fn push(&mut self, response: Response, holding: Option<Holding>) {
        let mut files = response.files;
        for piece in response.segments.pieces {
            self.items.push_back(match piece {
                Piece::Bytes(bytes) => Item::Bytes(bytes),
                Piece::External(range) => {
                    let index = usize::try_from(range.token).unwrap_or(usize::MAX);
                    match files.get_mut(index) {
                        Some(file) => Item::File(file.clone()),
                        // The head promises bytes that nobody named: an answer of our own making.
                        None => unreachable!("a response names file {index} of {}", files.len()),
                    }
                }
            });
        }
        self.items.push_back(Item::End { _holding: holding });
        self.response_count += 1;
    }

    /// Writes until the socket is full, nothing is left, or the turn's bytes are spent.
    pub(crate) fn write(&mut self, socket: &TcpStream) -> io::Result<Progress> {
        let mut turn = TURN_BYTES;
        loop {
            self.drop_finished();
            let step = match self.items.front_mut() {
                None => return Ok(Progress::Done),
                Some(Item::File(slice)) if sendfile::is_sendable(slice) => {
                    let before = slice.len;
                    let sent = sendfile::try_send(socket, slice);
                    turn = turn.saturating_sub(u64::from(before - slice.len));
                    sent
                }
                Some(_) => self.load(&mut turn).and_then(|()| self.write_bytes(socket)),
            };
            match step {
                Ok(()) if turn == 0 => return Ok(Progress::Yield),
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Progress::Blocked);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn drop_finished(&mut self) {
        while let Some(front) = self.items.front() {
            match front {
                Item::Bytes(bytes) if bytes.is_empty() => {}
                Item::File(slice) if slice.len == 0 => {}
                Item::End { .. } => self.response_count -= 1,
                Item::Bytes(_) | Item::File(_) => return,
            }
            self.items.pop_front();
        }
    }

    /// Reads the file ranges among the first pieces that are too short for `sendfile`.
    fn load(&mut self, turn: &mut u64) -> io::Result<()> {
        let mut index = 0;
        while index < SLICES_MAX && *turn > 0 {
            let Some(item) = self.items.get_mut(index) else {
                break;
            };
            if let Item::File(slice) = item {
                if sendfile::is_sendable(slice) {
                    break;
                }
                let bytes = sendfile::read(slice)?;
                let rest = slice.clone();
                *turn = turn.saturating_sub(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
                *item = Item::Bytes(bytes);
                if rest.len > 0 {
                    self.items.insert(index + 1, Item::File(rest));
                    break;
                }
            }
            index += 1;
        }
        Ok(())
    }

    fn write_bytes(&mut self, socket: &TcpStream) -> io::Result<()> {
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let mut count = 0;
        let mut file_follows = false;
        for item in &self.items {
            match (item, slices.get_mut(count)) {
                (Item::Bytes(bytes), Some(slot)) => {
                    *slot = IoSlice::new(bytes);
                    count += 1;
                }
                (Item::End { .. }, _) => {}
                (Item::File(_), _) => {
                    file_follows = true;
                    break;
                }
                (Item::Bytes(_), None) => break,
            }
        }
        let filled = slices.get(..count).unwrap_or_default();
        let written = sendfile::try_write(socket, filled, file_follows)?;
        self.advance(written);
        Ok(())
    }

    fn advance(&mut self, mut written: usize) {
        for item in &mut self.items {
            if let Item::Bytes(bytes) = item {
                let here = written.min(bytes.len());
                bytes.advance(here);
                written -= here;
            }
            if written == 0 {
                break;
            }
        }
    }
}
