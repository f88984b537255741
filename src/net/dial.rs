//! Opening a connection to another process.
//!
//! Never to oneself: a socket that the kernel binds to the very port that it dials connects to itself, if that port
//! lies in the kernel's range for outgoing connections and nobody listens there. Such a connection would look like the
//! peer, and hold the port that the peer needs.

use std::io;

use tokio::net::{TcpStream, ToSocketAddrs};

/// Connects as [`TcpStream::connect`] does.
///
/// # Errors
/// Those of the system; [`io::ErrorKind::ConnectionRefused`] also if the connection is one to itself.
pub async fn connect(address: impl ToSocketAddrs) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    if is_to_itself(&stream)? {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    Ok(stream)
}

fn is_to_itself(stream: &TcpStream) -> io::Result<bool> {
    Ok(stream.local_addr()? == stream.peer_addr()?)
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpSocket};

    use super::*;

    #[tokio::test]
    async fn a_connection_to_itself_is_told_from_one_to_a_peer() {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let own = socket.local_addr().unwrap();
        assert!(is_to_itself(&socket.connect(own).await.unwrap()).unwrap());

        let peer = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = connect(peer.local_addr().unwrap()).await.unwrap();
        assert!(!is_to_itself(&stream).unwrap());
    }
}
