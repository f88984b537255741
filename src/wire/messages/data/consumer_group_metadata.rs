//! `ConsumerGroupMetadata`, records of type 3, versions 0-0, flexible from 0: generated from
//! `src/wire/schema/data/consumer_group_metadata.txt`, do not edit. A version's fields are written and read;
//! a field that a version lacks reads as its default.

use std::borrow::Cow;

use super::Versioned;
use crate::wire::{api::Versions, reader::{DecodeError, Reader}, writer::Writer};

/// What the key of such a record begins with.
pub const TYPE: i16 = 3;

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ConsumerGroupMetadataKey<'a> {
    pub group_id: Cow<'a, str>,
}

impl<'a> ConsumerGroupMetadataKey<'a> {
    pub fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        r.set_flexible(false);
        let mut m = Self::default();
        m.group_id = r.string()?;
        Ok(m)
    }

    pub fn encode(&self, w: &mut Writer, v: i16) {
        w.set_flexible(false);
        w.string(&self.group_id);
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ConsumerGroupMetadataValue {
    pub epoch: i32,
    pub metadata_hash: i64,
}

impl ConsumerGroupMetadataValue {
    pub fn decode(r: &mut Reader<'_>, v: i16) -> Result<Self, DecodeError> {
        r.set_flexible(true);
        let mut m = Self::default();
        m.epoch = r.i32()?;
        r.tags(|r, tag| {
            match tag {
                0 => m.metadata_hash = r.i64()?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(m)
    }

    pub fn encode(&self, w: &mut Writer, v: i16) {
        w.set_flexible(true);
        w.i32(self.epoch);
        let has_metadata_hash = self.metadata_hash != 0;
        w.tag_count(&[has_metadata_hash]);
        if has_metadata_hash {
            w.tag(0, |w| w.i64(self.metadata_hash));
        }
    }
}

impl<'a> Versioned<'a> for ConsumerGroupMetadataValue {
    const NAME: &'static str = "ConsumerGroupMetadataValue";
    const VERSIONS: Versions = Versions { min: 0, max: 0 };

    fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        Self::decode(r, v)
    }

    fn encode(&self, w: &mut Writer, v: i16) {
        self.encode(w, v);
    }
}
