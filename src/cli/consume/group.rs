//! `ottla consume --group`: reads as a member of a group.
//!
//! However reading ends, what was printed is committed and the group is left; a second signal gives that up.

use anyhow::{Result, bail};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Options;
use super::position::StartAt;
use super::printer::Printer;
use super::reader::{Progress, Reader, pause};
use super::session::{Session, Terms};
use crate::cli::client::{At, Client, Metadata};
use crate::cli::{message, say};

impl Options {
    /// Where the group starts in partitions that it has no offset in.
    fn reset(&self) -> Result<At> {
        match self.start_at() {
            StartAt::Start => Ok(At::Earliest),
            StartAt::End => Ok(At::Latest),
            _ => bail!(
                "with --group, reading goes on from the group's offsets: --offset can only be start or end, for \
                 partitions without one; `ottla group reset-offsets` moves the others"
            ),
        }
    }
}

pub(super) async fn run(
    options: &Options,
    group: &str,
    (client, metadata): (Client, Metadata),
    printer: &mut Printer,
) -> Result<()> {
    let terms = Terms {
        group: group.to_owned(),
        topics: options.topics.clone(),
        reset: options.reset()?,
        isolation: options.isolation,
        is_bounded: options.exit,
    };
    let mut reader = Reader::of_member(client, options.isolation, metadata, terms.reset);
    let mut session = Session::new(options.connect.client(), terms);
    let mut signals = Signals::new()?;
    let outcome = read(&mut reader, &mut session, printer, &mut signals).await;
    let finished = tokio::select! {
        finished = session.finish(&mut reader) => finished,
        () = signals.next() => bail!("left without a last commit, as told"),
    };
    // Why reading ended comes first; what remains is told as well.
    match (outcome, finished) {
        (Err(error), Err(also)) => {
            say(&format!("warning: {}", message(&also)));
            Err(error)
        }
        (outcome, finished) => outcome.and(finished),
    }
}

async fn read(
    reader: &mut Reader,
    session: &mut Session,
    printer: &mut Printer,
    signals: &mut Signals,
) -> Result<()> {
    loop {
        reader.go_on();
        if printer.is_full() || session.is_done(reader) {
            return Ok(());
        }
        session.act(reader);
        reader.ask();
        let wake_at = session.wake_at().min(reader.wake_at());
        tokio::select! {
            came = reader.next() => {
                let mut progress = Progress::new();
                let outcome = reader.settle(came, printer, &mut progress);
                session.follow(progress);
                outcome?;
            }
            done = session.next() => session.settle(done, reader)?,
            () = pause(wake_at) => {}
            () = signals.next() => return Ok(()),
        }
    }
}

/// Ctrl-C and SIGTERM.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
