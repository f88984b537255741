//! The numbers and identities of a quorum. Each has a type, so that none can stand for another.

use std::fmt;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);

        impl From<u64> for $name {
            fn from(raw: u64) -> Self {
                Self(raw)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number! {
    /// A member of the quorum, voter or learner. With its directory it is an identity.
    NodeId
}
number! {
    /// A leadership's number: at most one leader in each (Q2).
    Term
}
number! {
    /// The position of an entry in the replicated log: ascending from 0.
    LogIndex
}

macro_rules! uuid {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; 16]);

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }
    };
}

uuid! {
    /// The cluster that a node belongs to.
    ClusterId
}
uuid! {
    /// The directory that holds a node's log. A wiped disk has another one, and with it no vote.
    DirectoryId
}

/// What a membership entry says of a node besides its id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Member {
    /// The directory that holds its log.
    pub directory: DirectoryId,
    /// `host:port` of its quorum listener.
    pub address: String,
}

/// A node as the transport needs to know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Whom to reach.
    pub id: NodeId,
    /// Where, and with which directory.
    pub member: Member,
}

/// Who leads, as far as this node knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leadership {
    /// The latest term this node has seen.
    pub term: Term,
    /// The leader of that term, once known. A leader acts only after a barrier in its own term.
    pub leader: Option<NodeId>,
}
