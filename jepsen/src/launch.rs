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
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// How long a node may take to become ready or to stop: far above what it takes, so that only a hang meets it.
const PATIENCE: Duration = Duration::from_mins(1);

/// Between two looks whether the process still runs.
const GLANCE: Duration = Duration::from_millis(20);

/// What no line of a healthy node holds: it has no better word for an error, or it panicked.
const BUGS: [&str; 2] = ["UNKNOWN_SERVER_ERROR", "panicked at"];
/// Lines beyond these are looked at for bugs and not kept.
const LINE_COUNT_MAX: usize = 100_000;

/// How a node is started, so that it can be started again the same way.
#[derive(Clone, Debug)]
pub struct NodeCommand {
    program: OsString,
    arguments: Vec<OsString>,
    log_filter: Option<&'static str>,
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
            log_filter: None,
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

    /// Has the node log other events than usual.
    #[must_use]
    pub fn log_filter(mut self, filter: &'static str) -> Self {
        self.log_filter = Some(filter);
        self
    }

    /// Starts the process and waits until it is ready.
    ///
    /// # Errors
    /// [`LaunchError`]; the process is gone then.
    pub fn start(&self) -> Result<NodeProcess, LaunchError> {
        let mut node = self.spawn()?;
        node.wait_until_ready()?;
        Ok(node)
    }

    /// Starts the process, which may never become ready.
    ///
    /// # Errors
    /// [`LaunchError::Spawn`].
    pub fn spawn(&self) -> Result<NodeProcess, LaunchError> {
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .envs(self.log_filter.map(|filter| ("OTTLA_LOG", filter)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|source| LaunchError::Spawn {
                program: self.program.clone(),
                source,
            })?;
        let output = Arc::new(Output::default());
        let stdout = child.stdout.take();
        let stderr = child.stderr.take();
        let mut readers: Vec<_> = stdout
            .map(|pipe| follow(pipe, Arc::clone(&output)))
            .into_iter()
            .collect();
        readers.extend(stderr.map(|pipe| follow(pipe, Arc::clone(&output))));
        Ok(NodeProcess {
            child,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            readers,
            output,
        })
    }
}

/// Reads a pipe to its end, so that the node never blocks on it.
fn follow(pipe: impl Read + Send + 'static, output: Arc<Output>) -> JoinHandle<()> {
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            output.push(line);
        }
    })
}

/// What a node wrote.
#[derive(Debug, Default)]
struct Output {
    said: Mutex<Said>,
    grown: Condvar,
}

#[derive(Debug, Default)]
struct Said {
    lines: Vec<String>,
    /// The lines that tell of a bug.
    bugs: Vec<String>,
}

impl Output {
    fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, line: String) {
        let mut said = self.said();
        if BUGS.iter().any(|bug| line.contains(bug)) {
            said.bugs.push(line.clone());
        }
        if said.lines.len() < LINE_COUNT_MAX {
            said.lines.push(line);
        }
        drop(said);
        self.grown.notify_all();
    }

    /// The first of what `find` finds in a line, waited for a little.
    fn find<T>(&self, within: Duration, find: impl Fn(&str) -> Option<T>) -> Option<T> {
        let first = |said: &Said| said.lines.iter().find_map(|line| find(line));
        let waited = self
            .grown
            .wait_timeout_while(self.said(), within, |said| first(said).is_none());
        let (said, _) = waited.unwrap_or_else(PoisonError::into_inner);
        first(&said)
    }
}

/// A running node. Dropping it kills the process.
#[derive(Debug)]
pub struct NodeProcess {
    child: Child,
    address: SocketAddr,
    readers: Vec<JoinHandle<()>>,
    output: Arc<Output>,
}

impl NodeProcess {
    /// Waits until it serves; then [`NodeProcess::address`] is known.
    ///
    /// # Errors
    /// [`LaunchError`].
    pub fn wait_until_ready(&mut self) -> Result<(), LaunchError> {
        for _ in 0..PATIENCE.as_millis() / GLANCE.as_millis() {
            if let Some(address) = self.output.find(GLANCE, ready_address) {
                self.address = address;
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                self.read_to_the_end();
                let output = self.output.said().lines.join("\n");
                return Err(LaunchError::Ended { status, output });
            }
        }
        Err(LaunchError::Late {
            what: "become ready",
        })
    }

    /// Whether it says, now or soon, a line that holds all these words.
    pub fn says(&self, words: &[&str], within: Duration) -> bool {
        let has_all = |line: &str| words.iter().all(|word| line.contains(word));
        let found = self.output.find(within, |line| has_all(line).then_some(()));
        found.is_some()
    }

    /// The lines that it wrote so far.
    pub fn output(&self) -> Vec<String> {
        self.output.said().lines.clone()
    }

    /// Whether the process has not ended.
    ///
    /// # Errors
    /// [`LaunchError::Process`].
    pub fn is_running(&mut self) -> Result<bool, LaunchError> {
        Ok(self.child.try_wait()?.is_none())
    }

    fn read_to_the_end(&mut self) {
        for reader in self.readers.drain(..) {
            let _ = reader.join();
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
        self.read_to_the_end();
        let bugs = &self.output.said().bugs;
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
