//! `ottla dev`: a cluster on this machine in one command, to try things with.
//!
//! - Nodes are processes of this binary. They never outlive the command: it asks them to end, and if it dies itself the
//!   kernel does.
//! - A node that ends unasked ends the cluster, and the command with an error.
//! - Without `--dir` nothing stays.

mod child;
mod home;

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};
use rustix::process::Signal;
use tokio::signal::unix::{Signal as Signals, SignalKind, signal};
use tokio::sync::mpsc;

use self::child::{Child, Serving};
use self::home::Home;
use super::output::{Stdout, classify};
use super::say;
use super::value::KeyValue;

/// How soon the end of a node is seen.
const PAUSE: Duration = Duration::from_millis(50);

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// How many nodes
    #[arg(short, long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=100))]
    nodes: u16,
    /// Keep the data here, and go on with what is there [default: a temporary directory]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Clients connect to node 1 at this port, to node 2 at the next, ... [default: free ports]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    /// A setting of every node under its Kafka name (repeatable)
    #[arg(short, long, value_name = "KEY=VALUE")]
    config: Vec<KeyValue>,
}

pub(super) async fn run(options: Options) -> Result<()> {
    let home = Home::open(options.dir.clone())?;
    let mut stops = Stops::listen()?;
    let (serving, mut served) = mpsc::channel(usize::from(options.nodes));
    // Dropped before the home: a node that still ran would write into what is removed.
    let mut nodes = start(&options, &home, &serving)?;
    let outcome = tokio::select! {
        outcome = watch(&mut nodes, &home, &mut served) => outcome,
        () = stops.next() => Ok(()),
    };
    for node in &nodes {
        node.signal(Signal::TERM);
    }
    tokio::select! {
        () = all_ended(&mut nodes) => {}
        // Asked twice: what runs now is killed as it is dropped.
        () = stops.next() => {}
    }
    outcome
}

fn start(options: &Options, home: &Home, serving: &mpsc::Sender<Serving>) -> Result<Vec<Child>> {
    let peers = home.peers(options.nodes)?;
    let mut nodes = Vec::new();
    for id in 1..=options.nodes {
        let port = match options.port {
            None => 0,
            Some(base) => match base.checked_add(id - 1) {
                Some(port) => port,
                None => bail!("--port {base} leaves no port for node {id}: take a lower one"),
            },
        };
        let mut arguments = vec!["--listen".to_owned(), format!("127.0.0.1:{port}")];
        // A node alone needs no quorum listener.
        if options.nodes > 1 {
            arguments.extend(["--peers".to_owned(), peers.clone()]);
        }
        for KeyValue { key, value } in &options.config {
            arguments.extend(["-c".to_owned(), format!("{key}={value}")]);
        }
        nodes.push(Child::start(id, home.path(), &arguments, serving.clone())?);
    }
    Ok(nodes)
}

/// Says when all nodes serve; returns when one has ended, which none was asked to.
async fn watch(
    nodes: &mut [Child],
    home: &Home,
    served: &mut mpsc::Receiver<Serving>,
) -> Result<()> {
    let mut addresses = vec![None; nodes.len()];
    loop {
        tokio::select! {
            Some(Serving { id, address }) = served.recv() => {
                let slot = addresses.get_mut(usize::from(id) - 1);
                slot.map(|slot| slot.replace(address));
                let known: Vec<_> = addresses.iter().flatten().cloned().collect();
                if known.len() == nodes.len() {
                    announce(&known, home)?;
                }
            }
            () = tokio::time::sleep(PAUSE) => {}
        }
        for node in &mut *nodes {
            if let Some(status) = node.ended() {
                let (id, last_words) = (node.id(), node.last_words());
                bail!("node {id} ended unasked ({status}); the end of its log:\n{last_words}");
            }
        }
    }
}

fn announce(addresses: &[String], home: &Home) -> Result<()> {
    let nodes = if addresses.len() == 1 {
        "node serves"
    } else {
        "nodes serve"
    };
    say(&format!(
        "ottla: {} {nodes}; data and logs are in {}; Ctrl-C ends it",
        addresses.len(),
        home.path().display()
    ));
    let mut out = Stdout::lock();
    let printed = writeln!(out, "{}", addresses.join(",")).and_then(|()| out.flush());
    printed.map_err(classify)
}

async fn all_ended(nodes: &mut [Child]) {
    for node in nodes {
        while node.ended().is_none() {
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// The signals that ask for the end.
struct Stops {
    interrupt: Signals,
    terminate: Signals,
}

impl Stops {
    fn listen() -> Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
