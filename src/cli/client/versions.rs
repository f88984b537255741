//! Which version of each API this program and a broker have in common.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::wire::api::ApiKey;
use crate::wire::error_code::ErrorCode;
use crate::wire::messages::api_versions::{ApiVersionsRequest, ApiVersionsResponse};

use super::connection::Connection;
use super::error::ClientError;

/// The ranges that one broker advertises.
#[derive(Debug, Default)]
pub(super) struct Versions(BTreeMap<i16, (i16, i16)>);

impl Versions {
    /// Asks the broker. One that is older than this program answers in version 0 and says which
    /// versions of the question it knows.
    pub(super) async fn ask(
        connection: &Connection,
        within: Duration,
    ) -> Result<Self, ClientError> {
        let request = ApiVersionsRequest {
            client_software_name: "ottla".into(),
            client_software_version: env!("CARGO_PKG_VERSION").into(),
            ..ApiVersionsRequest::default()
        };
        let ours_max = ApiKey::ApiVersions.served().max;
        let answer = connection.call(&request, ours_max, within).await?;
        // An answer that refuses the version is in version 0, whatever was asked.
        if let Ok(refusal) = answer.decode_in(0)
            && refusal.error_code == ErrorCode::UnsupportedVersion
        {
            let theirs = Self::of(&refusal);
            let version = theirs
                .common(ApiKey::ApiVersions, ours_max)
                .unwrap_or_default();
            let answer = connection.call(&request, version, within).await?;
            let response = answer.decode()?;
            answer.check(response.error_code)?;
            return Ok(Self::of(&response));
        }
        let response = answer.decode()?;
        answer.check(response.error_code)?;
        Ok(Self::of(&response))
    }

    fn of(response: &ApiVersionsResponse<'_>) -> Self {
        let range = |api: &crate::wire::messages::api_versions::ApiVersion| {
            (api.api_key, (api.min_version, api.max_version))
        };
        Self(response.api_keys.iter().map(range).collect())
    }

    /// The highest version up to `newest` that both sides know.
    pub(super) fn common(&self, api: ApiKey, newest: i16) -> Option<i16> {
        let ours = api.served();
        let &(theirs_min, theirs_max) = self.0.get(&api.code())?;
        let highest = ours.max.min(theirs_max).min(newest);
        (highest >= ours.min.max(theirs_min)).then_some(highest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::api::Versions as Range;

    fn theirs(api: ApiKey, min: i16, max: i16) -> Versions {
        Versions(BTreeMap::from([(api.code(), (min, max))]))
    }

    #[test]
    fn the_highest_common_version_is_used() {
        let Range { min, max } = ApiKey::Fetch.served();
        assert_eq!(
            theirs(ApiKey::Fetch, 0, 100).common(ApiKey::Fetch, i16::MAX),
            Some(max)
        );
        assert_eq!(
            theirs(ApiKey::Fetch, 0, min).common(ApiKey::Fetch, i16::MAX),
            Some(min)
        );
    }

    #[test]
    fn a_request_may_ask_for_less_than_the_highest() {
        let Range { min, max } = ApiKey::Fetch.served();
        let theirs = theirs(ApiKey::Fetch, 0, 100);
        assert_eq!(theirs.common(ApiKey::Fetch, max - 1), Some(max - 1));
        assert_eq!(theirs.common(ApiKey::Fetch, min - 1), None);
    }

    #[test]
    fn ranges_that_do_not_meet_have_no_common_version() {
        let Range { min, max } = ApiKey::Fetch.served();
        assert_eq!(
            theirs(ApiKey::Fetch, 0, min - 1).common(ApiKey::Fetch, i16::MAX),
            None
        );
        assert_eq!(
            theirs(ApiKey::Fetch, max + 1, max + 9).common(ApiKey::Fetch, i16::MAX),
            None
        );
        assert_eq!(Versions::default().common(ApiKey::Fetch, i16::MAX), None);
    }

    #[test]
    fn a_lying_range_gives_no_version() {
        assert_eq!(
            theirs(ApiKey::Fetch, i16::MAX, i16::MIN).common(ApiKey::Fetch, i16::MAX),
            None
        );
    }
}
