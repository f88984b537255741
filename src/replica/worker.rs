//! Works off what threads other than the cores' have left over at a partition.
//!
//! - The quorum's thread, the one that applies metadata and those of the disks tell partitions of decisions and of
//!   completed work. Whoever does that may hold the partition's lock while clients queue their requests; appending
//!   those must not keep it from elections, or from the other partitions.
//! - A busy partition is worked on for a few turns and goes to the end of the line: no other one waits for long.
//! - The thread ends with the last queue to it.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};
use std::thread;

use super::Replica;

/// Turns of one partition before the next one's.
const TURN_COUNT: usize = 16;

/// Where partitions with something left to do go. Bounded by the partitions: each is in the line once.
pub type WorkQueue = Sender<Arc<Replica>>;

/// Starts the thread.
///
/// # Errors
/// The system has no more threads.
#[expect(
    clippy::disallowed_methods,
    reason = "bounded by the partitions, each of which is in the line at most once"
)]
pub fn start() -> io::Result<WorkQueue> {
    let (queue, line) = std::sync::mpsc::channel();
    thread::Builder::new()
        .name("replica-worker".to_owned())
        .spawn(move || work(&line))?;
    Ok(queue)
}

fn work(line: &Receiver<Arc<Replica>>) {
    while let Ok(replica) = line.recv() {
        replica.work_for(TURN_COUNT);
    }
}
