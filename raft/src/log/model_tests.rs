//! The log against a model: a vector of entries, cut and reopened at will.

use std::path::PathBuf;
use std::sync::Arc;

use openraft::storage::{RaftLogStorage, RaftLogStorageExt};
use openraft::{EntryPayload, RaftLogReader};
use proptest::prelude::*;

use super::LogStore;
use crate::archive::LogIdRecord;
use crate::config::{IoMode, RaftConfig};
use crate::engine::{Command, Entry, Vote};
use crate::fs::Fs;
use crate::fs::memory::Memory;
use crate::types::{ClusterId, DirectoryId, NodeId};

#[derive(Clone, Debug)]
enum Step {
    /// Commands of these sizes, in a term this much higher.
    Append(Vec<usize>, u64),
    /// Cut this many entries off the end.
    Truncate(usize),
    /// Drop this many entries at the front.
    Purge(usize),
    /// A snapshot this far beyond the end replaces everything.
    Leap(u64),
    Vote(u64),
    Commit(usize),
    Reopen,
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (prop::collection::vec(0..900_usize, 1..8), 0..2_u64)
            .prop_map(|(sizes, rise)| Step::Append(sizes, rise)),
        2 => (0..6_usize).prop_map(Step::Truncate),
        2 => (0..12_usize).prop_map(Step::Purge),
        1 => (0..5_u64).prop_map(Step::Leap),
        1 => (1..4_u64).prop_map(Step::Vote),
        1 => (0..4_usize).prop_map(Step::Commit),
        2 => Just(Step::Reopen),
    ]
}

/// What the log must say.
#[derive(Default)]
struct Model {
    purged: Option<LogIdRecord>,
    entries: Vec<(LogIdRecord, Vec<u8>)>,
    vote: Option<Vote>,
    committed: Option<LogIdRecord>,
    term: u64,
}

impl Model {
    fn last(&self) -> Option<LogIdRecord> {
        self.entries.last().map(|(id, _)| *id).or(self.purged)
    }

    fn next_index(&self) -> u64 {
        self.last().map_or(0, |id| id.index + 1)
    }
}

fn open(fs: &Memory) -> LogStore {
    let mut config = RaftConfig::new(ClusterId::default(), NodeId(1), DirectoryId::default());
    // A few frames per segment.
    config.segment_size = 4 << 10;
    config.io = IoMode::Task {
        delay_max: std::time::Duration::ZERO,
    };
    let fs: Arc<dyn Fs> = Arc::new(fs.clone());
    LogStore::open(&fs, PathBuf::from("/log"), &config, None).unwrap()
}

async fn step(log: &mut LogStore, fs: &Memory, model: &mut Model, step: Step) {
    match step {
        Step::Append(sizes, rise) => {
            model.term += rise;
            let mut entries = Vec::new();
            for size in sizes {
                let id = LogIdRecord {
                    term: model.term,
                    index: model.next_index(),
                };
                let command = vec![u8::try_from(id.index % 251).unwrap(); size];
                model.entries.push((id, command.clone()));
                let payload = EntryPayload::Normal(Command::from_log(command.into()));
                entries.push(Entry {
                    log_id: id.into(),
                    payload,
                });
            }
            log.blocking_append(entries).await.unwrap();
        }
        Step::Truncate(count) => {
            // What is committed is never truncated.
            let committed = model.committed.map(|id| id.index);
            let fixed = model
                .entries
                .iter()
                .filter(|(id, _)| Some(id.index) <= committed)
                .count();
            let keep = model.entries.len().saturating_sub(count).max(fixed);
            if let Some((id, _)) = model.entries.get(keep).cloned() {
                model.entries.truncate(keep);
                // Index and term name an entry: what comes in its place is of a later leader.
                model.term += 1;
                log.truncate(id.into()).await.unwrap();
            }
        }
        Step::Purge(count) => {
            let count = count.min(model.entries.len());
            if let Some((id, _)) = model.entries.drain(..count).next_back() {
                model.purged = Some(id);
                log.purge(id.into()).await.unwrap();
            }
        }
        Step::Leap(distance) => {
            let id = LogIdRecord {
                term: model.term,
                index: model.next_index() + distance,
            };
            model.entries.clear();
            model.purged = Some(id);
            log.purge(id.into()).await.unwrap();
        }
        Step::Vote(rise) => {
            model.term += rise;
            let vote = Vote::new(model.term, NodeId(2));
            model.vote = Some(vote);
            log.save_vote(&vote).await.unwrap();
        }
        Step::Commit(back) => {
            let position = model.entries.len().checked_sub(back + 1);
            if let Some((id, _)) = position.and_then(|position| model.entries.get(position))
                && model
                    .committed
                    .is_none_or(|committed| committed.index < id.index)
            {
                model.committed = Some(*id);
                log.save_committed(Some((*id).into())).await.unwrap();
            }
        }
        Step::Reopen => {
            // A truncation that nothing followed may be forgotten: openraft would repeat it.
            let vote = Vote::new(model.term, NodeId(2));
            model.vote = Some(vote);
            log.save_vote(&vote).await.unwrap();
            log.flush().await.unwrap();
            *log = open(fs);
        }
    }
}

async fn check(log: &mut LogStore, model: &Model) {
    let state = log.get_log_state().await.unwrap();
    assert_eq!(
        state.last_purged_log_id.map(LogIdRecord::from),
        model.purged
    );
    assert_eq!(state.last_log_id.map(LogIdRecord::from), model.last());
    let entries = log.try_get_log_entries(..).await.unwrap();
    let entries: Vec<_> = entries
        .into_iter()
        .map(|entry| match entry.payload {
            EntryPayload::Normal(command) => (entry.log_id.into(), command.bytes.to_vec()),
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(
        entries == model.entries,
        "{} entries, not {}",
        entries.len(),
        model.entries.len()
    );
    assert_eq!(log.read_vote().await.unwrap(), model.vote);
    let committed = log.read_committed().await.unwrap();
    assert_eq!(committed.map(LogIdRecord::from), model.committed);
}

proptest! {
    #[test]
    fn the_log_is_the_model_after_every_step_and_restart(
        steps in prop::collection::vec(any_step(), 1..40),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let fs = Memory::default();
            let mut log = open(&fs);
            let mut model = Model::default();
            for next in steps {
                step(&mut log, &fs, &mut model, next).await;
                check(&mut log, &model).await;
            }
            step(&mut log, &fs, &mut model, Step::Reopen).await;
            check(&mut log, &model).await;
        });
    }
}
