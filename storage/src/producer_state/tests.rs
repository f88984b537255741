//! The producers against a model that remembers every batch ever appended.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::batch::{BatchBuilder, NewRecord, ProducerStamp};

const DAY: Duration = Duration::from_hours(24);

fn id(raw: i64) -> ProducerId {
    ProducerId::from_wire(raw).unwrap()
}

fn epoch(raw: i16) -> ProducerEpoch {
    ProducerEpoch::from_wire(raw).unwrap()
}

fn sequence(raw: i32) -> Sequence {
    Sequence::from_wire(raw).unwrap()
}

/// Producer 7 sends `count` records from sequence `first` on.
fn append(at_epoch: i16, first: i32, count: u32) -> ProducerAppend {
    ProducerAppend {
        id: id(7),
        epoch: epoch(at_epoch),
        first_sequence: sequence(first),
        last_sequence: sequence(first).wrapping_add(count - 1),
        is_transactional: false,
    }
}

fn placed(base: u32, count: u32) -> AppendedBatch {
    AppendedBatch {
        base_offset: Offset::from(base),
        last_offset: Offset::from(base + count - 1),
        timestamp: WallMillis::from_millis(i64::from(base) + 1000),
    }
}

fn batch(base: u32, append: &ProducerAppend, count: u32) -> Vec<u8> {
    let mut builder = BatchBuilder::new()
        .base_offset(Offset::from(base))
        .transactional(append.is_transactional)
        .producer(ProducerStamp {
            id: append.id,
            epoch: append.epoch,
            base_sequence: Some(append.first_sequence),
        });
    for _ in 0..count {
        let timestamp = WallMillis::from_millis(i64::from(base) + 1000);
        builder
            .append(&NewRecord {
                timestamp,
                ..NewRecord::default()
            })
            .unwrap();
    }
    builder.build().unwrap()
}

fn marker(base: u32, at_epoch: i16, is_commit: bool) -> Vec<u8> {
    let stamp = ProducerStamp {
        id: id(7),
        epoch: epoch(at_epoch),
        base_sequence: None,
    };
    let marker = EndTxnMarker {
        is_commit,
        coordinator_epoch: 3,
    };
    let timestamp = WallMillis::from_millis(i64::from(base) + 1000);
    let builder = BatchBuilder::end_txn(stamp, marker, timestamp).unwrap();
    builder.base_offset(Offset::from(base)).build().unwrap()
}

fn check(states: &ProducerStates, append: &ProducerAppend) -> Result<Verdict, ProducerError> {
    states.check(&StagedProducers::new(), append, AppendOrigin::Client)
}

fn add(states: &mut ProducerStates, append: &ProducerAppend, at: AppendedBatch) {
    let mut staged = StagedProducers::new();
    staged.add(states, append, at);
    states.commit(staged, at.last_offset.next());
}

fn replay(states: &mut ProducerStates, bytes: &[u8]) -> Option<CompletedTxn> {
    states.replay(&BatchView::parse(bytes).unwrap()).unwrap()
}

#[test]
fn an_unknown_producer_may_start_anywhere() {
    let states = ProducerStates::new(Offset::ZERO);
    assert_eq!(check(&states, &append(3, 99, 2)), Ok(Verdict::New));
}

#[test]
fn a_new_epoch_starts_at_zero_and_fences_the_old_one() {
    let mut states = ProducerStates::new(Offset::ZERO);
    add(&mut states, &append(3, 5, 2), placed(0, 2));
    let refused = check(&states, &append(4, 7, 1));
    assert!(matches!(
        refused,
        Err(ProducerError::OutOfOrderSequence { .. })
    ));
    assert_eq!(check(&states, &append(4, 0, 1)), Ok(Verdict::New));
    add(&mut states, &append(4, 0, 1), placed(2, 1));
    let refused = check(&states, &append(3, 7, 1));
    assert!(matches!(refused, Err(ProducerError::InvalidEpoch { .. })));
}

#[test]
fn the_last_five_batches_are_recognised() {
    let mut states = ProducerStates::new(Offset::ZERO);
    for i in 0..7 {
        let first = i32::try_from(i).unwrap() * 2;
        add(&mut states, &append(0, first, 2), placed(i * 2, 2));
    }
    for i in 2..7 {
        let first = i32::try_from(i).unwrap() * 2;
        let found = check(&states, &append(0, first, 2));
        assert_eq!(found, Ok(Verdict::Duplicate(placed(i * 2, 2))));
    }
    let refused = check(&states, &append(0, 2, 2));
    assert!(matches!(
        refused,
        Err(ProducerError::OutOfOrderSequence { .. })
    ));
    // The same first sequence with another length is no retry.
    let refused = check(&states, &append(0, 12, 1));
    assert!(matches!(
        refused,
        Err(ProducerError::OutOfOrderSequence { .. })
    ));
}

#[test]
fn sequences_go_on_over_the_wrap() {
    let mut states = ProducerStates::new(Offset::ZERO);
    let across = append(0, i32::MAX - 1, 4);
    assert_eq!(across.last_sequence, sequence(1));
    add(&mut states, &across, placed(0, 4));
    assert_eq!(
        check(&states, &across),
        Ok(Verdict::Duplicate(placed(0, 4)))
    );
    assert_eq!(check(&states, &append(0, 2, 1)), Ok(Verdict::New));
    let reloaded =
        ProducerStates::decode(&states.encode(), Offset::from(4_u32), WallMillis::ZERO, DAY);
    assert_eq!(
        check(&reloaded.unwrap(), &across),
        Ok(Verdict::Duplicate(placed(0, 4)))
    );
}

/// Two batches of one group: the second follows the first, a retry of the first is a duplicate of
/// it, and if the write fails nothing has happened.
#[test]
fn a_group_sees_what_it_prepared_and_leaves_no_trace_if_it_fails() {
    let mut states = ProducerStates::new(Offset::ZERO);
    let (first, second) = (append(0, 0, 2), append(0, 2, 3));
    add(&mut states, &first, placed(0, 2));
    let before = states.clone();
    let mut staged = StagedProducers::new();
    staged.add(&states, &second, placed(2, 3));
    let third = append(0, 5, 1);
    let check = |states: &ProducerStates, staged: &StagedProducers, append| {
        states.check(staged, append, AppendOrigin::Client)
    };
    assert_eq!(check(&states, &staged, &third), Ok(Verdict::New));
    assert_eq!(
        check(&states, &staged, &second),
        Ok(Verdict::Duplicate(placed(2, 3)))
    );
    assert!(check(&states, &StagedProducers::new(), &third).is_err());
    drop(staged.clone());
    assert_eq!(states, before);
    states.commit(staged, Offset::from(5_u32));
    assert_eq!(
        check(&states, &StagedProducers::new(), &third),
        Ok(Verdict::New)
    );
    assert_eq!(states.end(), Offset::from(5_u32));
}

#[test]
fn a_coordinator_is_held_to_its_epoch_only() {
    let mut states = ProducerStates::new(Offset::ZERO);
    add(&mut states, &append(3, 0, 1), placed(0, 1));
    let check = |append: &ProducerAppend| {
        states.check(&StagedProducers::new(), append, AppendOrigin::Coordinator)
    };
    assert_eq!(check(&append(3, 0, 1)), Ok(Verdict::New));
    assert_eq!(check(&append(3, 9, 1)), Ok(Verdict::New));
    assert!(check(&append(2, 0, 1)).is_err());
}

#[test]
fn a_marker_ends_the_transaction_and_raises_the_epoch() {
    let mut states = ProducerStates::new(Offset::ZERO);
    let inside = ProducerAppend {
        is_transactional: true,
        ..append(1, 0, 2)
    };
    assert_eq!(replay(&mut states, &batch(10, &inside, 2)), None);
    assert_eq!(states.first_open_transaction(), Some(Offset::from(10_u32)));
    let outside = append(1, 2, 1);
    let refused = Err(ProducerError::InvalidTxnState { id: id(7) });
    assert_eq!(check(&states, &outside), refused);
    let more = ProducerAppend {
        is_transactional: true,
        ..outside
    };
    assert_eq!(replay(&mut states, &batch(12, &more, 1)), None);
    assert_eq!(states.first_open_transaction(), Some(Offset::from(10_u32)));

    let completed = replay(&mut states, &marker(13, 2, false)).unwrap();
    assert_eq!(completed.first_offset, Offset::from(10_u32));
    assert_eq!(completed.last_offset, Offset::from(13_u32));
    assert!(!completed.is_commit);
    assert_eq!(states.first_open_transaction(), None);
    assert_eq!(states.end(), Offset::from(14_u32));
    let entry = states.get(id(7)).unwrap();
    assert_eq!(
        (entry.coordinator_epoch(), entry.epoch()),
        (3, Some(epoch(2)))
    );
    // Nothing of the new epoch is there yet: it starts at 0.
    assert_eq!(check(&states, &append(2, 0, 1)), Ok(Verdict::New));
    assert!(check(&states, &append(2, 3, 1)).is_err());
    assert_eq!(replay(&mut states, &marker(14, 2, true)), None);
}

#[test]
fn only_idle_producers_expire() {
    let mut states = ProducerStates::new(Offset::ZERO);
    let open = ProducerAppend {
        id: id(8),
        is_transactional: true,
        ..append(0, 0, 1)
    };
    add(&mut states, &append(0, 0, 1), placed(0, 1));
    add(&mut states, &open, placed(1, 1));
    let due = WallMillis::from_millis(1000).saturating_add(DAY);
    assert_eq!(
        states.expire(due.saturating_sub(Duration::from_millis(1)), DAY),
        0
    );
    assert_eq!(states.expire(due.saturating_add(DAY), DAY), 1);
    assert!(states.get(id(7)).is_none() && states.get(id(8)).is_some());
}

/// Field by field as docs/formats/producer-snapshot.md says.
#[test]
fn a_snapshot_is_kafkas_bytes() {
    let mut states = ProducerStates::new(Offset::ZERO);
    add(&mut states, &append(3, 5, 2), placed(40, 2));
    let bytes = states.encode();
    assert_eq!(bytes.len(), 6 + 4 + 46);
    assert_eq!(bytes[..2], [0, 1]);
    assert_eq!(bytes[6..10], [0, 0, 0, 1]);
    assert_eq!(bytes[10..18], 7_i64.to_be_bytes());
    assert_eq!(bytes[18..20], 3_i16.to_be_bytes());
    assert_eq!(bytes[20..24], 6_i32.to_be_bytes());
    assert_eq!(bytes[24..32], 41_i64.to_be_bytes());
    assert_eq!(bytes[32..36], 1_i32.to_be_bytes());
    assert_eq!(bytes[36..44], 1040_i64.to_be_bytes());
    assert_eq!(bytes[44..48], (-1_i32).to_be_bytes());
    assert_eq!(bytes[48..56], (-1_i64).to_be_bytes());
}

#[test]
fn a_damaged_snapshot_is_refused() {
    let mut states = ProducerStates::new(Offset::ZERO);
    add(&mut states, &append(3, 5, 2), placed(40, 2));
    let good = states.encode();
    let decode = |bytes: &[u8]| ProducerStates::decode(bytes, Offset::ZERO, WallMillis::ZERO, DAY);
    assert_eq!(decode(&good).unwrap().get(id(7)), states.get(id(7)));
    for cut in 0..good.len() {
        assert!(decode(&good[..cut]).is_err(), "cut at {cut}");
    }
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1;
        assert!(decode(&bad).is_err(), "damage at {at}");
    }
}

/// All batches that were ever appended, and nothing else.
#[derive(Clone, Debug, Default)]
struct Model {
    batches: BTreeMap<i64, Vec<(ProducerAppend, AppendedBatch)>>,
    end: u32,
}

#[derive(Debug, PartialEq, Eq)]
enum Expected {
    New,
    Duplicate(AppendedBatch),
    Epoch,
    Sequence,
}

impl Model {
    fn check(&self, append: &ProducerAppend) -> Expected {
        let Some((last, _)) = self
            .batches
            .get(&append.id.get())
            .and_then(|all| all.last())
        else {
            return Expected::New;
        };
        let all = &self.batches[&append.id.get()];
        let current: Vec<_> = all.iter().filter(|(b, _)| b.epoch == last.epoch).collect();
        let recent = current.iter().rev().take(5);
        let mut same = recent.filter(|(b, _)| {
            b.epoch == append.epoch
                && b.first_sequence == append.first_sequence
                && b.last_sequence == append.last_sequence
        });
        if let Some((_, at)) = same.next() {
            return Expected::Duplicate(*at);
        }
        if append.epoch < last.epoch {
            return Expected::Epoch;
        }
        let expected = if append.epoch == last.epoch {
            last.last_sequence.next()
        } else {
            Sequence::ZERO
        };
        if append.first_sequence == expected {
            Expected::New
        } else {
            Expected::Sequence
        }
    }

    fn add(&mut self, append: &ProducerAppend, count: u32) -> AppendedBatch {
        let at = placed(self.end, count);
        self.end += count;
        self.batches
            .entry(append.id.get())
            .or_default()
            .push((*append, at));
        at
    }
}

fn outcome(found: Result<Verdict, ProducerError>) -> Expected {
    match found {
        Ok(Verdict::New) => Expected::New,
        Ok(Verdict::Duplicate(at)) => Expected::Duplicate(at),
        Err(ProducerError::InvalidEpoch { .. }) => Expected::Epoch,
        Err(ProducerError::OutOfOrderSequence { .. }) => Expected::Sequence,
        Err(ProducerError::InvalidTxnState { .. }) => unreachable!("no transactions here"),
    }
}

/// A batch that a producer may send: the next one, an old one, or nonsense.
#[derive(Clone, Debug)]
struct Attempt {
    producer: i64,
    back: usize,
    epoch_step: i16,
    skew: u32,
    count: u32,
}

fn attempt() -> impl Strategy<Value = Attempt> {
    let epoch_step = prop_oneof![8 => Just(0_i16), 1 => Just(1), 1 => Just(-1)];
    let skew = prop_oneof![8 => Just(0_u32), 1 => 1..3_u32];
    (0..3_i64, 0..8_usize, epoch_step, skew, 1..4_u32).prop_map(
        |(producer, back, epoch_step, skew, count)| Attempt {
            producer,
            back,
            epoch_step,
            skew,
            count,
        },
    )
}

impl Attempt {
    fn resolve(&self, model: &Model) -> (ProducerAppend, u32) {
        let sent = model.batches.get(&self.producer).map_or(&[][..], |all| all);
        let count = self.count;
        if let Some((old, at)) = self
            .back
            .checked_sub(1)
            .and_then(|back| sent.iter().rev().nth(back))
        {
            let count = at.last_offset.since(at.base_offset).unwrap() + 1;
            return (*old, u32::try_from(count).unwrap());
        }
        // Close to the wrap, so that it happens.
        let start = (0, sequence(i32::MAX - 4));
        let (at_epoch, next) = sent
            .last()
            .map_or(start, |(b, _)| (b.epoch.get(), b.last_sequence.next()));
        let next = if self.epoch_step > 0 {
            Sequence::ZERO
        } else {
            next
        };
        let first_sequence = next.wrapping_add(self.skew);
        let append = ProducerAppend {
            id: id(self.producer),
            epoch: epoch((at_epoch + self.epoch_step).max(0)),
            first_sequence,
            last_sequence: first_sequence.wrapping_add(count - 1),
            is_transactional: false,
        };
        (append, count)
    }
}

proptest! {
    /// Groups of appends, some of which fail to be written, against the model; and property 11: the
    /// state equals a replay of the log.
    #[test]
    fn it_agrees_with_the_model(
        groups in vec((vec(attempt(), 1..6), prop::bool::weighted(0.8)), 1..25),
    ) {
        let mut model = Model::default();
        let mut states = ProducerStates::new(Offset::ZERO);
        let mut log = Vec::new();
        for (attempts, is_written) in groups {
            let (mut staged, mut ahead, mut bytes) = (StagedProducers::new(), model.clone(), vec![]);
            for attempt in attempts {
                let (append, count) = attempt.resolve(&ahead);
                let found = outcome(states.check(&staged, &append, AppendOrigin::Client));
                prop_assert_eq!(&found, &ahead.check(&append));
                if found == Expected::New {
                    let at = ahead.add(&append, count);
                    staged.add(&states, &append, at);
                    bytes.push(batch(ahead.end - count, &append, count));
                }
            }
            if is_written {
                model = ahead;
                states.commit(staged, Offset::from(model.end));
                log.extend(bytes);
            }
        }
        let mut replayed = ProducerStates::new(Offset::ZERO);
        for bytes in &log {
            replay(&mut replayed, bytes);
        }
        prop_assert_eq!(&replayed, &states);

        let reloaded =
            ProducerStates::decode(&states.encode(), states.end(), WallMillis::ZERO, DAY).unwrap();
        prop_assert_eq!(reloaded.encode(), states.encode());
        for (producer, entry) in states.iter() {
            let loaded = reloaded.get(producer).unwrap();
            prop_assert_eq!(loaded.last_batch(), entry.last_batch());
            prop_assert_eq!(loaded.last_sequence(), entry.last_sequence());
            prop_assert_eq!(loaded.epoch(), entry.epoch());
        }
    }

    #[test]
    fn noise_is_no_snapshot(bytes in vec(any::<u8>(), 0..120), with_crc in any::<bool>()) {
        let mut bytes = bytes;
        if with_crc && bytes.len() > 6 {
            let crc = crc32c::crc32c(&bytes[6..]).to_be_bytes();
            bytes[..2].copy_from_slice(&[0, 1]);
            bytes[2..6].copy_from_slice(&crc);
        }
        let _ = ProducerStates::decode(&bytes, Offset::ZERO, WallMillis::ZERO, DAY);
    }
}
