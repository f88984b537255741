//! `ApiVersions` (key 18), versions 0-5, flexible from 3: generated from
//! `src/wire/schema/api_versions.txt`, do not edit. A version's fields are written and read;
//! a field that a version lacks reads as its default.

use std::borrow::Cow;

use super::Request;
use crate::wire::{api::ApiKey, error_code::ErrorCode, reader::{DecodeError, Reader}, writer::Writer};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiVersionsRequest<'a> {
    pub client_software_name: Cow<'a, str>,
    pub client_software_version: Cow<'a, str>,
    pub cluster_id: Option<Cow<'a, str>>,
    pub node_id: i32,
}

impl Default for ApiVersionsRequest<'_> {
    fn default() -> Self {
        Self {
            client_software_name: Cow::Borrowed(""),
            client_software_version: Cow::Borrowed(""),
            cluster_id: None,
            node_id: -1,
        }
    }
}

impl<'a> ApiVersionsRequest<'a> {
    pub fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        r.set_flexible(v >= 3);
        let mut m = Self::default();
        if v >= 3 {
            m.client_software_name = r.string()?;
        }
        if v >= 3 {
            m.client_software_version = r.string()?;
        }
        if v >= 5 {
            m.cluster_id = r.nullable_string(true)?;
        }
        if v >= 5 {
            m.node_id = r.i32()?;
        }
        r.skip_tags()?;
        Ok(m)
    }

    pub fn encode(&self, w: &mut Writer, v: i16) {
        w.set_flexible(v >= 3);
        if v >= 3 {
            w.string(&self.client_software_name);
        }
        if v >= 3 {
            w.string(&self.client_software_version);
        }
        if v >= 5 {
            w.nullable_string(true, self.cluster_id.as_deref());
        }
        if v >= 5 {
            w.i32(self.node_id);
        }
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiVersionsResponse<'a> {
    pub error_code: ErrorCode,
    pub api_keys: Vec<ApiVersion>,
    pub throttle_time_ms: i32,
    pub supported_features: Vec<SupportedFeatureKey<'a>>,
    pub finalized_features_epoch: i64,
    pub finalized_features: Vec<FinalizedFeatureKey<'a>>,
    pub zk_migration_ready: bool,
}

impl Default for ApiVersionsResponse<'_> {
    fn default() -> Self {
        Self {
            error_code: ErrorCode::None,
            api_keys: Vec::new(),
            throttle_time_ms: 0,
            supported_features: Vec::new(),
            finalized_features_epoch: -1,
            finalized_features: Vec::new(),
            zk_migration_ready: false,
        }
    }
}

impl<'a> ApiVersionsResponse<'a> {
    pub fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        r.set_flexible(v >= 3);
        let mut m = Self::default();
        m.error_code = r.error_code()?;
        m.api_keys = r.array(|r| ApiVersion::decode(r, v))?;
        if v >= 1 {
            m.throttle_time_ms = r.i32()?;
        }
        r.tags(|r, tag| {
            match tag {
                0 => m.supported_features = r.array(|r| SupportedFeatureKey::decode(r, v))?,
                1 => m.finalized_features_epoch = r.i64()?,
                2 => m.finalized_features = r.array(|r| FinalizedFeatureKey::decode(r, v))?,
                3 => m.zk_migration_ready = r.bool()?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(m)
    }

    pub fn encode(&self, w: &mut Writer, v: i16) {
        w.set_flexible(v >= 3);
        w.error_code(self.error_code);
        w.array(&self.api_keys, |w, e| e.encode(w, v));
        if v >= 1 {
            w.i32(self.throttle_time_ms);
        }
        let has_supported_features = v >= 3 && !self.supported_features.is_empty();
        let has_finalized_features_epoch = v >= 3 && self.finalized_features_epoch != -1;
        let has_finalized_features = v >= 3 && !self.finalized_features.is_empty();
        let has_zk_migration_ready = v >= 3 && self.zk_migration_ready;
        w.tag_count(&[has_supported_features, has_finalized_features_epoch, has_finalized_features, has_zk_migration_ready]);
        if has_supported_features {
            w.tag(0, |w| w.array(&self.supported_features, |w, e| e.encode(w, v)));
        }
        if has_finalized_features_epoch {
            w.tag(1, |w| w.i64(self.finalized_features_epoch));
        }
        if has_finalized_features {
            w.tag(2, |w| w.array(&self.finalized_features, |w, e| e.encode(w, v)));
        }
        if has_zk_migration_ready {
            w.tag(3, |w| w.bool(self.zk_migration_ready));
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ApiVersion {
    pub api_key: i16,
    pub min_version: i16,
    pub max_version: i16,
}

impl ApiVersion {
    fn decode(r: &mut Reader<'_>, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.api_key = r.i16()?;
        m.min_version = r.i16()?;
        m.max_version = r.i16()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn encode(&self, w: &mut Writer, v: i16) {
        w.i16(self.api_key);
        w.i16(self.min_version);
        w.i16(self.max_version);
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct SupportedFeatureKey<'a> {
    pub name: Cow<'a, str>,
    pub min_version: i16,
    pub max_version: i16,
}

impl<'a> SupportedFeatureKey<'a> {
    fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.name = r.string()?;
        m.min_version = r.i16()?;
        m.max_version = r.i16()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn encode(&self, w: &mut Writer, v: i16) {
        w.string(&self.name);
        w.i16(self.min_version);
        w.i16(self.max_version);
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct FinalizedFeatureKey<'a> {
    pub name: Cow<'a, str>,
    pub max_version_level: i16,
    pub min_version_level: i16,
}

impl<'a> FinalizedFeatureKey<'a> {
    fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.name = r.string()?;
        m.max_version_level = r.i16()?;
        m.min_version_level = r.i16()?;
        r.skip_tags()?;
        Ok(m)
    }

    fn encode(&self, w: &mut Writer, v: i16) {
        w.string(&self.name);
        w.i16(self.max_version_level);
        w.i16(self.min_version_level);
        w.no_tags();
    }
}

impl Request for ApiVersionsRequest<'_> {
    const API: ApiKey = ApiKey::ApiVersions;
    type Response<'r> = ApiVersionsResponse<'r>;

    fn encode(&self, w: &mut Writer, v: i16) {
        self.encode(w, v);
    }

    fn decode_response<'r>(r: &mut Reader<'r>, v: i16) -> Result<Self::Response<'r>, DecodeError> {
        Self::Response::decode(r, v)
    }
}
