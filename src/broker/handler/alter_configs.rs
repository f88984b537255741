//! `AlterConfigs`: the given configs are all there are; superseded by the incremental API.

use crate::broker::authorize::Operation;
use crate::broker::context::Context;
use crate::broker::handler::config_resource::{check_access, named};
use crate::broker::handler::incremental_alter_configs::{CodeAndText, alter};
use crate::controller::command::{AlterConfigs, AlterResource, ConfigChange};
use crate::wire::error_code::ErrorCode;
use crate::wire::messages::alter_configs::{
    AlterConfigsRequest, AlterConfigsResource, AlterConfigsResourceResponse, AlterConfigsResponse,
};

pub(crate) async fn handle<'r>(
    cx: &Context,
    request: AlterConfigsRequest<'r>,
) -> AlterConfigsResponse<'r> {
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
    AlterConfigsResponse {
        throttle_time_ms: 0,
        responses: responses.collect(),
    }
}

fn check(cx: &Context, resource: &AlterConfigsResource<'_>) -> Result<AlterResource, CodeAndText> {
    let target = named(resource.resource_type, &resource.resource_name);
    check_access(cx, Operation::AlterConfigs, &target).map_err(|code| (code, None))?;
    let values = resource.configs.iter().map(|config| {
        (
            config.name.to_string(),
            config.value.as_ref().map(ToString::to_string),
        )
    });
    Ok(AlterResource {
        resource: target,
        change: ConfigChange::Replace(values.collect()),
    })
}
