//! One connection to one broker.
//!
//! - Requests are answered in the order they were sent; an answer that names another request ends
//!   the connection.
//! - At most [`IN_FLIGHT_MAX`] requests wait for an answer; the next one waits for a slot.
//! - An answer's bytes are taken as they arrive: a length alone allocates nothing.
//! - Once anything went wrong the connection stays broken; the caller opens another.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::timeout;

use crate::wire::api::ApiKey;
use crate::wire::frame::encode_request;
use crate::wire::header::RequestHeader;
use crate::wire::writer::{Piece, Segments};

use super::address::HostPort;
use super::call::{Answer, Call};
use super::error::ClientError;
use super::versions::Versions;

/// What Kafka's producers allow: with it an idempotent producer keeps its order.
const IN_FLIGHT_MAX: usize = 5;

/// What brokers see in their logs and quotas.
const CLIENT_ID: &str = "ottla-cli";

/// Larger than any answer we ask for (see `consume`), smaller than a mistake: `HTTP` read as a
/// length is 1.2 GB.
const RESPONSE_SIZE_MAX: usize = 256 * 1024 * 1024;

#[derive(Debug)]
pub(crate) struct Connection {
    address: HostPort,
    versions: Versions,
    writer: Mutex<Writer>,
    slots: Arc<Semaphore>,
    /// Only ever set.
    is_broken: Arc<AtomicBool>,
}

#[derive(Debug)]
struct Writer {
    socket: OwnedWriteHalf,
    pending: mpsc::Sender<Pending>,
    next_correlation_id: i32,
    /// Half a frame may be on the wire: a write failed, or nobody waited for its end.
    is_torn: bool,
}

/// A request that was sent: who waits for the answer, and its slot.
#[derive(Debug)]
struct Pending {
    correlation_id: i32,
    answer: oneshot::Sender<Result<Vec<u8>, ClientError>>,
    _slot: OwnedSemaphorePermit,
}

impl Connection {
    /// Connects and learns which versions the broker serves.
    pub(crate) async fn open(address: &HostPort, within: Duration) -> Result<Self, ClientError> {
        let refused = |cause| ClientError::Connect {
            address: address.clone(),
            cause,
        };
        let dialled = TcpStream::connect((address.host.as_str(), address.port));
        let stream = match timeout(within, dialled).await {
            Ok(stream) => stream.map_err(refused)?,
            Err(_) => return Err(refused(io::ErrorKind::TimedOut.into())),
        };
        stream.set_nodelay(true).map_err(refused)?;
        let (reader, socket) = stream.into_split();
        let (pending, waiting) = mpsc::channel(IN_FLIGHT_MAX);
        let is_broken = Arc::new(AtomicBool::new(false));
        tokio::spawn(read_answers(
            address.clone(),
            BufReader::new(reader),
            waiting,
            Arc::clone(&is_broken),
        ));
        let mut connection = Self {
            address: address.clone(),
            versions: Versions::default(),
            writer: Mutex::new(Writer {
                socket,
                pending,
                next_correlation_id: 0,
                is_torn: false,
            }),
            slots: Arc::new(Semaphore::new(IN_FLIGHT_MAX)),
            is_broken,
        };
        connection.versions = Versions::ask(&connection, within).await?;
        Ok(connection)
    }

    pub(super) fn is_broken(&self) -> bool {
        self.is_broken.load(Ordering::Acquire)
    }

    /// The highest version of `api` that both sides know.
    pub(super) fn version_of(&self, api: ApiKey) -> Result<i16, ClientError> {
        let version = self.versions.common(api);
        version.ok_or_else(|| ClientError::NoCommonVersion {
            address: self.address.clone(),
            api,
        })
    }

    /// Sends a request and waits for its answer.
    pub(super) async fn call<R: Call>(
        &self,
        request: &R,
        version: i16,
        within: Duration,
    ) -> Result<Answer<R>, ClientError> {
        let exchange = async {
            let answer = self.send(request, version).await?;
            // A dropped sender means that the reader ended without a word for us.
            let closed = || self.closed(io::ErrorKind::ConnectionReset.into());
            answer.await.unwrap_or_else(|_| Err(closed()))
        };
        let body = self.timed(R::API, within, exchange).await?;
        Ok(Answer::new(self.address.clone(), version, body))
    }

    /// Sends a request that gets no answer (`Produce` with `acks=0`).
    pub(super) async fn tell<R: Call>(
        &self,
        request: &R,
        version: i16,
        within: Duration,
    ) -> Result<(), ClientError> {
        let sent = async {
            let mut writer = self.writer.lock().await;
            let frame = frame(request, version, writer.advance())?;
            self.write(&mut writer, &frame).await
        };
        self.timed(R::API, within, sent).await
    }

    async fn timed<T>(
        &self,
        api: ApiKey,
        within: Duration,
        work: impl Future<Output = Result<T, ClientError>>,
    ) -> Result<T, ClientError> {
        if let Ok(outcome) = timeout(within, work).await {
            return outcome;
        }
        // Later answers would queue behind the one that does not come.
        self.is_broken.store(true, Ordering::Release);
        Err(ClientError::Timeout {
            address: self.address.clone(),
            api,
            after: within,
        })
    }

    async fn send<R: Call>(
        &self,
        request: &R,
        version: i16,
    ) -> Result<oneshot::Receiver<Result<Vec<u8>, ClientError>>, ClientError> {
        let not_connected = |()| self.closed(io::ErrorKind::NotConnected.into());
        let slot = Arc::clone(&self.slots).acquire_owned().await;
        let slot = slot.map_err(|_| not_connected(()))?;
        let (answer, answered) = oneshot::channel();
        // The lock is held over the write: answers come in the order of the bytes on the wire.
        let mut writer = self.writer.lock().await;
        let correlation_id = writer.advance();
        let frame = frame(request, version, correlation_id)?;
        let pending = Pending {
            correlation_id,
            answer,
            _slot: slot,
        };
        let queued = writer.pending.send(pending).await;
        queued.map_err(|_| not_connected(()))?;
        self.write(&mut writer, &frame).await?;
        Ok(answered)
    }

    async fn write(&self, writer: &mut Writer, frame: &Segments) -> Result<(), ClientError> {
        if writer.is_torn {
            self.is_broken.store(true, Ordering::Release);
            return Err(self.closed(io::ErrorKind::NotConnected.into()));
        }
        writer.is_torn = true;
        for piece in &frame.pieces {
            // Nothing that this client sends lies in a file.
            let Piece::Bytes(bytes) = piece else { continue };
            let written = writer.socket.write_all(bytes).await;
            written.map_err(|cause| {
                self.is_broken.store(true, Ordering::Release);
                self.closed(cause)
            })?;
        }
        writer.is_torn = false;
        Ok(())
    }

    fn closed(&self, cause: io::Error) -> ClientError {
        ClientError::Closed {
            address: self.address.clone(),
            cause,
        }
    }
}

impl Writer {
    fn advance(&mut self) -> i32 {
        let id = self.next_correlation_id;
        self.next_correlation_id = id.wrapping_add(1) & i32::MAX;
        id
    }
}

fn frame<R: Call>(request: &R, version: i16, correlation_id: i32) -> Result<Segments, ClientError> {
    let header = RequestHeader {
        api: R::API,
        version,
        correlation_id,
        client_id: Some(CLIENT_ID),
    };
    let frame = encode_request(&header, |writer| request.encode(writer, version));
    frame.map_err(|cause| ClientError::Encode { api: R::API, cause })
}

/// Hands answers to those who wait, in order, until the connection ends.
async fn read_answers(
    address: HostPort,
    mut reader: BufReader<OwnedReadHalf>,
    mut waiting: mpsc::Receiver<Pending>,
    is_broken: Arc<AtomicBool>,
) {
    while let Some(pending) = waiting.recv().await {
        let outcome = read_answer(&address, &mut reader, pending.correlation_id).await;
        let failed = outcome.is_err();
        if failed {
            is_broken.store(true, Ordering::Release);
        }
        // Nobody may wait any more: the call timed out.
        let _ = pending.answer.send(outcome);
        if failed {
            return;
        }
    }
}

async fn read_answer(
    address: &HostPort,
    reader: &mut BufReader<OwnedReadHalf>,
    correlation_id: i32,
) -> Result<Vec<u8>, ClientError> {
    let closed = |cause| ClientError::Closed {
        address: address.clone(),
        cause,
    };
    let length = reader.read_i32().await.map_err(closed)?;
    let size = usize::try_from(length).ok();
    let Some(size) = size.filter(|size| (4..=RESPONSE_SIZE_MAX).contains(size)) else {
        return Err(ClientError::Frame {
            address: address.clone(),
            length,
        });
    };
    let mut frame = Vec::new();
    let mut limited = reader.take(u64::try_from(size).unwrap_or(u64::MAX));
    limited.read_to_end(&mut frame).await.map_err(closed)?;
    if frame.len() < size {
        return Err(closed(io::ErrorKind::UnexpectedEof.into()));
    }
    let found = frame.first_chunk().copied().map_or(-1, i32::from_be_bytes);
    if found != correlation_id {
        return Err(ClientError::Correlation {
            address: address.clone(),
            expected: correlation_id,
            found,
        });
    }
    Ok(frame)
}
