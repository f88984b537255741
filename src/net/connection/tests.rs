//! Connections over real sockets, with a service that does as the frame says.

use std::cell::Cell;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream as Client};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use ottla_storage::fs::{File, Fs, OpenMode, StdFs};
use tokio::sync::Notify;

use super::*;
use crate::broker::reply::{FileSlice, HeldFile};
use crate::net::{CoreStart, Guard, Listener, ListenerConfig, Server, SocketOptions, StartError};
use crate::wire::api::ApiKey;
use crate::wire::reader::DecodeError;
use crate::wire::records::ExternalRange;
use crate::wire::writer::{Piece, Segments};

/// What a test's service was asked and lets go on.
#[derive(Default)]
struct Script {
    started: Mutex<Vec<Vec<u8>>>,
    started_bytes: AtomicUsize,
    go: Notify,
    file: Mutex<Option<FileSlice>>,
    long_answer: Mutex<usize>,
    kept: Mutex<Vec<Holding>>,
}

impl Script {
    fn started(&self) -> Vec<Vec<u8>> {
        self.started.lock().unwrap().clone()
    }
}

/// A file that nobody cuts.
#[derive(Debug)]
struct WholeFile(Arc<dyn File>);

impl HeldFile for WholeFile {
    fn file(&self) -> Option<&dyn File> {
        Some(&*self.0)
    }
}

#[derive(Clone)]
struct Echo(Arc<Script>);

fn response(body: &[u8]) -> Response {
    let mut bytes = u32::try_from(body.len()).unwrap().to_be_bytes().to_vec();
    bytes.extend_from_slice(body);
    let len = u64::try_from(bytes.len()).unwrap();
    let pieces = vec![Piece::Bytes(Bytes::from(bytes))];
    Response {
        segments: Segments { pieces, len },
        files: Vec::new(),
    }
}

fn file_response(file: &FileSlice) -> Response {
    let mut response = response(b"");
    response.segments.pieces = vec![
        Piece::Bytes(Bytes::copy_from_slice(&file.len.to_be_bytes())),
        Piece::External(ExternalRange {
            token: 0,
            len: file.len,
        }),
    ];
    response.files = vec![file.clone()];
    response
}

impl Service for Echo {
    fn start_holding(&self, frame: BytesMut, holding: Holding) -> Reply {
        if frame.first() == Some(&b'k') {
            self.0.kept.lock().unwrap().push(holding);
        }
        self.start(frame)
    }

    fn start(&self, frame: BytesMut) -> Reply {
        let script = self.0.clone();
        script
            .started_bytes
            .fetch_add(frame.len(), Ordering::Relaxed);
        script
            .started
            .lock()
            .unwrap()
            .push(frame[..frame.len().min(10)].to_vec());
        match frame.first() {
            Some(b'0') => Reply::Silent,
            Some(b'x') => Reply::Close(CloseReason::UnacknowledgedProduceFailed),
            Some(b'b') => Reply::Close(CloseReason::Body {
                api: ApiKey::Metadata,
                source: DecodeError::LeftOver { at: 9, left: 1 },
            }),
            Some(b'l') => {
                let size = *script.long_answer.lock().unwrap();
                Reply::Ready(response(&vec![b'l'; size]))
            }
            Some(b'f') => {
                let file = script.file.lock().unwrap().clone();
                Reply::Ready(file_response(&file.unwrap()))
            }
            Some(b'w') => Reply::waiting(async move {
                script.go.notified().await;
                Reply::Ready(response(&frame))
            }),
            Some(b'h') => Reply::held(async move {
                script.go.notified().await;
                Reply::Ready(response(&frame))
            }),
            _ => Reply::Ready(response(&frame)),
        }
    }
}

#[derive(Clone)]
struct Start(Arc<Script>);

impl CoreStart for Start {
    type Service = Echo;

    fn start(self, _core: usize) -> Box<dyn Fn(SocketAddr) -> Echo> {
        Box::new(move |_| Echo(self.0.clone()))
    }
}

fn limits() -> ConnectionLimits {
    ConnectionLimits {
        frame_bytes: 8 << 20,
        in_flight_count: 4,
        in_flight_bytes: 1 << 20,
        idle: Duration::from_mins(10),
    }
}

fn bind(address: SocketAddr) -> Result<Listener, StartError> {
    let options = SocketOptions {
        backlog: 16,
        send_buffer_size: Some(65_536),
        receive_buffer_size: Some(65_536),
    };
    Listener::bind("TEST".to_owned(), address, options)
}

struct Node {
    server: Option<Server>,
    script: Arc<Script>,
}

impl Node {
    fn start(connection: ConnectionLimits) -> Self {
        Self::start_with(connection, 100)
    }

    fn start_with(connection: ConnectionLimits, connection_count_max: usize) -> Self {
        Self::start_guarded(connection, connection_count_max, Guard::default())
    }

    fn start_guarded(
        connection: ConnectionLimits,
        connection_count_max: usize,
        guard: Guard,
    ) -> Self {
        let config = ListenerConfig {
            core_count: 2,
            connection_count_max,
            connections_per_ip_max: usize::MAX,
            in_flight_bytes: 4 << 20,
            connection,
            grace: Duration::from_secs(5),
        };
        let script = Arc::new(Script::default());
        let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let server =
            Server::start_guarded(listener, &config, guard, &Start(script.clone())).unwrap();
        Self {
            server: Some(server),
            script,
        }
    }

    fn connect(&self) -> Client {
        let client = Client::connect(self.server.as_ref().unwrap().local_address()).unwrap();
        client
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        client
    }

    fn wait_until(&self, what: &str, is_so: impl Fn(&Script) -> bool) {
        for _ in 0..2000 {
            if is_so(&self.script) {
                return;
            }
            std::thread::park_timeout(Duration::from_millis(5));
        }
        panic!("never happened: {what}");
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            server.stop();
        }
    }
}

fn frame(body: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(body.len()).unwrap().to_be_bytes().to_vec();
    bytes.extend_from_slice(body);
    bytes
}

fn frames(bodies: &[&str]) -> Vec<u8> {
    bodies
        .iter()
        .flat_map(|body| frame(body.as_bytes()))
        .collect()
}

fn read_frame(client: &mut Client) -> Vec<u8> {
    let mut size = [0; 4];
    client.read_exact(&mut size).unwrap();
    let mut body = vec![0; usize::try_from(u32::from_be_bytes(size)).unwrap()];
    client.read_exact(&mut body).unwrap();
    body
}

fn read_text(client: &mut Client) -> String {
    String::from_utf8(read_frame(client)).unwrap()
}

/// Everything until the server closes; a reset counts as closing.
fn read_to_end(client: &mut Client) -> Vec<u8> {
    let mut all = Vec::new();
    match client.read_to_end(&mut all) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), io::ErrorKind::ConnectionReset),
    }
    all
}

/// W2: answers come in the order of the requests, though a later one is decided first.
#[test]
fn answers_come_in_the_order_of_the_requests() {
    let node = Node::start(limits());
    let mut client = node.connect();
    client.write_all(&frames(&["w1", "a2", "a3"])).unwrap();
    node.wait_until("all three started", |script| script.started().len() == 3);
    node.script.go.notify_one();
    let answers: Vec<_> = (0..3).map(|_| read_text(&mut client)).collect();
    assert_eq!(answers, ["w1", "a2", "a3"]);
}

/// A batch may wait in its partition's queue longer than its producer, or its connection.
#[test]
fn what_is_kept_of_an_answered_request_still_counts() {
    let node = Node::start(limits());
    let mut client = node.connect();
    let mut request = vec![b'k'; 700_000];
    client.write_all(&frame(&request)).unwrap();
    assert_eq!(read_frame(&mut client), request);
    request[0] = b'a';
    std::thread::scope(|scope| {
        let mut writer = client.try_clone().unwrap();
        let second = frame(&request);
        scope.spawn(move || writer.write_all(&second).unwrap());
        std::thread::park_timeout(Duration::from_millis(100));
        assert_eq!(node.script.started().len(), 1, "both are too much");
        node.script.kept.lock().unwrap().clear();
        assert_eq!(read_frame(&mut client), request);
    });
}

#[test]
fn a_held_request_holds_back_the_start_of_later_ones() {
    let node = Node::start(limits());
    let mut client = node.connect();
    client.write_all(&frames(&["h1", "a2"])).unwrap();
    node.wait_until("the first started", |script| script.started().len() == 1);
    std::thread::park_timeout(Duration::from_millis(50));
    assert_eq!(node.script.started().len(), 1);
    node.script.go.notify_one();
    assert_eq!(read_text(&mut client), "h1");
    assert_eq!(read_text(&mut client), "a2");
}

#[test]
fn a_request_without_an_answer_gets_none() {
    let node = Node::start(limits());
    let mut client = node.connect();
    client
        .write_all(&frames(&["01", "a2", "03", "a4"]))
        .unwrap();
    assert_eq!(read_text(&mut client), "a2");
    assert_eq!(read_text(&mut client), "a4");
}

/// Requests that want no answer count even if the client leaves right behind them.
#[test]
fn unanswered_requests_before_the_end_of_the_stream_are_started() {
    let node = Node::start(limits());
    let mut client = node.connect();
    let many: Vec<_> = (0..100).map(|n| format!("0{n}")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    client.write_all(&frames(&many)).unwrap();
    drop(client);
    node.wait_until("all started", |script| script.started().len() == 100);
}

#[test]
fn what_precedes_a_closing_request_is_answered_and_nothing_after_it_starts() {
    let node = Node::start(limits());
    let mut client = node.connect();
    client.write_all(&frames(&["a1", "x2", "a3"])).unwrap();
    assert_eq!(read_to_end(&mut client), frame(b"a1"));
    assert_eq!(node.script.started().len(), 2);
}

#[test]
fn a_frame_above_the_limit_closes_the_connection_after_what_precedes() {
    let node = Node::start(limits());
    for size in [(8_u32 << 20) + 1, u32::MAX, 0x8000_0000] {
        let mut client = node.connect();
        client.write_all(&frame(b"a1")).unwrap();
        client.write_all(&size.to_be_bytes()).unwrap();
        assert_eq!(read_to_end(&mut client), frame(b"a1"), "{size}");
    }
}

#[test]
fn a_truncated_frame_is_not_started() {
    let node = Node::start(limits());
    let mut client = node.connect();
    let whole = frame(b"a truncated one");
    client.write_all(&whole[..10]).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_to_end(&mut client), b"");
    assert!(node.script.started().is_empty());
}

#[test]
fn a_frame_that_comes_byte_by_byte_is_answered() {
    let node = Node::start(limits());
    let mut client = node.connect();
    client.set_nodelay(true).unwrap();
    for byte in frame(b"slow") {
        client.write_all(&[byte]).unwrap();
    }
    assert_eq!(read_text(&mut client), "slow");
}

/// Frames of every size around the buffers' sizes come through whole, one behind the other.
#[test]
fn frames_longer_than_a_buffer_come_through_whole() {
    let node = Node::start(limits());
    let mut client = node.connect();
    let sizes = [
        1,
        SMALL - 4,
        SMALL,
        SMALL + 1,
        LARGE,
        LARGE + 1,
        3 << 20,
        10,
        1 << 20,
        1 << 20,
    ];
    let mut writer = client.try_clone().unwrap();
    let sender = std::thread::spawn(move || {
        for (salt, size) in sizes.into_iter().enumerate() {
            writer.write_all(&frame(&body(salt, size))).unwrap();
        }
    });
    for (salt, size) in sizes.into_iter().enumerate() {
        assert!(
            read_frame(&mut client) == body(salt, size),
            "frame {salt} of {size} bytes"
        );
    }
    sender.join().unwrap();
}

fn body(salt: usize, size: usize) -> Vec<u8> {
    (0..size)
        .map(|index| b'A' + u8::try_from((index * 7 + salt) % 26).unwrap())
        .collect()
}

/// A client that does not read its answers is not read from either, and loses nothing.
#[test]
fn a_client_that_does_not_read_is_not_read_from() {
    let node = Node::start(limits());
    let mut client = node.connect();
    let mut writer = client.try_clone().unwrap();
    let count = 200;
    let sender = std::thread::spawn(move || {
        for salt in 0..count {
            writer.write_all(&frame(&body(salt, 256 << 10))).unwrap();
        }
    });
    node.wait_until("the first started", |script| !script.started().is_empty());
    let last = Cell::new(0);
    node.wait_until("it stopped reading", |script| {
        std::thread::park_timeout(Duration::from_millis(100));
        let now = script.started_bytes.load(Ordering::Relaxed);
        last.replace(now) == now
    });
    let last = last.get();
    // What the kernel buffers for both directions is some megabytes; the whole is fifty.
    assert!(last < 30 << 20, "{last} bytes were started");
    for salt in 0..count {
        assert!(
            read_frame(&mut client) == body(salt, 256 << 10),
            "answer {salt}"
        );
    }
    sender.join().unwrap();
}

/// Small requests with long answers stop as well: answers that nobody reads count as in flight.
#[test]
fn answers_that_nobody_reads_are_bounded_in_count() {
    let node = Node::start(limits());
    *node.script.long_answer.lock().unwrap() = 4 << 20;
    let mut client = node.connect();
    let many = ["l"; 50];
    client.write_all(&frames(&many)).unwrap();
    node.wait_until("the first started", |script| !script.started().is_empty());
    std::thread::park_timeout(Duration::from_millis(300));
    let started = node.script.started().len();
    // Four in flight, and what the kernel buffers of 4 MiB each.
    assert!(started < 20, "{started} were started");
    for _ in 0..50 {
        assert_eq!(read_frame(&mut client).len(), 4 << 20);
    }
}

#[test]
fn requests_in_flight_are_bounded_in_count() {
    let node = Node::start(limits());
    let mut client = node.connect();
    let many = ["w"; 10];
    client.write_all(&frames(&many)).unwrap();
    node.wait_until("four started", |script| script.started().len() == 4);
    std::thread::park_timeout(Duration::from_millis(50));
    assert_eq!(node.script.started().len(), 4);
    for _ in 0..10 {
        node.script.go.notify_one();
        assert_eq!(read_text(&mut client), "w");
    }
}

#[test]
fn an_idle_connection_is_closed() {
    let node = Node::start(ConnectionLimits {
        idle: Duration::from_millis(50),
        ..limits()
    });
    let mut client = node.connect();
    client.write_all(&frame(b"a1")).unwrap();
    assert_eq!(read_to_end(&mut client), frame(b"a1"));
}

/// One client announced a large frame and sent none of it: it held all bytes of the node, which answered nobody.
#[test]
fn a_frame_that_stands_still_gives_its_share_back() {
    let guard = Guard {
        frame_within: Duration::from_millis(500),
        ..Guard::default()
    };
    let node = Node::start_guarded(limits(), 100, guard);
    let mut stalled = node.connect();
    stalled.write_all(&frame(b"a1")).unwrap();
    stalled.write_all(&(8_u32 << 20).to_be_bytes()).unwrap();
    assert_eq!(read_text(&mut stalled), "a1");
    let mut client = node.connect();
    client.write_all(&frame(&body(1, 100 << 10))).unwrap();
    assert!(read_frame(&mut client) == body(1, 100 << 10));
    assert_eq!(read_to_end(&mut stalled), b"");
}

/// Votes and heartbeats are small: they must pass whatever snapshots and forwarded requests hold.
#[test]
fn small_frames_do_not_wait_for_what_large_ones_hold() {
    let guard = Guard {
        small_in_flight_bytes: Some(1 << 20),
        ..Guard::default()
    };
    let node = Node::start_guarded(limits(), 100, guard);
    let mut large = node.connect();
    large.write_all(&frame(b"a1")).unwrap();
    large.write_all(&(8_u32 << 20).to_be_bytes()).unwrap();
    assert_eq!(read_text(&mut large), "a1");
    let mut client = node.connect();
    for size in [1, SMALL] {
        client.write_all(&frame(&body(size, size))).unwrap();
        assert!(read_frame(&mut client) == body(size, size));
    }
}

#[test]
fn connections_above_the_limit_are_refused() {
    let node = Node::start_with(limits(), 2);
    let mut first = node.connect();
    let mut second = node.connect();
    for client in [&mut first, &mut second] {
        client.write_all(&frame(b"a")).unwrap();
        assert_eq!(read_text(client), "a");
    }
    assert_eq!(read_to_end(&mut node.connect()), b"");
    drop(first);
    node.wait_until("a place is free", |_| {
        let mut client = node.connect();
        client.write_all(&frame(b"a")).is_ok() && client.read(&mut [0; 5]).is_ok_and(|n| n > 0)
    });
}

#[test]
fn stopping_finishes_what_is_in_flight() {
    let mut node = Node::start(limits());
    let mut client = node.connect();
    client.write_all(&frame(b"w1")).unwrap();
    node.wait_until("it started", |script| script.started().len() == 1);
    let server = node.server.take().unwrap();
    let stopping = std::thread::spawn(move || server.stop());
    std::thread::park_timeout(Duration::from_millis(30));
    node.script.go.notify_one();
    assert_eq!(read_to_end(&mut client), frame(b"w1"));
    stopping.join().unwrap();
}

#[test]
fn a_port_in_use_is_an_error_at_start() {
    let first = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let second = bind(first.local_address());
    assert!(matches!(second, Err(StartError::Bind { .. })));
}

/// The bytes of a file are sent as they are, below and above the size from which `sendfile` is used.
#[test]
fn file_ranges_are_sent_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("segment");
    let content = body(3, 5 << 20);
    std::fs::write(&path, &content).unwrap();
    let file = Arc::new(WholeFile(StdFs.open(&path, OpenMode::Read).unwrap()));
    let node = Node::start(limits());
    let mut client = node.connect();
    for (position, len) in [
        (0, 1),
        (10, 4096),
        (3, 65_536),
        (1, 600_000),
        (77, 5_000_000),
    ] {
        let slice = FileSlice {
            file: file.clone(),
            position,
            len,
        };
        *node.script.file.lock().unwrap() = Some(slice);
        client.write_all(&frames(&["f", "after"])).unwrap();
        let start = usize::try_from(position).unwrap();
        let end = start + usize::try_from(len).unwrap();
        assert!(
            read_frame(&mut client) == content[start..end],
            "{len} bytes at {position}"
        );
        assert_eq!(read_text(&mut client), "after");
    }
}

/// A range beyond the end of its file closes the connection: the size is on the wire already.
#[test]
fn a_file_that_is_too_short_closes_the_connection() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("segment");
    std::fs::write(&path, body(0, 100_000)).unwrap();
    let file = Arc::new(WholeFile(StdFs.open(&path, OpenMode::Read).unwrap()));
    let node = Node::start(limits());
    for len in [1000, 90_000] {
        let slice = FileSlice {
            file: file.clone(),
            position: 99_500,
            len,
        };
        *node.script.file.lock().unwrap() = Some(slice);
        let mut client = node.connect();
        client.write_all(&frame(b"f")).unwrap();
        let received = read_to_end(&mut client);
        assert!(received.len() < usize::try_from(len).unwrap());
    }
}
