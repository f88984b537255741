//! Runs `ottla` and looks at what it did.

use std::io::Write as _;
use std::process::{Child, Command, Output, Stdio};

/// The binary under test.
pub(crate) const OTTLA: &str = env!("CARGO_BIN_EXE_ottla");

/// A finished command.
pub(crate) struct Done(Output);

impl Done {
    pub(crate) fn code(&self) -> i32 {
        self.0.status.code().expect("ended by itself")
    }

    pub(crate) fn stdout(&self) -> String {
        String::from_utf8(self.0.stdout.clone()).unwrap()
    }

    pub(crate) fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.0.stderr).into_owned()
    }

    /// Exit code 1, nothing on the standard output, and a message with all of `words`.
    #[track_caller]
    pub(crate) fn assert_failed(&self, words: &[&str]) {
        let error = self.stderr();
        assert_eq!(self.code(), 1, "{error}");
        assert!(error.starts_with("error: "), "{error}");
        for word in words {
            assert!(error.contains(word), "{word:?} is not in: {error}");
        }
    }
}

/// Runs with `input` on the standard input, without the environment's bootstrap.
pub(crate) fn ottla_with(arguments: &[&str], input: &[u8]) -> Done {
    let mut child = spawn(arguments);
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || {
        // A command that ends early does not read its input: that is its right.
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    Done(output)
}

/// Starts it, with pipes, without the environment's bootstrap.
pub(crate) fn spawn(arguments: &[&str]) -> Child {
    Command::new(OTTLA)
        .args(arguments)
        .env_remove("OTTLA_BOOTSTRAP")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

pub(crate) fn ottla(arguments: &[&str]) -> Done {
    ottla_with(arguments, b"")
}
