//! Fetches on their way to a leader and back.

use ottla::broker::handler::fetch::Follower;
use ottla::replica::ReplicaKey;

use super::fetch::{self, Fetched};
use super::network::{Body, Message};
use super::node::{broker, position};
use super::world::{Event, World};

const FETCH_TIMEOUT: u64 = 150;
const FETCH_WAIT: u64 = 25;

impl World<'_> {
    pub(super) fn fetch(&mut self, node: usize, key: ReplicaKey) {
        let number = self.number();
        let boot = self.nodes.get(node).map_or(0, |node| node.boot);
        let me = broker(node);
        let Some(process) = self.process(node) else {
            return;
        };
        let epoch = process.epoch;
        let Some(followed) = process.followed.get_mut(&key) else {
            return;
        };
        if followed.out.is_some() {
            return;
        }
        let Some((position_now, ask)) = fetch::ask(followed) else {
            // Its log is not ready, or the replica has not heard yet what the order is about.
            self.schedule_on(node, 12, Event::Fetch(key));
            return;
        };
        followed.out = Some((number, position_now));
        let to = position(followed.leader);
        self.schedule_on(
            node,
            FETCH_TIMEOUT + FETCH_WAIT,
            Event::FetchTimedOut(key, number),
        );
        let follower = Follower { id: me, epoch };
        let body = Body::Fetch {
            boot,
            number,
            key,
            ask,
            follower,
        };
        self.send(&Message {
            from: node,
            to,
            body,
        });
    }

    pub(super) fn serve_fetch(&mut self, node: usize, message: Message, is_first: bool) {
        let Body::Fetch {
            boot,
            number,
            key,
            ask,
            follower,
        } = message.body.clone()
        else {
            return;
        };
        let Some(process) = self.process(node).filter(|process| process.is_serving) else {
            return;
        };
        let answer = fetch::serve(process, key, &ask, follower, is_first);
        self.touch(node);
        if is_first && !answer.is_worth_sending() {
            let wait = 1 + self.rng.below(FETCH_WAIT);
            self.schedule_on(node, wait, Event::Reread(Box::new(message)));
            return;
        }
        let body = Body::Fetched {
            boot,
            number,
            key,
            answer: Box::new(answer),
        };
        self.send(&Message {
            from: node,
            to: message.from,
            body,
        });
    }

    pub(super) fn fetched(&mut self, node: usize, key: ReplicaKey, number: u64, answer: Fetched) {
        let pause = 5 + self.rng.below(20);
        let Some(process) = self.process(node) else {
            return;
        };
        let Some(followed) = process.followed.get_mut(&key) else {
            return;
        };
        let Some((_, asked)) = followed.out.take_if(|(out, _)| *out == number) else {
            return;
        };
        let is_refused = matches!(answer, Fetched::Refused);
        if matches!(answer, Fetched::OutOfRange { start, .. } if start > asked.offset) {
            self.counts.add("log begun anew behind its leader");
        }
        if let Some(followed) = self.process(node).and_then(|p| p.followed.get(&key)) {
            fetch::hear(&followed.replica, asked, answer);
        }
        self.schedule_on(node, if is_refused { pause } else { 1 }, Event::Fetch(key));
    }
}
