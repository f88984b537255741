//! `ConsumerGroupRegularExpression`, records of type 16, versions 0-0, flexible from 0: generated from
//! `src/wire/schema/data/consumer_group_regular_expression.txt`, do not edit. A version's fields are written and read;
//! a field that a version lacks reads as its default.

use std::borrow::Cow;

use super::Versioned;
use crate::wire::{api::Versions, reader::{DecodeError, Reader}, writer::Writer};

/// What the key of such a record begins with.
pub const TYPE: i16 = 16;

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ConsumerGroupRegularExpressionKey<'a> {
    pub group_id: Cow<'a, str>,
    pub regular_expression: Cow<'a, str>,
}

impl<'a> ConsumerGroupRegularExpressionKey<'a> {
    pub fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        r.set_flexible(false);
        let mut m = Self::default();
        m.group_id = r.string()?;
        m.regular_expression = r.string()?;
        Ok(m)
    }

    pub fn encode(&self, w: &mut Writer, v: i16) {
        w.set_flexible(false);
        w.string(&self.group_id);
        w.string(&self.regular_expression);
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ConsumerGroupRegularExpressionValue<'a> {
    pub topics: Vec<Cow<'a, str>>,
    pub version: i64,
    pub timestamp: i64,
}

impl<'a> ConsumerGroupRegularExpressionValue<'a> {
    pub fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        r.set_flexible(true);
        let mut m = Self::default();
        m.topics = r.array(Reader::string)?;
        m.version = r.i64()?;
        m.timestamp = r.i64()?;
        r.skip_tags()?;
        Ok(m)
    }

    pub fn encode(&self, w: &mut Writer, v: i16) {
        w.set_flexible(true);
        w.array(&self.topics, |w, e| w.string(e));
        w.i64(self.version);
        w.i64(self.timestamp);
        w.no_tags();
    }
}

impl<'a> Versioned<'a> for ConsumerGroupRegularExpressionValue<'a> {
    const NAME: &'static str = "ConsumerGroupRegularExpressionValue";
    const VERSIONS: Versions = Versions { min: 0, max: 0 };

    fn decode(r: &mut Reader<'a>, v: i16) -> Result<Self, DecodeError> {
        Self::decode(r, v)
    }

    fn encode(&self, w: &mut Writer, v: i16) {
        self.encode(w, v);
    }
}
