//! What a handler knows besides its request: the node's handles, the connection, the header.
//!
//! A context is made for each request and is cheap to clone. It stays on its core, so a handler's
//! future need not be `Send`.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use bytes::BytesMut;

use super::Broker;
use super::admin::NoAnswer;
use super::core::Core;
use super::reply::{CloseReason, FileSlice, Holding, Reply, Response};
use crate::controller::ControllerError;
use crate::wire::api::ApiKey;
use crate::wire::frame;
use crate::wire::reader::{DecodeError, Reader};
use crate::wire::writer::Writer;

/// Who is at the other end of a connection.
#[derive(Clone, Debug)]
pub struct ConnectionContext {
    /// The listener's name.
    pub listener: Arc<str>,
    /// The client's address.
    pub peer: SocketAddr,
    /// Who the client is.
    pub principal: Arc<str>,
    /// Whether another broker has passed the requests on: they go no further.
    pub is_forwarded: bool,
}

/// The principal of a connection without authentication, in Kafka's words.
pub const ANONYMOUS: &str = "User:ANONYMOUS";

/// What a handler knows besides its request.
#[derive(Clone, Debug)]
pub struct Context {
    /// The node's handles.
    pub broker: Arc<Broker>,
    /// The connection's core.
    pub core: Rc<Core>,
    /// The connection.
    pub connection: Rc<ConnectionContext>,
    /// What is asked.
    pub api: ApiKey,
    /// In which version.
    pub version: i16,
    /// The number that the answer repeats.
    pub correlation_id: i32,
    /// What the client calls itself.
    pub client_id: Option<Rc<str>>,
    /// Why the controller, asked on another node, has no answer: then nobody else is asked.
    pub(crate) unanswered: Option<ControllerError>,
    /// What the request's frame counts for: bytes of it that outlive the request keep a clone.
    pub(crate) holding: Option<Holding>,
}

/// A request's frame and where its body starts.
#[derive(Debug)]
pub(crate) struct Body {
    pub(crate) frame: BytesMut,
    pub(crate) start: usize,
}

impl Body {
    pub(crate) fn reader(&self) -> Reader<'_> {
        Reader::new(self.frame.get(self.start..).unwrap_or_default())
    }
}

impl Context {
    /// Waits for the controller's answer as long as the client does.
    pub(crate) async fn ask<T>(
        &self,
        timeout_ms: i32,
        answer: impl Future<Output = Result<T, ControllerError>>,
    ) -> Result<T, NoAnswer> {
        match self.unanswered {
            Some(error) => Err(error.into()),
            None => self.broker.ask(timeout_ms, answer).await,
        }
    }

    /// Encodes a response whose bytes are all in memory.
    pub(crate) fn respond(&self, body: impl FnOnce(&mut Writer)) -> Reply {
        self.respond_with(Vec::new(), body)
    }

    /// Encodes a response that names ranges of files.
    pub(crate) fn respond_with(
        &self,
        files: Vec<FileSlice>,
        body: impl FnOnce(&mut Writer),
    ) -> Reply {
        self.respond_in_version(self.version, files, body)
    }

    /// As `respond_with`, in another version than the request's.
    pub(crate) fn respond_in_version(
        &self,
        version: i16,
        files: Vec<FileSlice>,
        body: impl FnOnce(&mut Writer),
    ) -> Reply {
        let encoded = frame::encode_response(self.api, version, self.correlation_id, |writer| {
            body(writer);
            if writer.has_unknown_server_error() {
                self.broker.metrics.count_unknown_server_error();
                let api = self.api;
                tracing::error!(%api, version, "answered UNKNOWN_SERVER_ERROR: please report this as a bug");
            }
        });
        match encoded {
            Ok(segments) => Reply::Ready(Response { segments, files }),
            Err(source) => Reply::Close(CloseReason::Response {
                api: self.api,
                source,
            }),
        }
    }

    /// The end of a connection whose client sent a body that is none.
    pub(crate) fn undecodable(&self, source: DecodeError) -> Reply {
        Reply::Close(CloseReason::Body {
            api: self.api,
            source,
        })
    }
}
