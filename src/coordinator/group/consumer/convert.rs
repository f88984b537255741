//! From a classic group to a consumer group and back, while the members go on.
//!
//! - C1: what the members have stays what they have, also what a cooperative one has not given up yet. A partition that
//!   two have is the first one's.
//! - An old group's records end in the append that begins the new one.
//! - Who becomes classic is in the generation of the group's epoch; no epoch and no generation goes back.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::ConsumerGroup;
use super::embedded;
use super::pattern::Pattern;
use super::reconcile::STABLE;
use crate::config::group::{GroupConfig, MigrationPolicy};
use crate::coordinator::group::classic::{CONSUMER, ClassicGroup, ClassicMember};
use crate::coordinator::group::effects::{Cx, Effects};
use crate::coordinator::group::error::GroupError;
use crate::coordinator::group::names::{GroupId, MemberId};
use crate::coordinator::group::record::{
    ClassicMemberValue, ClassicValue, ConsumerClassicValue, ConsumerCurrentValue,
    ConsumerEpochValue, ConsumerMemberValue, ConsumerTargetEpochValue, Fact, Record,
};
use crate::coordinator::group::request::{ConsumerHeartbeat, Partitions};
use crate::metadata::MetadataImage;

/// Whether a classic group may become a consumer group for a member of the new protocol that wants to join, and that
/// may join then: who is refused changes nothing. A group without members always may become one.
///
/// # Errors
/// [`GroupError::GroupIdNotFound`] if not; [`GroupError::NotAvailable`] if it has not begun its first generation, so
/// that it is not known yet what its members say; [`GroupError::GroupMaxSizeReached`] and
/// [`GroupError::InvalidRegularExpression`] as of a consumer group.
pub fn check_upgrade(
    classic: &ClassicValue,
    heartbeat: &ConsumerHeartbeat,
    cx: &Cx<'_>,
) -> Result<(), GroupError> {
    if !classic.members.is_empty() {
        check_members(classic, cx)?;
    }
    let is_itself = |member: &ClassicMemberValue| {
        member.member == heartbeat.member
            || (member.instance.is_some() && member.instance == heartbeat.instance)
    };
    let is_full = classic.members.len() >= cx.settings.consumer.size_max;
    if is_full && !classic.members.iter().any(is_itself) {
        return Err(GroupError::GroupMaxSizeReached);
    }
    let pattern = heartbeat.topics_regex.as_deref();
    let pattern = pattern.filter(|text| !text.is_empty());
    pattern.map_or(Ok(()), |text| Pattern::new(text).map(drop))
}

/// Whether the members can go on in a consumer group.
fn check_members(classic: &ClassicValue, cx: &Cx<'_>) -> Result<(), GroupError> {
    let is_allowed = matches!(
        cx.settings.consumer.migration,
        MigrationPolicy::Bidirectional | MigrationPolicy::Upgrade
    );
    if !is_allowed
        || &*classic.protocol_type != CONSUMER
        || classic.members.len() > cx.settings.consumer.size_max
    {
        return Err(GroupError::GroupIdNotFound);
    }
    if classic.protocol.is_none() {
        return Err(GroupError::NotAvailable);
    }
    let mut members = classic.members.iter();
    let can_be_read = members.all(|member| {
        let assigned = embedded::assigned(&member.assignment, cx.image);
        embedded::subscription(&member.subscription, cx.image).is_ok()
            // What an assignor of the application tells its members would be lost.
            && assigned.is_ok_and(|assigned| !assigned.has_user_data)
    });
    if can_be_read {
        Ok(())
    } else {
        Err(GroupError::GroupIdNotFound)
    }
}

impl ConsumerGroup {
    /// What a classic group becomes for which [`check_upgrade`] has nothing against it: its members have what they had.
    /// The heartbeat that follows begins a new epoch, and they are told to join again with their next ones.
    pub fn of_classic(cx: &Cx<'_>, id: GroupId, classic: ClassicGroup, fx: &mut Effects) -> Self {
        let mut group = Self::new(id);
        let epoch = classic.generation().max(1);
        let protocol = classic.protocol().cloned().unwrap_or_default();
        group.write(Fact::Classic(None), fx);
        let members = classic.into_members(fx);
        let said = members.iter().map(|member| {
            let said = embedded::subscription(&member.metadata(&protocol), cx.image);
            said.unwrap_or_default()
        });
        let said: Vec<embedded::Subscription> = said.collect();
        let shares = shares(&members, &said, cx.image);
        for (member, said) in members.iter().zip(said) {
            let wanted = Some(of_member(member, said));
            group.write(Fact::ConsumerMember(member.member.clone(), wanted), fx);
        }
        // What the leader assigned may be old, and it is not known of which topics it knew. A hash that is not known is not
        // that of the topics, so that everything is assigned anew, even if nobody wants anything new.
        let value = ConsumerEpochValue {
            epoch,
            metadata_hash: 0,
        };
        group.write(Fact::ConsumerEpoch(Some(value)), fx);
        for (member, share) in members.iter().zip(shares) {
            group.take_over(&member.member, epoch, share, fx);
            group.watch_session(cx, &member.member);
        }
        let at = Some(cx.wall);
        let value = ConsumerTargetEpochValue { epoch, at };
        group.write(Fact::ConsumerTargetEpoch(Some(value)), fx);
        group
    }

    /// A member has its share.
    fn take_over(&mut self, id: &MemberId, epoch: i32, share: Partitions, fx: &mut Effects) {
        let since = share.iter().map(|(topic, indexes)| {
            let since = indexes.iter().map(|index| (*index, epoch));
            (*topic, since.collect())
        });
        let current = ConsumerCurrentValue {
            epoch,
            previous_epoch: epoch,
            state: STABLE,
            assigned_since: since.collect(),
            assigned: share.clone(),
            revoking: Partitions::new(),
        };
        self.write(Fact::ConsumerTarget(id.clone(), Some(share)), fx);
        self.write(Fact::ConsumerCurrent(id.clone(), Some(current)), fx);
    }

    /// Whether all that are left speak the classic protocol, and the group may become a classic one.
    pub fn is_to_be_classic(&self, settings: &GroupConfig) -> bool {
        let is_allowed = matches!(
            settings.consumer.migration,
            MigrationPolicy::Bidirectional | MigrationPolicy::Downgrade
        );
        let members = self.facts.members();
        is_allowed
            && !members.is_empty()
            && members.len() <= settings.size_max
            && members.values().all(|member| member.classic.is_some())
    }

    /// The classic group that this one becomes. Its members are told to join again.
    pub fn into_classic(self, cx: &Cx<'_>, fx: &mut Effects) -> ClassicGroup {
        let members = self.facts.members().iter();
        let members = members.filter_map(|(id, member)| {
            let classic = member.classic.as_ref()?;
            Some(ClassicMember {
                member: id.clone(),
                instance: member.instance.clone(),
                client: member.client.clone(),
                session_timeout: classic.session_timeout,
                rebalance_timeout: member.rebalance_timeout,
                protocols: classic.protocols.clone(),
                // In the protocol that they have in common, which is to be found out.
                assignment: Bytes::new(),
            })
        });
        let members: Vec<ClassicMember> = members.collect();
        for fact in self.facts.tombstones() {
            let group = self.id.clone();
            fx.write(Record { group, fact });
        }
        let epoch = self.facts.epoch();
        let has = |id: &_, subscription: &Bytes| {
            embedded::assignment(&self.facts.current(id).assigned, subscription, cx.image)
        };
        let mut classic = ClassicGroup::of_members(cx, self.id.clone(), epoch, members, has, fx);
        classic.start(cx, fx);
        let why = "its last member of the new protocol is gone";
        classic.rebalance(cx, format_args!("{why}"), fx);
        classic
    }
}

/// What each member reads, in their order: what its leader gave it, and what it said when it joined that it still had.
/// The leader's is the last that was assigned, or nothing in the log while a generation has begun and is not assigned;
/// and cooperative members read on meanwhile.
fn shares(
    members: &[ClassicMember],
    said: &[embedded::Subscription],
    image: &MetadataImage,
) -> Vec<Partitions> {
    let assigned = members.iter().map(|member| {
        let assigned = embedded::assigned(&member.assignment, image);
        assigned.unwrap_or_default().partitions
    });
    let assigned: Vec<Partitions> = assigned.collect();
    let claimed: Vec<&Partitions> = said.iter().map(|said| &said.owned).collect();
    let mut taken = BTreeSet::new();
    let mut shares = vec![Partitions::new(); members.len()];
    // All that is assigned comes before anything that is only claimed.
    for all in [assigned.iter().collect(), claimed] {
        for (share, partitions) in shares.iter_mut().zip(all) {
            for (topic, indexes) in partitions {
                let own = indexes.iter().copied();
                let own = own.filter(|index| taken.insert((*topic, *index)));
                let own: BTreeSet<_> = own.collect();
                if !own.is_empty() {
                    share.entry(*topic).or_default().extend(own);
                }
            }
        }
    }
    shares
}

fn of_member(member: &ClassicMember, said: embedded::Subscription) -> ConsumerMemberValue {
    ConsumerMemberValue {
        instance: member.instance.clone(),
        rack: said.rack,
        client: member.client.clone(),
        topics: said.topics,
        topics_regex: None,
        rebalance_timeout: member.rebalance_timeout,
        assignor: None,
        classic: Some(ConsumerClassicValue {
            session_timeout: member.session_timeout,
            protocols: member.protocols.clone(),
        }),
    }
}
