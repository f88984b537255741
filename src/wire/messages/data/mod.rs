//! What is stored in the records of `__consumer_offsets` or carried in the bytes of other messages,
//! generated from `src/wire/schema/data/` (docs/formats/wire-schema.md).
//!
//! Bare bodies: the type in front of a record's key is `wire::consumer_offsets`', the version in
//! front of everything else `wire::versioned`'s.

use crate::wire::versioned::Versioned;

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
