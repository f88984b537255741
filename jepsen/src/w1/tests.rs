//! What the corpus does not reach: the graph against a naive one, other rules, doubts, the printed report, and size.

use std::fmt::Write as _;

use proptest::prelude::*;

use super::anomaly::Dependency;
use super::facts::Facts;
use super::graph::{Graph, Node, node, position};
use super::scc::{self, View};
use super::{Acks, Class, Doubt, Rules, Verdict, Word, check};
use crate::history::{Attempt, Format, History, HistoryBuilder, Reader};

const EVERYTHING: &[Dependency] = &[
    Dependency::Ww,
    Dependency::Wr,
    Dependency::Process,
    Dependency::Realtime,
];

fn history(text: &str) -> History {
    let mut builder = HistoryBuilder::default();
    for operation in Reader::new(text.as_bytes(), Format::Edn) {
        builder.push(operation.unwrap()).unwrap();
    }
    builder.finish()
}

/// Lines of `process type f value`, numbered and timed.
fn lines(events: &[&str]) -> History {
    let mut text = String::new();
    for (index, event) in events.iter().enumerate() {
        let mut words = event.splitn(4, ' ');
        let mut word = || words.next().unwrap();
        let (process, kind, function, value) = (word(), word(), word(), word());
        writeln!(
            text,
            "{{:index {index} :time {index} :process {process} :type :{kind} :f :{function} \
             :value {value}}}"
        )
        .unwrap();
    }
    history(&text)
}

fn classes(verdict: &Verdict) -> Vec<&'static str> {
    let names = verdict.anomalies.iter().map(|anomaly| anomaly.class.name());
    names.collect()
}

#[test]
fn a_history_without_reads_proves_nothing() {
    let verdict = check(&lines(&[]), Rules::default());
    assert_eq!(verdict.verdict, Word::Unknown);
    assert_eq!(verdict.doubt, Some(Doubt::NothingRead));
}

#[test]
fn a_value_that_was_sent_twice_makes_a_history_unjudgeable() {
    let verdict = check(
        &lines(&[
            "0 invoke send [[:send 1 5]]",
            "0 ok send [[:send 1 [0 5]]]",
            "0 invoke send [[:send 1 5]]",
            "0 ok send [[:send 1 [1 5]]]",
        ]),
        Rules::default(),
    );
    assert_eq!(verdict.verdict, Word::Unknown);
    assert!(matches!(verdict.doubt, Some(Doubt::SentTwice { .. })));
}

/// Losing what only the leader acknowledged is allowed; showing it first is not the same as losing it.
#[test]
fn weaker_acknowledgements_allow_loss_and_nothing_else() {
    let history = lines(&[
        "0 invoke send [[:send 1 5]]",
        "0 ok send [[:send 1 [0 5]]]",
        "0 invoke send [[:send 1 6]]",
        "0 ok send [[:send 1 [1 6]]]",
        "1 invoke poll [[:poll]]",
        "1 ok poll [[:poll {1 [[1 6]]}]]",
    ]);
    let strict = check(&history, Rules::default());
    assert_eq!(classes(&strict), ["lost-write", "unseen"]);
    assert_eq!(strict.verdict, Word::Invalid);
    for acks in [Acks::Leader, Acks::None] {
        let relaxed = check(&history, Rules { acks });
        assert_eq!(classes(&relaxed), ["lost-write", "unseen"]);
        assert_eq!(relaxed.verdict, Word::Valid);
    }
}

/// The last ok operation is the first to read a key without ok sends: the public checker calls its values unseen.
#[test]
fn the_last_read_of_a_key_without_acknowledged_sends_is_a_read() {
    let verdict = check(
        &lines(&[
            "0 invoke send [[:send 1 5]]",
            "0 info send [[:send 1 5]]",
            "1 invoke poll [[:poll]]",
            "1 ok poll [[:poll {1 [[7 5]]}]]",
        ]),
        Rules::default(),
    );
    assert_eq!(classes(&verdict), [""; 0]);
    assert_eq!(verdict.verdict, Word::Valid);
}

#[test]
fn positions_are_forgotten_for_dropped_keys_only() {
    let again = |assigned: &str| {
        let history = lines(&[
            "0 invoke send [[:send 1 5] [:send 1 6]]",
            "0 ok send [[:send 1 [0 5]] [:send 1 [1 6]]]",
            "1 invoke poll [[:poll]]",
            "1 ok poll [[:poll {1 [[0 5] [1 6]]}]]",
            &format!("1 invoke assign {assigned}"),
            &format!("1 ok assign {assigned}"),
            "1 invoke poll [[:poll]]",
            "1 ok poll [[:poll {1 [[0 5]]}]]",
        ]);
        classes(&check(&history, Rules::default()))
    };
    assert_eq!(again("[2]"), [""; 0]);
    assert_eq!(again("[1 2]"), ["nonmonotonic-poll"]);
}

#[test]
fn the_report_names_the_evidence_and_is_short() {
    let mut events = vec!["0 invoke poll [[:poll]]".to_owned()];
    let records: Vec<_> = (0..20).map(|n| format!("[{n} {n}]")).collect();
    events.push(format!("0 ok poll [[:poll {{3 [{}]}}]]", records.join(" ")));
    let events: Vec<_> = events.iter().map(String::as_str).collect();
    let report = check(&lines(&events), Rules::default()).to_string();
    assert!(report.starts_with("INVALID: 1 operations on 1 keys\n"));
    assert!(report.contains("\nphantom (20)\n"));
    let case = "  key 3: value 0 at offset 0 (operations 1)\n";
    assert!(report.contains(case), "{report}");
    assert!(report.ends_with("  and 12 more\n"), "{report}");
}

#[test]
fn classes_have_one_name_each() {
    let mut names: Vec<_> = Class::ALL.iter().map(|class| class.name()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), Class::ALL.len());
}

// ---- the graph ----

/// Sends of a few processes that begin and end in any order: true begins, false ends what the process has open.
fn schedule() -> impl Strategy<Value = Vec<(u64, bool)>> {
    prop::collection::vec((0_u64..5, any::<bool>()), 0..40)
}

fn scheduled(steps: &[(u64, bool)]) -> History {
    let mut open = [None; 5];
    let mut events = Vec::new();
    for (value, &(process, begins)) in steps.iter().enumerate() {
        let slot = &mut open[usize::try_from(process).unwrap()];
        match (*slot, begins) {
            (None, true) => {
                *slot = Some(value);
                events.push(format!("{process} invoke send [[:send 1 {value}]]"));
            }
            (Some(open), false) => {
                *slot = None;
                events.push(format!("{process} ok send [[:send 1 [nil {open}]]]"));
            }
            _ => {}
        }
    }
    let events: Vec<_> = events.iter().map(String::as_str).collect();
    lines(&events)
}

/// Whether arrows of some kinds lead from one node to another.
fn leads(view: View<'_>, from: Node, to: Node) -> bool {
    let mut seen = vec![false; view.graph.node_count()];
    let mut waiting = vec![from];
    while let Some(at) = waiting.pop() {
        for edge in view.graph.edges(at) {
            if !view.dependencies.contains(&edge.dependency) || seen[position(edge.to)] {
                continue;
            }
            if edge.to == to {
                return true;
            }
            seen[position(edge.to)] = true;
            waiting.push(edge.to);
        }
    }
    false
}

fn view<'a>(graph: &'a Graph, dependencies: &'a [Dependency]) -> View<'a> {
    View {
        graph,
        dependencies,
        within: None,
    }
}

fn ended_before(a: &Attempt, b: &Attempt) -> bool {
    a.completed.is_some_and(|end| end < b.invoked)
}

/// Transactions that wrote two keys in any order, all at one time: every cycle is one of writes.
fn interleaved(order: &[usize]) -> History {
    let count = order.len();
    let mut events = Vec::new();
    for txn in 0..count {
        events.push(format!(
            "{txn} invoke txn [[:send 1 {txn}] [:send 2 {txn}]]"
        ));
    }
    for (txn, place) in order.iter().enumerate() {
        events.push(format!(
            "{txn} ok txn [[:send 1 [{txn} {txn}]] [:send 2 [{place} {txn}]]]"
        ));
    }
    events.push("99 invoke poll [[:poll]]".to_owned());
    events.push("99 ok poll [[:poll {3 []}]]".to_owned());
    let events: Vec<_> = events.iter().map(String::as_str).collect();
    lines(&events)
}

proptest! {
    /// Barriers say what comparing all pairs says.
    #[test]
    fn barriers_carry_real_time(steps in schedule()) {
        let history = scheduled(&steps);
        let facts = Facts::gather(history.attempts()).unwrap();
        let graph = Graph::build(&facts);
        let view = view(&graph, &[Dependency::Realtime]);
        for (a, first) in history.attempts().iter().enumerate() {
            for (b, second) in history.attempts().iter().enumerate() {
                let expected = ended_before(first, second);
                prop_assert_eq!(leads(view, node(a), node(b)), expected, "{} to {}", a, b);
            }
        }
    }

    /// Components are the classes of nodes that lead to each other, and each has a cycle of its own members.
    #[test]
    fn components_are_what_leads_both_ways(order in Just((0..9).collect::<Vec<usize>>()).prop_shuffle()) {
        let history = interleaved(&order);
        let facts = Facts::gather(history.attempts()).unwrap();
        let graph = Graph::build(&facts);
        let view = view(&graph, EVERYTHING);
        let components = scc::components(view);
        let together = |a: Node, b: Node| components.iter().any(|c| c.contains(&a) && c.contains(&b));
        let operations = || (0..order.len()).map(node);
        for (a, b) in operations().flat_map(|a| operations().map(move |b| (a, b))) {
            let both = leads(view, a, b) && leads(view, b, a);
            prop_assert_eq!(together(a, b), both);
        }
        for component in &components {
            let cycle = scc::short_cycle(view, component);
            prop_assert!(cycle.len() >= 2);
            for (step, (from, dependency)) in cycle.iter().enumerate() {
                let to = cycle[(step + 1) % cycle.len()].0;
                prop_assert!(component.contains(from));
                prop_assert!(graph.edges(*from).iter().any(|e| (e.to, e.dependency) == (to, *dependency)));
            }
        }
    }
}
