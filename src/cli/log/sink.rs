//! Where a dump goes: rows under headers, or JSON lines.
//!
//! Rows are written as they come, whatever the size of the file, so a column has a fixed width that
//! a longer cell may exceed.

use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;

use crate::cli::output::{OutputFormat, Stdout, classify, printable};

/// One line of a dump.
pub(super) trait Line: Serialize {
    /// What the line describes, for JSON.
    const KIND: &'static str;
    /// Headers with their widths.
    const COLUMNS: &'static [(&'static str, usize)];
    /// Stands before the rows of what belongs to the row above.
    const PREFIX: &'static str = "";

    fn cells(&self) -> Vec<String>;
}

pub(super) struct Sink {
    out: Stdout,
    format: OutputFormat,
    file: String,
    /// The kinds whose headers stand above.
    kinds: Vec<&'static str>,
    is_first: bool,
}

#[derive(Serialize)]
struct JsonLine<'a, L> {
    file: &'a str,
    kind: &'static str,
    #[serde(flatten)]
    line: &'a L,
}

impl Sink {
    pub(super) fn new(format: OutputFormat) -> Self {
        Self {
            out: Stdout::lock(),
            format,
            file: String::new(),
            kinds: Vec::new(),
            is_first: true,
        }
    }

    /// What follows is from this file.
    pub(super) fn open(&mut self, file: &Path) {
        self.file = file.display().to_string();
        self.kinds.clear();
    }

    pub(super) fn line<L: Line>(&mut self, line: &L) -> anyhow::Result<()> {
        match self.format {
            OutputFormat::Table => self.row(line),
            OutputFormat::Json => {
                let line = JsonLine {
                    file: &self.file,
                    kind: L::KIND,
                    line,
                };
                serde_json::to_writer(&mut self.out, &line)
                    .map_err(io::Error::from)
                    .and_then(|()| self.out.write_all(b"\n"))
            }
        }
        .map_err(classify)
    }

    fn row<L: Line>(&mut self, line: &L) -> io::Result<()> {
        if self.kinds.is_empty() {
            let blank = if std::mem::take(&mut self.is_first) {
                ""
            } else {
                "\n"
            };
            writeln!(self.out, "{blank}{}: {}", self.file, L::KIND)?;
        }
        if !self.kinds.contains(&L::KIND) {
            self.kinds.push(L::KIND);
            let headers = L::COLUMNS.iter().map(|(header, _)| (*header).to_owned());
            self.cells::<L>(headers)?;
        }
        self.cells::<L>(line.cells().into_iter())
    }

    fn cells<L: Line>(&mut self, cells: impl Iterator<Item = String>) -> io::Result<()> {
        let mut text = L::PREFIX.to_owned();
        for (cell, (_, width)) in cells.zip(L::COLUMNS) {
            let cell = printable(&cell);
            text.push_str(&cell);
            let padding = width.saturating_sub(cell.chars().count()) + 2;
            text.extend(std::iter::repeat_n(' ', padding));
        }
        writeln!(self.out, "{}", text.trim_end())
    }

    pub(super) fn flush(&mut self) -> anyhow::Result<()> {
        self.out.flush().map_err(classify)
    }
}
