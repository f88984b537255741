//! One member of a classic group.

use std::time::Duration;

use bytes::Bytes;

use crate::coordinator::group::names::{InstanceId, MemberId};
use crate::coordinator::group::record::ClassicMemberValue;
use crate::coordinator::group::request::{AskId, Client, Join, Protocol};

/// What is known of a member: what a consumer group that takes it over needs, and what makes one again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassicMember {
    /// Who.
    pub member: MemberId,
    /// If it is a static one.
    pub instance: Option<InstanceId>,
    /// Who asks for it.
    pub client: Client,
    /// How long it may be silent.
    pub session_timeout: Duration,
    /// How long it may take to join again.
    pub rebalance_timeout: Duration,
    /// In the order of preference.
    pub protocols: Vec<Protocol>,
    /// What it reads.
    pub assignment: Bytes,
}

impl ClassicMember {
    /// Who joins, under this id.
    pub(super) fn joining(member: MemberId, join: &Join) -> Self {
        Self {
            member,
            instance: join.instance.clone(),
            client: join.client.clone(),
            session_timeout: join.session_timeout,
            rebalance_timeout: join.rebalance_timeout,
            protocols: join.protocols.clone(),
            assignment: Bytes::new(),
        }
    }

    /// Who is in the log. That tells of the chosen protocol alone: the member is one that names no other.
    pub(super) fn restored(value: ClassicMemberValue, protocol: std::sync::Arc<str>) -> Self {
        Self {
            member: value.member,
            instance: value.instance,
            client: value.client,
            session_timeout: value.session_timeout,
            rebalance_timeout: value.rebalance_timeout,
            protocols: vec![Protocol {
                name: protocol,
                metadata: value.subscription,
            }],
            assignment: value.assignment,
        }
    }

    /// What it takes in memory, about, and at most in the log.
    pub(super) fn bytes(&self) -> usize {
        let instance = self.instance.as_ref().map_or(0, |it| it.as_str().len());
        let names = self.member.as_str().len() + instance + self.client.bytes();
        let protocols = self.protocols.iter().map(Protocol::bytes).sum::<usize>();
        names + protocols + self.assignment.len()
    }

    /// What it says of itself in a protocol; nothing if it does not speak it.
    pub fn metadata(&self, protocol: &str) -> Bytes {
        let protocol = self.protocols.iter().find(|own| &*own.name == protocol);
        protocol.map_or_else(Bytes::new, |own| own.metadata.clone())
    }

    /// What the log keeps of it.
    pub(super) fn value(&self, protocol: &str) -> ClassicMemberValue {
        ClassicMemberValue {
            member: self.member.clone(),
            instance: self.instance.clone(),
            client: self.client.clone(),
            rebalance_timeout: self.rebalance_timeout,
            session_timeout: self.session_timeout,
            subscription: self.metadata(protocol),
            assignment: self.assignment.clone(),
        }
    }
}

/// A member, and what it waits for.
#[derive(Clone, Debug)]
pub(super) struct Member {
    /// What is known of it.
    pub(super) known: ClassicMember,
    /// It has joined no generation yet. It may not know its own id, so nobody would notice if it went: the time it may
    /// wait to join has an end.
    pub(super) is_new: bool,
    /// It waits for the next generation.
    pub(super) joining: Option<AskId>,
    /// It waits for its assignment.
    pub(super) syncing: Option<AskId>,
}

impl Member {
    /// One that waits for nothing.
    pub(super) fn new(known: ClassicMember, is_new: bool) -> Self {
        Self {
            known,
            is_new,
            joining: None,
            syncing: None,
        }
    }

    /// Whether it is gone when its session ends: who waits for the coordinator cannot send heartbeats.
    pub(super) fn can_expire(&self) -> bool {
        self.is_new || (self.joining.is_none() && self.syncing.is_none())
    }
}
