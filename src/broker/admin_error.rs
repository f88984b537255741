//! The controller's refusals in the protocol's words: every variant is named, so a new one does not
//! compile until it has a code.

use crate::controller::command::{
    AllocateError, AlterConfigsError, AlterPartitionError, AssignReplicaError, ChangeBrokerError,
    CreatePartitionsError, CreateTopicError, DeleteTopicError, ElectionError, RegisterError,
};
use crate::wire::error_code::ErrorCode;

impl From<&CreateTopicError> for ErrorCode {
    fn from(error: &CreateTopicError) -> Self {
        match error {
            CreateTopicError::Duplicate
            | CreateTopicError::Reserved
            | CreateTopicError::NumberWithAssignment { .. } => Self::InvalidRequest,
            CreateTopicError::Name(_) | CreateTopicError::Collision { .. } => {
                Self::InvalidTopicException
            }
            CreateTopicError::Exists { .. } => Self::TopicAlreadyExists,
            CreateTopicError::NullConfig { .. } | CreateTopicError::Config(_) => {
                Self::InvalidConfig
            }
            CreateTopicError::Assignment(_) => Self::InvalidReplicaAssignment,
            CreateTopicError::Partitions => Self::InvalidPartitions,
            CreateTopicError::Placement(_) => Self::InvalidReplicationFactor,
            CreateTopicError::TooLarge(_) => Self::PolicyViolation,
        }
    }
}

impl DeleteTopicErrorCode for DeleteTopicError {
    fn code(&self, version: i16) -> ErrorCode {
        match self {
            Self::Disabled if version < 3 => ErrorCode::InvalidRequest,
            Self::Disabled => ErrorCode::TopicDeletionDisabled,
            Self::Duplicate => ErrorCode::InvalidRequest,
            Self::UnknownName => ErrorCode::UnknownTopicOrPartition,
            Self::UnknownId => ErrorCode::UnknownTopicId,
        }
    }
}

/// The code of a refused deletion depends on what the client knows.
pub(crate) trait DeleteTopicErrorCode {
    fn code(&self, version: i16) -> ErrorCode;
}

impl From<&CreatePartitionsError> for ErrorCode {
    fn from(error: &CreatePartitionsError) -> Self {
        match error {
            CreatePartitionsError::Duplicate | CreatePartitionsError::Internal { .. } => {
                Self::InvalidRequest
            }
            CreatePartitionsError::UnknownTopic => Self::UnknownTopicOrPartition,
            CreatePartitionsError::Unchanged { .. } | CreatePartitionsError::Fewer { .. } => {
                Self::InvalidPartitions
            }
            CreatePartitionsError::Assignment(_) => Self::InvalidReplicaAssignment,
            CreatePartitionsError::Placement(_) => Self::InvalidReplicationFactor,
            CreatePartitionsError::TooLarge(_) => Self::PolicyViolation,
        }
    }
}

impl From<&ElectionError> for ErrorCode {
    fn from(error: &ElectionError) -> Self {
        match error {
            ElectionError::UnknownPartition => Self::UnknownTopicOrPartition,
            ElectionError::NotNeeded => Self::ElectionNotNeeded,
            ElectionError::PreferredNotAvailable => Self::PreferredLeaderNotAvailable,
            ElectionError::NobodyAvailable => Self::EligibleLeadersNotAvailable,
            ElectionError::TooLarge(_) => Self::PolicyViolation,
        }
    }
}

impl From<&AlterConfigsError> for ErrorCode {
    fn from(error: &AlterConfigsError) -> Self {
        match error {
            AlterConfigsError::DuplicateResource
            | AlterConfigsError::DuplicateKey { .. }
            | AlterConfigsError::NullValue { .. }
            | AlterConfigsError::BrokerName { .. }
            | AlterConfigsError::UnsupportedResource { .. }
            | AlterConfigsError::ReadOnly { .. } => Self::InvalidRequest,
            AlterConfigsError::UnknownTopic { .. } => Self::UnknownTopicOrPartition,
            AlterConfigsError::Name(_) => Self::InvalidTopicException,
            AlterConfigsError::UnknownBroker { .. } => Self::BrokerIdNotRegistered,
            AlterConfigsError::NotAList { .. }
            | AlterConfigsError::Topic(_)
            | AlterConfigsError::UnknownBrokerKey { .. }
            | AlterConfigsError::NotPerBroker { .. }
            | AlterConfigsError::Value(_)
            | AlterConfigsError::ValueTooLong { .. } => Self::InvalidConfig,
            AlterConfigsError::TooLarge(_) => Self::PolicyViolation,
        }
    }
}

impl From<&ChangeBrokerError> for ErrorCode {
    fn from(error: &ChangeBrokerError) -> Self {
        match error {
            // An epoch without a registration is of one that is gone.
            ChangeBrokerError::NotRegistered { .. } | ChangeBrokerError::StaleEpoch { .. } => {
                Self::StaleBrokerEpoch
            }
        }
    }
}

impl From<&RegisterError> for ErrorCode {
    fn from(error: &RegisterError) -> Self {
        match error {
            RegisterError::Duplicate { .. } => Self::DuplicateBrokerRegistration,
            RegisterError::Directories | RegisterError::DirectoryOwned { .. } => {
                Self::InvalidRegistration
            }
            RegisterError::Feature { .. } => Self::UnsupportedVersion,
            RegisterError::NoEpochLeft => Self::UnknownServerError,
        }
    }
}

impl From<&AlterPartitionError> for ErrorCode {
    fn from(error: &AlterPartitionError) -> Self {
        match error {
            AlterPartitionError::UnknownTopic => Self::UnknownTopicId,
            AlterPartitionError::UnknownPartition => Self::UnknownTopicOrPartition,
            AlterPartitionError::NotController => Self::NotController,
            AlterPartitionError::FencedLeaderEpoch { .. } => Self::FencedLeaderEpoch,
            AlterPartitionError::InvalidUpdateVersion { .. } => Self::InvalidUpdateVersion,
            AlterPartitionError::NotLeader
            | AlterPartitionError::NotReplicas
            | AlterPartitionError::WithoutLeader
            | AlterPartitionError::RecoveryState
            | AlterPartitionError::Duplicate => Self::InvalidRequest,
            AlterPartitionError::IneligibleReplica { .. } => Self::IneligibleReplica,
            AlterPartitionError::NotAttempted => Self::OperationNotAttempted,
            AlterPartitionError::NewLeaderElected => Self::NewLeaderElected,
        }
    }
}

impl From<&AssignReplicaError> for ErrorCode {
    fn from(error: &AssignReplicaError) -> Self {
        match error {
            AssignReplicaError::UnknownTopic => Self::UnknownTopicId,
            AssignReplicaError::UnknownPartition => Self::UnknownTopicOrPartition,
            AssignReplicaError::NotReplica => Self::NotLeaderOrFollower,
            AssignReplicaError::NotADirectory | AssignReplicaError::Duplicate => {
                Self::InvalidRequest
            }
            AssignReplicaError::NotAttempted => Self::OperationNotAttempted,
        }
    }
}

impl From<&AllocateError> for ErrorCode {
    fn from(error: &AllocateError) -> Self {
        match error {
            AllocateError::Broker(error) => error.into(),
            AllocateError::NoneLeft => Self::UnknownServerError,
        }
    }
}
