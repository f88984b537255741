//! A broker that lies: the commands refuse what it says, soon, and say why.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::thread;

use crate::run::ottla;

/// Answers every request of every connection with `answer` after the correlation id was put in at
/// byte 4, if it is that long, and then closes.
fn broker(answer: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            let mut request = [0; 12];
            if connection.read_exact(&mut request).is_ok() {
                let _ = connection.write_all(answer);
                // Reads what is left, so that closing does not reset what was answered.
                let _ = connection.shutdown(std::net::Shutdown::Write);
                let _ = connection.read_to_end(&mut Vec::new());
            }
        }
    });
    address
}

#[track_caller]
fn assert_refused(answer: &'static [u8], words: &[&str]) {
    let address = broker(answer).to_string();
    let done = ottla(&["topic", "list", "-b", &address, "--timeout", "5s"]);
    done.assert_failed(words);
    assert!(done.stderr().contains(&address), "{}", done.stderr());
}

#[test]
fn a_length_that_is_no_length() {
    assert_refused(&[0xff, 0xff, 0xff, 0xff], &["-1 bytes"]);
    // The first bytes of an HTTP answer, read as a length.
    assert_refused(b"HTTP/1.1 400 Bad Request\r\n\r\n", &["is the port right"]);
}

#[test]
fn an_answer_to_another_request() {
    assert_refused(&[0, 0, 0, 6, 0, 0, 0, 99, 0, 0], &["99"]);
}

#[test]
fn a_connection_closed_in_the_middle_of_an_answer() {
    assert_refused(&[0, 0, 1, 0, 0, 0, 0, 0, 0, 0], &["closed the connection"]);
    assert_refused(&[], &["closed the connection"]);
}

#[test]
fn an_array_longer_than_its_answer() {
    // Version 0 of ApiVersions: no error, 2^31 - 1 APIs, and no byte of them.
    let answer = &[0, 0, 0, 10, 0, 0, 0, 0, 0, 35, 0x7f, 0xff, 0xff, 0xff];
    assert_refused(answer, &["ApiVersions", "cannot be read"]);
}
