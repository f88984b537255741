//! `InitProducerId`: an id for an idempotent producer, out of this broker's block.

use crate::broker::authorize::{Operation, Resource, authorize};
use crate::broker::context::Context;
use crate::wire::error_code::ErrorCode;
use crate::wire::messages::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};

pub(crate) async fn handle(
    cx: &Context,
    request: InitProducerIdRequest<'_>,
) -> InitProducerIdResponse {
    if let Some(id) = &request.transactional_id {
        return refused(transactional(cx, id));
    }
    if !authorize(cx, Operation::IdempotentWrite, Resource::Cluster) {
        return refused(ErrorCode::ClusterAuthorizationFailed);
    }
    // KIP-360: a producer to continue is named by both, or by neither.
    if (request.producer_id == -1) != (request.producer_epoch == -1) {
        return refused(ErrorCode::InvalidRequest);
    }
    // Without a transactional id there is nothing to continue: an id and an epoch that the client
    // names (KIP-360) are forgotten, and it begins anew.
    match cx.broker.next_producer_id().await {
        Ok(producer_id) => InitProducerIdResponse {
            producer_id,
            producer_epoch: 0,
            ..InitProducerIdResponse::default()
        },
        Err(error) => {
            tracing::warn!(
                message = error.message,
                "no producer ids from the controller"
            );
            refused(retriable(error.code))
        }
    }
}

/// Transactions have no coordinator yet: said in a way that ends the producer instead of making it
/// wait for one.
fn transactional(cx: &Context, id: &str) -> ErrorCode {
    if id.is_empty() {
        ErrorCode::InvalidRequest
    } else if authorize(cx, Operation::Write, Resource::TransactionalId(id)) {
        ErrorCode::UnsupportedVersion
    } else {
        ErrorCode::TransactionalIdAuthorizationFailed
    }
}

/// Producers know this one as "ask again here"; the controller's own codes they don't expect.
fn retriable(code: ErrorCode) -> ErrorCode {
    match code {
        ErrorCode::UnknownServerError => code,
        _ => ErrorCode::CoordinatorLoadInProgress,
    }
}

fn refused(error_code: ErrorCode) -> InitProducerIdResponse {
    InitProducerIdResponse {
        error_code,
        producer_id: -1,
        producer_epoch: -1,
        ..InitProducerIdResponse::default()
    }
}
