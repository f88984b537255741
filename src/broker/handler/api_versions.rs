//! `ApiVersions`: what this broker serves, from the one table that also dispatches.

use crate::broker::context::Context;
use crate::broker::reply::Reply;
use crate::wire::api::ApiKey;
use crate::wire::error_code::ErrorCode;
use crate::wire::messages::api_versions::{ApiVersion, ApiVersionsRequest, ApiVersionsResponse};

/// The first version that names the client's software.
const SOFTWARE_NAME_SINCE: i16 = 3;

#[expect(clippy::unused_async, reason = "every handler is called the same way")]
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
    let api_keys = ApiKey::ALL.iter().copied().map(advertised).collect();
    ApiVersionsResponse {
        api_keys,
        ..ApiVersionsResponse::default()
    }
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
    let versions = api.advertised();
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
