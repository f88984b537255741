//! Sockets: one listener that deals connections to cores, and the cores that serve them.
//!
//! - A connection stays on the core that it was dealt to; nothing on its path wakes another thread.
//! - Everything that waits is bounded: connections, requests and bytes in flight, pieces of a write.
//! - What a request means is the `Service`'s business; this module knows frames and order.

mod buffer;
mod by_ip;
pub mod connection;
mod core;
pub mod dial;
mod listener;
mod output;
mod pace;
pub mod peer;
mod sendfile;

pub use connection::ConnectionLimits;
pub use core::CoreStart;
pub use listener::{Guard, Listener, ListenerConfig, Server, SocketOptions, StartError};
