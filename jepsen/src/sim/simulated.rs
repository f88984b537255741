//! What every simulation has: a plan that is drawn from a seed, and a history that follows from the plan alone.

use super::check::Violation;
use super::count::{self, Counts};
use super::plan::{Plan, Planned};
use super::world::World;

/// What a history was like.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    pub(super) violation: Option<Violation>,
    pub(super) counts: Counts,
    /// Events of the plan that had an effect, or were tried.
    pub(super) acts: usize,
    pub(super) steps: u64,
    pub(super) hash: u64,
    /// Empty unless it was asked for.
    pub(super) story: Vec<String>,
}

/// A history before it happens.
pub(super) trait Simulated: Clone {
    /// What has to have happened in enough histories.
    const KINDS: &'static [&'static str];

    fn draw(seed: u64, events: usize) -> Self;

    fn event_count(&self) -> usize;

    /// The same without `count` of the events.
    #[must_use]
    fn without(&self, at: usize, count: usize) -> Self;

    /// The plan in words, an event a line.
    fn lines(&self) -> Vec<String>;

    /// Lets it happen; with everything that happened, if that is to be told.
    fn play(&self, is_told: bool) -> Outcome;
}

/// The events but for `count` of them.
pub(super) fn all_but<T: Clone>(events: &[T], at: usize, count: usize) -> Vec<T> {
    let kept = |(position, event): (usize, &T)| {
        (position < at || position >= at + count).then(|| event.clone())
    };
    events.iter().enumerate().filter_map(kept).collect()
}

impl Simulated for Plan {
    const KINDS: &'static [&'static str] = count::KINDS;

    fn draw(seed: u64, events: usize) -> Self {
        Self::draw(seed, events)
    }

    fn event_count(&self) -> usize {
        self.events.len()
    }

    fn without(&self, at: usize, count: usize) -> Self {
        Self {
            events: all_but(&self.events, at, count),
            ..self.clone()
        }
    }

    fn lines(&self) -> Vec<String> {
        let event = |planned: &Planned| format!("{:>6} ms  {:?}", planned.at, planned.act);
        let shape = std::iter::once(format!("{:?}", self.shape));
        shape.chain(self.events.iter().map(event)).collect()
    }

    fn play(&self, is_told: bool) -> Outcome {
        let world = World::new(self);
        let world = world.map(|world| if is_told { world.told() } else { world });
        match world {
            Ok(world) => world.run(),
            Err(violation) => Outcome {
                violation: Some(violation),
                counts: Counts::default(),
                acts: 0,
                steps: 0,
                hash: 0,
                story: Vec::new(),
            },
        }
    }
}
