//! What coordinators announce, against what the committed log says.
//!
//! - An answer that names a generation or an epoch may be given once that is committed, and says what it is: nobody begins
//!   what a move of the coordinator could take back. That holds for a coordinator that is none any more as well.
//! - One that is the coordinator tells what the log said when it was asked, or since.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ottla::coordinator::group::names::{GroupId, InstanceId, MemberId};
use ottla::coordinator::group::record::{
    ClassicMemberValue, ClassicValue, ConsumerCurrentValue, Fact, Record,
};
use ottla::coordinator::group::request::{
    ConsumerHeard, ConsumerHeartbeat, Join, Joined, JoinedMember, Partitions, Sync, Synced,
};

use super::assignment::{Named, assigned};
use super::topics::Topics;
use crate::sim::check::Violation;

/// What the log said of something, from a step on each.
#[derive(Clone, Debug)]
struct Said<T>(Vec<(u64, Option<T>)>);

impl<T> Said<T> {
    /// Everything, or what it said at that step and since.
    fn since(&self, step: Option<u64>) -> impl Iterator<Item = &T> {
        let first = step.map_or(0, |step| {
            let before = self.0.partition_point(|(at, _)| *at < step);
            before.saturating_sub(1)
        });
        let said = self.0.iter().skip(first);
        said.filter_map(|(_, value)| value.as_ref())
    }
}

impl<T> Default for Said<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

/// What the log said of all groups.
#[derive(Debug, Default)]
pub(super) struct Announced {
    /// Generations, each with the group's incarnation.
    classic: BTreeMap<GroupId, Said<(u64, ClassicValue)>>,
    consumer: BTreeMap<(GroupId, MemberId), Said<ConsumerCurrentValue>>,
}

/// Where an assignment comes from that a member of the classic protocol is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// A classic generation, in that incarnation of the group.
    Generation(u64),
    /// A consumer group.
    Epoch,
}

fn broken(group: &GroupId, told: &impl std::fmt::Debug) -> Violation {
    let text = format!("{group}: {told:?} is told, and the committed log does not have it");
    Violation::new("announced", text)
}

impl Announced {
    /// Takes in a record of the committed log.
    pub(super) fn apply(&mut self, step: u64, incarnation: u64, record: &Record) {
        let group = record.group.clone();
        match &record.fact {
            Fact::Classic(value) => {
                let said = value.clone().map(|value| (incarnation, value));
                self.classic.entry(group).or_default().0.push((step, said));
            }
            Fact::ConsumerCurrent(member, value) => {
                let said = self.consumer.entry((group, member.clone())).or_default();
                said.0.push((step, value.clone()));
            }
            Fact::Offset(..)
            | Fact::ConsumerEpoch(_)
            | Fact::ConsumerMember(..)
            | Fact::ConsumerRegex(..)
            | Fact::ConsumerTargetEpoch(_)
            | Fact::ConsumerTarget(..) => {}
        }
    }

    /// A member is told that it is in a generation. `since`: who tells it is the coordinator, and was asked then.
    pub(super) fn joined(
        &self,
        join: &Join,
        joined: &Joined,
        since: Option<u64>,
    ) -> Result<(), Violation> {
        let mut generations = self.generations(&join.group, since);
        let mut epochs = self.currents(&join.group, &joined.member, since);
        let is_said = generations.any(|(_, value)| is_of(joined, value))
            || epochs.any(|value| value.epoch == joined.generation && joined.members.is_empty());
        is_said
            .then_some(())
            .ok_or_else(|| broken(&join.group, joined))
    }

    /// A member is told what it reads in its generation.
    pub(super) fn synced(
        &self,
        sync: &Sync,
        synced: &Synced,
        topics: &Topics,
        since: Option<u64>,
    ) -> Result<Source, Violation> {
        let (group, by) = (&sync.group, &sync.by);
        let is_said = |value: &ClassicValue| {
            value.generation == by.generation
                && value.protocol.as_ref() == Some(&synced.protocol)
                && value
                    .members
                    .iter()
                    .any(|it| it.member == by.member && it.assignment == synced.assignment)
        };
        let generation = self.generations(group, since).filter(|it| is_said(&it.1));
        if let Some((incarnation, _)) = generation.last() {
            return Ok(Source::Generation(*incarnation));
        }
        let told = assigned(&synced.assignment);
        let mut epochs = self.currents(group, &by.member, since);
        let is_said =
            epochs.any(|it| it.epoch == by.generation && is_told(&it.assigned, &told, topics));
        is_said
            .then_some(Source::Epoch)
            .ok_or_else(|| broken(group, &(by, told)))
    }

    /// A member of the new protocol is told its epoch, and what it reads perhaps.
    pub(super) fn heard(
        &self,
        heartbeat: &ConsumerHeartbeat,
        heard: &ConsumerHeard,
        since: Option<u64>,
    ) -> Result<(), Violation> {
        // Who leaves for good has no epoch any more.
        if heard.epoch == -1 {
            return Ok(());
        }
        let mut epochs = self.currents(&heartbeat.group, &heard.member, since);
        let told = heard.assignment.as_ref();
        let is_said = epochs.any(|value| {
            value.epoch == heard.epoch && told.is_none_or(|told| *told == value.assigned)
        });
        is_said
            .then_some(())
            .ok_or_else(|| broken(&heartbeat.group, heard))
    }

    fn generations(
        &self,
        group: &GroupId,
        since: Option<u64>,
    ) -> impl Iterator<Item = &(u64, ClassicValue)> {
        let said = self.classic.get(group).into_iter();
        said.flat_map(move |said| said.since(since))
    }

    fn currents(
        &self,
        group: &GroupId,
        member: &MemberId,
        since: Option<u64>,
    ) -> impl Iterator<Item = &ConsumerCurrentValue> {
        let said = self.consumer.get(&(group.clone(), member.clone()));
        said.into_iter().flat_map(move |said| said.since(since))
    }
}

/// Whether who joined is in that generation, leads it if it is told so, and is told of everybody in it if of anybody.
fn is_of(joined: &Joined, value: &ClassicValue) -> bool {
    let leads = joined.leader == joined.member;
    let told: BTreeSet<_> = joined.members.iter().map(told_of).collect();
    let there: BTreeSet<_> = value.members.iter().map(there_of).collect();
    value.generation == joined.generation
        && value.protocol_type == joined.protocol_type
        && value.protocol.as_ref() == Some(&joined.protocol)
        && value.members.iter().any(|it| it.member == joined.member)
        && (!leads || value.leader.as_ref() == Some(&joined.member))
        && (told.is_empty() || told == there)
}

type Of<'a> = (&'a MemberId, Option<&'a str>, &'a [u8]);

fn told_of(member: &JoinedMember) -> Of<'_> {
    let instance = member.instance.as_ref().map(InstanceId::as_str);
    (&member.member, instance, &member.metadata)
}

fn there_of(member: &ClassicMemberValue) -> Of<'_> {
    let instance = member.instance.as_ref().map(InstanceId::as_str);
    (&member.member, instance, &member.subscription)
}

/// Whether names are what a member has, but for topics that are no more.
fn is_told(has: &Partitions, told: &Named, topics: &Topics) -> bool {
    let has = has.iter().flat_map(|(topic, indexes)| {
        let is_there = topics.image.topics().by_id(*topic).is_some();
        let name = topics.name_of(*topic).cloned().unwrap_or_default();
        indexes
            .iter()
            .map(move |index| ((name.clone(), index.get()), is_there))
    });
    let has: Vec<((Arc<str>, i32), bool)> = has.collect();
    let all: BTreeSet<_> = has.iter().map(|(one, _)| one).collect();
    let mut there = has.iter().filter(|(_, is_there)| *is_there);
    told.iter().all(|one| all.contains(one)) && there.all(|(one, _)| told.contains(one))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ottla::coordinator::group::request::{Client, Identity};
    use ottla::metadata::{PartitionIndex, TopicId};

    use super::*;

    fn client() -> Client {
        Client {
            id: "c".into(),
            host: "/127.0.0.1".into(),
        }
    }

    fn generation(generation: i32, members: &[(&str, &'static [u8])]) -> Fact {
        let members = members
            .iter()
            .map(|(member, assignment)| ClassicMemberValue {
                member: (*member).into(),
                instance: None,
                client: client(),
                rebalance_timeout: Duration::ZERO,
                session_timeout: Duration::ZERO,
                subscription: b"s"[..].into(),
                assignment: (*assignment).into(),
            });
        Fact::Classic(Some(ClassicValue {
            protocol_type: "consumer".into(),
            generation,
            protocol: Some("range".into()),
            leader: Some("m".into()),
            state_since: None,
            members: members.collect(),
        }))
    }

    fn has(indexes: &[i32]) -> Partitions {
        let topic = TopicId::from_wire([1; 16]).unwrap();
        let indexes = indexes
            .iter()
            .filter_map(|it| PartitionIndex::from_wire(*it));
        [(topic, indexes.collect())].into()
    }

    fn epoch(member: &str, epoch: i32, assigned: &[i32]) -> Fact {
        let value = ConsumerCurrentValue {
            epoch,
            assigned: has(assigned),
            ..ConsumerCurrentValue::default()
        };
        Fact::ConsumerCurrent(member.into(), Some(value))
    }

    fn log(facts: &[(u64, Fact)]) -> Announced {
        let mut announced = Announced::default();
        for (step, fact) in facts {
            let (group, fact) = ("g".into(), fact.clone());
            announced.apply(*step, 1, &Record { group, fact });
        }
        announced
    }

    fn join() -> Join {
        Join {
            group: "g".into(),
            member: "m".into(),
            new_member: "m2".into(),
            must_know_id: true,
            knows_skipped_assignment: true,
            instance: None,
            client: client(),
            session_timeout: Duration::ZERO,
            rebalance_timeout: Duration::ZERO,
            protocol_type: "consumer".into(),
            protocols: Vec::new(),
            reason: None,
        }
    }

    fn joined(generation: i32, member: &str, leader: &str, members: &[&str]) -> Joined {
        let members = members.iter().map(|member| JoinedMember {
            member: (*member).into(),
            instance: None,
            metadata: b"s"[..].into(),
        });
        Joined {
            generation,
            protocol_type: "consumer".into(),
            protocol: "range".into(),
            leader: leader.into(),
            skip_assignment: false,
            member: member.into(),
            members: members.collect(),
        }
    }

    #[test]
    fn who_joins_is_told_a_generation_that_is_committed() {
        let log = log(&[
            (5, generation(1, &[("m", b"")])),
            (9, generation(2, &[("m", b""), ("n", b"")])),
        ]);
        let is_good = |joined, since| log.joined(&join(), &joined, since).is_ok();
        assert!(is_good(joined(2, "m", "m", &["m", "n"]), Some(10)));
        assert!(is_good(joined(2, "n", "m", &[]), Some(10)));
        // Not committed, not in it, not its leader, not all that are in it.
        assert!(!is_good(joined(3, "m", "m", &["m", "n"]), None));
        assert!(!is_good(joined(1, "n", "m", &[]), None));
        assert!(!is_good(joined(2, "n", "n", &[]), None));
        assert!(!is_good(joined(2, "m", "m", &["m"]), None));
        // Over when the question came.
        assert!(is_good(joined(1, "m", "m", &["m"]), None));
        assert!(is_good(joined(1, "m", "m", &["m"]), Some(9)));
        assert!(!is_good(joined(1, "m", "m", &["m"]), Some(10)));
    }

    #[test]
    fn who_asks_for_its_assignment_is_told_the_one_that_is_committed() {
        let log = log(&[
            (5, generation(1, &[("m", b"")])),
            (6, generation(1, &[("m", b"part")])),
        ]);
        let source = |generation, assignment: &'static [u8]| {
            let sync = Sync {
                group: "g".into(),
                by: Identity {
                    member: "m".into(),
                    instance: None,
                    generation,
                },
                protocol_type: None,
                protocol: None,
                assignments: Vec::new(),
            };
            let synced = Synced {
                protocol_type: "consumer".into(),
                protocol: "range".into(),
                assignment: assignment.into(),
            };
            log.synced(&sync, &synced, &Topics::new(), Some(8)).ok()
        };
        assert_eq!(source(1, b"part"), Some(Source::Generation(1)));
        assert_eq!(source(1, b"other"), None);
        assert_eq!(source(2, b"part"), None);
    }

    #[test]
    fn who_shows_up_is_told_an_epoch_and_partitions_that_are_committed() {
        let log = log(&[(5, epoch("m", 3, &[0])), (7, epoch("m", 3, &[0, 1]))]);
        let is_good = |member: &str, epoch, assignment: Option<&[i32]>, since| {
            let heartbeat = ConsumerHeartbeat {
                group: "g".into(),
                member: member.into(),
                epoch,
                instance: None,
                rack: None,
                rebalance_timeout: None,
                topics: None,
                topics_regex: None,
                assignor: None,
                owned: None,
                client: client(),
            };
            let heard = ConsumerHeard {
                member: member.into(),
                epoch,
                heartbeat_interval: Duration::ZERO,
                assignment: assignment.map(has),
            };
            log.heard(&heartbeat, &heard, since).is_ok()
        };
        assert!(is_good("m", 3, None, Some(8)));
        assert!(is_good("m", 3, Some(&[0, 1]), Some(8)));
        assert!(is_good("m", 3, Some(&[0]), None));
        assert!(!is_good("m", 3, Some(&[0]), Some(8)));
        assert!(!is_good("m", 4, None, None));
        assert!(!is_good("n", 3, None, None));
        assert!(is_good("m", -1, None, Some(8)));
    }
}
