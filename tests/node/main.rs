//! Whole nodes: real processes, real sockets, real files. One module a promise.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends at the first surprise"
)]

mod bad_input;
mod client;
mod compaction;
mod counters;
mod durability;
mod fail_stop;
mod records;
mod refused_starts;

use std::path::Path;

use ottla_jepsen::launch::{NodeCommand, NodeProcess};
use tempfile::TempDir;

/// The binary under test.
const OTTLA: &str = env!("CARGO_BIN_EXE_ottla");

/// A node with a directory of its own.
struct Lab {
    node: Option<NodeProcess>,
    command: NodeCommand,
    directory: TempDir,
}

impl Lab {
    fn start() -> Self {
        Self::start_with([])
    }

    /// Starts a node with `--config` for each of `configs`.
    fn start_with<const N: usize>(configs: [&str; N]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut command = NodeCommand::node(OTTLA, &directory.path().join("data"));
        for config in configs {
            command = command.arguments(["--config", config]);
        }
        let node = Some(command.start().unwrap());
        Self {
            node,
            command,
            directory,
        }
    }

    fn node(&self) -> &NodeProcess {
        self.node.as_ref().expect("the node runs")
    }

    fn data(&self) -> &Path {
        self.directory.path()
    }

    fn connect(&self) -> client::Client {
        client::Client::connect(self.node().address())
    }

    /// `kill -9`, then the same node again. The port is another one.
    fn crash_and_restart(&mut self) {
        self.node.take().expect("the node runs").kill().unwrap();
        self.node = Some(self.command.start().unwrap());
    }

    /// SIGTERM, then the same node again.
    fn stop_and_restart(&mut self) {
        let status = self.node.take().expect("the node runs").stop().unwrap();
        assert!(status.success(), "stopped with {status}");
        self.node = Some(self.command.start().unwrap());
    }
}
