//! The I/O thread: one after the other, what the queue has.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use crate::directory::queue::Work;
use crate::directory::{Directory, flush};

/// Starts the directory's I/O thread; it ends when the queue is closed and empty.
pub(super) fn spawn(directory: &Arc<Directory>) -> io::Result<JoinHandle<()>> {
    let directory = Arc::clone(directory);
    thread::Builder::new()
        .name("log-dir-io".to_owned())
        .spawn(move || {
            while let Some(work) = directory.queue.wait(|| directory.now()) {
                run(&directory, work);
            }
        })
}

/// Does what is due now, and what that makes due.
pub(super) fn run_pending(directory: &Arc<Directory>) {
    while let Some(work) = directory.queue.take(directory.now()) {
        run(directory, work);
    }
}

fn run(directory: &Arc<Directory>, work: Work) {
    match work {
        Work::Flush(logs) => flush::flush(directory, logs),
        Work::Settle(log) => flush::settle(directory, log),
        Work::Job(job) => job(directory),
    }
}
