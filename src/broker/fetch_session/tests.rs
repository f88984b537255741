//! Fetch sessions as replication-semantics states them: epochs, modes, what an answer names, eviction.

use proptest::prelude::*;
use uuid::Uuid;

use super::*;

fn at(seconds: u64) -> MonoMillis {
    MonoMillis::from_millis(seconds * 1000)
}

fn key(partition: i32) -> PartitionKey {
    PartitionKey {
        topic: TopicKey::Id(TopicId::new(Uuid::from_u128(7))),
        partition,
    }
}

fn partition(fetch_offset: i64) -> PartitionAsk {
    PartitionAsk {
        fetch_offset,
        max_bytes: 100,
        current_leader_epoch: -1,
        last_fetched_epoch: -1,
        log_start_offset: -1,
    }
}

fn ask(session_id: i32, session_epoch: i32, partitions: &[i32]) -> SessionAsk {
    SessionAsk {
        session_id,
        session_epoch,
        uses_topic_ids: true,
        is_follower: false,
        partitions: partitions.iter().map(|p| (key(*p), partition(0))).collect(),
        forgotten: Vec::new(),
    }
}

fn quiet() -> PartitionAnswer {
    PartitionAnswer {
        high_watermark: 5,
        log_start_offset: 0,
        has_records: false,
        has_error: false,
        must_be_named: false,
    }
}

fn ids() -> impl FnMut() -> u32 {
    let mut next = 0;
    move || {
        next += 2;
        next
    }
}

/// A cache with one session over `partitions`, all of which were answered with `quiet`.
fn with_session(partitions: &[i32]) -> (SessionCache, i32) {
    let mut cache = SessionCache::new(10);
    let first = ask(0, 0, partitions);
    assert!(matches!(cache.admit(at(0), &first), Ok(Admission::Full)));
    let keys: Vec<_> = partitions.iter().map(|p| key(*p)).collect();
    let id = cache.create(at(0), &first, keys.iter().map(|k| (k, quiet())), ids());
    assert!(id > 0);
    (cache, id)
}

fn admitted(result: Result<Admission, SessionError>) -> Arc<Mutex<Session>> {
    match result {
        Ok(Admission::Incremental { session, .. }) => session,
        other => panic!("not admitted as incremental: {other:?}"),
    }
}

fn order(session: &Mutex<Session>) -> Vec<i32> {
    lock(session)
        .partitions()
        .map(|(key, _)| key.partition)
        .collect()
}

#[test]
fn the_first_incremental_request_has_epoch_one_and_each_epoch_serves_once() {
    let (mut cache, id) = with_session(&[0, 1]);
    assert_eq!(
        cache.admit(at(1), &ask(id, 2, &[])).unwrap_err(),
        SessionError::InvalidEpoch
    );
    admitted(cache.admit(at(1), &ask(id, 1, &[])));
    assert_eq!(
        cache.admit(at(1), &ask(id, 1, &[])).unwrap_err(),
        SessionError::InvalidEpoch
    );
    admitted(cache.admit(at(1), &ask(id, 2, &[])));
}

#[test]
fn the_epoch_wraps_to_one() {
    assert_eq!(epoch_after(i32::MAX), 1);
    assert_eq!(epoch_after(1), 2);
}

#[test]
fn an_unknown_session_is_refused() {
    let (mut cache, id) = with_session(&[0]);
    assert_eq!(
        cache.admit(at(1), &ask(id + 1, 1, &[])).unwrap_err(),
        SessionError::IdNotFound
    );
    assert_eq!(
        cache.admit(at(1), &ask(0, 1, &[])).unwrap_err(),
        SessionError::IdNotFound
    );
}

#[test]
fn a_full_request_closes_the_session_that_it_names() {
    for session_epoch in [0, -1] {
        let (mut cache, id) = with_session(&[0]);
        cache.admit(at(1), &ask(id, session_epoch, &[0])).unwrap();
        assert_eq!(
            cache.admit(at(1), &ask(id, 1, &[])).unwrap_err(),
            SessionError::IdNotFound
        );
    }
}

/// KIP-516: by name it would go on with a topic that was made anew.
#[test]
fn gotcha_40_a_session_keeps_to_one_way_of_naming_topics() {
    let (mut cache, id) = with_session(&[0]);
    let by_name = SessionAsk {
        uses_topic_ids: false,
        ..ask(id, 1, &[])
    };
    assert_eq!(
        cache.admit(at(1), &by_name).unwrap_err(),
        SessionError::TopicIdMode
    );
    admitted(cache.admit(at(1), &ask(id, 1, &[])));
}

#[test]
fn an_incremental_request_adds_changes_and_forgets_partitions() {
    let (mut cache, id) = with_session(&[0, 1]);
    let mut change = ask(id, 1, &[2]);
    change.partitions.push((key(1), partition(42)));
    change.forgotten.push(key(0));
    let session = admitted(cache.admit(at(1), &change));
    assert_eq!(order(&session), [1, 2]);
    let offsets: Vec<_> = lock(&session)
        .partitions()
        .map(|(_, ask)| ask.fetch_offset)
        .collect();
    assert_eq!(offsets, [42, 0]);
}

#[test]
fn a_session_that_becomes_empty_is_closed() {
    let (mut cache, id) = with_session(&[0]);
    let forget = SessionAsk {
        forgotten: vec![key(0)],
        ..ask(id, 1, &[])
    };
    assert!(matches!(
        cache.admit(at(1), &forget),
        Ok(Admission::Sessionless)
    ));
    assert_eq!(
        cache.admit(at(1), &ask(id, 2, &[])).unwrap_err(),
        SessionError::IdNotFound
    );
}

#[test]
fn only_what_changed_is_named() {
    let (mut cache, id) = with_session(&[0]);
    let session = admitted(cache.admit(at(1), &ask(id, 1, &[])));
    let mut session = lock(&session);
    assert!(!session.learn(&key(0), &quiet()));
    let moved = PartitionAnswer {
        high_watermark: 6,
        ..quiet()
    };
    assert!(session.learn(&key(0), &moved));
    assert!(!session.learn(&key(0), &moved));
    let started = PartitionAnswer {
        log_start_offset: 3,
        ..moved
    };
    assert!(session.learn(&key(0), &started));
    assert!(session.learn(
        &key(0),
        &PartitionAnswer {
            must_be_named: true,
            ..started
        }
    ));
    assert!(!session.learn(&key(0), &started));
}

#[test]
fn the_recovery_from_an_error_is_named() {
    let (mut cache, id) = with_session(&[0]);
    let session = admitted(cache.admit(at(1), &ask(id, 1, &[])));
    let mut session = lock(&session);
    let error = PartitionAnswer {
        has_error: true,
        ..quiet()
    };
    assert!(session.learn(&key(0), &error));
    assert!(
        session.learn(&key(0), &quiet()),
        "same watermark as before the error"
    );
    assert!(!session.learn(&key(0), &quiet()));
}

#[test]
fn partitions_that_returned_records_go_to_the_tail() {
    let (mut cache, id) = with_session(&[0, 1, 2]);
    let session = admitted(cache.admit(at(1), &ask(id, 1, &[])));
    lock(&session).learn(
        &key(0),
        &PartitionAnswer {
            has_records: true,
            ..quiet()
        },
    );
    assert_eq!(order(&session), [1, 2, 0]);
}

#[test]
fn a_duplicate_in_between_makes_the_first_answer_stale() {
    let (mut cache, id) = with_session(&[0]);
    let session = admitted(cache.admit(at(1), &ask(id, 1, &[])));
    assert!(lock(&session).is_current(1));
    admitted(cache.admit(at(1), &ask(id, 2, &[])));
    assert!(!lock(&session).is_current(1));
}

#[derive(Debug, Default)]
struct Woken(std::sync::atomic::AtomicUsize);

impl std::task::Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }
}

/// Each fetch that waits holds all partitions of its session, and comes in a few bytes: a client that sent the next one
/// before the answer, or closed the session, held them as often as it liked.
#[test]
fn one_fetch_of_a_session_waits() {
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(woken.clone());
    let count = || woken.0.load(std::sync::atomic::Ordering::Relaxed);
    let (mut cache, id) = with_session(&[0]);
    let session = admitted(cache.admit(at(1), &ask(id, 1, &[])));
    assert!(lock(&session).may_wait(1, &waker));
    admitted(cache.admit(at(1), &ask(id, 2, &[])));
    assert_eq!(count(), 1, "the next one has come");
    assert!(!lock(&session).may_wait(1, &waker));
    assert!(lock(&session).may_wait(2, &waker));
    cache.admit(at(1), &ask(id, -1, &[])).unwrap();
    assert_eq!(count(), 2, "the session is closed");
    assert!(!lock(&session).may_wait(2, &waker));
}

fn fill(cache: &mut SessionCache, count: i32, partitions: &[i32], is_follower: bool) {
    for start in 0..count {
        let first = SessionAsk {
            is_follower,
            ..ask(0, 0, partitions)
        };
        let candidate = u32::try_from(start + 1000).unwrap() * 2;
        assert!(cache.create(at(0), &first, [], || candidate) > 0);
    }
}

#[test]
fn a_full_cache_creates_no_session_for_an_equal() {
    let mut cache = SessionCache::new(3);
    fill(&mut cache, 3, &[0], false);
    assert_eq!(cache.create(at(60), &ask(0, 0, &[0]), [], ids()), 0);
    assert_eq!(
        cache.create(at(60), &ask(0, 0, &[0, 1]), [], ids()),
        0,
        "none is old yet"
    );
}

#[test]
fn an_idle_session_yields_first() {
    let mut cache = SessionCache::new(3);
    fill(&mut cache, 3, &[0, 1, 2], true);
    assert!(cache.create(at(121), &ask(0, 0, &[0]), [], ids()) > 0);
    assert_eq!(cache.slots.len(), 3);
}

#[test]
fn a_follower_takes_the_place_of_a_consumer_and_not_the_reverse() {
    let mut cache = SessionCache::new(1);
    fill(&mut cache, 1, &[0, 1, 2], false);
    let follower = SessionAsk {
        is_follower: true,
        ..ask(0, 0, &[0])
    };
    assert!(cache.create(at(1), &follower, [], ids()) > 0);
    assert_eq!(cache.create(at(1), &ask(0, 0, &[0, 1, 2, 3]), [], ids()), 0);
}

#[test]
fn without_slots_no_session_is_created() {
    let mut cache = SessionCache::new(0);
    assert_eq!(cache.create(at(0), &ask(0, 0, &[0]), [], ids()), 0);
}

/// A cache for `session` partitions in one session and `cache` in all.
fn small(session: usize, cache: usize) -> SessionCache {
    SessionCache::with_limits(Limits {
        slot_count: 3,
        session_bytes: session * PARTITION_BYTES,
        cache_bytes: cache * PARTITION_BYTES,
    })
}

/// A thousand sessions were allowed, of any number of partitions that need not even exist: one client could take all
/// of the memory.
#[test]
fn a_session_that_would_be_too_large_is_not_created() {
    let mut cache = small(2, 9);
    assert_eq!(cache.create(at(0), &ask(0, 0, &[0, 1, 2]), [], ids()), 0);
    assert!(cache.create(at(0), &ask(0, 0, &[0, 1]), [], ids()) > 0);
    let mut named = ask(0, 0, &[]);
    let topic = TopicKey::Name("n".repeat(2 * PARTITION_BYTES).into());
    let partition_0 = PartitionKey {
        topic,
        partition: 0,
    };
    named.partitions.push((partition_0, partition(0)));
    assert_eq!(
        cache.create(at(0), &named, [], ids()),
        0,
        "long names count"
    );
}

#[test]
fn a_session_that_grows_too_large_is_gone() {
    let mut cache = small(2, 9);
    let id = cache.create(at(0), &ask(0, 0, &[0]), [], ids());
    admitted(cache.admit(at(0), &ask(id, 1, &[0, 1])));
    admitted(cache.admit(at(0), &ask(id, 2, &[0, 1])));
    for epoch in [3, 4] {
        let refused = cache.admit(at(0), &ask(id, epoch, &[2])).unwrap_err();
        assert_eq!(refused, SessionError::IdNotFound);
    }
    assert!(cache.slots.is_empty());
}

#[test]
fn what_a_session_forgets_makes_room() {
    let mut cache = small(2, 9);
    let id = cache.create(at(0), &ask(0, 0, &[0, 1]), [], ids());
    let mut forget = ask(id, 1, &[]);
    forget.forgotten.push(key(0));
    admitted(cache.admit(at(0), &forget));
    let session = admitted(cache.admit(at(0), &ask(id, 2, &[2])));
    assert_eq!(order(&session), [1, 2]);
}

#[test]
fn all_sessions_share_their_room() {
    let mut cache = small(9, 4);
    let first = cache.create(at(0), &ask(0, 0, &[0, 1, 2]), [], ids());
    assert_eq!(cache.create(at(60), &ask(0, 0, &[0, 1]), [], ids()), 0);
    assert_eq!(
        cache.admit(at(60), &ask(first, 1, &[3, 4])).unwrap_err(),
        SessionError::IdNotFound,
        "nor may one that is there take more"
    );
    assert!(cache.create(at(60), &ask(0, 0, &[0, 1, 2]), [], ids()) > 0);
    let after_two_minutes = cache.create(at(181), &ask(0, 0, &[0, 1]), [], ids());
    assert!(after_two_minutes > 0, "an idle one yields");
}

proptest! {
    /// Whatever is asked, the cache keeps to its limit and a session's two maps agree.
    #[test]
    fn any_history_keeps_the_cache_bounded_and_whole(
        steps in prop::collection::vec(
            (0_i32..6, -1_i32..4, prop::collection::vec(0_i32..5, 0..4), any::<bool>(), 0_u64..200),
            0..60,
        ),
    ) {
        let mut cache = small(3, 5);
        let mut now = 0;
        let mut raw = 0_u32;
        for (id, session_epoch, partitions, records, wait) in steps {
            now += wait;
            let mut asked = ask(id, session_epoch, &partitions);
            asked.forgotten = partitions.iter().filter(|p| *p % 2 == 0).map(|p| key(*p)).collect();
            let answer = PartitionAnswer { has_records: records, ..quiet() };
            match cache.admit(at(now), &asked) {
                Ok(Admission::Full) => {
                    let keys: Vec<_> = partitions.iter().map(|p| key(*p)).collect();
                    let answers = keys.iter().map(|k| (k, answer));
                    cache.create(at(now), &asked, answers, || { raw = (raw + 2) % 14; raw });
                }
                Ok(Admission::Incremental { session, .. }) => {
                    for partition in partitions {
                        lock(&session).learn(&key(partition), &answer);
                    }
                }
                Ok(Admission::Sessionless) | Err(_) => {}
            }
            prop_assert!(cache.slots.len() <= 3);
            prop_assert!(cache.size() <= 5 * PARTITION_BYTES);
            for slot in cache.slots.values() {
                let session = lock(&slot.session);
                prop_assert_eq!(session.order.len(), session.places.len());
                prop_assert!(session.order.len() <= 3);
                prop_assert_eq!(slot.size, session.order.len() * PARTITION_BYTES);
                prop_assert!(session.order.iter().all(|(place, c)| session.places[&c.key] == *place));
            }
        }
    }
}
