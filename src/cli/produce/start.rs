//! What a producer asks for before its first record: the topic, and who it is.

use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use ottla_storage::{ProducerEpoch, ProducerId};

use crate::cli::client::{Client, ClientError, Metadata, RETRY_BACKOFF, Topics};
use crate::clock;
use crate::wire::messages::init_producer_id::InitProducerIdRequest;

/// A topic that the broker is about to create appears within this time.
const CREATION_WAIT: Duration = Duration::from_secs(5);

/// Waits for a topic that the broker creates on the way.
pub(super) async fn find_topic(client: &mut Client, name: &String) -> Result<Metadata> {
    let patience = clock::mono().saturating_add(CREATION_WAIT.min(client.timeout()));
    loop {
        let metadata = client
            .first_metadata(Topics::Named {
                names: std::slice::from_ref(name),
                may_create: true,
            })
            .await?;
        match metadata.existing(name) {
            Ok(topic) if !topic.partitions.is_empty() => return Ok(metadata),
            Err(ClientError::Topic { code, .. })
                if code.is_retriable() && clock::mono() < patience => {}
            Err(error) => return Err(error.into()),
            Ok(_) => bail!("topic {name} has no partitions"),
        }
        tokio::time::sleep(RETRY_BACKOFF).await;
    }
}

/// Asks for the identity under which the broker recognises repeated batches.
pub(super) async fn init_producer(
    client: &mut Client,
    patience: Duration,
) -> Result<(ProducerId, ProducerEpoch)> {
    let deadline = clock::mono().saturating_add(patience);
    let request = InitProducerIdRequest {
        transactional_id: None,
        transaction_timeout_ms: i32::MAX,
        ..InitProducerIdRequest::default()
    };
    loop {
        let answer = match client.call_any(&request).await {
            // It named the topic a moment ago: it will be back.
            Err(error) if error.is_transient() && clock::mono() < deadline => {
                tokio::time::sleep(RETRY_BACKOFF).await;
                continue;
            }
            outcome => outcome?,
        };
        let response = answer.decode()?;
        if response.error_code.is_retriable() && clock::mono() < deadline {
            tokio::time::sleep(RETRY_BACKOFF).await;
            continue;
        }
        answer.check(response.error_code)?;
        let id = ProducerId::from_wire(response.producer_id);
        let epoch = ProducerEpoch::from_wire(response.producer_epoch);
        return id
            .zip(epoch)
            .ok_or_else(|| anyhow!("the broker gave producer id {}", response.producer_id));
    }
}
