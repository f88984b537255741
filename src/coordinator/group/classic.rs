//! A group of the classic protocol: members join a generation together, one of them assigns, all read (pure).
//!
//! - C1: what a generation's members are told is one assignment, its leader's; a generation begins only once every
//!   member of the one before has joined again, is gone, or has had its rebalance timeout.
//! - C4: a request under an id that is not (or no longer) a member's, or of another generation, changes nothing.
//! - Every request is answered once: at once, or when what it waits for has happened to its member.
//! - What is due stands in `timers`; whoever drives the group calls [`ClassicGroup::tick`] at
//!   [`ClassicGroup::next_deadline`], which a request may bring to the present.
//!
//! Memory changes at once and is never taken back: if the log does not take what was decided, the group is read from it
//! anew. Cooperative rebalancing (KIP-429) is between the members alone: they rejoin after giving partitions up.

use std::sync::Arc;

use bytes::Bytes;
use ottla_storage::planted::is_planted;
use ottla_storage::time::{MonoMillis, WallMillis};

use self::member::Member;
use self::members::Members;
use self::state::State;
use super::deadlines::Deadlines;
use super::effects::{Cx, Effects};
use super::names::{GroupId, MemberId};
use super::record::{ClassicValue, Fact, Record};
use super::request::{Described, DescribedMember, Listed};

mod commit;
mod handover;
mod heartbeat;
mod join;
mod leave;
mod member;
mod members;
mod rebalance;
mod state;
mod subscription;
mod sync;
#[cfg(test)]
mod tests;
mod votes;

pub use self::member::ClassicMember;
pub use self::subscription::Subscribed;

/// The protocol type of those that read topics, as opposed to Connect's workers and others.
pub const CONSUMER: &str = "consumer";

/// What a group waits for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    /// Members that are to join.
    Join,
    /// Members that are to ask for their assignment.
    Sync,
    /// A member, or who is to become one, that has to show itself.
    Session(MemberId),
}

/// A group of the classic protocol.
#[derive(Clone, Debug)]
pub struct ClassicGroup {
    id: GroupId,
    state: State,
    /// Since when it is in its state; `None` if the log does not tell.
    state_since: Option<WallMillis>,
    generation: i32,
    /// Empty: the group never had members.
    protocol_type: Arc<str>,
    /// What the members of this generation speak; `None` without members.
    protocol: Option<Arc<str>>,
    members: Members,
    timers: Deadlines<Timer>,
    /// Whether the log knows of the group.
    is_written: bool,
}

impl ClassicGroup {
    /// A group that nobody is in, and that the log does not know of.
    pub fn new(id: GroupId) -> Self {
        Self {
            id,
            state: State::Empty,
            state_since: None,
            generation: 0,
            protocol_type: Arc::default(),
            protocol: None,
            members: Members::default(),
            timers: Deadlines::default(),
            is_written: false,
        }
    }

    /// The group as the log tells. It is to be [started](Self::start) when all of the log is read.
    pub fn restored(id: GroupId, value: ClassicValue) -> Self {
        let mut group = Self::new(id);
        group.is_written = true;
        group.state_since = value.state_since;
        group.generation = value.generation;
        group.protocol_type = value.protocol_type;
        if value.members.is_empty() {
            return group;
        }
        let protocol = value.protocol.unwrap_or_default();
        for member in value.members {
            let known = ClassicMember::restored(member, Arc::clone(&protocol));
            group.members.insert(Member::new(known, false));
        }
        if let Some(leader) = value.leader {
            group.members.set_leader(leader);
        }
        group.protocol = Some(protocol);
        group.state = State::Stable;
        group
    }

    /// After a load, or a hand-over: every member has its whole session from now. A generation that nobody has anything in
    /// may not have got its assignment, and begins again; so does a group that is larger than it may be, and its last
    /// members find no room.
    pub fn start(&mut self, cx: &Cx<'_>, fx: &mut Effects) {
        for id in self.members.ids_of(|_| true) {
            self.refresh_session(cx, &id);
        }
        let has_nothing = |member: &Member| member.known.assignment.is_empty();
        let is_unsettled = !self.members.is_empty() && self.members.iter().all(has_nothing);
        if is_unsettled || self.members.len() > cx.settings.size_max {
            let why = "its assignment is not in the log, or it is too large";
            self.rebalance(cx, format_args!("{why}"), fx);
        }
    }

    /// The earliest moment at which something is due.
    pub fn next_deadline(&self) -> Option<MonoMillis> {
        self.timers.next()
    }

    /// The generation.
    pub fn generation(&self) -> i32 {
        self.generation
    }

    /// Whether it is in the state `Empty`. One that waits for its first members is not.
    pub fn is_empty(&self) -> bool {
        self.state == State::Empty
    }

    /// Whether nothing is lost if the group is forgotten: nobody is in it or about to be, and the log has no record of
    /// it. (Offsets are another matter.)
    pub fn is_forgettable(&self) -> bool {
        self.is_empty() && self.members.pending() == 0 && !self.is_written
    }

    /// The group in the words of `DescribeGroups`.
    pub fn describe(&self) -> Described {
        let stable = self.protocol.as_ref();
        let stable = stable.filter(|_| self.state == State::Stable);
        let members = self.members.iter().map(|member| DescribedMember {
            member: member.known.member.clone(),
            instance: member.known.instance.clone(),
            client: member.known.client.clone(),
            metadata: stable
                .map(|it| member.known.metadata(it))
                .unwrap_or_default(),
            assignment: member.known.assignment.clone(),
        });
        Described {
            state: self.state.name(),
            protocol_type: Arc::clone(&self.protocol_type),
            members: members.collect(),
            protocol: stable.cloned().unwrap_or_default(),
        }
    }

    /// The group in a list.
    pub fn listed(&self) -> Listed {
        Listed {
            group: self.id.clone(),
            protocol_type: Arc::clone(&self.protocol_type),
            state: self.state.name(),
            kind: "classic",
        }
    }

    /// What the log is to tell of it.
    pub fn value(&self) -> ClassicValue {
        let protocol = self.protocol.as_deref().unwrap_or_default();
        let members = self.members.iter();
        ClassicValue {
            protocol_type: Arc::clone(&self.protocol_type),
            generation: self.generation,
            protocol: self.protocol.clone(),
            leader: self.members.leader_id().cloned(),
            state_since: self.state_since,
            members: members.map(|it| it.known.value(protocol)).collect(),
        }
    }

    /// Writes the generation.
    fn write(&mut self, fx: &mut Effects) {
        self.is_written = true;
        fx.write(Record {
            group: self.id.clone(),
            fact: Fact::Classic(Some(self.value())),
        });
    }

    /// Writes the generation before anybody has anything in it, so that whoever coordinates next never announces another one
    /// of that number. Kafka does not, and a leader that is late can then assign in a generation that is not its own.
    fn write_unsettled(&mut self, fx: &mut Effects) {
        if is_planted("a-generation-is-written-before-it-is-told") {
            return;
        }
        let mut value = self.value();
        for member in &mut value.members {
            member.assignment = Bytes::new();
        }
        self.is_written = true;
        fx.write(Record {
            group: self.id.clone(),
            fact: Fact::Classic(Some(value)),
        });
    }

    fn enter(&mut self, cx: &Cx<'_>, state: State) {
        self.state = state;
        self.state_since = Some(cx.wall);
    }

    /// The member has shown itself.
    fn refresh_session(&mut self, cx: &Cx<'_>, id: &MemberId) {
        if let Some(member) = self.members.get(id) {
            let end = cx.now.saturating_add(member.known.session_timeout);
            self.timers.set(Timer::Session(id.clone()), end);
        }
    }
}
