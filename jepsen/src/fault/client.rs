//! One connection to one node: a request goes out, its answer comes back. Nothing is sent twice.

use std::io;
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::time::Duration;

use ottla::wire::frame::encode_request;
use ottla::wire::header::{RequestHeader, decode_response_header};
use ottla::wire::messages::Request;
use ottla::wire::reader::Reader;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The largest answer that is read.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// There is no connection: nothing was sent.
    #[error("connect: {0}")]
    Connect(io::Error),
    /// The connection ended; the request may have arrived.
    #[error("the connection broke: {0}")]
    Broken(io::Error),
    /// No answer in time; the request may have arrived.
    #[error("no answer within {} ms", .0.as_millis())]
    Late(Duration),
    /// The answer makes no sense.
    #[error("an answer that makes no sense: {0}")]
    Garbled(String),
}

/// An open connection. After an error it is of no use.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    next_id: i32,
}

/// The bytes of an answer; what is decoded borrows from them.
#[derive(Debug)]
pub(crate) struct Answer<R> {
    frame: Vec<u8>,
    request: PhantomData<fn() -> R>,
}

impl Connection {
    /// Connects.
    pub(crate) async fn open(address: SocketAddr, within: Duration) -> Result<Self, CallError> {
        let stream = match timeout(within, TcpStream::connect(address)).await {
            Ok(stream) => stream.map_err(CallError::Connect)?,
            Err(_) => return Err(CallError::Connect(io::ErrorKind::TimedOut.into())),
        };
        stream.set_nodelay(true).map_err(CallError::Connect)?;
        Ok(Self { stream, next_id: 0 })
    }

    /// Sends a request and waits for its answer.
    pub(crate) async fn call<R: Request>(
        &mut self,
        request: &R,
        within: Duration,
    ) -> Result<Answer<R>, CallError> {
        let exchange = self.exchange(request);
        match timeout(within, exchange).await {
            Ok(answer) => answer,
            Err(_) => Err(CallError::Late(within)),
        }
    }

    /// Waits, while nothing is asked, until the connection is of no use.
    pub(crate) async fn ended(&self) {
        // Whatever comes now was not asked for.
        let _ = self.stream.peek(&mut [0]).await;
    }

    async fn exchange<R: Request>(&mut self, request: &R) -> Result<Answer<R>, CallError> {
        let version = R::API.served().max;
        let header = RequestHeader {
            api: R::API,
            version,
            correlation_id: self.next_id,
            client_id: Some("ottla-fault"),
        };
        self.next_id = self.next_id.wrapping_add(1) & i32::MAX;
        let frame = encode_request(&header, |writer| request.encode(writer, version));
        let garbled = |problem: String| CallError::Garbled(problem);
        let frame = frame.map_err(|error| garbled(error.to_string()))?;
        let bytes = frame.into_bytes().unwrap_or_default();
        let sent = self.stream.write_all(&bytes).await;
        sent.map_err(CallError::Broken)?;
        let size = self.stream.read_i32().await.map_err(CallError::Broken)?;
        let size = u64::try_from(size).ok();
        let Some(size) = size.filter(|size| (4..=ANSWER_BYTES_MAX).contains(size)) else {
            return Err(garbled("its size".to_owned()));
        };
        let mut frame = Vec::new();
        let mut limited = (&mut self.stream).take(size);
        let read = limited.read_to_end(&mut frame).await;
        let read = read.map_err(CallError::Broken)?;
        if u64::try_from(read).ok() != Some(size) {
            return Err(CallError::Broken(io::ErrorKind::UnexpectedEof.into()));
        }
        let found = frame.first_chunk().copied().map(i32::from_be_bytes);
        if found != Some(header.correlation_id) {
            return Err(garbled("it belongs to another request".to_owned()));
        }
        Ok(Answer {
            frame,
            request: PhantomData,
        })
    }
}

impl<R: Request> Answer<R> {
    /// What it says.
    pub(crate) fn decode(&self) -> Result<R::Response<'_>, CallError> {
        let version = R::API.served().max;
        let mut reader = Reader::new(&self.frame);
        let decoded = (|| {
            decode_response_header(&mut reader, R::API, version)?;
            let response = R::decode_response(&mut reader, version)?;
            reader.finish()?;
            Ok(response)
        })();
        decoded.map_err(|error: ottla::wire::reader::DecodeError| {
            CallError::Garbled(format!("{}: {error}", R::API))
        })
    }
}
