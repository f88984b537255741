//! Producers: what they send, and what they were told.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::Waker;

use bytes::BytesMut;
use ottla::replica::request::{
    Acks, AskedBy, Asker, Batch, DeleteRecords, Done, Produce, Request, RequestError, Submission,
    Writer,
};
use ottla::replica::{Replica, ReplicaKey};
use ottla_storage::batch::{BatchBuilder, NewRecord};
use ottla_storage::time::MonoMillis;
use ottla_storage::{Clock as _, Offset};

use super::node::SimClock;
use crate::rng::Rng;

/// What a process answered to a client: by which process, to what, and how.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) node: usize,
    pub(super) key: ReplicaKey,
    pub(super) to_all: bool,
    pub(super) records: u64,
    pub(super) crc: u32,
    /// `None` for a deletion.
    pub(super) done: Option<Done>,
}

/// Where answers are collected until the step is over.
#[derive(Debug, Default)]
pub(super) struct Ears(Mutex<Vec<Told>>);

impl Ears {
    pub(super) fn take(&self) -> Vec<Told> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[derive(Debug)]
struct Client {
    ears: Arc<Ears>,
    told: Told,
}

impl Asker for Client {
    fn decided(&self, _part: usize, outcome: Result<Done, RequestError>) {
        let told = Told {
            done: outcome.ok(),
            ..self.told.clone()
        };
        let mut all = self.ears.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(told);
    }
}

/// A batch that nobody else sends.
pub(super) fn batch(clock: &SimClock, number: u64, rng: &mut Rng) -> (BytesMut, u64) {
    let records = 1 + rng.below(3);
    let mut builder = BatchBuilder::new();
    for record in 0..records {
        let value = format!("{number}-{record}");
        let new = NewRecord {
            timestamp: clock.wall(),
            key: None,
            value: Some(value.as_bytes()),
            headers: &[],
        };
        // A few bytes always fit.
        let _ = builder.append(&new);
    }
    let bytes = builder.build().unwrap_or_default();
    (BytesMut::from(&bytes[..]), records)
}

/// Sends a batch to a replica that may or may not lead.
pub(super) fn produce(
    replica: &Replica,
    (node, ears): (usize, &Arc<Ears>),
    (bytes, records): (BytesMut, u64),
    to_all: bool,
    deadline: MonoMillis,
) {
    let crc = super::log_content::parse(&bytes)
        .ok()
        .and_then(|batches| batches.first().map(|batch| batch.crc));
    let told = Told {
        node,
        key: replica.key(),
        to_all,
        records,
        crc: crc.unwrap_or_default(),
        done: None,
    };
    let request = Request::Produce(Produce {
        batch: Batch {
            writer: Writer::Client,
            bytes,
            accepts_zstd: true,
            holding: None,
        },
        acks: if to_all { Acks::All } else { Acks::Leader },
        deadline,
        by: asked_by(ears, told),
    });
    submit(replica, request);
}

/// Asks a replica to drop what is below its high watermark, or below `before`.
pub(super) fn delete(
    replica: &Replica,
    (node, ears): (usize, &Arc<Ears>),
    before: Option<Offset>,
    deadline: MonoMillis,
) {
    let told = Told {
        node,
        key: replica.key(),
        to_all: false,
        records: 0,
        crc: 0,
        done: None,
    };
    submit(
        replica,
        Request::DeleteRecords(DeleteRecords {
            before,
            deadline,
            by: asked_by(ears, told),
        }),
    );
}

fn asked_by(ears: &Arc<Ears>, told: Told) -> AskedBy {
    AskedBy {
        asker: Arc::new(Client {
            ears: ears.clone(),
            told,
        }),
        part: 0,
    }
}

fn submit(replica: &Replica, request: Request) {
    let mut submission = Submission::from(request);
    // Full is refused: the client hears nothing, which is what it hears of a node that is busy.
    let _ = replica.poll_submit(&mut submission, Waker::noop());
}
