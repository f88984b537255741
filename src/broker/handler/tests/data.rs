//! The data path over a real log on a simulated disk: frames in, frames out, in every version.

mod fetch;
mod groups;
mod offsets;
mod produce;

use std::path::PathBuf;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use ottla_storage::batch::{BatchBuilder, Compression, CompressionLevels, NewRecord};
use ottla_storage::log_dir::{LogDir, LogDirOptions, Tuning};

use super::*;
use crate::broker::dispatch::Dispatcher;
use crate::broker::reply::{CloseReason, Service};
use crate::clock;
use crate::wire::header::{RequestHeader, decode_response_header};
use crate::wire::messages::Request;
use crate::wire::reader::Reader;
use crate::wire::writer::Piece;
use crate::wire::{Uuid, frame};

/// A directory without threads: its I/O is done by `run_io`.
pub(super) fn directory(disk: &SimDisk, number: usize, map: Arc<ReplicaMap>) -> Arc<LogDir> {
    let path = PathBuf::from(format!("/data{number}"));
    let mut options = LogDirOptions::new(
        path,
        Arc::new(disk.mount()),
        Arc::new(clock::SystemClock),
        map,
        1,
    );
    options.tuning = Tuning {
        threads: 0,
        ballast_bytes: 0,
        ..Tuning::default()
    };
    Arc::new(LogDir::start(options).unwrap())
}

pub(super) async fn run_io(dir: Arc<LogDir>) {
    loop {
        dir.run_pending();
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// One client's connection.
struct Client {
    dispatcher: Dispatcher,
}

impl World {
    fn client(&self) -> Client {
        let connection = ConnectionContext {
            listener: "PLAINTEXT".into(),
            peer: ([127, 0, 0, 1], 4242).into(),
            principal: ANONYMOUS.into(),
            is_forwarded: false,
        };
        let dispatcher = Dispatcher::new(self.broker.clone(), self.core.clone(), connection);
        Client { dispatcher }
    }

    /// Appends one record to partition 0 of "t".
    pub(in crate::broker::handler) async fn append(&self) {
        let answer = produce::produce(self, &self.client(), 9, &batch_of(1, 10)).await;
        assert_eq!(answer.error_code, ErrorCode::None);
    }

    fn topic_id(&self, name: &str) -> Uuid {
        self.broker
            .metadata
            .image()
            .topics()
            .by_name(name)
            .unwrap()
            .id()
            .uuid()
    }
}

/// How a request ended: with an answer's bytes, silently, or with the connection closed.
type Ended = Result<Option<Bytes>, CloseReason>;

impl Client {
    fn start<R: Request>(&self, request: &R, version: i16) -> Reply {
        let header = RequestHeader {
            api: R::API,
            version,
            correlation_id: 9,
            client_id: Some("test"),
        };
        let encoded = frame::encode_request(&header, |w| request.encode(w, version)).unwrap();
        let bytes = encoded.into_bytes().unwrap();
        self.dispatcher.start(BytesMut::from(&bytes[4..]))
    }

    async fn call<R: Request>(&self, request: &R, version: i16) -> Bytes {
        ended(self.start(request, version))
            .await
            .unwrap()
            .expect("an answer")
    }
}

async fn ended(mut reply: Reply) -> Ended {
    loop {
        match reply {
            Reply::Ready(response) => {
                let mut bytes = BytesMut::new();
                for piece in response.segments.pieces {
                    match piece {
                        Piece::Bytes(piece) => bytes.extend_from_slice(&piece),
                        Piece::External(range) => {
                            let slice = &response.files[usize::try_from(range.token).unwrap()];
                            assert_eq!(slice.len, range.len);
                            let mut part = vec![0; usize::try_from(slice.len).unwrap()];
                            let file = slice.file.file().unwrap();
                            assert_eq!(
                                file.read_at(&mut part, slice.position).unwrap(),
                                part.len()
                            );
                            bytes.extend_from_slice(&part);
                        }
                    }
                }
                return Ok(Some(bytes.freeze()));
            }
            Reply::Silent => return Ok(None),
            Reply::Close(reason) => return Err(reason),
            Reply::Waiting(pending) | Reply::Held(pending) => reply = pending.await,
        }
    }
}

/// Decodes an answer and sees that all of it was read.
fn decoded<R: Request>(bytes: &Bytes, version: i16) -> R::Response<'_> {
    let mut reader = Reader::new(&bytes[4..]);
    assert_eq!(decode_response_header(&mut reader, R::API, version), Ok(9));
    let response = R::decode_response(&mut reader, version).unwrap();
    reader.finish().unwrap();
    response
}

/// A batch of `count` records of `size` bytes each.
fn batch_of(count: usize, size: usize) -> Vec<u8> {
    build(BatchBuilder::new(), count, size)
}

fn compressed(codec: Compression) -> Vec<u8> {
    build(
        BatchBuilder::new().compression(codec, CompressionLevels::default()),
        3,
        100,
    )
}

fn build(mut builder: BatchBuilder, count: usize, size: usize) -> Vec<u8> {
    let value = vec![b'v'; size];
    for _ in 0..count {
        let record = NewRecord {
            timestamp: clock::wall(),
            value: Some(&value),
            ..NewRecord::default()
        };
        builder.append(&record).unwrap();
    }
    builder.build().unwrap()
}
