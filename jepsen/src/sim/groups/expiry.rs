//! Which offsets of a group may expire (KIP-211), as the committed log tells and without the coordinator's own code.
//!
//! - Those of topics that members are subscribed to never may.
//! - Nobody in a classic group: since it became empty, or since the commit if that was later. Its members are no consumers:
//!   never.
//! - Otherwise since the commit: nobody ever was in the group, or it is one of KIP-848.
//! - A commit may have said when itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use ottla::coordinator::group::names::{GroupId, MemberId};
use ottla::coordinator::group::record::{
    ClassicValue, ConsumerMemberValue, Fact, OffsetValue, Record,
};
use ottla::wire::messages::data::consumer_protocol_subscription::ConsumerProtocolSubscription;
use ottla::wire::versioned;
use ottla_storage::time::WallMillis;

/// What a group needs its offsets for.
#[derive(Clone, Debug, Default)]
struct Uses {
    classic: Option<Classic>,
    members: BTreeMap<MemberId, ConsumerMemberValue>,
    patterns: BTreeMap<Arc<str>, BTreeSet<Arc<str>>>,
}

#[derive(Clone, Debug)]
enum Classic {
    Empty(WallMillis),
    Consumers(BTreeSet<String>),
    Others,
}

/// All groups.
#[derive(Debug)]
pub(super) struct Expiry {
    retention: Duration,
    groups: BTreeMap<GroupId, Uses>,
}

impl Expiry {
    pub(super) fn new(retention: Duration) -> Self {
        Self {
            retention,
            groups: BTreeMap::new(),
        }
    }

    /// Takes in a record that was decided then.
    pub(super) fn apply(&mut self, record: &Record, at: WallMillis) {
        let uses = self.groups.entry(record.group.clone()).or_default();
        match &record.fact {
            Fact::Classic(value) => uses.classic = value.as_ref().map(|it| Classic::of(it, at)),
            Fact::ConsumerMember(id, Some(value)) => {
                uses.members.insert(id.clone(), value.clone());
            }
            Fact::ConsumerMember(id, None) => {
                uses.members.remove(id);
            }
            Fact::ConsumerRegex(pattern, Some(value)) => {
                uses.patterns.insert(pattern.clone(), value.topics.clone());
            }
            Fact::ConsumerRegex(pattern, None) => {
                uses.patterns.remove(pattern);
            }
            Fact::Offset(..)
            | Fact::ConsumerEpoch(_)
            | Fact::ConsumerTargetEpoch(_)
            | Fact::ConsumerTarget(..)
            | Fact::ConsumerCurrent(..) => {}
        }
    }

    /// Whether the group could let an offset go at that moment.
    pub(super) fn may_expire(
        &self,
        group: &GroupId,
        topic: &str,
        value: &OffsetValue,
        at: WallMillis,
    ) -> bool {
        let since = match self.groups.get(group) {
            Some(uses) if uses.is_subscribed(topic) => return false,
            Some(uses) => match uses.classic {
                Some(Classic::Empty(since)) => since.max(value.committed_at),
                Some(Classic::Others) => return false,
                Some(Classic::Consumers(_)) | None => value.committed_at,
            },
            None => value.committed_at,
        };
        let end = since.saturating_add(self.retention);
        value.expires_at.unwrap_or(end) <= at
    }
}

impl Classic {
    fn of(value: &ClassicValue, at: WallMillis) -> Self {
        if value.members.is_empty() {
            return Self::Empty(at);
        }
        if &*value.protocol_type != "consumer" {
            return Self::Others;
        }
        let said = value.members.iter().flat_map(|member| {
            let said = versioned::decode_known_part::<ConsumerProtocolSubscription<'_>>(
                &member.subscription,
            );
            said.unwrap_or_default().topics
        });
        Self::Consumers(said.map(Into::into).collect())
    }
}

impl Uses {
    fn is_subscribed(&self, topic: &str) -> bool {
        let is_read = |member: &ConsumerMemberValue| {
            let pattern = member.topics_regex.as_ref();
            let resolved = pattern.and_then(|pattern| self.patterns.get(pattern));
            member.topics.contains(topic) || resolved.is_some_and(|it| it.contains(topic))
        };
        let is_read_in_classic_words =
            matches!(&self.classic, Some(Classic::Consumers(topics)) if topics.contains(topic));
        is_read_in_classic_words || self.members.values().any(is_read)
    }
}

#[cfg(test)]
mod tests {
    use ottla::coordinator::group::record::ClassicMemberValue;
    use ottla::coordinator::group::request::Client;

    use super::*;
    use crate::sim::groups::assignment::{Named, subscription};

    const RETENTION: Duration = Duration::from_secs(100);

    fn second(second: i64) -> WallMillis {
        WallMillis::from_millis(second * 1000)
    }

    fn committed(at: i64) -> OffsetValue {
        OffsetValue {
            offset: 1,
            leader_epoch: -1,
            metadata: "".into(),
            committed_at: second(at),
            expires_at: None,
            topic: None,
        }
    }

    /// A classic generation with a reader of a topic, or with nobody.
    fn generation(reads: Option<&str>) -> Fact {
        let member = |topic: &str| {
            let topics = BTreeSet::from([Arc::from(topic)]);
            ClassicMemberValue {
                member: "m".into(),
                instance: None,
                client: Client {
                    id: "c".into(),
                    host: "/127.0.0.1".into(),
                },
                rebalance_timeout: Duration::ZERO,
                session_timeout: Duration::ZERO,
                subscription: subscription(&topics, &Named::new(), 1, true),
                assignment: bytes::Bytes::new(),
            }
        };
        Fact::Classic(Some(ClassicValue {
            protocol_type: "consumer".into(),
            generation: 1,
            protocol: None,
            leader: None,
            state_since: None,
            members: reads.map(member).into_iter().collect(),
        }))
    }

    fn may_expire(facts: &[(i64, Fact)], topic: &str, value: &OffsetValue, at: i64) -> bool {
        let mut expiry = Expiry::new(RETENTION);
        for (at, fact) in facts {
            let fact = fact.clone();
            let group = "g".into();
            expiry.apply(&Record { group, fact }, second(*at));
        }
        expiry.may_expire(&"g".into(), topic, value, second(at))
    }

    #[test]
    fn offsets_without_a_group_age_from_their_commit() {
        assert!(!may_expire(&[], "a", &committed(10), 109));
        assert!(may_expire(&[], "a", &committed(10), 110));
        let mut value = committed(10);
        value.expires_at = Some(second(20));
        assert!(may_expire(&[], "a", &value, 20));
    }

    #[test]
    fn what_a_classic_group_reads_ages_from_when_it_became_empty() {
        let mut facts = vec![(0, generation(Some("a")))];
        assert!(!may_expire(&facts, "a", &committed(10), 1000));
        assert!(may_expire(&facts, "b", &committed(10), 110));
        facts.push((500, generation(None)));
        assert!(!may_expire(&facts, "a", &committed(10), 599));
        assert!(may_expire(&facts, "a", &committed(10), 600));
        assert!(!may_expire(&facts, "a", &committed(550), 649));
    }

    #[test]
    fn what_a_consumer_group_reads_does_not_age() {
        let member = ConsumerMemberValue {
            instance: None,
            rack: None,
            client: Client {
                id: "c".into(),
                host: "/127.0.0.1".into(),
            },
            topics: BTreeSet::from(["a".into()]),
            topics_regex: None,
            rebalance_timeout: Duration::ZERO,
            assignor: None,
            classic: None,
        };
        let mut facts = vec![(0, Fact::ConsumerMember("m".into(), Some(member)))];
        assert!(!may_expire(&facts, "a", &committed(10), 1000));
        assert!(may_expire(&facts, "b", &committed(10), 110));
        facts.push((500, Fact::ConsumerMember("m".into(), None)));
        assert!(may_expire(&facts, "a", &committed(10), 500));
    }
}
