//! Many histories, and what came of them.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::Counts;
use super::check::Violation;
use super::shrink::shrink;
use super::simulated::{Outcome, Simulated};

/// What to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// The first seed.
    pub seed: u64,
    /// How many seeds.
    pub seeds: u64,
    /// Faults and client operations in a history, about.
    pub events: usize,
    /// Histories at a time.
    pub threads: usize,
    /// Runs every seed twice: the histories must be the same.
    pub twice: bool,
}

/// A history that broke a rule.
#[derive(Clone, Debug)]
struct Failure {
    seed: u64,
    violation: Violation,
    /// The shortest list of events that was found to break it, too.
    shortest: Vec<String>,
    /// What happened in it.
    story: Vec<String>,
}

/// What came of all histories.
#[derive(Clone, Debug)]
pub struct Report {
    seeds: u64,
    acts: Vec<usize>,
    steps: Vec<u64>,
    counts: Counts,
    /// Of all histories, in the order of their seeds.
    hash: u64,
    failures: Vec<Failure>,
    differing: Vec<u64>,
}

/// Failures that are cut down and told; more of them tell no more.
const FAILURES_MAX: usize = 3;
/// From so many histories on a kind of event that never happened is a failure.
const COVERAGE_SEEDS: u64 = 1_000;
/// Failures that are named.
const TOLD_MAX: usize = 20;

/// Runs histories.
pub(super) fn run<P: Simulated>(options: &Options) -> Report {
    let next = AtomicU64::new(0);
    let results = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..options.threads.max(1) {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= options.seeds {
                        return;
                    }
                    let plan = P::draw(options.seed.wrapping_add(number), options.events);
                    let outcome = plan.play(false);
                    let is_same = !options.twice || plan.play(false).hash == outcome.hash;
                    let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
                    results.push((number, outcome, is_same));
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_by_key(|(number, ..)| *number);
    report::<P>(options, results)
}

fn report<P: Simulated>(options: &Options, results: Vec<(u64, Outcome, bool)>) -> Report {
    let mut report = Report {
        seeds: options.seeds,
        acts: Vec::new(),
        steps: Vec::new(),
        counts: Counts::of_kinds(P::KINDS),
        hash: 0,
        failures: Vec::new(),
        differing: Vec::new(),
    };
    for (number, outcome, is_same) in results {
        let seed = options.seed.wrapping_add(number);
        report.acts.push(outcome.acts);
        report.steps.push(outcome.steps);
        report.counts.merge(&outcome.counts);
        report.hash = report.hash.rotate_left(5) ^ outcome.hash;
        if !is_same {
            report.differing.push(seed);
        }
        if let Some(violation) = outcome.violation {
            let before = report.failures.len();
            let failure = failure::<P>(options, seed, &violation, before);
            report.failures.push(failure);
        }
    }
    report.acts.sort_unstable();
    report.steps.sort_unstable();
    report
}

fn failure<P: Simulated>(
    options: &Options,
    seed: u64,
    violation: &Violation,
    before: usize,
) -> Failure {
    let (mut shortest, mut story) = (Vec::new(), Vec::new());
    if before < FAILURES_MAX {
        let plan = shrink(&P::draw(seed, options.events), violation);
        let last = plan.play(true);
        story = last.story;
        shortest = plan.lines();
        shortest.extend(last.violation.map(|violation| violation.to_string()));
    }
    Failure {
        seed,
        violation: violation.clone(),
        shortest,
        story,
    }
}

impl Report {
    /// What happened in each shortest history, for a file.
    pub fn stories(&self) -> impl Iterator<Item = (u64, &[String])> {
        let failures = self.failures.iter();
        let told = failures.filter(|failure| !failure.story.is_empty());
        told.map(|failure| (failure.seed, &*failure.story))
    }

    /// What never happened, where enough histories ran for everything to happen.
    fn missing(&self) -> Vec<&'static str> {
        if self.seeds < COVERAGE_SEEDS {
            return Vec::new();
        }
        self.counts.missing()
    }

    /// Whether a history broke that rule.
    #[cfg(test)]
    pub(super) fn breaks(&self, rule: &str) -> bool {
        let mut failures = self.failures.iter();
        failures.any(|failure| failure.violation.rule == rule)
    }

    /// Whether every history held, and every kind of event happened.
    pub fn is_valid(&self) -> bool {
        self.failures.is_empty() && self.differing.is_empty() && self.missing().is_empty()
    }
}

fn spread<T: Copy + fmt::Display>(sorted: &[T]) -> String {
    let at = |position: usize| sorted.get(position);
    match (at(0), at(sorted.len() / 2), sorted.last()) {
        (Some(min), Some(median), Some(max)) => format!("median {median} ({min}-{max})"),
        _ => "none".to_owned(),
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} histories, trace hash {:016x}", self.seeds, self.hash)?;
        writeln!(
            f,
            "faults and client operations in a history: {}",
            spread(&self.acts)
        )?;
        writeln!(f, "steps in a history: {}", spread(&self.steps))?;
        write!(f, "{}", self.counts)?;
        for kind in self.missing() {
            writeln!(f, "NEVER HAPPENED: {kind}")?;
        }
        for seed in &self.differing {
            writeln!(f, "NOT REPEATED: seed {seed} made two different histories")?;
        }
        for (number, failure) in self.failures.iter().enumerate() {
            if number >= TOLD_MAX {
                writeln!(f, "and {} more", self.failures.len() - number)?;
                break;
            }
            writeln!(f, "BROKEN: seed {}: {}", failure.seed, failure.violation)?;
            if !failure.shortest.is_empty() {
                writeln!(f, "  the shortest history found that breaks it:")?;
                for line in &failure.shortest {
                    writeln!(f, "    {line}")?;
                }
            }
        }
        let word = if self.is_valid() { "valid" } else { "INVALID" };
        writeln!(
            f,
            "{word}: {} of {} histories broke a rule",
            self.failures.len(),
            self.seeds
        )
    }
}
