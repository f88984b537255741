//! `ConsumerProtocolAssignment`, versions 0-3, never flexible: generated from
//! `src/wire/schema/data/consumer_protocol_assignment.txt`, do not edit. A version's fields are written and read;
//! a field that a version lacks reads as its default.

use std::borrow::Cow;

use super::Versioned;
use crate::wire::{api::Versions, reader::{DecodeError, Reader}, writer::Writer};

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ConsumerProtocolAssignment<'a> {
    pub assigned_partitions: Vec<TopicPartition<'a>>,
    pub user_data: Option<Cow<'a, [u8]>>,
}

impl<'a> ConsumerProtocolAssignment<'a> {
    pub fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        r.set_flexible(false);
        let mut m = Self::default();
        m.assigned_partitions = r.array(|r| TopicPartition::decode(r, v))?;
        m.user_data = r.nullable_bytes(true)?;
        Ok(m)
    }

    pub fn encode(&self, w: &mut Writer, v: i16) {
        w.set_flexible(false);
        w.array(&self.assigned_partitions, |w, e| e.encode(w, v));
        w.nullable_bytes(true, self.user_data.as_deref());
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct TopicPartition<'a> {
    pub topic: Cow<'a, str>,
    pub partitions: Vec<i32>,
}

impl<'a> TopicPartition<'a> {
    fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        let mut m = Self::default();
        m.topic = r.string()?;
        m.partitions = r.array(Reader::i32)?;
        Ok(m)
    }

    fn encode(&self, w: &mut Writer, v: i16) {
        w.string(&self.topic);
        w.array(&self.partitions, |w, e| w.i32(*e));
    }
}

impl<'a> Versioned<'a> for ConsumerProtocolAssignment<'a> {
    const NAME: &'static str = "ConsumerProtocolAssignment";
    const VERSIONS: Versions = Versions { min: 0, max: 3 };

    fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        Self::decode(r, v)
    }

    fn encode(&self, w: &mut Writer, v: i16) {
        self.encode(w, v);
    }
}
