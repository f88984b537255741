//! openraft with its type parameters filled in. No other file names them.
//!
//! The runtime is tokio's, except for the source of election jitter: a seed makes it repeatable.

use std::cell::Cell;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use openraft::{AnyError, AsyncRuntime, OptionalSend, StorageIOError, TokioRuntime};

use crate::types::{Member, NodeId};

openraft::declare_raft_types!(
    /// The types of this crate's quorum.
    pub(crate) Types:
        D = Command,
        R = Response,
        NodeId = NodeId,
        Node = Member,
        Entry = openraft::Entry<Types>,
        SnapshotData = std::io::Cursor<Vec<u8>>,
        AsyncRuntime = Runtime,
        Responder = openraft::impls::OneshotResponder<Types>,
);

pub(crate) type Engine = openraft::Raft<Types>;
pub(crate) type Entry = openraft::Entry<Types>;
pub(crate) type LogId = openraft::LogId<NodeId>;
pub(crate) type Vote = openraft::Vote<NodeId>;
pub(crate) type Membership = openraft::Membership<NodeId, Member>;
pub(crate) type StoredMembership = openraft::StoredMembership<NodeId, Member>;
pub(crate) type SnapshotMeta = openraft::SnapshotMeta<NodeId, Member>;
pub(crate) type StorageError = openraft::StorageError<NodeId>;
pub(crate) type LogFlushed = openraft::storage::LogFlushed<Types>;

/// What a proposer hands in and the state machine gets.
#[derive(Clone, Default)]
pub(crate) struct Command {
    pub(crate) bytes: Bytes,
    /// Set when the log took the command. Until then a refusal is certain; after that its outcome
    /// is open, even if the entry is cut off here: another node may hold it and lead next.
    taken: Option<Arc<AtomicBool>>,
}

impl Command {
    pub(crate) fn from_log(bytes: Bytes) -> Self {
        Self { bytes, taken: None }
    }

    pub(crate) fn proposed(bytes: Vec<u8>, taken: Arc<AtomicBool>) -> Self {
        Self {
            bytes: bytes.into(),
            taken: Some(taken),
        }
    }

    pub(crate) fn mark_taken(&self) {
        if let Some(taken) = &self.taken {
            taken.store(true, Ordering::Release);
        }
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Command({} bytes)", self.bytes.len())
    }
}

/// The state machine's answer; empty for entries that are not commands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Response(pub(crate) Vec<u8>);

pub(crate) fn write_error(error: &(impl Error + 'static)) -> StorageError {
    StorageIOError::write_logs(AnyError::new(error)).into()
}

pub(crate) fn read_error(error: &(impl Error + 'static)) -> StorageError {
    StorageIOError::read_logs(AnyError::new(error)).into()
}

pub(crate) fn snapshot_error(error: &(impl Error + 'static)) -> StorageError {
    StorageIOError::write_snapshot(None, AnyError::new(error)).into()
}

thread_local! {
    static SEED: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Makes the jitter of nodes on this thread repeatable; `None` leaves it to the system.
pub(crate) fn seed_this_thread(seed: Option<u64>) {
    SEED.set(seed);
}

/// A number in `0..=max`, from the same source as the jitter.
pub(crate) fn random_up_to(max: u64) -> u64 {
    use rand_core::RngCore;
    Jitter.next_u64() % max.saturating_add(1)
}

/// tokio, with [`Jitter`] for randomness.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Runtime;

/// This thread's seeded generator (`SplitMix64`), or the system's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Jitter;

impl rand_core::RngCore for Jitter {
    fn next_u32(&mut self) -> u32 {
        u32::try_from(self.next_u64() >> 32).unwrap_or_default()
    }

    fn next_u64(&mut self) -> u64 {
        let Some(seed) = SEED.get() else {
            return TokioRuntime::thread_rng().next_u64();
        };
        let state = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        SEED.set(Some(state));
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn fill_bytes(&mut self, dest: &mut [u8]) {
        for chunk in dest.chunks_mut(8) {
            for (to, from) in chunk.iter_mut().zip(self.next_u64().to_le_bytes()) {
                *to = from;
            }
        }
    }

    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), rand_core::Error> {
        self.fill_bytes(dest);
        Ok(())
    }
}

type Tokio = TokioRuntime;

impl AsyncRuntime for Runtime {
    type JoinError = <Tokio as AsyncRuntime>::JoinError;
    type JoinHandle<T: OptionalSend + 'static> = <Tokio as AsyncRuntime>::JoinHandle<T>;
    type Sleep = <Tokio as AsyncRuntime>::Sleep;
    type Instant = <Tokio as AsyncRuntime>::Instant;
    type TimeoutError = <Tokio as AsyncRuntime>::TimeoutError;
    type Timeout<R, T: Future<Output = R> + OptionalSend> = <Tokio as AsyncRuntime>::Timeout<R, T>;
    type ThreadLocalRng = Jitter;
    type OneshotSender<T: OptionalSend> = <Tokio as AsyncRuntime>::OneshotSender<T>;
    type OneshotReceiver<T: OptionalSend> = <Tokio as AsyncRuntime>::OneshotReceiver<T>;
    type OneshotReceiverError = <Tokio as AsyncRuntime>::OneshotReceiverError;

    fn spawn<T>(future: T) -> Self::JoinHandle<T::Output>
    where
        T: Future + OptionalSend + 'static,
        T::Output: OptionalSend + 'static,
    {
        Tokio::spawn(future)
    }

    fn sleep(duration: Duration) -> Self::Sleep {
        Tokio::sleep(duration)
    }

    fn sleep_until(deadline: Self::Instant) -> Self::Sleep {
        Tokio::sleep_until(deadline)
    }

    fn timeout<R, F: Future<Output = R> + OptionalSend>(
        duration: Duration,
        future: F,
    ) -> Self::Timeout<R, F> {
        Tokio::timeout(duration, future)
    }

    fn timeout_at<R, F: Future<Output = R> + OptionalSend>(
        deadline: Self::Instant,
        future: F,
    ) -> Self::Timeout<R, F> {
        Tokio::timeout_at(deadline, future)
    }

    fn is_panic(join_error: &Self::JoinError) -> bool {
        Tokio::is_panic(join_error)
    }

    fn thread_rng() -> Self::ThreadLocalRng {
        Jitter
    }

    fn oneshot<T>() -> (Self::OneshotSender<T>, Self::OneshotReceiver<T>)
    where
        T: OptionalSend,
    {
        Tokio::oneshot()
    }
}
