//! Where nodes live on the network, and how links between them are cut.
//!
//! A cut has a direction: what `from` sends no longer reaches `to`. Clients reach every node at all times.

mod namespaces;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::net::SocketAddr;
use std::process::Command;
use std::str::FromStr;

use anyhow::{Context as _, Result, bail};

use super::guard::Guard;
use crate::port;
use crate::proxy::{Door, Proxies, Starting};
use namespaces::Namespaces;

/// How links are cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetworkKind {
    /// Nodes on the loopback interface; nothing can be cut.
    Plain,
    /// Each node in a network namespace of its own behind a bridge; nftables drops packets. Needs root.
    Namespaces,
    /// Each node on the loopback interface behind proxies that delay bytes. Needs no privileges, shows less.
    Proxies,
}

impl NetworkKind {
    /// The kind that can be cut and is allowed here: namespaces, else proxies.
    pub fn that_can_be_cut() -> Self {
        if namespaces::are_allowed() {
            Self::Namespaces
        } else {
            Self::Proxies
        }
    }
}

impl FromStr for NetworkKind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "plain" => Ok(Self::Plain),
            "namespaces" => Ok(Self::Namespaces),
            "proxies" => Ok(Self::Proxies),
            _ => Err(format!(
                "{name:?} is no network: plain, namespaces or proxies"
            )),
        }
    }
}

/// The ports of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ports {
    pub(super) clients: SocketAddr,
    pub(super) quorum: SocketAddr,
}

/// Where a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Addresses {
    /// Where it listens; clients of the harness go there, past all cuts.
    pub(super) own: Ports,
    /// What other nodes are told.
    pub(super) told: Ports,
}

/// A network of nodes.
#[derive(Debug)]
pub(super) struct Network {
    addresses: BTreeMap<i32, Addresses>,
    cutter: Cutter,
}

/// What cuts links.
#[derive(Debug)]
enum Cutter {
    Nothing,
    Namespaces(Namespaces),
    Proxies(Proxies),
}

impl Network {
    /// Makes the network.
    pub(super) fn create(kind: NetworkKind, nodes: &[i32], guard: &mut Guard) -> Result<Self> {
        let mut addresses = BTreeMap::new();
        let cutter = match kind {
            NetworkKind::Plain => {
                for (node, own) in loopback(nodes)? {
                    addresses.insert(node, Addresses { own, told: own });
                }
                Cutter::Nothing
            }
            NetworkKind::Namespaces => {
                let namespaces = Namespaces::create(nodes, guard)?;
                for &node in nodes {
                    let at = |port| SocketAddr::from((namespaces.address(node), port));
                    let (clients, quorum) = (at(9092), at(9093));
                    let own = Ports { clients, quorum };
                    addresses.insert(node, Addresses { own, told: own });
                }
                Cutter::Namespaces(namespaces)
            }
            NetworkKind::Proxies => {
                let mut doors = Vec::new();
                for (node, own) in loopback(nodes)? {
                    let mut door = |behind| -> Result<SocketAddr> {
                        let listener = port::listen().context("find a free port")?;
                        let address = listener.local_addr().context("find a free port")?;
                        doors.push(Door {
                            node,
                            listener,
                            behind,
                        });
                        Ok(address)
                    };
                    let (clients, quorum) = (door(own.clients)?, door(own.quorum)?);
                    let told = Ports { clients, quorum };
                    addresses.insert(node, Addresses { own, told });
                }
                Cutter::Proxies(Proxies::start(doors)?)
            }
        };
        Ok(Self { addresses, cutter })
    }

    /// Where each node is.
    pub(super) fn addresses(&self) -> &BTreeMap<i32, Addresses> {
        &self.addresses
    }

    /// A command that runs `program` where a node lives.
    pub(super) fn command(&self, node: i32, program: impl AsRef<OsStr>) -> Command {
        match &self.cutter {
            Cutter::Namespaces(namespaces) => namespaces.command(node, program),
            Cutter::Nothing | Cutter::Proxies(_) => Command::new(program),
        }
    }

    /// Must be called before a node's process starts; is told which one it is.
    pub(super) fn starting(&self) -> Option<Starting<'_>> {
        match &self.cutter {
            Cutter::Nothing | Cutter::Namespaces(_) => None,
            Cutter::Proxies(proxies) => Some(proxies.starting()),
        }
    }

    /// What `from` sends does not reach `to` any more.
    pub(super) fn cut(&self, from: i32, to: i32) -> Result<()> {
        match &self.cutter {
            Cutter::Nothing => bail!("this network can't be cut"),
            Cutter::Namespaces(namespaces) => namespaces.cut(from, to),
            Cutter::Proxies(proxies) => {
                proxies.cut(from, to);
                Ok(())
            }
        }
    }

    /// Ends all cuts.
    pub(super) fn heal(&self) -> Result<()> {
        match &self.cutter {
            Cutter::Nothing => Ok(()),
            Cutter::Namespaces(namespaces) => namespaces.heal(),
            Cutter::Proxies(proxies) => {
                proxies.heal();
                Ok(())
            }
        }
    }
}

/// Ports that are free now. Another program may take one before the node does; then the node says so.
fn loopback(nodes: &[i32]) -> Result<BTreeMap<i32, Ports>> {
    let mut held = Vec::new();
    let mut free = || -> Result<SocketAddr> {
        let listener = port::listen().context("find a free port")?;
        let address = listener.local_addr().context("find a free port")?;
        // Held until all are found: no port twice.
        held.push(listener);
        Ok(address)
    };
    let mut ports = BTreeMap::new();
    for &node in nodes {
        let (clients, quorum) = (free()?, free()?);
        ports.insert(node, Ports { clients, quorum });
    }
    Ok(ports)
}
