//! Records out of the standard input or files: one per line.
//!
//! - A blocking thread reads; the channel to the sender is bounded, so a slow broker slows the
//!   reading down and memory does not grow.
//! - What has been read is handed over as soon as more would have to be waited for: a line typed at
//!   a terminal goes at once.
//! - The text after the last delimiter is a record too, unless it is empty.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tokio::sync::mpsc;

/// Lines handed over at once, at most.
const CHUNK_LINES_MAX: usize = 4096;
const CHUNK_SIZE_MAX: usize = 256 * 1024;
const CHUNKS_AHEAD: usize = 8;

/// What one line becomes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    pub(super) key: Option<&'a [u8]>,
    pub(super) value: Option<&'a [u8]>,
}

/// How lines become records.
#[derive(Clone, Debug)]
pub(super) struct Parsing {
    pub(super) delimiter: u8,
    /// Splits a line into key and value at its first occurrence.
    pub(super) key_separator: Option<Vec<u8>>,
    /// The key of every record.
    pub(super) fixed_key: Option<Vec<u8>>,
    /// Empty keys and values become null.
    pub(super) is_empty_null: bool,
}

/// Lines in the order read, and the bytes of input that they took.
pub(super) type Chunk = Result<(Vec<Vec<u8>>, u64)>;

impl Parsing {
    /// A line without the separator has no key.
    pub(super) fn line<'a>(&'a self, line: &'a [u8]) -> Line<'a> {
        let (key, value) = match &self.key_separator {
            Some(separator) => match find(line, separator) {
                Some((key, value)) => (Some(key), value),
                None => (None, line),
            },
            None => (None, line),
        };
        let key = key.or(self.fixed_key.as_deref());
        let wanted = |bytes: &&[u8]| !self.is_empty_null || !bytes.is_empty();
        Line {
            key: key.filter(wanted),
            value: Some(value).filter(wanted),
        }
    }
}

fn find<'a>(line: &'a [u8], separator: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let first = *separator.first()?;
    let mut from = 0;
    loop {
        let found = line.get(from..)?.iter().position(|byte| *byte == first)?;
        let start = from + found;
        let (key, rest) = line.split_at_checked(start)?;
        if let Some(value) = rest.strip_prefix(separator) {
            return Some((key, value));
        }
        from = start + 1;
    }
}

/// Starts reading; the channel closes at the end of the input. An error is the last message.
pub(super) fn read(files: Vec<PathBuf>, delimiter: u8) -> mpsc::Receiver<Chunk> {
    let (chunks, receiver) = mpsc::channel(CHUNKS_AHEAD);
    // Not a task: nothing waits for this thread, so a read that blocks cannot hold up the exit.
    std::thread::spawn(move || {
        if let Err(error) = read_all(&files, delimiter, &chunks) {
            let _ = chunks.blocking_send(Err(error));
        }
    });
    receiver
}

fn read_all(files: &[PathBuf], delimiter: u8, chunks: &mpsc::Sender<Chunk>) -> Result<()> {
    if files.is_empty() {
        return lines(io::stdin().lock(), delimiter, chunks).context("read the standard input");
    }
    for file in files {
        let read = if file == Path::new("-") {
            lines(io::stdin().lock(), delimiter, chunks)
        } else {
            File::open(file).and_then(|file| lines(file, delimiter, chunks))
        };
        read.with_context(|| format!("read {}", file.display()))?;
    }
    Ok(())
}

/// Ends quietly when nobody takes the chunks any more.
fn lines(input: impl Read, delimiter: u8, chunks: &mpsc::Sender<Chunk>) -> io::Result<()> {
    let mut input = BufReader::with_capacity(128 * 1024, input);
    let mut chunk = Vec::new();
    let mut size: usize = 0;
    loop {
        let mut line = Vec::new();
        let read = input.read_until(delimiter, &mut line)?;
        size += read;
        if line.last() == Some(&delimiter) {
            line.pop();
        }
        if read > 0 {
            chunk.push(line);
        }
        let would_wait = input.buffer().is_empty();
        let is_full = chunk.len() >= CHUNK_LINES_MAX || size >= CHUNK_SIZE_MAX;
        if (would_wait || is_full) && !chunk.is_empty() {
            let bytes = u64::try_from(size).unwrap_or(u64::MAX);
            let handed = chunks.blocking_send(Ok((std::mem::take(&mut chunk), bytes)));
            size = 0;
            if handed.is_err() {
                return Ok(());
            }
        }
        if read == 0 {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsing() -> Parsing {
        Parsing {
            delimiter: b'\n',
            key_separator: Some(b"::".to_vec()),
            fixed_key: None,
            is_empty_null: false,
        }
    }

    fn line<'a>(key: Option<&'a str>, value: Option<&'a str>) -> Line<'a> {
        Line {
            key: key.map(str::as_bytes),
            value: value.map(str::as_bytes),
        }
    }

    #[test]
    fn the_first_separator_splits_key_and_value() {
        let parsing = parsing();
        assert_eq!(parsing.line(b"k::v::w"), line(Some("k"), Some("v::w")));
        assert_eq!(parsing.line(b"k:v::w"), line(Some("k:v"), Some("w")));
        assert_eq!(parsing.line(b"::v"), line(Some(""), Some("v")));
        assert_eq!(parsing.line(b"k::"), line(Some("k"), Some("")));
        assert_eq!(
            parsing.line(b"no separator:"),
            line(None, Some("no separator:"))
        );
    }

    #[test]
    fn empty_parts_become_null_when_asked() {
        let parsing = Parsing {
            is_empty_null: true,
            ..parsing()
        };
        assert_eq!(parsing.line(b"k::"), line(Some("k"), None));
        assert_eq!(parsing.line(b"::v"), line(None, Some("v")));
    }

    #[test]
    fn a_fixed_key_is_every_records_key() {
        let parsing = Parsing {
            key_separator: None,
            fixed_key: Some(b"k".to_vec()),
            ..parsing()
        };
        assert_eq!(parsing.line(b"a::b"), line(Some("k"), Some("a::b")));
    }

    fn all_lines(text: &'static [u8]) -> Vec<Vec<u8>> {
        let (sender, mut receiver) = mpsc::channel(100);
        lines(text, b'\n', &sender).unwrap();
        drop(sender);
        let mut all = Vec::new();
        while let Some(chunk) = receiver.blocking_recv() {
            all.extend(chunk.unwrap().0);
        }
        all
    }

    #[test]
    fn the_last_line_needs_no_delimiter_and_empty_lines_count() {
        assert_eq!(all_lines(b"a\n\nb"), [&b"a"[..], b"", b"b"]);
        assert_eq!(all_lines(b"a\r\n"), [b"a\r"]);
        assert_eq!(all_lines(b""), Vec::<Vec<u8>>::new());
    }
}
