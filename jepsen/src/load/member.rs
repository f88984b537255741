//! One member of one group: finds its coordinator, joins, says that it is there, and commits.
//!
//! - A member that loses its coordinator keeps its id and its generation: the next one knows them, or says so.
//! - One request at a time on a connection of its own, so that nobody waits behind somebody's parked `JoinGroup`.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use ottla::clock;
use ottla::wire::Uuid;
use ottla::wire::error_code::ErrorCode;
use ottla::wire::messages::api_versions::ApiVersionsRequest;
use ottla::wire::messages::metadata::{MetadataRequest, MetadataRequestTopic};
use ottla::wire::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep, sleep_until};

use super::board::{Board, Seat};
use super::finder::{self, Ask, Home};
use super::{Options, Protocol};
use crate::fault::client::{CallError, Connection};
use crate::rng::Rng;

/// How long connecting and an answer that is not parked may take.
pub(super) const WITHIN: Duration = Duration::from_secs(10);
/// Before a member that has lost its coordinator asks for the next one.
const PAUSE: Duration = Duration::from_millis(100);
/// Everybody may ask for a coordinator at the same time.
const ASKS_MAX: usize = 10_000;

/// What all members share, on one thread.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) options: Options,
    pub(super) topic_id: Uuid,
    pub(super) partition_count: usize,
    pub(super) board: RefCell<Board>,
    pub(super) is_committing: Cell<bool>,
    asks: mpsc::Sender<Ask>,
    gate: watch::Sender<bool>,
}

/// Why a member can't go on as it did.
#[derive(Debug)]
pub(super) enum Trouble {
    /// Its coordinator is elsewhere, or does not serve yet.
    Away,
    /// The group goes on without what the member has.
    Again,
    /// The group does not know the member.
    Unknown,
    /// What no coordinator should say.
    Wrong(String),
}

/// See the module.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) shared: Rc<Shared>,
    pub(super) seat: Seat,
    pub(super) group: String,
    pub(super) id: String,
    /// Also the epoch of the new protocol; none before it has joined.
    pub(super) generation: Option<i32>,
    pub(super) owned: BTreeSet<i32>,
    /// Whether the coordinator should hear everything that the member knows.
    pub(super) is_news: bool,
    link: Option<Connection>,
    next_heartbeat: Instant,
    next_commit: Instant,
    rng: Rng,
}

impl Shared {
    /// # Errors
    /// Nobody tells of the topic.
    pub(super) async fn new(options: Options) -> Result<Self> {
        let (topic_id, partition_count) = topic(&options).await?;
        let (asks, receiver) = mpsc::channel(ASKS_MAX);
        tokio::task::spawn_local(finder::serve(options.bootstrap.clone(), receiver));
        let partitions = (0..).take(partition_count).collect();
        let board = Board::new(
            options.protocol,
            options.groups,
            options.members,
            partitions,
        );
        Ok(Self {
            options,
            topic_id,
            partition_count,
            board: RefCell::new(board),
            is_committing: Cell::new(true),
            asks,
            gate: watch::channel(false).0,
        })
    }

    /// Lets the members join.
    pub(super) fn open(&self) {
        self.gate.send_replace(true);
    }

    /// The coordinator of a group, however long it takes.
    pub(super) async fn home(&self, group: &str) -> Result<Home, Trouble> {
        self.ask(group).await?.await.map_err(|_| Trouble::Away)
    }

    /// Will be told the coordinator of a group: who wants to know of many asks of all of them first.
    pub(super) async fn ask(&self, group: &str) -> Result<oneshot::Receiver<Home>, Trouble> {
        let (to, answered) = oneshot::channel();
        let sent = self.asks.send((group.to_owned(), to)).await;
        sent.map_err(|_| Trouble::Wrong("nobody finds coordinators".to_owned()))?;
        Ok(answered)
    }
}

/// The name of a group.
pub(super) fn name(group: usize) -> String {
    format!("group-{group:05}")
}

/// The id of the topic, and how many partitions it has.
async fn topic(options: &Options) -> Result<(Uuid, usize)> {
    let first: Option<&SocketAddr> = options.bootstrap.first();
    let first = *first.context("no node to ask")?;
    let mut connection = Connection::open(first, WITHIN).await?;
    let request = MetadataRequest {
        topics: Some(vec![MetadataRequestTopic {
            name: Some(Cow::Borrowed(&options.topic)),
            ..MetadataRequestTopic::default()
        }]),
        allow_auto_topic_creation: false,
        ..MetadataRequest::default()
    };
    let answer = connection.call(&request, WITHIN).await?;
    let response = answer.decode()?;
    let topic = response.topics.first().context("no topic in the answer")?;
    if topic.error_code.is_error() {
        bail!("{}: {}", options.topic, topic.error_code.name());
    }
    Ok((topic.topic_id, topic.partitions.len()))
}

impl From<CallError> for Trouble {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Garbled(what) => Self::Wrong(what),
            CallError::Connect(_) | CallError::Broken(_) | CallError::Late(_) => Self::Away,
        }
    }
}

/// What a member does about a code.
pub(super) fn accepted(what: &str, code: ErrorCode) -> Result<(), Trouble> {
    Err(match code {
        ErrorCode::None => return Ok(()),
        ErrorCode::NotCoordinator
        | ErrorCode::CoordinatorNotAvailable
        | ErrorCode::CoordinatorLoadInProgress => Trouble::Away,
        ErrorCode::RebalanceInProgress | ErrorCode::IllegalGeneration => Trouble::Again,
        ErrorCode::UnknownMemberId | ErrorCode::FencedMemberEpoch => Trouble::Unknown,
        other => Trouble::Wrong(format!("{what}: {}", other.name())),
    })
}

impl Member {
    pub(super) fn new(shared: Rc<Shared>, group: usize, place: usize) -> Self {
        let number = group * shared.options.members + place;
        let number = u64::try_from(number).unwrap_or_default();
        let mut rng = Rng::new(shared.options.seed.wrapping_add(number));
        let now = Instant::now();
        let id = match shared.options.protocol {
            Protocol::Classic => String::new(),
            Protocol::Consumer => format!("member-{number}-{:016x}", rng.next_u64()),
        };
        Self {
            shared,
            seat: Seat { group, place },
            group: name(group),
            id,
            generation: None,
            owned: BTreeSet::new(),
            is_news: true,
            link: None,
            next_heartbeat: now,
            next_commit: now,
            rng,
        }
    }

    /// Lives until something happens that should not.
    pub(super) async fn run(mut self) {
        loop {
            let Err(trouble) = self.step().await else {
                continue;
            };
            match trouble {
                Trouble::Away => {
                    self.link = None;
                    self.shared.board.borrow_mut().disconnected(self.seat);
                    sleep(PAUSE).await;
                }
                Trouble::Again => self.give_up(),
                Trouble::Unknown => {
                    self.give_up();
                    // Of the new protocol the member chose its id itself, and keeps it.
                    if self.shared.options.protocol == Protocol::Classic {
                        self.id.clear();
                    }
                }
                Trouble::Wrong(what) => {
                    let what = format!("{}, member {}: {what}", self.group, self.seat.place);
                    return self.shared.board.borrow_mut().problem(what);
                }
            }
        }
    }

    fn give_up(&mut self) {
        self.shared.board.borrow_mut().gave_up(self.seat);
        self.generation = None;
        self.owned.clear();
    }

    /// The next thing to do.
    async fn step(&mut self) -> Result<(), Trouble> {
        if self.link.is_none() {
            self.connect().await?;
        }
        if self.generation.is_none() {
            self.join().await?;
            self.next_heartbeat = self.next_heartbeat.max(Instant::now());
            self.next_commit = self.some_time_within(self.shared.options.commit);
            return Ok(());
        }
        let next = self.next_heartbeat.min(self.next_commit);
        tokio::select! {
            () = sleep_until(next) => {}
            () = self.link()?.ended() => return Err(Trouble::Away),
        }
        if self.next_heartbeat <= Instant::now() {
            self.say_here().await?;
        }
        if self.next_commit <= Instant::now() {
            self.next_commit = Instant::now() + self.shared.options.commit;
            if self.shared.is_committing.get() {
                self.commit().await?;
            }
        }
        Ok(())
    }

    async fn connect(&mut self) -> Result<(), Trouble> {
        let home = self.shared.home(&self.group).await?;
        let mut link = Connection::open(home.address, WITHIN).await?;
        // As clients begin. A node needs more for a connection that has asked than for one that has not.
        let hello = ApiVersionsRequest {
            client_software_name: Cow::Borrowed("ottla-fault"),
            client_software_version: Cow::Borrowed("0"),
            ..ApiVersionsRequest::default()
        };
        let answer = link.call(&hello, WITHIN).await?;
        accepted("hello", answer.decode()?.error_code)?;
        self.link = Some(link);
        let mut board = self.shared.board.borrow_mut();
        board.connected(self.seat, home.node);
        self.is_news = true;
        self.next_heartbeat = Instant::now();
        Ok(())
    }

    async fn join(&mut self) -> Result<(), Trouble> {
        let mut gate = self.shared.gate.subscribe();
        let opened = gate.wait_for(|is_open| *is_open).await.map(|_| ());
        opened.map_err(|_| Trouble::Wrong("nobody lets members join".to_owned()))?;
        match self.shared.options.protocol {
            Protocol::Classic => {
                self.join_classic().await?;
                self.next_heartbeat = self.some_time_within(self.shared.options.heartbeat);
            }
            Protocol::Consumer => self.generation = Some(0),
        }
        Ok(())
    }

    async fn say_here(&mut self) -> Result<(), Trouble> {
        let began = clock::uptime();
        let pause = match self.shared.options.protocol {
            Protocol::Classic => {
                self.heartbeat_classic().await?;
                self.shared.options.heartbeat
            }
            Protocol::Consumer => self.heartbeat_consumer().await?,
        };
        let now = clock::uptime();
        self.next_heartbeat = Instant::now() + pause;
        let mut board = self.shared.board.borrow_mut();
        if let Some(window) = &mut board.window {
            window.heartbeats.push(now.saturating_sub(began));
        }
        board.heard(self.seat, now);
        Ok(())
    }

    async fn commit(&mut self) -> Result<(), Trouble> {
        if self.owned.is_empty() {
            return Ok(());
        }
        let group = self.seat.group;
        let offsets = {
            let mut board = self.shared.board.borrow_mut();
            board.in_flight_count += 1;
            board.next_offsets(group, &self.owned)
        };
        let began = clock::uptime();
        let result = self.send_commit(&offsets).await;
        let mut board = self.shared.board.borrow_mut();
        board.in_flight_count -= 1;
        if result? {
            board.acknowledged(group, &offsets, clock::uptime().saturating_sub(began));
        }
        Ok(())
    }

    /// Whether they are committed; not if the member has yet to hear of its epoch.
    async fn send_commit(&mut self, offsets: &[(i32, i64)]) -> Result<bool, Trouble> {
        let partitions = offsets
            .iter()
            .map(|(partition, offset)| OffsetCommitRequestPartition {
                partition_index: *partition,
                committed_offset: *offset,
                ..OffsetCommitRequestPartition::default()
            });
        let request = OffsetCommitRequest {
            group_id: Cow::Owned(self.group.clone()),
            generation_id_or_member_epoch: self.generation.unwrap_or(-1),
            member_id: Cow::Owned(self.id.clone()),
            topics: vec![OffsetCommitRequestTopic {
                topic_id: self.shared.topic_id,
                partitions: partitions.collect(),
                ..OffsetCommitRequestTopic::default()
            }],
            ..OffsetCommitRequest::default()
        };
        let answer = self.link()?.call(&request, WITHIN).await?;
        let response = answer.decode()?;
        let told = response.topics.iter().flat_map(|topic| &topic.partitions);
        let codes: Vec<_> = told.map(|partition| partition.error_code).collect();
        if codes.len() != offsets.len() {
            return Err(Trouble::Wrong("a commit is half answered".to_owned()));
        }
        if codes.contains(&ErrorCode::StaleMemberEpoch) {
            self.next_heartbeat = Instant::now();
            return Ok(false);
        }
        codes
            .into_iter()
            .try_for_each(|code| accepted("commit", code))?;
        Ok(true)
    }

    /// What was told takes effect.
    pub(super) fn has(&mut self, generation: i32, owned: BTreeSet<i32>) {
        self.generation = Some(generation);
        self.owned = owned;
        let mut board = self.shared.board.borrow_mut();
        let now = clock::uptime();
        board.holds(self.seat, now, &self.id, generation, &self.owned);
    }

    pub(super) fn link(&mut self) -> Result<&mut Connection, Trouble> {
        self.link.as_mut().ok_or(Trouble::Away)
    }

    /// Members do not say in step that they are there.
    fn some_time_within(&mut self, interval: Duration) -> Instant {
        let millis = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX);
        Instant::now() + Duration::from_millis(self.rng.below(millis))
    }
}
