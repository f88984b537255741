//! `FindCoordinator`: there are no coordinators yet, and every version says so.
//!
//! It is advertised because librdkafka switches lz4 off when it is not (docs/decisions/0009). The error is one that
//! clients retry: librdkafka asks for every consumer with a `group.id`, also for those that assign partitions by
//! themselves, and any other error would end them.

use crate::broker::context::Context;
use crate::wire::error_code::ErrorCode;
use crate::wire::messages::find_coordinator::{
    Coordinator, FindCoordinatorRequest, FindCoordinatorResponse,
};

const REFUSAL: ErrorCode = ErrorCode::CoordinatorNotAvailable;
const MESSAGE: &str = "this version of ottla has neither consumer groups nor transactions";

/// From this version on a request asks for several keys.
const KEYS_SINCE: i16 = 4;

#[expect(clippy::unused_async, reason = "every handler is called the same way")]
pub(crate) async fn handle<'r>(
    cx: &Context,
    request: FindCoordinatorRequest<'r>,
) -> FindCoordinatorResponse<'r> {
    let coordinators = request.coordinator_keys.into_iter().map(|key| Coordinator {
        key,
        node_id: -1,
        port: -1,
        error_code: REFUSAL,
        error_message: Some(MESSAGE.into()),
        ..Coordinator::default()
    });
    FindCoordinatorResponse {
        error_code: if cx.version < KEYS_SINCE {
            REFUSAL
        } else {
            ErrorCode::None
        },
        error_message: Some(MESSAGE.into()),
        node_id: -1,
        port: -1,
        coordinators: coordinators.collect(),
        ..FindCoordinatorResponse::default()
    }
}
