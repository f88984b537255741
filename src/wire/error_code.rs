//! The error codes of the protocol: every code that Kafka 4.4 knows, with its name, whether a
//! client may retry, and a sentence for people.
//!
//! - A code that a newer peer sends and this table lacks reads as `UnknownServerError`, as Kafka's
//!   own clients do: an error stays an error.
//! - Whether our errors map to a code is decided by whoever answers, never here.

/// One row per code: variant, code, Kafka's name, `yes` where a client may retry, the sentence.
macro_rules! error_codes {
    (@retriable yes) => { true };
    (@retriable no) => { false };
    ($($(#[$default:meta])? $variant:ident $code:literal $name:literal $retriable:ident $message:literal,)*) => {
        /// What a response says went wrong, or `None`.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(i16)]
        pub enum ErrorCode {
            $($(#[$default])? #[doc = $message] $variant = $code,)*
        }

        impl ErrorCode {
            /// Every code, ascending.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The code of a response field, `None` if this version of the protocol lacks it.
            pub fn known(code: i16) -> Option<Self> {
                match code {
                    $($code => Some(Self::$variant),)*
                    _ => None,
                }
            }

            /// Kafka's name of the code, as tools and logs print it.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// Whether the same request may succeed later, so clients retry on their own.
            pub fn is_retriable(self) -> bool {
                match self {
                    $(Self::$variant => error_codes!(@retriable $retriable),)*
                }
            }

            /// A sentence for people, used where a response has room for a text and the sender has
            /// nothing more precise to say.
            pub fn message(self) -> &'static str {
                match self {
                    $(Self::$variant => $message,)*
                }
            }
        }
    };
}

error_codes! {
    UnknownServerError -1 "UNKNOWN_SERVER_ERROR" no "The server failed in a way it has no code for.",
    #[default]
    None 0 "NONE" no "No error.",
    OffsetOutOfRange 1 "OFFSET_OUT_OF_RANGE" no "The offset lies outside of the partition's log.",
    CorruptMessage 2 "CORRUPT_MESSAGE" yes "A record batch is damaged: checksum, size or layout.",
    UnknownTopicOrPartition 3 "UNKNOWN_TOPIC_OR_PARTITION" yes "No such topic or partition here.",
    InvalidFetchSize 4 "INVALID_FETCH_SIZE" no "The fetch size makes no sense.",
    LeaderNotAvailable 5 "LEADER_NOT_AVAILABLE" yes "The partition has no leader at the moment.",
    NotLeaderOrFollower 6 "NOT_LEADER_OR_FOLLOWER" yes "This broker is not the replica to ask.",
    RequestTimedOut 7 "REQUEST_TIMED_OUT" yes "The request was not finished in its time.",
    BrokerNotAvailable 8 "BROKER_NOT_AVAILABLE" no "The broker is not available.",
    ReplicaNotAvailable 9 "REPLICA_NOT_AVAILABLE" yes "The replica is not available here.",
    MessageTooLarge 10 "MESSAGE_TOO_LARGE" no "A record batch is larger than the topic allows.",
    StaleControllerEpoch 11 "STALE_CONTROLLER_EPOCH" no "The sender is an earlier controller.",
    OffsetMetadataTooLarge 12 "OFFSET_METADATA_TOO_LARGE" no "The committed metadata is too long.",
    NetworkException 13 "NETWORK_EXCEPTION" yes "The connection ended before the response.",
    CoordinatorLoadInProgress 14 "COORDINATOR_LOAD_IN_PROGRESS" yes "The coordinator still loads its state.",
    CoordinatorNotAvailable 15 "COORDINATOR_NOT_AVAILABLE" yes "There is no coordinator at the moment.",
    NotCoordinator 16 "NOT_COORDINATOR" yes "Another broker coordinates this group or transaction.",
    InvalidTopicException 17 "INVALID_TOPIC_EXCEPTION" no "The topic's name is not allowed here.",
    RecordListTooLarge 18 "RECORD_LIST_TOO_LARGE" no "The records do not fit into one segment.",
    NotEnoughReplicas 19 "NOT_ENOUGH_REPLICAS" yes "Too few replicas are in sync; nothing was written.",
    NotEnoughReplicasAfterAppend 20 "NOT_ENOUGH_REPLICAS_AFTER_APPEND" yes "Written, but too few replicas are in sync.",
    InvalidRequiredAcks 21 "INVALID_REQUIRED_ACKS" no "acks must be -1, 0 or 1.",
    IllegalGeneration 22 "ILLEGAL_GENERATION" no "The member speaks of another generation of its group.",
    InconsistentGroupProtocol 23 "INCONSISTENT_GROUP_PROTOCOL" no "The member shares no protocol with its group.",
    InvalidGroupId 24 "INVALID_GROUP_ID" no "The group id is not allowed.",
    UnknownMemberId 25 "UNKNOWN_MEMBER_ID" no "The group has no such member.",
    InvalidSessionTimeout 26 "INVALID_SESSION_TIMEOUT" no "The session timeout is outside of the broker's bounds.",
    RebalanceInProgress 27 "REBALANCE_IN_PROGRESS" no "The group rebalances: join again.",
    InvalidCommitOffsetSize 28 "INVALID_COMMIT_OFFSET_SIZE" no "The offset commit is too large.",
    TopicAuthorizationFailed 29 "TOPIC_AUTHORIZATION_FAILED" no "Not authorized for this topic.",
    GroupAuthorizationFailed 30 "GROUP_AUTHORIZATION_FAILED" no "Not authorized for this group.",
    ClusterAuthorizationFailed 31 "CLUSTER_AUTHORIZATION_FAILED" no "Not authorized for the cluster.",
    InvalidTimestamp 32 "INVALID_TIMESTAMP" no "A record's timestamp is outside of the allowed span.",
    UnsupportedSaslMechanism 33 "UNSUPPORTED_SASL_MECHANISM" no "The SASL mechanism is not offered.",
    IllegalSaslState 34 "ILLEGAL_SASL_STATE" no "The request does not fit the state of the authentication.",
    UnsupportedVersion 35 "UNSUPPORTED_VERSION" no "This version of the request is not supported.",
    TopicAlreadyExists 36 "TOPIC_ALREADY_EXISTS" no "A topic of this name exists.",
    InvalidPartitions 37 "INVALID_PARTITIONS" no "The number of partitions is not allowed.",
    InvalidReplicationFactor 38 "INVALID_REPLICATION_FACTOR" no "The replication factor is below 1 or above the number of brokers.",
    InvalidReplicaAssignment 39 "INVALID_REPLICA_ASSIGNMENT" no "The assignment of replicas is not allowed.",
    InvalidConfig 40 "INVALID_CONFIG" no "A configuration key or value is not allowed.",
    NotController 41 "NOT_CONTROLLER" yes "Another node is the controller.",
    InvalidRequest 42 "INVALID_REQUEST" no "The request contradicts itself or the protocol.",
    UnsupportedForMessageFormat 43 "UNSUPPORTED_FOR_MESSAGE_FORMAT" no "The record format cannot express the request.",
    PolicyViolation 44 "POLICY_VIOLATION" no "A policy of this cluster forbids the request.",
    OutOfOrderSequenceNumber 45 "OUT_OF_ORDER_SEQUENCE_NUMBER" no "The producer's sequence has a gap.",
    DuplicateSequenceNumber 46 "DUPLICATE_SEQUENCE_NUMBER" no "The producer's sequence number was used before.",
    InvalidProducerEpoch 47 "INVALID_PRODUCER_EPOCH" no "The producer's epoch is not current.",
    InvalidTxnState 48 "INVALID_TXN_STATE" no "The transaction's state does not allow the request.",
    InvalidProducerIdMapping 49 "INVALID_PRODUCER_ID_MAPPING" no "The producer id does not belong to the transactional id.",
    InvalidTransactionTimeout 50 "INVALID_TRANSACTION_TIMEOUT" no "The transaction timeout is above the broker's limit.",
    ConcurrentTransactions 51 "CONCURRENT_TRANSACTIONS" yes "An earlier operation of the transactional id is not finished.",
    TransactionCoordinatorFenced 52 "TRANSACTION_COORDINATOR_FENCED" no "The sender is an earlier transaction coordinator.",
    TransactionalIdAuthorizationFailed 53 "TRANSACTIONAL_ID_AUTHORIZATION_FAILED" no "Not authorized for this transactional id.",
    SecurityDisabled 54 "SECURITY_DISABLED" no "No security is configured.",
    OperationNotAttempted 55 "OPERATION_NOT_ATTEMPTED" no "Not tried, as another operation of the request failed.",
    KafkaStorageError 56 "KAFKA_STORAGE_ERROR" yes "The disk that holds the log has failed or is full.",
    LogDirNotFound 57 "LOG_DIR_NOT_FOUND" no "The broker has no such log directory.",
    SaslAuthenticationFailed 58 "SASL_AUTHENTICATION_FAILED" no "The authentication failed.",
    UnknownProducerId 59 "UNKNOWN_PRODUCER_ID" no "Nothing is known of this producer id any more.",
    ReassignmentInProgress 60 "REASSIGNMENT_IN_PROGRESS" no "A reassignment of the partition is running.",
    DelegationTokenAuthDisabled 61 "DELEGATION_TOKEN_AUTH_DISABLED" no "Delegation tokens are switched off.",
    DelegationTokenNotFound 62 "DELEGATION_TOKEN_NOT_FOUND" no "No such delegation token.",
    DelegationTokenOwnerMismatch 63 "DELEGATION_TOKEN_OWNER_MISMATCH" no "The principal neither owns nor may renew the token.",
    DelegationTokenRequestNotAllowed 64 "DELEGATION_TOKEN_REQUEST_NOT_ALLOWED" no "Tokens cannot be requested over this channel.",
    DelegationTokenAuthorizationFailed 65 "DELEGATION_TOKEN_AUTHORIZATION_FAILED" no "Not authorized for this delegation token.",
    DelegationTokenExpired 66 "DELEGATION_TOKEN_EXPIRED" no "The delegation token has expired.",
    InvalidPrincipalType 67 "INVALID_PRINCIPAL_TYPE" no "The type of the principal is not supported.",
    NonEmptyGroup 68 "NON_EMPTY_GROUP" no "The group has members.",
    GroupIdNotFound 69 "GROUP_ID_NOT_FOUND" no "No such group.",
    FetchSessionIdNotFound 70 "FETCH_SESSION_ID_NOT_FOUND" yes "No such fetch session: start a new one.",
    InvalidFetchSessionEpoch 71 "INVALID_FETCH_SESSION_EPOCH" yes "The fetch session is at another epoch.",
    ListenerNotFound 72 "LISTENER_NOT_FOUND" yes "The leader has no listener of the name used here.",
    TopicDeletionDisabled 73 "TOPIC_DELETION_DISABLED" no "The deletion of topics is switched off.",
    FencedLeaderEpoch 74 "FENCED_LEADER_EPOCH" yes "The leader epoch of the request is outdated.",
    UnknownLeaderEpoch 75 "UNKNOWN_LEADER_EPOCH" yes "The leader epoch of the request is ahead of this broker.",
    UnsupportedCompressionType 76 "UNSUPPORTED_COMPRESSION_TYPE" no "This request version cannot carry the codec.",
    StaleBrokerEpoch 77 "STALE_BROKER_EPOCH" no "The broker has registered anew since.",
    OffsetNotAvailable 78 "OFFSET_NOT_AVAILABLE" yes "The new leader cannot vouch for an offset yet.",
    MemberIdRequired 79 "MEMBER_ID_REQUIRED" no "Join again with the member id of this response.",
    PreferredLeaderNotAvailable 80 "PREFERRED_LEADER_NOT_AVAILABLE" yes "The preferred leader is not available.",
    GroupMaxSizeReached 81 "GROUP_MAX_SIZE_REACHED" no "The group is full.",
    FencedInstanceId 82 "FENCED_INSTANCE_ID" no "Another member has taken over this static instance id.",
    EligibleLeadersNotAvailable 83 "ELIGIBLE_LEADERS_NOT_AVAILABLE" yes "No replica may become leader.",
    ElectionNotNeeded 84 "ELECTION_NOT_NEEDED" yes "The partition needs no election.",
    NoReassignmentInProgress 85 "NO_REASSIGNMENT_IN_PROGRESS" no "The partition is not being reassigned.",
    GroupSubscribedToTopic 86 "GROUP_SUBSCRIBED_TO_TOPIC" no "The group reads the topic, so its offsets stay.",
    InvalidRecord 87 "INVALID_RECORD" no "A record breaks a rule of the topic or of the format.",
    UnstableOffsetCommit 88 "UNSTABLE_OFFSET_COMMIT" yes "A transaction's offsets are not decided yet.",
    ThrottlingQuotaExceeded 89 "THROTTLING_QUOTA_EXCEEDED" yes "A quota is exhausted.",
    ProducerFenced 90 "PRODUCER_FENCED" no "A newer producer has taken over the transactional id.",
    ResourceNotFound 91 "RESOURCE_NOT_FOUND" no "The request names something that does not exist.",
    DuplicateResource 92 "DUPLICATE_RESOURCE" no "The request names the same thing twice.",
    UnacceptableCredential 93 "UNACCEPTABLE_CREDENTIAL" no "The credential is not good enough.",
    InconsistentVoterSet 94 "INCONSISTENT_VOTER_SET" no "Sender or receiver is not among the voters.",
    InvalidUpdateVersion 95 "INVALID_UPDATE_VERSION" no "The version of the update is not allowed.",
    FeatureUpdateFailed 96 "FEATURE_UPDATE_FAILED" no "The features could not be updated.",
    PrincipalDeserializationFailure 97 "PRINCIPAL_DESERIALIZATION_FAILURE" no "The forwarded principal cannot be read.",
    SnapshotNotFound 98 "SNAPSHOT_NOT_FOUND" no "No such snapshot.",
    PositionOutOfRange 99 "POSITION_OUT_OF_RANGE" no "The position lies outside of the snapshot.",
    UnknownTopicId 100 "UNKNOWN_TOPIC_ID" yes "No topic with this id here.",
    DuplicateBrokerRegistration 101 "DUPLICATE_BROKER_REGISTRATION" no "Another broker is registered with this id.",
    BrokerIdNotRegistered 102 "BROKER_ID_NOT_REGISTERED" no "No broker is registered with this id.",
    InconsistentTopicId 103 "INCONSISTENT_TOPIC_ID" yes "The log belongs to another topic id.",
    InconsistentClusterId 104 "INCONSISTENT_CLUSTER_ID" no "The request is meant for another cluster.",
    TransactionalIdNotFound 105 "TRANSACTIONAL_ID_NOT_FOUND" no "No such transactional id.",
    FetchSessionTopicIdError 106 "FETCH_SESSION_TOPIC_ID_ERROR" yes "The fetch session mixes topic names and topic ids.",
    IneligibleReplica 107 "INELIGIBLE_REPLICA" no "A replica of the new ISR may not be in it.",
    NewLeaderElected 108 "NEW_LEADER_ELECTED" no "The change was made and gave the partition a new leader.",
    OffsetMovedToTieredStorage 109 "OFFSET_MOVED_TO_TIERED_STORAGE" no "The offset is in tiered storage only.",
    FencedMemberEpoch 110 "FENCED_MEMBER_EPOCH" no "The member is fenced: give up all partitions and join again.",
    UnreleasedInstanceId 111 "UNRELEASED_INSTANCE_ID" no "The static instance id is still in use.",
    UnsupportedAssignor 112 "UNSUPPORTED_ASSIGNOR" no "The group does not support the assignor.",
    StaleMemberEpoch 113 "STALE_MEMBER_EPOCH" no "The member has to learn its new epoch first.",
    MismatchedEndpointType 114 "MISMATCHED_ENDPOINT_TYPE" no "The request was sent to the other type of endpoint.",
    UnsupportedEndpointType 115 "UNSUPPORTED_ENDPOINT_TYPE" no "The type of endpoint is not supported.",
    UnknownControllerId 116 "UNKNOWN_CONTROLLER_ID" no "No such controller.",
    UnknownSubscriptionId 117 "UNKNOWN_SUBSCRIPTION_ID" no "The telemetry subscription is not current.",
    TelemetryTooLarge 118 "TELEMETRY_TOO_LARGE" no "The telemetry is larger than the broker takes.",
    InvalidRegistration 119 "INVALID_REGISTRATION" no "The controller refuses the broker's registration.",
    TransactionAbortable 120 "TRANSACTION_ABORTABLE" no "The transaction has to be aborted; its id can go on.",
    InvalidRecordState 121 "INVALID_RECORD_STATE" no "The record's state does not allow the acknowledgement.",
    ShareSessionNotFound 122 "SHARE_SESSION_NOT_FOUND" yes "No such share session.",
    InvalidShareSessionEpoch 123 "INVALID_SHARE_SESSION_EPOCH" yes "The share session is at another epoch.",
    FencedStateEpoch 124 "FENCED_STATE_EPOCH" no "The state epoch is not current.",
    InvalidVoterKey 125 "INVALID_VOTER_KEY" no "The voter key belongs to another replica.",
    DuplicateVoter 126 "DUPLICATE_VOTER" no "The node is a voter already.",
    VoterNotFound 127 "VOTER_NOT_FOUND" no "The node is not a voter.",
    InvalidRegularExpression 128 "INVALID_REGULAR_EXPRESSION" no "The regular expression cannot be read.",
    RebootstrapRequired 129 "REBOOTSTRAP_REQUIRED" no "The client knows an outdated cluster: bootstrap anew.",
    StreamsInvalidTopology 130 "STREAMS_INVALID_TOPOLOGY" no "The topology is not valid.",
    StreamsInvalidTopologyEpoch 131 "STREAMS_INVALID_TOPOLOGY_EPOCH" no "The topology's epoch is not valid.",
    StreamsTopologyFenced 132 "STREAMS_TOPOLOGY_FENCED" no "The topology's epoch is outdated.",
    ShareSessionLimitReached 133 "SHARE_SESSION_LIMIT_REACHED" yes "There are too many share sessions.",
    GroupDeletionFailed 134 "GROUP_DELETION_FAILED" no "The group was not deleted; its result says why.",
    StreamsTopologyDescriptionUpdateFailed 135 "STREAMS_TOPOLOGY_DESCRIPTION_UPDATE_FAILED" no "The topology's description was not updated.",
    ControllerIdNotRegistered 136 "CONTROLLER_ID_NOT_REGISTERED" no "No controller is registered with this id.",
}

impl ErrorCode {
    /// The code of a response field; one that this table lacks is `UnknownServerError`.
    pub fn from_code(code: i16) -> Self {
        Self::known(code).unwrap_or(Self::UnknownServerError)
    }

    /// The `int16` of the protocol.
    pub fn code(self) -> i16 {
        self as i16
    }

    /// `false` for `None` only.
    pub fn is_error(self) -> bool {
        self != Self::None
    }
}

impl std::fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_dense_ascending_and_read_back() {
        let codes: Vec<i16> = ErrorCode::ALL.iter().map(|e| e.code()).collect();
        assert_eq!(codes, (-1..=136).collect::<Vec<_>>());
        for error in ErrorCode::ALL {
            assert_eq!(ErrorCode::from_code(error.code()), *error);
        }
    }

    #[test]
    fn a_code_of_the_future_stays_an_error() {
        assert_eq!(ErrorCode::from_code(137), ErrorCode::UnknownServerError);
        assert_eq!(ErrorCode::from_code(-2), ErrorCode::UnknownServerError);
    }
}
