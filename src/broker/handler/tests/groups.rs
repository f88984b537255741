//! What handlers of groups answer without asking a coordinator.

use super::*;
use crate::wire::messages::consumer_group_describe::ConsumerGroupDescribeRequest;
use crate::wire::messages::consumer_group_heartbeat::ConsumerGroupHeartbeatRequest;

/// `group.coordinator.rebalance.protocols` without `consumer`.
#[test]
fn the_new_protocol_is_refused_where_it_is_switched_off() {
    let flags = [("group.coordinator.rebalance.protocols", "classic")];
    with_world(&flags, |world| async move {
        for version in 0..=1 {
            let request = ConsumerGroupHeartbeatRequest {
                group_id: "g".into(),
                member_id: "m".into(),
                ..ConsumerGroupHeartbeatRequest::default()
            };
            let response = answered!(
                world,
                ConsumerGroupHeartbeat,
                version,
                consumer_group_heartbeat::handle,
                request
            );
            assert_eq!(response.error_code, ErrorCode::UnsupportedVersion);
            let request = ConsumerGroupDescribeRequest {
                group_ids: vec!["g".into(), "h".into()],
                ..ConsumerGroupDescribeRequest::default()
            };
            let response = answered!(
                world,
                ConsumerGroupDescribe,
                version,
                consumer_group_describe::handle,
                request
            );
            let codes: Vec<_> = response.groups.iter().map(|it| it.error_code).collect();
            assert_eq!(codes, [ErrorCode::UnsupportedVersion; 2]);
        }
    });
}
