//! Reads protocol types out of bytes that nobody vouches for.
//!
//! W1: nothing here panics or recurses; every length is compared with the bytes that remain before
//! anything is taken or reserved; what is reserved for arrays is paid out of a budget of about
//! eight times the input. Strings and bytes are borrowed from the input.
#![allow(
    clippy::missing_errors_doc,
    reason = "each call can only say that the bytes are not what it reads, as `DecodeError`"
)]

use std::borrow::Cow;

use crate::wire::{Uuid, error_code::ErrorCode, records::Records};

/// Strings may be this long in every version of the protocol, compact ones too.
const STRING_BYTES_MAX: usize = 0x7fff;

/// Why bytes are not a message; `at` is the position of the fault, counted from the first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("{needed} bytes needed at byte {at}, {remaining} remain")]
    Truncated {
        at: usize,
        needed: usize,
        remaining: usize,
    },
    #[error("length {length} at byte {at}")]
    NegativeLength { at: usize, length: i32 },
    #[error("null at byte {at}, where this version has a value")]
    NullNotAllowed { at: usize },
    #[error("string of {length} bytes at byte {at}")]
    StringTooLong { at: usize, length: usize },
    #[error("string at byte {at} is not UTF-8")]
    NotUtf8 { at: usize },
    #[error("varint at byte {at} has more than 32 bits")]
    VarintTooLong { at: usize },
    #[error("tag {tag} at byte {at} does not ascend")]
    TagOrder { at: usize, tag: u32 },
    #[error("tag {tag} ends {left} bytes after its value, at byte {at}")]
    TagSize { at: usize, tag: u32, left: usize },
    #[error("array of {count} at byte {at} exceeds the memory allowed for this input")]
    OverBudget { at: usize, count: usize },
    #[error("{left} bytes are left over at byte {at}")]
    LeftOver { at: usize, left: usize },
}

type Result<T> = std::result::Result<T, DecodeError>;

/// A checked cursor. Flexible versions change how lengths and tags are written, so the reader
/// is told once, by the message, which kind of version it reads.
#[derive(Debug)]
pub struct Reader<'a> {
    data: &'a [u8],
    position: usize,
    /// Reading stops here: the end of `data`, or of the tagged field that is being read.
    end: usize,
    is_flexible: bool,
    /// Bytes that arrays may still reserve.
    budget: usize,
}

impl<'a> Reader<'a> {
    /// What a message of `length` bytes may reserve. In memory the densest arrays of real
    /// messages (topic names of three letters) take eight times their bytes on the wire.
    pub fn budget_of(length: usize) -> usize {
        length.saturating_mul(8).saturating_add(64 * 1024)
    }

    pub fn new(data: &'a [u8]) -> Self {
        let budget = Self::budget_of(data.len());
        Self {
            data,
            position: 0,
            end: data.len(),
            is_flexible: false,
            budget,
        }
    }

    /// Called by each message before its first field.
    pub fn set_flexible(&mut self, is_flexible: bool) {
        self.is_flexible = is_flexible;
    }

    pub fn position(&self) -> usize {
        self.position
    }

    pub fn remaining(&self) -> usize {
        self.end.saturating_sub(self.position)
    }

    /// Refuses what a message leaves unread. Kafka tolerates it in requests.
    pub fn finish(&self) -> Result<()> {
        match self.remaining() {
            0 => Ok(()),
            left => Err(DecodeError::LeftOver {
                at: self.position,
                left,
            }),
        }
    }

    pub fn bool(&mut self) -> Result<bool> {
        Ok(self.i8()? != 0)
    }

    pub fn i8(&mut self) -> Result<i8> {
        self.fixed().map(i8::from_be_bytes)
    }

    pub fn i16(&mut self) -> Result<i16> {
        self.fixed().map(i16::from_be_bytes)
    }

    pub fn u16(&mut self) -> Result<u16> {
        self.fixed().map(u16::from_be_bytes)
    }

    pub fn i32(&mut self) -> Result<i32> {
        self.fixed().map(i32::from_be_bytes)
    }

    pub fn i64(&mut self) -> Result<i64> {
        self.fixed().map(i64::from_be_bytes)
    }

    pub fn f64(&mut self) -> Result<f64> {
        self.fixed().map(f64::from_be_bytes)
    }

    pub fn uuid(&mut self) -> Result<Uuid> {
        self.fixed().map(Uuid::from_bytes)
    }

    pub fn error_code(&mut self) -> Result<ErrorCode> {
        self.i16().map(ErrorCode::from_code)
    }

    /// An unsigned varint of at most 32 bits: seven bits a byte, the lowest first.
    pub fn varint(&mut self) -> Result<u32> {
        let at = self.position;
        let mut value = 0_u32;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.fixed()?;
            let bits = u32::from(byte & 0x7f);
            if shift == 28 && byte > 0x0f {
                break;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(DecodeError::VarintTooLong { at })
    }

    pub fn string(&mut self) -> Result<Cow<'a, str>> {
        let at = self.position;
        self.nullable_string(true)?
            .ok_or(DecodeError::NullNotAllowed { at })
    }

    /// A string that is null only if `null` allows it.
    pub fn nullable_string(&mut self, null: bool) -> Result<Option<Cow<'a, str>>> {
        Ok(self.str(self.is_flexible, null)?.map(Cow::Borrowed))
    }

    /// A string whose length takes two bytes in every version.
    pub fn classic_nullable_str(&mut self) -> Result<Option<&'a str>> {
        self.str(false, true)
    }

    fn str(&mut self, is_compact: bool, null: bool) -> Result<Option<&'a str>> {
        let at = self.position;
        let length = if is_compact {
            self.compact_length()?
        } else {
            let raw = self.i16()?;
            Self::classic_length(at, i32::from(raw))?
        };
        let Some(length) = Self::not_null(at, length, null)? else {
            return Ok(None);
        };
        if length > STRING_BYTES_MAX {
            return Err(DecodeError::StringTooLong { at, length });
        }
        let at = self.position;
        let bytes = self.take(length)?;
        std::str::from_utf8(bytes)
            .map(Some)
            .map_err(|_| DecodeError::NotUtf8 { at })
    }

    pub fn bytes(&mut self) -> Result<Cow<'a, [u8]>> {
        let at = self.position;
        self.nullable_bytes(true)?
            .ok_or(DecodeError::NullNotAllowed { at })
    }

    /// Bytes that are null only if `null` allows it.
    pub fn nullable_bytes(&mut self, null: bool) -> Result<Option<Cow<'a, [u8]>>> {
        Ok(self.slice(null)?.map(Cow::Borrowed))
    }

    /// Record batches, unread: `storage` views them in place.
    pub fn records(&mut self, null: bool) -> Result<Option<Records<'a>>> {
        Ok(self.slice(null)?.map(Records::Slice))
    }

    fn slice(&mut self, null: bool) -> Result<Option<&'a [u8]>> {
        match self.length(null)? {
            Some(length) => self.take(length).map(Some),
            None => Ok(None),
        }
    }

    pub fn array<T>(&mut self, each: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let at = self.position;
        self.nullable_array(true, each)?
            .ok_or(DecodeError::NullNotAllowed { at })
    }

    /// An array that is null only if `null` allows it.
    pub fn nullable_array<T>(
        &mut self,
        null: bool,
        mut each: impl FnMut(&mut Self) -> Result<T>,
    ) -> Result<Option<Vec<T>>> {
        let at = self.position;
        let Some(count) = self.length(null)? else {
            return Ok(None);
        };
        // No element takes less than a byte, so a larger count is a lie told to reserve memory.
        if count > self.remaining() {
            let remaining = self.remaining();
            return Err(DecodeError::Truncated {
                at,
                needed: count,
                remaining,
            });
        }
        let reserved = count.saturating_mul(size_of::<T>());
        let left = self.budget.checked_sub(reserved);
        self.budget = left.ok_or(DecodeError::OverBudget { at, count })?;
        let mut elements = Vec::with_capacity(count);
        for _ in 0..count {
            elements.push(each(self)?);
        }
        Ok(Some(elements))
    }

    /// A struct behind a byte that says whether it is there.
    pub fn nullable_struct<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<Option<T>> {
        if self.i8()? < 0 {
            Ok(None)
        } else {
            read(self).map(Some)
        }
    }

    /// The same in a tagged field: the byte is a varint, 0 for null.
    pub fn tagged_nullable_struct<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<Option<T>> {
        if self.varint()? == 0 {
            Ok(None)
        } else {
            read(self).map(Some)
        }
    }

    /// The tagged fields of a struct that knows none. Nothing in classic versions.
    pub fn skip_tags(&mut self) -> Result<()> {
        self.tags(|_, _| Ok(false))
    }

    /// The tagged fields of a struct: `known` reads the tag's value, or answers `false` for a tag
    /// that this version does not define, which is skipped. Tags ascend, so none comes twice.
    pub fn tags(&mut self, mut known: impl FnMut(&mut Self, u32) -> Result<bool>) -> Result<()> {
        if !self.is_flexible {
            return Ok(());
        }
        let count = self.varint()?;
        let mut previous = None;
        for _ in 0..count {
            let at = self.position;
            let tag = self.varint()?;
            if previous.is_some_and(|previous| tag <= previous) {
                return Err(DecodeError::TagOrder { at, tag });
            }
            previous = Some(tag);
            let size = self.varint()?;
            self.tag(tag, size, &mut known)?;
        }
        Ok(())
    }

    fn tag(
        &mut self,
        tag: u32,
        size: u32,
        known: &mut impl FnMut(&mut Self, u32) -> Result<bool>,
    ) -> Result<()> {
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let start = self.position;
        self.take(size)?;
        let (after, outer_end) = (self.position, self.end);
        (self.position, self.end) = (start, after);
        let is_known = known(self, tag)?;
        if is_known && self.position != after {
            let left = self.remaining();
            return Err(DecodeError::TagSize {
                at: self.position,
                tag,
                left,
            });
        }
        (self.position, self.end) = (after, outer_end);
        Ok(())
    }

    /// The length of bytes and arrays.
    fn length(&mut self, null: bool) -> Result<Option<usize>> {
        let at = self.position;
        let length = if self.is_flexible {
            self.compact_length()?
        } else {
            let raw = self.i32()?;
            Self::classic_length(at, raw)?
        };
        Self::not_null(at, length, null)
    }

    /// Compact lengths are one more than the length; 0 is null.
    fn compact_length(&mut self) -> Result<Option<usize>> {
        let raw = self.varint()?;
        Ok(raw
            .checked_sub(1)
            .map(|length| usize::try_from(length).unwrap_or(usize::MAX)))
    }

    fn classic_length(at: usize, raw: i32) -> Result<Option<usize>> {
        match raw {
            -1 => Ok(None),
            _ => match usize::try_from(raw) {
                Ok(length) => Ok(Some(length)),
                Err(_) => Err(DecodeError::NegativeLength { at, length: raw }),
            },
        }
    }

    fn not_null(at: usize, length: Option<usize>, null: bool) -> Result<Option<usize>> {
        if length.is_none() && !null {
            return Err(DecodeError::NullNotAllowed { at });
        }
        Ok(length)
    }

    fn take(&mut self, needed: usize) -> Result<&'a [u8]> {
        let truncated = DecodeError::Truncated {
            at: self.position,
            needed,
            remaining: self.remaining(),
        };
        let end = self
            .position
            .checked_add(needed)
            .filter(|end| *end <= self.end);
        let end = end.ok_or(truncated)?;
        let taken = self.data.get(self.position..end).ok_or(truncated)?;
        self.position = end;
        Ok(taken)
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N]> {
        let rest = self.data.get(self.position..self.end).unwrap_or_default();
        let Some((value, _)) = rest.split_first_chunk() else {
            let (at, remaining) = (self.position, self.remaining());
            return Err(DecodeError::Truncated {
                at,
                needed: N,
                remaining,
            });
        };
        self.position += N;
        Ok(*value)
    }
}
