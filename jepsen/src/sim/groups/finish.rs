//! The end of a history: everything comes together, and then everybody goes.

use std::collections::BTreeMap;

use ottla::coordinator::group::effects::Cx;
use ottla::coordinator::group::names::GroupId;
use ottla::coordinator::group::request::{AskId, FetchOffsets, ListFilter, Request, Response};
use ottla::coordinator::group::shard::{Action, Event, Shard};
use ottla_storage::time::MonoMillis;

use super::clean::{self, Left};
use super::coordinator::replayed;
use super::world::{World, cx, group_id, wall};
use crate::rng::Rng;
use crate::sim::check::Violation;

/// Longer than anything that a group waits for.
const LONGEST_MILLIS: u64 = 6 * 60_000;
/// Longer than the retention of offsets with its looks.
const FORGOTTEN_MILLIS: u64 = 8 * 60_000;

impl World<'_> {
    pub(super) fn finish(&mut self) -> Result<(), Violation> {
        let mut rng = Rng::new(1);
        self.tell(|| "the end: nothing goes wrong any more".to_owned());
        self.unstall();
        self.end_zombies(&mut rng)?;
        for client in 0..self.clients.len() {
            self.start(client, &mut rng);
        }
        for _ in 0..40 {
            self.now += 500;
            for client in 0..self.clients.len() {
                self.step_client(client, &mut rng)?;
            }
            self.pump(&mut rng)?;
            self.settle_log(&mut rng)?;
        }
        self.compare(&mut rng)?;
        self.tell(|| "everybody goes".to_owned());
        for client in &mut self.clients {
            client.crash();
        }
        self.pass(LONGEST_MILLIS, &mut rng)?;
        if self.unanswered() > 0 || self.current.is_waited_for() {
            let text = format!("{} questions are never answered", self.unanswered());
            return Err(Violation::new("answers", text));
        }
        self.pass(FORGOTTEN_MILLIS, &mut rng)?;
        let left = self.current.shard().map_or(0, Shard::group_count);
        for log in self.logs(&mut rng) {
            let replayed = replayed(&log).group_count();
            if left + replayed > 0 {
                let text = format!(
                    "{left} groups stay without members and offsets, {replayed} in the log"
                );
                return Err(Violation::new("expiry", text));
            }
        }
        Ok(())
    }

    /// The log, and what a cleaner may have left of it.
    fn logs(&self, rng: &mut Rng) -> Vec<Left<'_>> {
        let log = &self.current.log;
        let whole = clean::clean(log, 0, 0);
        let end = log.len();
        let cleaned = (0..3).map(|_| clean::any(log, end, rng));
        std::iter::once(whole).chain(cleaned).collect()
    }

    fn pass(&mut self, millis: u64, rng: &mut Rng) -> Result<(), Violation> {
        let end = self.now + millis;
        while self.now < end {
            self.now += 5_000;
            self.pump(rng)?;
            self.settle_log(rng)?;
        }
        Ok(())
    }

    /// The log, replayed, is the groups that are there, cleaned or not.
    fn compare(&mut self, rng: &mut Rng) -> Result<(), Violation> {
        if !self.current.is_written() {
            return Err(Violation::new(
                "replay",
                "the coordinator is not ready in the end".to_owned(),
            ));
        }
        let Some(live) = self.current.shard().cloned() else {
            return Ok(());
        };
        let logs = self.logs(rng);
        let again: Vec<Shard> = logs.iter().map(replayed).collect();
        for mut again in again {
            again.start(&cx!(self), &mut Vec::new());
            self.compare_groups(&live, &again)?;
        }
        Ok(())
    }

    fn compare_groups(&mut self, live: &Shard, again: &Shard) -> Result<(), Violation> {
        for position in 0..self.plan.shape.groups.len() {
            let group = group_id(position);
            let cx = cx!(self);
            let (now, then) = (described(live, &cx, &group), described(again, &cx, &group));
            // Between two generations a classic group is what it will be, and the log has what it was.
            let is_between = ["PreparingRebalance", "CompletingRebalance"];
            if is_between.iter().any(|state| now.contains(state)) {
                continue;
            }
            // Nobody is in it, and it has no records: only who may yet come knows of it.
            if then.is_empty() && is_bare(&now) {
                continue;
            }
            if now != then {
                let text = format!("{group} is {now}, and replayed {then}");
                return Err(Violation::new("replay", text));
            }
            self.counts.add("group compared with its log");
        }
        Ok(())
    }
}

/// What a group is, in all words that there are; empty if it is not there.
fn described(shard: &Shard, cx: &Cx<'_>, group: &GroupId) -> String {
    let questions = [
        Request::Describe(group.clone()),
        Request::DescribeConsumer(group.clone()),
        Request::List(ListFilter::default()),
        Request::FetchOffsets(FetchOffsets {
            group: group.clone(),
            by: None,
            of: None,
            require_stable: false,
        }),
    ];
    let mut shard = shard.clone();
    let mut told = BTreeMap::new();
    for (number, question) in (0..).zip(questions) {
        let mut actions = Vec::new();
        let event = Event::Ask(AskId(u64::MAX - number), question);
        shard.handle(cx, event, &mut actions);
        for action in actions {
            if let Action::Answer(ask, response) = action {
                told.insert(ask, response);
            }
        }
    }
    let told = told.into_values().filter_map(|response| match response {
        Response::Describe(Ok(it)) => Some(format!("{it:?}")),
        Response::DescribeConsumer(Ok(it)) => Some(format!("{it:?}")),
        Response::List(Ok(all)) => {
            let one = all.into_iter().find(|it| it.group == *group);
            one.map(|it| format!("{it:?}"))
        }
        Response::FetchOffsets(Ok(it)) if !it.offsets.is_empty() => Some(format!("{it:?}")),
        _ => None,
    });
    told.collect::<Vec<_>>().join(" ")
}

fn is_bare(described: &str) -> bool {
    described.contains("state: \"Empty\"") && described.contains("members: []")
}
