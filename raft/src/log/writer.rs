//! The one writer of the log: groups of jobs, one write and one sync each.
//!
//! It runs on a thread of its own, or on the runtime in simulations. A failed write or sync is
//! final: every waiting and every later job fails with it, and the node ends.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use super::frame::{self, Kind, Link, SegmentRecord};
use super::recovery::Recovered;
use super::room::Next;
use super::segment;
use super::store::Shared;
use crate::archive::{self, LogIdRecord, VoteRecord};
use crate::config::IoMode;
use crate::engine::{self, LogFlushed};
use crate::fs::{File, Fs, is_full};

/// What is written together and completed together.
pub(super) struct Job {
    pub(super) ops: Vec<Op>,
    pub(super) done: Done,
}

/// One change of the log.
pub(super) enum Op {
    Entry {
        id: LogIdRecord,
        archive: Bytes,
    },
    Vote(VoteRecord),
    Truncate {
        since: u64,
        last: Option<LogIdRecord>,
    },
    Purge(LogIdRecord),
}

/// Who waits for the sync.
pub(super) enum Done {
    Nobody,
    Append(LogFlushed),
    Reply(oneshot::Sender<io::Result<()>>),
}

/// A segment that will not change any more.
#[derive(Debug)]
pub(super) struct Sealed {
    pub(super) number: u64,
    /// The highest index of an entry in it, truncated or not.
    pub(super) last_index: Option<u64>,
}

/// The segment that is written. Everything before `position` is durable between two groups.
#[derive(Debug)]
pub(super) struct Active {
    pub(super) number: u64,
    pub(super) file: Arc<dyn File>,
    pub(super) size: u32,
    pub(super) position: u32,
    /// Where the archives of its entries are.
    pub(super) held: Vec<(LogIdRecord, Range<usize>)>,
    pub(super) last_index: Option<u64>,
}

/// The segment written in advance.
enum Spare {
    Missing,
    /// On its way, beside the groups: filling it would hold them up for milliseconds.
    Pending(JoinHandle<io::Result<()>>),
    Ready,
}

/// Jobs that one group takes at most.
const GROUP_MAX: usize = 256;

pub(super) struct Writer {
    fs: Arc<dyn Fs>,
    dir: PathBuf,
    segment_size: u32,
    shared: Arc<Shared>,
    active: Active,
    sealed: VecDeque<Sealed>,
    link: Link,
    /// What the header of the next segment will say; its number is set then.
    state: SegmentRecord,
    spare: Spare,
    mode: IoMode,
    /// Frames of the current group that are not written yet.
    buffer: Vec<u8>,
}

impl Writer {
    pub(super) fn new(
        fs: Arc<dyn Fs>,
        dir: PathBuf,
        segment_size: u32,
        shared: Arc<Shared>,
        recovered: Recovered,
    ) -> Self {
        let Recovered {
            entries,
            vote,
            committed,
            link,
            sealed,
            active,
            has_spare,
        } = recovered;
        let (purged, last) = (entries.purged(), entries.last());
        let state = SegmentRecord {
            number: active.number,
            vote,
            committed,
            purged,
            last,
        };
        shared.with_state(|state| state.start(entries, vote, committed));
        let sealed = sealed.into();
        let spare = if has_spare {
            Spare::Ready
        } else {
            Spare::Missing
        };
        let buffer = Vec::new();
        let mode = IoMode::Thread;
        Self {
            fs,
            dir,
            segment_size,
            shared,
            active,
            sealed,
            link,
            state,
            spare,
            mode,
            buffer,
        }
    }

    /// Starts working off the queue, until its last sender is gone.
    pub(super) fn start(mut self, queue: mpsc::Receiver<Job>, mode: IoMode) -> io::Result<()> {
        self.mode = mode;

        match mode {
            IoMode::Thread => {
                let builder = std::thread::Builder::new().name("ottla-raft-log".to_owned());
                builder.spawn(move || self.run_on_thread(queue))?;
            }
            IoMode::Task { delay_max } => {
                let delay_max = u64::try_from(delay_max.as_micros()).unwrap_or(u64::MAX);
                tokio::spawn(self.run_on_runtime(queue, delay_max));
            }
        }
        Ok(())
    }

    fn run_on_thread(mut self, mut queue: mpsc::Receiver<Job>) {
        self.keep_house();
        let mut jobs = Vec::new();
        while queue.blocking_recv_many(&mut jobs, GROUP_MAX) > 0 {
            self.run_group(std::mem::take(&mut jobs));
            self.keep_house();
        }
    }

    async fn run_on_runtime(mut self, mut queue: mpsc::Receiver<Job>, delay_us_max: u64) {
        self.keep_house();
        let mut jobs = Vec::new();
        while queue.recv_many(&mut jobs, GROUP_MAX).await > 0 {
            let delay = std::time::Duration::from_micros(engine::random_up_to(delay_us_max));
            tokio::time::sleep(delay).await;
            self.run_group(std::mem::take(&mut jobs));
            self.keep_house();
        }
    }

    fn run_group(&mut self, jobs: Vec<Job>) {
        let mut waiting = Vec::with_capacity(jobs.len());
        let mut result = self.shared.failure();
        if result.is_ok() {
            result = self.push_committed();
        }
        for job in jobs {
            for op in job.ops {
                if result.is_ok() {
                    result = self.push_op(op);
                }
            }
            waiting.push(job.done);
        }
        if result.is_ok() {
            result = self.flush();
        }
        if let Err(error) = &result {
            self.shared.fail(error);
        }
        for done in waiting {
            let result = result.as_ref().copied().map_err(copy_of);
            match done {
                Done::Nobody => {}
                Done::Append(callback) => callback.log_io_completed(result),
                // Who no longer waits doesn't need to know.
                Done::Reply(sender) => drop(sender.send(result)),
            }
        }
    }

    /// The committed index rides along: losing it costs a slower start, never an entry.
    fn push_committed(&mut self) -> io::Result<()> {
        let pending = self.shared.with_state(super::store::State::take_committed);
        let Some(committed) = pending else {
            return Ok(());
        };
        self.push(Kind::Committed, &archive::to_bytes(&committed), None)?;
        self.state.committed = Some(committed);
        Ok(())
    }

    fn push_op(&mut self, op: Op) -> io::Result<()> {
        match op {
            Op::Entry { id, archive } => {
                self.push(Kind::Entry, &archive, Some(id))?;
                self.state.last = Some(id);
            }
            Op::Vote(vote) => {
                self.push(Kind::Vote, &archive::to_bytes(&vote), None)?;
                self.state.vote = Some(vote);
            }
            Op::Truncate { since, last } => {
                self.push(Kind::Truncate, &archive::to_bytes(&since), None)?;
                self.state.last = last;
            }
            Op::Purge(upto) => {
                self.push(Kind::Purge, &archive::to_bytes(&upto), None)?;
                self.state.purged = Some(upto);
                if self.state.last.is_none_or(|last| last.index < upto.index) {
                    self.state.last = Some(upto);
                }
            }
        }
        Ok(())
    }

    fn push(&mut self, kind: Kind, body: &[u8], entry: Option<LogIdRecord>) -> io::Result<()> {
        let size = frame::size_of(body.len());
        self.begin_if_blank();
        if self.end() + size > usize32(self.active.size) {
            self.flush()?;
            self.roll(size)?;
            self.begin_if_blank();
        }
        let start = self.end() + frame::HEADER_SIZE;
        let durable = self.active.position;
        frame::encode(&mut self.buffer, &mut self.link, kind, durable, body);
        if let Some(id) = entry {
            self.active.held.push((id, start..start + body.len()));
            self.active.last_index = self.active.last_index.max(Some(id.index));
        }
        Ok(())
    }

    fn begin_if_blank(&mut self) {
        if self.end() == 0 {
            let header = SegmentRecord {
                number: self.active.number,
                ..self.state
            };
            let header = archive::to_bytes(&header);
            frame::encode(&mut self.buffer, &mut self.link, Kind::Segment, 0, &header);
        }
    }

    fn end(&self) -> usize {
        usize32(self.active.position) + self.buffer.len()
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        self.active
            .file
            .write_at(u64::from(self.active.position), &self.buffer)?;
        self.active.file.sync()?;
        self.active.position = u32::try_from(self.end()).map_err(|_| too_large())?;
        self.buffer.clear();
        let left = self.active.size.saturating_sub(self.active.position);
        self.shared.room.set_left(left);
        Ok(())
    }

    /// Seals the active segment and begins the next, with room for a frame of `needed` bytes.
    fn roll(&mut self, needed: usize) -> io::Result<()> {
        self.seal()?;
        let number = self.active.number + 1;
        let name = segment::name(number);
        // Beside the frame there is the header's; 4 KiB hold it many times over.
        let needed = u32::try_from(needed.saturating_add(4096)).map_err(|_| too_large())?;
        let fits = needed <= self.segment_size;
        self.settle_spare()?;
        let file = if matches!(self.spare, Spare::Ready) && fits {
            let path = self.dir.join(&name);
            self.spare = Spare::Missing;
            self.shared.room.set_next(Next::Unknown);
            self.fs.rename(&self.dir.join(segment::SPARE), &path)?;
            self.fs.sync_dir(&self.dir)?;
            self.fs.open(&path)?
        } else {
            segment::create_blank(&*self.fs, &self.dir, &name, needed.max(self.segment_size))?
        };
        let size = u32::try_from(file.size()?).map_err(|_| too_large())?;
        self.active = Active::blank(number, file, size);
        Ok(())
    }

    /// From here on the entries of the active segment are read in place.
    fn seal(&mut self) -> io::Result<()> {
        let content = Bytes::from_owner(self.active.file.map()?);
        let held = std::mem::take(&mut self.active.held);
        self.shared.with_state(|state| {
            for (id, range) in held {
                state.entries.relocate(id, content.slice(range));
            }
        });
        let (number, last_index) = (self.active.number, self.active.last_index);
        self.sealed.push_back(Sealed { number, last_index });
        Ok(())
    }

    /// What can wait until the group's waiters know: removals and the next spare.
    fn keep_house(&mut self) {
        if self.shared.failure().is_err() {
            return;
        }
        let result = self.remove_purged().and_then(|()| self.prepare_spare());
        if let Err(error) = result {
            self.shared.fail(&error);
        }
    }

    fn remove_purged(&mut self) -> io::Result<()> {
        let Some(purged) = self.state.purged else {
            return Ok(());
        };
        // A segment may go when a durable header after it repeats what it said of votes.
        while self.active.position > 0
            && let Some(front) = self.sealed.front()
            && front.last_index <= Some(purged.index)
        {
            self.fs
                .remove(&self.dir.join(segment::name(front.number)))?;
            // One by one: a hole in the numbers says that what is before it is left over.
            self.fs.sync_dir(&self.dir)?;
            self.sealed.pop_front();
        }
        Ok(())
    }

    fn prepare_spare(&mut self) -> io::Result<()> {
        if let Spare::Pending(thread) = &self.spare
            && thread.is_finished()
        {
            self.settle_spare()?;
        }
        if !matches!(self.spare, Spare::Missing) {
            return Ok(());
        }
        let (fs, dir, size) = (Arc::clone(&self.fs), self.dir.clone(), self.segment_size);
        let shared = Arc::clone(&self.shared);
        let create = move || {
            let made = segment::create_blank(&*fs, &dir, segment::SPARE, size).map(|_file| ());
            // Here and now: the writer looks at it with its next group only, which may wait for it.
            shared.note_next(&made);
            made
        };
        if self.mode == IoMode::Thread {
            let builder = std::thread::Builder::new().name("ottla-raft-spare".to_owned());
            self.spare = Spare::Pending(builder.spawn(create)?);
            return Ok(());
        }
        self.note_spare(create())
    }

    /// Waits for the spare if one is on its way.
    fn settle_spare(&mut self) -> io::Result<()> {
        match std::mem::replace(&mut self.spare, Spare::Missing) {
            Spare::Pending(thread) => {
                let panicked = |_| io::Error::other("making the spare segment panicked");
                let created = thread.join().map_err(panicked)?;
                self.note_spare(created)
            }
            settled => {
                self.spare = settled;
                Ok(())
            }
        }
    }

    fn note_spare(&mut self, created: io::Result<()>) -> io::Result<()> {
        match created {
            Ok(()) => self.spare = Spare::Ready,
            // It stays missing, and is tried for again.
            Err(error) if is_full(&error) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

fn too_large() -> io::Error {
    io::ErrorKind::FileTooLarge.into()
}

fn usize32(n: u32) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

/// `io::Error` cannot be cloned; kind and text are what the waiters need.
fn copy_of(error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), error.to_string())
}
