//! `ConsumerGroupCurrentMemberAssignment`, records of type 8, versions 0-0, flexible from 0: generated from
//! `src/wire/schema/data/consumer_group_current_member_assignment.txt`, do not edit. A version's fields are written and read;
//! a field that a version lacks reads as its default.

use std::borrow::Cow;

use super::Versioned;
use crate::wire::{Uuid, api::Versions, reader::{DecodeError, Reader}, writer::Writer};

/// What the key of such a record begins with.
pub const TYPE: i16 = 8;

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ConsumerGroupCurrentMemberAssignmentKey<'a> {
    pub group_id: Cow<'a, str>,
    pub member_id: Cow<'a, str>,
}

impl<'a> ConsumerGroupCurrentMemberAssignmentKey<'a> {
    pub fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        r.set_flexible(false);
        let mut m = Self::default();
        m.group_id = r.string()?;
        m.member_id = r.string()?;
        Ok(m)
    }

    pub fn encode(&self, w: &mut Writer, v: i16) {
        w.set_flexible(false);
        w.string(&self.group_id);
        w.string(&self.member_id);
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ConsumerGroupCurrentMemberAssignmentValue {
    pub member_epoch: i32,
    pub previous_member_epoch: i32,
    pub state: i8,
    pub assigned_partitions: Vec<TopicPartitions>,
    pub partitions_pending_revocation: Vec<TopicPartitions>,
}

impl ConsumerGroupCurrentMemberAssignmentValue {
    pub fn decode(r: &mut Reader<'_>, v: i16) -> Result<Self, DecodeError> {
        r.set_flexible(true);
        let mut m = Self::default();
        m.member_epoch = r.i32()?;
        m.previous_member_epoch = r.i32()?;
        m.state = r.i8()?;
        m.assigned_partitions = r.array(|r| TopicPartitions::decode(r, v))?;
        m.partitions_pending_revocation = r.array(|r| TopicPartitions::decode(r, v))?;
        r.skip_tags()?;
        Ok(m)
    }

    pub fn encode(&self, w: &mut Writer, v: i16) {
        w.set_flexible(true);
        w.i32(self.member_epoch);
        w.i32(self.previous_member_epoch);
        w.i8(self.state);
        w.array(&self.assigned_partitions, |w, e| e.encode(w, v));
        w.array(&self.partitions_pending_revocation, |w, e| e.encode(w, v));
        w.no_tags();
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicPartitions {
    pub topic_id: Uuid,
    pub partitions: Vec<i32>,
    pub assignment_epochs: Option<Vec<i32>>,
}

impl Default for TopicPartitions {
    fn default() -> Self {
        Self {
            topic_id: Uuid::nil(),
            partitions: Vec::new(),
            assignment_epochs: Some(Vec::new()),
        }
    }
}

impl TopicPartitions {
    fn decode(r: &mut Reader<'_>, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.topic_id = r.uuid()?;
        m.partitions = r.array(Reader::i32)?;
        r.tags(|r, tag| {
            match tag {
                0 => m.assignment_epochs = r.nullable_array(true, Reader::i32)?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(m)
    }

    fn encode(&self, w: &mut Writer, v: i16) {
        w.uuid(self.topic_id);
        w.array(&self.partitions, |w, e| w.i32(*e));
        let has_assignment_epochs = self.assignment_epochs.as_ref().is_none_or(|e| !e.is_empty());
        w.tag_count(&[has_assignment_epochs]);
        if has_assignment_epochs {
            w.tag(0, |w| w.nullable_array(true, self.assignment_epochs.as_deref(), |w, e| w.i32(*e)));
        }
    }
}

impl<'a> Versioned<'a> for ConsumerGroupCurrentMemberAssignmentValue {
    const NAME: &'static str = "ConsumerGroupCurrentMemberAssignmentValue";
    const VERSIONS: Versions = Versions { min: 0, max: 0 };

    fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        Self::decode(r, v)
    }

    fn encode(&self, w: &mut Writer, v: i16) {
        self.encode(w, v);
    }
}
