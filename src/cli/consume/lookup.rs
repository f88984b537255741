//! What a reader asks besides records: who leads its partitions, and what their logs span.

use anyhow::{Context, Result};

use super::cursor::Span;
use super::fetch::Wanted;
use crate::cli::client::{At, Client, ClientError, Isolation, Metadata, Topics};

/// Metadata, and the client that knows their brokers.
pub(super) type Listed = Result<(Client, Metadata), ClientError>;

pub(super) async fn list(mut client: Client, names: Vec<String>) -> Listed {
    let topics = Topics::Named {
        names: &names,
        may_create: false,
    };
    let metadata = client.metadata(topics).await?;
    Ok((client, metadata))
}

/// Trouble that passes is tried again until the client's timeout.
pub(super) async fn span(
    mut client: Client,
    wanted: &Wanted,
    isolation: Isolation,
) -> Result<Span> {
    let key = [(wanted.topic.to_string(), wanted.partition)];
    let mut ask = async |at| {
        let offsets = client.all_offsets(&key, at, isolation).await?;
        let mut offsets = offsets.into_values().flatten();
        offsets.next().context("the broker names no offset")
    };
    Ok(Span {
        start: ask(At::Earliest).await?,
        end: ask(At::Latest).await?,
    })
}
