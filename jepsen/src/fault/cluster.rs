//! The nodes of a run as real processes, and what can be done to them.
//!
//! - A node's output goes to `node-N.log` of the run's directory, over all its restarts.
//! - A node that ends without being killed is a finding; it is started again so that the run goes on.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};

use super::guard::{Guard, Made};
use super::network::{Network, NetworkKind};

/// What a line of a node's log says when a follower dropped records that the leader does not have.
const TRUNCATED: &str = "truncated the log";
/// What no line of a healthy node holds.
const BUGS: [&str; 2] = ["panicked at", "UNKNOWN_SERVER_ERROR"];

/// How the nodes are started.
#[derive(Clone, Debug)]
pub(super) struct ClusterOptions {
    pub(super) program: PathBuf,
    pub(super) guard: PathBuf,
    pub(super) nodes: usize,
    pub(super) network: NetworkKind,
    /// `KEY=VALUE` settings.
    pub(super) config: Vec<String>,
    pub(super) dir: PathBuf,
}

/// The nodes.
#[derive(Debug)]
pub(super) struct Cluster {
    options: ClusterOptions,
    // Dropped in this order: processes, then what they live in.
    nodes: BTreeMap<i32, Node>,
    network: Network,
    guard: Guard,
}

#[derive(Debug)]
struct Node {
    child: Option<Child>,
    is_paused: bool,
    log: PathBuf,
}

impl Cluster {
    /// Makes the network and starts all nodes; whether they serve, clients find out.
    pub(super) fn start(options: ClusterOptions) -> Result<Self> {
        let mut guard = Guard::start(&options.guard).context("start the guard")?;
        let ids: Vec<i32> = (1..).take(options.nodes).collect();
        let network = Network::create(options.network, &ids, &mut guard)?;
        let nodes = ids.iter().map(|&id| {
            let log = options.dir.join(format!("node-{id}.log"));
            let node = Node {
                child: None,
                is_paused: false,
                log,
            };
            (id, node)
        });
        let nodes = nodes.collect();
        let mut cluster = Self {
            options,
            nodes,
            network,
            guard,
        };
        for id in ids {
            cluster.start_node(id)?;
        }
        Ok(cluster)
    }

    /// All ids.
    pub(super) fn ids(&self) -> Vec<i32> {
        self.nodes.keys().copied().collect()
    }

    /// Where clients reach the nodes.
    pub(super) fn addresses(&self) -> BTreeMap<i32, SocketAddr> {
        let addresses = self.network.addresses().iter();
        addresses.map(|(id, at)| (*id, at.own.clients)).collect()
    }

    /// Starts a node that is down.
    pub(super) fn start_node(&mut self, id: i32) -> Result<()> {
        let node = self.nodes.get_mut(&id).context("no such node")?;
        if node.child.is_some() {
            return Ok(());
        }
        let log = File::options().create(true).append(true).open(&node.log);
        let log = log.with_context(|| format!("open {}", node.log.display()))?;
        let mut command = self.network.command(id, &self.options.program);
        command.args(arguments(&self.options, &self.network, id));
        // To a node, such a variable is a setting; the options of the run are all that counts.
        for (name, _) in env::vars_os().filter(|(name, _)| is_setting(name)) {
            command.env_remove(name);
        }
        let starting = self.network.starting();
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone().context("share the log")?)
            .stderr(log)
            // Ctrl-C is for the harness.
            .process_group(0)
            .spawn()
            .with_context(|| format!("run {}", self.options.program.display()))?;
        if let Some(starting) = starting {
            starting.runs(id, child.id());
        }
        self.guard.made(&Made::Process(child.id()))?;
        node.child = Some(child);
        Ok(())
    }

    /// `kill -9`.
    pub(super) fn kill(&mut self, id: i32) -> Result<()> {
        let node = self.nodes.get_mut(&id).context("no such node")?;
        let Some(mut child) = node.child.take() else {
            return Ok(());
        };
        node.is_paused = false;
        child.kill().context("kill a node")?;
        child.wait().context("wait for a node")?;
        Ok(self.guard.gone(&Made::Process(child.id()))?)
    }

    /// `SIGSTOP`.
    pub(super) fn pause(&mut self, id: i32) -> Result<()> {
        self.signal(id, Signal::STOP, true)
    }

    /// `SIGCONT`.
    pub(super) fn resume(&mut self, id: i32) -> Result<()> {
        self.signal(id, Signal::CONT, false)
    }

    fn signal(&mut self, id: i32, signal: Signal, is_paused: bool) -> Result<()> {
        let node = self.nodes.get_mut(&id).context("no such node")?;
        let pid = node.child.as_ref().map(Child::id);
        let pid = pid.and_then(|id| i32::try_from(id).ok());
        if let Some(pid) = pid.and_then(Pid::from_raw) {
            kill_process(pid, signal).context("signal a node")?;
            node.is_paused = is_paused;
        }
        Ok(())
    }

    /// Drops what `from` sends to `to`.
    pub(super) fn cut(&self, from: i32, to: i32) -> Result<()> {
        self.network.cut(from, to)
    }

    /// Every node runs, none is paused, nothing is cut.
    pub(super) fn heal(&mut self) -> Result<()> {
        self.network.heal()?;
        for id in self.ids() {
            if self.nodes.get(&id).is_some_and(|node| node.is_paused) {
                self.resume(id)?;
            }
            self.start_node(id)?;
        }
        Ok(())
    }

    /// The nodes that ended though nobody killed them; they run again.
    pub(super) fn ended_unasked(&mut self) -> Result<Vec<String>> {
        let mut ended = Vec::new();
        for (id, node) in &mut self.nodes {
            if let Some(child) = &mut node.child
                && let Some(status) = child.try_wait().context("look at a node")?
            {
                self.guard.gone(&Made::Process(child.id()))?;
                node.child = None;
                ended.push((*id, format!("node {id} ended unasked: {status}")));
            }
        }
        for (id, _) in &ended {
            self.start_node(*id)?;
        }
        Ok(ended.into_iter().map(|(_, problem)| problem).collect())
    }

    /// How many times followers truncated, and the lines that tell of bugs.
    pub(super) fn read_logs(&self) -> Result<Told> {
        let mut told = Told::default();
        for (id, node) in &self.nodes {
            let text = fs::read(&node.log);
            let text = text.with_context(|| format!("read {}", node.log.display()))?;
            for line in String::from_utf8_lossy(&text).lines() {
                told.look_at(*id, line);
            }
        }
        Ok(told)
    }

    /// Ends all nodes and removes their data.
    pub(super) fn remove_data(mut self) -> Result<()> {
        for id in self.ids() {
            self.kill(id)?;
        }
        for id in self.ids() {
            let data = data_dir(&self.options.dir, id);
            match fs::remove_dir_all(&data) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(error).with_context(|| format!("remove {}", data.display()));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for node in self.nodes.values_mut() {
            if let Some(mut child) = node.child.take() {
                // Already ended is fine; the guard ends the rest.
                let _ = child.kill();
                let _ = child.wait();
                let _ = self.guard.gone(&Made::Process(child.id()));
            }
        }
    }
}

/// What the logs of a run say.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) truncations: u64,
    pub(super) bugs: Vec<String>,
}

impl Told {
    fn look_at(&mut self, id: i32, line: &str) {
        if line.contains(TRUNCATED) {
            self.truncations += 1;
        }
        if BUGS.iter().any(|bug| line.contains(bug)) {
            self.bugs.push(format!("node {id} wrote: {line}"));
        }
    }
}

/// Whether a node takes an environment variable for a setting.
fn is_setting(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    name.starts_with("OTTLA_") && !name.starts_with("OTTLA_LOG")
}

fn data_dir(dir: &Path, id: i32) -> PathBuf {
    dir.join(format!("node-{id}"))
}

fn arguments(options: &ClusterOptions, network: &Network, id: i32) -> Vec<String> {
    let data = data_dir(&options.dir, id).display().to_string();
    let id_text = id.to_string();
    let mut arguments: Vec<String> = ["node", "start", "--id", &id_text, "--data", &data]
        .map(str::to_owned)
        .into();
    let mut add = |flag: &str, value: String| arguments.extend([flag.to_owned(), value]);
    let addresses = network.addresses();
    if let Some(at) = addresses.get(&id) {
        if at.own == at.told {
            add("--listen", at.own.clients.to_string());
        } else {
            let (clients, quorum) = (at.own.clients, at.own.quorum);
            let listeners = format!("listeners=PLAINTEXT://{clients},CONTROLLER://{quorum}");
            add("--config", listeners);
            add(
                "--config",
                "controller.listener.names=CONTROLLER".to_owned(),
            );
            add("--advertise", at.told.clients.to_string());
        }
    }
    if addresses.len() > 1 {
        let peers = addresses.iter();
        let peers: Vec<_> = peers
            .map(|(id, at)| format!("{id}@{}", at.told.quorum))
            .collect();
        add("--peers", peers.join(","));
    }
    for pair in &options.config {
        add("--config", pair.clone());
    }
    arguments
}

/// Makes the directory of a run; one that holds a run already is not written over.
pub(super) fn make_dir(dir: &Path) -> Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("make {}", dir.display()))?;
    let mut entries = fs::read_dir(dir).with_context(|| format!("read {}", dir.display()))?;
    ensure!(entries.next().is_none(), "{} is not empty", dir.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_tell_of_truncations_and_bugs() {
        let mut told = Told::default();
        for line in [
            "INFO ottla::replica: truncated the log topic=w1 partition=3 from=10 to=8",
            "INFO ottla::replica: became the leader",
            "thread 'x' panicked at src/a.rs:1",
        ] {
            told.look_at(2, line);
        }
        let bugs = vec!["node 2 wrote: thread 'x' panicked at src/a.rs:1".to_owned()];
        assert_eq!(
            told,
            Told {
                truncations: 1,
                bugs
            }
        );
    }

    #[test]
    fn a_directory_that_holds_a_run_is_not_written_over() {
        let dir = tempfile::tempdir().unwrap();
        make_dir(&dir.path().join("new")).unwrap();
        fs::write(dir.path().join("history.edn"), "").unwrap();
        assert!(make_dir(dir.path()).is_err());
    }
}
