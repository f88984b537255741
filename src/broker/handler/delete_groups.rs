//! `DeleteGroups`: forgets groups without members, and how far they had come.

use std::borrow::Cow;

use super::group;
use crate::broker::authorize::Operation;
use crate::broker::context::Context;
use crate::coordinator::group::request::DeleteGroup;
use crate::wire::error_code::ErrorCode;
use crate::wire::messages::delete_groups::{
    DeletableGroupResult, DeleteGroupsRequest, DeleteGroupsResponse,
};

pub(crate) async fn handle<'r>(
    cx: &Context,
    request: DeleteGroupsRequest<'r>,
) -> DeleteGroupsResponse<'r> {
    let mut results = Vec::with_capacity(request.groups_names.len());
    for id in request.groups_names {
        results.push(delete(cx, id).await);
    }
    DeleteGroupsResponse {
        results,
        ..DeleteGroupsResponse::default()
    }
}

async fn delete<'r>(cx: &Context, id: Cow<'r, str>) -> DeletableGroupResult<'r> {
    let (error_code, message) = match group::check(cx, Operation::Delete, &id) {
        Err(code) => (code, None),
        Ok(()) => match group::ask(cx, &id, DeleteGroup((&*id).into())).await {
            Ok(()) => (ErrorCode::None, None),
            Err(error) => (ErrorCode::from(&error), Some(error.to_string())),
        },
    };
    DeletableGroupResult {
        group_id: id,
        error_code,
        error_message: message.map(Cow::Owned),
    }
}
