//! The groups as the committed log tells them, read record by record and without the coordinator's own code.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use ottla::coordinator::group::names::{GroupId, InstanceId, MemberId};
use ottla::coordinator::group::record::{ClassicValue, ConsumerCurrentValue, Fact, Record};

use super::assignment::Owned;
use crate::sim::check::Violation;

/// The protocol of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Classic,
    Consumer,
}

/// What a record changed that matters to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Generation,
    Epoch,
    Upgrade,
    Downgrade,
    /// A member has a partition that another one had.
    Moved,
}

/// A group that became another kind, or nothing.
#[derive(Clone, Copy, Debug)]
struct Ended {
    batch: usize,
    kind: Kind,
    number: i32,
    had_members: bool,
}

/// One group.
#[derive(Clone, Debug, Default)]
pub(super) struct Group {
    pub(super) kind: Option<Kind>,
    /// The generation or the epoch.
    number: i32,
    /// How often it was nothing, or of the other kind.
    pub(super) incarnation: u64,
    pub(super) members: BTreeSet<MemberId>,
    instances: BTreeMap<InstanceId, MemberId>,
    /// Members whose instance ids are others' by now.
    pub(super) replaced: BTreeSet<MemberId>,
    currents: BTreeMap<MemberId, ConsumerCurrentValue>,
    /// What the members of the classic generation are assigned, by who they are.
    parts: BTreeMap<String, Bytes>,
    had: BTreeMap<(ottla::metadata::TopicId, ottla::metadata::PartitionIndex), MemberId>,
    ended: Option<Ended>,
}

/// All groups.
#[derive(Debug, Default)]
pub(super) struct Mirror {
    groups: BTreeMap<GroupId, Group>,
}

fn back(what: &str, group: &GroupId, from: i32, to: i32) -> Violation {
    let text = format!("{group}: the {what} goes from {from} back to {to}");
    Violation::new("epochs", text)
}

impl Mirror {
    pub(super) fn group(&self, id: &GroupId) -> Option<&Group> {
        self.groups.get(id)
    }

    /// Takes in a record of a batch.
    pub(super) fn apply(
        &mut self,
        batch: usize,
        record: &Record,
    ) -> Result<Option<Change>, Violation> {
        let id = &record.group;
        let group = self.groups.entry(id.clone()).or_default();
        match &record.fact {
            Fact::Offset(..)
            | Fact::ConsumerRegex(..)
            | Fact::ConsumerTargetEpoch(_)
            | Fact::ConsumerTarget(..) => Ok(None),
            Fact::Classic(Some(value)) => group.classic(id, batch, value),
            Fact::Classic(None) => {
                group.end(batch, Kind::Classic);
                Ok(None)
            }
            Fact::ConsumerEpoch(Some(value)) => group.epoch(id, batch, value.epoch),
            Fact::ConsumerEpoch(None) => {
                group.end(batch, Kind::Consumer);
                Ok(None)
            }
            Fact::ConsumerMember(member, Some(value)) => {
                group.kind = Some(Kind::Consumer);
                group.members.insert(member.clone());
                if let Some(instance) = &value.instance {
                    group.own(instance, member);
                }
                Ok(None)
            }
            Fact::ConsumerMember(member, None) => {
                group.members.remove(member);
                Ok(None)
            }
            Fact::ConsumerCurrent(member, value) => group.current(id, member, value.as_ref()),
        }
    }

    /// C1 in the log: after a batch no partition is two members'.
    pub(super) fn check(&self) -> Result<(), Violation> {
        for (id, group) in &self.groups {
            let mut owners = BTreeMap::new();
            for (member, current) in &group.currents {
                for held in held(current) {
                    if let Some(other) = owners.insert(held, member) {
                        let text =
                            format!("{id}: the log gives {held:?} to {other} and to {member}");
                        return Err(Violation::new("C1", text));
                    }
                }
            }
        }
        Ok(())
    }
}

impl Group {
    /// What a member of a consumer group has.
    pub(super) fn assigned(&self, member: &MemberId) -> Owned {
        let current = self.currents.get(member);
        current.map(|it| held(it).collect()).unwrap_or_default()
    }

    fn own(&mut self, instance: &InstanceId, member: &MemberId) {
        self.replaced.remove(member);
        let before = self.instances.insert(instance.clone(), member.clone());
        if let Some(before) = before.filter(|before| before != member) {
            self.replaced.insert(before);
        }
    }

    fn end(&mut self, batch: usize, kind: Kind) {
        self.ended = Some(Ended {
            batch,
            kind,
            number: self.number,
            had_members: !self.members.is_empty(),
        });
        self.kind = None;
        self.number = 0;
        self.incarnation += 1;
        self.members.clear();
        self.instances.clear();
        self.currents.clear();
        self.parts.clear();
        self.had.clear();
    }

    /// C1: a generation has one assignment, once it has any.
    fn assign(&mut self, id: &GroupId, value: &ClassicValue) -> Result<(), Violation> {
        if value.generation != self.number {
            self.parts.clear();
        }
        for member in &value.members {
            let who = who(member.instance.as_ref(), &member.member);
            let before = self.parts.insert(who.clone(), member.assignment.clone());
            let has_changed = before.is_some_and(|it| !it.is_empty() && it != member.assignment);
            if has_changed {
                let text = format!(
                    "{id}: generation {} has another part for {who}",
                    value.generation
                );
                return Err(Violation::new("C1", text));
            }
        }
        Ok(())
    }

    /// The kind that it had until just now, with its number.
    fn was(&self, batch: usize, kind: Kind) -> Option<Ended> {
        self.ended
            .filter(|ended| ended.batch == batch && ended.kind == kind)
    }

    fn classic(
        &mut self,
        id: &GroupId,
        batch: usize,
        value: &ClassicValue,
    ) -> Result<Option<Change>, Violation> {
        let was = self.was(batch, Kind::Consumer);
        let was = was.filter(|_| self.kind.is_none() && !value.members.is_empty());
        let before = was.map_or(self.number, |was| was.number);
        if value.generation < before {
            return Err(back("generation", id, before, value.generation));
        }
        self.assign(id, value)?;
        self.kind = Some(Kind::Classic);
        self.number = value.generation;
        self.members = value.members.iter().map(|it| it.member.clone()).collect();
        let before_it = std::mem::take(&mut self.instances);
        for member in &value.members {
            if let Some(instance) = &member.instance {
                self.own(instance, &member.member);
            }
        }
        for (instance, member) in before_it {
            let now = self.instances.get(&instance);
            if now.is_some_and(|now| *now != member) {
                self.replaced.insert(member);
            }
        }
        if was.is_some() {
            return Ok(Some(Change::Downgrade));
        }
        Ok((value.generation > before).then_some(Change::Generation))
    }

    fn epoch(
        &mut self,
        id: &GroupId,
        batch: usize,
        epoch: i32,
    ) -> Result<Option<Change>, Violation> {
        let was = self.was(batch, Kind::Classic);
        let was = was.filter(|was| was.had_members && self.number == 0);
        let before = was.map_or(self.number, |was| was.number);
        if epoch < before {
            return Err(back("epoch", id, before, epoch));
        }
        self.kind = Some(Kind::Consumer);
        self.number = epoch;
        if was.is_some() {
            return Ok(Some(Change::Upgrade));
        }
        Ok((epoch > before).then_some(Change::Epoch))
    }

    fn current(
        &mut self,
        id: &GroupId,
        member: &MemberId,
        value: Option<&ConsumerCurrentValue>,
    ) -> Result<Option<Change>, Violation> {
        let Some(value) = value else {
            self.currents.remove(member);
            return Ok(None);
        };
        let before = self.currents.insert(member.clone(), value.clone());
        let before = before.map_or(0, |before| before.epoch);
        // 0: it takes a place; -2: it is away for a while.
        if value.epoch < before && value.epoch > 0 {
            return Err(back("member epoch", id, before, value.epoch));
        }
        let mut has_moved = false;
        for one in held(value) {
            let before = self.had.insert(one, member.clone());
            has_moved |= before.is_some_and(|before| before != *member);
        }
        Ok(has_moved.then_some(Change::Moved))
    }
}

/// Who a member is to others: a static one that comes back is who it was.
pub(super) fn who(instance: Option<&InstanceId>, member: &MemberId) -> String {
    instance.map_or_else(|| member.to_string(), InstanceId::to_string)
}

/// What a member has, and what it is to give up.
fn held(
    current: &ConsumerCurrentValue,
) -> impl Iterator<Item = (ottla::metadata::TopicId, ottla::metadata::PartitionIndex)> {
    let all = current.assigned.iter().chain(&current.revoking);
    all.flat_map(|(topic, indexes)| indexes.iter().map(|index| (*topic, *index)))
}
