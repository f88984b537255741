//! Which operation must come before which.
//!
//! - A node is an operation that sends or polls and did not fail, by its position in the history, or a *barrier*.
//! - Barriers carry real time: each ended operation points to the next barrier, each barrier to the next one and to the
//!   operations that begin behind it. So A ended before B began exactly if barriers lead from A to B, and the number
//!   of edges does not grow with the number of clients.

use std::collections::HashMap;

use super::anomaly::Dependency;
use super::facts::Facts;
use crate::history::{Attempt, Outcome};

/// An operation or a barrier.
pub(super) type Node = u32;

/// The end of an arrow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Edge {
    pub(super) to: Node,
    pub(super) dependency: Dependency,
}

/// All edges, by the node that they leave.
#[derive(Debug)]
pub(super) struct Graph {
    starts: Vec<usize>,
    edges: Vec<Edge>,
    operation_count: usize,
}

impl Graph {
    /// The dependencies that a history shows.
    pub(super) fn build(facts: &Facts<'_>) -> Self {
        let mut builder = Builder::default();
        builder.add_logs(facts);
        builder.add_reads(facts);
        builder.add_processes(facts.attempts);
        let node_count = builder.add_real_time(facts.attempts);
        builder.finish(facts.attempts.len(), node_count)
    }

    pub(super) fn node_count(&self) -> usize {
        self.starts.len() - 1
    }

    /// The position of the operation that a node is; `None` for a barrier.
    pub(super) fn operation(&self, node: Node) -> Option<usize> {
        Some(position(node)).filter(|position| *position < self.operation_count)
    }

    /// The arrows that leave a node.
    pub(super) fn edges(&self, from: Node) -> &[Edge] {
        let from = position(from);
        &self.edges[self.starts[from]..self.starts[from + 1]]
    }
}

/// The position of a node in a vector over all nodes.
pub(super) fn position(node: Node) -> usize {
    node as usize
}

#[expect(
    clippy::expect_used,
    reason = "a history of four thousand million operations does not fit into memory"
)]
pub(super) fn node(position: usize) -> Node {
    Node::try_from(position).expect("fewer nodes than 2^32")
}

/// Whether an operation takes part: aborted ones have no place in the order, others' parts are none.
fn is_node(attempt: &Attempt) -> bool {
    attempt.outcome != Outcome::Fail && !attempt.micro_ops().is_empty()
}

#[derive(Debug, Default)]
struct Builder {
    arrows: Vec<(Node, Edge)>,
}

impl Builder {
    fn add(&mut self, from: usize, to: usize, dependency: Dependency) {
        if from != to {
            let to = node(to);
            self.arrows.push((node(from), Edge { to, dependency }));
        }
    }

    /// From the writer of each value to the writer of the next. A value at two offsets counts at its last one: its
    /// own duplicate would close a cycle that says nothing new.
    fn add_logs(&mut self, facts: &Facts<'_>) {
        for log in facts.logs.values().filter(|log| !log.is_conflicted) {
            let mut before = None;
            for entry in &log.entries {
                let value = &facts.values[entry.value];
                let writer = value
                    .writer
                    .filter(|writer| is_node(&facts.attempts[*writer]));
                let Some(writer) = writer.filter(|_| value.offset == Some(entry.offset)) else {
                    continue;
                };
                if let Some(before) = before.replace(writer) {
                    self.add(before, writer, Dependency::Ww);
                }
            }
        }
    }

    /// From the writer of a value to every ok operation that polled it.
    fn add_reads(&mut self, facts: &Facts<'_>) {
        let is_ok = |(_, attempt): &(usize, &Attempt)| attempt.outcome == Outcome::Ok;
        for (reader, attempt) in facts.attempts.iter().enumerate().filter(is_ok) {
            for (key, records) in attempt.polled() {
                let writers = records
                    .iter()
                    .filter_map(|record| facts.value(key, record.value)?.writer);
                for writer in writers.filter(|writer| is_node(&facts.attempts[*writer])) {
                    self.add(writer, reader, Dependency::Wr);
                }
            }
        }
    }

    /// From each operation of a process to its next one.
    fn add_processes(&mut self, attempts: &[Attempt]) {
        let mut last: HashMap<u64, usize> = HashMap::new();
        for (position, attempt) in attempts.iter().enumerate() {
            if is_node(attempt)
                && let Some(before) = last.insert(attempt.process, position)
            {
                self.add(before, position, Dependency::Process);
            }
        }
    }

    /// Walks over beginnings and ends in their order; a barrier is due at the first beginning after an end. Returns
    /// the number of nodes.
    fn add_real_time(&mut self, attempts: &[Attempt]) -> usize {
        let mut barrier = attempts.len();
        let mut has_end = false;
        let mut has_barrier = false;
        for (_, position, is_end) in events(attempts) {
            if is_end {
                // The barrier behind this end is made when something begins.
                self.add(position, barrier, Dependency::Realtime);
                has_end = true;
                continue;
            }
            if has_end {
                has_end = false;
                has_barrier = true;
                barrier += 1;
                self.add(barrier - 1, barrier, Dependency::Realtime);
            }
            if has_barrier {
                self.add(barrier - 1, position, Dependency::Realtime);
            }
        }
        barrier + 1
    }

    fn finish(mut self, operation_count: usize, node_count: usize) -> Graph {
        self.arrows.sort_unstable();
        self.arrows.dedup();
        let mut starts = vec![0; node_count + 1];
        for (from, _) in &self.arrows {
            starts[position(*from) + 1] += 1;
        }
        for node in 0..node_count {
            starts[node + 1] += starts[node];
        }
        Graph {
            starts,
            edges: self.arrows.into_iter().map(|(_, edge)| edge).collect(),
            operation_count,
        }
    }
}

/// Beginnings and known ends in real-time order: (index, operation, whether it is an end).
fn events(attempts: &[Attempt]) -> Vec<(u64, usize, bool)> {
    let mut events = Vec::new();
    for (position, attempt) in attempts.iter().enumerate().filter(|(_, a)| is_node(a)) {
        events.push((attempt.invoked.index.0, position, false));
        // What ended without an outcome may take effect later: nothing is known to come after it.
        if let Some(end) = attempt.completed.filter(|_| attempt.outcome == Outcome::Ok) {
            events.push((end.index.0, position, true));
        }
    }
    events.sort_unstable();
    events
}
