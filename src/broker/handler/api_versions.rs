//! `ApiVersions`: what this broker serves, from the one table that also dispatches.

use ottla_storage::planted::is_planted;

use crate::broker::context::Context;
use crate::broker::reply::Reply;
use crate::metadata::record::{FEATURE, FEATURE_MAX, FEATURE_MIN};
use crate::wire::api::ApiKey;
use crate::wire::error_code::ErrorCode;
use crate::wire::messages::api_versions::{
    ApiVersion, ApiVersionsRequest, ApiVersionsResponse, FinalizedFeatureKey, SupportedFeatureKey,
};

/// The first version that names the client's software.
const SOFTWARE_NAME_SINCE: i16 = 3;

#[allow(clippy::unused_async, reason = "every handler is called the same way")]
pub(crate) async fn handle<'r>(
    cx: &Context,
    request: ApiVersionsRequest<'r>,
) -> ApiVersionsResponse<'r> {
    let names = [
        &request.client_software_name,
        &request.client_software_version,
    ];
    if cx.version >= SOFTWARE_NAME_SINCE && !names.into_iter().all(|name| is_software_name(name)) {
        let error_code = ErrorCode::InvalidRequest;
        return ApiVersionsResponse {
            error_code,
            ..ApiVersionsResponse::default()
        };
    }
    // A client that has come to another node than it meant must learn its cluster anew (KIP-1242).
    if let Some(cluster_id) = &request.cluster_id
        && (**cluster_id != *cx.broker.admin.cluster_id || request.node_id != cx.broker.id.get())
    {
        return ApiVersionsResponse {
            error_code: ErrorCode::RebootstrapRequired,
            ..ApiVersionsResponse::default()
        };
    }
    let api_keys = ApiKey::ALL.iter().copied().map(advertised).collect();
    let image = cx.broker.metadata.load();
    let level = level(image.feature_level());
    ApiVersionsResponse {
        api_keys,
        supported_features: vec![SupportedFeatureKey {
            name: FEATURE.into(),
            min_version: self::level(FEATURE_MIN),
            max_version: self::level(FEATURE_MAX),
        }],
        finalized_features_epoch: i64::try_from(image.version().0).unwrap_or(i64::MAX),
        finalized_features: vec![FinalizedFeatureKey {
            name: FEATURE.into(),
            max_version_level: level,
            min_version_level: level,
        }],
        ..ApiVersionsResponse::default()
    }
}

fn level(level: u16) -> i16 {
    i16::try_from(level).unwrap_or(i16::MAX)
}

/// The client asked in a version of the future: it learns ours, in the oldest encoding.
pub(crate) fn unsupported_version(cx: &Context) -> Reply {
    let response = ApiVersionsResponse {
        error_code: ErrorCode::UnsupportedVersion,
        api_keys: vec![advertised(ApiKey::ApiVersions)],
        ..ApiVersionsResponse::default()
    };
    cx.respond_in_version(0, Vec::new(), |writer| response.encode(writer, 0))
}

fn advertised(api: ApiKey) -> ApiVersion {
    let versions = if is_planted("old-clients-find-their-versions") {
        api.served()
    } else {
        api.advertised()
    };
    ApiVersion {
        api_key: api.code(),
        min_version: versions.min,
        max_version: versions.max,
    }
}

/// Letters and digits, with dots and dashes in between (KIP-511).
fn is_software_name(name: &str) -> bool {
    let is_inner = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
    name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.ends_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(is_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn software_names_begin_and_end_with_a_letter_or_digit() {
        for name in ["a", "apache-kafka-java", "4.4.0", "librdkafka"] {
            assert!(is_software_name(name), "{name}");
        }
        for name in ["", "-a", "a.", "a b", "caf\u{e9}"] {
            assert!(!is_software_name(name), "{name}");
        }
    }
}
