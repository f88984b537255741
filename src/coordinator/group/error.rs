//! Why a coordinator refuses.

/// Why a request on a group is refused; each is an error code of the protocol.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GroupError {
    /// The partition of the group is led by another broker.
    #[error("this broker does not coordinate the group")]
    NotCoordinator,
    /// The partition's log is being read.
    #[error("the group is being loaded")]
    LoadInProgress,
    /// What was decided is not known to be committed; the client asks again.
    #[error("the group's log takes no records now, or did not confirm them in time")]
    NotAvailable,
    /// A group without a name, or one that is not allowed.
    #[error("the group's id is not valid")]
    InvalidGroupId,
    /// Outside of `group.min.session.timeout.ms` and `group.max.session.timeout.ms`.
    #[error("the session timeout is not within the limits of the broker")]
    InvalidSessionTimeout,
    /// A field makes no sense.
    #[error("{0}")]
    InvalidRequest(&'static str),
    /// No such member in the group.
    #[error("the group has no such member")]
    UnknownMemberId,
    /// The member shall ask again with the id that it is given.
    #[error("the member needs the id that it is given here")]
    MemberIdRequired,
    /// `group.max.size`.
    #[error("the group has as many members as it may have")]
    GroupMaxSizeReached,
    /// The members have no protocol in common, or not this one.
    #[error("the group's members have no such protocol in common")]
    InconsistentGroupProtocol,
    /// The request is of another generation.
    #[error("the group is in another generation")]
    IllegalGeneration,
    /// The member must join again.
    #[error("the group is rebalancing")]
    RebalanceInProgress,
    /// A newer member has taken the instance id.
    #[error("another member has taken over the instance id")]
    FencedInstanceId,
    /// The instance id is in use.
    #[error("the instance id belongs to another member")]
    UnreleasedInstanceId,
    /// The member's epoch is not the one that the coordinator knows; it must join again.
    #[error("the member's epoch is not that of the group: {0}")]
    FencedMemberEpoch(&'static str),
    /// The member's epoch is not its newest.
    #[error("the member has a newer epoch")]
    StaleMemberEpoch,
    /// No such assignor here.
    #[error("the assignor is none of those that the broker has")]
    UnsupportedAssignor,
    /// The subscription's pattern is none.
    #[error("the regular expression is not valid: {0}")]
    InvalidRegularExpression(String),
    /// The metadata of a commit is longer than `offset.metadata.max.bytes`.
    #[error("the metadata of the offset is too long")]
    OffsetMetadataTooLarge,
    /// More than one batch of the log may hold.
    #[error("what the group's log would have to take is too large for one batch")]
    TooLarge,
    /// No such group.
    #[error("there is no such group")]
    GroupIdNotFound,
    /// Members are in the group.
    #[error("the group has members")]
    NonEmptyGroup,
    /// A member reads the topic.
    #[error("a member of the group is subscribed to the topic")]
    GroupSubscribedToTopic,
    /// The request's version lacks what the group needs.
    #[error("{0}")]
    UnsupportedVersion(&'static str),
}
