//! `DescribeCluster`: who is in it.

use crate::broker::authorize::{
    CLUSTER_OPERATIONS, Operation, Resource, allowed_operations, authorize,
};
use crate::broker::context::Context;
use crate::broker::partitions::is_shown;
use crate::wire::error_code::ErrorCode;
use crate::wire::messages::describe_cluster::{
    DescribeClusterBroker, DescribeClusterRequest, DescribeClusterResponse,
};

/// Asks for brokers.
const ENDPOINTS_OF_BROKERS: i8 = 1;
/// Asks for controllers, which have no client listener of their own.
const ENDPOINTS_OF_CONTROLLERS: i8 = 2;

#[allow(clippy::unused_async, reason = "every handler is called the same way")]
pub(crate) async fn handle(
    cx: &Context,
    request: DescribeClusterRequest,
) -> DescribeClusterResponse<'static> {
    let refusal = match request.endpoint_type {
        ENDPOINTS_OF_BROKERS => None,
        ENDPOINTS_OF_CONTROLLERS => Some((
            ErrorCode::MismatchedEndpointType,
            "The request was sent to an endpoint of type BROKER, but we wanted an endpoint of \
             type CONTROLLER"
                .to_owned(),
        )),
        other => Some((
            ErrorCode::UnsupportedEndpointType,
            format!("Unsupported endpoint type {other}"),
        )),
    };
    if let Some((error_code, message)) = refusal {
        return DescribeClusterResponse {
            error_code,
            error_message: Some(message.into()),
            endpoint_type: request.endpoint_type,
            ..DescribeClusterResponse::default()
        };
    }
    let image = cx.broker.metadata.image();
    let listener = &cx.connection.listener;
    let wanted = image
        .brokers()
        .iter()
        .filter(|broker| request.include_fenced_brokers || is_shown(broker));
    let brokers = wanted.filter_map(|broker| {
        let endpoint = broker.endpoint(listener)?;
        Some(DescribeClusterBroker {
            broker_id: broker.id.get(),
            host: endpoint.host.clone().into(),
            port: i32::from(endpoint.port),
            rack: broker.rack.clone().map(Into::into),
            is_fenced: broker.is_fenced,
        })
    });
    let cluster_authorized_operations = if request.include_cluster_authorized_operations
        && authorize(cx, Operation::Describe, Resource::Cluster)
    {
        allowed_operations(cx, Resource::Cluster, CLUSTER_OPERATIONS)
    } else if request.include_cluster_authorized_operations {
        0
    } else {
        i32::MIN
    };
    DescribeClusterResponse {
        endpoint_type: request.endpoint_type,
        cluster_id: cx.broker.admin.cluster_id.to_string().into(),
        controller_id: cx.broker.controller_id(&image).get(),
        brokers: brokers.collect(),
        cluster_authorized_operations,
        ..DescribeClusterResponse::default()
    }
}
