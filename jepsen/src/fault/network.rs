//! Where nodes live on the network, and how links between them are cut.
//!
//! A cut has a direction: what `from` sends no longer reaches `to`. Clients reach every node at all times.

mod namespaces;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::Command;
use std::str::FromStr;

use anyhow::{Context as _, Result, bail};

use super::guard::Guard;
use namespaces::Namespaces;

/// How links are cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetworkKind {
    /// Nodes on the loopback interface; nothing can be cut.
    Plain,
    /// Each node in a network namespace of its own behind a bridge; nftables drops packets. Needs root.
    Namespaces,
}

impl FromStr for NetworkKind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "plain" => Ok(Self::Plain),
            "namespaces" => Ok(Self::Namespaces),
            _ => Err(format!("{name:?} is no network: plain or namespaces")),
        }
    }
}

/// The ports of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Addresses {
    pub(super) clients: SocketAddr,
    pub(super) quorum: SocketAddr,
}

/// A network of nodes.
#[derive(Debug)]
pub(super) struct Network {
    addresses: BTreeMap<i32, Addresses>,
    namespaces: Option<Namespaces>,
}

impl Network {
    /// Makes the network.
    pub(super) fn create(kind: NetworkKind, nodes: &[i32], guard: &mut Guard) -> Result<Self> {
        match kind {
            NetworkKind::Plain => Ok(Self {
                addresses: loopback(nodes)?,
                namespaces: None,
            }),
            NetworkKind::Namespaces => {
                let namespaces = Namespaces::create(nodes, guard)?;
                let addresses = nodes.iter().map(|&node| {
                    let at = |port| SocketAddr::from((namespaces.address(node), port));
                    let (clients, quorum) = (at(9092), at(9093));
                    (node, Addresses { clients, quorum })
                });
                Ok(Self {
                    addresses: addresses.collect(),
                    namespaces: Some(namespaces),
                })
            }
        }
    }

    /// Where each node is reached.
    pub(super) fn addresses(&self) -> &BTreeMap<i32, Addresses> {
        &self.addresses
    }

    /// A command that runs `program` where a node lives.
    pub(super) fn command(&self, node: i32, program: impl AsRef<OsStr>) -> Command {
        match &self.namespaces {
            Some(namespaces) => namespaces.command(node, program),
            None => Command::new(program),
        }
    }

    /// Drops what `from` sends to `to`.
    pub(super) fn cut(&self, from: i32, to: i32) -> Result<()> {
        match &self.namespaces {
            Some(namespaces) => namespaces.cut(from, to),
            None => bail!("this network can't be cut"),
        }
    }

    /// Ends all cuts.
    pub(super) fn heal(&self) -> Result<()> {
        match &self.namespaces {
            Some(namespaces) => namespaces.heal(),
            None => Ok(()),
        }
    }
}

/// Ports that are free now. Another program may take one before the node does; then the node says so.
fn loopback(nodes: &[i32]) -> Result<BTreeMap<i32, Addresses>> {
    let mut held = Vec::new();
    let mut free = || -> Result<SocketAddr> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("find a free port")?;
        let address = listener.local_addr().context("find a free port")?;
        // Held until all are found: no port twice.
        held.push(listener);
        Ok(address)
    };
    let mut addresses = BTreeMap::new();
    for &node in nodes {
        let (clients, quorum) = (free()?, free()?);
        addresses.insert(node, Addresses { clients, quorum });
    }
    Ok(addresses)
}
