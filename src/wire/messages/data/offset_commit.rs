//! `OffsetCommit`, records of type 1, versions 0-4, flexible from 4: generated from
//! `src/wire/schema/data/offset_commit.txt`, do not edit. A version's fields are written and read;
//! a field that a version lacks reads as its default.

use std::borrow::Cow;

use super::Versioned;
use crate::wire::{Uuid, api::Versions, reader::{DecodeError, Reader}, writer::Writer};

/// What the key of such a record begins with.
pub const TYPE: i16 = 1;

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct OffsetCommitKey<'a> {
    pub group: Cow<'a, str>,
    pub topic: Cow<'a, str>,
    pub partition: i32,
}

impl<'a> OffsetCommitKey<'a> {
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

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetCommitValue<'a> {
    pub offset: i64,
    pub leader_epoch: i32,
    pub metadata: Cow<'a, str>,
    pub commit_timestamp: i64,
    pub expire_timestamp: i64,
    pub topic_id: Uuid,
}

impl Default for OffsetCommitValue<'_> {
    fn default() -> Self {
        Self {
            offset: 0,
            leader_epoch: -1,
            metadata: Cow::Borrowed(""),
            commit_timestamp: 0,
            expire_timestamp: -1,
            topic_id: Uuid::nil(),
        }
    }
}

impl<'a> OffsetCommitValue<'a> {
    pub fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        r.set_flexible(v >= 4);
        let mut m = Self::default();
        m.offset = r.i64()?;
        if v >= 3 {
            m.leader_epoch = r.i32()?;
        }
        m.metadata = r.string()?;
        m.commit_timestamp = r.i64()?;
        if v == 1 {
            m.expire_timestamp = r.i64()?;
        }
        r.tags(|r, tag| {
            match tag {
                0 => m.topic_id = r.uuid()?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(m)
    }

    pub fn encode(&self, w: &mut Writer, v: i16) {
        w.set_flexible(v >= 4);
        w.i64(self.offset);
        if v >= 3 {
            w.i32(self.leader_epoch);
        }
        w.string(&self.metadata);
        w.i64(self.commit_timestamp);
        if v == 1 {
            w.i64(self.expire_timestamp);
        }
        let has_topic_id = v >= 4 && !self.topic_id.is_nil();
        w.tag_count(&[has_topic_id]);
        if has_topic_id {
            w.tag(0, |w| w.uuid(self.topic_id));
        }
    }
}

impl<'a> Versioned<'a> for OffsetCommitValue<'a> {
    const NAME: &'static str = "OffsetCommitValue";
    const VERSIONS: Versions = Versions { min: 0, max: 4 };

    fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        Self::decode(r, v)
    }

    fn encode(&self, w: &mut Writer, v: i16) {
        self.encode(w, v);
    }
}
