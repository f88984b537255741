//! Promises of the journal. (Its cuts at every byte, with logs behind them, are in `tests/logs`.)

use std::path::Path;

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::fs::{StdFs, read_all};

/// The bytes of format 1, as docs/formats/partition-journal.md describes them. A change here is a new format.
const GOLDEN: &[u8] = include_bytes!("../../tests/golden/partition-journal.v1");

fn key(partition: u32) -> LogKey {
    LogKey {
        log: LogId::new(Uuid::from_u128(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10)),
        partition,
    }
}

fn state(log_end: u32, is_dirty: bool) -> LogState {
    LogState {
        topic: Arc::from("orders"),
        recovery_point: Offset::from(log_end / 2),
        log_end: Offset::from(log_end),
        log_start: Offset::from(3),
        high_watermark: Offset::from(log_end / 3),
        last_epoch: (log_end > 10).then_some(LeaderEpoch::from(7)),
        active_base: Offset::from(log_end / 4),
        active_size: 4096,
        is_dirty,
    }
}

fn golden_entries() -> Vec<Entry> {
    vec![
        Entry::Put(key(0), state(100, true)),
        // A name of more than eight bytes lies in front of its record's fields.
        Entry::Put(
            key(1),
            LogState {
                topic: Arc::from("a-longer-name"),
                ..state(9, false)
            },
        ),
        Entry::Removed(key(0)),
    ]
}

fn encoded(entries: &[Entry]) -> Vec<u8> {
    let mut bytes = header().to_vec();
    for entry in entries {
        bytes.extend(entry.encode().unwrap());
    }
    bytes
}

fn open(dir: &Path) -> Journal {
    let fs: Arc<dyn Fs> = Arc::new(StdFs);
    Journal::open(&fs, dir).unwrap()
}

#[test]
fn format_1_is_what_it_always_was() {
    assert_eq!(encoded(&golden_entries()), GOLDEN);
    let body = decode_header(GOLDEN).unwrap();
    assert_eq!(Records::new(body).collect::<Vec<_>>(), golden_entries());
}

#[test]
fn the_last_record_of_a_log_is_its_state_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path());
    for end in 0..50 {
        journal.put(key(end % 5), state(end, end % 2 == 0)).unwrap();
    }
    journal.remove(key(2)).unwrap();
    let before = journal.logs();
    drop(journal);
    let journal = open(dir.path());
    assert_eq!(journal.logs(), before);
    assert_eq!(
        (journal.len(), journal.state(key(4))),
        (4, Some(state(49, false)))
    );
}

#[test]
fn a_record_is_synced_when_the_journal_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path());
    let first = journal.put(key(0), state(1, true)).unwrap();
    assert!(!journal.is_synced(first));
    journal.sync().unwrap();
    let second = journal.put(key(0), state(2, true)).unwrap();
    assert!(journal.is_synced(first) && !journal.is_synced(second));
}

#[test]
fn a_rewritten_journal_says_the_same_in_less_room_and_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path());
    let size = || {
        read_all(&StdFs, &dir.path().join(FILE_NAME), 1 << 30)
            .unwrap()
            .len()
    };
    for end in 0..20_000 {
        journal.put(key(end % 7), state(end, false)).unwrap();
    }
    assert!(journal.is_compaction_due());
    let large = size();
    journal.compact().unwrap();
    assert!(!journal.is_compaction_due() && size() < large / 100);
    let number = journal.put(key(100), state(1, true)).unwrap();
    journal.sync().unwrap();
    assert!(journal.is_synced(number));
    let before = journal.logs();
    drop(journal);
    assert_eq!(open(dir.path()).logs(), before);
}

/// Records that cores put while the journal is rewritten are in whichever file a crash leaves.
#[test]
fn nothing_put_during_a_rewrite_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Arc::new(open(dir.path()));
    for end in 0..3000 {
        journal.put(key(end % 500), state(end, false)).unwrap();
    }
    let putter = {
        let journal = Arc::clone(&journal);
        std::thread::spawn(move || {
            for end in 0..2000 {
                journal
                    .put(key(1000 + end % 300), state(end, true))
                    .unwrap();
            }
        })
    };
    for _ in 0..5 {
        journal.compact().unwrap();
    }
    putter.join().unwrap();
    let before = journal.logs();
    assert_eq!(before.len(), 800);
    drop(journal);
    assert_eq!(open(dir.path()).logs(), before);
}

#[test]
fn what_is_not_a_journal_or_a_later_one_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let fs: Arc<dyn Fs> = Arc::new(StdFs);
    let path = dir.path().join(FILE_NAME);
    crate::fs::replace(&StdFs, &path, b"certainly not a journal").unwrap();
    assert!(matches!(
        Journal::open(&fs, dir.path()),
        Err(JournalError::NotAJournal { .. })
    ));
    let mut newer = Vec::from(*b"ottlaPJ\n");
    newer.extend(9_u32.to_le_bytes());
    newer.extend(crc32fast::hash(&newer).to_le_bytes());
    crate::fs::replace(&StdFs, &path, &newer).unwrap();
    let error = Journal::open(&fs, dir.path()).unwrap_err();
    assert!(matches!(error, JournalError::Newer { found: 9, .. }));
}

fn entry() -> impl Strategy<Value = Entry> {
    (any::<u32>(), 0..u32::MAX, any::<bool>(), 0..4_u8).prop_map(|(partition, end, dirty, kind)| {
        if kind == 0 {
            Entry::Removed(key(partition))
        } else {
            Entry::Put(key(partition), state(end, dirty))
        }
    })
}

proptest! {
    /// S6 of the journal: every cut and every flipped byte leaves a prefix of the records.
    #[test]
    fn damage_leaves_a_prefix(entries in prop::collection::vec(entry(), 1..12), at in any::<prop::sample::Index>(), flip in 0..=255_u8) {
        let bytes = encoded(&entries);
        let at = format::HEADER_BYTES + at.index(bytes.len() - format::HEADER_BYTES);
        let mut damaged = bytes.clone();
        if flip == 0 { damaged.truncate(at) } else { damaged[at] ^= flip }
        let found: Vec<_> = Records::new(decode_header(&damaged).unwrap()).collect();
        prop_assert_eq!(&found[..], &entries[..found.len()]);
        prop_assert!(found.len() < entries.len() || flip == 0);
    }

    #[test]
    fn any_bytes_decode_to_something_or_nothing(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode_header(&bytes);
        let _ = Records::new(&bytes).count();
    }
}
