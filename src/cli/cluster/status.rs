//! `ottla cluster status`: the cluster now, or with `--watch` as it changes.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use anyhow::Result;

use super::view::View;
use crate::cli::output::{OutputFormat, Report as _, Stdout, classify, print};
use crate::cli::value::rfc3339;
use crate::cli::{Reporting, message};
use crate::clock;

/// Between two looks of a watcher.
const PAUSE: Duration = Duration::from_secs(1);
/// To the top left corner, and nothing below it.
const CLEAR: &str = "\x1b[H\x1b[2J";

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Options {
    /// Look every second until Ctrl-C: redraws a terminal, else prints a line (or JSON) per change
    #[arg(short, long)]
    watch: bool,
    #[command(flatten)]
    reporting: Reporting,
}

pub(super) async fn run(options: Options) -> Result<()> {
    if options.watch {
        return tokio::select! {
            outcome = watch(&options.reporting) => outcome,
            interrupted = tokio::signal::ctrl_c() => Ok(interrupted?),
        };
    }
    let view = View::ask(&mut options.reporting.connect.client()).await?;
    print(&view, options.reporting.format())
}

/// A cluster that does not answer is looked at again: that it is away is news, too.
async fn watch(reporting: &Reporting) -> Result<()> {
    let is_drawn = io::stdout().is_terminal() && reporting.format() == OutputFormat::Table;
    let mut client = reporting.connect.client();
    let mut last = String::new();
    loop {
        let view = View::ask(&mut client).await;
        let line = match &view {
            Ok(view) => view.line(),
            Err(error) => format!("unreachable: {}", message(error)),
        };
        let mut out = Stdout::lock();
        let shown = if is_drawn {
            draw(&mut out, view.as_ref().ok(), &line)
        } else if line == last {
            Ok(())
        } else {
            tell(&mut out, view.as_ref().ok(), &line, reporting.format())
        };
        shown.and_then(|()| out.flush()).map_err(classify)?;
        drop(out);
        last = line;
        tokio::time::sleep(PAUSE).await;
    }
}

fn draw(out: &mut Stdout, view: Option<&View>, line: &str) -> io::Result<()> {
    write!(out, "{CLEAR}")?;
    match view {
        Some(view) => view.write_table(out),
        None => writeln!(out, "{line}"),
    }
}

fn tell(out: &mut Stdout, view: Option<&View>, line: &str, format: OutputFormat) -> io::Result<()> {
    match (format, view) {
        (OutputFormat::Table, _) => {
            let now = rfc3339(clock::wall().as_millis());
            writeln!(out, "{now} {line}")
        }
        (OutputFormat::Json, Some(view)) => {
            serde_json::to_writer(&mut *out, view)?;
            writeln!(out)
        }
        (OutputFormat::Json, None) => {
            serde_json::to_writer(&mut *out, &serde_json::json!({ "error": line }))?;
            writeln!(out)
        }
    }
}
