//! One node of a local cluster: a process of this binary.

use std::fs::OpenOptions;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command, ExitStatus, Stdio};

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::mpsc;

/// How much of a log is shown when its node has ended.
const LAST_LINES: usize = 5;

/// A node serves.
#[derive(Debug)]
pub(super) struct Serving {
    pub(super) id: u16,
    pub(super) address: String,
}

/// A process that is killed, if it still runs, as this is dropped.
#[derive(Debug)]
pub(super) struct Child {
    id: u16,
    process: std::process::Child,
    log: PathBuf,
}

impl Child {
    /// Starts node `id` with its data and its log in `home`. Must be called on the thread that outlives the node: the
    /// kernel takes the end of that thread for the end of this process.
    pub(super) fn start(
        id: u16,
        home: &Path,
        arguments: &[String],
        serving: mpsc::Sender<Serving>,
    ) -> Result<Self> {
        let log = home.join(format!("node-{id}.log"));
        let opened = OpenOptions::new().create(true).append(true).open(&log);
        let opened = opened.with_context(|| format!("open {}", log.display()))?;
        let program = std::env::current_exe().context("find the program that runs")?;
        let mut process = Command::new(program)
            .args(["node", "start", "--id", &id.to_string(), "--data"])
            .arg(home.join(format!("node-{id}")))
            .args(["--parent", &std::process::id().to_string()])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(opened)
            // Ctrl-C goes to this process alone, which asks its nodes to end.
            .process_group(0)
            .spawn()
            .with_context(|| format!("start node {id}"))?;
        let output = process.stdout.take();
        let node = Self { id, process, log };
        if let Some(output) = output {
            std::thread::Builder::new()
                .name(format!("node-{id}-output"))
                .spawn(move || listen(id, output, &serving))?;
        }
        Ok(node)
    }

    pub(super) fn id(&self) -> u16 {
        self.id
    }

    /// How the process ended, if it has.
    pub(super) fn ended(&mut self) -> Option<ExitStatus> {
        self.process.try_wait().ok().flatten()
    }

    pub(super) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.process.id())
            .ok()
            .and_then(Pid::from_raw);
        // One that has ended needs no signal. Its id is not given away before it is waited for.
        let _ = pid.map(|pid| kill_process(pid, signal));
    }

    /// The last lines of its log.
    pub(super) fn last_words(&self) -> String {
        let log = std::fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<_> = log.lines().collect();
        let last = lines.get(lines.len().saturating_sub(LAST_LINES)..);
        last.unwrap_or_default().join("\n")
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.ended().is_none() {
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
    }
}

/// Reads what a node prints until it ends, so that it never waits for a reader.
fn listen(id: u16, output: ChildStdout, serving: &mpsc::Sender<Serving>) {
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        if let Some(address) = address(&line) {
            let address = address.to_owned();
            let _ = serving.blocking_send(Serving { id, address });
        }
    }
}

/// Where a node listens, from the line that says that it serves.
fn address(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once(" listening on ")?;
    Some(rest.split_once(',')?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_read_from_the_line_that_says_that_a_node_serves() {
        let line = "ottla: node 1 listening on 127.0.0.1:4711, data in /tmp/x";
        assert_eq!(address(line), Some("127.0.0.1:4711"));
        assert_eq!(address("anything else"), None);
    }
}
