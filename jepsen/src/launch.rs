//! Real node processes for tests: start, wait until ready, kill, stop.
//!
//! - A process that this module started never outlives its [`NodeProcess`].
//! - A node that wrote of a bug of its own ([`BUGS`]) fails the test that runs it, whatever else the test looks at.
//! - Ready means that the node said so: it prints one line with `listening on ADDRESS` once it serves.

use std::ffi::{OsStr, OsString};
use std::io::{self, BufRead as _, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// How long a node may take to become ready or to stop: far above what it takes, so that only a hang meets it.
const PATIENCE: Duration = Duration::from_mins(1);

/// What no line of a healthy node holds: it has no better word for an error, or it panicked.
const BUGS: [&str; 2] = ["UNKNOWN_SERVER_ERROR", "panicked at"];

/// How a node is started, so that it can be started again the same way.
#[derive(Clone, Debug)]
pub struct NodeCommand {
    program: OsString,
    arguments: Vec<OsString>,
}

/// Why a node did not start or stop.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The program could not be run.
    #[error("run {program:?}")]
    Spawn {
        /// The program.
        program: OsString,
        /// What the system said.
        source: io::Error,
    },
    /// It ended before it was ready.
    #[error("the node ended before it was ready ({status}): {output}")]
    Ended {
        /// How it ended.
        status: ExitStatus,
        /// What it wrote.
        output: String,
    },
    /// It did not get there in time and was killed.
    #[error("the node did not {what} within {PATIENCE:?} and was killed")]
    Late {
        /// `become ready` or `stop`.
        what: &'static str,
    },
    /// The process could not be signalled or waited for.
    #[error("signal or wait for the node")]
    Process(#[from] io::Error),
}

impl NodeCommand {
    /// A command that runs `program`; nothing is added to its arguments.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Self {
            program: program.as_ref().to_owned(),
            arguments: Vec::new(),
        }
    }

    /// `node start` on a free port of the loopback interface, with its data in `data`.
    pub fn node(program: impl AsRef<OsStr>, data: &Path) -> Self {
        Self::new(program)
            .arguments(["node", "start", "--listen", "127.0.0.1:0", "--data"])
            .arguments([data])
    }

    /// Adds arguments.
    #[must_use]
    pub fn arguments<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(
            arguments
                .into_iter()
                .map(|argument| argument.as_ref().to_owned()),
        );
        self
    }

    /// Starts the process and waits until it is ready.
    ///
    /// # Errors
    /// [`LaunchError`]; the process is gone then.
    pub fn start(&self) -> Result<NodeProcess, LaunchError> {
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|source| LaunchError::Spawn {
                program: self.program.clone(),
                source,
            })?;
        let (lines_in, lines) = sync_channel(1024);
        let bugs = Bugs::default();
        let stdout = child.stdout.take();
        let mut readers: Vec<_> = stdout
            .map(|pipe| follow(pipe, lines_in.clone(), bugs.clone()))
            .into_iter()
            .collect();
        let stderr = child.stderr.take();
        readers.extend(stderr.map(|pipe| follow(pipe, lines_in, bugs.clone())));
        let mut node = NodeProcess {
            child,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            readers,
            bugs,
        };
        node.address = node.wait_until_ready(&lines)?;
        Ok(node)
    }
}

/// Reads a pipe to its end, so that the node never blocks on it; lines beyond what fits are dropped.
fn follow(
    pipe: impl Read + Send + 'static,
    lines: SyncSender<String>,
    bugs: Bugs,
) -> JoinHandle<()> {
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            bugs.look_at(&line);
            let _ = lines.try_send(line);
        }
    })
}

/// The lines of a node that tell of a bug.
#[derive(Clone, Debug, Default)]
struct Bugs(Arc<Mutex<Vec<String>>>);

impl Bugs {
    fn look_at(&self, line: &str) {
        if BUGS.iter().any(|bug| line.contains(bug)) {
            let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            lines.push(line.to_owned());
        }
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A running node. Dropping it kills the process.
#[derive(Debug)]
pub struct NodeProcess {
    child: Child,
    address: SocketAddr,
    readers: Vec<JoinHandle<()>>,
    bugs: Bugs,
}

impl NodeProcess {
    fn wait_until_ready(&mut self, lines: &Receiver<String>) -> Result<SocketAddr, LaunchError> {
        let mut output = String::new();
        loop {
            match lines.recv_timeout(PATIENCE) {
                Ok(line) => {
                    if let Some(address) = ready_address(&line) {
                        return Ok(address);
                    }
                    output.push_str(&line);
                    output.push('\n');
                }
                Err(RecvTimeoutError::Disconnected) => {
                    let status = self.child.wait()?;
                    return Err(LaunchError::Ended { status, output });
                }
                Err(RecvTimeoutError::Timeout) => {
                    return Err(LaunchError::Late {
                        what: "become ready",
                    });
                }
            }
        }
    }

    /// Where it serves clients.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends it at once, as a crash does: `kill -9`.
    ///
    /// # Errors
    /// [`LaunchError::Process`].
    pub fn kill(mut self) -> Result<(), LaunchError> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Asks it to stop (`SIGTERM`) and waits for it.
    ///
    /// # Errors
    /// [`LaunchError::Late`] if it does not; [`LaunchError::Process`].
    pub fn stop(mut self) -> Result<ExitStatus, LaunchError> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let pid = pid
            .ok_or(io::ErrorKind::InvalidInput)
            .map_err(io::Error::from)?;
        kill_process(pid, Signal::TERM).map_err(io::Error::from)?;
        let tick = Duration::from_millis(5);
        for _ in 0..PATIENCE.as_millis() / tick.as_millis() {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            thread::park_timeout(tick);
        }
        Err(LaunchError::Late { what: "stop" })
    }
}

impl Drop for NodeProcess {
    fn drop(&mut self) {
        // Already ended is fine; there is nobody to tell of anything else.
        let _ = self.child.kill();
        let _ = self.child.wait();
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
        let bugs = self.bugs.take();
        assert!(
            bugs.is_empty() || thread::panicking(),
            "the node wrote of a bug of its own: {bugs:#?}"
        );
    }
}

fn ready_address(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("listening on ")?;
    rest.split([',', ' ']).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ready_line_names_the_address() {
        let line = "ottla: node 1 listening on 127.0.0.1:4711, data in /tmp/x";
        assert_eq!(
            ready_address(line),
            Some(SocketAddr::from(([127, 0, 0, 1], 4711)))
        );
        assert_eq!(ready_address("ottla: starting"), None);
    }

    #[test]
    fn a_program_that_ends_early_is_reported_with_what_it_said() {
        let command = NodeCommand::new("sh").arguments(["-c", "echo port in use >&2; exit 3"]);
        let error = command.start().unwrap_err();
        assert!(matches!(&error, LaunchError::Ended { output, .. } if output.contains("in use")));
    }

    #[test]
    #[should_panic(expected = "a bug of its own")]
    fn a_node_that_writes_of_a_bug_fails_the_test() {
        let script = "echo listening on 127.0.0.1:1; echo UNKNOWN_SERVER_ERROR >&2; sleep 0.2";
        let node = NodeCommand::new("sh")
            .arguments(["-c", script])
            .start()
            .unwrap();
        thread::park_timeout(Duration::from_millis(100));
        drop(node);
    }

    #[test]
    fn a_stopped_program_is_waited_for() {
        let script =
            "trap 'exit 7' TERM; echo listening on 127.0.0.1:1; while :; do sleep 0.01; done";
        let node = NodeCommand::new("sh")
            .arguments(["-c", script])
            .start()
            .unwrap();
        assert_eq!(node.stop().unwrap().code(), Some(7));
    }
}
