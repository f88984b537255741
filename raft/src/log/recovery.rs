//! Opens the log after whatever happened: replays the segments and finds where to go on.
//!
//! A segment is only begun once the one before it is synced to its end, so damage in any but the
//! last is damage to something durable. In the last one, a frame that is no frame is a torn tail,
//! unless a later frame says that its place was durable before that later frame was written.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::entries::Entries;
use super::frame::{self, ALIGNMENT, Content, Frame, FrameError, Link, SegmentRecord};
use super::segment;
use super::writer::{Active, Sealed};
use crate::archive::{LogIdRecord, VoteRecord};
use crate::error::StartError;
use crate::fs::{File, Fs};

/// What the segments say.
#[derive(Debug)]
pub(super) struct Recovered {
    pub(super) entries: Entries,
    pub(super) vote: Option<VoteRecord>,
    pub(super) committed: Option<LogIdRecord>,
    pub(super) link: Link,
    pub(super) sealed: Vec<Sealed>,
    pub(super) active: Active,
    pub(super) has_spare: bool,
}

/// The first segment is written while the node starts, and a new node should serve at once.
const FIRST_SEGMENT_SIZE: u32 = 256 << 10;

/// Reads the log in `dir`, which is created if need be, and repairs its tail.
pub(super) fn open(fs: &dyn Fs, dir: &Path, segment_size: u32) -> Result<Recovered, StartError> {
    fs.create_dir(dir)
        .map_err(io_error("create directory", dir))?;
    segment::remove_unfinished(fs, dir).map_err(io_error("clean", dir))?;
    // A process that was killed may have left names that are not durable yet.
    fs.sync_dir(dir).map_err(io_error("sync directory", dir))?;
    let names = fs.list(dir).map_err(io_error("list", dir))?;
    let (leftover, numbers) = split_at_hole(&names);
    let has_spare = names.iter().any(|name| name == segment::SPARE);
    let mut replay = Replay::new();
    let Some((last, sealed)) = numbers.split_last() else {
        let name = segment::name(1);
        let size = segment_size.min(FIRST_SEGMENT_SIZE);
        let file = segment::create_blank(fs, dir, &name, size)
            .map_err(io_error("create segment", &dir.join(name)))?;
        return Ok(replay.finish(Active::blank(1, file, size), has_spare));
    };
    for number in sealed {
        replay_sealed(fs, dir, *number, &mut replay)?;
    }
    let active = replay_active(fs, dir, *last, &mut replay)?;
    replay.check_front(&dir.join(segment::name(*last)))?;
    for number in leftover {
        let path = dir.join(segment::name(number));
        fs.remove(&path).map_err(io_error("remove", &path))?;
    }
    Ok(replay.finish(active, has_spare))
}

/// The numbers of segments that a removal left behind a hole, and of those in use.
fn split_at_hole(names: &[String]) -> (Vec<u64>, Vec<u64>) {
    let mut numbers: Vec<u64> = names
        .iter()
        .filter_map(|name| segment::number(name))
        .collect();
    numbers.sort_unstable();
    let mut pairs = numbers.iter().zip(numbers.iter().skip(1));
    let hole = pairs.rposition(|(a, b)| a + 1 != *b);
    let used = numbers.split_off(hole.map_or(0, |position| position + 1));
    (numbers, used)
}

fn replay_sealed(
    fs: &dyn Fs,
    dir: &Path,
    number: u64,
    replay: &mut Replay,
) -> Result<(), StartError> {
    let path = dir.join(segment::name(number));
    let file = fs.open(&path).map_err(io_error("open segment", &path))?;
    let content = Bytes::from_owner(file.map().map_err(io_error("map segment", &path))?);
    let mut segment = SegmentReplay::new(number, &path, &content);
    match segment.run(replay)? {
        FrameError::Empty => {}
        FrameError::Newer(found) => return Err(newer(&path, found)),
        FrameError::Invalid(reason) => return Err(segment.corrupt(reason)),
    }
    if segment.position == 0 {
        return Err(segment.corrupt("a segment with successors is blank"));
    }
    replay.sealed.push(Sealed {
        number,
        last_index: segment.last_index,
    });
    Ok(())
}

fn replay_active(
    fs: &dyn Fs,
    dir: &Path,
    number: u64,
    replay: &mut Replay,
) -> Result<Active, StartError> {
    let path = dir.join(segment::name(number));
    let file = fs.open(&path).map_err(io_error("open segment", &path))?;
    let content = read_all(&*file).map_err(io_error("read segment", &path))?;
    let size = u32::try_from(content.len()).map_err(|_| StartError::Corrupt {
        path: path.clone(),
        position: 0,
        reason: "the segment is too large",
    })?;
    let mut segment = SegmentReplay::new(number, &path, &content);
    match segment.run(replay)? {
        FrameError::Newer(found) => return Err(newer(&path, found)),
        FrameError::Invalid(reason) if segment.was_durable(replay.link) => {
            return Err(segment.corrupt(reason));
        }
        FrameError::Empty if segment.was_durable(replay.link) => {
            return Err(segment.corrupt("a frame is missing"));
        }
        FrameError::Empty | FrameError::Invalid(_) => {}
    }
    let cut = segment.position;
    let tail = content.get(cut..).unwrap_or_default();
    if let Some(last) = tail.iter().rposition(|byte| *byte != 0) {
        tracing::info!(
            segment = number,
            cut,
            bytes = last + 1,
            "cut the torn tail of the log"
        );
        let zeros = vec![0; last + 1];
        file.write_at(position64(cut), &zeros)
            .map_err(io_error("repair segment", &path))?;
    }
    // What a killed process wrote and never synced was replayed too: make it durable before
    // anything is built on it.
    file.sync().map_err(io_error("sync segment", &path))?;
    let position = u32::try_from(cut).unwrap_or(size);
    Ok(Active {
        number,
        file,
        size,
        position,
        held: segment.held,
        last_index: segment.last_index,
    })
}

/// The state as the frames build it up.
struct Replay {
    entries: Entries,
    vote: Option<VoteRecord>,
    committed: Option<LogIdRecord>,
    purged: Option<LogIdRecord>,
    link: Link,
    has_begun: bool,
    /// The last entry before the first segment.
    front: Option<LogIdRecord>,
    sealed: Vec<Sealed>,
}

impl Replay {
    fn new() -> Self {
        Self {
            entries: Entries::default(),
            vote: None,
            committed: None,
            purged: None,
            link: Link::FIRST,
            has_begun: false,
            front: None,
            sealed: Vec::new(),
        }
    }

    fn begin(&mut self, header: &SegmentRecord) {
        if std::mem::replace(&mut self.has_begun, true) {
            return;
        }
        self.front = header.last;
        self.entries = Entries::starting_after(header.last);
        self.vote = header.vote;
        self.committed = header.committed;
        self.purged = header.purged;
    }

    fn apply(&mut self, content: &Content, archive: Bytes) -> Result<(), &'static str> {
        match content {
            Content::Segment(header) => self.begin(header),
            Content::Entry(id) => {
                self.entries
                    .append(*id, archive)
                    .map_err(|_| "an entry does not follow")?;
            }
            Content::Vote(vote) => self.vote = Some(*vote),
            Content::Committed(id) => self.committed = Some(*id),
            Content::Truncate(since) => self.entries.replay_truncate(*since),
            Content::Purge(upto) => {
                self.entries.purge(*upto);
                self.purged = Some(*upto);
            }
        }
        Ok(())
    }

    /// What was before the first segment must have been purged, or segments are missing.
    fn check_front(&self, path: &Path) -> Result<(), StartError> {
        let front = self.front.map(|id| id.index);
        if front <= self.purged.map(|id| id.index) {
            return Ok(());
        }
        let reason = "segments before the first one are missing";
        Err(StartError::Corrupt {
            path: path.to_owned(),
            position: 0,
            reason,
        })
    }

    fn finish(self, active: Active, has_spare: bool) -> Recovered {
        let last = self.entries.last();
        let committed = self
            .committed
            .filter(|id| Some(id.index) <= last.map(|last| last.index));
        Recovered {
            entries: self.entries,
            vote: self.vote,
            committed,
            link: self.link,
            sealed: self.sealed,
            active,
            has_spare,
        }
    }
}

/// One segment on its way into a [`Replay`].
struct SegmentReplay<'a> {
    number: u64,
    path: &'a Path,
    content: &'a Bytes,
    position: usize,
    held: Vec<(LogIdRecord, std::ops::Range<usize>)>,
    last_index: Option<u64>,
}

impl<'a> SegmentReplay<'a> {
    fn new(number: u64, path: &'a Path, content: &'a Bytes) -> Self {
        Self {
            number,
            path,
            content,
            position: 0,
            held: Vec::new(),
            last_index: None,
        }
    }

    /// Applies frames until there is none, and says why the next one is none.
    fn run(&mut self, replay: &mut Replay) -> Result<FrameError, StartError> {
        loop {
            let link_before = replay.link;
            let frame = match self.next(replay) {
                Ok(frame) => frame,
                Err(end) => {
                    replay.link = link_before;
                    return Ok(end);
                }
            };
            let is_header = matches!(frame.content, Content::Segment(_));
            if is_header != (self.position == 0) {
                return Err(self.corrupt("a segment's header is not where it belongs"));
            }
            if let Content::Segment(header) = &frame.content
                && header.number != self.number
            {
                return Err(self.corrupt("the segment is another one than its name says"));
            }
            let archive = self.content.slice(frame.body.clone());
            replay
                .apply(&frame.content, archive)
                .map_err(|reason| self.corrupt(reason))?;
            if let Content::Entry(id) = frame.content {
                self.held.push((id, frame.body));
                self.last_index = self.last_index.max(Some(id.index));
            }
            self.position = frame.end;
        }
    }

    fn next(&self, replay: &mut Replay) -> Result<Frame, FrameError> {
        if replay.has_begun {
            return frame::decode_next(self.content, self.position, &mut replay.link);
        }
        // Nothing is left of the history before the first segment: it is taken at its word.
        let frame = frame::decode(self.content, self.position)?;
        replay.link = Link {
            sequence: frame.sequence + 1,
            chain: frame.checksum,
        };
        Ok(frame)
    }

    /// Whether a frame shows that the place where the frames end was durable.
    fn was_durable(&self, link: Link) -> bool {
        if self.skips_frames(link) {
            return true;
        }
        let positions = (self.position..self.content.len())
            .step_by(ALIGNMENT)
            .skip(1);
        let magic = frame::MAGIC.to_le_bytes();
        positions
            .filter(|position| self.content.get(*position..*position + 4) == Some(&magic))
            .filter_map(|position| frame::decode(self.content, position).ok())
            .any(|later| {
                let durable = usize::try_from(later.durable).unwrap_or(usize::MAX);
                later.sequence > link.sequence && durable > self.position
            })
    }

    /// Whether the segment begins with a later frame than the one that must follow. It was begun when
    /// the one before it was synced to its end, so frames there are missing that were durable. Its own
    /// frames may all say that nothing of it was durable: they were the first group.
    fn skips_frames(&self, link: Link) -> bool {
        let first = frame::decode(self.content, self.position);
        self.position == 0 && first.is_ok_and(|first| first.sequence > link.sequence)
    }

    fn corrupt(&self, reason: &'static str) -> StartError {
        let position = position64(self.position);
        StartError::Corrupt {
            path: self.path.to_owned(),
            position,
            reason,
        }
    }
}

fn read_all(file: &dyn File) -> io::Result<Bytes> {
    let size = usize::try_from(file.size()?).map_err(|_| io::ErrorKind::FileTooLarge)?;
    let mut content = vec![0; size];
    file.read_at(0, &mut content)?;
    Ok(content.into())
}

fn newer(path: &Path, found: u8) -> StartError {
    StartError::NewerFormat {
        path: path.to_owned(),
        found,
        known: frame::VERSION,
    }
}

fn position64(position: usize) -> u64 {
    u64::try_from(position).unwrap_or(u64::MAX)
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StartError + use<> {
    let path: PathBuf = path.to_owned();
    move |source| StartError::Io {
        action,
        path,
        source,
    }
}

impl Active {
    pub(super) fn blank(number: u64, file: Arc<dyn File>, size: u32) -> Self {
        Self {
            number,
            file,
            size,
            position: 0,
            held: Vec::new(),
            last_index: None,
        }
    }
}
