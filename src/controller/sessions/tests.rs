//! Sessions: who is silent, who has to be probed, who may go.

use proptest::collection::vec;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::controller::command::{BrokerState, ChangeBroker, Command};
use crate::controller::decide::tests::{broker, registration, settings};
use crate::controller::decide::{Draw, decide, first_records};
use crate::metadata::Incarnation;

const TIMEOUT: Duration = Duration::from_millis(100);

fn at(millis: u64) -> MonoMillis {
    MonoMillis::from_millis(millis)
}

fn run(image: &mut MetadataImage, command: &Command) {
    let sessions = Sessions::new(TIMEOUT);
    let decision = decide(&settings(), image, command, &mut Draw::new(1), &sessions);
    image.apply_records(&decision.records).unwrap();
}

fn change(image: &mut MetadataImage, id: i32, to: BrokerState) {
    let broker = broker(id);
    let epoch = image.brokers().find(broker).unwrap().epoch;
    let change = ChangeBroker { broker, epoch, to };
    run(image, &Command::ChangeBroker(change));
}

/// Brokers 1 to `count`, all let in.
fn image(count: u8) -> MetadataImage {
    let mut image = MetadataImage::default();
    image
        .apply_records(&first_records(&settings(), &image))
        .unwrap();
    for id in 1..=count {
        run(&mut image, &Command::RegisterBroker(registration(id)));
        change(&mut image, i32::from(id), BrokerState::Unfenced);
    }
    image
}

fn heartbeat(image: &MetadataImage, id: i32) -> Heartbeat {
    Heartbeat {
        broker: broker(id),
        epoch: image.brokers().find(broker(id)).unwrap().epoch,
        applied: image.version(),
        wants_fence: false,
        wants_shut_down: false,
        offline_directories: vec![],
    }
}

fn active(image: &MetadataImage, now: u64) -> Sessions {
    let mut sessions = Sessions::new(TIMEOUT);
    sessions.activate(at(now), image);
    sessions
}

fn expired(sessions: &mut Sessions, now: u64, image: &MetadataImage) -> Option<i32> {
    let taken = sessions.take_expired(at(now), image);
    taken.map(|(id, _)| id.get())
}

#[test]
fn a_new_leadership_gives_every_broker_a_whole_session() {
    let image = image(2);
    let mut sessions = active(&image, 0);
    assert_eq!(sessions.next_deadline(&image), Some(at(100)));
    assert_eq!(expired(&mut sessions, 99, &image), None);
    sessions.activate(at(99), &image);
    assert_eq!(expired(&mut sessions, 198, &image), None);
    assert_eq!(expired(&mut sessions, 199, &image), Some(1));
}

#[test]
fn the_silent_end_one_at_a_time_and_the_longest_silent_first() {
    let mut image = image(3);
    let mut sessions = active(&image, 0);
    sessions.touch(at(10), &heartbeat(&image, 1));
    sessions.touch(at(20), &heartbeat(&image, 2));
    for id in [3, 1, 2] {
        assert_eq!(expired(&mut sessions, 500, &image), Some(id));
        change(&mut image, id, BrokerState::Fenced);
        sessions.observe(at(500), &image);
    }
    assert_eq!(sessions.next_deadline(&image), None);
}

#[test]
fn a_fence_that_did_not_come_about_is_tried_again_later() {
    let image = image(1);
    let mut sessions = active(&image, 0);
    assert_eq!(expired(&mut sessions, 100, &image), Some(1));
    assert_eq!(expired(&mut sessions, 101, &image), None);
    let again = sessions.next_deadline(&image).unwrap();
    assert!(again > at(101));
    assert_eq!(expired(&mut sessions, again.as_millis(), &image), Some(1));
}

#[test]
fn what_an_older_registration_says_is_not_heard() {
    let mut image = image(1);
    let old = heartbeat(&image, 1);
    let mut sessions = active(&image, 0);
    let incarnation = Incarnation(Uuid::from_bytes([9; 16]));
    run(
        &mut image,
        &Command::RegisterBroker(RegisterBroker {
            incarnation,
            ..registration(1)
        }),
    );
    change(&mut image, 1, BrokerState::Unfenced);
    sessions.observe(at(50), &image);
    sessions.touch(at(90), &old);
    // The new process has a session of its own since it was seen.
    assert_eq!(sessions.next_deadline(&image), Some(at(150)));
}

#[test]
fn another_disk_is_a_rival_only_while_the_session_lasts() {
    let mut image = image(1);
    let sessions = active(&image, 0);
    let same_disk = RegisterBroker {
        incarnation: Incarnation(Uuid::from_bytes([9; 16])),
        ..registration(1)
    };
    let other_disk = RegisterBroker {
        directories: registration(7).directories,
        ..same_disk.clone()
    };
    let same_process = RegisterBroker {
        incarnation: registration(1).incarnation,
        ..other_disk.clone()
    };
    let rival = |now, image: &MetadataImage, command: &RegisterBroker| {
        sessions.rival(at(now), image, command).is_some()
    };
    assert!(rival(99, &image, &other_disk));
    assert!(!rival(100, &image, &other_disk));
    assert!(!rival(0, &image, &same_disk));
    assert!(!rival(0, &image, &same_process));
    assert!(!rival(0, &image, &registration(2)));
    change(&mut image, 1, BrokerState::Fenced);
    assert!(!rival(0, &image, &other_disk));
}

/// Something between the broker and us refuses, and the broker lives: fencing it again and again would
/// be worse than waiting for its session.
#[test]
fn who_is_heard_of_after_a_fence_by_probe_is_not_fenced_so_again_for_a_session() {
    let mut image = image(1);
    let mut sessions = active(&image, 0);
    let epoch = image.brokers().find(broker(1)).unwrap().epoch;
    let is_suspect = |sessions: &Sessions, now, image: &MetadataImage| {
        sessions.suspect(at(now), image, broker(1), epoch).is_some()
    };
    assert!(is_suspect(&sessions, 0, &image));
    sessions.fenced_by_probe(at(0), broker(1), epoch);
    // As long as the fence does not show, it is due again.
    assert_eq!(expired(&mut sessions.clone(), 500, &image), Some(1));
    change(&mut image, 1, BrokerState::Fenced);
    assert!(!is_suspect(&sessions, 1, &image));
    sessions.touch(at(10), &heartbeat(&image, 1));
    change(&mut image, 1, BrokerState::Unfenced);
    sessions.touch(at(60), &heartbeat(&image, 1));
    assert!(!is_suspect(&sessions, 109, &image));
    assert!(is_suspect(&sessions, 110, &image));
    let other = epoch.next().unwrap();
    assert!(
        sessions
            .suspect(at(110), &image, broker(1), other)
            .is_none()
    );
}

proptest! {
    /// Nobody is held for silent before a whole session has passed without a word, and everybody is
    /// after it.
    #[test]
    fn a_broker_expires_exactly_when_it_was_silent_for_a_session(
        steps in vec((0_u64..60, 1_i32..=3), 0..40),
    ) {
        let image = image(3);
        let mut sessions = active(&image, 0);
        let mut heard = BTreeMap::from([(1, 0), (2, 0), (3, 0)]);
        let mut now = 0;
        for (wait, id) in steps {
            now += wait;
            let silent = |heard: &BTreeMap<i32, u64>| {
                let longest = heard.iter().min_by_key(|(id, last)| (**last, **id));
                longest.filter(|(_, last)| now - **last >= 100).map(|(id, _)| *id)
            };
            let first = silent(&heard);
            prop_assert_eq!(expired(&mut sessions.clone(), now, &image), first);
            if let Some(first) = first {
                // It is heard of in the last moment.
                sessions.touch(at(now), &heartbeat(&image, first));
                heard.insert(first, now);
            }
            sessions.touch(at(now), &heartbeat(&image, id));
            heard.insert(id, now);
            let next = heard.values().min().map(|last| at(last + 100));
            prop_assert_eq!(sessions.next_deadline(&image), next);
        }
    }
}
