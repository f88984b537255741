//! What happened, and what must hold of it.
//!
//! One [`History`] sees every command that any node applies, every leader that any node believes
//! itself to be, and every answer that a client got. It panics as soon as two of them disagree.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard};

use ottla_raft::{LogIndex, NodeId, StateMachine, Term};

/// Shared by the state machines, the clients and the checks of one seed.
#[derive(Clone, Default)]
pub(crate) struct History(Arc<Mutex<Facts>>);

#[derive(Default)]
struct Facts {
    /// Per index: the command, and the digest of the state after it.
    applied: BTreeMap<u64, (Vec<u8>, u64)>,
    leaders: BTreeMap<u64, NodeId>,
    acknowledged: BTreeMap<u64, Vec<u8>>,
    refused: BTreeSet<Vec<u8>>,
    counts: Counts,
}

/// How often things happened. A zero in the sum over all seeds says that a test tests nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) elections: u64,
    pub(crate) acknowledged: u64,
    pub(crate) refused: u64,
    pub(crate) unknown: u64,
    pub(crate) barriers: u64,
    pub(crate) snapshot_installs: u64,
    pub(crate) snapshot_restarts: u64,
    pub(crate) drops: u64,
    pub(crate) power_cuts: u64,
    pub(crate) kills: u64,
    pub(crate) torn_writes: u64,
    pub(crate) lost_writes: u64,
    pub(crate) partitions: u64,
}

impl Counts {
    pub(crate) fn named(&self) -> [(&'static str, u64); 13] {
        [
            ("elections", self.elections),
            ("acknowledged", self.acknowledged),
            ("refused", self.refused),
            ("unknown", self.unknown),
            ("barriers", self.barriers),
            ("snapshot installs", self.snapshot_installs),
            ("restarts from a snapshot", self.snapshot_restarts),
            ("drops", self.drops),
            ("power cuts", self.power_cuts),
            ("kills", self.kills),
            ("torn writes", self.torn_writes),
            ("lost writes", self.lost_writes),
            ("partitions", self.partitions),
        ]
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.elections += other.elections;
        self.acknowledged += other.acknowledged;
        self.refused += other.refused;
        self.unknown += other.unknown;
        self.barriers += other.barriers;
        self.snapshot_installs += other.snapshot_installs;
        self.snapshot_restarts += other.snapshot_restarts;
        self.drops += other.drops;
        self.power_cuts += other.power_cuts;
        self.kills += other.kills;
        self.torn_writes += other.torn_writes;
        self.lost_writes += other.lost_writes;
        self.partitions += other.partitions;
    }
}

impl History {
    fn lock(&self) -> MutexGuard<'_, Facts> {
        self.0.lock().unwrap()
    }

    pub(crate) fn count(&self, count: impl FnOnce(&mut Counts)) {
        count(&mut self.lock().counts);
    }

    pub(crate) fn counts(&self) -> Counts {
        self.lock().counts
    }

    /// Q1: the same command at the same index on every node, and the same state after it.
    fn note_applied(&self, node: NodeId, index: u64, command: &[u8], digest: u64) {
        let mut facts = self.lock();
        assert!(
            !facts.refused.contains(command),
            "Q1: node {node} applied a refused command"
        );
        if let Some((known, known_digest)) = facts.applied.get(&index) {
            assert_eq!(
                known, command,
                "Q1: node {node} applied another command at {index}"
            );
            assert_eq!(
                *known_digest, digest,
                "Q1: node {node} has another state at {index}"
            );
        } else {
            facts.applied.insert(index, (command.to_vec(), digest));
        }
    }

    fn note_restored(&self, node: NodeId, last: u64, digest: u64, is_start: bool) {
        let mut facts = self.lock();
        if last > 0 {
            let known = facts.applied.get(&last).map(|(_, digest)| *digest);
            assert_eq!(
                known,
                Some(digest),
                "M1: node {node} restored another state at {last}"
            );
        }
        if is_start {
            facts.counts.snapshot_restarts += 1;
        } else {
            facts.counts.snapshot_installs += 1;
        }
    }

    /// Q2: one leader per term.
    pub(crate) fn note_leader(&self, term: Term, node: NodeId) {
        let mut facts = self.lock();
        let known = *facts.leaders.entry(term.0).or_insert(node);
        assert_eq!(known, node, "Q2: two leaders in term {term}");
        facts.counts.elections = facts.leaders.len() as u64;
    }

    pub(crate) fn note_acknowledged(&self, index: LogIndex, command: Vec<u8>) {
        let mut facts = self.lock();
        let applied = facts.applied.get(&index.0).map(|(command, _)| command);
        assert_eq!(
            applied,
            Some(&command),
            "Q4: acknowledged at {index} and not applied there"
        );
        facts.counts.acknowledged += 1;
        facts.acknowledged.insert(index.0, command);
    }

    pub(crate) fn note_refused(&self, command: Vec<u8>) {
        let mut facts = self.lock();
        let was_applied = facts
            .applied
            .values()
            .any(|(applied, _)| *applied == command);
        assert!(!was_applied, "Q1: a refused command was applied");
        facts.counts.refused += 1;
        facts.refused.insert(command);
    }

    /// The last index that a client was told of.
    pub(crate) fn last_acknowledged(&self) -> Option<u64> {
        self.lock().acknowledged.keys().next_back().copied()
    }

    /// Q4: what was acknowledged is what every node ended up with.
    pub(crate) fn check_acknowledged(&self, last: u64) {
        let facts = self.lock();
        for (index, command) in &facts.acknowledged {
            assert!(
                *index <= last,
                "Q4: acknowledged entry {index} is beyond the end {last}"
            );
            assert_eq!(
                &facts.applied[index].0, command,
                "Q4: entry {index} was replaced"
            );
        }
        let distinct: BTreeSet<&Vec<u8>> =
            facts.applied.values().map(|(command, _)| command).collect();
        assert_eq!(
            distinct.len(),
            facts.applied.len(),
            "Q1: a command was applied twice"
        );
    }
}

/// A state that is a digest of all commands, in order.
pub(crate) struct Digest {
    node: NodeId,
    history: History,
    state: Arc<Mutex<State>>,
    is_started: Arc<Mutex<bool>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) last: u64,
    pub(crate) digest: u64,
}

/// The reader's side of a [`Digest`].
#[derive(Clone)]
pub(crate) struct DigestView {
    state: Arc<Mutex<State>>,
    is_started: Arc<Mutex<bool>>,
}

impl DigestView {
    pub(crate) fn now(&self) -> State {
        *self.state.lock().unwrap()
    }

    /// From here on a restore is one of a snapshot that came from a peer.
    pub(crate) fn mark_started(&self) {
        *self.is_started.lock().unwrap() = true;
    }
}

impl Digest {
    pub(crate) fn new(node: NodeId, history: History) -> (Self, DigestView) {
        let state = Arc::<Mutex<State>>::default();
        let is_started = Arc::<Mutex<bool>>::default();
        let view = DigestView {
            state: Arc::clone(&state),
            is_started: Arc::clone(&is_started),
        };
        (
            Self {
                node,
                history,
                state,
                is_started,
            },
            view,
        )
    }
}

impl StateMachine for Digest {
    fn apply(&mut self, index: LogIndex, command: &[u8]) -> Vec<u8> {
        let mut state = self.state.lock().unwrap();
        assert!(
            index.0 > state.last,
            "Q1: {index} applied after {}",
            state.last
        );
        let mut digest = state.digest ^ index.0.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for byte in command {
            digest = (digest ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
        *state = State {
            last: index.0,
            digest,
        };
        self.history
            .note_applied(self.node, index.0, command, digest);
        digest.to_le_bytes().to_vec()
    }

    fn snapshot(&self) -> Vec<u8> {
        let state = self.state.lock().unwrap();
        let mut out = state.last.to_le_bytes().to_vec();
        out.extend_from_slice(&state.digest.to_le_bytes());
        // Large enough for a write to be torn.
        out.resize(2000, 0x5a);
        out
    }

    fn restore(
        &mut self,
        _: LogIndex,
        snapshot: &[u8],
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        let (last, rest) = snapshot.split_first_chunk().ok_or("cut off")?;
        let (digest, _) = rest.split_first_chunk().ok_or("cut off")?;
        let (last, digest) = (u64::from_le_bytes(*last), u64::from_le_bytes(*digest));
        *self.state.lock().unwrap() = State { last, digest };
        let is_start = !*self.is_started.lock().unwrap();
        self.history
            .note_restored(self.node, last, digest, is_start);
        Ok(())
    }
}
