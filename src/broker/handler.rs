//! One file per API.

pub(crate) mod api_versions;

use super::context::{Body, Context};
use super::reply::Reply;
use crate::wire::api::ApiKey;

/// Answers what is read and not served: any future version of `ApiVersions`, and Produce 0-2.
pub(crate) fn unserved(cx: &Context, _body: &Body) -> Reply {
    match cx.api {
        ApiKey::ApiVersions => api_versions::unsupported_version(cx),
        api => unreachable!("{api} is served in every version that it is read in"),
    }
}
