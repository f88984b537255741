//! Histories in files: one operation a line, read and written one at a time.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;

use super::codec::{self, Problem, Spelling};
use super::datum::Datum;
use super::edn::{self, SyntaxError};
use super::{DisorderError, Operation};

/// How a line is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `history.edn`: what Jepsen and Elle read.
    Edn,
    /// `history.jsonl`: a JSON object a line.
    JsonLines,
}

impl Format {
    /// By the end of the file's name: `.edn`, `.jsonl`.
    pub fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()? {
            "edn" => Some(Self::Edn),
            "jsonl" => Some(Self::JsonLines),
            _ => None,
        }
    }
}

/// Why a history could not be read. Trying again gives the same, except for [`Self::Io`].
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The name of the file does not say its format.
    #[error("a history is a file `*.edn` or `*.jsonl`")]
    UnknownFormat,
    /// The system could not read on.
    #[error("read the history, line {line}")]
    Io {
        /// Which line was next.
        line: u64,
        /// What the system said.
        source: io::Error,
    },
    /// The line is not EDN.
    #[error("line {line}: {source}")]
    Edn {
        /// Which line.
        line: u64,
        /// What is wrong with it.
        source: SyntaxError,
    },
    /// The line is not JSON.
    #[error("line {line}: {source}")]
    Json {
        /// Which line.
        line: u64,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The line is not an operation.
    #[error("line {line}: {source}")]
    Operation {
        /// Which line.
        line: u64,
        /// What is wrong with it.
        source: Problem,
    },
    /// The operation cannot stand where it stands.
    #[error("line {line}: {source}")]
    Disorder {
        /// Which line.
        line: u64,
        /// What it contradicts.
        source: DisorderError,
    },
}

/// Reads operations one by one; empty lines and comments are passed over. Ends at the first error.
#[derive(Debug)]
pub struct Reader<R> {
    source: R,
    format: Format,
    line: u64,
    text: String,
    has_ended: bool,
}

impl Reader<BufReader<File>> {
    /// Opens a file, whose name says its format.
    ///
    /// # Errors
    /// [`ReadError::UnknownFormat`], or what the system says.
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        let format = Format::of(path).ok_or(ReadError::UnknownFormat)?;
        let file = File::open(path).map_err(|source| ReadError::Io { line: 0, source })?;
        Ok(Self::new(BufReader::new(file), format))
    }
}

impl<R: BufRead> Reader<R> {
    /// Reads lines of a known format.
    pub fn new(source: R, format: Format) -> Self {
        Self {
            source,
            format,
            line: 0,
            text: String::new(),
            has_ended: false,
        }
    }

    /// The line of the operation that was read last, from 1.
    pub fn line(&self) -> u64 {
        self.line
    }

    fn read(&mut self) -> Result<Option<Operation>, ReadError> {
        loop {
            self.text.clear();
            self.line += 1;
            let line = self.line;
            let read = self.source.read_line(&mut self.text);
            if read.map_err(|source| ReadError::Io { line, source })? == 0 {
                return Ok(None);
            }
            let text = self.text.trim();
            if !text.is_empty() && !text.starts_with(';') {
                return decode_line(text, self.format, line).map(Some);
            }
        }
    }
}

fn decode_line(text: &str, format: Format, line: u64) -> Result<Operation, ReadError> {
    let datum = match format {
        Format::Edn => edn::read(text).map_err(|source| ReadError::Edn { line, source })?,
        Format::JsonLines => serde_json::from_str::<Datum>(text)
            .map_err(|source| ReadError::Json { line, source })?,
    };
    codec::decode(datum).map_err(|source| ReadError::Operation { line, source })
}

impl<R: BufRead> Iterator for Reader<R> {
    type Item = Result<Operation, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.has_ended {
            return None;
        }
        let next = self.read().transpose();
        self.has_ended = !matches!(next, Some(Ok(_)));
        next
    }
}

/// Writes operations one by one, each on its own line; the caller flushes and syncs.
#[derive(Debug)]
pub struct Writer<W> {
    sink: W,
    format: Format,
}

impl<W: Write> Writer<W> {
    /// Writes lines of one format.
    pub fn new(sink: W, format: Format) -> Self {
        Self { sink, format }
    }

    /// Adds an operation.
    ///
    /// # Errors
    /// What the sink says.
    pub fn write(&mut self, operation: &Operation) -> io::Result<()> {
        match self.format {
            Format::Edn => {
                let datum = codec::encode(operation, Spelling::Keywords);
                writeln!(self.sink, "{datum}")
            }
            Format::JsonLines => {
                let datum = codec::encode(operation, Spelling::Strings);
                serde_json::to_writer(&mut self.sink, &datum)?;
                self.sink.write_all(b"\n")
            }
        }
    }

    /// The sink, for a flush or a sync.
    pub fn sink(&mut self) -> &mut W {
        &mut self.sink
    }
}
