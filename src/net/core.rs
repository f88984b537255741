//! One core of the data plane: a thread, its single-threaded runtime, and its connections.

use std::cell::RefCell;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::sync::{Notify, mpsc};
use tokio::task::LocalSet;

use super::buffer::{Budget, Pool};
use super::by_ip::OfIp;
use super::connection::{Connection, ConnectionLimits, Shared};
use super::listener::Guard;
use crate::broker::reply::Service;

/// Sockets that were accepted and not yet taken over by their core.
const DEALT_COUNT_MAX: usize = 128;

/// The listener's side of a core.
#[derive(Debug)]
pub(crate) struct CoreHandle {
    sockets: mpsc::Sender<Dealt>,
    connections: Arc<AtomicUsize>,
    thread: JoinHandle<()>,
}

/// A socket, counted as its core's connection from the moment it is dealt.
#[derive(Debug)]
struct Dealt {
    socket: TcpStream,
    peer: SocketAddr,
    count: (Count, OfIp),
}

/// One connection of a core, as long as it lives.
#[derive(Debug)]
struct Count(Arc<AtomicUsize>);

impl Drop for Count {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// What a core is made of.
#[derive(Clone, Debug)]
pub(crate) struct CoreConfig {
    pub(crate) index: usize,
    pub(crate) limits: ConnectionLimits,
    pub(crate) budget: Arc<Budget>,
    /// The small frames' own, if they have one.
    pub(crate) small_budget: Option<Arc<Budget>>,
    pub(crate) guard: Guard,
    /// Notified once `accepting` has become false.
    pub(crate) stopping: Arc<Notify>,
    pub(crate) accepting: Arc<AtomicBool>,
    /// How long requests in flight may take once the node stops.
    pub(crate) grace: Duration,
}

/// Makes what answers a core's connections, on the core's own thread and inside its runtime: there
/// it may start tasks of its own.
pub trait CoreStart: Clone + Send + 'static {
    /// What answers one connection.
    type Service: Service;

    /// Called once by each core.
    fn start(self, core: usize) -> Box<dyn Fn(SocketAddr) -> Self::Service>;
}

impl CoreHandle {
    /// Starts the thread.
    pub(crate) fn start<F: CoreStart>(config: CoreConfig, start: F) -> io::Result<Self> {
        let (sockets, dealt) = mpsc::channel(DEALT_COUNT_MAX);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()?;
        let name = format!("core-{}", config.index);
        let thread = std::thread::Builder::new().name(name).spawn(move || {
            let local = LocalSet::new();
            local.block_on(&runtime, serve(config, start, dealt));
        })?;
        Ok(Self {
            sockets,
            connections: Arc::default(),
            thread,
        })
    }

    pub(crate) fn connection_count(&self) -> usize {
        self.connections.load(Ordering::Acquire)
    }

    /// Hands a socket over, waiting while the core has too many that it has not looked at: a burst then waits in the
    /// kernel's queue instead of being refused. `false` if the core has ended, and then the socket is closed.
    pub(super) fn deal(&self, socket: TcpStream, peer: SocketAddr, of_ip: OfIp) -> bool {
        self.connections.fetch_add(1, Ordering::AcqRel);
        let count = (Count(self.connections.clone()), of_ip);
        self.sockets
            .blocking_send(Dealt {
                socket,
                peer,
                count,
            })
            .is_ok()
    }

    /// Waits for the core's connections to end; they have been told to stop.
    pub(crate) fn join(self) {
        drop(self.sockets);
        if self.thread.join().is_err() {
            tracing::error!("a core of the data plane panicked");
        }
    }
}

async fn serve<F: CoreStart>(config: CoreConfig, start: F, mut dealt: mpsc::Receiver<Dealt>) {
    let shared = Rc::new(Shared {
        pool: RefCell::new(Pool::default()),
        budget: config.budget,
        small_budget: config.small_budget,
        limits: config.limits,
        frame_within: config.guard.frame_within,
    });
    let service = start.start(config.index);
    let connections = Rc::new(RefCell::new(tokio::task::JoinSet::new()));
    while let Some(Dealt {
        socket,
        peer,
        count,
    }) = dealt.recv().await
    {
        // First listen, then look: a stop in between is seen one way or the other.
        let stopping = config.stopping.clone().notified_owned();
        if !config.accepting.load(Ordering::Acquire) {
            continue;
        }
        match take_over(socket, config.guard.silence_max) {
            Ok(socket) => {
                let connection =
                    Connection::new((socket, peer), service(peer), shared.clone(), stopping);
                let mut connections = connections.borrow_mut();
                connections.spawn_local(async move {
                    connection.serve().await;
                    drop(count);
                });
                // Ended connections are forgotten here, so that the set holds only what lives.
                while connections.try_join_next().is_some() {}
            }
            Err(error) => tracing::debug!(%peer, %error, "could not take over a connection"),
        }
    }
    let mut connections = connections.take();
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(config.grace, drained).await.is_err() {
        tracing::warn!("closed connections whose requests did not finish in time");
    }
}

fn take_over(
    socket: TcpStream,
    silence_max: Option<Duration>,
) -> io::Result<tokio::net::TcpStream> {
    socket.set_nonblocking(true)?;
    socket.set_nodelay(true)?;
    if let Some(silence_max) = silence_max {
        let socket = SockRef::from(&socket);
        // Probes begin early enough for some of them to be lost.
        let keepalive = TcpKeepalive::new()
            .with_time(silence_max / 2)
            .with_interval((silence_max / 8).max(Duration::from_secs(1)));
        socket.set_tcp_keepalive(&keepalive)?;
        // It ends unanswered probes as well as unacknowledged answers.
        socket.set_tcp_user_timeout(Some(silence_max))?;
    }
    tokio::net::TcpStream::from_std(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A broker whose machine lost its power sends no end: its connections stayed for ever.
    #[tokio::test]
    async fn a_guarded_socket_notices_that_the_other_end_is_gone() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        for silence_max in [None, Some(Duration::from_secs(10))] {
            let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let taken = take_over(listener.accept().unwrap().0, silence_max).unwrap();
            let socket = SockRef::from(&taken);
            assert_eq!(socket.keepalive().unwrap(), silence_max.is_some());
            assert_eq!(socket.tcp_user_timeout().unwrap(), silence_max);
        }
    }
}
