//! `Hello`: what two nodes tell each other before there is a quorum that both belong to.
//!
//! Kafka's framing, fields in Kafka's encoding, integers big endian; docs/formats/hello.md. A question is the asker's own
//! `Hello`, and the answer is the other's.

use std::collections::BTreeSet;

use uuid::Uuid;

use crate::config::Peer;
use crate::metadata::BrokerId;
use crate::wire::reader::{DecodeError, Reader};
use crate::wire::writer::{Segments, Writer};

const MAGIC: i32 = i32::from_be_bytes(*b"OTHE");
/// Fields are added behind the known ones, so an older node reads what it knows.
const VERSION: i16 = 1;

/// What a node says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hello {
    /// Who it is.
    pub(super) node: BrokerId,
    /// The directory that holds its quorum log: a wiped disk has another one.
    pub(super) directory: Uuid,
    /// The cluster that its disk belongs to.
    pub(super) cluster: Option<Uuid>,
    /// Whether its quorum log holds a membership, so that a quorum exists.
    pub(super) is_initialized: bool,
    /// Of the peers that it was told of.
    pub(super) peers: PeersDigest,
}

/// Equal for nodes that were started with the same `--peers`, in whatever order they stand there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PeersDigest(pub(super) u32);

impl PeersDigest {
    pub(super) fn of(peers: &[Peer]) -> Self {
        let sorted: BTreeSet<String> = peers
            .iter()
            .map(|peer| format!("{}@{}:{},", peer.id, peer.host, peer.port))
            .collect();
        let mut hasher = crc32fast::Hasher::new();
        for peer in sorted {
            hasher.update(peer.as_bytes());
        }
        Self(hasher.finalize())
    }
}

/// Why bytes are no `Hello`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum HelloError {
    #[error("not a node of ottla")]
    Magic,
    #[error("node id {0} is negative")]
    Node(i32),
    #[error(transparent)]
    Malformed(#[from] DecodeError),
}

impl Hello {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.i32(MAGIC);
        writer.i16(VERSION);
        writer.i32(self.node.get());
        writer.uuid(self.directory);
        writer.uuid(self.cluster.unwrap_or_default());
        writer.bool(self.is_initialized);
        writer.i32(i32::from_be_bytes(self.peers.0.to_be_bytes()));
        let bytes = writer.finish().ok().and_then(Segments::into_bytes);
        // Nothing here can be too long.
        bytes.unwrap_or_default().to_vec()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, HelloError> {
        let mut reader = Reader::new(bytes);
        if reader.i32()? != MAGIC {
            return Err(HelloError::Magic);
        }
        let _version = reader.i16()?;
        let node = reader.i32()?;
        Ok(Self {
            node: BrokerId::from_wire(node).ok_or(HelloError::Node(node))?,
            directory: reader.uuid()?,
            cluster: Some(reader.uuid()?).filter(|cluster| !cluster.is_nil()),
            is_initialized: reader.bool()?,
            peers: PeersDigest(u32::from_be_bytes(reader.i32()?.to_be_bytes())),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(id: i32, host: &str) -> Peer {
        Peer {
            id: BrokerId::from_wire(id).unwrap(),
            host: host.to_owned(),
            port: 9093,
        }
    }

    #[test]
    fn a_hello_is_read_as_it_was_written_and_may_grow() {
        for cluster in [None, Some(Uuid::from_u128(5))] {
            let hello = Hello {
                node: BrokerId::from_wire(3).unwrap(),
                directory: Uuid::from_u128(7),
                cluster,
                is_initialized: cluster.is_some(),
                peers: PeersDigest(u32::MAX),
            };
            let mut bytes = hello.encode();
            assert_eq!(Hello::decode(&bytes), Ok(hello));
            bytes.push(1);
            assert_eq!(Hello::decode(&bytes), Ok(hello));
            for cut in 0..bytes.len() - 1 {
                assert!(Hello::decode(&bytes[..cut]).is_err());
            }
        }
        assert_eq!(Hello::decode(b"GET / HTTP/1.1"), Err(HelloError::Magic));
    }

    /// docs/formats/hello.md, byte by byte.
    #[test]
    fn the_bytes_are_those_of_the_page() {
        let hello = Hello {
            node: BrokerId::from_wire(3).unwrap(),
            directory: Uuid::from_bytes([0xd1; 16]),
            cluster: Some(Uuid::from_bytes([0xc1; 16])),
            is_initialized: true,
            peers: PeersDigest(0x0102_0304),
        };
        let fields = [
            &b"OTHE"[..],
            &[0, 1],
            &[0, 0, 0, 3],
            &[0xd1; 16],
            &[0xc1; 16],
            &[1],
            &[1, 2, 3, 4],
        ];
        assert_eq!(hello.encode(), fields.concat());
        let peers = PeersDigest::of(&[peer(2, "b"), peer(1, "a")]);
        assert_eq!(peers.0, crc32fast::hash(b"1@a:9093,2@b:9093,"));
    }

    #[test]
    fn the_order_of_peers_does_not_count_but_everything_else_does() {
        let digest = |peers: &[Peer]| PeersDigest::of(peers);
        let (a, b) = (peer(1, "a"), peer(2, "b"));
        assert_eq!(
            digest(&[a.clone(), b.clone()]),
            digest(&[b.clone(), a.clone()])
        );
        assert_ne!(digest(&[a.clone(), b]), digest(&[a.clone(), peer(2, "c")]));
        assert_ne!(digest(std::slice::from_ref(&a)), digest(&[a, peer(2, "b")]));
    }
}
