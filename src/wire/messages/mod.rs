//! The messages of every API, and what Kafka keeps in records (`data`), generated from `src/wire/schema/` (docs/formats/wire-schema.md).
//!
//! - Fields have Kafka's names; a field that a version lacks is not written and reads as its
//!   default. Defaults are the protocol's: a nullable string without one is empty, not null.
//! - `decode` and `encode` take the version; it must be one of the schema's, which
//!   `RequestHeader::decode` has made sure of.
#![allow(
    clippy::field_reassign_with_default,
    clippy::missing_errors_doc,
    unused_variables,
    reason = "generated: decoding starts from the defaults, the only errors are DecodeError's, \
              and not every message differs between its versions"
)]

use crate::wire::{
    api::{ApiKey, ControllerApi},
    reader::{DecodeError, Reader},
    writer::Writer,
};

#[rustfmt::skip]
pub mod allocate_producer_ids;
#[rustfmt::skip]
pub mod alter_configs;
#[rustfmt::skip]
pub mod alter_partition;
#[rustfmt::skip]
pub mod api_versions;
#[rustfmt::skip]
pub mod assign_replicas_to_dirs;
#[rustfmt::skip]
pub mod broker_heartbeat;
#[rustfmt::skip]
pub mod broker_registration;
#[rustfmt::skip]
pub mod consumer_group_describe;
#[rustfmt::skip]
pub mod consumer_group_heartbeat;
#[rustfmt::skip]
pub mod create_partitions;
#[rustfmt::skip]
pub mod create_topics;
pub mod data;
#[rustfmt::skip]
pub mod delete_groups;
#[rustfmt::skip]
pub mod delete_records;
#[rustfmt::skip]
pub mod delete_topics;
#[rustfmt::skip]
pub mod describe_cluster;
#[rustfmt::skip]
pub mod describe_configs;
#[rustfmt::skip]
pub mod describe_groups;
#[rustfmt::skip]
pub mod describe_log_dirs;
#[rustfmt::skip]
pub mod describe_quorum;
#[rustfmt::skip]
pub mod describe_topic_partitions;
#[rustfmt::skip]
pub mod elect_leaders;
#[rustfmt::skip]
pub mod fetch;
#[rustfmt::skip]
pub mod find_coordinator;
#[rustfmt::skip]
pub mod heartbeat;
#[rustfmt::skip]
pub mod incremental_alter_configs;
#[rustfmt::skip]
pub mod init_producer_id;
#[rustfmt::skip]
pub mod join_group;
#[rustfmt::skip]
pub mod leave_group;
#[rustfmt::skip]
pub mod list_groups;
#[rustfmt::skip]
pub mod list_offsets;
#[rustfmt::skip]
pub mod metadata;
#[rustfmt::skip]
pub mod offset_commit;
#[rustfmt::skip]
pub mod offset_delete;
#[rustfmt::skip]
pub mod offset_fetch;
#[rustfmt::skip]
pub mod offset_for_leader_epoch;
#[rustfmt::skip]
pub mod produce;
#[rustfmt::skip]
pub mod sync_group;

/// A request together with its API and its response, for clients.
pub trait Request {
    const API: ApiKey;
    type Response<'r>;

    fn encode(&self, writer: &mut Writer, version: i16);
    fn decode_response<'r>(
        reader: &mut Reader<'r>,
        version: i16,
    ) -> Result<Self::Response<'r>, DecodeError>;
}

/// A broker's request to the controller, together with its API and its response.
pub trait ControllerRequest {
    const API: ControllerApi;
    type Response<'r>;

    fn encode(&self, writer: &mut Writer, version: i16);
    fn decode_response<'r>(
        reader: &mut Reader<'r>,
        version: i16,
    ) -> Result<Self::Response<'r>, DecodeError>;
}
