//! The calling side of the quorum's network: openraft's calls over the user's [`Transport`].

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use openraft::error::{
    InstallSnapshotError, NetworkError, RPCError, RaftError, RemoteError, SnapshotMismatch,
    Unreachable,
};
use openraft::network::{Backoff, RPCOption};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, InstallSnapshotResponse,
    VoteRequest, VoteResponse,
};
use openraft::{RaftNetwork, RaftNetworkFactory, SnapshotSegmentId};
use tokio::time::Instant;

use crate::engine::Types;
use crate::ports::{CallClass, Transport, TransportError};
use crate::rpc::{Address, Answer, AppendAnswer, Call, Identity, Refusal, Request};
use crate::types::{ClusterId, Member, NodeId, Peer};

/// After a call that found nobody: well below an election timeout, as no heartbeat goes out
/// meanwhile.
const UNREACHABLE_BACKOFF: Duration = Duration::from_millis(20);
/// For whatever the transport does in the background; openraft waits less.
const SNAPSHOT_TIMEOUT: Duration = Duration::from_secs(10);

type CallError<E> = RPCError<NodeId, Member, RaftError<NodeId, E>>;

/// Makes connections to peers.
pub(crate) struct Network {
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) cluster: ClusterId,
    pub(crate) local: Identity,
    pub(crate) contacts: Arc<Contacts>,
}

/// When each peer last answered.
#[derive(Debug, Default)]
pub(crate) struct Contacts(Mutex<BTreeMap<NodeId, Instant>>);

impl Contacts {
    pub(crate) fn last(&self, node: NodeId) -> Option<Instant> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&node)
            .copied()
    }

    fn note(&self, node: NodeId) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(node, Instant::now());
    }
}

impl RaftNetworkFactory<Types> for Network {
    type Network = Connection;

    async fn new_client(&mut self, target: NodeId, node: &Member) -> Connection {
        Connection {
            transport: Arc::clone(&self.transport),
            peer: Peer {
                id: target,
                member: node.clone(),
            },
            address: Address {
                cluster: self.cluster.0,
                from: self.local,
                to: Identity {
                    node: target.0,
                    directory: node.directory.0,
                },
            },
            contacts: Arc::clone(&self.contacts),
        }
    }
}

/// Calls one peer.
pub(crate) struct Connection {
    transport: Arc<dyn Transport>,
    peer: Peer,
    address: Address,
    contacts: Arc<Contacts>,
}

#[derive(Debug, thiserror::Error)]
enum AnswerError {
    #[error("the peer refused the call: {0}")]
    Refused(Refusal),
    #[error("the answer cannot be read")]
    Unreadable,
    #[error("the answer is from another node or directory")]
    OtherSender,
    #[error("the answer is to another call")]
    OtherAnswer,
}

impl Connection {
    async fn call<E: std::error::Error>(
        &self,
        class: CallClass,
        call: Call,
        timeout: Duration,
    ) -> Result<Answer, CallError<E>> {
        let request = crate::rpc::encode_request(&Request {
            address: self.address,
            call,
        });
        let called = self
            .transport
            .call(&self.peer, class, request, timeout)
            .await;
        let bytes = called.map_err(|error| match error {
            TransportError::Unreachable(_) => RPCError::Unreachable(Unreachable::new(&error)),
            TransportError::Broken(_) => RPCError::Network(NetworkError::new(&error)),
        })?;
        let answer = self.check(&bytes);
        // A refusal lasts: calling again at once would only keep both sides busy.
        answer.map_err(|error| RPCError::Unreachable(Unreachable::new(&error)))
    }

    fn check(&self, bytes: &[u8]) -> Result<Answer, AnswerError> {
        let response = crate::rpc::decode_response(bytes).map_err(|_| AnswerError::Unreadable)?;
        if let Answer::Refused(refusal) = response.answer {
            return Err(AnswerError::Refused(refusal));
        }
        let Address { cluster, from, to } = response.address;
        if (cluster, from, to) != (self.address.cluster, self.address.to, self.address.from) {
            return Err(AnswerError::OtherSender);
        }
        self.contacts.note(self.peer.id);
        Ok(response.answer)
    }
}

fn other_answer<E: std::error::Error>() -> CallError<E> {
    RPCError::Unreachable(Unreachable::new(&AnswerError::OtherAnswer))
}

impl RaftNetwork<Types> for Connection {
    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<Types>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<NodeId>, CallError<openraft::error::Infallible>> {
        let call = Call::Append {
            vote: (&rpc.vote).into(),
            previous: rpc.prev_log_id.map(Into::into),
            entries: rpc.entries.iter().map(Into::into).collect(),
            committed: rpc.leader_commit.map(Into::into),
        };
        match self
            .call(CallClass::Consensus, call, option.hard_ttl())
            .await?
        {
            Answer::Append(AppendAnswer::Success) => Ok(AppendEntriesResponse::Success),
            Answer::Append(AppendAnswer::PartialSuccess(matching)) => Ok(
                AppendEntriesResponse::PartialSuccess(matching.map(Into::into)),
            ),
            Answer::Append(AppendAnswer::Conflict) => Ok(AppendEntriesResponse::Conflict),
            Answer::Append(AppendAnswer::HigherVote(vote)) => {
                Ok(AppendEntriesResponse::HigherVote(vote.into()))
            }
            _ => Err(other_answer()),
        }
    }

    async fn install_snapshot(
        &mut self,
        rpc: InstallSnapshotRequest<Types>,
        option: RPCOption,
    ) -> Result<InstallSnapshotResponse<NodeId>, CallError<InstallSnapshotError>> {
        let call = Call::Snapshot {
            vote: (&rpc.vote).into(),
            meta: (&rpc.meta).into(),
            offset: rpc.offset,
            data: rpc.data,
            is_last: rpc.done,
        };
        let timeout = option.hard_ttl().max(SNAPSHOT_TIMEOUT);
        match self.call(CallClass::Snapshot, call, timeout).await? {
            Answer::Snapshot { vote } => Ok(InstallSnapshotResponse { vote: vote.into() }),
            Answer::SnapshotMismatch { expected, found } => {
                let segment = |(id, offset)| SnapshotSegmentId { id, offset };
                let mismatch = SnapshotMismatch {
                    expect: segment(expected),
                    got: segment(found),
                };
                let error = RaftError::APIError(InstallSnapshotError::SnapshotMismatch(mismatch));
                Err(RPCError::RemoteError(RemoteError::new(self.peer.id, error)))
            }
            _ => Err(other_answer()),
        }
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<NodeId>,
        option: RPCOption,
    ) -> Result<VoteResponse<NodeId>, CallError<openraft::error::Infallible>> {
        let call = Call::Vote {
            vote: (&rpc.vote).into(),
            last: rpc.last_log_id.map(Into::into),
        };
        match self
            .call(CallClass::Consensus, call, option.hard_ttl())
            .await?
        {
            Answer::Vote {
                vote,
                is_granted,
                last,
            } => Ok(VoteResponse {
                vote: vote.into(),
                vote_granted: is_granted,
                last_log_id: last.map(Into::into),
            }),
            _ => Err(other_answer()),
        }
    }

    fn backoff(&self) -> Backoff {
        Backoff::new(std::iter::repeat(UNREACHABLE_BACKOFF))
    }
}
