//! Writes protocol types.
//!
//! Messages are written without a result at each field: the first fault (a string that is too
//! long, a null in a version that has none) is kept, and `finish` returns it instead of bytes.
//! What is written is a sequence of pieces, so that records can be sent from where they are.

use bytes::{BufMut, Bytes, BytesMut};

use crate::wire::{
    Uuid,
    error_code::ErrorCode,
    records::{ExternalRange, Records},
};

/// Why a message cannot be put into bytes: a fault of the program that built it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    #[error("string of {length} bytes; the protocol has room for 32767")]
    StringTooLong { length: usize },
    #[error("array or bytes of length {length}; the protocol has room for 2147483647")]
    TooLong { length: usize },
    #[error("null, where this version has a value")]
    NullNotAllowed,
    #[error("message of {length} bytes; a frame has room for 2147483647")]
    FrameTooLong { length: u64 },
}

/// One stretch of what is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    Bytes(Bytes),
    External(ExternalRange),
}

/// A message in the pieces that make it up, in the order of sending.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Segments {
    pub pieces: Vec<Piece>,
    /// Bytes of all pieces, the external ones included.
    pub len: u64,
}

impl Segments {
    /// The message as one buffer, or `None` if a part of it is external.
    pub fn into_bytes(self) -> Option<Bytes> {
        let mut pieces = self.pieces.into_iter().map(|piece| match piece {
            Piece::Bytes(bytes) => Some(bytes),
            Piece::External(_) => None,
        });
        let Some(first) = pieces.next() else {
            return Some(Bytes::new());
        };
        let first = first?;
        let Some(second) = pieces.next() else {
            return Some(first);
        };
        let mut all = BytesMut::from(first);
        all.extend_from_slice(&second?);
        for piece in pieces {
            all.extend_from_slice(&piece?);
        }
        Some(all.freeze())
    }
}

/// Collects a message. The message says which kind of version it writes, as for `Reader`.
#[derive(Debug, Default)]
pub struct Writer {
    buffer: BytesMut,
    done: Vec<Part>,
    /// Bytes of `done`.
    done_len: u64,
    /// The first four bytes are kept free for the size of the rest.
    is_frame: bool,
    is_flexible: bool,
    has_unknown_server_error: bool,
    error: Option<EncodeError>,
}

/// A finished piece; what this writer wrote stays writable, as the size comes last.
#[derive(Debug)]
enum Part {
    Written(BytesMut),
    Lent(Piece),
}

/// Records at least this long are sent from their shared buffer; shorter ones are copied, as a
/// piece costs more than the copy.
const SHARED_BYTES_MIN: usize = 1024;

impl Writer {
    pub fn new() -> Self {
        Self::default()
    }

    /// A writer whose message is preceded by its size in four bytes.
    pub(super) fn frame() -> Self {
        let mut writer = Self {
            is_frame: true,
            ..Self::default()
        };
        writer.i32(0);
        writer
    }

    /// Called by each message before its first field.
    pub fn set_flexible(&mut self, is_flexible: bool) {
        self.is_flexible = is_flexible;
    }

    /// Bytes written so far, the external ones included.
    pub fn written(&self) -> u64 {
        let here = u64::try_from(self.buffer.len()).unwrap_or(u64::MAX);
        self.done_len.saturating_add(here)
    }

    /// The message.
    ///
    /// # Errors
    /// The first fault met on the way. Trying again gives the same.
    pub fn finish(mut self) -> Result<Segments, EncodeError> {
        self.close_piece();
        if let Some(error) = self.error {
            return Err(error);
        }
        if self.is_frame {
            self.put_size()?;
        }
        let pieces = self.done.into_iter().map(|part| match part {
            Part::Written(bytes) => Piece::Bytes(bytes.freeze()),
            Part::Lent(piece) => piece,
        });
        Ok(Segments {
            pieces: pieces.collect(),
            len: self.done_len,
        })
    }

    fn put_size(&mut self) -> Result<(), EncodeError> {
        let length = self.done_len.saturating_sub(4);
        let size = i32::try_from(length).map_err(|_| EncodeError::FrameTooLong { length })?;
        if let Some(Part::Written(first)) = self.done.first_mut() {
            for (slot, byte) in first.iter_mut().zip(size.to_be_bytes()) {
                *slot = byte;
            }
        }
        Ok(())
    }

    pub fn bool(&mut self, value: bool) {
        self.buffer.put_u8(u8::from(value));
    }

    pub fn i8(&mut self, value: i8) {
        self.buffer.put_i8(value);
    }

    pub fn i16(&mut self, value: i16) {
        self.buffer.put_i16(value);
    }

    pub fn u16(&mut self, value: u16) {
        self.buffer.put_u16(value);
    }

    pub fn i32(&mut self, value: i32) {
        self.buffer.put_i32(value);
    }

    pub fn i64(&mut self, value: i64) {
        self.buffer.put_i64(value);
    }

    pub fn f64(&mut self, value: f64) {
        self.buffer.put_f64(value);
    }

    pub fn uuid(&mut self, value: Uuid) {
        self.buffer.put_slice(value.as_bytes());
    }

    pub fn error_code(&mut self, value: ErrorCode) {
        self.has_unknown_server_error |= value == ErrorCode::UnknownServerError;
        self.i16(value.code());
    }

    /// Whether the message says `UnknownServerError`: our own fault, which is counted.
    pub fn has_unknown_server_error(&self) -> bool {
        self.has_unknown_server_error
    }

    /// An unsigned varint: seven bits a byte, the lowest first.
    pub fn varint(&mut self, value: u32) {
        let (encoded, length) = encode_varint(value);
        self.buffer.extend(encoded.into_iter().take(length));
    }

    pub fn string(&mut self, value: &str) {
        self.nullable_string(false, Some(value));
    }

    /// A string that may be absent only if `null` allows it.
    pub fn nullable_string(&mut self, null: bool, value: Option<&str>) {
        self.str(self.is_flexible, null, value);
    }

    /// A string whose length takes two bytes in every version.
    pub fn classic_nullable_str(&mut self, value: Option<&str>) {
        self.str(false, true, value);
    }

    fn str(&mut self, is_compact: bool, null: bool, value: Option<&str>) {
        let length = match value {
            Some(text) => i16::try_from(text.len())
                .unwrap_or_else(|_| self.fail(EncodeError::StringTooLong { length: text.len() })),
            None if null => -1,
            None => self.fail(EncodeError::NullNotAllowed),
        };
        if is_compact {
            self.varint(u32::try_from(i32::from(length) + 1).unwrap_or_default());
        } else {
            self.i16(length);
        }
        self.buffer.put_slice(value.unwrap_or_default().as_bytes());
    }

    /// Bytes as they are, without a length.
    pub fn raw(&mut self, value: &[u8]) {
        self.buffer.put_slice(value);
    }

    pub fn bytes(&mut self, value: &[u8]) {
        self.nullable_bytes(false, Some(value));
    }

    /// Bytes that may be absent only if `null` allows it.
    pub fn nullable_bytes(&mut self, null: bool, value: Option<&[u8]>) {
        self.length(null, value.map(<[u8]>::len));
        self.buffer.put_slice(value.unwrap_or_default());
    }

    /// Records that may be absent only if `null` allows it.
    pub fn records(&mut self, null: bool, value: Option<&Records<'_>>) {
        match value {
            None => self.length(null, None),
            Some(Records::Slice(bytes)) => self.nullable_bytes(null, Some(bytes)),
            Some(Records::Shared(bytes)) if bytes.len() < SHARED_BYTES_MIN => {
                self.nullable_bytes(null, Some(bytes));
            }
            Some(Records::Shared(bytes)) => {
                self.length(null, Some(bytes.len()));
                self.push_piece(Piece::Bytes(bytes.clone()));
            }
            Some(Records::External(range)) => {
                self.length(null, Some(usize::try_from(range.len).unwrap_or(usize::MAX)));
                if range.len > 0 {
                    self.push_piece(Piece::External(*range));
                }
            }
        }
    }

    pub fn array<T>(&mut self, elements: &[T], each: impl FnMut(&mut Self, &T)) {
        self.nullable_array(false, Some(elements), each);
    }

    /// An array that may be absent only if `null` allows it.
    pub fn nullable_array<T>(
        &mut self,
        null: bool,
        elements: Option<&[T]>,
        mut each: impl FnMut(&mut Self, &T),
    ) {
        self.length(null, elements.map(<[T]>::len));
        for element in elements.unwrap_or_default() {
            each(self, element);
        }
    }

    /// A struct behind a byte that says whether it is there.
    pub fn nullable_struct<T>(&mut self, value: Option<&T>, write: impl FnOnce(&mut Self, &T)) {
        self.i8(if value.is_some() { 1 } else { -1 });
        if let Some(value) = value {
            write(self, value);
        }
    }

    /// The same in a tagged field: the byte is a varint, 0 for null.
    pub fn tagged_nullable_struct<T>(
        &mut self,
        value: Option<&T>,
        write: impl FnOnce(&mut Self, &T),
    ) {
        self.varint(u32::from(value.is_some()));
        if let Some(value) = value {
            write(self, value);
        }
    }

    /// The end of a struct without tagged fields. Nothing in classic versions.
    pub fn no_tags(&mut self) {
        if self.is_flexible {
            self.varint(0);
        }
    }

    /// How many of the tagged fields follow. Nothing in classic versions.
    pub fn tag_count(&mut self, present: &[bool]) {
        if self.is_flexible {
            self.varint(
                present
                    .iter()
                    .map(|is_present| u32::from(*is_present))
                    .sum(),
            );
        }
    }

    /// One tagged field; fields are written by ascending tag.
    pub fn tag(&mut self, tag: u32, write: impl FnOnce(&mut Self)) {
        self.varint(tag);
        // The size goes before a value whose size is not known yet: the value is written, then
        // moved up to make room. Tagged values are small and hold no records.
        let start = self.buffer.len();
        write(self);
        let end = self.buffer.len();
        let size = end.saturating_sub(start);
        let (encoded, length) = encode_varint(u32::try_from(size).unwrap_or(u32::MAX));
        self.buffer.put_bytes(0, length);
        self.buffer.copy_within(start..end, start + length);
        for (slot, byte) in self
            .buffer
            .iter_mut()
            .skip(start)
            .zip(encoded.iter().take(length))
        {
            *slot = *byte;
        }
    }

    /// The length of bytes and arrays; -1, or 0 where compact, is null.
    fn length(&mut self, null: bool, length: Option<usize>) {
        let length = match length {
            Some(length) => i32::try_from(length)
                .unwrap_or_else(|_| i32::from(self.fail(EncodeError::TooLong { length }))),
            None if null => -1,
            None => i32::from(self.fail(EncodeError::NullNotAllowed)),
        };
        if self.is_flexible {
            self.varint(length.cast_unsigned().wrapping_add(1));
        } else {
            self.i32(length);
        }
    }

    /// Keeps the first fault and gives a length that keeps the writing going.
    fn fail(&mut self, error: EncodeError) -> i16 {
        self.error.get_or_insert(error);
        0
    }

    fn close_piece(&mut self) {
        if !self.buffer.is_empty() {
            let bytes = self.buffer.split();
            self.count_done(bytes.len());
            self.done.push(Part::Written(bytes));
        }
    }

    fn push_piece(&mut self, piece: Piece) {
        self.close_piece();
        self.count_done(match &piece {
            Piece::Bytes(bytes) => bytes.len(),
            Piece::External(range) => usize::try_from(range.len).unwrap_or(usize::MAX),
        });
        self.done.push(Part::Lent(piece));
    }

    fn count_done(&mut self, length: usize) {
        let length = u64::try_from(length).unwrap_or(u64::MAX);
        self.done_len = self.done_len.saturating_add(length);
    }
}

/// The bytes of a varint and how many of them count.
fn encode_varint(mut value: u32) -> ([u8; 5], usize) {
    let mut encoded = [0; 5];
    let mut length = 0;
    for slot in &mut encoded {
        let [low, ..] = value.to_le_bytes();
        value >>= 7;
        length += 1;
        *slot = if value == 0 { low & 0x7f } else { low | 0x80 };
        if value == 0 {
            break;
        }
    }
    (encoded, length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{
        api::ApiKey,
        frame::encode_response,
        messages::fetch::{FetchResponse, FetchableTopicResponse, PartitionData},
        reader::Reader,
    };

    fn fetched(records: Vec<Option<Records<'_>>>) -> FetchResponse<'_> {
        let partition = |records| PartitionData {
            records,
            ..PartitionData::default()
        };
        let partitions = records.into_iter().map(partition).collect();
        let topic = FetchableTopicResponse {
            partitions,
            ..FetchableTopicResponse::default()
        };
        FetchResponse {
            responses: vec![topic],
            ..FetchResponse::default()
        }
    }

    fn frame(response: &FetchResponse<'_>, version: i16) -> Segments {
        encode_response(ApiKey::Fetch, version, 7, |w| response.encode(w, version)).unwrap()
    }

    #[test]
    fn external_records_leave_a_gap_of_their_length() {
        let contents = vec![b'x'; 5000];
        for version in 4..=18 {
            let range = |token| ExternalRange { token, len: 5000 };
            let external = [
                Some(Records::External(range(1))),
                None,
                Some(Records::External(range(2))),
            ];
            let segments = frame(&fetched(external.to_vec()), version);
            // Flexible versions end with tags, after the last records.
            let pieces = if version >= 12 { 5 } else { 4 };
            assert_eq!(segments.pieces.len(), pieces);

            let mut sent = Vec::new();
            for piece in &segments.pieces {
                match piece {
                    Piece::Bytes(bytes) => sent.extend_from_slice(bytes),
                    Piece::External(_) => sent.extend_from_slice(&contents),
                }
            }
            assert_eq!(sent.len(), usize::try_from(segments.len).unwrap());
            let in_memory = Some(Records::Slice(&contents));
            let expected = frame(&fetched(vec![in_memory.clone(), None, in_memory]), version);
            assert_eq!(sent, expected.into_bytes().unwrap());
        }
    }

    #[test]
    fn shared_records_are_sent_from_their_buffer_unless_they_are_short() {
        for (length, pieces) in [(SHARED_BYTES_MIN - 1, 1), (SHARED_BYTES_MIN, 3)] {
            let shared = Bytes::from(vec![b'x'; length]);
            let segments = frame(&fetched(vec![Some(Records::Shared(shared.clone()))]), 12);
            assert_eq!(segments.pieces.len(), pieces);
            let expected = frame(&fetched(vec![Some(Records::Slice(&shared))]), 12);
            assert_eq!(segments.into_bytes(), expected.into_bytes());
        }
    }

    #[test]
    fn empty_external_records_are_no_piece() {
        let empty = Records::External(ExternalRange { token: 1, len: 0 });
        assert_eq!(frame(&fetched(vec![Some(empty)]), 12).pieces.len(), 1);
    }

    #[test]
    fn the_first_fault_is_returned_instead_of_bytes() {
        let mut writer = Writer::new();
        writer.string(&"x".repeat(32_768));
        writer.nullable_bytes(false, None);
        let fault = EncodeError::StringTooLong { length: 32_768 };
        assert_eq!(writer.finish(), Err(fault));

        let mut null = Writer::new();
        null.nullable_array(false, None, |w, e: &i32| w.i32(*e));
        assert_eq!(null.finish(), Err(EncodeError::NullNotAllowed));
    }

    #[test]
    fn varints_read_back() {
        for value in [0, 1, 127, 128, 16_383, 16_384, u32::MAX - 1, u32::MAX] {
            let mut writer = Writer::new();
            writer.varint(value);
            let bytes = writer.finish().unwrap().into_bytes().unwrap();
            assert_eq!(Reader::new(&bytes).varint(), Ok(value));
        }
    }

    /// A tagged value of 128 bytes and more moves by two bytes to make room for its size.
    #[test]
    fn long_tagged_values_follow_their_size() {
        let mut writer = Writer::new();
        writer.tag(3, |w| (0..200_u8).for_each(|_| w.bool(true)));
        let bytes = writer.finish().unwrap().into_bytes().unwrap();
        assert_eq!(bytes[..4], [3, 0xc8, 1, 1]);
        assert_eq!(bytes.len(), 203);
    }
}
