//! The eligible leader replicas of partitions (KIP-966), asked page by page.

use std::collections::BTreeMap;

use crate::cli::client::{Client, ClientError};
use crate::wire::messages::describe_topic_partitions::{
    DescribeTopicPartitionsRequest, RequestedCursor, TopicRequest,
};

/// Who may lead a partition besides its ISR; `None` where the broker can't say.
#[derive(Clone, Debug, Default)]
pub(super) struct Eligible {
    /// Out of the ISR, with everything committed.
    pub(super) elr: Option<Vec<i32>>,
    /// Was eligible once, and may lack something.
    pub(super) last_known_elr: Option<Vec<i32>>,
}

pub(super) type EligibleLeaders = BTreeMap<(String, i32), Eligible>;

/// Asks until the broker has no further page. A broker that does not know the question says nothing.
pub(super) async fn eligible_leaders(
    client: &mut Client,
    topics: &[String],
) -> Result<EligibleLeaders, ClientError> {
    let mut found = EligibleLeaders::new();
    let named = |name: &'_ String| TopicRequest {
        name: name.clone().into(),
    };
    let mut request = DescribeTopicPartitionsRequest {
        topics: topics.iter().map(named).collect(),
        ..DescribeTopicPartitionsRequest::default()
    };
    // No topics would mean all of them.
    while !request.topics.is_empty() {
        let answer = match client.call_any(&request).await {
            Err(ClientError::NoCommonVersion { .. }) => break,
            answer => answer?,
        };
        let page = answer.decode()?;
        for topic in page.topics {
            let name = topic.name.unwrap_or_default();
            for partition in topic.partitions {
                let eligible = Eligible {
                    elr: partition.eligible_leader_replicas,
                    last_known_elr: partition.last_known_elr,
                };
                found.insert((name.to_string(), partition.partition_index), eligible);
            }
        }
        let next = page.next_cursor.map(|cursor| RequestedCursor {
            topic_name: cursor.topic_name.into_owned().into(),
            partition_index: cursor.partition_index,
        });
        // A page that leads nowhere would be asked for again for ever.
        if next.is_none() || next == request.cursor {
            break;
        }
        request.cursor = next;
    }
    Ok(found)
}
