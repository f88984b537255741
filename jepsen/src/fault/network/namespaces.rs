//! One network namespace per node, all behind one bridge; nftables rules of the receiver drop a sender's packets.
//!
//! Names hold the id of this process. Whatever is made is told to the guard at once, and removed by it.

use std::ffi::OsStr;
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::process::{self, Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};

use crate::fault::guard::{Guard, Made};

/// How many networks are tried before all seem taken.
const NETWORK_TRIES: u32 = 64;

#[derive(Debug)]
pub(super) struct Namespaces {
    tag: String,
    network: [u8; 3],
    nodes: Vec<i32>,
}

/// Whether this process may make namespaces and rules.
pub(super) fn are_allowed() -> bool {
    // A namespace without a name ends with its process.
    let try_rules = ["--net", "nft", "add", "table", "inet", "ottla"];
    let tried = Command::new("unshare").args(try_rules).output();
    tried.is_ok_and(|output| output.status.success()) && rustix::process::geteuid().is_root()
}

impl Namespaces {
    pub(super) fn create(nodes: &[i32], guard: &mut Guard) -> Result<Self> {
        let here = Self {
            tag: format!("{:x}", process::id()),
            network: free_network()?,
            nodes: nodes.to_vec(),
        };
        let bridge = here.bridge();
        ip(&["link", "add", &bridge, "type", "bridge"])?;
        guard.made(&Made::Link(bridge.clone()))?;
        let address = format!("{}/24", here.host(1));
        ip(&["addr", "add", &address, "dev", &bridge])?;
        ip(&["link", "set", &bridge, "up"])?;
        for &node in nodes {
            here.add_node(node, guard)
                .with_context(|| format!("make the network of node {node}"))?;
        }
        Ok(here)
    }

    pub(super) fn address(&self, node: i32) -> Ipv4Addr {
        self.host(u8::try_from(node).unwrap_or(0).saturating_add(10))
    }

    pub(super) fn command(&self, node: i32, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("ip");
        // `ip` becomes the program: the process id is the node's.
        command
            .args(["netns", "exec", &self.namespace(node)])
            .arg(program);
        command
    }

    pub(super) fn cut(&self, from: i32, to: i32) -> Result<()> {
        let address = self.address(from);
        let rule = format!("add rule inet ottla input ip saddr {address} drop\n");
        self.nft(to, &rule)
    }

    pub(super) fn heal(&self) -> Result<()> {
        let heal = |node: &i32| self.nft(*node, "flush chain inet ottla input\n");
        // One that fails must not leave the others cut.
        let healed: Vec<_> = self.nodes.iter().map(heal).collect();
        healed.into_iter().collect()
    }

    fn add_node(&self, node: i32, guard: &mut Guard) -> Result<()> {
        let (namespace, link, bridge) = (self.namespace(node), self.link(node), self.bridge());
        ip(&["netns", "add", &namespace])?;
        guard.made(&Made::Namespace(namespace.clone()))?;
        let peer = ["peer", "name", "eth0", "netns", &namespace];
        ip(&[&["link", "add", &link, "type", "veth"], &peer[..]].concat())?;
        // It would go with its namespace, but sockets that nobody answers keep that for minutes.
        guard.made(&Made::Link(link.clone()))?;
        ip(&["link", "set", &link, "master", &bridge, "up"])?;
        let address = format!("{}/24", self.address(node));
        let inside = ["-n", namespace.as_str()];
        let within = |arguments: &[&str]| ip(&[&inside, arguments].concat());
        within(&["addr", "add", &address, "dev", "eth0"])?;
        within(&["link", "set", "lo", "up"])?;
        within(&["link", "set", "eth0", "up"])?;
        let chain = "add table inet ottla\n\
                     add chain inet ottla input { type filter hook input priority 0 ; }\n";
        self.nft(node, chain)
    }

    fn nft(&self, node: i32, script: &str) -> Result<()> {
        let mut command = self.command(node, "nft");
        command.args(["-f", "-"]).stdin(Stdio::piped());
        let mut child = command.spawn().context("run ip netns exec")?;
        if let Some(mut pipe) = child.stdin.take() {
            pipe.write_all(script.as_bytes())
                .context("write to nft; is it installed?")?;
        }
        let status = child.wait().context("wait for nft")?;
        ensure!(
            status.success(),
            "nft ended with {status}; is it installed?"
        );
        Ok(())
    }

    fn host(&self, last: u8) -> Ipv4Addr {
        let [a, b, c] = self.network;
        Ipv4Addr::new(a, b, c, last)
    }

    /// The names of interfaces have at most 15 bytes.
    fn bridge(&self) -> String {
        format!("of{}", self.tag)
    }

    fn link(&self, node: i32) -> String {
        format!("of{}n{node}", self.tag)
    }

    fn namespace(&self, node: i32) -> String {
        format!("ottla-{}-{node}", self.tag)
    }
}

/// A /24 that no route of this host speaks of.
fn free_network() -> Result<[u8; 3]> {
    let routes = Command::new("ip").args(["-4", "route"]).output();
    let routes = routes.context("run ip; is it installed?")?.stdout;
    let routes = String::from_utf8_lossy(&routes);
    for offset in 0..NETWORK_TRIES {
        let number = process::id().wrapping_add(offset);
        let [.., high, low] = number.to_be_bytes();
        let network = [10, 128 | (high & 0x3f), low];
        let prefix = format!("10.{}.{}.", network[1], network[2]);
        if !routes.contains(&prefix) {
            return Ok(network);
        }
    }
    bail!("no network 10.128.0.0/10 is free")
}

fn ip(arguments: &[&str]) -> Result<()> {
    let output = Command::new("ip").args(arguments).output();
    let output = output.context("run ip; is it installed?")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "ip {}: {}",
        arguments.join(" "),
        said.trim()
    );
    Ok(())
}
