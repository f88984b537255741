//! Listeners, advertised endpoints and quorum peers: `name://host:port` and `id@host:port`.

use std::fmt;

use crate::config::ConfigError;
use crate::config::key::list_items;
use crate::metadata::BrokerId;

/// How bytes travel on a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SecurityProtocol {
    /// As they are.
    Plaintext,
}

impl SecurityProtocol {
    /// Kafka's number of the protocol, in broker registrations.
    pub const fn wire_code(self) -> i16 {
        match self {
            Self::Plaintext => 0,
        }
    }
}

/// An address to listen at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// The listener's name, upper case.
    pub name: String,
    /// The host or address; empty is every address.
    pub host: String,
    /// The port; 0 lets the system choose.
    pub port: u16,
    /// How bytes travel.
    pub protocol: SecurityProtocol,
}

/// An address that others are told to connect to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Endpoint {
    /// The listener's name.
    pub listener: String,
    /// The host or address.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// A first member of the quorum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The node's id.
    pub id: BrokerId,
    /// Its host or address.
    pub host: String,
    /// Its quorum port.
    pub port: u16,
}

impl Peer {
    /// `host:port`, as it stands in the membership.
    pub fn address(&self) -> String {
        format!("{}:{}", Bracketed(&self.host), self.port)
    }
}

impl Listener {
    /// Whether it listens at every address, which can't be advertised.
    pub fn is_wildcard(&self) -> bool {
        is_wildcard(&self.host)
    }
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}:{}", self.name, Bracketed(&self.host), self.port)
    }
}

/// An IPv6 address in brackets, as it stands before a port.
pub(crate) struct Bracketed<'a>(pub(crate) &'a str);

impl fmt::Display for Bracketed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.contains(':') {
            write!(f, "[{}]", self.0)
        } else {
            f.write_str(self.0)
        }
    }
}

fn is_wildcard(host: &str) -> bool {
    matches!(host, "" | "0.0.0.0" | "::")
}

/// The listeners of `listeners`, their protocols taken from `protocol_map`.
pub(super) fn parse_listeners(
    key: &'static str,
    value: &str,
    protocol_map: &str,
) -> Result<Vec<Listener>, ConfigError> {
    let mut listeners: Vec<Listener> = Vec::new();
    for item in list_items(value) {
        let (name, address) = item.split_once("://").unwrap_or(("PLAINTEXT", item));
        let name = name.to_ascii_uppercase();
        let (host, port) = host_port(address)
            .ok_or_else(|| conflict(key, format!("{item} is not name://host:port")))?;
        if listeners.iter().any(|other| other.name == name) {
            return Err(conflict(key, format!("two listeners are called {name}")));
        }
        let protocol = protocol_of(&name, protocol_map)?;
        listeners.push(Listener {
            name,
            host,
            port,
            protocol,
        });
    }
    if listeners.is_empty() {
        return Err(conflict(key, "at least one listener is needed".to_owned()));
    }
    Ok(listeners)
}

fn protocol_of(name: &str, protocol_map: &str) -> Result<SecurityProtocol, ConfigError> {
    const KEY: &str = "listener.security.protocol.map";
    let mapped = list_items(protocol_map)
        .into_iter()
        .filter_map(|item| item.split_once(':'))
        .find(|(mapped, _)| mapped.eq_ignore_ascii_case(name))
        .map(|(_, protocol)| protocol.to_ascii_uppercase());
    match mapped.as_deref() {
        Some("PLAINTEXT") => Ok(SecurityProtocol::Plaintext),
        Some(other) => Err(conflict(
            KEY,
            format!("listener {name}: {other} is not supported yet"),
        )),
        None => Err(conflict(
            KEY,
            format!("no security protocol for the listener {name}"),
        )),
    }
}

/// `id@host:port,...`.
pub(super) fn parse_peers(value: &str) -> Result<Vec<Peer>, ConfigError> {
    const KEY: &str = "controller.quorum.voters";
    let mut peers: Vec<Peer> = Vec::new();
    for item in list_items(value) {
        let peer = item.split_once('@').and_then(|(id, address)| {
            let (host, port) = host_port(address)?;
            let id = BrokerId::from_wire(id.parse().ok()?)?;
            (!is_wildcard(&host) && port > 0).then_some(Peer { id, host, port })
        });
        let peer = peer.ok_or_else(|| conflict(KEY, format!("{item} is not id@host:port")))?;
        if peers.iter().any(|other| other.id == peer.id) {
            return Err(conflict(KEY, format!("two peers have the id {}", peer.id)));
        }
        peers.push(peer);
    }
    Ok(peers)
}

/// `host:port`, `[v6]:port` or `:port`.
fn host_port(address: &str) -> Option<(String, u16)> {
    let (host, port) = address.rsplit_once(':')?;
    let host = match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']')?,
        None if host.contains(':') => return None,
        None => host,
    };
    Some((host.to_owned(), port.parse().ok()?))
}

pub(super) fn conflict(key: &'static str, reason: String) -> ConfigError {
    ConfigError::Conflict { key, reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAP: &str = "PLAINTEXT:PLAINTEXT,INSIDE:PLAINTEXT,SSL:SSL";

    #[test]
    fn listeners_are_named_addresses() {
        let parsed =
            parse_listeners("listeners", "PLAINTEXT://:9092,inside://[::1]:9094", MAP).unwrap();
        assert!(parsed[0].is_wildcard());
        assert_eq!(parsed[1].name, "INSIDE");
        assert_eq!((parsed[1].host.as_str(), parsed[1].port), ("::1", 9094));
        assert_eq!(parsed[1].to_string(), "INSIDE://[::1]:9094");
        let bare = parse_listeners("listeners", "127.0.0.1:9092", MAP).unwrap();
        assert_eq!(bare[0].name, "PLAINTEXT");
    }

    #[test]
    fn listeners_that_cannot_be_are_refused() {
        for wrong in [
            "",
            "PLAINTEXT://h",
            "PLAINTEXT://h:99999",
            "PLAINTEXT://:1,PLAINTEXT://:2",
            "SSL://:1",
            "X://:1",
            "PLAINTEXT://::1:9",
        ] {
            assert!(parse_listeners("listeners", wrong, MAP).is_err(), "{wrong}");
        }
    }

    #[test]
    fn peers_are_ids_with_addresses() {
        let peers = parse_peers("1@a:9093,2@[::1]:9093").unwrap();
        assert_eq!(
            peers[1],
            Peer {
                id: BrokerId::from_wire(2).unwrap(),
                host: "::1".to_owned(),
                port: 9093
            }
        );
        for wrong in [
            "1",
            "x@a:1",
            "-1@a:1",
            "1@a",
            "1@:9",
            "1@a:0",
            "1@a:1,1@b:1",
        ] {
            assert!(parse_peers(wrong).is_err(), "{wrong}");
        }
    }
}
