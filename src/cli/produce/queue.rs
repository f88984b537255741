//! The records of one partition on their way to its leader.
//!
//! - One batch is on the wire at a time and a batch goes only after the one before it was answered:
//!   retries keep the order, and sequences have no gaps.
//! - A batch that was sent once is sent again as the same bytes, sequence included, so that the
//!   broker recognises what it has already.
//! - The next sequence moves on only when the broker has taken a batch.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use ottla_storage::batch::{
    BatchBuilder, BatchView, BuildError, Compression, CompressionLevels, NewRecord, ProducerStamp,
};
use ottla_storage::time::MonoMillis;
use ottla_storage::{ProducerEpoch, ProducerId, Sequence};

/// When a batch is closed, and how it is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    /// Bytes of records at which a batch is full.
    pub(super) size: usize,
    pub(super) linger: Duration,
    pub(super) codec: Compression,
}

/// A batch that is closed, with its bytes once it was sent.
#[derive(Debug)]
struct Batch {
    builder: BatchBuilder,
    opened_at: MonoMillis,
    encoded: Option<Bytes>,
}

#[derive(Debug)]
pub(super) struct Queue {
    shape: Shape,
    open: Option<Batch>,
    closed: VecDeque<Batch>,
    /// The batch on the wire.
    sent: Option<Batch>,
    next_sequence: Sequence,
    /// Uncompressed bytes of all batches above.
    buffered: usize,
    /// Not before this time: the last try failed.
    retry_at: Option<MonoMillis>,
}

impl Batch {
    fn new(now: MonoMillis) -> Self {
        Self {
            builder: BatchBuilder::new(),
            opened_at: now,
            encoded: None,
        }
    }

    fn size(&self) -> usize {
        self.builder.size_uncompressed()
    }
}

impl Queue {
    pub(super) fn new(shape: Shape) -> Self {
        Self {
            shape,
            open: None,
            closed: VecDeque::new(),
            sent: None,
            next_sequence: Sequence::ZERO,
            buffered: 0,
            retry_at: None,
        }
    }

    /// Adds a record; true if that filled a batch.
    pub(super) fn push(
        &mut self,
        record: &NewRecord<'_>,
        now: MonoMillis,
    ) -> Result<bool, BuildError> {
        let size_before = self.open.as_ref().map_or(0, Batch::size);
        let open = self.open.get_or_insert_with(|| Batch::new(now));
        open.builder.append(record)?;
        let size = open.size();
        self.buffered += size.saturating_sub(size_before);
        let is_full = size >= self.shape.size;
        if is_full {
            self.close();
        }
        Ok(is_full)
    }

    fn close(&mut self) {
        self.closed.extend(self.open.take());
    }

    pub(super) fn buffered(&self) -> usize {
        self.buffered
    }

    pub(super) fn is_empty(&self) -> bool {
        self.open.is_none() && self.closed.is_empty() && self.sent.is_none()
    }

    /// When a batch may go: `None` while there is nothing to send or one is on the wire.
    pub(super) fn ready_at(&self, is_flushing: bool) -> Option<MonoMillis> {
        if self.sent.is_some() {
            return None;
        }
        let linger = if is_flushing {
            Duration::ZERO
        } else {
            self.shape.linger
        };
        let first = match (self.closed.front(), &self.open) {
            (Some(batch), _) => batch.opened_at,
            (None, Some(batch)) => batch.opened_at.saturating_add(linger),
            (None, None) => return None,
        };
        Some(self.retry_at.map_or(first, |retry_at| retry_at.max(first)))
    }

    /// The bytes of the next batch, which is on the wire from now on. `None` if there is none.
    pub(super) fn take(
        &mut self,
        producer: Option<(ProducerId, ProducerEpoch)>,
    ) -> Result<Option<Bytes>, BuildError> {
        if self.sent.is_some() {
            return Ok(None);
        }
        if self.closed.is_empty() {
            self.close();
        }
        let Some(mut batch) = self.closed.pop_front() else {
            return Ok(None);
        };
        let bytes = match &batch.encoded {
            Some(bytes) => bytes.clone(),
            None => self.encode(&batch.builder, producer)?,
        };
        batch.encoded = Some(bytes.clone());
        self.sent = Some(batch);
        Ok(Some(bytes))
    }

    fn encode(
        &self,
        builder: &BatchBuilder,
        producer: Option<(ProducerId, ProducerEpoch)>,
    ) -> Result<Bytes, BuildError> {
        let levels = CompressionLevels::default();
        let mut builder = builder.clone().compression(self.shape.codec, levels);
        if let Some((id, epoch)) = producer {
            let base_sequence = Some(self.next_sequence);
            builder = builder.producer(ProducerStamp {
                id,
                epoch,
                base_sequence,
            });
        }
        Ok(Bytes::from(builder.build()?))
    }

    /// The broker has the batch. Returns how many records that are.
    pub(super) fn acknowledged(&mut self) -> Option<usize> {
        let records = self.settled()?;
        let count = u32::try_from(records).unwrap_or(u32::MAX);
        self.next_sequence = self.next_sequence.wrapping_add(count);
        Some(records)
    }

    /// The broker does not want the batch, now or ever; nothing of it is in the log.
    pub(super) fn refused(&mut self) -> Option<usize> {
        self.settled()
    }

    fn settled(&mut self) -> Option<usize> {
        let batch = self.sent.take()?;
        self.retry_at = None;
        self.buffered = self.buffered.saturating_sub(batch.size());
        Some(batch.builder.record_count())
    }

    /// To be sent again, unchanged, at `retry_at`. Returns since when the batch waits.
    pub(super) fn retry(&mut self, retry_at: MonoMillis) -> Option<MonoMillis> {
        let batch = self.sent.take()?;
        let opened_at = batch.opened_at;
        self.closed.push_front(batch);
        self.retry_at = Some(retry_at);
        Some(opened_at)
    }

    /// To be sent again as two, because one is too large. False if it is a single record.
    pub(super) fn split(&mut self) -> bool {
        let Some(batch) = self.sent.take_if(|batch| batch.builder.record_count() > 1) else {
            return false;
        };
        let Some([first, second]) = halves(&batch) else {
            self.sent = Some(batch);
            return false;
        };
        self.buffered += (first.size() + second.size()).saturating_sub(batch.size());
        self.closed.push_front(second);
        self.closed.push_front(first);
        true
    }
}

/// The records of a batch that this program has built, in two batches.
fn halves(batch: &Batch) -> Option<[Batch; 2]> {
    let plain = batch.builder.clone().build().ok()?;
    let view = BatchView::parse(&plain).ok()?;
    let records = view.records(plain.len()).ok()?;
    let middle = batch.builder.record_count() / 2;
    let mut halves = [Batch::new(batch.opened_at), Batch::new(batch.opened_at)];
    for (index, record) in records.iter().enumerate() {
        let record = record.ok()?;
        let headers: Vec<_> = record
            .headers
            .into_iter()
            .map(|h| (h.key, h.value))
            .collect();
        let [first, second] = &mut halves;
        let half = if index < middle { first } else { second };
        half.builder
            .append(&NewRecord {
                timestamp: record.timestamp,
                key: record.key,
                value: record.value,
                headers: &headers,
            })
            .ok()?;
    }
    Some(halves)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape = Shape {
        size: 200,
        linger: Duration::from_millis(5),
        codec: Compression::None,
    };

    fn at(millis: u64) -> MonoMillis {
        MonoMillis::from_millis(millis)
    }

    fn push(queue: &mut Queue, value: &[u8]) -> bool {
        let record = NewRecord {
            value: Some(value),
            ..NewRecord::default()
        };
        queue.push(&record, at(0)).unwrap()
    }

    const PRODUCER: Option<(ProducerId, ProducerEpoch)> =
        Some((ProducerId::ZERO, ProducerEpoch::ZERO));

    fn sequence(bytes: &Bytes) -> i32 {
        let view = BatchView::parse(bytes).unwrap();
        Sequence::to_wire(view.header().base_sequence())
    }

    #[test]
    fn a_batch_goes_when_it_is_full_or_has_lingered() {
        let mut queue = Queue::new(SHAPE);
        assert_eq!(queue.ready_at(false), None);
        assert!(!push(&mut queue, b"one"));
        assert_eq!(queue.ready_at(false), Some(at(5)));
        assert_eq!(queue.ready_at(true), Some(at(0)));
        assert!(push(&mut queue, &[b'x'; 200]));
        assert_eq!(queue.ready_at(false), Some(at(0)));
    }

    #[test]
    fn one_batch_is_on_the_wire_at_a_time() {
        let mut queue = Queue::new(SHAPE);
        push(&mut queue, &[b'x'; 200]);
        push(&mut queue, &[b'y'; 200]);
        assert!(queue.take(None).unwrap().is_some());
        assert_eq!(queue.ready_at(true), None);
        assert_eq!(queue.take(None).unwrap(), None);
        queue.acknowledged();
        assert!(queue.take(None).unwrap().is_some());
    }

    #[test]
    fn a_retry_sends_the_same_bytes() {
        let mut queue = Queue::new(SHAPE);
        push(&mut queue, b"one");
        let first = queue.take(PRODUCER).unwrap().unwrap();
        assert_eq!(queue.retry(at(100)), Some(at(0)));
        assert_eq!(queue.ready_at(true), Some(at(100)));
        push(&mut queue, b"two");
        assert_eq!(queue.take(PRODUCER).unwrap().unwrap(), first);
    }

    #[test]
    fn sequences_count_what_the_broker_has_taken() {
        let mut queue = Queue::new(SHAPE);
        push(&mut queue, b"one");
        push(&mut queue, b"two");
        assert_eq!(sequence(&queue.take(PRODUCER).unwrap().unwrap()), 0);
        assert_eq!(queue.acknowledged(), Some(2));
        push(&mut queue, b"refused");
        assert_eq!(sequence(&queue.take(PRODUCER).unwrap().unwrap()), 2);
        assert_eq!(queue.refused(), Some(1));
        push(&mut queue, b"three");
        assert_eq!(sequence(&queue.take(PRODUCER).unwrap().unwrap()), 2);
    }

    #[test]
    fn a_batch_that_is_too_large_goes_as_two_in_order() {
        let mut queue = Queue::new(SHAPE);
        for value in [b"1", b"2", b"3"] {
            push(&mut queue, value);
        }
        queue.take(PRODUCER).unwrap();
        assert!(queue.split());
        let mut values = Vec::new();
        let mut sequences = Vec::new();
        while let Some(bytes) = queue.take(PRODUCER).unwrap() {
            sequences.push(sequence(&bytes));
            let view = BatchView::parse(&bytes).unwrap();
            for record in &view.records(1000).unwrap() {
                values.extend_from_slice(record.unwrap().value.unwrap());
            }
            queue.acknowledged();
        }
        assert_eq!(
            (values.as_slice(), sequences.as_slice()),
            (&b"123"[..], &[0, 1][..])
        );
        assert!(queue.is_empty());
        assert_eq!(queue.buffered(), 0);
    }

    #[test]
    fn a_single_record_cannot_be_split() {
        let mut queue = Queue::new(SHAPE);
        push(&mut queue, b"one");
        queue.take(None).unwrap();
        assert!(!queue.split());
        assert_eq!(queue.refused(), Some(1));
    }
}
