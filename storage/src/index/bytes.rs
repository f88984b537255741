//! The index of a sealed segment.
//!
//! Lookups are safe on any bytes, and right once [`IndexBytes::verify`] was.

use std::marker::PhantomData;

use super::entry::IndexEntry;
use super::{IndexError, partition_point};
use crate::ids::Offset;

/// The index of a sealed segment, over the bytes of its file.
#[derive(Clone, Copy, Debug)]
pub struct IndexBytes<'a, E> {
    base: Offset,
    bytes: &'a [u8],
    entries: PhantomData<E>,
}

impl<'a, E: IndexEntry> IndexBytes<'a, E> {
    /// The size of an entry.
    pub const ENTRY_SIZE: usize = E::SIZE;

    /// Wraps a file's bytes.
    pub const fn new(base: Offset, bytes: &'a [u8]) -> Self {
        Self {
            base,
            bytes,
            entries: PhantomData,
        }
    }

    /// Checks every entry.
    ///
    /// # Errors
    /// [`IndexError::Size`] or [`IndexError::NotRising`]: the file is to be rebuilt.
    pub fn verify(&self) -> Result<(), IndexError> {
        let (base, size, entry_size) = (self.base, self.bytes.len(), E::SIZE);
        if size % entry_size != 0 {
            return Err(IndexError::Size {
                base,
                size,
                entry_size,
            });
        }
        let mut last: Option<E> = None;
        for i in 0..self.len() {
            let rising = self
                .get(i)
                .filter(|entry| last.is_none_or(|l| entry.rises_above(l)));
            last = Some(rising.ok_or(IndexError::NotRising { base, entry: i })?);
        }
        Ok(())
    }

    /// How many whole entries there are.
    pub const fn len(&self) -> usize {
        self.bytes.len() / E::SIZE
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The entry at `index`; `None` beyond the end and for an entry that cannot be one.
    pub fn get(&self, index: usize) -> Option<E> {
        let start = index.checked_mul(E::SIZE)?;
        E::decode(self.base, self.bytes.get(start..)?)
    }

    /// The highest entry.
    pub fn last(&self) -> Option<E> {
        self.get(self.len().checked_sub(1)?)
    }

    /// How many bytes of the file to keep so that no entry is at or above `offset`.
    pub fn size_below(&self, offset: Offset) -> usize {
        let is_below = |i| self.get(i).is_some_and(|entry| entry.offset() < offset);
        partition_point(self.len(), is_below) * E::SIZE
    }
}
