//! The records of `__consumer_offsets` (docs/formats/consumer-offsets.md): keys behind their type, and
//! which version of its value goes with each.
//!
//! - A type that is not in this table is no error: a newer node may have written it.
//! - Values are written in the versions that Kafka 4.4 writes, so its tools and its coordinators read
//!   them; they are read in every version by `versioned::decode`.

use bytes::Bytes;

use crate::wire::{
    messages::data::{
        consumer_group_current_member_assignment::{
            self, ConsumerGroupCurrentMemberAssignmentKey,
            ConsumerGroupCurrentMemberAssignmentValue,
        },
        consumer_group_member_metadata::{
            self, ConsumerGroupMemberMetadataKey, ConsumerGroupMemberMetadataValue,
        },
        consumer_group_metadata::{self, ConsumerGroupMetadataKey, ConsumerGroupMetadataValue},
        consumer_group_partition_metadata::{
            self, ConsumerGroupPartitionMetadataKey, ConsumerGroupPartitionMetadataValue,
        },
        consumer_group_regular_expression::{
            self, ConsumerGroupRegularExpressionKey, ConsumerGroupRegularExpressionValue,
        },
        consumer_group_target_assignment_member::{
            self, ConsumerGroupTargetAssignmentMemberKey, ConsumerGroupTargetAssignmentMemberValue,
        },
        consumer_group_target_assignment_metadata::{
            self, ConsumerGroupTargetAssignmentMetadataKey,
            ConsumerGroupTargetAssignmentMetadataValue,
        },
        group_metadata::{self, GroupMetadataKey, GroupMetadataValue},
        legacy_offset_commit::{self, LegacyOffsetCommitKey, LegacyOffsetCommitValue},
        offset_commit::{self, OffsetCommitKey, OffsetCommitValue},
    },
    reader::{DecodeError, Reader},
    versioned::{self, Versioned, written},
    writer::EncodeError,
};

/// Keys have no version: a change would be a new type.
const KEY_VERSION: i16 = 0;

/// The value of a record, which knows the version that it is written in.
pub trait Value<'a>: Versioned<'a> {
    /// The version that Kafka 4.4 writes it in.
    fn written_version(&self) -> i16;
}

/// Writes a value behind its version.
///
/// # Errors
/// A string or an array that is longer than the protocol has room for.
pub fn encode_value<'a>(value: &impl Value<'a>) -> Result<Bytes, EncodeError> {
    versioned::encode(value, value.written_version())
}

/// A key of a type that is not known, whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownKey<'a> {
    pub record_type: i16,
    pub body: &'a [u8],
}

/// One row per type: variant, module, key, value, the version that the value is written in.
macro_rules! records {
    ($($name:ident $module:ident $key:ident $value:ty, $written:expr;)*) => {
        /// What a record is about, by its type.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Key<'a> {
            $($name($key<'a>),)*
            Unknown(UnknownKey<'a>),
        }

        impl<'a> Key<'a> {
            /// Reads the key of a record, to the last byte.
            ///
            /// # Errors
            /// No type in front, or a body that is not that of its type.
            pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
                let mut reader = Reader::new(bytes);
                let key = match reader.i16()? {
                    $($module::TYPE => {
                        Self::$name($key::decode(&mut reader, KEY_VERSION)?)
                    })*
                    record_type => {
                        let body = bytes.get(reader.position()..).unwrap_or_default();
                        return Ok(Self::Unknown(UnknownKey { record_type, body }));
                    }
                };
                reader.finish()?;
                Ok(key)
            }

            /// The number that the key begins with.
            pub fn record_type(&self) -> i16 {
                match self {
                    $(Self::$name(_) => $module::TYPE,)*
                    Self::Unknown(key) => key.record_type,
                }
            }

            /// Writes the key behind its type.
            ///
            /// # Errors
            /// A string that is longer than the protocol has room for.
            pub fn encode(&self) -> Result<Bytes, EncodeError> {
                written(|writer| {
                    writer.i16(self.record_type());
                    match self {
                        $(Self::$name(key) => key.encode(writer, KEY_VERSION),)*
                        Self::Unknown(key) => writer.raw(key.body),
                    }
                })
            }
        }

        $(
            impl<'a> From<$key<'a>> for Key<'a> {
                fn from(key: $key<'a>) -> Self {
                    Self::$name(key)
                }
            }

            impl<'a> Value<'a> for $value {
                fn written_version(&self) -> i16 {
                    let written: fn(&Self) -> i16 = $written;
                    written(self)
                }
            }
        )*
    };
}

records! {
    LegacyOffsetCommit legacy_offset_commit
        LegacyOffsetCommitKey LegacyOffsetCommitValue<'a>, |_| 0;
    OffsetCommit offset_commit OffsetCommitKey OffsetCommitValue<'a>, offset_commit_version;
    GroupMetadata group_metadata GroupMetadataKey GroupMetadataValue<'a>, |_| 3;
    ConsumerGroupMetadata consumer_group_metadata
        ConsumerGroupMetadataKey ConsumerGroupMetadataValue, |_| 0;
    ConsumerGroupPartitionMetadata consumer_group_partition_metadata
        ConsumerGroupPartitionMetadataKey ConsumerGroupPartitionMetadataValue<'a>, |_| 0;
    ConsumerGroupMemberMetadata consumer_group_member_metadata
        ConsumerGroupMemberMetadataKey ConsumerGroupMemberMetadataValue<'a>, |_| 0;
    ConsumerGroupTargetAssignmentMetadata consumer_group_target_assignment_metadata
        ConsumerGroupTargetAssignmentMetadataKey
        ConsumerGroupTargetAssignmentMetadataValue, |_| 0;
    ConsumerGroupTargetAssignmentMember consumer_group_target_assignment_member
        ConsumerGroupTargetAssignmentMemberKey ConsumerGroupTargetAssignmentMemberValue, |_| 0;
    ConsumerGroupCurrentMemberAssignment consumer_group_current_member_assignment
        ConsumerGroupCurrentMemberAssignmentKey ConsumerGroupCurrentMemberAssignmentValue, |_| 0;
    ConsumerGroupRegularExpression consumer_group_regular_expression
        ConsumerGroupRegularExpressionKey ConsumerGroupRegularExpressionValue<'a>, |_| 0;
}

/// Version 1 is the only one with an expiry of its own (`retention_time_ms` of `OffsetCommit` 2-4), at the cost of the
/// leader epoch and the topic id.
fn offset_commit_version(value: &OffsetCommitValue<'_>) -> i16 {
    if value.expire_timestamp == -1 { 4 } else { 1 }
}

#[cfg(test)]
mod tests;
