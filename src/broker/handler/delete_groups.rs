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
    // All begin before the first is waited for: they share batches of the log.
    let begin = |id: Cow<'r, str>| {
        let may = group::check(cx, Operation::Delete, &id);
        let pending = may.map(|()| group::begin(cx, &id, DeleteGroup((&*id).into())));
        (id, pending)
    };
    let begun: Vec<_> = request.groups_names.into_iter().map(begin).collect();
    let mut results = Vec::with_capacity(begun.len());
    for (group_id, pending) in begun {
        let (error_code, message) = match pending {
            Err(code) => (code, None),
            Ok(pending) => match pending.answer().await {
                Ok(()) => (ErrorCode::None, None),
                Err(error) => (ErrorCode::from(&error), Some(error.to_string())),
            },
        };
        results.push(DeletableGroupResult {
            group_id,
            error_code,
            error_message: message.map(Cow::Owned),
        });
    }
    DeleteGroupsResponse {
        results,
        ..DeleteGroupsResponse::default()
    }
}
