//! The log as openraft sees it: reads from memory and maps, writes through the [`Writer`].

use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use openraft::storage::RaftLogStorage;
use openraft::{EntryPayload, LogState, OptionalSend, RaftLogReader};
use tokio::sync::{mpsc, oneshot, watch};

use super::entries::{Entries, Gap, Standing};
use super::recovery;
use super::room::{Claim, Next, Room};
use super::segment;
use super::writer::{Done, Job, Op, Writer};
use crate::archive::{self, EntryRecord, LogIdRecord, VoteRecord};
use crate::config::RaftConfig;
use crate::convert;
use crate::engine::{self, Entry, LogFlushed, LogId, StorageError, Types, Vote};
use crate::error::{Fatal, StartError};
use crate::fs::{Fs, is_full};
use crate::snapshot::Coverage;
use crate::types::NodeId;

/// Bytes of entries that one call to a follower carries at most, but always one entry.
const READ_SIZE_MAX: usize = 1 << 20;
/// How long a committed index may wait for a write that carries it.
const COMMITTED_DELAY: Duration = Duration::from_millis(50);
/// openraft waits for each append and vote; only notices and truncations queue behind them.
const QUEUE_MAX: usize = 256;

/// Handle to the log. Clones are the same log.
#[derive(Clone)]
pub(crate) struct LogStore {
    shared: Arc<Shared>,
    queue: mpsc::Sender<Job>,
    is_flush_due: Arc<AtomicBool>,
    /// Set when entries may only go once a snapshot covers them.
    coverage: Option<watch::Receiver<Coverage>>,
    /// Held by the command that looks for room.
    turn: Arc<tokio::sync::Mutex<()>>,
}

pub(super) struct Shared {
    state: Mutex<State>,
    pub(super) room: Room,
    failure: watch::Sender<Option<Fatal>>,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) entries: Entries,
    vote: Option<VoteRecord>,
    committed: Option<LogIdRecord>,
    is_committed_pending: bool,
    /// Truncations that wait for what comes after them.
    truncations: Vec<Op>,
}

impl State {
    pub(super) fn start(
        &mut self,
        entries: Entries,
        vote: Option<VoteRecord>,
        committed: Option<LogIdRecord>,
    ) {
        *self = Self {
            entries,
            vote,
            committed,
            ..Self::default()
        };
    }

    fn append(&mut self, id: LogIdRecord, archive: Bytes, ops: &mut Vec<Op>) -> Result<(), Gap> {
        match self.entries.standing(id.index) {
            // A snapshot covers it: it is committed, and nobody will read it here.
            Standing::Purged => return Ok(()),
            // openraft truncates first; that a new entry replaces the old ones holds regardless.
            Standing::Held => ops.push(self.truncate(id.index)),
            Standing::Free => {}
        }
        self.entries.append(id, archive.clone())?;
        ops.push(Op::Entry { id, archive });
        Ok(())
    }

    fn truncate(&mut self, since: u64) -> Op {
        self.entries.truncate(since);
        Op::Truncate {
            since,
            last: self.entries.last(),
        }
    }

    pub(super) fn take_committed(&mut self) -> Option<LogIdRecord> {
        if std::mem::take(&mut self.is_committed_pending) {
            self.committed
        } else {
            None
        }
    }
}

impl Shared {
    pub(super) fn with_state<R>(&self, f: impl FnOnce(&mut State) -> R) -> R {
        f(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn failure(&self) -> io::Result<()> {
        match &*self.failure.borrow() {
            Some(fatal) => Err(io::Error::other(fatal.clone())),
            None => Ok(()),
        }
    }

    /// Notes whether the next segment could be made.
    pub(super) fn note_next(&self, made: &io::Result<()>) {
        match made {
            Ok(()) => {
                if self.room.set_next(Next::Ready) == Next::Full {
                    tracing::info!("the quorum log has space again");
                }
            }
            // Not an error yet: the active segment still has room. New commands are refused.
            Err(error) if is_full(error) => {
                if self.room.set_next(Next::Full) != Next::Full {
                    tracing::warn!("no space for the quorum log: new commands are refused");
                }
            }
            Err(error) => self.fail(error),
        }
    }

    pub(super) fn fail(&self, error: &io::Error) {
        self.failure.send_if_modified(|failure| {
            let is_first = failure.is_none();
            if is_first {
                tracing::error!(%error, "the quorum log failed");
                let copy = io::Error::new(error.kind(), error.to_string());
                *failure = Some(Fatal(Arc::new(copy)));
            }
            is_first
        });
    }
}

impl LogStore {
    /// Whether `dir` holds a log.
    pub(crate) fn is_begun(fs: &dyn Fs, dir: &Path) -> io::Result<bool> {
        match fs.list(dir) {
            Ok(names) => Ok(names.iter().any(|name| segment::number(name).is_some())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Opens the log in `dir` and starts its writer. Only this call reads the disk inline.
    pub(crate) fn open(
        fs: &Arc<dyn Fs>,
        dir: PathBuf,
        config: &RaftConfig,
        coverage: Option<watch::Receiver<Coverage>>,
    ) -> Result<Self, StartError> {
        let mut recovered = recovery::open(&**fs, &dir, config.segment_size)?;
        recovered.vote = recovered
            .vote
            .map(|vote| without_leadership(vote, config.node));
        let active = &recovered.active;
        let left = active.size.saturating_sub(active.position);
        let next = if recovered.has_spare {
            Next::Ready
        } else {
            Next::Unknown
        };
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            room: Room::new(left, next),
            failure: watch::Sender::new(None),
        });
        let (queue, jobs) = mpsc::channel(QUEUE_MAX);
        let path = dir.clone();
        let size = config.segment_size;
        let writer = Writer::new(Arc::clone(fs), dir, size, Arc::clone(&shared), recovered);
        writer
            .start(jobs, config.io)
            .map_err(|source| StartError::Io {
                action: "start the log's thread for",
                path,
                source,
            })?;
        Ok(Self {
            shared,
            queue,
            is_flush_due: Arc::default(),
            coverage,
            turn: Arc::default(),
        })
    }

    /// No space for more commands.
    pub(crate) fn is_full(&self) -> bool {
        self.shared.room.is_full()
    }

    /// Whether entries of `size` bytes can be taken without asking the disk for space. Waits for the
    /// disk if it is about to say; looks for space again if it has none.
    pub(crate) async fn has_room(&self, size: usize) -> bool {
        let room = &self.shared.room;
        if !room.has(size) {
            let mut failure = self.failure();
            tokio::select! {
                () = room.known() => {}
                // What is handed in next will say so.
                _ = failure.wait_for(Option::is_some) => return true,
            }
        }
        let has_room = room.has(size);
        if !has_room {
            self.nudge();
        }
        has_room
    }

    /// Claims room for a command, for as long as it is under way. `None` if the disk is full.
    pub(crate) async fn claim(&self, size: usize) -> Option<Claim> {
        // Who waits here for the disk is not overtaken.
        let _turn = self.turn.lock().await;
        if self.is_full() {
            self.nudge();
            return None;
        }
        let claim = Claim::new(Arc::clone(&self.shared), size);
        self.has_room(0).await.then_some(claim)
    }

    /// Has the writer look for space again.
    pub(crate) fn nudge(&self) {
        // A full queue has the writer at work already.
        let _ = self.queue.try_send(Job {
            ops: Vec::new(),
            done: Done::Nobody,
        });
    }

    /// Why the log failed, once it has.
    pub(crate) fn failure(&self) -> watch::Receiver<Option<Fatal>> {
        self.shared.failure.subscribe()
    }

    /// Returns once everything handed in before is durable, the committed index too.
    pub(crate) async fn flush(&self) -> io::Result<()> {
        self.submit_and_wait(Vec::new()).await
    }

    /// Has a snapshot up to `snapshot` take the place of a log whose last entry sorts before it.
    ///
    /// The power went between a received snapshot and the removal of what it replaces. openraft
    /// would clean up too, but it has taken the membership from the log by then: from entries behind
    /// the snapshot's index that conflict with it, and that no majority ever had.
    pub(crate) async fn replace_if_older(&self, snapshot: LogId) -> io::Result<()> {
        let truncated = self.shared.with_state(|state| {
            let last = state.entries.last().map(LogId::from);
            if last >= Some(snapshot) {
                return None;
            }
            let front = state.entries.purged().map_or(0, |purged| purged.index + 1);
            let truncated = state.truncate(front);
            state.entries.purge(snapshot.into());
            Some((truncated, last))
        });
        let Some((truncated, last)) = truncated else {
            return Ok(());
        };
        tracing::info!(?last, %snapshot, "the log is older than the snapshot and goes");
        // One group: a power cut that tears it leaves what the next start replaces again.
        let ops = vec![truncated, Op::Purge(snapshot.into())];
        self.submit_and_wait(ops).await
    }

    pub(crate) fn last(&self) -> Option<u64> {
        self.shared
            .with_state(|state| state.entries.last())
            .map(|id| id.index)
    }

    pub(crate) fn committed(&self) -> Option<u64> {
        self.shared
            .with_state(|state| state.committed)
            .map(|id| id.index)
    }

    async fn submit(&self, mut ops: Vec<Op>, done: Done) -> io::Result<()> {
        self.shared.failure()?;
        if !ops.is_empty() {
            let truncations = self
                .shared
                .with_state(|state| std::mem::take(&mut state.truncations));
            ops.splice(..0, truncations);
        }
        let job = Job { ops, done };
        self.queue
            .send(job)
            .await
            .map_err(|_| io::Error::other("the log's writer is gone"))
    }

    async fn submit_and_wait(&self, ops: Vec<Op>) -> io::Result<()> {
        let (reply, done) = oneshot::channel();
        self.submit(ops, Done::Reply(reply)).await?;
        done.await
            .map_err(|_| io::Error::other("the log's writer is gone"))?
    }

    async fn wait_for_coverage(&mut self, index: u64) -> io::Result<()> {
        let Some(coverage) = &mut self.coverage else {
            return Ok(());
        };
        let covered = coverage
            .wait_for(|coverage| coverage.has_failed || coverage.last >= Some(index))
            .await
            .map_err(|_| io::Error::other("the state machine is gone"))?;
        if covered.has_failed {
            return Err(io::Error::other("a snapshot could not be written"));
        }
        Ok(())
    }

    fn flush_soon(&self) {
        if self.is_flush_due.swap(true, Ordering::Relaxed) {
            return;
        }
        let queue = self.queue.downgrade();
        let is_due = Arc::clone(&self.is_flush_due);
        tokio::spawn(async move {
            tokio::time::sleep(COMMITTED_DELAY).await;
            is_due.store(false, Ordering::Relaxed);
            if let Some(queue) = queue.upgrade() {
                let _ = queue
                    .send(Job {
                        ops: Vec::new(),
                        done: Done::Nobody,
                    })
                    .await;
            }
        });
    }

    fn read(&self, start: u64, end: u64, size_max: usize) -> io::Result<Vec<Entry>> {
        let archives: Vec<Bytes> = self.shared.with_state(|state| {
            let mut size = 0;
            let slots = state
                .entries
                .range(start..end)
                .map(|slot| slot.archive.clone());
            slots
                .take_while(|archive| {
                    let is_first = size == 0;
                    size += archive.len();
                    is_first || size <= size_max
                })
                .collect()
        });
        // The bytes were written or checked by this process; mapped ones are checked again here.
        let entries = archives.iter().map(|archive| {
            let entry = convert::entry_in_place(archive);
            entry.ok_or_else(|| io::ErrorKind::InvalidData.into())
        });
        entries.collect()
    }
}

/// A leader that restarts is a follower: it has forgotten how far it had committed, so a barrier in
/// its old term would miss commands that it acknowledged itself (Q3). openraft would have it lead on
/// in the same term. That a majority had granted the vote is safe to forget: who was voted for stays.
fn without_leadership(vote: VoteRecord, node: NodeId) -> VoteRecord {
    let is_own = vote.voted_for == Some(node.0);
    VoteRecord {
        is_committed: vote.is_committed && !is_own,
        ..vote
    }
}

impl RaftLogReader<Types> for LogStore {
    async fn try_get_log_entries<R>(&mut self, range: R) -> Result<Vec<Entry>, StorageError>
    where
        R: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let start = match range.start_bound() {
            Bound::Included(start) => *start,
            Bound::Excluded(start) => start.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(end) => end.saturating_add(1),
            Bound::Excluded(end) => *end,
            Bound::Unbounded => u64::MAX,
        };
        self.read(start, end, usize::MAX)
            .map_err(|error| engine::read_error(&error))
    }

    async fn limited_get_log_entries(
        &mut self,
        start: u64,
        end: u64,
    ) -> Result<Vec<Entry>, StorageError> {
        self.read(start, end, READ_SIZE_MAX)
            .map_err(|error| engine::read_error(&error))
    }
}

impl RaftLogStorage<Types> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<Types>, StorageError> {
        Ok(self.shared.with_state(|state| LogState {
            last_purged_log_id: state.entries.purged().map(Into::into),
            last_log_id: state.entries.last().map(Into::into),
        }))
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), StorageError> {
        let record = VoteRecord::from(vote);
        let saved = self.submit_and_wait(vec![Op::Vote(record)]).await;
        saved.map_err(|error| engine::write_error(&error))?;
        self.shared.with_state(|state| state.vote = Some(record));
        Ok(())
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, StorageError> {
        Ok(self.shared.with_state(|state| state.vote).map(Into::into))
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), StorageError> {
        self.shared.with_state(|state| {
            state.committed = committed.map(Into::into);
            state.is_committed_pending = true;
        });
        self.flush_soon();
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, StorageError> {
        Ok(self
            .shared
            .with_state(|state| state.committed)
            .map(Into::into))
    }

    async fn append<I>(&mut self, entries: I, callback: LogFlushed) -> Result<(), StorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut ops = Vec::new();
        for entry in entries {
            if let EntryPayload::Normal(command) = &entry.payload {
                command.mark_taken();
            }
            let record = EntryRecord::from(&entry);
            let archive = Bytes::from(archive::to_bytes(&record));
            let id = record.id;
            let appended = self
                .shared
                .with_state(|state| state.append(id, archive, &mut ops));
            appended.map_err(|gap| engine::write_error(&gap))?;
        }
        let submitted = self.submit(ops, Done::Append(callback)).await;
        submitted.map_err(|error| engine::write_error(&error))
    }

    async fn truncate(&mut self, since: LogId) -> Result<(), StorageError> {
        let op = self.shared.with_state(|state| state.truncate(since.index));
        // Nobody waits, and nothing is written yet: openraft truncates before it installs a snapshot
        // that replaces the entries, and a power cut in between must leave them, because this node
        // has acknowledged them. Whatever is written next takes the truncation along.
        self.shared.with_state(|state| state.truncations.push(op));
        self.shared
            .failure()
            .map_err(|error| engine::write_error(&error))
    }

    async fn purge(&mut self, upto: LogId) -> Result<(), StorageError> {
        let upto = LogIdRecord::from(upto);
        // openraft purges while a snapshot that it received is still on its way to disk.
        self.wait_for_coverage(upto.index)
            .await
            .map_err(|error| engine::write_error(&error))?;
        self.shared.with_state(|state| state.entries.purge(upto));
        let submitted = self.submit(vec![Op::Purge(upto)], Done::Nobody).await;
        submitted.map_err(|error| engine::write_error(&error))
    }
}
