//! What the three config APIs share: the numbers of resource types, and who may.

use crate::broker::authorize::{Operation, Resource, authorize};
use crate::broker::context::Context;
use crate::controller::command::NamedResource;
use crate::wire::error_code::ErrorCode;

/// A topic's number.
pub(crate) const TOPIC: i8 = 2;
/// A broker's number.
pub(crate) const BROKER: i8 = 4;

/// The resource of a type's number and a name.
pub(crate) fn named(kind: i8, name: &str) -> NamedResource {
    match kind {
        TOPIC => NamedResource::Topic(name.to_owned()),
        BROKER => NamedResource::Broker(name.to_owned()),
        kind => NamedResource::Other {
            kind,
            name: name.to_owned(),
        },
    }
}

/// The code of a refusal, or that the principal may.
pub(crate) fn check_access(
    cx: &Context,
    operation: Operation,
    resource: &NamedResource,
) -> Result<(), ErrorCode> {
    let (resource, refusal) = match resource {
        NamedResource::Topic(name) => (Resource::Topic(name), ErrorCode::TopicAuthorizationFailed),
        NamedResource::Broker(_) | NamedResource::Other { .. } => {
            (Resource::Cluster, ErrorCode::ClusterAuthorizationFailed)
        }
    };
    if authorize(cx, operation, resource) {
        Ok(())
    } else {
        Err(refusal)
    }
}
