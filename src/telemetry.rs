//! Logs: one line an event, text for people or JSON for machines, on standard error. Counters that people ask for.
//!
//! `OTTLA_LOG` sets levels per module (`info,ottla::net=debug`), `OTTLA_LOG_FORMAT=json` the form.

pub mod replication;

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

/// What the environment asked for and could not be had.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// `OTTLA_LOG` is no filter.
    #[error(
        "OTTLA_LOG={filter:?} is no log filter; write for example info or info,ottla::net=debug"
    )]
    Filter {
        /// What was given.
        filter: String,
    },
    /// `OTTLA_LOG_FORMAT` names no format.
    #[error("OTTLA_LOG_FORMAT={format:?} is no format; write text or json")]
    Format {
        /// What was given.
        format: String,
    },
}

/// Sends the events of this process to standard error. Later calls change nothing.
///
/// # Errors
/// [`LogError`] when an environment variable can't be understood.
pub fn start() -> Result<(), LogError> {
    // The engine of the quorum repeats for every heartbeat that a peer does not answer; `quorum` says so once.
    let filter = std::env::var("OTTLA_LOG").unwrap_or_else(|_| "info,openraft=off".to_owned());
    let levels = EnvFilter::builder()
        .parse(&filter)
        .map_err(|_| LogError::Filter {
            filter: filter.clone(),
        })?;
    let events = fmt().with_env_filter(levels).with_writer(std::io::stderr);
    let colour = std::io::stderr().is_terminal();
    match std::env::var("OTTLA_LOG_FORMAT").as_deref() {
        Ok("json") => drop(events.json().try_init()),
        Ok("text") | Err(_) => drop(events.with_ansi(colour).try_init()),
        Ok(format) => {
            return Err(LogError::Format {
                format: format.to_owned(),
            });
        }
    }
    Ok(())
}
