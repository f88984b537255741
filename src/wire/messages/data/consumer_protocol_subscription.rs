//! `ConsumerProtocolSubscription`, versions 0-3, never flexible: generated from
//! `src/wire/schema/data/consumer_protocol_subscription.txt`, do not edit. A version's fields are written and read;
//! a field that a version lacks reads as its default.

use std::borrow::Cow;

use super::Versioned;
use crate::wire::{api::Versions, reader::{DecodeError, Reader}, writer::Writer};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerProtocolSubscription<'a> {
    pub topics: Vec<Cow<'a, str>>,
    pub user_data: Option<Cow<'a, [u8]>>,
    pub owned_partitions: Vec<TopicPartition<'a>>,
    pub generation_id: i32,
    pub rack_id: Option<Cow<'a, str>>,
}

impl Default for ConsumerProtocolSubscription<'_> {
    fn default() -> Self {
        Self {
            topics: Vec::new(),
            user_data: None,
            owned_partitions: Vec::new(),
            generation_id: -1,
            rack_id: None,
        }
    }
}

impl<'a> ConsumerProtocolSubscription<'a> {
    pub fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        r.set_flexible(false);
        let mut m = Self::default();
        m.topics = r.array(Reader::string)?;
        m.user_data = r.nullable_bytes(true)?;
        if v >= 1 {
            m.owned_partitions = r.array(|r| TopicPartition::decode(r, v))?;
        }
        if v >= 2 {
            m.generation_id = r.i32()?;
        }
        if v >= 3 {
            m.rack_id = r.nullable_string(true)?;
        }
        Ok(m)
    }

    pub fn encode(&self, w: &mut Writer, v: i16) {
        w.set_flexible(false);
        w.array(&self.topics, |w, e| w.string(e));
        w.nullable_bytes(true, self.user_data.as_deref());
        if v >= 1 {
            w.array(&self.owned_partitions, |w, e| e.encode(w, v));
        }
        if v >= 2 {
            w.i32(self.generation_id);
        }
        if v >= 3 {
            w.nullable_string(true, self.rack_id.as_deref());
        }
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

impl<'a> Versioned<'a> for ConsumerProtocolSubscription<'a> {
    const NAME: &'static str = "ConsumerProtocolSubscription";
    const VERSIONS: Versions = Versions { min: 0, max: 3 };

    fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        Self::decode(r, v)
    }

    fn encode(&self, w: &mut Writer, v: i16) {
        self.encode(w, v);
    }
}
