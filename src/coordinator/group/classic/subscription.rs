//! What the members of a group of consumers say that they read.

use std::collections::BTreeSet;

use super::ClassicGroup;
use crate::wire::messages::data::consumer_protocol_subscription::ConsumerProtocolSubscription;
use crate::wire::reader::Reader;

/// The topics that a group is subscribed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subscribed {
    /// To these.
    To(BTreeSet<String>),
    /// Nobody can tell, so it may be to any: a consumer says what no consumer of Kafka's says, or the members have no
    /// protocol yet.
    ToAny,
}

impl Subscribed {
    /// Whether the topic is, or may be, one of them.
    pub fn contains(&self, topic: &str) -> bool {
        match self {
            Self::To(topics) => topics.contains(topic),
            Self::ToAny => true,
        }
    }
}

impl ClassicGroup {
    /// What the group is subscribed to. Members that are no consumers are subscribed to nothing.
    pub fn subscribed(&self) -> Subscribed {
        if !self.is_of_consumers() || self.members.is_empty() {
            return Subscribed::To(BTreeSet::new());
        }
        let topics = self.protocol.as_deref().and_then(|protocol| {
            let said = self.members.iter().map(|it| it.known.metadata(protocol));
            said.map(|it| topics(&it)).collect::<Option<Vec<_>>>()
        });
        topics.map_or(Subscribed::ToAny, |topics| {
            Subscribed::To(topics.into_iter().flatten().collect())
        })
    }
}

/// The topics of a subscription of any version: each begins as the first does.
fn topics(subscription: &[u8]) -> Option<Vec<String>> {
    let mut reader = Reader::new(subscription);
    reader.i16().ok().filter(|version| *version >= 0)?;
    let first = ConsumerProtocolSubscription::decode(&mut reader, 0).ok()?;
    Some(first.topics.into_iter().map(Into::into).collect())
}
