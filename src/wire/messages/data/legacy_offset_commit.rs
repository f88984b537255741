//! `LegacyOffsetCommit`, records of type 0, versions 0-0, never flexible: generated from
//! `src/wire/schema/data/legacy_offset_commit.txt`, do not edit. A version's fields are written and read;
//! a field that a version lacks reads as its default.

use std::borrow::Cow;

use super::Versioned;
use crate::wire::{api::Versions, reader::{DecodeError, Reader}, writer::Writer};

/// What the key of such a record begins with.
pub const TYPE: i16 = 0;

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct LegacyOffsetCommitKey<'a> {
    pub group: Cow<'a, str>,
    pub topic: Cow<'a, str>,
    pub partition: i32,
}

impl<'a> LegacyOffsetCommitKey<'a> {
    pub fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        r.set_flexible(false);
        let mut m = Self::default();
        m.group = r.string()?;
        m.topic = r.string()?;
        m.partition = r.i32()?;
        Ok(m)
    }

    pub fn encode(&self, w: &mut Writer, v: i16) {
        w.set_flexible(false);
        w.string(&self.group);
        w.string(&self.topic);
        w.i32(self.partition);
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct LegacyOffsetCommitValue<'a> {
    pub offset: i64,
    pub metadata: Cow<'a, str>,
    pub commit_timestamp: i64,
}

impl<'a> LegacyOffsetCommitValue<'a> {
    pub fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        r.set_flexible(false);
        let mut m = Self::default();
        m.offset = r.i64()?;
        m.metadata = r.string()?;
        m.commit_timestamp = r.i64()?;
        Ok(m)
    }

    pub fn encode(&self, w: &mut Writer, v: i16) {
        w.set_flexible(false);
        w.i64(self.offset);
        w.string(&self.metadata);
        w.i64(self.commit_timestamp);
    }
}

impl<'a> Versioned<'a> for LegacyOffsetCommitValue<'a> {
    const NAME: &'static str = "LegacyOffsetCommitValue";
    const VERSIONS: Versions = Versions { min: 0, max: 0 };

    fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        Self::decode(r, v)
    }

    fn encode(&self, w: &mut Writer, v: i16) {
        self.encode(w, v);
    }
}
