//! `consume` in trouble that lasts: what it lives through, what it gives up, and what is committed then.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ottla::wire::api::ApiKey;
use ottla::wire::error_code::ErrorCode;
use rustix::process::Signal;

use crate::group::until;
use crate::member::Consumer;
use crate::run::{Done, ottla, spawn};
use crate::scripted::{APIS, Broker, Fate, Script, batch};

fn broker(
    partitions: Vec<Option<Vec<u8>>>,
    fate: impl Fn(ApiKey, usize) -> Fate + Send + Sync + 'static,
) -> Broker {
    Broker::start(Script {
        apis: APIS,
        partitions,
        fate: Box::new(fate),
    })
}

fn consume(broker: &Broker, line: &str) -> Done {
    let address = broker.address();
    let words = line.split(' ').chain(["-b", &address]);
    ottla(&words.collect::<Vec<_>>())
}

fn start(broker: &Broker, line: &str) -> Consumer {
    let address = broker.address();
    let words = line.split(' ').chain(["-b", &address]);
    Consumer::of(spawn(&words.collect::<Vec<_>>()))
}

/// Any answer about any other partition counted as the end of the trouble, so that this was waited for for ever and
/// without a word.
#[test]
fn a_partition_without_a_leader_is_waited_for_as_long_as_the_timeout() {
    let broker = broker(vec![Some(batch(0, "a")), None], |api, n| match api {
        // The end of a wait that has none.
        ApiKey::Fetch if n > 100 => Fate::Refused(ErrorCode::TopicAuthorizationFailed),
        _ => Fate::Answered,
    });
    let done = consume(&broker, "consume t -o 0 --timeout 1s");
    done.assert_failed(&["gave up after 1 s", "t-1 has no leader"]);
    assert_eq!(
        done.stdout(),
        "a\n",
        "the other partition is read meanwhile"
    );
}

/// All partitions that the group gave at a time waited for one of them, and then the member ended.
#[test]
fn a_partition_without_a_leader_holds_up_none_that_a_group_gives_with_it() {
    let broker = broker(vec![Some(batch(0, "a")), None], |_, _| Fate::Answered);
    let line = "consume t --group g --from-beginning --timeout 5s -n 1";
    let done = consume(&broker, line);
    assert_eq!(
        (done.code(), done.stdout().as_str()),
        (0, "a\n"),
        "{}",
        done.stderr()
    );
    assert_eq!(broker.committed(), BTreeMap::from([(0, 1)]));
    let done = consume(&broker, "consume t --group g --timeout 1s");
    done.assert_failed(&["gave up after 1 s: t-1: ", "LEADER_NOT_AVAILABLE"]);
}

/// The question for metadata was waited for by who sends heartbeats and looks for signals.
#[test]
fn a_broker_that_does_not_answer_holds_up_no_heartbeat_and_no_signal() {
    let (is_refused, is_unheard) = (AtomicBool::new(false), Arc::new(AtomicBool::new(false)));
    let unheard = Arc::clone(&is_unheard);
    let broker = broker(vec![Some(batch(0, "a"))], move |api, n| match api {
        // The question for metadata that this leads to has no answer.
        ApiKey::Fetch if n == 1 => {
            is_refused.store(true, Ordering::SeqCst);
            Fate::Refused(ErrorCode::NotLeaderOrFollower)
        }
        ApiKey::Metadata if is_refused.load(Ordering::SeqCst) => {
            unheard.store(true, Ordering::SeqCst);
            Fate::Unheard
        }
        _ => Fate::Answered,
    });
    let line = "consume t --group g --from-beginning --timeout 5m";
    let mut consumer = start(&broker, line);
    assert_eq!(consumer.line(), "a\n");
    until(|| is_unheard.load(Ordering::SeqCst), |is_so| *is_so);
    let beats = broker.count(ApiKey::ConsumerGroupHeartbeat);
    until(
        || broker.count(ApiKey::ConsumerGroupHeartbeat),
        |count| *count > beats + 3,
    );
    assert_eq!(consumer.end(Signal::INT), "");
    assert_eq!(broker.committed(), BTreeMap::from([(0, 1)]));
}

/// It was printed, but did not count: the next member printed it again.
#[test]
fn what_is_printed_before_a_damaged_batch_is_committed() {
    let mut damaged = batch(1, "c");
    *damaged.last_mut().unwrap() ^= 1;
    let second = [batch(0, "b"), damaged].concat();
    let broker = broker(vec![Some(batch(0, "a")), Some(second)], |_, _| {
        Fate::Answered
    });
    let done = consume(&broker, "consume t --group g --from-beginning");
    assert_eq!((done.code(), done.stdout().as_str()), (1, "a\nb\n"));
    let said = done.stderr();
    assert!(
        said.contains("batch at offset 1 of t-1 is damaged"),
        "{said}"
    );
    assert_eq!(broker.committed(), BTreeMap::from([(0, 1), (1, 1)]));
}

/// Whether a heartbeat or a commit heard of it first decided whether the member went on.
#[test]
fn a_member_whose_group_is_gone_joins_again_also_when_a_commit_hears_of_it() {
    let is_gone = AtomicBool::new(false);
    let broker = broker(vec![Some(batch(0, "a"))], move |api, n| match api {
        ApiKey::OffsetCommit if n == 0 => {
            is_gone.store(true, Ordering::SeqCst);
            Fate::Refused(ErrorCode::GroupIdNotFound)
        }
        ApiKey::ConsumerGroupHeartbeat if is_gone.swap(false, Ordering::SeqCst) => {
            Fate::Refused(ErrorCode::GroupIdNotFound)
        }
        _ => Fate::Answered,
    });
    let line = "consume t --group g --from-beginning";
    let consumer = start(&broker, line);
    until(
        || broker.committed(),
        |found| *found == BTreeMap::from([(0, 1)]),
    );
    consumer.end(Signal::INT);
}
