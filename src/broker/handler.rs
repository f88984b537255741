//! One file per API.

pub(crate) mod alter_configs;
pub(crate) mod api_versions;
mod config_resource;
pub(crate) mod consumer_group_describe;
pub(crate) mod consumer_group_heartbeat;
pub(crate) mod create_partitions;
pub(crate) mod create_topics;
pub(crate) mod delete_groups;
pub(crate) mod delete_records;
pub(crate) mod delete_topics;
pub(crate) mod describe_cluster;
pub(crate) mod describe_configs;
pub(crate) mod describe_groups;
pub(crate) mod describe_log_dirs;
pub(crate) mod describe_quorum;
pub(crate) mod describe_topic_partitions;
pub(crate) mod elect_leaders;
pub mod fetch;
pub(crate) mod find_coordinator;
mod group;
pub(crate) mod heartbeat;
pub(crate) mod incremental_alter_configs;
pub(crate) mod init_producer_id;
pub(crate) mod join_group;
pub(crate) mod leave_group;
pub(crate) mod list_groups;
pub(crate) mod list_offsets;
pub(crate) mod metadata;
pub(crate) mod offset_commit;
pub(crate) mod offset_delete;
pub(crate) mod offset_fetch;
pub(crate) mod offset_for_leader_epoch;
pub(crate) mod produce;
pub(crate) mod sync_group;
mod topic_view;

use super::context::{Body, Context};
use super::reply::Reply;
use crate::wire::api::ApiKey;

/// Answers what is read and not served: any future version of `ApiVersions`, and Produce 0-2.
pub(crate) fn unserved(cx: &Context, body: &Body) -> Reply {
    match cx.api {
        ApiKey::ApiVersions => api_versions::unsupported_version(cx),
        ApiKey::Produce => produce::unsupported_version(cx, body),
        api => unreachable!("{api} is served in every version that it is read in"),
    }
}

#[cfg(test)]
mod tests;
