//! Consumer groups in one thread: the coordinator's own shards, with their clients, their log and their metadata simulated.
//!
//! - What runs is what the node runs: `Shard`, with the batches that the node writes, byte for byte, and the metadata's
//!   image. Around it stands what `coordinator::partition` is on the node: appends that are late or refused, a high
//!   watermark that lags, a load after every move, of a log that the cleaner has come by. A new coordinator's log is any
//!   part of the old one's that has everything committed, and the old one goes on answering for a while (a zombie).
//! - Members are of both protocols, static and dynamic, eager and cooperative; they are slow, silent, crash, lose answers,
//!   ask twice and under former names, change the protocol; admins and simple consumers are there as well.
//! - A history is a plan that is drawn from a seed, each event with its own randomness, so that leaving events out leaves
//!   the others as they are. A plan that fails is cut down.
//!
//! Checked after every step:
//! - C1: what a member is told of its generation or epoch is what the committed log says of it, or said, whoever coordinates:
//!   nothing is announced that could be undone. All parts of a classic generation are one assignment without overlaps. In a
//!   consumer group no partition is two members' at any moment: a member owns what it was told until it says that it owns
//!   less, or the committed log has it no more. In the log itself no partition is two members'.
//! - C2: a fetch tells what was committed at some moment between question and answer, and nothing older than the last
//!   commit that was acknowledged before the question, unless the log has let it go. It does that with what was deleted, or
//!   was of no use for long enough (KIP-211). An acknowledged commit is in the committed log.
//! - C4: who is refused has written nothing. A commit that was refused for certain is never in the log. Whose instance id
//!   or membership the committed log has given to others is never told that all is well.
//! - Every question is answered once, all of them in the end; after a tick no deadline is in the past; generations and
//!   epochs rise as long as a group has members; the committed log, replayed, is the groups that are there, however much of
//!   it was compacted; and without members all groups go in the end.
//!
//! What a zombie says after the move is left out where only the node around it can help: fetched offsets (the broker
//! answers them only if the controller has answered it within its session), and "all is well" to members that its
//! successor has removed. So is what a member reads on a zombie's word alone, which has to be what the committed log once
//! said: it moves no partition.

mod announced;
mod assignment;
mod clean;
mod client;
mod commits;
mod coordinator;
mod count;
mod expiry;
mod finish;
mod hear;
mod log;
mod mirror;
mod ownership;
mod plan;
mod topics;
mod world;

use super::run::{Options, Report};

/// Runs histories.
pub fn run(options: &Options) -> Report {
    super::run::run::<plan::Plan>(options)
}

#[cfg(test)]
mod tests {
    use std::sync::OnceLock;

    use super::*;

    fn report() -> &'static Report {
        static REPORT: OnceLock<Report> = OnceLock::new();
        REPORT.get_or_init(|| {
            run(&Options {
                seed: 1,
                seeds: 300,
                events: 300,
                threads: 2,
                twice: false,
            })
        })
    }

    fn assert_holds(rule: &str) {
        let report = report();
        assert!(!report.breaks(rule), "{report}");
    }

    /// As far as so few histories can show. The rules that have tests of their own are here as well.
    #[test]
    fn histories_of_groups_hold() {
        let report = report();
        assert!(report.is_valid(), "{report}");
    }

    #[test]
    fn c1_no_two_members_have_a_partition() {
        assert_holds("C1");
    }

    #[test]
    fn c1_what_is_announced_is_committed() {
        assert_holds("announced");
    }

    #[test]
    fn c2_no_acknowledged_commit_is_lost() {
        assert_holds("C2");
    }

    #[test]
    fn c4_who_is_fenced_changes_nothing() {
        assert_holds("C4");
    }
}
