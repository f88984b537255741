//! Requests that no command sends.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use ottla::wire::frame::encode_request;
use ottla::wire::header::{RequestHeader, decode_response_header};
use ottla::wire::messages::Request;
use ottla::wire::reader::Reader;

/// A connection; one request at a time.
pub(crate) struct Raw(TcpStream);

impl Raw {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self(TcpStream::connect(address).unwrap())
    }

    pub(crate) fn call<R: Request, T>(
        &mut self,
        version: i16,
        request: &R,
        read: impl for<'r> FnOnce(R::Response<'r>) -> T,
    ) -> T {
        let header = RequestHeader {
            api: R::API,
            version,
            correlation_id: 1,
            client_id: Some("raw"),
        };
        let frame = encode_request(&header, |writer| request.encode(writer, version)).unwrap();
        self.0.write_all(&frame.into_bytes().unwrap()).unwrap();
        let mut size = [0; 4];
        self.0.read_exact(&mut size).unwrap();
        let mut answer = vec![0; usize::try_from(i32::from_be_bytes(size)).unwrap()];
        self.0.read_exact(&mut answer).unwrap();
        let mut reader = Reader::new(&answer);
        decode_response_header(&mut reader, R::API, version).unwrap();
        read(R::decode_response(&mut reader, version).unwrap())
    }
}
