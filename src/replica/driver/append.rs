//! Appending: neighbouring produces share one write.
//!
//! - Prepare each, write once, commit; a failed or short write fails the group, and no producer of it hears of
//!   success.

use ottla_storage::log::{LeaderAppend, PartitionLog, PrepareError, Prepared};
use ottla_storage::producer_state::AppendOrigin;
use ottla_storage::time::{MonoMillis, WallMillis};
use ottla_storage::validate::{Arrival, Policy};
use ottla_storage::{LeaderEpoch, Offset};

use super::super::core::effect::{self, Acks, Ticket};
use super::super::request::{Batch, Done, RequestError, Writer};
use super::{Driver, Log, Turn};

/// A batch that is to be appended with its neighbours.
#[derive(Debug)]
pub(super) struct ToAppend {
    pub(super) ticket: Ticket,
    pub(super) acks: Acks,
    pub(super) deadline: MonoMillis,
    pub(super) leader_epoch: LeaderEpoch,
    pub(super) batch: Batch,
    pub(super) result: Option<Result<Prepared, RequestError>>,
}

impl Driver {
    /// Appends the produces that came one after the other, in as few writes as their bytes allow.
    pub(super) fn append_group(&mut self, now: MonoMillis) {
        let mut appends = std::mem::take(&mut self.turn.appends);
        let mut start = 0;
        while let Some(rest) = appends.get_mut(start..).filter(|rest| !rest.is_empty()) {
            let Log::Open(log) = &mut self.log else { break };
            let count = append_one_group(
                log,
                rest,
                self.clock.wall(),
                &self.config.policy,
                &mut self.turn,
            );
            let log_start = log.log_start();
            self.moved(now);
            for append in rest.iter_mut().take(count) {
                self.appended(now, append, log_start);
            }
            start += count;
        }
        debug_assert_eq!(start, appends.len(), "the core appends only to an open log");
        appends.clear();
        self.turn.appends = appends;
    }

    fn appended(&mut self, now: MonoMillis, append: &mut ToAppend, log_start: Offset) {
        let (ticket, acks, deadline) = (append.ticket, append.acks, append.deadline);
        let (at, log_append_time) = match append.result.take() {
            Some(Ok(Prepared::Append {
                at,
                log_append_time,
            })) => (at, log_append_time),
            Some(Ok(Prepared::Duplicate { at })) => (at, None),
            Some(Err(error)) => return self.turn.answers.push((ticket, Err(error))),
            None => return,
        };
        if let Some(asked) = self.asked.get_mut(&ticket) {
            let leader_epoch = append.leader_epoch;
            let base_offset = at.base_offset;
            asked.done = Some(Done {
                base_offset,
                log_append_time,
                log_start,
                leader_epoch,
            });
        }
        let end = at.last_offset.next();
        self.decide(
            now,
            effect::Event::Appended {
                ticket,
                acks,
                deadline,
                end,
            },
        );
    }
}

/// Prepares as many batches from the front as one group takes, writes and commits them; how many.
///
/// Each that was taken has a result afterwards.
fn append_one_group(
    log: &mut PartitionLog,
    appends: &mut [ToAppend],
    now: WallMillis,
    policy: &Policy,
    turn: &mut Turn,
) -> usize {
    let mut count = 0;
    let mut group = log.begin();
    // It is validated by who made it, and only a segment limits it.
    let own = Policy {
        message_size_max: policy.segment_size_max,
        compression: None,
        ..*policy
    };
    for append in appends.iter_mut() {
        let (policy, origin) = match append.batch.writer {
            Writer::Client => (policy, AppendOrigin::Client),
            Writer::Coordinator(_) => (&own, AppendOrigin::Coordinator),
        };
        let leader_append = LeaderAppend {
            batch: &mut append.batch.bytes,
            policy,
            arrival: Arrival {
                now,
                accepts_zstd: append.batch.accepts_zstd,
            },
            leader_epoch: append.leader_epoch,
            origin,
        };
        match log.prepare(&mut group, leader_append) {
            Err(PrepareError::GroupFull) if count > 0 => break,
            result => append.result = Some(result.map_err(RequestError::from)),
        }
        count += 1;
    }
    match log.write(&group) {
        Ok(()) => turn.appended_bytes += log.commit(group).bytes,
        Err(error) => {
            drop(group);
            for append in appends.iter_mut().take(count) {
                // A duplicate may be one of a batch of this very group, so it fails as well.
                if matches!(append.result, Some(Ok(_))) {
                    append.result = Some(Err(RequestError::from(&error)));
                }
            }
        }
    }
    count
}
