//! Cycles of dependencies, each by the weakest class that explains it.
//!
//! A class adds dependencies to those before it, so a component that a weaker class has named is not named again. One
//! cycle stands for its component; the public checker's coarse twins (`PL-1-cycle-exists` and the like) say nothing
//! more and are left out.

use super::anomaly::{Anomaly, Class, Dependency, Evidence, Step};
use super::facts::Facts;
use super::graph::{Graph, Node, position};
use super::scc::{self, View};
use crate::w1::anomaly::Dependency::{Process, Realtime, Wr, Ww};

/// The classes from the weakest: a cycle of fewer kinds of dependency breaks a weaker promise.
const CLASSES: [(Class, &[Dependency]); 6] = [
    (Class::G0, &[Ww]),
    (Class::G1c, &[Ww, Wr]),
    (Class::G0Process, &[Ww, Process]),
    (Class::G1cProcess, &[Ww, Wr, Process]),
    (Class::G0Realtime, &[Ww, Realtime]),
    (Class::G1cRealtime, &[Ww, Wr, Realtime]),
];

/// All of them.
pub(super) fn find(facts: &Facts<'_>) -> Vec<Anomaly> {
    let graph = Graph::build(facts);
    let everything = View {
        graph: &graph,
        dependencies: &[Ww, Wr, Process, Realtime],
        within: None,
    };
    let components = scc::components(everything);
    let mut found = Vec::new();
    // The usual case: nothing goes in circles, and one pass has shown it.
    if components.is_empty() {
        return found;
    }
    let mut within = vec![None; graph.node_count()];
    for (number, component) in components.iter().enumerate() {
        mark(&mut within, component, number);
    }
    let mut named = vec![None; graph.node_count()];
    for (class, dependencies) in CLASSES {
        let view = View {
            graph: &graph,
            dependencies,
            within: Some(&within),
        };
        for component in scc::components(view) {
            if component
                .iter()
                .all(|node| named[position(*node)].is_none())
            {
                mark(&mut named, &component, 0);
                found.push(anomaly(facts, class, view, &component));
            }
        }
    }
    found
}

fn mark(marks: &mut [Option<usize>], component: &[Node], mark: usize) {
    for node in component {
        marks[position(*node)] = Some(mark);
    }
}

fn anomaly(facts: &Facts<'_>, class: Class, view: View<'_>, component: &[Node]) -> Anomaly {
    let steps = scc::short_cycle(view, component);
    let cycle = steps.into_iter().filter_map(|(node, before_next)| {
        let attempt = view.graph.operation(node)?;
        Some(Step {
            operation: facts.attempts[attempt].index(),
            before_next,
        })
    });
    let cycle = cycle.collect();
    Anomaly::new(class, Evidence::Cycle { cycle })
}
