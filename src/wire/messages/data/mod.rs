//! What is stored in the records of `__consumer_offsets` or carried in the bytes of other messages,
//! generated from `src/wire/schema/data/` (docs/formats/wire-schema.md).
//!
//! Bare bodies: what stands in front of them (a record's type, a version) is written and read by
//! `wire::consumer_offsets` and `wire::consumer_protocol`.

use crate::wire::{
    api::Versions,
    reader::{DecodeError, Reader},
    writer::Writer,
};

#[rustfmt::skip]
pub mod consumer_group_current_member_assignment;
#[rustfmt::skip]
pub mod consumer_group_member_metadata;
#[rustfmt::skip]
pub mod consumer_group_metadata;
#[rustfmt::skip]
pub mod consumer_group_partition_metadata;
#[rustfmt::skip]
pub mod consumer_group_regular_expression;
#[rustfmt::skip]
pub mod consumer_group_target_assignment_member;
#[rustfmt::skip]
pub mod consumer_group_target_assignment_metadata;
#[rustfmt::skip]
pub mod consumer_protocol_assignment;
#[rustfmt::skip]
pub mod consumer_protocol_subscription;
#[rustfmt::skip]
pub mod group_metadata;
#[rustfmt::skip]
pub mod legacy_offset_commit;
#[rustfmt::skip]
pub mod offset_commit;

/// A message whose bytes have an `int16` in front that is their version.
pub trait Versioned<'a>: Sized {
    /// The versions that can be read and written.
    const VERSIONS: Versions;

    fn decode(reader: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError>;
    fn encode(&self, writer: &mut Writer, version: i16);
}
