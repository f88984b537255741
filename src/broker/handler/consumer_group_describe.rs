//! `ConsumerGroupDescribe`: groups of the new consumer protocol, what their members have and are to have.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::group;
use crate::broker::authorize::{GROUP_OPERATIONS, Operation, Resource, allowed_operations};
use crate::broker::context::Context;
use crate::coordinator::group::request::{
    ConsumerDescribed, ConsumerDescribedMember, DescribeConsumer, Partitions,
};
use crate::metadata::MetadataImage;
use crate::wire::error_code::ErrorCode;
use crate::wire::messages::consumer_group_describe::{
    Assignment, ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, DescribedGroup,
    Member, TopicPartitions,
};

/// Kafka's numbers of the kinds of members.
const CLASSIC_MEMBER: i8 = 0;
const CONSUMER_MEMBER: i8 = 1;

pub(crate) async fn handle<'r>(
    cx: &Context,
    request: ConsumerGroupDescribeRequest<'r>,
) -> ConsumerGroupDescribeResponse<'r> {
    // A name that is repeated would have its group in the answer as often, however large it is.
    let names: BTreeSet<Cow<'r, str>> = request.group_ids.into_iter().collect();
    let mut groups = Vec::with_capacity(names.len());
    for id in names {
        let mut described = describe(cx, id).await;
        if request.include_authorized_operations && described.error_code == ErrorCode::None {
            let resource = Resource::Group(&described.group_id);
            described.authorized_operations = allowed_operations(cx, resource, GROUP_OPERATIONS);
        }
        groups.push(described);
    }
    ConsumerGroupDescribeResponse {
        groups,
        ..ConsumerGroupDescribeResponse::default()
    }
}

async fn describe<'r>(cx: &Context, id: Cow<'r, str>) -> DescribedGroup<'r> {
    let refused = |group_id, error_code, message: Option<String>| DescribedGroup {
        error_code,
        error_message: message.map(Cow::Owned),
        group_id,
        ..DescribedGroup::default()
    };
    if !cx.broker.coordinators.config().consumer.is_enabled {
        return refused(id, ErrorCode::UnsupportedVersion, None);
    }
    if let Err(code) = group::check(cx, Operation::Describe, &id) {
        return refused(id, code, None);
    }
    if id.is_empty() {
        return refused(id, ErrorCode::InvalidGroupId, None);
    }
    match group::ask(cx, &id, DescribeConsumer((&*id).into())).await {
        Ok(described) => shown(id, described, &cx.broker.metadata.load()),
        Err(error) => refused(id, (&error).into(), Some(error.to_string())),
    }
}

fn shown<'r>(
    group_id: Cow<'r, str>,
    described: ConsumerDescribed,
    image: &MetadataImage,
) -> DescribedGroup<'r> {
    let members = described.members.into_iter();
    DescribedGroup {
        group_id,
        group_state: described.state.into(),
        group_epoch: described.epoch,
        assignment_epoch: described.assignment_epoch,
        assignor_name: described.assignor.to_string().into(),
        members: members.map(|member| shown_member(member, image)).collect(),
        ..DescribedGroup::default()
    }
}

fn shown_member(member: ConsumerDescribedMember, image: &MetadataImage) -> Member<'static> {
    let topics = member.topics.iter().map(|topic| topic.to_string().into());
    Member {
        member_id: member.member.as_str().to_owned().into(),
        instance_id: member.instance.map(|id| id.as_str().to_owned().into()),
        rack_id: member.rack.map(|rack| rack.to_string().into()),
        member_epoch: member.epoch,
        client_id: member.client.id.to_string().into(),
        client_host: member.client.host.to_string().into(),
        subscribed_topic_names: topics.collect(),
        subscribed_topic_regex: member.topics_regex.map(|regex| regex.to_string().into()),
        assignment: assignment(&member.assigned, image),
        target_assignment: assignment(&member.target, image),
        member_type: if member.is_classic {
            CLASSIC_MEMBER
        } else {
            CONSUMER_MEMBER
        },
    }
}

/// A topic that is no more has no name, and is left out.
fn assignment(partitions: &Partitions, image: &MetadataImage) -> Assignment<'static> {
    let topics = partitions.iter().filter_map(|(id, partitions)| {
        Some(TopicPartitions {
            topic_id: id.uuid(),
            topic_name: image.topics().by_id(*id)?.name().to_string().into(),
            partitions: partitions.iter().map(|p| p.get()).collect(),
        })
    });
    Assignment {
        topic_partitions: topics.collect(),
    }
}
