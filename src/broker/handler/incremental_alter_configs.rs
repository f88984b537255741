//! `IncrementalAlterConfigs`: configs change key by key.

use std::borrow::Cow;

use crate::broker::authorize::Operation;
use crate::broker::context::Context;
use crate::broker::handler::config_resource::{check_access, named};
use crate::controller::command::{AlterConfigs, AlterResource, ConfigChange, ConfigOp};
use crate::wire::error_code::ErrorCode;
use crate::wire::messages::incremental_alter_configs::{
    AlterConfigsResource, AlterConfigsResourceResponse, AlterableConfig,
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
};

pub(crate) async fn handle<'r>(
    cx: &Context,
    request: IncrementalAlterConfigsRequest<'r>,
) -> IncrementalAlterConfigsResponse<'r> {
    let checked: Vec<_> = request
        .resources
        .iter()
        .map(|resource| check(cx, resource))
        .collect();
    let resources = checked.iter().flatten().cloned().collect();
    let changes = AlterConfigs {
        resources,
        validate_only: request.validate_only,
    };
    let mut outcome = alter(cx, changes).await.into_iter();
    let responses = request
        .resources
        .into_iter()
        .zip(checked)
        .map(|(resource, checked)| {
            let result = match checked {
                Ok(_) => outcome
                    .next()
                    .unwrap_or((ErrorCode::UnknownServerError, None)),
                Err(refused) => refused,
            };
            AlterConfigsResourceResponse {
                error_code: result.0,
                error_message: result.1,
                resource_type: resource.resource_type,
                resource_name: resource.resource_name,
            }
        });
    let responses = responses.collect();
    IncrementalAlterConfigsResponse {
        throttle_time_ms: 0,
        responses,
    }
}

/// A code with its text, as a resource's result.
pub(super) type CodeAndText = (ErrorCode, Option<Cow<'static, str>>);

/// Asks the controller; one result per resource.
pub(super) async fn alter(cx: &Context, changes: AlterConfigs) -> Vec<CodeAndText> {
    let count = changes.resources.len();
    if count == 0 {
        return Vec::new();
    }
    let altered = cx.broker.admin.controller.alter_configs(changes);
    match cx.ask(REQUEST_TIMEOUT_MS, altered).await {
        Ok(outcome) => {
            cx.broker.caught_up().await;
            let results = outcome.into_iter().map(|result| match result {
                Ok(()) => (ErrorCode::None, None),
                Err(error) => (ErrorCode::from(&error), Some(error.to_string().into())),
            });
            results.collect()
        }
        Err(error) => vec![(error.code, Some(error.message.into())); count],
    }
}

/// The request names no time: Kafka's request.timeout.ms.
const REQUEST_TIMEOUT_MS: i32 = 30_000;

fn check(cx: &Context, resource: &AlterConfigsResource<'_>) -> Result<AlterResource, CodeAndText> {
    let target = named(resource.resource_type, &resource.resource_name);
    check_access(cx, Operation::AlterConfigs, &target).map_err(|code| (code, None))?;
    let ops = resource
        .configs
        .iter()
        .map(config_op)
        .collect::<Result<Vec<_>, _>>()?;
    Ok(AlterResource {
        resource: target,
        change: ConfigChange::Incremental(ops),
    })
}

fn config_op(config: &AlterableConfig<'_>) -> Result<(String, ConfigOp), CodeAndText> {
    let value = config.value.as_ref().map(ToString::to_string);
    let op = match config.config_operation {
        0 => ConfigOp::Set(value),
        1 => ConfigOp::Delete,
        2 => ConfigOp::Append(value),
        3 => ConfigOp::Subtract(value),
        other => {
            let message = format!("Unknown config operation type {other}.");
            return Err((ErrorCode::InvalidRequest, Some(message.into())));
        }
    };
    Ok((config.name.to_string(), op))
}
