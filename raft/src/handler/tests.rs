//! What a node answers to calls that no honest peer makes.

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::archive::{
    EntryRecord, LogIdRecord, MemberRecord, MembershipRecord, PayloadRecord, SnapshotRecord,
    VoteRecord,
};
use crate::config::RaftConfig;
use crate::fs::memory::Memory;
use crate::ports::{CallClass, CallFuture, StateMachine, Transport, TransportError};
use crate::types::{ClusterId, LogIndex, Peer};

struct Nothing;

impl StateMachine for Nothing {
    fn apply(&mut self, _: LogIndex, _: &[u8]) -> Vec<u8> {
        Vec::new()
    }

    fn snapshot(&self) -> Vec<u8> {
        Vec::new()
    }

    fn restore(&mut self, _: LogIndex, _: &[u8]) -> Result<(), Box<dyn Error + Send + Sync>> {
        Ok(())
    }
}

struct Nobody;

impl Transport for Nobody {
    fn call<'a>(&'a self, _: &'a Peer, _: CallClass, _: Vec<u8>, _: Duration) -> CallFuture<'a> {
        Box::pin(async { Err(TransportError::Unreachable("there is nobody else".into())) })
    }
}

const LEADER: VoteRecord = VoteRecord {
    term: 5,
    voted_for: Some(2),
    is_committed: true,
};

async fn start() -> Raft {
    let config = RaftConfig::new(ClusterId([7; 16]), NodeId(1), DirectoryId([1; 16]));
    let (fs, dir) = (Arc::new(Memory::default()), PathBuf::from("/q"));
    let started = Raft::start(config, fs, dir, Arc::new(Nobody), Nothing).await;
    started.unwrap()
}

async fn call(raft: &Raft, call: Call) -> Answer {
    let identity = |node: u8| Identity {
        node: node.into(),
        directory: [node; 16],
    };
    let address = Address {
        cluster: [7; 16],
        from: identity(2),
        to: identity(1),
    };
    let request = rpc::encode_request(&rpc::Request { address, call });
    let response = rpc::decode_response(&raft.handle(&request).await);
    response.unwrap().answer
}

async fn append(raft: &Raft, ids: &[(u64, u64)]) -> Answer {
    let entries = ids.iter().map(|(term, index)| EntryRecord {
        id: LogIdRecord {
            term: *term,
            index: *index,
        },
        payload: PayloadRecord::Blank,
    });
    let append = Call::Append {
        vote: LEADER,
        previous: None,
        entries: entries.collect(),
        committed: None,
    };
    call(raft, append).await
}

/// The log refused the hole, and openraft took that for a failed disk: one call ended the node.
#[tokio::test]
async fn an_append_with_a_hole_or_a_falling_term_is_refused_and_changes_nothing() {
    let raft = start().await;
    for ids in [[(1, 0), (1, 2)], [(2, 0), (1, 1)], [(5, 0), (6, 1)]] {
        let answer = append(&raft, &ids).await;
        assert_eq!(answer, Answer::Refused(Refusal::Malformed), "{ids:?}");
    }
    assert_eq!(raft.metrics().log_end, LogIndex(0));
    let answer = append(&raft, &[(1, 0), (5, 1)]).await;
    assert_eq!(answer, Answer::Append(AppendAnswer::Success));
    assert_eq!(raft.metrics().log_end, LogIndex(2));
}

async fn piece(raft: &Raft, offset: u64, is_last: bool) -> Answer {
    let meta = SnapshotRecord {
        last: Some(LogIdRecord { term: 4, index: 9 }),
        membership_at: None,
        membership: MembershipRecord {
            voters: vec![vec![2]],
            members: vec![MemberRecord {
                node: 2,
                directory: [2; 16],
                address: String::new(),
            }],
        },
        id: "4-9".to_owned(),
    };
    let data = vec![1; 10];
    let snapshot = Call::Snapshot {
        vote: LEADER,
        meta,
        offset,
        data,
        is_last,
    };
    call(raft, snapshot).await
}

/// W1: openraft seeks to the offset of a piece in a vector, which grew up to there.
#[tokio::test]
async fn a_piece_of_a_snapshot_beyond_what_was_received_is_refused() {
    let raft = start().await;
    let mismatch = |received, offset| Answer::SnapshotMismatch {
        expected: ("4-9".to_owned(), received),
        found: ("4-9".to_owned(), offset),
    };
    // Nothing is taken from a leader of an earlier term, so the node must know this one.
    append(&raft, &[]).await;
    let taken = Answer::Snapshot { vote: LEADER };
    assert_eq!(piece(&raft, 0, false).await, taken);
    assert_eq!(piece(&raft, 1 << 40, false).await, mismatch(10, 1 << 40));
    assert_eq!(piece(&raft, 11, true).await, mismatch(10, 11));
    assert_eq!(piece(&raft, 10, true).await, taken);
    assert_eq!(*raft.applied().borrow(), Some(LogIndex(9)));
    // The transfer is over.
    assert_eq!(piece(&raft, 20, false).await, mismatch(0, 20));
}
