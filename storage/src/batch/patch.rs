//! The few header fields that a leader sets, written into the bytes that the client sent.
//!
//! Base offset and leader epoch lie outside the CRC: stamping them costs twelve bytes. Attributes
//! and the maximum timestamp lie under it: setting them hashes the batch again.

use super::header::{Attributes, BatchHeader, TimestampType};
use super::view::{BatchError, BatchView, crc_of};
use crate::ids::{LeaderEpoch, Offset};
use crate::time::WallMillis;

const LEADER_EPOCH_AT: usize = 12;
const CRC_AT: usize = 17;
const ATTRIBUTES_AT: usize = 21;
const MAX_TIMESTAMP_AT: usize = 35;

/// A whole batch in a buffer that may be changed.
#[derive(Debug)]
pub struct BatchMut<'a> {
    header: BatchHeader,
    bytes: &'a mut [u8],
}

impl<'a> BatchMut<'a> {
    /// Takes the batch at the start of `buffer`, which may go on after it.
    ///
    /// # Errors
    /// As [`BatchView::parse`].
    pub fn parse(buffer: &'a mut [u8]) -> Result<Self, BatchError> {
        let header = *BatchView::parse(buffer)?.header();
        let truncated = BatchError::Truncated {
            have: buffer.len(),
            need: header.size(),
        };
        let bytes = buffer.get_mut(..header.size()).ok_or(truncated)?;
        Ok(Self { header, bytes })
    }

    /// The header as it is now.
    pub const fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// The whole batch as it is now.
    pub const fn bytes(&self) -> &[u8] {
        self.bytes
    }

    /// The whole batch, given back.
    pub fn into_bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// Sets where the batch stands in the log and under which leader it was appended.
    pub fn stamp(&mut self, base_offset: Offset, leader_epoch: LeaderEpoch) {
        self.header.base_offset = base_offset;
        self.header.partition_leader_epoch = leader_epoch.get();
        self.write(0, base_offset.get().to_be_bytes());
        self.write(LEADER_EPOCH_AT, leader_epoch.get().to_be_bytes());
    }

    /// Sets who timed the batch and its highest timestamp. Hashes the batch if that changes it.
    pub fn set_timestamps(&mut self, kind: TimestampType, max: WallMillis) {
        let attributes = self.header.attributes.with_timestamp_type(kind);
        if attributes == self.header.attributes && max == self.header.max_timestamp() {
            return;
        }
        self.header.max_timestamp = max.as_millis();
        self.write(MAX_TIMESTAMP_AT, max.as_millis().to_be_bytes());
        self.set_attributes(attributes);
    }

    /// Sets the attribute bits and hashes the batch.
    pub fn set_attributes(&mut self, attributes: Attributes) {
        self.header.attributes = attributes;
        self.write(ATTRIBUTES_AT, attributes.bits().to_be_bytes());
        self.header.crc = crc_of(self.bytes);
        self.write(CRC_AT, self.header.crc.to_be_bytes());
    }

    /// `parse` has made sure of the 61 bytes that all of these lie in.
    fn write<const N: usize>(&mut self, at: usize, field: [u8; N]) {
        let place = self.bytes.get_mut(at..).and_then(<[u8]>::first_chunk_mut);
        if let Some(place) = place {
            *place = field;
        }
    }
}
