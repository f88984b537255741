//! Strongly connected components, and a short cycle through one.

use std::collections::{HashMap, VecDeque};

use super::anomaly::Dependency;
use super::graph::{Edge, Graph, Node, node, position};

/// From how many nodes of a component a cycle is searched at most.
const SEARCHES_MAX: usize = 64;

/// How many nodes all searches of a component may visit, unless the first one alone needs more.
const VISITS_MAX: usize = 1 << 22;

/// A part of a graph: its nodes, and the dependencies that count.
#[derive(Clone, Copy, Debug)]
pub(super) struct View<'a> {
    pub(super) graph: &'a Graph,
    pub(super) dependencies: &'a [Dependency],
    /// The component of each node, from a view with more dependencies; edges between components lie on no cycle.
    /// Nodes without one are left out.
    pub(super) within: Option<&'a [Option<usize>]>,
}

impl View<'_> {
    fn has(&self, node: Node) -> bool {
        self.within
            .is_none_or(|within| within[position(node)].is_some())
    }

    fn follows(&self, from: Node, edge: Edge) -> bool {
        let is_inside = self
            .within
            .is_none_or(|within| within[position(from)] == within[position(edge.to)]);
        is_inside && self.dependencies.contains(&edge.dependency)
    }
}

/// A node on Tarjan's stack of calls, with the number of its arrows that were followed.
struct Call {
    node: Node,
    followed: usize,
}

/// The components of two nodes or more, by Tarjan's algorithm without recursion; each in ascending order.
pub(super) fn components(view: View<'_>) -> Vec<Vec<Node>> {
    let count = view.graph.node_count();
    let mut search = Search {
        view,
        number: vec![None; count],
        low: vec![0; count],
        is_on_stack: vec![false; count],
        stack: Vec::new(),
        next_number: 0,
        found: Vec::new(),
    };
    for start in (0..count).map(node).filter(|start| view.has(*start)) {
        if search.number[position(start)].is_none() {
            search.run(start);
        }
    }
    search.found.sort_unstable();
    search.found
}

struct Search<'a> {
    view: View<'a>,
    number: Vec<Option<u32>>,
    low: Vec<u32>,
    is_on_stack: Vec<bool>,
    stack: Vec<Node>,
    next_number: u32,
    found: Vec<Vec<Node>>,
}

impl Search<'_> {
    fn run(&mut self, start: Node) {
        let mut calls = vec![self.enter(start)];
        while let Some(call) = calls.last_mut() {
            let from = call.node;
            let arrow = self.view.graph.edges(from).get(call.followed).copied();
            call.followed += 1;
            let Some(arrow) = arrow else {
                calls.pop();
                self.leave(from, calls.last().map(|call| call.node));
                continue;
            };
            if !self.view.follows(from, arrow) {
                continue;
            }
            match self.number[position(arrow.to)] {
                None => calls.push(self.enter(arrow.to)),
                Some(number) if self.is_on_stack[position(arrow.to)] => self.lower(from, number),
                Some(_) => {}
            }
        }
    }

    fn enter(&mut self, node: Node) -> Call {
        self.number[position(node)] = Some(self.next_number);
        self.low[position(node)] = self.next_number;
        self.next_number += 1;
        self.stack.push(node);
        self.is_on_stack[position(node)] = true;
        Call { node, followed: 0 }
    }

    fn lower(&mut self, node: Node, number: u32) {
        let low = &mut self.low[position(node)];
        *low = number.min(*low);
    }

    fn leave(&mut self, node: Node, caller: Option<Node>) {
        let low = self.low[position(node)];
        if let Some(caller) = caller {
            self.lower(caller, low);
        }
        if self.number[position(node)] != Some(low) {
            return;
        }
        let start = self.stack.iter().rposition(|on_stack| *on_stack == node);
        let mut component = self.stack.split_off(start.unwrap_or_default());
        for member in &component {
            self.is_on_stack[position(*member)] = false;
        }
        if component.len() > 1 {
            component.sort_unstable();
            self.found.push(component);
        }
    }
}

/// A short cycle of a component, by operations (barriers cost nothing), from its earliest operation.
///
/// Time and processes only lead forward, so every cycle has a data dependency that leads back to an earlier operation.
/// Searching from the ends of those finds a shortest cycle, unless there are too many of them.
pub(super) fn short_cycle(view: View<'_>, component: &[Node]) -> Vec<(Node, Dependency)> {
    let searches = (VISITS_MAX / component.len().max(1)).clamp(1, SEARCHES_MAX);
    let found = ends_of_ways_back(view, component)
        .into_iter()
        .take(searches)
        .filter_map(|start| cycle_through(view, start))
        .min_by_key(Vec::len);
    let mut cycle = found.unwrap_or_default();
    let earliest = (0..cycle.len()).min_by_key(|step| cycle[*step].0);
    cycle.rotate_left(earliest.unwrap_or_default());
    cycle
}

fn ends_of_ways_back(view: View<'_>, component: &[Node]) -> Vec<Node> {
    let is_member = |node: &Node| component.binary_search(node).is_ok();
    // Barriers have the highest numbers: what leaves them is no way back.
    let is_operation = |node: &&Node| view.graph.operation(**node).is_some();
    let ways = component.iter().filter(is_operation).flat_map(|from| {
        let edges = view.graph.edges(*from).iter();
        let counting = edges.filter(move |edge| view.follows(*from, **edge));
        counting.filter_map(move |edge| (edge.to < *from).then_some(edge.to))
    });
    let mut ends: Vec<Node> = ways.filter(is_member).collect();
    ends.sort_unstable();
    ends.dedup();
    ends
}

/// How a search came to a node.
#[derive(Clone, Copy)]
struct Arrival {
    from: Node,
    dependency: Dependency,
    cost: u32,
}

/// A shortest cycle through a node: its operations, each with the reason why it comes before the next.
fn cycle_through(view: View<'_>, start: Node) -> Option<Vec<(Node, Dependency)>> {
    let mut arrivals: HashMap<Node, Arrival> = HashMap::new();
    let mut waiting = VecDeque::from([(start, 0)]);
    while let Some((from, cost)) = waiting.pop_front() {
        if arrivals.get(&from).is_some_and(|known| known.cost < cost) {
            continue;
        }
        let edges = view.graph.edges(from).iter();
        for &Edge { to, dependency } in edges.filter(|edge| view.follows(from, **edge)) {
            let is_operation = view.graph.operation(to).is_some();
            let cost = cost + u32::from(is_operation);
            if arrivals.get(&to).is_some_and(|known| known.cost <= cost) {
                continue;
            }
            arrivals.insert(
                to,
                Arrival {
                    from,
                    dependency,
                    cost,
                },
            );
            // Nodes come in the order of their costs, so the first way back to the start is a shortest one.
            if to == start {
                return walk_back(view, start, &arrivals);
            }
            if is_operation {
                waiting.push_back((to, cost));
            } else {
                waiting.push_front((to, cost));
            }
        }
    }
    None
}

fn walk_back(
    view: View<'_>,
    start: Node,
    arrivals: &HashMap<Node, Arrival>,
) -> Option<Vec<(Node, Dependency)>> {
    let mut steps = Vec::new();
    let mut at = start;
    loop {
        let arrival = arrivals.get(&at)?;
        if view.graph.operation(arrival.from).is_some() {
            steps.push((arrival.from, arrival.dependency));
        }
        at = arrival.from;
        if at == start {
            steps.reverse();
            return Some(steps);
        }
    }
}
