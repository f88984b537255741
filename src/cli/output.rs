//! What commands print: tables for people, JSON for scripts, both from one report value.
//!
//! - A table is upper-case headers and left-aligned columns with two spaces between them, no
//!   borders and no colour, so that `awk` and `sort` work on it.
//! - Every command has one report type: its JSON shape does not depend on flags.
//! - A reader that went away (`| head`) ends the command quietly, see [`PipeClosed`].
//! - Text that came from a broker cannot move the cursor: control characters are escaped.

use std::fmt;
use std::io::{self, BufWriter, StdoutLock, Write};

use serde::Serialize;

/// How a command prints its report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum OutputFormat {
    /// Columns for people
    #[default]
    Table,
    /// One JSON document (`consume`: one per record), for scripts
    Json,
}

/// Nobody reads our output any more. It travels as an error so that every command stops, and ends
/// as exit code 0 without a word.
#[derive(Debug, thiserror::Error)]
#[error("the reader of the output has gone")]
pub(crate) struct PipeClosed;

/// What a command has to say.
pub(crate) trait Report: Serialize {
    fn write_table(&self, out: &mut dyn Write) -> io::Result<()>;
}

/// Prints one report on the standard output.
pub(crate) fn print(report: &impl Report, format: OutputFormat) -> anyhow::Result<()> {
    let mut out = Stdout::lock();
    match format {
        OutputFormat::Table => report.write_table(&mut out),
        OutputFormat::Json => serde_json::to_writer_pretty(&mut out, report)
            .map_err(io::Error::from)
            .and_then(|()| out.write_all(b"\n")),
    }
    .and_then(|()| out.flush())
    .map_err(classify)
}

/// Tells a closed pipe from other trouble of the standard output.
pub(crate) fn classify(error: io::Error) -> anyhow::Error {
    if error.kind() == io::ErrorKind::BrokenPipe {
        anyhow::Error::new(PipeClosed)
    } else {
        anyhow::Error::new(error).context("write to the standard output")
    }
}

/// The locked and buffered standard output.
pub(crate) struct Stdout(BufWriter<StdoutLock<'static>>);

impl Stdout {
    pub(crate) fn lock() -> Self {
        Self(BufWriter::with_capacity(64 * 1024, io::stdout().lock()))
    }
}

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Rows under upper-case headers.
pub(crate) struct Table {
    headers: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(headers: &[&'static str]) -> Self {
        Self {
            headers: headers.to_vec(),
            rows: Vec::new(),
        }
    }

    /// Adds a row; an empty cell becomes `-`, so that every row has the same number of words.
    pub(crate) fn row<const N: usize>(&mut self, cells: [&dyn fmt::Display; N]) {
        assert_eq!(N, self.headers.len(), "one cell per column");
        self.rows.push(
            cells
                .iter()
                .map(|cell| printable(&cell.to_string()))
                .collect(),
        );
    }

    /// Leaves the columns with these headers out.
    pub(crate) fn without(mut self, headers: &[&str]) -> Self {
        for header in headers {
            let Some(at) = self.headers.iter().position(|one| one == header) else {
                continue;
            };
            self.headers.remove(at);
            for row in &mut self.rows {
                row.remove(at);
            }
        }
        self
    }

    pub(crate) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let widths: Vec<usize> = (0..self.headers.len())
            .map(|column| {
                let cells = self.rows.iter().filter_map(|row| row.get(column));
                let header = self.headers.get(column).map_or(0, |header| header.len());
                cells
                    .map(|cell| cell.chars().count())
                    .max()
                    .unwrap_or(0)
                    .max(header)
            })
            .collect();
        write_line(out, self.headers.iter().copied(), &widths)?;
        for row in &self.rows {
            write_line(out, row.iter().map(String::as_str), &widths)?;
        }
        Ok(())
    }
}

fn write_line<'a>(
    out: &mut dyn Write,
    cells: impl Iterator<Item = &'a str>,
    widths: &[usize],
) -> io::Result<()> {
    let mut line = String::new();
    for (cell, width) in cells.zip(widths) {
        line.push_str(cell);
        let padding = width.saturating_sub(cell.chars().count()) + 2;
        line.extend(std::iter::repeat_n(' ', padding));
    }
    writeln!(out, "{}", line.trim_end())
}

/// A cell's text: never empty, and without control characters.
pub(crate) fn printable(text: &str) -> String {
    if text.is_empty() {
        return "-".to_owned();
    }
    let mut clean = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            clean.extend(c.escape_default());
        } else {
            clean.push(c);
        }
    }
    clean
}

/// `1,2,3`, or `-` when there is nothing.
pub(crate) fn joined<T: fmt::Display>(items: &[T]) -> String {
    items
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(",")
}

/// A value that may be absent; absent prints as `-`.
pub(crate) fn optional<T: fmt::Display>(value: Option<T>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(table: &Table) -> String {
        let mut out = Vec::new();
        table.write(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn columns_are_aligned_with_two_spaces_and_no_trailing_blanks() {
        let mut table = Table::new(&["NAME", "PARTITIONS"]);
        table.row([&"orders", &8]);
        table.row([&"a-much-longer-name", &16]);
        assert_eq!(
            render(&table),
            "NAME                PARTITIONS\norders              8\na-much-longer-name  16\n"
        );
    }

    #[test]
    fn columns_may_be_left_out() {
        let mut table = Table::new(&["A", "B", "C"]);
        table.row([&1, &2, &3]);
        assert_eq!(render(&table.without(&["C", "A"])), "B\n2\n");
    }

    #[test]
    fn empty_cells_keep_their_column_for_awk() {
        let mut table = Table::new(&["A", "B"]);
        table.row([&"", &1]);
        assert_eq!(render(&table), "A  B\n-  1\n");
    }

    #[test]
    fn control_characters_from_a_broker_do_not_reach_the_terminal() {
        let mut table = Table::new(&["HOST"]);
        table.row([&"evil\u{1b}[2Jhost\n"]);
        assert_eq!(render(&table), "HOST\nevil\\u{1b}[2Jhost\\n\n");
    }

    #[test]
    fn a_closed_pipe_is_told_apart_from_other_trouble() {
        let closed = classify(io::Error::from(io::ErrorKind::BrokenPipe));
        assert!(closed.downcast_ref::<PipeClosed>().is_some());
        let full = classify(io::Error::from(io::ErrorKind::StorageFull));
        assert!(full.downcast_ref::<PipeClosed>().is_none());
    }
}
