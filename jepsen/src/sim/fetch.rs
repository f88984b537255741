//! Fetching: a follower asks from where its log ends, a leader answers by the node's own rules.

use std::sync::Arc;

use bytes::Bytes;
use ottla::broker::fetch_session::PartitionAsk;
use ottla::broker::handler::fetch::read::{PartitionRead, Reader, progress_of, read_led};
use ottla::broker::handler::fetch::{Follower, standing};
use ottla::metadata::BrokerId;
use ottla::replica::following::{Answer, FromLeader, LeaderState};
use ottla::replica::view::View;
use ottla::replica::{Replica, ReplicaKey};
use ottla::wire::error_code::ErrorCode;
use ottla_storage::{LeaderEpoch, Offset};

use super::node::Process;

/// A partition that is fetched.
pub(super) struct Followed {
    pub(super) replica: Arc<Replica>,
    pub(super) leader: BrokerId,
    pub(super) leader_epoch: LeaderEpoch,
    /// The fetch that is out: its number, and from where.
    pub(super) out: Option<(u64, Position)>,
}

/// From where a follower goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) leader_epoch: LeaderEpoch,
    pub(super) offset: Offset,
}

/// What a leader answers.
#[derive(Clone, Debug)]
pub(super) enum Fetched {
    Records {
        bytes: Vec<u8>,
        high_watermark: i64,
        log_start: i64,
    },
    Diverged {
        epoch: i32,
        end: i64,
    },
    OutOfRange {
        start: Offset,
        end: Offset,
    },
    Refused,
}

impl Fetched {
    pub(super) fn is_worth_sending(&self) -> bool {
        !matches!(self, Self::Records { bytes, .. } if bytes.is_empty())
    }
}

/// What the follower asks now; `None` if it has to wait, or follows somebody else.
pub(super) fn ask(followed: &Followed) -> Option<(Position, PartitionAsk)> {
    match &**followed.replica.view() {
        View::Followed(view) if view.leader_epoch == followed.leader_epoch && view.is_fetchable => {
            let (offset, last_epoch) = view.goes_on_at();
            let position = Position {
                leader_epoch: view.leader_epoch,
                offset,
            };
            let ask = PartitionAsk {
                fetch_offset: offset.get(),
                max_bytes: 1 << 20,
                current_leader_epoch: view.leader_epoch.get(),
                last_fetched_epoch: LeaderEpoch::to_wire(last_epoch),
                log_start_offset: view.log.log_start().get(),
            };
            Some((position, ask))
        }
        View::Closed => {
            followed.replica.ask_open();
            None
        }
        _ => None,
    }
}

/// What a process answers to a follower's fetch. `is_first`: the fetch has just come, and shows how far the follower is.
pub(super) fn serve(
    process: &Process,
    key: ReplicaKey,
    ask: &PartitionAsk,
    follower: Follower,
    is_first: bool,
) -> Fetched {
    let image = process.publisher.image();
    let Some(topic) = image.topics().by_id(key.topic) else {
        return Fetched::Refused;
    };
    let Ok(is_eligible) = standing(&image, topic, key.partition.get(), follower, ask) else {
        return Fetched::Refused;
    };
    let Some(replica) = process.replica(key) else {
        return Fetched::Refused;
    };
    if is_first && let View::Led(led) = &**replica.view() {
        let judgement = (is_eligible, image.version());
        if let Some(fetched) = progress_of(led, ask, follower, judgement) {
            replica.follower_fetched(fetched);
        }
    }
    match &**replica.view() {
        View::Led(led) => {
            let reader = Reader {
                is_follower: true,
                is_read_committed: false,
                bytes_left: 1 << 20,
                is_one_batch_due: true,
            };
            match read_led(led, ask, reader) {
                Ok(read) => answer(&read),
                Err(ErrorCode::OffsetOutOfRange) => Fetched::OutOfRange {
                    start: led.log.log_start(),
                    end: led.log.log_end(),
                },
                Err(_) => Fetched::Refused,
            }
        }
        View::Closed => {
            replica.ask_open();
            Fetched::Refused
        }
        View::Followed(_) | View::Refused(_) => Fetched::Refused,
    }
}

fn answer(read: &PartitionRead) -> Fetched {
    if read.diverging_epoch.epoch >= 0 {
        return Fetched::Diverged {
            epoch: read.diverging_epoch.epoch,
            end: read.diverging_epoch.end_offset,
        };
    }
    let bytes = read
        .range
        .as_ref()
        .map(ottla_storage::FileRange::read_to_vec);
    match bytes.transpose() {
        Ok(bytes) => Fetched::Records {
            bytes: bytes.unwrap_or_default(),
            high_watermark: read.high_watermark,
            log_start: read.log_start_offset,
        },
        Err(_) => Fetched::Refused,
    }
}

/// Brings an answer to the follower that asked from `position`.
pub(super) fn hear(replica: &Replica, position: Position, fetched: Fetched) {
    let offset = |raw| Offset::from_wire(raw).unwrap_or_default();
    let answer = match fetched {
        Fetched::Records {
            bytes,
            high_watermark,
            log_start,
        } => Answer::Records {
            records: Bytes::from(bytes),
            state: LeaderState {
                high_watermark: offset(high_watermark),
                log_start: offset(log_start),
            },
        },
        Fetched::Diverged { epoch, end } => {
            let Some(epoch) = LeaderEpoch::from_wire(epoch) else {
                return;
            };
            Answer::Diverged {
                epoch,
                end: offset(end),
            }
        }
        Fetched::OutOfRange { start, end } => Answer::OutOfRange { start, end },
        Fetched::Refused => return,
    };
    replica.leader_said(FromLeader {
        leader_epoch: position.leader_epoch,
        offset: position.offset,
        answer,
    });
}
