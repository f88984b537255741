//! One segment of a log: a file of batches from a base offset on, and its index.
//!
//! - The file is only ever appended to. What lies below a size that somebody was told never changes (S5), so readers
//!   share the segment with the one writer and take no lock.
//! - The index is a cache (S8): a lookup may lead too early, never too late, and every lookup goes on in the log.
//! - The last segment's size is the view's business; a sealed segment knows its own.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwapOption;

use crate::directory::{Fault, replace_file};
use crate::fs::{File, Fs, OpenMode, map};
use crate::ids::Offset;
use crate::index::{SegmentIndex, TimestampOffset};
use crate::time::WallMillis;

pub(crate) mod index_cache;
pub(crate) mod scan;
pub(crate) mod stored_index;
pub(crate) mod visible;

use index_cache::IndexCache;
use stored_index::StoredIndex;

/// The highest timestamp of a segment and the last offset of the first batch that has it.
pub(crate) type MaxTimestamp = TimestampOffset;

/// The kinds of files a segment consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum FileKind {
    Log,
    OffsetIndex,
    TimeIndex,
    TransactionIndex,
    ProducerSnapshot,
}

impl FileKind {
    pub(crate) const ALL: [Self; 5] = [
        Self::Log,
        Self::OffsetIndex,
        Self::TimeIndex,
        Self::TransactionIndex,
        Self::ProducerSnapshot,
    ];

    pub(crate) const fn extension(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::OffsetIndex => "index",
            Self::TimeIndex => "timeindex",
            Self::TransactionIndex => "txnindex",
            Self::ProducerSnapshot => "snapshot",
        }
    }

    /// The name of a segment's file: the base offset in 20 digits, and the kind.
    pub(crate) fn name(self, base: Offset) -> String {
        format!("{:020}.{}", base.get(), self.extension())
    }

    /// Takes a name apart; `None` if it is no segment's file.
    pub(crate) fn parse(name: &str) -> Option<(Offset, Self)> {
        let (digits, extension) = name.split_once('.')?;
        if digits.len() != 20 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let kind = Self::ALL
            .into_iter()
            .find(|kind| kind.extension() == extension)?;
        Some((Offset::from_wire(digits.parse().ok()?)?, kind))
    }
}

/// Where the segments of one log live.
#[derive(Debug)]
pub(crate) struct Home {
    pub(crate) fs: Arc<dyn Fs>,
    pub(crate) dir: PathBuf,
    pub(crate) indexes: Arc<IndexCache>,
}

impl Home {
    pub(crate) fn path(&self, base: Offset, kind: FileKind) -> PathBuf {
        self.dir.join(kind.name(base))
    }
}

/// A segment: the last one of a log grows, the others are sealed.
#[derive(Debug)]
pub(crate) struct Segment {
    base: Offset,
    home: Arc<Home>,
    /// Opened or created when first needed.
    file: OnceLock<Arc<dyn File>>,
    /// Whether there were writes that no sync has covered.
    unsynced: AtomicBool,
    /// Of a sealed segment: in memory until its files are written, then mapped while in use.
    index: ArcSwapOption<StoredIndex>,
    /// Whether the mapped index was used since the cache last looked.
    is_index_used: AtomicBool,
    /// Whether the index files of this name are another segment's: of the one that took this one's place.
    is_disowned: AtomicBool,
    /// Set once, when the segment stops growing.
    size: OnceLock<u64>,
    max_timestamp: OnceLock<Option<MaxTimestamp>>,
}

impl Segment {
    /// A segment that will grow; `file` if it exists already.
    pub(crate) fn growing(base: Offset, home: Arc<Home>, file: Option<Arc<dyn File>>) -> Self {
        Self {
            base,
            home,
            file: file.map_or_else(OnceLock::new, OnceLock::from),
            unsynced: AtomicBool::new(false),
            index: ArcSwapOption::empty(),
            is_index_used: AtomicBool::new(false),
            is_disowned: AtomicBool::new(false),
            size: OnceLock::new(),
            max_timestamp: OnceLock::new(),
        }
    }

    /// A segment found on disk that will not grow.
    pub(crate) fn sealed(base: Offset, home: Arc<Home>, size: u64) -> Self {
        let mut segment = Self::growing(base, home, None);
        segment.size = OnceLock::from(size);
        segment
    }

    pub(crate) fn base(&self) -> Offset {
        self.base
    }

    pub(crate) fn home(&self) -> &Arc<Home> {
        &self.home
    }

    pub(crate) fn path(&self, kind: FileKind) -> PathBuf {
        self.home.path(self.base, kind)
    }

    /// The size of a sealed segment.
    pub(crate) fn sealed_size(&self) -> Option<u64> {
        self.size.get().copied()
    }

    /// Ends the growth at `size`; until its files are written, `index` answers. Only the writer calls this, once.
    pub(crate) fn seal(&self, size: u64, index: &SegmentIndex) {
        self.index
            .store(Some(Arc::new(StoredIndex::snapshot(index))));
        self.max_timestamp.get_or_init(|| index.max_timestamp());
        self.size.get_or_init(|| size);
    }

    /// The log file, opened if it is not.
    pub(crate) fn file(&self) -> io::Result<&Arc<dyn File>> {
        self.open_file(OpenMode::Existing)
    }

    /// The log file, created if there is none. Only the writer of a growing segment calls this.
    pub(crate) fn file_or_create(&self) -> io::Result<&Arc<dyn File>> {
        self.open_file(OpenMode::Create)
    }

    fn open_file(&self, mode: OpenMode) -> io::Result<&Arc<dyn File>> {
        if let Some(file) = self.file.get() {
            return Ok(file);
        }
        let file = self.home.fs.open(&self.path(FileKind::Log), mode)?;
        // Two readers may open it at once: one of the two descriptors is dropped, nothing was written through it.
        Ok(self.file.get_or_init(|| file))
    }

    pub(crate) fn opened_file(&self) -> Option<&Arc<dyn File>> {
        self.file.get()
    }

    /// Takes note that the file is about to be changed.
    pub(crate) fn mark_unsynced(&self) {
        self.unsynced.store(true, Ordering::Release);
    }

    /// Takes over what another value for the same file knows of its sync.
    pub(crate) fn inherit_unsynced(&self, other: &Self) {
        self.unsynced
            .store(other.unsynced.load(Ordering::Acquire), Ordering::Release);
    }

    /// Syncs the file if there were writes since the last sync. On the I/O thread only.
    pub(crate) fn sync(&self) -> io::Result<()> {
        // Cleared first: a write during the sync sets it again.
        if self.unsynced.swap(false, Ordering::AcqRel)
            && let Some(file) = self.file.get()
        {
            file.sync()?;
        }
        Ok(())
    }

    /// Gives the index's memory back: the files are written, or others need the room.
    pub(crate) fn unmap_index(&self) {
        self.index.store(None);
    }

    /// The files of this name are about to change: what is not mapped yet never will be.
    pub(crate) fn disown_index_files(&self) {
        self.is_disowned.store(true, Ordering::Release);
    }

    /// When the log file was last changed.
    pub(crate) fn modified(&self) -> io::Result<WallMillis> {
        Ok(self.file()?.stat()?.modified)
    }

    pub(crate) fn take_second_chance(&self) -> bool {
        self.is_index_used.swap(false, Ordering::Relaxed)
    }

    /// The index of a sealed segment, mapped if need be; `None` if its files are not there or not whole.
    pub(crate) fn stored_index(self: &Arc<Self>) -> Option<Arc<StoredIndex>> {
        if let Some(index) = self.index.load_full() {
            self.is_index_used.store(true, Ordering::Relaxed);
            return Some(index);
        }
        let index = Arc::new(self.map_index()?);
        // Asked after the files were opened: they were this segment's if they are not another's even now.
        if self.is_disowned.load(Ordering::Acquire) {
            return None;
        }
        self.index.store(Some(Arc::clone(&index)));
        self.home.indexes.admit(Arc::downgrade(self));
        Some(index)
    }

    fn map_index(&self) -> Option<StoredIndex> {
        let map = |kind| {
            let file = self.home.fs.open(&self.path(kind), OpenMode::Read)?;
            map::map(&*file)
        };
        let bytes =
            map(FileKind::OffsetIndex).and_then(|offsets| Ok((offsets, map(FileKind::TimeIndex)?)));
        let index = bytes.map(|(offsets, times)| {
            StoredIndex::of_files(self.base, self.sealed_size()?, offsets, times)
        });
        match index {
            Ok(index) => index,
            Err(error) => {
                let dir = self.home.dir.display();
                tracing::warn!(%dir, base = %self.base, %error, "segment without index");
                None
            }
        }
    }

    /// What was learned of the highest timestamp, if anything was.
    pub(crate) fn known_max_timestamp(&self) -> Option<&Option<MaxTimestamp>> {
        self.max_timestamp.get()
    }

    /// Remembers what a search found; the first to know counts.
    pub(crate) fn learn_max_timestamp(&self, found: Option<MaxTimestamp>) -> Option<MaxTimestamp> {
        *self.max_timestamp.get_or_init(|| found)
    }
}

/// Writes both index files of a sealed segment aside and puts them in place. On the I/O thread only.
///
/// The directory's sync is left to the caller.
pub(crate) fn write_index_files(
    home: &Home,
    base: Offset,
    index: &SegmentIndex,
) -> Result<(), Fault> {
    write_file(
        home,
        base,
        FileKind::OffsetIndex,
        &index.offsets().encode_from(0),
    )?;
    write_file(
        home,
        base,
        FileKind::TimeIndex,
        &index.times().encode_from(0),
    )
}

/// Writes one small file of a segment aside, syncs it and puts it in place.
pub(crate) fn write_file(
    home: &Home,
    base: Offset,
    kind: FileKind,
    bytes: &[u8],
) -> Result<(), Fault> {
    replace_file(&*home.fs, &home.path(base, kind), bytes)
}
