//! The broker that coordinates a group, and what only it answers.
//!
//! - Where the coordinator is gets asked anew for every try: it moves with its partition's leadership.
//! - What a coordinator refuses because it is not the one, or not yet, is tried again until the
//!   timeout. So is a read whose answer got lost. A write is not: it may have been carried out.

use std::sync::Arc;

use tokio::time::{Instant, sleep};

use crate::wire::error_code::ErrorCode;
use crate::wire::messages::consumer_group_describe::ConsumerGroupDescribeRequest;
use crate::wire::messages::delete_groups::DeleteGroupsRequest;
use crate::wire::messages::describe_groups::DescribeGroupsRequest;
use crate::wire::messages::find_coordinator::FindCoordinatorRequest;
use crate::wire::messages::offset_commit::OffsetCommitRequest;
use crate::wire::messages::offset_delete::OffsetDeleteRequest;
use crate::wire::messages::offset_fetch::OffsetFetchRequest;

use super::address::HostPort;
use super::call::{Answer, Call};
use super::{Client, ClientError, Link, RETRY_BACKOFF};

/// What kind of key `FindCoordinator` asks for: a group's id.
const GROUP_KEY: i8 = 0;

/// A broker that coordinates a group.
#[derive(Clone, Debug)]
pub(crate) struct Coordinator {
    pub(crate) id: i32,
    pub(crate) link: Arc<Link>,
}

/// A request about one group, which its coordinator answers.
pub(crate) trait GroupCall: Call {
    /// It changes nothing, and may be sent again if nobody knows what became of it.
    const IS_READ: bool;

    /// The first error of an answer that the coordinator as such may have caused.
    fn refusal(response: &Self::Response<'_>) -> ErrorCode;
}

macro_rules! group_calls {
    (@is_read read) => { true };
    (@is_read write) => { false };
    ($($kind:ident $request:ty, |$response:ident| $codes:expr;)*) => {
        $(impl GroupCall for $request {
            const IS_READ: bool = group_calls!(@is_read $kind);

            fn refusal($response: &Self::Response<'_>) -> ErrorCode {
                $codes.find(|code| is_elsewhere(*code)).unwrap_or(ErrorCode::None)
            }
        })*
    };
}

group_calls! {
    read ConsumerGroupDescribeRequest<'_>, |response| response.groups.iter().map(|group| group.error_code);
    read DescribeGroupsRequest<'_>, |response| response.groups.iter().map(|group| group.error_code);
    write DeleteGroupsRequest<'_>, |response| response.results.iter().map(|group| group.error_code);
    write OffsetDeleteRequest<'_>, |response| std::iter::once(response.error_code);
    write OffsetCommitRequest<'_>, |response| {
        let topics = response.topics.iter();
        topics.flat_map(|topic| topic.partitions.iter().map(|partition| partition.error_code))
    };
    read OffsetFetchRequest<'_>, |response| {
        let groups = response.groups.iter().map(|group| group.error_code);
        // Versions 0 and 1 have no error for all.
        let topics = response.topics.iter().flat_map(|topic| &topic.partitions);
        groups
            .chain(std::iter::once(response.error_code))
            .chain(topics.map(|partition| partition.error_code))
    };
}

/// The coordinator is another broker, or none at the moment, or not ready.
pub(crate) fn is_elsewhere(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::CoordinatorLoadInProgress
            | ErrorCode::CoordinatorNotAvailable
            | ErrorCode::NotCoordinator
    )
}

impl Client {
    /// Asks who coordinates the group, until there is one or the timeout is over.
    pub(crate) async fn coordinator(&mut self, group: &str) -> Result<Coordinator, ClientError> {
        let deadline = Instant::now() + self.timeout;
        loop {
            let error = match self.find_coordinator(group).await {
                Err(ClientError::Refused { address, api, code }) if is_elsewhere(code) => {
                    ClientError::Refused { address, api, code }
                }
                outcome => return outcome,
            };
            if Instant::now() >= deadline {
                return Err(error);
            }
            sleep(RETRY_BACKOFF).await;
        }
    }

    /// As `coordinator`, without a second try.
    pub(crate) async fn find_coordinator(
        &mut self,
        group: &str,
    ) -> Result<Coordinator, ClientError> {
        let request = FindCoordinatorRequest {
            key: group.into(),
            key_type: GROUP_KEY,
            // The same for brokers that take many keys.
            coordinator_keys: vec![group.into()],
        };
        let answer = self.call_known(&request).await?;
        let response = answer.decode()?;
        let (code, id, host, port) = match response.coordinators.first() {
            Some(one) => (one.error_code, one.node_id, &one.host, one.port),
            None => (
                response.error_code,
                response.node_id,
                &response.host,
                response.port,
            ),
        };
        answer.check(code)?;
        let port = u16::try_from(port).ok().filter(|port| *port > 0);
        let address = HostPort {
            host: host.to_string(),
            port: port.ok_or(ClientError::UnknownBroker { broker: id })?,
        };
        let link = self.link(id, address);
        Ok(Coordinator { id, link })
    }

    /// Asks the group's coordinator, wherever it is.
    pub(crate) async fn call_coordinator<R: GroupCall>(
        &mut self,
        group: &str,
        request: &R,
    ) -> Result<Answer<R>, ClientError> {
        let deadline = Instant::now() + self.timeout;
        let (mut was_there, mut is_repeat) = (false, false);
        loop {
            let (error, may_try_again) = match self.coordinator(group).await {
                Ok(coordinator) => match try_at(&coordinator, request).await {
                    Ok(answer) => return Ok(answer.repeated(is_repeat)),
                    Err(error) => {
                        was_there = true;
                        is_repeat |= may_be_carried_out(&error);
                        let may_try_again = may_try_again::<R>(&error);
                        (error, may_try_again)
                    }
                },
                // Whoever was there is waited for, whoever never was is not.
                Err(error) => {
                    let may_try_again = was_there && error.is_transient();
                    (error, may_try_again)
                }
            };
            if !may_try_again || Instant::now() >= deadline {
                return Err(error);
            }
            sleep(RETRY_BACKOFF).await;
        }
    }

    /// The link to a broker at this address; the one that is there, if it is at this address.
    fn link(&mut self, id: i32, address: HostPort) -> Arc<Link> {
        if let Some(link) = self.brokers.get(&id)
            && *link.address() == address
        {
            return Arc::clone(link);
        }
        let link = Arc::new(Link::new(address, self.timeout));
        self.brokers.insert(id, Arc::clone(&link));
        link
    }
}

async fn try_at<R: GroupCall>(
    coordinator: &Coordinator,
    request: &R,
) -> Result<Answer<R>, ClientError> {
    let answer = coordinator.link.call(request).await?;
    answer.check(R::refusal(&answer.decode()?))?;
    Ok(answer)
}

fn may_try_again<R: GroupCall>(error: &ClientError) -> bool {
    match error {
        ClientError::Refused { code, .. } => is_elsewhere(*code),
        // It was not sent.
        ClientError::Connect { .. } => true,
        error => R::IS_READ && error.is_transient(),
    }
}

/// A coordinator that loses its partition, or cannot replicate in time, refuses what it has written.
fn may_be_carried_out(error: &ClientError) -> bool {
    matches!(
        error,
        ClientError::Refused {
            code: ErrorCode::CoordinatorNotAvailable | ErrorCode::NotCoordinator,
            ..
        }
    )
}
