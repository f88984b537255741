//! The guard: a process beside the harness that removes what a run made, however the run ends.
//!
//! The harness tells it over a pipe what it made. The end of the pipe is the end of the harness, be it a return, a
//! panic or `kill -9`; the guard then ends the processes and removes the links and namespaces that it was told of,
//! and nothing else.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdin, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

/// The subcommand under which `ottla-fault` is a guard.
pub const SUBCOMMAND: &str = "guard";

/// Something to remove.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Made {
    /// A child of the harness; must be told gone before its id is free.
    Process(u32),
    /// A network interface.
    Link(String),
    /// A network namespace.
    Namespace(String),
}

/// The harness's end of the pipe.
#[derive(Debug)]
pub(super) struct Guard {
    child: Child,
    pipe: Option<ChildStdin>,
}

impl Guard {
    /// Starts a guard: `program guard`.
    pub(super) fn start(program: impl AsRef<OsStr>) -> io::Result<Self> {
        let mut child = Command::new(program)
            .arg(SUBCOMMAND)
            .stdin(Stdio::piped())
            // Ctrl-C is for the harness.
            .process_group(0)
            .spawn()?;
        let pipe = child.stdin.take();
        Ok(Self { child, pipe })
    }

    /// Tells of something that was made.
    pub(super) fn made(&mut self, made: &Made) -> io::Result<()> {
        self.tell('+', made)
    }

    /// Tells that something is gone.
    pub(super) fn gone(&mut self, made: &Made) -> io::Result<()> {
        self.tell('-', made)
    }

    fn tell(&mut self, sign: char, made: &Made) -> io::Result<()> {
        let pipe = self.pipe.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        let line = match made {
            Made::Process(id) => format!("{sign} process {id}\n"),
            Made::Link(name) => format!("{sign} link {name}\n"),
            Made::Namespace(name) => format!("{sign} namespace {name}\n"),
        };
        pipe.write_all(line.as_bytes())
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.pipe.take();
        let _ = self.child.wait();
    }
}

/// Is a guard: listens until the pipe ends, then removes.
///
/// # Errors
/// Something could not be removed; the rest was.
pub fn serve(pipe: impl io::Read) -> io::Result<()> {
    let mut left = BTreeSet::new();
    for line in BufReader::new(pipe).lines().map_while(Result::ok) {
        match parse(&line) {
            Some(('+', made)) => {
                left.insert(made);
            }
            Some(('-', made)) => {
                left.remove(&made);
            }
            _ => {}
        }
    }
    // Processes come first: they keep namespaces alive.
    let removed: Vec<_> = left.iter().map(remove).collect();
    removed.into_iter().collect()
}

fn parse(line: &str) -> Option<(char, Made)> {
    let mut words = line.split(' ');
    let sign = words.next()?.chars().next()?;
    let (kind, name) = (words.next()?, words.next()?);
    let made = match kind {
        "process" => Made::Process(name.parse().ok()?),
        "link" => Made::Link(name.to_owned()),
        "namespace" => Made::Namespace(name.to_owned()),
        _ => return None,
    };
    Some((sign, made))
}

fn remove(made: &Made) -> io::Result<()> {
    match made {
        Made::Process(id) => {
            let pid = i32::try_from(*id).ok().and_then(Pid::from_raw);
            // It may have ended by itself.
            let _ = pid.map(|pid| kill_process(pid, Signal::KILL));
            Ok(())
        }
        Made::Link(name) => ip(&["link", "del", name]),
        Made::Namespace(name) => ip(&["netns", "del", name]),
    }
}

fn ip(arguments: &[&str]) -> io::Result<()> {
    let status = Command::new("ip").args(arguments).status()?;
    let problem = format!("ip {}: {status}", arguments.join(" "));
    status
        .success()
        .then_some(())
        .ok_or_else(|| io::Error::other(problem))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_ended_at_the_end_of_the_pipe_unless_it_is_told_gone() {
        let sleeper = || Command::new("sleep").arg("60").spawn().unwrap();
        let (mut told, mut gone) = (sleeper(), sleeper());
        let pipe = format!(
            "+ process {}\n+ process {}\nnonsense\n- process {}\n",
            told.id(),
            gone.id(),
            gone.id()
        );
        serve(pipe.as_bytes()).unwrap();
        assert!(!told.wait().unwrap().success());
        assert!(gone.try_wait().unwrap().is_none());
        gone.kill().unwrap();
        gone.wait().unwrap();
    }
}
