//! A connection that this process opened: requests go out in order, answers come back in order.
//!
//! - An answer belongs to the oldest request that waits for one; an answer that names another ends the connection.
//! - At most as many requests as the caller allows wait for an answer; the next one waits for a slot.
//! - An answer's bytes are taken as they arrive: a length alone allocates nothing.
//! - Its end is noticed when it comes, not by the next request.
//! - Once anything went wrong the connection stays broken; the caller opens another.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::timeout;

use super::dial;
use crate::wire::writer::{EncodeError, Piece, Segments};

/// Bytes that a correlation id takes: no answer is shorter.
const CORRELATION_BYTES: usize = 4;

/// What a connection may use and how long it waits.
#[derive(Clone, Copy, Debug)]
pub struct PeerLimits {
    /// Requests that wait for their answer at once.
    pub in_flight_count: usize,
    /// The largest answer.
    pub response_bytes: usize,
    /// How long connecting may take.
    pub connect: Duration,
    /// How long sent bytes may stay without the peer's acknowledgement before the system gives the connection up;
    /// `None` leaves it to the system, which takes minutes.
    pub unacknowledged: Option<Duration>,
}

/// Why a request has no answer. The peer may have acted on it, unless connecting failed.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// Nothing was sent.
    #[error("connect: {0}")]
    Connect(#[source] io::Error),
    /// The connection ended.
    #[error("the connection ended: {0}")]
    Closed(#[source] io::Error),
    /// The answer did not come in time. Later answers would queue behind it, so the connection is given up.
    #[error("no answer within {} ms", after.as_millis())]
    Timeout {
        /// How long it was waited for.
        after: Duration,
    },
    /// The length of an answer is none.
    #[error("an answer of {length} bytes")]
    Frame {
        /// What stood there.
        length: i32,
    },
    /// The answer is not the one that is due.
    #[error("an answer to request {found} where {expected} was due")]
    Correlation {
        /// The request that is due.
        expected: i32,
        /// The request that was answered.
        found: i32,
    },
    /// The request can't be written.
    #[error("the request can't be written: {0}")]
    Encode(#[source] EncodeError),
}

/// An open connection.
#[derive(Debug)]
pub struct PeerConnection {
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
    answer: oneshot::Sender<Result<Vec<u8>, PeerError>>,
    _slot: OwnedSemaphorePermit,
}

impl PeerConnection {
    /// Connects to `host:port`. Must be called within a runtime, which reads the answers.
    ///
    /// # Errors
    /// [`PeerError::Connect`].
    pub async fn open(address: (&str, u16), limits: PeerLimits) -> Result<Self, PeerError> {
        let stream = match timeout(limits.connect, dial::connect(address)).await {
            Ok(stream) => stream.map_err(PeerError::Connect)?,
            Err(_) => return Err(PeerError::Connect(io::ErrorKind::TimedOut.into())),
        };
        stream.set_nodelay(true).map_err(PeerError::Connect)?;
        SockRef::from(&stream)
            .set_tcp_user_timeout(limits.unacknowledged)
            .map_err(PeerError::Connect)?;
        let (reader, socket) = stream.into_split();
        let (pending, waiting) = mpsc::channel(limits.in_flight_count.max(1));
        let is_broken = Arc::new(AtomicBool::new(false));
        tokio::spawn(read_answers(
            BufReader::new(reader),
            limits.response_bytes,
            waiting,
            Arc::clone(&is_broken),
        ));
        Ok(Self {
            writer: Mutex::new(Writer {
                socket,
                pending,
                next_correlation_id: 0,
                is_torn: false,
            }),
            slots: Arc::new(Semaphore::new(limits.in_flight_count.max(1))),
            is_broken,
        })
    }

    /// Whether it is of no use any more.
    pub fn is_broken(&self) -> bool {
        self.is_broken.load(Ordering::Acquire)
    }

    /// Sends the frame that `encode` makes for a correlation id and waits for the answer, without its size. If the
    /// future is dropped, the answer is read and forgotten.
    ///
    /// # Errors
    /// [`PeerError`].
    pub async fn call(
        &self,
        encode: impl FnOnce(i32) -> Result<Segments, EncodeError>,
        within: Duration,
    ) -> Result<Vec<u8>, PeerError> {
        self.timed(within, async {
            let answer = self.send(encode).await?;
            // A dropped sender means that the reader ended without a word for us.
            let closed = || PeerError::Closed(io::ErrorKind::ConnectionReset.into());
            answer.await.unwrap_or_else(|_| Err(closed()))
        })
        .await
    }

    /// Sends a frame that gets no answer.
    ///
    /// # Errors
    /// [`PeerError`].
    pub async fn tell(
        &self,
        encode: impl FnOnce(i32) -> Result<Segments, EncodeError>,
        within: Duration,
    ) -> Result<(), PeerError> {
        self.timed(within, async {
            let mut writer = self.writer.lock().await;
            let frame = encode(writer.advance()).map_err(PeerError::Encode)?;
            self.write(&mut writer, &frame).await
        })
        .await
    }

    async fn timed<T>(
        &self,
        within: Duration,
        work: impl Future<Output = Result<T, PeerError>>,
    ) -> Result<T, PeerError> {
        if let Ok(outcome) = timeout(within, work).await {
            return outcome;
        }
        self.is_broken.store(true, Ordering::Release);
        Err(PeerError::Timeout { after: within })
    }

    async fn send(
        &self,
        encode: impl FnOnce(i32) -> Result<Segments, EncodeError>,
    ) -> Result<oneshot::Receiver<Result<Vec<u8>, PeerError>>, PeerError> {
        let not_connected = |()| PeerError::Closed(io::ErrorKind::NotConnected.into());
        let slot = Arc::clone(&self.slots).acquire_owned().await;
        let slot = slot.map_err(|_| not_connected(()))?;
        let (answer, answered) = oneshot::channel();
        // The lock is held over the write: answers come in the order of the bytes on the wire.
        let mut writer = self.writer.lock().await;
        let correlation_id = writer.advance();
        let frame = encode(correlation_id).map_err(PeerError::Encode)?;
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

    async fn write(&self, writer: &mut Writer, frame: &Segments) -> Result<(), PeerError> {
        if writer.is_torn {
            self.is_broken.store(true, Ordering::Release);
            return Err(PeerError::Closed(io::ErrorKind::NotConnected.into()));
        }
        writer.is_torn = true;
        for piece in &frame.pieces {
            // Nothing that is asked lies in a file.
            let Piece::Bytes(bytes) = piece else { continue };
            let written = writer.socket.write_all(bytes).await;
            written.map_err(|cause| {
                self.is_broken.store(true, Ordering::Release);
                PeerError::Closed(cause)
            })?;
        }
        writer.is_torn = false;
        Ok(())
    }
}

impl Writer {
    fn advance(&mut self) -> i32 {
        let id = self.next_correlation_id;
        self.next_correlation_id = id.wrapping_add(1) & i32::MAX;
        id
    }
}

/// Hands answers to those who wait, in order, until the connection ends.
async fn read_answers(
    mut reader: BufReader<OwnedReadHalf>,
    size_max: usize,
    mut waiting: mpsc::Receiver<Pending>,
    is_broken: Arc<AtomicBool>,
) {
    while let Some(pending) = next(&mut reader, &mut waiting, &is_broken).await {
        let outcome = read_answer(&mut reader, size_max, pending.correlation_id).await;
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

/// The next request that waits for an answer. The end of the connection is seen while nobody waits for one: who calls
/// next must not be the one to find out, for its request might have arrived.
async fn next(
    reader: &mut BufReader<OwnedReadHalf>,
    waiting: &mut mpsc::Receiver<Pending>,
    is_broken: &AtomicBool,
) -> Option<Pending> {
    let is_answered = tokio::select! {
        biased;
        pending = waiting.recv() => return pending,
        bytes = reader.fill_buf() => bytes.is_ok_and(|bytes| !bytes.is_empty()),
    };
    // A request is in the queue before its bytes are on the wire, so one that was answered is there.
    let pending = waiting.try_recv().ok();
    if !is_answered || pending.is_none() {
        is_broken.store(true, Ordering::Release);
    }
    pending
}

async fn read_answer(
    reader: &mut BufReader<OwnedReadHalf>,
    size_max: usize,
    correlation_id: i32,
) -> Result<Vec<u8>, PeerError> {
    let length = reader.read_i32().await.map_err(PeerError::Closed)?;
    let size = usize::try_from(length).ok();
    let Some(size) = size.filter(|size| (CORRELATION_BYTES..=size_max).contains(size)) else {
        return Err(PeerError::Frame { length });
    };
    let mut frame = Vec::new();
    let mut limited = reader.take(u64::try_from(size).unwrap_or(u64::MAX));
    limited
        .read_to_end(&mut frame)
        .await
        .map_err(PeerError::Closed)?;
    if frame.len() < size {
        return Err(PeerError::Closed(io::ErrorKind::UnexpectedEof.into()));
    }
    let found = frame.first_chunk().copied().map_or(-1, i32::from_be_bytes);
    if found != correlation_id {
        return Err(PeerError::Correlation {
            expected: correlation_id,
            found,
        });
    }
    Ok(frame)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// A peer was restarted since the last call: the next one must not be sent to the dead connection, where nobody can
    /// tell whether it arrived.
    #[test]
    fn the_end_of_a_connection_is_noticed_while_nobody_calls() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = listener.local_addr().unwrap().port();
            let limits = PeerLimits {
                in_flight_count: 1,
                response_bytes: 1 << 10,
                connect: Duration::from_secs(10),
                unacknowledged: None,
            };
            for says in [&b""[..], b"unasked"] {
                let opened = PeerConnection::open(("127.0.0.1", port), limits);
                let (connection, accepted) = tokio::join!(opened, listener.accept());
                let (connection, mut peer) = (connection.unwrap(), accepted.unwrap().0);
                assert!(!connection.is_broken());
                peer.write_all(says).await.unwrap();
                if says.is_empty() {
                    drop(peer);
                }
                while !connection.is_broken() {
                    tokio::task::yield_now().await;
                }
            }
        });
    }
}
