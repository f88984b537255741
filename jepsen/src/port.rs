//! Ports for servers that start later, or start again, at the same place.
//!
//! - The kernel gives outgoing connections a port from a range of its own. A port out of that range may be taken by
//!   anybody's connection while its server is down, so these lie below it.
//! - A process gets none twice; that it holds them until the server starts is not needed.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

/// Below it lie the ports of well-known services.
const FIRST: u32 = 10_000;
/// Where the range of outgoing connections begins, if the kernel does not say.
const END: u32 = 32_768;
/// Processes whose ids follow each other begin so far apart.
const STRIDE: u32 = 97;

/// Ports that this process was given.
static GIVEN: AtomicU32 = AtomicU32::new(0);

/// A listener on a free port of the loopback interface.
///
/// # Errors
/// There is none.
pub fn listen() -> io::Result<TcpListener> {
    let count = range_end().saturating_sub(FIRST).max(1);
    let mut error = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..count {
        let given = GIVEN.fetch_add(1, Ordering::Relaxed);
        let place = process::id().wrapping_mul(STRIDE).wrapping_add(given);
        let port = u16::try_from(FIRST + place % count).unwrap_or(u16::MAX);
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            Ok(listener) => return Ok(listener),
            Err(why) => error = why,
        }
    }
    Err(error)
}

/// The first port that an outgoing connection may get.
fn range_end() -> u32 {
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range");
    let begin = range.ok().and_then(|range| {
        let first = range.split_whitespace().next()?;
        first.parse().ok()
    });
    begin.filter(|begin| *begin > FIRST).unwrap_or(END)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_port_is_given_twice_nor_to_an_outgoing_connection() {
        let ports: Vec<u32> = (0..3)
            .map(|_| listen().unwrap().local_addr().unwrap().port().into())
            .collect();
        assert!(ports.iter().all(|port| *port < range_end()));
        assert!(ports[0] != ports[1] && ports[1] != ports[2] && ports[0] != ports[2]);
    }
}
