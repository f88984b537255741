//! What is asked of a coordinator, and what it answers.
//!
//! The versions of the protocol end before this: a field that an old version lacks has its meaning here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::error::GroupError;
use super::names::{GroupId, InstanceId, MemberId};
use crate::metadata::{PartitionIndex, TopicId};

/// What a record takes besides its texts, at most.
pub(super) const RECORD_BYTES: usize = 96;
/// What a field of a record takes besides its text, at most.
pub(super) const FIELD_BYTES: usize = 32;

/// Who waits for an answer; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AskId(pub u64);

/// Partitions by topic.
pub type Partitions = BTreeMap<TopicId, BTreeSet<PartitionIndex>>;

/// What a client asks.
#[derive(Clone, Debug)]
pub enum Request {
    /// Join a group (classic).
    Join(Join),
    /// Give or get the assignment (classic).
    Sync(Sync),
    /// Still here (classic).
    Heartbeat(Heartbeat),
    /// Members leave (classic).
    Leave(Leave),
    /// Still here, or join, or leave (KIP-848).
    ConsumerHeartbeat(ConsumerHeartbeat),
    /// Note how far the group has come.
    CommitOffsets(CommitOffsets),
    /// How far has the group come?
    FetchOffsets(FetchOffsets),
    /// Forget offsets.
    DeleteOffsets(DeleteOffsets),
    /// Forget a group.
    DeleteGroup(GroupId),
    /// Tell of a group (classic).
    Describe(GroupId),
    /// Tell of a group (KIP-848).
    DescribeConsumer(GroupId),
    /// Which groups are there?
    List(ListFilter),
}

/// The answer to the request of the same name.
#[derive(Clone, Debug)]
pub enum Response {
    /// To [`Request::Join`].
    Join(Result<Joined, GroupError>),
    /// To [`Request::Sync`].
    Sync(Result<Synced, GroupError>),
    /// To [`Request::Heartbeat`].
    Heartbeat(Result<(), GroupError>),
    /// To [`Request::Leave`]: an answer for each member that was named.
    Leave(Result<Vec<Result<(), GroupError>>, GroupError>),
    /// To [`Request::ConsumerHeartbeat`].
    ConsumerHeartbeat(Result<ConsumerHeard, GroupError>),
    /// To [`Request::CommitOffsets`]: an answer for each partition, in the order of the request.
    CommitOffsets(Result<Vec<Result<(), GroupError>>, GroupError>),
    /// To [`Request::FetchOffsets`].
    FetchOffsets(Result<FetchedOffsets, GroupError>),
    /// To [`Request::DeleteOffsets`]: an answer for each partition, in the order of the request.
    DeleteOffsets(Result<Vec<Result<(), GroupError>>, GroupError>),
    /// To [`Request::DeleteGroup`].
    DeleteGroup(Result<(), GroupError>),
    /// To [`Request::Describe`].
    Describe(Result<Described, GroupError>),
    /// To [`Request::DescribeConsumer`].
    DescribeConsumer(Result<ConsumerDescribed, GroupError>),
    /// To [`Request::List`].
    List(Result<Vec<Listed>, GroupError>),
}

macro_rules! refusals {
    ($($kind:ident),*) => {
        impl Request {
            /// The answer of a coordinator that refuses.
            #[must_use]
            pub fn refused(&self, error: GroupError) -> Response {
                match self {
                    $(Self::$kind(_) => Response::$kind(Err(error)),)*
                }
            }
        }

        impl Response {
            /// The same, refused.
            #[must_use]
            pub fn refused(&self, error: GroupError) -> Self {
                match self {
                    $(Self::$kind(_) => Self::$kind(Err(error)),)*
                }
            }
        }
    };
}

refusals!(
    Join,
    Sync,
    Heartbeat,
    Leave,
    ConsumerHeartbeat,
    CommitOffsets,
    FetchOffsets,
    DeleteOffsets,
    DeleteGroup,
    Describe,
    DescribeConsumer,
    List
);

/// A protocol that a member can speak (an assignor, for consumers), and what it says about itself in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protocol {
    /// Its name.
    pub name: Arc<str>,
    /// Opaque to the coordinator; for consumers the subscription.
    pub metadata: Bytes,
}

/// Who a client is, for whoever describes the group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// `client.id`.
    pub id: Arc<str>,
    /// Its address, as Kafka writes it: `/127.0.0.1`.
    pub host: Arc<str>,
}

/// A member wants to be in the next generation.
#[derive(Clone, Debug)]
pub struct Join {
    /// Which group.
    pub group: GroupId,
    /// Empty: it has no id yet.
    pub member: MemberId,
    /// The id that it gets if it has none: the client's or instance's name and a UUID.
    pub new_member: MemberId,
    /// Whether it must ask again with its new id (KIP-394).
    pub must_know_id: bool,
    /// Whether it understands that it need not assign again (version 9).
    pub knows_skipped_assignment: bool,
    /// A static member.
    pub instance: Option<InstanceId>,
    /// Who asks.
    pub client: Client,
    /// How long it may be silent.
    pub session_timeout: Duration,
    /// How long it may take to join again; the session timeout for version 0.
    pub rebalance_timeout: Duration,
    /// `consumer`, `connect`, ...
    pub protocol_type: Arc<str>,
    /// In the order of preference.
    pub protocols: Vec<Protocol>,
    /// Why, for the log.
    pub reason: Option<String>,
}

/// The member is in the generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// Which.
    pub generation: i32,
    /// The protocol type of the group.
    pub protocol_type: Arc<str>,
    /// The protocol that was chosen.
    pub protocol: Arc<str>,
    /// Who assigns.
    pub leader: MemberId,
    /// The leader need not assign (KIP-814).
    pub skip_assignment: bool,
    /// Who the member is.
    pub member: MemberId,
    /// For the leader: everybody, with what they say of themselves. Empty for others.
    pub members: Vec<JoinedMember>,
}

/// A member of a generation, as its leader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinedMember {
    /// Who.
    pub member: MemberId,
    /// If it is a static one.
    pub instance: Option<InstanceId>,
    /// What it says of itself in the chosen protocol.
    pub metadata: Bytes,
}

/// A member of a generation, as it shows itself with every request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Who.
    pub member: MemberId,
    /// If it is a static one.
    pub instance: Option<InstanceId>,
    /// Its generation or member epoch; -1 if it has none.
    pub generation: i32,
}

/// A member waits for its assignment; the leader brings everybody's.
#[derive(Clone, Debug)]
pub struct Sync {
    /// Which group.
    pub group: GroupId,
    /// Who asks.
    pub by: Identity,
    /// What the member thinks was chosen; `None` before version 5.
    pub protocol_type: Option<Arc<str>>,
    /// The same.
    pub protocol: Option<Arc<str>>,
    /// The leader's.
    pub assignments: Vec<(MemberId, Bytes)>,
}

/// What the member is to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Synced {
    /// The group's.
    pub protocol_type: Arc<str>,
    /// The group's.
    pub protocol: Arc<str>,
    /// As the leader gave it; empty if it gave none.
    pub assignment: Bytes,
}

/// A member is still there.
#[derive(Clone, Debug)]
pub struct Heartbeat {
    /// Which group.
    pub group: GroupId,
    /// Who.
    pub by: Identity,
}

/// Members leave.
#[derive(Clone, Debug)]
pub struct Leave {
    /// Which group.
    pub group: GroupId,
    /// Who; a static member may be named by its instance id alone.
    pub members: Vec<Leaving>,
}

/// A member that leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaving {
    /// Who; may be empty with an instance id.
    pub member: MemberId,
    /// If it is a static one.
    pub instance: Option<InstanceId>,
    /// Why, for the log.
    pub reason: Option<String>,
}

/// Everything that a member of the new protocol says. `None` means: as before.
#[derive(Clone, Debug)]
pub struct ConsumerHeartbeat {
    /// Which group.
    pub group: GroupId,
    /// Who. Never empty: a client that has no id is given one before it comes here.
    pub member: MemberId,
    /// 0 joins, -1 leaves, -2 leaves for a while (static members), else the member's epoch.
    pub epoch: i32,
    /// A static member.
    pub instance: Option<InstanceId>,
    /// Where it is.
    pub rack: Option<Arc<str>>,
    /// How long it may take to give partitions up.
    pub rebalance_timeout: Option<Duration>,
    /// What it reads.
    pub topics: Option<BTreeSet<Arc<str>>>,
    /// What it reads, as a pattern (RE2); empty: none any more.
    pub topics_regex: Option<Arc<str>>,
    /// By which assignor.
    pub assignor: Option<Arc<str>>,
    /// What it owns now.
    pub owned: Option<Partitions>,
    /// Who asks.
    pub client: Client,
}

/// What a member of the new protocol is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerHeard {
    /// Who it is.
    pub member: MemberId,
    /// Its epoch.
    pub epoch: i32,
    /// When to show up again.
    pub heartbeat_interval: Duration,
    /// What it is to read, if that is new or it asked for all.
    pub assignment: Option<Partitions>,
}

/// A partition by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// The topic's name.
    pub topic: Arc<str>,
    /// Which of its partitions, as the client wrote it.
    pub partition: i32,
}

/// An offset that a client commits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewOffset {
    /// Of which partition.
    pub of: TopicPartition,
    /// The next record to read.
    pub offset: i64,
    /// The leader epoch of the last record that was read; -1 if not known.
    pub leader_epoch: i32,
    /// Whatever the client wants to find again.
    pub metadata: Arc<str>,
}

/// A member, or someone outside of the group, says how far the group has come.
#[derive(Clone, Debug)]
pub struct CommitOffsets {
    /// Which group.
    pub group: GroupId,
    /// Who. Neither member nor instance, and generation -1: a simple consumer or an admin.
    pub by: Identity,
    /// Whether the version tells an unknown group from an old generation (version 9).
    pub knows_unknown_group: bool,
    /// How long to keep them, if the client says so (versions 2 to 4).
    pub retention: Option<Duration>,
    /// How far.
    pub offsets: Vec<NewOffset>,
}

/// How far has the group come?
#[derive(Clone, Debug)]
pub struct FetchOffsets {
    /// Which group.
    pub group: GroupId,
    /// Who asks, if it says so (version 9).
    pub by: Option<Identity>,
    /// Of which partitions; `None`: of all.
    pub of: Option<Vec<TopicPartition>>,
    /// Wait for what is not decided yet (KIP-447).
    pub require_stable: bool,
}

/// Offsets of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FetchedOffsets {
    /// In the order that was asked for, or by topic and partition.
    pub offsets: Vec<FetchedOffset>,
}

/// How far a group has come in a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedOffset {
    /// Which partition.
    pub of: TopicPartition,
    /// The offset; `None`: none was committed.
    pub committed: Option<CommittedOffset>,
}

/// An offset that was committed, as it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedOffset {
    /// The next record to read.
    pub offset: i64,
    /// The leader epoch of the last record that was read; -1 if not known.
    pub leader_epoch: i32,
    /// Whatever the client wanted to find again.
    pub metadata: Arc<str>,
}

/// Forget how far a group has come in partitions.
#[derive(Clone, Debug)]
pub struct DeleteOffsets {
    /// Which group.
    pub group: GroupId,
    /// Which partitions.
    pub of: Vec<TopicPartition>,
}

/// A group in the classic words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// As Kafka writes it: `Stable`, `PreparingRebalance`, `CompletingRebalance`, `Empty`, `Dead`.
    pub state: &'static str,
    /// `consumer`, ...; empty for a simple group.
    pub protocol_type: Arc<str>,
    /// The chosen protocol; empty unless the group is stable.
    pub protocol: Arc<str>,
    /// Who is in it.
    pub members: Vec<DescribedMember>,
}

/// A member in the classic words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedMember {
    /// Who.
    pub member: MemberId,
    /// If it is a static one.
    pub instance: Option<InstanceId>,
    /// Who asks for it.
    pub client: Client,
    /// What it says of itself in the chosen protocol; empty unless the group is stable.
    pub metadata: Bytes,
    /// What it reads, or read last.
    pub assignment: Bytes,
}

/// A group of the new protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerDescribed {
    /// As Kafka writes it: `Empty`, `Assigning`, `Reconciling`, `Stable`, `Dead`.
    pub state: &'static str,
    /// The group's epoch.
    pub epoch: i32,
    /// The epoch of the target assignment.
    pub assignment_epoch: i32,
    /// The assignor's name.
    pub assignor: Arc<str>,
    /// Who is in it.
    pub members: Vec<ConsumerDescribedMember>,
}

/// A member of the new protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerDescribedMember {
    /// Who.
    pub member: MemberId,
    /// If it is a static one.
    pub instance: Option<InstanceId>,
    /// Where it is.
    pub rack: Option<Arc<str>>,
    /// Its epoch.
    pub epoch: i32,
    /// Who asks for it.
    pub client: Client,
    /// What it subscribed to by name.
    pub topics: BTreeSet<Arc<str>>,
    /// What it subscribed to by pattern.
    pub topics_regex: Option<Arc<str>>,
    /// What it has.
    pub assigned: Partitions,
    /// What it is to have.
    pub target: Partitions,
    /// Whether it speaks the classic protocol.
    pub is_classic: bool,
}

/// Which groups to list; an empty set takes all.
#[derive(Clone, Debug, Default)]
pub struct ListFilter {
    /// States, lower case.
    pub states: BTreeSet<String>,
    /// Types, lower case: `classic`, `consumer`.
    pub types: BTreeSet<String>,
}

/// A group in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Which.
    pub group: GroupId,
    /// `consumer`, ...; empty for a simple group.
    pub protocol_type: Arc<str>,
    /// As Kafka writes it.
    pub state: &'static str,
    /// `classic` or `consumer`.
    pub kind: &'static str,
}

impl Request {
    /// Whether it adds to what is on the way into the log. What a heartbeat of somebody who is in the group leads to has an
    /// end with the members, and one that is not heard costs the member its place.
    pub fn writes(&self) -> bool {
        match self {
            Self::ConsumerHeartbeat(heartbeat) => heartbeat.epoch == 0,
            Self::Join(_)
            | Self::Sync(_)
            | Self::Leave(_)
            | Self::CommitOffsets(_)
            | Self::DeleteOffsets(_)
            | Self::DeleteGroup(_) => true,
            Self::Heartbeat(_)
            | Self::FetchOffsets(_)
            | Self::Describe(_)
            | Self::DescribeConsumer(_)
            | Self::List(_) => false,
        }
    }

    /// What its own words take in the log, about: a group's name is in the key of each of its records.
    pub fn bytes(&self) -> usize {
        let of = |group: &GroupId, of: &TopicPartition| {
            RECORD_BYTES + group.as_str().len() + of.topic.len()
        };
        match self {
            Self::Join(join) => join.bytes(),
            Self::Sync(sync) => sync.bytes(),
            Self::ConsumerHeartbeat(heartbeat) => heartbeat.bytes(),
            Self::CommitOffsets(commit) => {
                let all = commit.offsets.iter();
                all.map(|new| of(&commit.group, &new.of) + new.metadata.len())
                    .sum()
            }
            Self::DeleteOffsets(delete) => delete.of.iter().map(|it| of(&delete.group, it)).sum(),
            Self::Heartbeat(_)
            | Self::Leave(_)
            | Self::FetchOffsets(_)
            | Self::DeleteGroup(_)
            | Self::Describe(_)
            | Self::DescribeConsumer(_)
            | Self::List(_) => 0,
        }
    }
}

impl Protocol {
    /// What it takes in the log, about.
    pub fn bytes(&self) -> usize {
        FIELD_BYTES + self.name.len() + self.metadata.len()
    }
}

impl Client {
    /// What it takes in the log, about.
    pub fn bytes(&self) -> usize {
        FIELD_BYTES + self.id.len() + self.host.len()
    }
}

impl Join {
    /// What the member takes in the log, about.
    pub fn bytes(&self) -> usize {
        let names = self.group.as_str().len() + self.new_member.as_str().len();
        let protocols = self.protocols.iter().map(Protocol::bytes);
        RECORD_BYTES + names + self.client.bytes() + protocols.sum::<usize>()
    }
}

impl Sync {
    /// What its assignments take in the log, about.
    pub fn bytes(&self) -> usize {
        let parts = self.assignments.iter();
        parts.map(|(_, part)| FIELD_BYTES + part.len()).sum()
    }
}

impl ConsumerHeartbeat {
    fn bytes(&self) -> usize {
        let names = [self.group.as_str(), self.member.as_str()];
        let names = names.map(str::len).into_iter().sum::<usize>();
        let topics = self.topics.iter().flatten();
        let topics: usize = topics.map(|topic| FIELD_BYTES + topic.len()).sum();
        let pattern = self.topics_regex.as_ref().map_or(0, |it| it.len());
        RECORD_BYTES + names + self.client.bytes() + topics + pattern
    }
}

/// A request with the type of its answer.
pub trait Question {
    /// What the coordinator says if it does not refuse.
    type Answer;

    /// The request.
    fn into_request(self) -> Request;

    /// The answer, out of the response to that request.
    ///
    /// # Errors
    /// The coordinator's refusal.
    fn answer(response: Response) -> Result<Self::Answer, GroupError>;
}

/// [`Request::DeleteGroup`].
#[derive(Clone, Debug)]
pub struct DeleteGroup(pub GroupId);
/// [`Request::Describe`].
#[derive(Clone, Debug)]
pub struct Describe(pub GroupId);
/// [`Request::DescribeConsumer`].
#[derive(Clone, Debug)]
pub struct DescribeConsumer(pub GroupId);

macro_rules! questions {
    ($($question:ty: $variant:ident($into:expr) -> $answer:ty;)*) => {
        $(
            impl Question for $question {
                type Answer = $answer;

                fn into_request(self) -> Request {
                    let into: fn(Self) -> _ = $into;
                    Request::$variant(into(self))
                }

                fn answer(response: Response) -> Result<Self::Answer, GroupError> {
                    match response {
                        Response::$variant(answer) => answer,
                        other => unreachable!("an answer to another question: {other:?}"),
                    }
                }
            }
        )*
    };
}

questions! {
    Join: Join(|it| it) -> Joined;
    Sync: Sync(|it| it) -> Synced;
    Heartbeat: Heartbeat(|it| it) -> ();
    Leave: Leave(|it| it) -> Vec<Result<(), GroupError>>;
    ConsumerHeartbeat: ConsumerHeartbeat(|it| it) -> ConsumerHeard;
    CommitOffsets: CommitOffsets(|it| it) -> Vec<Result<(), GroupError>>;
    FetchOffsets: FetchOffsets(|it| it) -> FetchedOffsets;
    DeleteOffsets: DeleteOffsets(|it| it) -> Vec<Result<(), GroupError>>;
    DeleteGroup: DeleteGroup(|it| it.0) -> ();
    Describe: Describe(|it| it.0) -> Described;
    DescribeConsumer: DescribeConsumer(|it| it.0) -> ConsumerDescribed;
    ListFilter: List(|it| it) -> Vec<Listed>;
}
