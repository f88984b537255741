//! One client's connection, on one core for life.
//!
//! - W2: requests start in order and are answered in order; they may overlap in waiting. A request
//!   that is held holds back the start of the later ones.
//! - Back-pressure is not reading: a connection reads only while its requests in flight are below
//!   their limits in count and bytes, so a client that does not read its answers stops itself.
//! - An idle connection holds no buffer.
//! - A connection ends with one log line if the client broke the protocol, quietly if it left.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{BufMut, BytesMut};
use tokio::net::TcpStream;
use tokio::sync::futures::OwnedNotified;
use tokio::time::{Instant, Sleep};

use super::buffer::{Budget, LARGE, Pool, SMALL, Share};
use super::output::{Output, Progress};
use super::pace::Pace;
use crate::broker::reply::{CloseReason, Holding, Pending, Reply, Response, Service};
use crate::wire::frame::{self, FrameError};

/// Bytes that the size of a frame takes.
const SIZE_BYTES: usize = 4;
/// What one turn reads before other connections of the core have theirs.
const TURN_BYTES: usize = 4 << 20;

/// What a connection may use.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// `socket.request.max.bytes`.
    pub frame_bytes: u32,
    /// Requests that are started and not yet answered.
    pub in_flight_count: usize,
    /// Bytes of requests that are not yet answered; one request passes whatever its size.
    pub in_flight_bytes: usize,
    /// `connections.max.idle.ms`; anything beyond a year is never.
    pub idle: Duration,
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum End {
    #[error("the client closed the connection")]
    Left,
    #[error("the client closed the connection in the middle of a frame")]
    LeftInFrame,
    #[error("the node stops")]
    Stopping,
    #[error("idle")]
    Idle,
    #[error("a frame came to a standstill after {received} bytes")]
    Stalled { received: usize },
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(transparent)]
    Closed(#[from] CloseReason),
    #[error("socket: {0}")]
    Socket(#[from] io::Error),
}

impl End {
    /// Whether the client broke the protocol, which an operator wants to know.
    pub(crate) fn is_fault(&self) -> bool {
        match self {
            Self::LeftInFrame | Self::Stalled { .. } | Self::Frame(_) => true,
            Self::Closed(reason) => *reason != CloseReason::UnacknowledgedProduceFailed,
            Self::Left | Self::Stopping | Self::Idle | Self::Socket(_) => false,
        }
    }
}

/// What the connections of one core share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) pool: RefCell<Pool>,
    pub(crate) budget: Arc<Budget>,
    /// Counts frames of at most [`SMALL`] bytes in the other's stead.
    pub(crate) small_budget: Option<Arc<Budget>>,
    pub(crate) limits: ConnectionLimits,
    /// How long an incomplete frame may stand still.
    pub(crate) frame_within: Duration,
}

/// As good as never, and still a moment that a timer can be set to.
const IDLE_MAX: Duration = Duration::from_hours(365 * 24);

impl Shared {
    fn idle(&self) -> Duration {
        self.limits.idle.min(IDLE_MAX)
    }
}

/// A request that is not yet answered, in the order of arrival.
enum Slot {
    Ready(Response),
    Silent,
    Close(CloseReason),
    Waiting(Pending),
    Held(Pending),
}

impl From<Reply> for Slot {
    fn from(reply: Reply) -> Self {
        match reply {
            Reply::Ready(response) => Self::Ready(response),
            Reply::Silent => Self::Silent,
            Reply::Close(reason) => Self::Close(reason),
            Reply::Waiting(pending) => Self::Waiting(pending),
            Reply::Held(pending) => Self::Held(pending),
        }
    }
}

impl Slot {
    /// Polls what is pending until it is decided or really waits; whether something changed.
    fn poll(&mut self, cx: &mut Context<'_>) -> bool {
        let mut changed = false;
        while let Self::Waiting(pending) | Self::Held(pending) = self {
            match pending.as_mut().poll(cx) {
                Poll::Ready(reply) => *self = reply.into(),
                Poll::Pending => break,
            }
            changed = true;
        }
        changed
    }
}

pub(crate) struct Connection<S> {
    socket: TcpStream,
    peer: SocketAddr,
    service: S,
    shared: Rc<Shared>,
    /// The connection's own bytes in flight, within the node's.
    budget: Arc<Budget>,
    /// Received and not yet cut into frames. No capacity while idle.
    buffer: BytesMut,
    /// Bytes of the last frame: the next one is likely to be as long.
    last_frame: usize,
    /// What the frame in `buffer` has taken of the budget, once its size is known.
    share: Option<Share>,
    /// Of the frame in `buffer`.
    pace: Pace,
    /// Each with what its frame has taken of the budget, which parts of the frame may hold for longer.
    slots: VecDeque<(Slot, Option<Holding>)>,
    output: Output,
    /// The reason to end once what precedes is answered.
    end: Option<End>,
    freed: Option<Pin<Box<OwnedNotified>>>,
    stopping: Pin<Box<OwnedNotified>>,
    idle: Pin<Box<Sleep>>,
    active: Instant,
}

impl<S: Service> Connection<S> {
    pub(crate) fn new(
        (socket, peer): (TcpStream, SocketAddr),
        service: S,
        shared: Rc<Shared>,
        stopping: OwnedNotified,
    ) -> Self {
        let active = Instant::now();
        Self {
            socket,
            peer,
            service,
            budget: shared.budget.child(shared.limits.in_flight_bytes),
            buffer: BytesMut::new(),
            last_frame: 0,
            share: None,
            pace: Pace::new(shared.frame_within),
            slots: VecDeque::new(),
            output: Output::default(),
            end: None,
            freed: None,
            stopping: Box::pin(stopping),
            idle: Box::pin(tokio::time::sleep_until(active + shared.idle())),
            active,
            shared,
        }
    }

    /// Serves the connection until it ends, and says why if someone should know.
    pub(crate) async fn serve(mut self) {
        let end = std::future::poll_fn(|cx| self.poll(cx)).await;
        if end.is_fault() {
            tracing::warn!(peer = %self.peer, reason = %end, "closed a connection");
        } else {
            tracing::debug!(peer = %self.peer, reason = %end, "connection ended");
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        match self.poll_turns(cx) {
            Poll::Ready(Ok(end) | Err(end)) => Poll::Ready(end),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Starts, answers, writes and reads until each of them waits.
    fn poll_turns(&mut self, cx: &mut Context<'_>) -> Poll<Result<End, End>> {
        let mut read = 0;
        loop {
            let mut progress = self.start_frames();
            progress |= self.poll_slots(cx);
            progress |= self.collect_answers();
            let unwritten = self.output.response_count();
            let written = self.poll_write(cx)?;
            progress |= self.output.response_count() < unwritten;
            if written == Poll::Ready(Progress::Yield) || read >= TURN_BYTES {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if self.is_drained() {
                return Poll::Ready(Ok(self.end.take().unwrap_or(End::Left)));
            }
            match self.poll_read(cx)? {
                Poll::Ready(count) => read += count,
                Poll::Pending if progress => {}
                Poll::Pending => match self.poll_timers(cx) {
                    Poll::Ready(()) => {}
                    Poll::Pending => return Poll::Pending,
                },
            }
        }
    }

    /// Whether all that is to be answered before the end has left.
    fn is_drained(&self) -> bool {
        match &self.end {
            None => false,
            // Nobody is there to read an answer. Reading goes on only once every whole frame has
            // started, so none that came before the end is lost. What has stalled holds a share that
            // others wait for.
            Some(
                End::Left | End::LeftInFrame | End::Stalled { .. } | End::Idle | End::Socket(_),
            ) => true,
            Some(End::Stopping | End::Frame(_) | End::Closed(_)) => {
                self.slots.is_empty() && self.output.is_empty()
            }
        }
    }

    /// Cuts frames off the buffer and starts their requests; whether there was any.
    fn start_frames(&mut self) -> bool {
        let mut progress = false;
        while self.may_start() {
            match self.next_frame() {
                Ok(Some((frame, share))) => {
                    progress = true;
                    let holding: Holding = Arc::new(share);
                    let reply = self.service.start_holding(frame, holding.clone());
                    let slot = Slot::from(reply);
                    let is_last = matches!(slot, Slot::Close(_));
                    self.slots.push_back((slot, Some(holding)));
                    if is_last {
                        break;
                    }
                }
                Ok(None) => break,
                Err(fault) => {
                    // What came before is still answered.
                    self.end = Some(End::Frame(fault));
                    return true;
                }
            }
        }
        if self.buffer.is_empty() && self.buffer.capacity() > 0 {
            let buffer = std::mem::take(&mut self.buffer);
            self.shared.pool.borrow_mut().put(buffer);
        }
        progress
    }

    /// Whether the next request may start: nothing is held, and there is room for its answer, also if
    /// the client reads none: small requests may have long answers.
    fn may_start(&self) -> bool {
        self.end.is_none()
            && self.slots.len() + self.output.response_count() < self.shared.limits.in_flight_count
            && !matches!(self.slots.back(), Some((Slot::Held(_) | Slot::Close(_), _)))
    }

    fn next_frame(&mut self) -> Result<Option<(BytesMut, Share)>, FrameError> {
        let limit = self.shared.limits.frame_bytes;
        let Some(size) = frame::announced_size(&self.buffer, limit)? else {
            return Ok(None);
        };
        if self.share.is_none() {
            self.share = self.take_share(size);
        }
        if self.share.is_none() {
            return Ok(None);
        }
        if self.buffer.len() - SIZE_BYTES < size {
            return Ok(None);
        }
        self.last_frame = size;
        self.pace.rest();
        Ok(frame::cut(&mut self.buffer, limit)?.zip(self.share.take()))
    }

    /// Takes the frame's bytes of the budget, or arranges to be woken when some are given back.
    fn take_share(&mut self, size: usize) -> Option<Share> {
        let small = self.shared.small_budget.as_ref();
        let small = small.filter(|_| size <= SMALL);
        let widest = small.unwrap_or(&self.shared.budget);
        // Bytes come back in anyone's turns, the connection's own as well, and all of them are the node's: listen
        // first, so that none given back in between is missed.
        let freed = widest.freed();
        let share = small.unwrap_or(&self.budget).try_take(size.max(1));
        self.freed = share.is_none().then(|| Box::pin(freed));
        share
    }

    fn poll_slots(&mut self, cx: &mut Context<'_>) -> bool {
        let mut progress = false;
        for (slot, _) in &mut self.slots {
            progress |= slot.poll(cx);
        }
        progress
    }

    /// Moves the decided requests at the front to the output.
    fn collect_answers(&mut self) -> bool {
        let mut progress = false;
        while let Some((Slot::Ready(_) | Slot::Silent | Slot::Close(_), _)) = self.slots.front() {
            progress = true;
            match self.slots.pop_front() {
                Some((Slot::Ready(response), holding)) => self.output.push(response, holding),
                Some((Slot::Close(reason), _)) => {
                    self.slots.clear();
                    self.end = Some(End::Closed(reason));
                }
                _ => {}
            }
        }
        progress
    }

    /// Writes what it can; pending if the socket is full, and then it wakes us.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Result<Poll<Progress>, End> {
        while !self.output.is_empty() {
            if self.socket.poll_write_ready(cx)?.is_pending() {
                return Ok(Poll::Pending);
            }
            match self.output.write(&self.socket)? {
                Progress::Blocked => {}
                progress => {
                    self.active = Instant::now();
                    return Ok(Poll::Ready(progress));
                }
            }
        }
        Ok(Poll::Ready(Progress::Done))
    }

    /// Reads once if the next frame may start; the bytes that came.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Result<Poll<usize>, End> {
        if self.end.is_some() || !self.wants_bytes() {
            return Ok(Poll::Pending);
        }
        loop {
            if self.socket.poll_read_ready(cx)?.is_pending() {
                return Ok(Poll::Pending);
            }
            let room = self.make_room();
            match self
                .socket
                .try_read_buf(&mut (&mut self.buffer).limit(room))
            {
                Ok(0) => {
                    let is_whole = self.buffer.is_empty();
                    self.end = Some(if is_whole {
                        End::Left
                    } else {
                        End::LeftInFrame
                    });
                    return Ok(Poll::Ready(0));
                }
                Ok(count) => {
                    self.active = Instant::now();
                    return Ok(Poll::Ready(count));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Whether the next frame is incomplete and may come in.
    fn wants_bytes(&self) -> bool {
        let is_known = self.buffer.len() >= SIZE_BYTES;
        self.may_start() && (!is_known || self.share.is_some())
    }

    /// Sees that the buffer has room, and says how much of it to fill.
    ///
    /// A long frame gets a buffer of its own, and reading stops at its end: then the next frame of
    /// the same length starts at the front of a buffer, and none is moved.
    fn make_room(&mut self) -> usize {
        let limit = self.shared.limits.frame_bytes;
        let announced = frame::announced_size(&self.buffer, limit).ok().flatten();
        let size = announced.unwrap_or_else(|| self.last_frame.min(LARGE));
        let wanted = (SIZE_BYTES + size).max(SMALL);
        let free = self.buffer.capacity() - self.buffer.len();
        let missing = wanted.saturating_sub(self.buffer.len()).max(1);
        let is_short = SIZE_BYTES + size <= self.buffer.capacity() && free > 0;
        if !is_short {
            let mut next = self.shared.pool.borrow_mut().take(wanted);
            next.extend_from_slice(&self.buffer);
            let full = std::mem::replace(&mut self.buffer, next);
            self.shared.pool.borrow_mut().put(full);
        }
        missing
            .min(self.buffer.capacity() - self.buffer.len())
            .max(1)
    }

    /// Polls what ends or unblocks the connection besides its socket; ready if a turn is due.
    fn poll_timers(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(freed) = &mut self.freed
            && freed.as_mut().poll(cx).is_ready()
        {
            self.freed = None;
            return Poll::Ready(());
        }
        if self.end.is_some() {
            return Poll::Pending;
        }
        if self.stopping.as_mut().poll(cx).is_ready() {
            self.end = Some(End::Stopping);
            return Poll::Ready(());
        }
        let received = self.buffer.len();
        if received == 0 || !self.wants_bytes() {
            self.pace.rest();
        } else if self.pace.poll_stalled(received, cx).is_ready() {
            self.end = Some(End::Stalled { received });
            return Poll::Ready(());
        }
        ready!(self.idle.as_mut().poll(cx));
        let idle_at = self.active + self.shared.idle();
        let is_idle = idle_at <= Instant::now() && self.slots.is_empty();
        if is_idle {
            self.end = Some(End::Idle);
        } else {
            let next = idle_at.max(Instant::now() + Duration::from_secs(1));
            self.idle.as_mut().reset(next);
        }
        Poll::Ready(())
    }
}

#[cfg(test)]
mod tests;
