//! `ottla cluster health`: one answer, as an exit code and a line that says what is missing.
//!
//! - Healthy: the brokers that are to be live are, the metadata quorum has a leader, every partition has a leader and
//!   its whole ISR.
//! - A cluster that can't be asked is not healthy; with `--wait` it is asked again.

use std::io::{self, Write};
use std::time::Duration;

use anyhow::Result;
use serde::Serialize;
use tokio::time::{Instant, sleep};

use super::view::View;
use crate::cli::client::{Client, HostPort};
use crate::cli::output::{OutputFormat, Report, print};
use crate::cli::{message, say, value};

/// Between two looks of one that waits.
const PAUSE: Duration = Duration::from_millis(200);
/// How long one look waits for one answer: a node that hangs must not use up the whole time.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// The cluster is not well; its line has been printed.
#[derive(Debug, thiserror::Error)]
#[error("the cluster is not healthy")]
pub(in crate::cli) struct Unhealthy;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Options {
    /// Wait until the cluster is healthy, for at most the --timeout
    #[arg(short, long)]
    wait: bool,
    /// How many brokers must be live [default: all that are registered]
    #[arg(long, value_name = "N")]
    brokers: Option<usize>,
    /// Give up after this time
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = value::duration)]
    timeout: Duration,
    /// Brokers to ask; one that answers is enough
    #[arg(
        short = 'b',
        long,
        visible_alias = "bootstrap-server",
        value_name = "HOST:PORT,...",
        env = "OTTLA_BOOTSTRAP",
        value_delimiter = ',',
        default_value = "127.0.0.1:9092"
    )]
    bootstrap: Vec<HostPort>,
    /// Print a table or JSON
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    output: OutputFormat,
    /// The same as --output json
    #[arg(long, conflicts_with = "output")]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Health {
    healthy: bool,
    missing: Vec<String>,
}

pub(super) async fn run(mut options: Options) -> Result<()> {
    let deadline = Instant::now() + options.timeout;
    let mut last = Vec::new();
    let missing = loop {
        let missing = look(&mut options).await;
        if missing.is_empty() || !options.wait || Instant::now() + PAUSE >= deadline {
            break missing;
        }
        if missing != last {
            say(&format!("waiting: {}", missing.join("; ")));
        }
        last = missing;
        sleep(PAUSE).await;
    };
    let health = Health {
        healthy: missing.is_empty(),
        missing,
    };
    let format = if options.json {
        OutputFormat::Json
    } else {
        options.output
    };
    print(&health, format)?;
    if health.healthy {
        Ok(())
    } else {
        Err(Unhealthy.into())
    }
}

/// What is missing now. A node that waits for its cluster accepts and does not answer: the next one is asked then.
async fn look(options: &mut Options) -> Vec<String> {
    let mut unreachable = None;
    for _ in 0..options.bootstrap.len() {
        let within = ANSWER_WITHIN.min(options.timeout);
        let mut client = Client::new(options.bootstrap.clone(), within);
        match View::ask(&mut client).await {
            Ok(view) => return view.missing(options.brokers),
            Err(error) => unreachable.get_or_insert(error),
        };
        options.bootstrap.rotate_left(1);
    }
    vec![unreachable.map_or_else(String::new, |error| message(&error))]
}

impl Report for Health {
    fn write_table(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.healthy {
            writeln!(out, "healthy")
        } else {
            writeln!(out, "unhealthy: {}", self.missing.join("; "))
        }
    }
}
