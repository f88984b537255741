//! A list that one writer appends to while readers look at the part they know of.
//!
//! An entry is written once and never again, so a reader that learned a length (together with the
//! log's other positions) needs no lock. Chunks grow fourfold: nothing moves when the list grows,
//! and an empty list allocates nothing.

use std::sync::{Arc, OnceLock};

const FIRST_CHUNK: usize = 16;
/// 16 * (4^12 - 1) / 3 entries: more than any index file may hold.
const CHUNKS: usize = 12;

/// The entries, shared. Who writes and how many are visible is the owner's knowledge.
#[derive(Debug)]
struct Cells<E> {
    chunks: [OnceLock<Box<[OnceLock<E>]>>; CHUNKS],
}

impl<E: Copy> Cells<E> {
    fn new() -> Self {
        Self {
            chunks: [const { OnceLock::new() }; CHUNKS],
        }
    }

    fn get(&self, index: usize) -> Option<E> {
        let (chunk, at, _) = place(index)?;
        self.chunks.get(chunk)?.get()?.get(at)?.get().copied()
    }

    /// False if the list ends before `index`.
    fn put(&self, index: usize, entry: E) -> bool {
        let Some((chunk, at, size)) = place(index) else {
            return false;
        };
        let Some(chunk) = self.chunks.get(chunk) else {
            return false;
        };
        let cells = chunk.get_or_init(|| (0..size).map(|_| OnceLock::new()).collect());
        cells.get(at).is_some_and(|cell| cell.set(entry).is_ok())
    }
}

/// The chunk of an entry, its place there and the chunk's size.
fn place(index: usize) -> Option<(usize, usize, usize)> {
    let mut size = FIRST_CHUNK;
    let mut at = index;
    for chunk in 0..CHUNKS {
        if at < size {
            return Some((chunk, at, size));
        }
        at -= size;
        size *= 4;
    }
    None
}

/// The writer's end.
#[derive(Debug)]
pub(super) struct ActiveList<E> {
    cells: Arc<Cells<E>>,
    len: usize,
}

impl<E: Copy> ActiveList<E> {
    pub(super) fn new() -> Self {
        Self {
            cells: Arc::new(Cells::new()),
            len: 0,
        }
    }

    /// False if the list can't grow.
    pub(super) fn push(&mut self, entry: E) -> bool {
        let done = self.cells.put(self.len, entry);
        self.len += usize::from(done);
        done
    }

    pub(super) fn snapshot(&self) -> ListSnapshot<E> {
        ListSnapshot {
            cells: Arc::clone(&self.cells),
            len: self.len,
        }
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) fn get(&self, index: usize) -> Option<E> {
        if index < self.len {
            self.cells.get(index)
        } else {
            None
        }
    }

    pub(super) fn last(&self) -> Option<E> {
        self.get(self.len.checked_sub(1)?)
    }

    /// Keeps the first `len` entries, in new cells: snapshots go on with the old ones.
    pub(super) fn truncate(&mut self, len: usize) {
        if len >= self.len {
            return;
        }
        let mut kept = Self::new();
        for entry in (0..len).filter_map(|index| self.get(index)) {
            kept.push(entry);
        }
        *self = kept;
    }
}

/// What the list held at one moment. Cheap to clone, shared with the writer.
#[derive(Clone, Debug)]
pub struct ListSnapshot<E> {
    cells: Arc<Cells<E>>,
    len: usize,
}

impl<E: Copy> ListSnapshot<E> {
    /// How many entries it holds.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether it holds none.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The entry at `index`.
    pub fn get(&self, index: usize) -> Option<E> {
        if index < self.len {
            self.cells.get(index)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_sees_neither_appends_nor_truncation() {
        let mut list = ActiveList::new();
        for entry in 0..5000_usize {
            assert!(list.push(entry));
        }
        let before = list.snapshot();
        list.push(9);
        list.truncate(100);
        list.push(7);
        assert_eq!(
            (before.len(), before.get(4999), before.get(5000)),
            (5000, Some(4999), None)
        );
        assert_eq!(
            (list.len(), list.get(99), list.last()),
            (101, Some(99), Some(7))
        );
        assert!((0..5000).all(|i| before.get(i) == Some(i)));
    }
}
