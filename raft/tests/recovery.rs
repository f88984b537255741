//! What a node finds after its disk was cut, torn or damaged: a prefix with all that was synced, or
//! a refusal to start. Never a panic, never another history.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::path::Path;

use common::{FIRST_SEGMENT, Journal, begin, config, lead, open, runtime, segment};
use ottla_jepsen::disk::SimDisk;
use ottla_jepsen::rng::Rng;
use ottla_raft::inspect::{self, Item, Payload};
use ottla_raft::{Raft, StartError};

/// A disk with a log of some commands, and the log's only segment.
struct Written {
    disk: SimDisk,
    segment: Vec<u8>,
    commands: Vec<Vec<u8>>,
    /// Where the content of each command's frame ends.
    ends: Vec<usize>,
    /// Where the last frame ends.
    end: usize,
}

async fn write(count: usize) -> Written {
    let disk = SimDisk::new();
    let (raft, journal) = begin(&disk, config()).await;
    for n in 0..count {
        let mut command = format!("command {n} ").into_bytes();
        command.resize(command.len() + n * 7 % 90, b'x');
        raft.propose(command).await.unwrap();
    }
    raft.shutdown().await;
    let segment = segment(&disk);
    let mut ends = Vec::new();
    let mut end = 0;
    for frame in inspect::segment(&segment) {
        let frame = frame.unwrap();
        end = usize::try_from(frame.position + frame.size).unwrap();
        if let Item::Entry {
            payload: Payload::Command(_),
            ..
        } = frame.item
        {
            // Without the bytes that pad it.
            let position = usize::try_from(frame.position).unwrap();
            let size = segment[position + 8..position + 12].try_into().unwrap();
            ends.push(position + 32 + usize::try_from(u32::from_le_bytes(size)).unwrap());
        }
    }
    assert_eq!(ends.len(), count);
    Written {
        disk,
        segment,
        commands: journal.commands(),
        ends,
        end,
    }
}

impl Written {
    /// The same disk, with another content of the segment.
    async fn open_with(&self, content: Vec<u8>) -> Result<(SimDisk, Raft, Journal), StartError> {
        let disk = self.disk.fork();
        disk.plant(Path::new(FIRST_SEGMENT), content);
        let (raft, journal) = open(&disk).await?;
        Ok((disk, raft, journal))
    }

    /// How many commands end before the first byte that differs.
    fn whole_in(&self, content: &[u8]) -> usize {
        let same = content
            .iter()
            .zip(&self.segment)
            .take_while(|(a, b)| a == b)
            .count();
        self.ends.iter().filter(|end| **end <= same).count()
    }
}

/// S6 for the quorum's log: whatever the last bytes that arrived, the log opens as the whole frames
/// before them, takes new commands, and keeps those over another restart.
#[test]
fn a_log_cut_at_any_byte_of_its_tail_opens_with_every_whole_frame() {
    runtime().block_on(async {
        let written = write(16).await;
        let from = written.ends[8];
        let mut rng = Rng::new(1);
        for cut in from..=written.end {
            let mut content = written.segment.clone();
            content[cut..].fill(0);
            if cut % 3 == 0 {
                // Not every disk leaves zeros where a write did not arrive.
                let garbage = cut..(cut + 40).min(content.len());
                content[garbage].fill_with(|| u8::try_from(rng.below(256)).unwrap());
            }
            let whole = written.whole_in(&content);
            let (disk, raft, journal) = written.open_with(content).await.unwrap();
            lead(&raft).await;
            assert_eq!(
                journal.commands(),
                written.commands[..whole],
                "cut at {cut}"
            );
            if cut % 5 == 0 {
                raft.propose(b"after".to_vec()).await.unwrap();
                raft.shutdown().await;
                disk.crash(cut as u64);
                let (raft, journal) = open(&disk).await.unwrap();
                lead(&raft).await;
                let commands = journal.commands();
                assert_eq!(commands.len(), whole + 1, "cut at {cut}");
                assert_eq!(commands.last().unwrap(), b"after");
            } else {
                raft.shutdown().await;
            }
        }
    });
}

/// Decision 13: what was durable and is damaged is never cut away. Only the last group of frames
/// can't be told from one that was torn.
#[test]
fn damage_before_the_last_frames_is_refused_at_every_byte() {
    runtime().block_on(async {
        let written = write(12).await;
        // The last frames were written by the last group: the committed index, alone.
        let frames: Vec<_> = inspect::segment(&written.segment)
            .map(Result::unwrap)
            .collect();
        let last_group = frames.last().unwrap().durable;
        let last_group = usize::try_from(last_group).unwrap();
        assert!(last_group > written.ends[10]);
        for position in 0..written.end {
            let mut content = written.segment.clone();
            content[position] ^= 0x10;
            match written.open_with(content).await {
                Err(StartError::Corrupt { .. }) if position < last_group => {}
                Ok((_, raft, journal)) => {
                    let commands = journal.commands();
                    assert!(
                        written.commands.starts_with(&commands),
                        "damage at {position}"
                    );
                    // Bytes that pad a frame say nothing.
                    let is_padding = written.segment[position] == 0;
                    assert!(is_padding || position >= last_group, "damage at {position}");
                    raft.shutdown().await;
                }
                Err(error) => panic!("damage at {position}: {error}"),
            }
        }
    });
}

#[test]
fn a_missing_segment_in_the_middle_is_refused() {
    runtime().block_on(async {
        let disk = SimDisk::new();
        let (raft, _) = begin(&disk, config()).await;
        for _ in 0..300 {
            raft.propose(vec![b'x'; 900]).await.unwrap();
        }
        raft.shutdown().await;
        disk.kill();
        let fs = disk.mount();
        let names = fs.list(Path::new("/q/log")).unwrap();
        assert!(names.len() > 4, "{names:?}");
        fs.remove(Path::new("/q/log/00000000000000000002.log"))
            .unwrap();
        assert!(matches!(open(&disk).await, Err(StartError::Corrupt { .. })));
    });
}

/// Where the last segment holds one group only, none of its frames says that anything was durable. It
/// passed for the torn tail of the segment before, and was zeroed.
#[test]
fn frames_missing_from_the_end_of_a_full_segment_are_damage() {
    runtime().block_on(async {
        let disk = SimDisk::new();
        let (raft, _) = begin(&disk, config()).await;
        for _ in 0..80 {
            raft.propose(vec![b'x'; 900]).await.unwrap();
        }
        raft.shutdown().await;
        disk.kill();
        let second = Path::new("/q/log/00000000000000000002.log");
        let mut content = disk.read(second).unwrap();
        let later = inspect::segment(&content)
            .map(Result::unwrap)
            .find(|frame| frame.durable > 0)
            .unwrap();
        let end_of_group = usize::try_from(later.position).unwrap();
        content[end_of_group..].fill(0);
        disk.plant(second, content.clone());
        let (raft, _) = open(&disk.fork()).await.unwrap();
        raft.shutdown().await;

        let mut first = segment(&disk);
        let last = inspect::segment(&first).last().unwrap().unwrap();
        let last = usize::try_from(last.position).unwrap();
        first[last..].fill(0);
        disk.plant(Path::new(FIRST_SEGMENT), first);
        assert!(matches!(open(&disk).await, Err(StartError::Corrupt { .. })));
        assert_eq!(disk.read(second).unwrap(), content);
    });
}

#[test]
fn a_newer_format_is_refused_and_left_alone() {
    runtime().block_on(async {
        let written = write(2).await;
        let mut content = written.segment.clone();
        let header: Vec<u8> = content[..32].to_vec();
        let body = usize::from(header[8]);
        content[4] = 2;
        let mut sum = crc32fast::Hasher::new();
        sum.update(&content[..28]);
        sum.update(&content[32..32 + body]);
        content[28..32].copy_from_slice(&sum.finalize().to_le_bytes());
        let before = content.clone();
        let disk = written.disk.fork();
        disk.plant(Path::new(FIRST_SEGMENT), content);
        let refused = open(&disk).await;
        assert!(matches!(
            refused,
            Err(StartError::NewerFormat {
                found: 2,
                known: 1,
                ..
            })
        ));
        assert_eq!(segment(&disk), before);
    });
}

#[test]
fn a_damaged_snapshot_is_refused_at_every_byte() {
    runtime().block_on(async {
        let disk = SimDisk::new();
        let mut config = config();
        config.snapshot_every = 5;
        let (raft, _) = begin(&disk, config).await;
        for _ in 0..6 {
            raft.propose(b"command".to_vec()).await.unwrap();
        }
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        raft.shutdown().await;
        let dir = Path::new("/q/snapshots");
        disk.kill();
        let name = disk.mount().list(dir).unwrap().pop().unwrap();
        let path = dir.join(name);
        let whole = disk.read(&path).unwrap();
        for position in 0..whole.len() {
            let disk = disk.fork();
            let mut content = whole.clone();
            content[position] ^= 1;
            disk.plant(&path, content);
            let refused = open(&disk).await;
            assert!(
                matches!(refused, Err(StartError::Corrupt { .. })),
                "damage at {position}"
            );
        }
        for size in 0..whole.len() {
            let disk = disk.fork();
            disk.plant(&path, whole[..size].to_vec());
            assert!(
                matches!(open(&disk).await, Err(StartError::Corrupt { .. })),
                "cut at {size}"
            );
        }
        let (raft, journal) = open(&disk).await.unwrap();
        lead(&raft).await;
        assert_eq!(journal.commands().len(), 6);
    });
}
