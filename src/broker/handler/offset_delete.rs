//! `OffsetDelete`: no node coordinates groups, so every group is told that none is available.

use crate::broker::context::Context;
use crate::wire::error_code::ErrorCode;
use crate::wire::messages::offset_delete::{OffsetDeleteRequest, OffsetDeleteResponse};

#[expect(clippy::unused_async, reason = "every handler is called the same way")]
pub(crate) async fn handle<'r>(
    _cx: &Context,
    _request: OffsetDeleteRequest<'r>,
) -> OffsetDeleteResponse<'r> {
    OffsetDeleteResponse {
        error_code: ErrorCode::CoordinatorNotAvailable,
        ..OffsetDeleteResponse::default()
    }
}
