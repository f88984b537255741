//! A log against a plain list: appending, truncating, and reading at random come to the same.

use std::path::Path;
use std::sync::Arc;

use ottla_jepsen::disk::SimDisk;
use ottla_storage::LeaderEpoch;
use proptest::prelude::*;

use crate::support::*;

#[derive(Clone, Debug)]
enum Step {
    Append { records: usize },
    Truncate { back: u32 },
    Restart { ahead: u32 },
    Reopen,
    Elect,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1..5_usize).prop_map(|records| Step::Append { records }),
        2 => (0..30_u32).prop_map(|back| Step::Truncate { back }),
        1 => (0..5_u32).prop_map(|ahead| Step::Restart { ahead }),
        1 => Just(Step::Reopen),
        2 => Just(Step::Elect),
    ]
}

/// The log as a list of batches: base offset, leader epoch, values.
#[derive(Debug, Default)]
struct Model {
    start: i64,
    batches: Vec<(i64, u16, Vec<String>)>,
}

impl Model {
    fn end(&self) -> i64 {
        self.batches
            .last()
            .map_or(self.start, |(base, _, values)| base + values.len() as i64)
    }

    fn records(&self) -> Vec<(i64, String)> {
        let batches = self.batches.iter();
        batches
            .flat_map(|(base, _, values)| (*base..).zip(values.iter().cloned()))
            .collect()
    }

    /// R6 and KIP-101: where an epoch ends is where the first batch of a later one begins.
    fn end_of(&self, epoch: u16, latest: u16) -> i64 {
        let later = self.batches.iter().find(|(_, of, _)| *of > epoch);
        match later {
            Some((base, _, _)) if epoch < latest => *base,
            _ => self.end(),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn a_log_is_the_list_of_what_was_appended_and_not_cut(steps in prop::collection::vec(step(), 1..60)) {
        let bench = start(Arc::new(SimDisk::new().mount()), Path::new("/data")).unwrap();
        let config = small_config();
        let mut log = bench.create(key(0), &config).unwrap();
        let mut model = Model::default();
        let (mut leader, mut number) = (0_u16, 0);
        for step in steps {
            match step {
                Step::Append { records } => {
                    let values: Vec<_> = (0..records).map(|_| { number += 1; format!("v{number}") }).collect();
                    let refs: Vec<_> = values.iter().map(String::as_str).collect();
                    append_values(&mut log, epoch(leader), &refs);
                    model.batches.push((model.end(), leader, values));
                }
                Step::Truncate { back } => {
                    let target = log.log_end().saturating_sub(u64::from(back)).max(log.log_start());
                    let end = log.truncate_to(target, arrival().now).unwrap();
                    model.batches.retain(|(base, _, values)| base + values.len() as i64 <= target.get());
                    prop_assert_eq!(end.get(), model.end(), "the whole batch that holds the cut goes");
                    bench.dir.run_pending();
                    prop_assert!(log.is_ready());
                }
                Step::Restart { ahead } => {
                    let start = log.log_end().saturating_add(u64::from(ahead));
                    log.restart_at(start, arrival().now).unwrap();
                    bench.dir.run_pending();
                    model = Model { start: start.get(), batches: Vec::new() };
                }
                Step::Reopen => {
                    bench.close(log);
                    log = bench.create(key(0), &config).unwrap();
                }
                Step::Elect => leader += 1,
            }
            prop_assert_eq!(contents(&log), model.records());
            prop_assert_eq!(log.log_end().get(), model.end());
        }
        let latest = model.batches.last().map_or(0, |(_, epoch, _)| *epoch);
        for (_, of, _) in &model.batches {
            let found = log.view().end_offset_for(LeaderEpoch::from(*of)).unwrap();
            prop_assert_eq!(found.end.get(), model.end_of(*of, latest));
        }
    }
}
