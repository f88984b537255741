//! The address of a broker as users write it and as brokers advertise it.

use std::fmt;
use std::str::FromStr;

use crate::config::Bracketed;

/// `host:port`, `[v6]:port`, or a host alone, which means Kafka's port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct HostPort {
    pub(crate) host: String,
    pub(crate) port: u16,
}

const KAFKA_PORT: u16 = 9092;

impl FromStr for HostPort {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let expected = || "expected HOST:PORT".to_owned();
        let text = text.trim();
        let (host, port) = if let Some(rest) = text.strip_prefix('[') {
            let (host, after) = rest.split_once(']').ok_or_else(expected)?;
            match after {
                "" => (host, None),
                _ => (host, Some(after.strip_prefix(':').ok_or_else(expected)?)),
            }
        } else {
            match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            }
        };
        let port = match port {
            None => KAFKA_PORT,
            Some(port) => port.parse().map_err(|_| expected())?,
        };
        if host.is_empty() || port == 0 || host.contains(|c: char| c.is_whitespace() || c == '/') {
            return Err(expected());
        }
        Ok(Self {
            host: host.to_owned(),
            port,
        })
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        write!(f, "{}:{port}", Bracketed(host))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_printed_alike() {
        for (text, printed) in [
            ("localhost:9092", "localhost:9092"),
            ("broker-1", "broker-1:9092"),
            ("[::1]:19092", "[::1]:19092"),
            ("[::1]", "[::1]:9092"),
        ] {
            assert_eq!(text.parse::<HostPort>().unwrap().to_string(), printed);
        }
        for bad in [
            "",
            ":9092",
            "a:b",
            "a:0",
            "a:70000",
            "::1",
            "a b:1",
            "http://a:1",
            "[::1",
        ] {
            assert!(bad.parse::<HostPort>().is_err(), "{bad}");
        }
    }
}
