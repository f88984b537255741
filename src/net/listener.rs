//! The listener: binds, accepts, and deals each connection to the core with the fewest.
//!
//! - No `SO_REUSEPORT`: a port in use is an error at start, not a second server.
//! - Above `max.connections`, of all clients or of one address, a new connection is closed at once.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::sync::Notify;

use super::buffer::Budget;
use super::by_ip::ByIp;
use super::connection::ConnectionLimits;
use super::core::{CoreConfig, CoreHandle, CoreStart};

/// How long to wait when the process can't accept (no descriptors left).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What the listener and its cores may use.
#[derive(Clone, Debug)]
pub struct ListenerConfig {
    /// Threads that serve connections.
    pub core_count: usize,
    /// `max.connections`.
    pub connection_count_max: usize,
    /// `max.connections.per.ip`.
    pub connections_per_ip_max: usize,
    /// Bytes of requests in flight on all connections.
    pub in_flight_bytes: usize,
    /// What one connection may use.
    pub connection: ConnectionLimits,
    /// How long requests in flight may take once the node stops.
    pub grace: Duration,
}

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another process has the port, or the address is not this machine's.
    #[error("listen on {address}: {source}")]
    Bind {
        /// The address asked for.
        address: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// No thread or no runtime.
    #[error("start a core of the data plane: {0}")]
    Core(io::Error),
}

/// What a listener does about connections that stand still, or whose other end is gone.
#[derive(Clone, Copy, Debug)]
pub struct Guard {
    /// How long a frame that has begun may bring next to nothing before its connection is closed.
    pub frame_within: Duration,
    /// Bytes in flight that only frames of at most 64 KiB may take, so that none of them waits for what large ones
    /// hold; `None`: all share the same.
    pub small_in_flight_bytes: Option<usize>,
    /// How long the other end may leave probes and answers unacknowledged; `None` leaves it to the system.
    pub silence_max: Option<Duration>,
}

impl Default for Guard {
    /// For clients: they have given up on a request long before it stood still for this long.
    fn default() -> Self {
        Self {
            frame_within: Duration::from_mins(1),
            small_in_flight_bytes: None,
            silence_max: None,
        }
    }
}

/// What the kernel keeps for a listener and its connections.
#[derive(Clone, Copy, Debug, Default)]
pub struct SocketOptions {
    /// The most connections that wait to be accepted; the system's own limit if that is lower.
    pub backlog: i32,
    /// Bytes of a connection's send buffer; `None` lets the system adapt it.
    pub send_buffer_size: Option<usize>,
    /// Bytes of a connection's receive buffer; `None` lets the system adapt it.
    pub receive_buffer_size: Option<usize>,
}

/// A bound socket: what fails at start fails here, before anything else is touched.
#[derive(Debug)]
pub struct Listener {
    name: String,
    socket: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Binds `address` for the listener of that name; port 0 takes a free one.
    ///
    /// # Errors
    /// `StartError::Bind`; do not retry before the cause is gone.
    pub fn bind(
        name: String,
        address: SocketAddr,
        options: SocketOptions,
    ) -> Result<Self, StartError> {
        let bind = || {
            let socket = Socket::new(
                Domain::for_address(address),
                Type::STREAM,
                Some(Protocol::TCP),
            )?;
            // Only for connections of an earlier process that linger in TIME_WAIT.
            socket.set_reuse_address(true)?;
            // Connections take the sizes over; a receive buffer counts only if it is set before the handshake.
            if let Some(size) = options.send_buffer_size {
                socket.set_send_buffer_size(size)?;
            }
            if let Some(size) = options.receive_buffer_size {
                socket.set_recv_buffer_size(size)?;
            }
            socket.bind(&address.into())?;
            socket.listen(options.backlog)?;
            let socket = TcpListener::from(socket);
            let address = socket.local_addr()?;
            Ok((socket, address))
        };
        match bind() {
            Ok((socket, address)) => Ok(Self {
                name,
                socket,
                address,
            }),
            Err(source) => Err(StartError::Bind { address, source }),
        }
    }

    /// The listener's name, as in `listeners=NAME://host:port`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The address with the port that was bound.
    pub fn local_address(&self) -> SocketAddr {
        self.address
    }
}

/// A running listener and its cores. Dropping it ends them as `stop` does, without waiting for them.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    accepting: Arc<AtomicBool>,
    stopping: Arc<Notify>,
    /// Taken by `stop`.
    acceptor: Option<Acceptor>,
}

/// The thread that accepts, and what it accepts from.
#[derive(Debug)]
struct Acceptor {
    socket: Arc<TcpListener>,
    thread: JoinHandle<Vec<CoreHandle>>,
}

impl Server {
    /// Starts the cores, then accepts.
    ///
    /// # Errors
    /// `StartError::Core` if a thread or its runtime can't be made.
    pub fn start<F: CoreStart>(
        listener: Listener,
        config: &ListenerConfig,
        start: &F,
    ) -> Result<Self, StartError> {
        Self::start_guarded(listener, config, Guard::default(), start)
    }

    /// As `start`, with a guard of one's own.
    ///
    /// # Errors
    /// As `start`.
    pub fn start_guarded<F: CoreStart>(
        listener: Listener,
        config: &ListenerConfig,
        guard: Guard,
        start: &F,
    ) -> Result<Self, StartError> {
        let budget = Budget::new(config.in_flight_bytes);
        let small_budget = guard.small_in_flight_bytes.map(Budget::new);
        let stopping = Arc::new(Notify::new());
        let accepting = Arc::new(AtomicBool::new(true));
        let core = |index| {
            let config = CoreConfig {
                index,
                limits: config.connection,
                budget: budget.clone(),
                small_budget: small_budget.clone(),
                guard,
                stopping: stopping.clone(),
                accepting: accepting.clone(),
                grace: config.grace,
            };
            CoreHandle::start(config, start.clone())
        };
        let cores = (0..config.core_count.max(1))
            .map(core)
            .collect::<io::Result<Vec<_>>>();
        let cores = cores.map_err(StartError::Core)?;
        let address = listener.address;
        let socket = Arc::new(listener.socket);
        let dealer = Dealer {
            socket: socket.clone(),
            accepting: accepting.clone(),
            name: listener.name,
            connection_count_max: config.connection_count_max,
            by_ip: ByIp::new(config.connections_per_ip_max),
            cores,
        };
        let thread = std::thread::Builder::new()
            .name(format!("accept-{}", dealer.name))
            .spawn(move || dealer.run())
            .map_err(StartError::Core)?;
        Ok(Self {
            address,
            accepting,
            stopping,
            acceptor: Some(Acceptor { socket, thread }),
        })
    }

    /// The address that clients reach.
    pub fn local_address(&self) -> SocketAddr {
        self.address
    }

    /// Stops accepting, lets requests in flight finish within the grace, and ends the threads.
    ///
    /// Requests that wait for something to happen must be woken by the service before this.
    pub fn stop(mut self) {
        let Some(acceptor) = self.acceptor.take() else {
            return;
        };
        let cores = self.refuse(acceptor).join().unwrap_or_default();
        self.stopping.notify_waiters();
        cores.into_iter().for_each(CoreHandle::join);
    }

    /// Accepts no more, and gives the port back once the thread that is returned has ended.
    fn refuse(&self, acceptor: Acceptor) -> JoinHandle<Vec<CoreHandle>> {
        self.accepting.store(false, Ordering::Release);
        // The acceptor sits in `accept`, and comes back once its socket is shut down. A connection of our own would
        // bring it back as well, but not where the address has left the machine or its backlog is full.
        if let Err(error) = SockRef::from(&*acceptor.socket).shutdown(Shutdown::Both) {
            tracing::warn!(address = %self.address, %error, "could not shut a listener down");
        }
        acceptor.thread
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(acceptor) = self.acceptor.take() {
            drop(self.refuse(acceptor));
            self.stopping.notify_waiters();
        }
    }
}

/// The accept loop.
struct Dealer {
    socket: Arc<TcpListener>,
    accepting: Arc<AtomicBool>,
    name: String,
    connection_count_max: usize,
    by_ip: Arc<ByIp>,
    cores: Vec<CoreHandle>,
}

impl Dealer {
    fn run(self) -> Vec<CoreHandle> {
        loop {
            let accepted = self.socket.accept();
            if !self.accepting.load(Ordering::Acquire) {
                return self.cores;
            }
            match accepted {
                Ok((socket, peer)) => self.deal(socket, peer),
                Err(error) => self.pause_after(&error),
            }
        }
    }

    fn deal(&self, socket: std::net::TcpStream, peer: SocketAddr) {
        let Some(of_ip) = self.by_ip.admit(peer.ip()) else {
            tracing::warn!(listener = %self.name, %peer, "refused a connection: too many from this address");
            return;
        };
        let count: usize = self.cores.iter().map(CoreHandle::connection_count).sum();
        let fewest = self.cores.iter().min_by_key(|core| core.connection_count());
        let is_dealt = count < self.connection_count_max
            && fewest.is_some_and(|core| core.deal(socket, peer, of_ip));
        if !is_dealt {
            tracing::warn!(listener = %self.name, %peer, count, "refused a connection: too many");
        }
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the accept thread has nothing else to wait for"
    )]
    fn pause_after(&self, error: &io::Error) {
        // A client that gave up before it was accepted is no reason to pause.
        if error.kind() != io::ErrorKind::ConnectionAborted {
            tracing::warn!(listener = %self.name, %error, "could not accept a connection");
            std::thread::sleep(ACCEPT_PAUSE);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use bytes::BytesMut;

    use super::*;
    use crate::broker::reply::{Reply, Service};

    #[derive(Clone)]
    struct Mute;

    impl Service for Mute {
        fn start(&self, _frame: BytesMut) -> Reply {
            Reply::Silent
        }
    }

    impl CoreStart for Mute {
        type Service = Self;

        fn start(self, _core: usize) -> Box<dyn Fn(SocketAddr) -> Self> {
            Box::new(move |_| Self)
        }
    }

    fn server() -> Server {
        let any = "127.0.0.1:0".parse().unwrap();
        let listener = Listener::bind("TEST".to_owned(), any, SocketOptions::default()).unwrap();
        let config = ListenerConfig {
            core_count: 1,
            connection_count_max: 10,
            connections_per_ip_max: 10,
            in_flight_bytes: 1 << 20,
            connection: ConnectionLimits {
                frame_bytes: 1 << 10,
                in_flight_count: 1,
                in_flight_bytes: 1 << 20,
                idle: Duration::MAX,
            },
            grace: Duration::from_secs(5),
        };
        Server::start(listener, &config, &Mute).unwrap()
    }

    /// An interface lost its address, and the node could not be stopped: nothing reached its own listener any more.
    #[test]
    fn a_listener_that_nobody_reaches_stops() {
        let mut server = server();
        let real = server.address;
        // Port 0 can't be connected to.
        server.address = "127.0.0.1:0".parse().unwrap();
        let (stop, stopped) = sync_channel(1);
        std::thread::spawn(move || {
            server.stop();
            stop.send(()).unwrap();
        });
        assert_eq!(stopped.recv_timeout(Duration::from_secs(20)), Ok(()));
        assert!(Listener::bind("TEST".to_owned(), real, SocketOptions::default()).is_ok());
    }
}
