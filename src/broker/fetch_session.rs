//! Fetch sessions (KIP-227): what a client asked for last time, so that it need not repeat it.
//!
//! - An incremental request is served only under the session's next epoch; the epoch moves by one and
//!   wraps from the highest to 1, never to 0.
//! - Naming a session in a full request closes it.
//! - One fetch of a session waits at a time, and none of a session that is gone: each holds all of its partitions.
//! - A session's partitions rotate: those that returned data go to the tail, so a small byte limit
//!   starves none.
//! - Sessions are bounded in number and in the memory that they take; to create none is always legal. One that grows
//!   beyond its bounds is gone, and its client begins with a full request, as after an eviction.
//! - Partitions that nobody knows are kept like others, as in Kafka: the client hears of it when they come to be.
//!
//! Pure: time and the candidates for session ids come in with the call.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Waker;
use std::time::Duration;

use ottla_storage::planted::is_planted;
use ottla_storage::time::MonoMillis;

use crate::metadata::TopicId;

/// How long a session must be idle, or old, before another may take its place.
const EVICTION_AFTER: Duration = Duration::from_mins(2);

/// What a partition takes in a session, about, besides the name of its topic.
const PARTITION_BYTES: usize = 256;
/// What one session may take: some 130 000 partitions.
const SESSION_BYTES_MAX: usize = 32 << 20;
/// What all sessions may take.
const CACHE_BYTES_MAX: usize = 64 << 20;

/// The epoch of a full request that wants a session.
const INITIAL_EPOCH: i32 = 0;
/// The epoch of a full request that wants none, or closes the one it names.
const FINAL_EPOCH: i32 = -1;

/// A topic as its requests name it: by id from version 13, by name before.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum TopicKey {
    Name(Arc<str>),
    Id(TopicId),
}

/// One partition as its requests name it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct PartitionKey {
    pub(crate) topic: TopicKey,
    pub(crate) partition: i32,
}

impl PartitionKey {
    /// What the partition takes in a session. A name counts for each: nobody else may hold it.
    fn size(&self) -> usize {
        match &self.topic {
            TopicKey::Name(name) => PARTITION_BYTES + name.len(),
            TopicKey::Id(_) => PARTITION_BYTES,
        }
    }
}

/// What a client asks of one partition, as on the wire (-1: not given).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionAsk {
    pub fetch_offset: i64,
    pub max_bytes: i32,
    pub current_leader_epoch: i32,
    pub last_fetched_epoch: i32,
    pub log_start_offset: i64,
}

/// The session part of a fetch request.
#[derive(Clone, Debug)]
pub(crate) struct SessionAsk {
    pub(crate) session_id: i32,
    pub(crate) session_epoch: i32,
    pub(crate) uses_topic_ids: bool,
    pub(crate) is_follower: bool,
    pub(crate) partitions: Vec<(PartitionKey, PartitionAsk)>,
    pub(crate) forgotten: Vec<PartitionKey>,
}

impl SessionAsk {
    /// What a session of these partitions takes.
    fn size(&self) -> usize {
        self.partitions.iter().map(|(key, _)| key.size()).sum()
    }
}

/// What of a partition's answer decides whether an incremental response names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PartitionAnswer {
    pub(crate) high_watermark: i64,
    pub(crate) log_start_offset: i64,
    pub(crate) has_records: bool,
    pub(crate) has_error: bool,
    /// A diverging epoch or a preferred read replica.
    pub(crate) must_be_named: bool,
}

/// Why an incremental request is refused; the answer names no partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SessionError {
    #[error("no fetch session with this id")]
    IdNotFound,
    #[error("not the next epoch of the fetch session")]
    InvalidEpoch,
    #[error("the fetch session names topics the other way")]
    TopicIdMode,
}

#[derive(Debug)]
struct Cached {
    key: PartitionKey,
    ask: PartitionAsk,
    high_watermark: i64,
    log_start_offset: i64,
}

impl Cached {
    /// Whether an incremental response names this partition; remembers what the client now knows.
    fn learn(&mut self, answer: &PartitionAnswer) -> bool {
        let mut named = answer.has_records || answer.must_be_named;
        if self.high_watermark != answer.high_watermark {
            self.high_watermark = answer.high_watermark;
            named = true;
        }
        if self.log_start_offset != answer.log_start_offset {
            self.log_start_offset = answer.log_start_offset;
            named = true;
        }
        if answer.has_error {
            // So that the recovery is named too, even if nothing else has changed by then.
            self.high_watermark = -1;
            named = true;
        }
        named
    }
}

/// One client's partitions, in the order in which they are served.
#[derive(Debug)]
pub(crate) struct Session {
    id: i32,
    next_epoch: i32,
    uses_topic_ids: bool,
    order: BTreeMap<u64, Cached>,
    places: HashMap<PartitionKey, u64>,
    next_place: u64,
    size: usize,
    is_closed: bool,
    /// The fetch that waits.
    waiting: Option<Waker>,
}

impl Session {
    fn new(id: i32, uses_topic_ids: bool) -> Self {
        Self {
            id,
            next_epoch: 1,
            uses_topic_ids,
            order: BTreeMap::new(),
            places: HashMap::new(),
            next_place: 0,
            size: 0,
            is_closed: false,
            waiting: None,
        }
    }

    /// What the partitions would take that `ask` names and the session does not.
    fn growth(&self, ask: &SessionAsk) -> usize {
        let keys = ask.partitions.iter().map(|(key, _)| key);
        let new = keys.filter(|key| !self.places.contains_key(*key));
        new.map(PartitionKey::size).sum()
    }

    fn set(&mut self, key: &PartitionKey, ask: PartitionAsk) {
        if let Some(cached) = self
            .places
            .get(key)
            .and_then(|place| self.order.get_mut(place))
        {
            cached.ask = ask;
            return;
        }
        self.append(Cached {
            key: key.clone(),
            ask,
            high_watermark: -1,
            log_start_offset: -1,
        });
    }

    fn append(&mut self, cached: Cached) {
        self.size += cached.key.size();
        self.places.insert(cached.key.clone(), self.next_place);
        self.order.insert(self.next_place, cached);
        self.next_place += 1;
    }

    fn remove(&mut self, key: &PartitionKey) -> Option<Cached> {
        let place = self.places.remove(key)?;
        self.size -= key.size();
        self.order.remove(&place)
    }

    /// The partitions to read, first served first.
    pub(crate) fn partitions(&self) -> impl Iterator<Item = (&PartitionKey, &PartitionAsk)> {
        self.order.values().map(|cached| (&cached.key, &cached.ask))
    }

    /// Whether the request that was admitted as `admitted` is still the session's latest; a
    /// duplicate that came in between has taken its place.
    pub(crate) fn is_current(&self, admitted: i32) -> bool {
        self.next_epoch == epoch_after(admitted)
    }

    /// Whether the request that was admitted as `admitted` may wait; `waker` is woken when it may not any more.
    pub(crate) fn may_wait(&mut self, admitted: i32, waker: &Waker) -> bool {
        let may_wait = self.is_current(admitted) && !self.is_closed;
        if may_wait && !self.waiting.as_ref().is_some_and(|w| w.will_wake(waker)) {
            self.waiting = Some(waker.clone());
        }
        may_wait
    }

    fn end_wait(&mut self) {
        if let Some(waker) = self.waiting.take() {
            waker.wake();
        }
    }

    /// Remembers an answer; whether the incremental response names the partition.
    pub(crate) fn learn(&mut self, key: &PartitionKey, answer: &PartitionAnswer) -> bool {
        let Some(place) = self.places.get(key) else {
            return answer.has_records;
        };
        let Some(cached) = self.order.get_mut(place) else {
            return answer.has_records;
        };
        let named = cached.learn(answer);
        if answer.has_records
            && let Some(cached) = self.remove(key)
        {
            self.append(cached);
        }
        named
    }
}

/// How a request is to be served.
#[derive(Debug)]
pub(crate) enum Admission {
    /// The partitions stand in the request; the answer names session 0.
    Sessionless,
    /// As `Sessionless`, and a session may be created from the request's partitions.
    Full,
    /// The partitions stand in the session, which this request has moved on from `epoch`.
    Incremental {
        session: Arc<Mutex<Session>>,
        epoch: i32,
    },
}

#[derive(Debug)]
struct Slot {
    session: Arc<Mutex<Session>>,
    created: MonoMillis,
    last_used: MonoMillis,
    is_follower: bool,
    partition_count: usize,
    size: usize,
}

/// What sessions may take.
#[derive(Clone, Copy, Debug)]
struct Limits {
    slot_count: usize,
    session_bytes: usize,
    cache_bytes: usize,
}

/// All sessions of a node.
#[derive(Debug)]
pub(crate) struct SessionCache {
    limits: Limits,
    slots: BTreeMap<i32, Slot>,
}

impl SessionCache {
    pub(crate) fn new(slot_count_max: usize) -> Self {
        Self::with_limits(Limits {
            slot_count: slot_count_max,
            session_bytes: SESSION_BYTES_MAX,
            cache_bytes: CACHE_BYTES_MAX,
        })
    }

    fn with_limits(limits: Limits) -> Self {
        let slots = BTreeMap::new();
        Self { limits, slots }
    }

    fn size(&self) -> usize {
        self.slots.values().map(|slot| slot.size).sum()
    }

    /// Decides how `ask` is served, and moves its session on.
    pub(crate) fn admit(
        &mut self,
        now: MonoMillis,
        ask: &SessionAsk,
    ) -> Result<Admission, SessionError> {
        if ask.session_epoch == INITIAL_EPOCH || ask.session_epoch == FINAL_EPOCH {
            self.close(ask.session_id);
            let wants_session = ask.session_epoch == INITIAL_EPOCH;
            return Ok(if wants_session {
                Admission::Full
            } else {
                Admission::Sessionless
            });
        }
        let slot = self.slots.get(&ask.session_id);
        let shared = slot.ok_or(SessionError::IdNotFound)?.session.clone();
        let mut session = lock(&shared);
        if session.next_epoch != ask.session_epoch {
            return Err(SessionError::InvalidEpoch);
        }
        if session.uses_topic_ids != ask.uses_topic_ids
            && !is_planted("a-session-names-topics-one-way")
        {
            return Err(SessionError::TopicIdMode);
        }
        let growth = session.growth(ask);
        let has_room = growth == 0
            || (session.size + growth <= self.limits.session_bytes
                && self.size() + growth <= self.limits.cache_bytes);
        if !has_room {
            drop(session);
            self.close(ask.session_id);
            return Err(SessionError::IdNotFound);
        }
        for (key, partition) in &ask.partitions {
            session.set(key, *partition);
        }
        for key in &ask.forgotten {
            session.remove(key);
        }
        session.next_epoch = epoch_after(ask.session_epoch);
        session.end_wait();
        let (partition_count, size) = (session.order.len(), session.size);
        drop(session);
        if partition_count == 0 {
            self.close(ask.session_id);
            return Ok(Admission::Sessionless);
        }
        if let Some(slot) = self.slots.get_mut(&ask.session_id) {
            slot.last_used = now;
            slot.partition_count = partition_count;
            slot.size = size;
        }
        Ok(Admission::Incremental {
            session: shared,
            epoch: ask.session_epoch,
        })
    }

    /// Creates a session from a full request and what was answered to it; its id, or 0 for none.
    ///
    /// `candidate` gives random numbers; a session's id is not to be guessed from another's.
    pub(crate) fn create<'a>(
        &mut self,
        now: MonoMillis,
        ask: &SessionAsk,
        answers: impl IntoIterator<Item = (&'a PartitionKey, PartitionAnswer)>,
        mut candidate: impl FnMut() -> u32,
    ) -> i32 {
        if ask.partitions.is_empty() || !self.make_room(now, ask) {
            return 0;
        }
        let id = loop {
            let id = i32::try_from(candidate() >> 1).unwrap_or(0);
            if id > 0 && !self.slots.contains_key(&id) {
                break id;
            }
        };
        let mut session = Session::new(id, ask.uses_topic_ids);
        for (key, partition) in &ask.partitions {
            session.set(key, *partition);
        }
        for (key, answer) in answers {
            session.learn(key, &answer);
        }
        let slot = Slot {
            partition_count: session.order.len(),
            size: session.size,
            session: Arc::new(Mutex::new(session)),
            created: now,
            last_used: now,
            is_follower: ask.is_follower,
        };
        self.slots.insert(id, slot);
        id
    }

    /// Evicts sessions that must go for `ask` and may go; whether there is room.
    fn make_room(&mut self, now: MonoMillis, ask: &SessionAsk) -> bool {
        let size = ask.size();
        let limits = self.limits;
        if size > limits.session_bytes || size > limits.cache_bytes || limits.slot_count == 0 {
            return false;
        }
        while self.slots.len() >= limits.slot_count || self.size() + size > limits.cache_bytes {
            let Some(victim) = self.victim(now, ask) else {
                return false;
            };
            self.close(victim);
        }
        true
    }

    fn close(&mut self, id: i32) {
        if let Some(slot) = self.slots.remove(&id) {
            let mut session = lock(&slot.session);
            session.is_closed = true;
            session.end_wait();
        }
    }

    /// The session that is the first to go for `ask`, if any may.
    fn victim(&self, now: MonoMillis, ask: &SessionAsk) -> Option<i32> {
        let idlest = self.slots.iter().min_by_key(|(_, slot)| slot.last_used);
        let idle = idlest.filter(|(_, slot)| now.since(slot.last_used) > EVICTION_AFTER);
        let value = |slot: &Slot| (slot.is_follower, slot.partition_count);
        let lesser = || {
            let evictable = self.slots.iter().filter(|(_, slot)| {
                let is_old = now.since(slot.created) > EVICTION_AFTER;
                let yields_to_follower = ask.is_follower && !slot.is_follower;
                (is_old || yields_to_follower)
                    && value(slot) < (ask.is_follower, ask.partitions.len())
            });
            evictable.min_by_key(|(_, slot)| value(slot))
        };
        idle.or_else(lesser).map(|(id, _)| *id)
    }
}

/// The id of a session, which an incremental answer repeats.
pub(crate) fn session_id(session: &Mutex<Session>) -> i32 {
    lock(session).id
}

/// Looks into a session. A holder that panicked has ended the process, so poison means nothing.
pub(crate) fn lock(session: &Mutex<Session>) -> std::sync::MutexGuard<'_, Session> {
    session.lock().unwrap_or_else(PoisonError::into_inner)
}

fn epoch_after(epoch: i32) -> i32 {
    epoch.checked_add(1).unwrap_or(1)
}

#[cfg(test)]
mod tests;
