//! How a request ends: what `net` writes, waits for, or closes the connection over.
//!
//! - W2: each request ends in exactly one response, or (`acks=0`) in none; the connection keeps the
//!   order of the requests, whatever order they end in.
//! - Bytes of a log are named, not copied: a response is the pieces that were encoded and ranges of
//!   files whose bytes never change while they are named.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::BytesMut;
use ottla_storage::FileRange;
use ottla_storage::fs::File;

pub use crate::replica::request::Holding;
use crate::wire::api::ApiKey;
use crate::wire::header::HeaderError;
use crate::wire::reader::DecodeError;
use crate::wire::writer::{EncodeError, Segments};

/// What keeps bytes of a file from being cut or rewritten while a response names them.
pub trait HeldFile: fmt::Debug + Send + Sync {
    /// The file; `None` if nothing of it is named.
    fn file(&self) -> Option<&dyn File>;
}

impl HeldFile for FileRange {
    fn file(&self) -> Option<&dyn File> {
        Self::file(self)
    }
}

/// Bytes of a file that a response names.
#[derive(Clone, Debug)]
pub struct FileSlice {
    /// The file.
    pub file: Arc<dyn HeldFile>,
    /// Where the bytes start.
    pub position: u64,
    /// How many there are.
    pub len: u32,
}

/// An encoded response in its frame.
#[derive(Clone, Debug, Default)]
pub struct Response {
    /// The pieces in order. The token of an external one is its index in `files`.
    pub segments: Segments,
    /// What the external pieces name.
    pub files: Vec<FileSlice>,
}

/// A request that is not decided yet. It stays on its connection's core.
pub type Pending = Pin<Box<dyn Future<Output = Reply>>>;

/// How a request ends, or what must happen first.
pub enum Reply {
    /// Answered.
    Ready(Response),
    /// Done, and nobody wants to hear of it.
    Silent,
    /// The connection can't go on; what precedes is still answered.
    Close(CloseReason),
    /// Started, and waiting for something: later requests may start meanwhile.
    Waiting(Pending),
    /// Not started yet, because it must ask elsewhere first: later requests wait (decision 19).
    Held(Pending),
}

impl Reply {
    /// A reply that holds later requests back until `future` is done.
    pub fn held(future: impl Future<Output = Self> + 'static) -> Self {
        Self::Held(Box::pin(future))
    }

    /// A reply that lets later requests start while `future` waits.
    pub fn waiting(future: impl Future<Output = Self> + 'static) -> Self {
        Self::Waiting(Box::pin(future))
    }

    /// How it ends, after everything that it waits for.
    pub async fn settled(self) -> Self {
        let mut reply = self;
        loop {
            reply = match reply {
                Self::Waiting(pending) | Self::Held(pending) => pending.await,
                ended => return ended,
            };
        }
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready(response) => f
                .debug_tuple("Ready")
                .field(&response.segments.len)
                .finish(),
            Self::Silent => f.write_str("Silent"),
            Self::Close(reason) => f.debug_tuple("Close").field(reason).finish(),
            Self::Waiting(_) => f.write_str("Waiting"),
            Self::Held(_) => f.write_str("Held"),
        }
    }
}

/// Why a connection is closed by us; logged once, with the peer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CloseReason {
    /// The header names something that can't be answered.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// The body is not what its header promises.
    #[error("{api} request: {source}")]
    Body {
        /// The API that was asked.
        api: ApiKey,
        /// What is wrong with the bytes.
        source: DecodeError,
    },
    /// A produce that wants no answer failed: closing is the only way to say so.
    #[error("produce with acks=0 failed for a partition")]
    UnacknowledgedProduceFailed,
    /// Our own answer does not fit the protocol.
    #[error("{api} response: {source}")]
    Response {
        /// The API that was asked.
        api: ApiKey,
        /// Why it could not be written.
        source: EncodeError,
    },
    /// The same, among nodes.
    #[error("answer to another node: {0}")]
    Answer(EncodeError),
}

/// What answers the frames of a connection.
pub trait Service: 'static {
    /// Starts the request in `frame` (without its size); the buffer is the request's own.
    fn start(&self, frame: BytesMut) -> Reply;

    /// The same of a frame that counts until `holding` is dropped: whoever keeps bytes of it beyond the answer, or the
    /// connection, keeps that too.
    fn start_holding(&self, frame: BytesMut, _holding: Holding) -> Reply {
        self.start(frame)
    }
}
