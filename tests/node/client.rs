//! A client that does what it is told: raw frames, one connection, nothing retried.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use ottla::wire::frame;
use ottla::wire::header::{RequestHeader, decode_response_header};
use ottla::wire::messages::Request;
use ottla::wire::reader::Reader;

/// Far above what an answer takes, so that only a hang meets it.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Client {
    socket: TcpStream,
    correlation_id: i32,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_nodelay(true).unwrap();
        Self {
            socket,
            correlation_id: 0,
        }
    }

    /// Sends bytes as they are.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        // The node may close while we still write: what it says is read afterwards.
        let _ = self.socket.write_all(bytes);
    }

    /// Sends a message in a frame.
    pub(crate) fn send_frame(&mut self, message: &[u8]) {
        let size = i32::try_from(message.len()).unwrap();
        self.send(&[&size.to_be_bytes(), message].concat());
    }

    /// The next message, or `None` if the node closed the connection.
    pub(crate) fn receive(&mut self) -> Option<Vec<u8>> {
        let mut size = [0; 4];
        match self.socket.read_exact(&mut size) {
            Err(error) if is_closed(error.kind()) => return None,
            result => result.unwrap(),
        }
        let mut message = vec![0; usize::try_from(i32::from_be_bytes(size)).unwrap()];
        self.socket.read_exact(&mut message).unwrap();
        Some(message)
    }

    pub(crate) fn is_closed_by_the_node(&mut self) -> bool {
        self.receive().is_none()
    }

    /// Sends a request and returns its correlation id.
    pub(crate) fn send_request<R: Request>(&mut self, version: i16, request: &R) -> i32 {
        self.correlation_id += 1;
        let header = RequestHeader {
            api: R::API,
            version,
            correlation_id: self.correlation_id,
            client_id: Some("test"),
        };
        let frame = frame::encode_request(&header, |writer| request.encode(writer, version));
        self.send(&frame.unwrap().into_bytes().unwrap());
        self.correlation_id
    }

    /// Sends a request and reads its answer; `None` if the node closed instead.
    pub(crate) fn try_call<R: Request, T>(
        &mut self,
        version: i16,
        request: &R,
        read: impl for<'r> FnOnce(R::Response<'r>) -> T,
    ) -> Option<T> {
        let correlation_id = self.send_request(version, request);
        let message = self.receive()?;
        let mut reader = Reader::new(&message);
        let answered = decode_response_header(&mut reader, R::API, version).unwrap();
        assert_eq!(
            answered, correlation_id,
            "W2: answers come in request order"
        );
        let response = R::decode_response(&mut reader, version).unwrap();
        reader.finish().unwrap();
        Some(read(response))
    }

    pub(crate) fn call<R: Request, T>(
        &mut self,
        version: i16,
        request: &R,
        read: impl for<'r> FnOnce(R::Response<'r>) -> T,
    ) -> T {
        self.try_call(version, request, read)
            .expect("the node closed the connection")
    }
}

fn is_closed(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe
    )
}
