//! The task that fetches from one leader.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ottla_storage::planted::is_planted;
use ottla_storage::{LeaderEpoch, Offset};
use tokio::sync::mpsc;

use super::Settings;
use super::exchange::{self, ExchangeError};
use super::partitions::{Partitions, position};
use super::session::{Position, Session};
use crate::clock;
use crate::metadata::{BrokerId, PartitionIndex, TopicId};
use crate::net::peer::PeerConnection;
use crate::replica::ReplicaKey;
use crate::replica::following::{Answer, FetchOrder, FromLeader, LeaderState};
use crate::wire::api::ApiKey;
use crate::wire::error_code::ErrorCode;
use crate::wire::messages::fetch::{FetchResponse, PartitionData};
use crate::wire::records::Records;

/// The first and the longest pause after a leader could not be reached.
const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// How long the others wait for a partition that is about to be ready, and how soon it is looked at again.
const BUSY: Duration = Duration::from_millis(10);
/// How long a node that is not registered waits.
const UNREGISTERED: Duration = Duration::from_millis(20);

struct Leader {
    settings: Rc<Settings>,
    id: BrokerId,
    orders: mpsc::UnboundedReceiver<FetchOrder>,
    partitions: Partitions,
    session: Session,
    connection: Option<Arc<PeerConnection>>,
    pause: Duration,
}

/// Why a round ended without an answer.
enum Interrupted {
    /// Nobody gives orders any more.
    Ended,
    /// There is something new to fetch.
    NewOrder,
    Failed(ExchangeError),
}

/// Runs until nobody gives orders any more.
pub(super) async fn run(
    settings: Rc<Settings>,
    id: BrokerId,
    orders: mpsc::UnboundedReceiver<FetchOrder>,
) {
    let mut leader = Leader {
        settings,
        id,
        orders,
        partitions: Partitions::default(),
        session: Session::default(),
        connection: None,
        pause: PAUSE_MIN,
    };
    while leader.take_orders().await {
        leader.round().await;
    }
}

impl Leader {
    /// Takes the orders that are there; without a partition, waits for one. `false` at the end.
    async fn take_orders(&mut self) -> bool {
        loop {
            match self.orders.try_recv() {
                Ok(order) => {
                    self.take(order);
                }
                Err(mpsc::error::TryRecvError::Disconnected) => return false,
                Err(mpsc::error::TryRecvError::Empty) if !self.partitions.is_empty() => {
                    return true;
                }
                Err(mpsc::error::TryRecvError::Empty) => match self.orders.recv().await {
                    Some(order) => {
                        self.take(order);
                    }
                    None => return false,
                },
            }
        }
    }

    /// Whether there is something new to fetch: an order that only repeats another one changes nothing.
    fn take(&mut self, order: FetchOrder) -> bool {
        match order {
            FetchOrder::Follow {
                replica,
                leader_epoch,
                ..
            } => self.partitions.follow(replica, leader_epoch),
            FetchOrder::Stop(key) => {
                self.partitions.stop(key);
                false
            }
        }
    }

    async fn round(&mut self) {
        let Some(broker_epoch) = (self.settings.broker_epoch)() else {
            return tokio::time::sleep(UNREGISTERED).await;
        };
        let mut ready = self.partitions.ready(clock::mono());
        if ready.is_any_busy {
            self.wait(BUSY).await;
            ready = self.partitions.ready(clock::mono());
        }
        if ready.positions.is_empty() {
            let pause = ready.next.map(|next| next.since(clock::mono()));
            let busy = ready.is_any_busy.then_some(BUSY);
            return self
                .wait(pause.into_iter().chain(busy).min().unwrap_or(PAUSE_MAX))
                .await;
        }
        let Some(connection) = self.connected().await else {
            return;
        };
        // Who is to be asked for soon must not wait behind a fetch that is parked.
        let mut wait = self.settings.wait_max;
        if ready.is_any_busy {
            wait = wait.min(BUSY);
        }
        if let Some(next) = ready.next {
            wait = wait.min(next.since(clock::mono()));
        }
        let asked = ready.positions.clone();
        let ask = self.session.ask(ready.positions);
        let settings = self.settings.clone();
        let fetch = exchange::fetch(&settings, &connection, broker_epoch, &ask, wait);
        match self.unless_interrupted(fetch).await {
            Ok(frame) => {
                if let Err(error) = self.answered(&connection, frame.into(), &asked).await {
                    self.failed(&error).await;
                }
            }
            Err(Interrupted::NewOrder | Interrupted::Ended) => self.disconnect(),
            Err(Interrupted::Failed(error)) => self.failed(&error).await,
        }
    }

    /// Waits for an answer, unless something new is to be fetched meanwhile: a parked fetch would hold it up.
    async fn unless_interrupted(
        &mut self,
        answer: impl Future<Output = Result<Vec<u8>, ExchangeError>>,
    ) -> Result<Vec<u8>, Interrupted> {
        tokio::pin!(answer);
        loop {
            tokio::select! {
                biased;
                answer = &mut answer => return answer.map_err(Interrupted::Failed),
                order = self.orders.recv() => match order {
                    None => return Err(Interrupted::Ended),
                    Some(order) => if self.take(order) {
                        return Err(Interrupted::NewOrder);
                    },
                },
            }
        }
    }

    /// Waits until a partition changes, an order comes, or time is up.
    async fn wait(&mut self, at_most: Duration) {
        let nudge = self.partitions.nudge.clone();
        tokio::select! {
            biased;
            order = self.orders.recv() => if let Some(order) = order {
                self.take(order);
            },
            () = nudge.nudged() => {}
            () = tokio::time::sleep(at_most) => {}
        }
    }

    async fn connected(&mut self) -> Option<Arc<PeerConnection>> {
        if let Some(connection) = self.connection.as_ref().filter(|open| !open.is_broken()) {
            return Some(connection.clone());
        }
        self.disconnect();
        match exchange::connect(&self.settings, self.id).await {
            Ok(connection) => {
                self.connection = Some(connection.clone());
                Some(connection)
            }
            Err(error) => {
                self.failed(&error).await;
                None
            }
        }
    }

    fn disconnect(&mut self) {
        self.connection = None;
        self.session.reset();
    }

    async fn failed(&mut self, error: &ExchangeError) {
        tracing::debug!(leader = %self.id, %error, "could not fetch");
        self.disconnect();
        let pause = self.pause;
        self.pause = (pause * 2).min(PAUSE_MAX);
        self.wait(pause).await;
    }

    async fn answered(
        &mut self,
        connection: &PeerConnection,
        frame: Bytes,
        asked: &BTreeMap<ReplicaKey, Position>,
    ) -> Result<(), ExchangeError> {
        self.pause = PAUSE_MIN;
        let mut reader = exchange::fetch_body(&frame)?;
        let response = FetchResponse::decode(&mut reader, ApiKey::Fetch.served().max)?;
        if response.error_code.is_error() {
            // The leader lost the session, or this broker's registration is not known there yet.
            self.session.reset();
            let is_lost = matches!(
                response.error_code,
                ErrorCode::FetchSessionIdNotFound | ErrorCode::InvalidFetchSessionEpoch
            );
            if !is_lost {
                tracing::debug!(leader = %self.id, code = ?response.error_code, "a fetch was refused");
                self.wait(PAUSE_MIN).await;
            }
            return Ok(());
        }
        self.session.answered(response.session_id);
        for topic in &response.responses {
            let Some(id) = TopicId::from_wire(*topic.topic_id.as_bytes()) else {
                continue;
            };
            for data in &topic.partitions {
                let Some(partition) = PartitionIndex::from_wire(data.partition_index) else {
                    continue;
                };
                let key = ReplicaKey {
                    topic: id,
                    partition,
                };
                if let Some(asked) = asked.get(&key) {
                    self.take_in(connection, &frame, key, *asked, data).await?;
                }
            }
        }
        Ok(())
    }

    /// Brings one partition's answer to its replica.
    async fn take_in(
        &mut self,
        connection: &PeerConnection,
        frame: &Bytes,
        key: ReplicaKey,
        asked: Position,
        data: &PartitionData<'_>,
    ) -> Result<(), ExchangeError> {
        let Some(followed) = self.partitions.find(key) else {
            return Ok(());
        };
        let replica = followed.replica.clone();
        let mut must_move = false;
        let answer = match data.error_code {
            ErrorCode::None => {
                let answer = said(frame, data);
                must_move =
                    !matches!(&answer, Answer::Records { records, .. } if records.is_empty());
                Some(answer)
            }
            ErrorCode::OffsetOutOfRange => {
                must_move = true;
                let bounds = exchange::bounds(&self.settings, connection, &replica, key, asked);
                let bounds = bounds.await?;
                bounds.map(|(start, end)| Answer::OutOfRange { start, end })
            }
            code => {
                tracing::debug!(topic = %replica.topic(), partition = %key.partition, ?code, "not fetched");
                None
            }
        };
        let Some(answer) = answer else {
            self.partitions.pause(clock::mono(), key);
            return Ok(());
        };
        replica.leader_said(FromLeader {
            leader_epoch: asked.leader_epoch,
            offset: asked.offset,
            answer,
        });
        let is_where_it_was = |position: Position| {
            (position.offset, position.last_epoch) == (asked.offset, asked.last_epoch)
        };
        let now_at = self.partitions.find(key).and_then(position);
        match now_at {
            Some(Ok(position)) if must_move && is_where_it_was(position) => {
                self.partitions.pause(clock::mono(), key);
            }
            _ => self.partitions.resume(key),
        }
        Ok(())
    }
}

/// What the leader said of a partition without an error. Where the logs part it says how far its own is committed, too,
/// and that is not true of this one (KAFKA-14704).
fn said(frame: &Bytes, data: &PartitionData<'_>) -> Answer {
    if let Some((epoch, end)) = diverging(data)
        && !is_planted("a-log-that-parted-takes-no-high-watermark")
    {
        return Answer::Diverged { epoch, end };
    }
    let records = data.records.as_ref().and_then(Records::as_slice);
    Answer::Records {
        records: frame.slice_ref(records.unwrap_or_default()),
        state: LeaderState {
            high_watermark: offset(data.high_watermark),
            log_start: offset(data.log_start_offset),
        },
    }
}

fn diverging(data: &PartitionData<'_>) -> Option<(LeaderEpoch, Offset)> {
    let epoch = LeaderEpoch::from_wire(data.diverging_epoch.epoch)?;
    Some((epoch, Offset::from_wire(data.diverging_epoch.end_offset)?))
}

fn offset(raw: i64) -> Offset {
    Offset::from_wire(raw).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::messages::fetch::EpochEndOffset;

    /// KAFKA-14704: a former leader took the high watermark from the very answer that told it to truncate, and showed
    /// records as committed that were about to go.
    #[test]
    fn gotcha_01_an_answer_that_says_the_logs_part_brings_no_high_watermark() {
        let data = PartitionData {
            high_watermark: 20,
            log_start_offset: 5,
            diverging_epoch: EpochEndOffset {
                epoch: 2,
                end_offset: 12,
            },
            ..PartitionData::default()
        };
        let answer = said(&Bytes::new(), &data);
        assert!(
            matches!(answer, Answer::Diverged { epoch, end }
                if (epoch.get(), end.get()) == (2, 12)),
            "{answer:?}"
        );
        let together = PartitionData {
            diverging_epoch: EpochEndOffset::default(),
            ..data
        };
        let answer = said(&Bytes::new(), &together);
        assert!(
            matches!(answer, Answer::Records { state, .. }
                if state.high_watermark.get() == 20),
            "{answer:?}"
        );
    }
}
