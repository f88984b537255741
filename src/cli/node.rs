//! `ottla node start`: flags become settings under their Kafka names, and a node runs on them.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Result, bail};
use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};

use crate::config::{NodeConfig, Sources};
use crate::node::{Disks, Ending, Node, StartError};
use crate::telemetry;

use super::client::HostPort;
use super::value::KeyValue;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Start a node and run it until SIGTERM or Ctrl-C
    Start(Start),
}

#[derive(Debug, clap::Args)]
pub(super) struct Start {
    /// This node's id (node.id); needed with more than one peer
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..))]
    id: Option<i32>,
    /// Where clients connect (listeners) [default: 127.0.0.1:9092]
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,
    /// The address that clients are told (advertised.listeners), where it is another one
    #[arg(long, value_name = "HOST:PORT")]
    advertise: Option<HostPort>,
    /// The failure domain of this node (broker.rack)
    #[arg(long, value_name = "NAME")]
    rack: Option<String>,
    /// A data directory (log.dirs, repeatable) [default: ./ottla-data]
    #[arg(long, value_name = "DIR")]
    data: Vec<PathBuf>,
    /// The voters of the metadata quorum (controller.quorum.voters); without it, this node alone
    #[arg(long, value_name = "ID@HOST:PORT,...")]
    peers: Option<String>,
    /// A setting under its Kafka name (repeatable); goes before the environment and the file
    #[arg(short, long, value_name = "KEY=VALUE")]
    config: Vec<KeyValue>,
    /// A server.properties, or a .toml file
    #[arg(long, value_name = "FILE")]
    config_file: Option<PathBuf>,
    /// End when this process, which must be the one that started the node, has ended
    #[arg(long, value_name = "PID", hide = true)]
    parent: Option<i32>,
}

pub(super) fn run(command: Command, disks: &Disks) -> Result<()> {
    let Command::Start(start) = command;
    if let Some(parent) = start.parent {
        end_with(parent)?;
    }
    let file = start.config_file.clone();
    let config = NodeConfig::load(&Sources::with_process_env(start.settings()?, file))?;
    telemetry::start()?;
    config.report_unused();
    let node = match Node::start(config, disks) {
        Ok(node) => node,
        Err(StartError::Ended(Ending::Asked)) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    announce(&node)?;
    match node.wait() {
        Ending::Asked => {
            node.stop();
            Ok(())
        }
        // Fail stop: nothing more is answered, flushed or marked clean by a process that can't trust itself.
        Ending::Fatal(reason) => {
            // Its destructors would wait for threads that may never come back.
            std::mem::forget(node);
            bail!("the node had to end: {reason}")
        }
    }
}

/// Has the kernel ask this process to end when its parent has.
fn end_with(parent: i32) -> Result<()> {
    set_parent_process_death_signal(Some(Signal::TERM))?;
    // A parent that ended before the kernel was told would never be missed.
    if getppid().map(Pid::as_raw_pid) != Some(parent) {
        bail!("process {parent}, which started this node, has ended");
    }
    Ok(())
}

/// The line that says that the node serves; whoever started it waits for it.
fn announce(node: &Node) -> Result<()> {
    let config = node.config();
    let dirs: Vec<_> = config
        .storage
        .dirs
        .iter()
        .map(|dir| dir.display().to_string())
        .collect();
    let (id, address, dirs) = (config.node_id, node.address(), dirs.join(", "));
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "ottla: node {id} listening on {address}, data in {dirs}"
    )?;
    Ok(out.flush()?)
}

impl Start {
    /// The flags as settings. Flags of their own come last: the last of one key wins.
    fn settings(&self) -> Result<Vec<(String, String)>> {
        let given = self.config.iter().cloned();
        let mut settings: Vec<_> = given.map(|pair| (pair.key, pair.value)).collect();
        let mut set = |key: &str, value: String| settings.push((key.to_owned(), value));
        if let Some(id) = self.id {
            set("node.id", id.to_string());
        }
        if let Some(listen) = &self.listen {
            set("listeners", format!("PLAINTEXT://{listen}"));
        }
        if let Some(advertise) = &self.advertise {
            set("advertised.listeners", format!("PLAINTEXT://{advertise}"));
        }
        if let Some(rack) = &self.rack {
            set("broker.rack", rack.clone());
        }
        if !self.data.is_empty() {
            set("log.dirs", self.directories()?);
        }
        if let Some(peers) = &self.peers {
            let count = peers.split(',').count();
            if count > 1 && self.id.is_none() {
                bail!("--peers names {count} nodes: say with --id which of them this one is");
            }
            set("controller.quorum.voters", peers.clone());
        }
        Ok(settings)
    }

    fn directories(&self) -> Result<String> {
        let mut names = Vec::new();
        for directory in &self.data {
            match directory.to_str() {
                Some(name) if !name.contains(',') => names.push(name),
                _ => bail!(
                    "data directory {}: a name has neither a comma nor bytes that are no text",
                    directory.display()
                ),
            }
        }
        Ok(names.join(","))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Wrapper {
        #[command(flatten)]
        start: Start,
    }

    fn settings(line: &str) -> Result<Vec<(String, String)>> {
        Wrapper::try_parse_from(line.split(' '))?.start.settings()
    }

    #[test]
    fn flags_become_settings_under_their_kafka_names() {
        let line = "start -c listeners=A://b:1 --id 3 --listen 127.0.0.1:0 --advertise h:9092 \
                    --rack a --data /a --data /b --peers 3@h:9093";
        let pairs = [
            ("listeners", "A://b:1"),
            ("node.id", "3"),
            ("listeners", "PLAINTEXT://127.0.0.1:0"),
            ("advertised.listeners", "PLAINTEXT://h:9092"),
            ("broker.rack", "a"),
            ("log.dirs", "/a,/b"),
            ("controller.quorum.voters", "3@h:9093"),
        ];
        let expected = pairs.map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(settings(line).unwrap(), expected);
    }

    #[test]
    fn several_peers_need_an_id() {
        assert!(settings("start --peers 1@a:9093,2@b:9093").is_err());
        assert!(settings("start --id 1 --peers 1@a:9093,2@b:9093").is_ok());
        assert!(settings("start --peers 1@a:9093").is_ok());
    }

    #[test]
    fn a_directory_with_a_comma_would_be_two() {
        assert!(settings("start --data /a,b").is_err());
    }
}
