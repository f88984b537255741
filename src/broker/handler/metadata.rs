//! `Metadata`: brokers, topics and leaders, as the listener of the request shows them.
//!
//! It is where clients begin, so it is also where a missing topic is created, if the cluster allows
//! that: the answer then shows the topic already.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use crate::broker::authorize::{
    CLUSTER_OPERATIONS, Operation, Resource, TOPIC_OPERATIONS, allowed_operations, authorize,
};
use crate::broker::context::Context;
use crate::broker::handler::topic_view::{is_alive, offline_replicas, raw};
use crate::broker::partitions::is_shown;
use crate::controller::command::NewTopic;
use crate::controller::decide::check_name;
use crate::metadata::{
    BrokerId, BrokerImage, MetadataImage, PartitionImage, PartitionIndex, TopicId, TopicImage,
    is_internal,
};
use crate::wire::error_code::ErrorCode;
use crate::wire::messages::metadata::{
    MetadataRequest, MetadataRequestTopic, MetadataResponse, MetadataResponseBroker,
    MetadataResponsePartition, MetadataResponseTopic,
};

/// Version 0 knows no null list and no empty answer: it means all topics by an empty list.
const EMPTY_MEANS_NONE_SINCE: i16 = 1;
/// The first version that tells a missing listener from a missing leader.
const LISTENER_ERROR_SINCE: i16 = 6;
/// The first version whose requests carry topic ids, and the first that answers to them.
const IDS_IN_REQUEST_SINCE: i16 = 10;
const IDS_ANSWERED_SINCE: i16 = 12;

pub(crate) async fn handle<'r>(cx: &Context, request: MetadataRequest<'r>) -> MetadataResponse<'r> {
    let with_topic_operations = request.include_topic_authorized_operations;
    let asked = asked_topics(cx.version, request.topics);
    let topics = match asked {
        Asked::All => {
            let image = cx.broker.metadata.image();
            let visible = image
                .topics()
                .iter_by_name()
                .filter(|topic| may_describe(cx, topic));
            visible.map(|topic| found(cx, &image, topic)).collect()
        }
        Asked::Some(wanted) => {
            let created = create_missing(cx, &wanted, request.allow_auto_topic_creation).await;
            let image = cx.broker.metadata.image();
            let answers = wanted
                .into_iter()
                .map(|topic| one(cx, &image, topic, &created));
            answers.collect()
        }
        Asked::Illegal(topics) => topics,
    };
    let mut response = MetadataResponse {
        topics,
        ..about_cluster(cx)
    };
    if with_topic_operations {
        for topic in &mut response.topics {
            if let (ErrorCode::None, Some(name)) = (topic.error_code, &topic.name) {
                topic.topic_authorized_operations =
                    allowed_operations(cx, Resource::Topic(name), TOPIC_OPERATIONS);
            }
        }
    }
    if request.include_cluster_authorized_operations {
        response.cluster_authorized_operations =
            allowed_operations(cx, Resource::Cluster, CLUSTER_OPERATIONS);
    }
    response
}

/// What the client wants to know of.
enum Asked<'r> {
    All,
    Some(Vec<Wanted<'r>>),
    /// The request contradicts its version; the answer is ready.
    Illegal(Vec<MetadataResponseTopic<'r>>),
}

/// A topic that the client wants to know of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Wanted<'r> {
    Name(Cow<'r, str>),
    Id(TopicId),
}

fn asked_topics(version: i16, topics: Option<Vec<MetadataRequestTopic<'_>>>) -> Asked<'_> {
    let Some(topics) = topics else {
        return Asked::All;
    };
    if topics.is_empty() && version < EMPTY_MEANS_NONE_SINCE {
        return Asked::All;
    }
    let is_illegal = |topic: &MetadataRequestTopic<'_>| {
        let has_id = !topic.topic_id.is_nil();
        if version < IDS_ANSWERED_SINCE {
            topic.name.is_none() || (version >= IDS_IN_REQUEST_SINCE && has_id)
        } else {
            topic.name.is_none() && !has_id
        }
    };
    if topics.iter().any(is_illegal) {
        let refused = topics.into_iter().map(|topic| MetadataResponseTopic {
            error_code: ErrorCode::InvalidRequest,
            // Before version 12 the name can't be null.
            name: topic
                .name
                .or_else(|| (version < IDS_ANSWERED_SINCE).then(|| "".into())),
            topic_id: topic.topic_id,
            ..MetadataResponseTopic::default()
        });
        return Asked::Illegal(refused.collect());
    }
    let mut seen = BTreeSet::new();
    let wanted = topics.into_iter().filter_map(|topic| {
        match (TopicId::from_wire(topic.topic_id.into_bytes()), topic.name) {
            (Some(id), _) => Some(Wanted::Id(id)),
            (None, name) => name.map(Wanted::Name),
        }
    });
    Asked::Some(wanted.filter(|topic| seen.insert(topic.clone())).collect())
}

fn may_describe(cx: &Context, topic: &TopicImage) -> bool {
    authorize(cx, Operation::Describe, Resource::Topic(topic.name()))
}

/// Creates what is missing, where client and cluster allow it; returns why some were not created.
async fn create_missing(
    cx: &Context,
    wanted: &[Wanted<'_>],
    client_allows: bool,
) -> BTreeMap<String, ErrorCode> {
    if !client_allows || !cx.broker.config.broker.auto_create_topics {
        return BTreeMap::new();
    }
    let image = cx.broker.metadata.image();
    let names = wanted.iter().filter_map(|topic| match topic {
        Wanted::Name(name) => Some(name),
        Wanted::Id(_) => None,
    });
    let missing: Vec<&str> = names
        .map(|name| &**name)
        .filter(|name| image.topics().by_name(name).is_none())
        .filter(|name| check_name(name).is_ok() && !is_internal(name))
        .filter(|name| {
            authorize(cx, Operation::Create, Resource::Cluster)
                || authorize(cx, Operation::Create, Resource::Topic(name))
        })
        .collect();
    if missing.is_empty() {
        return BTreeMap::new();
    }
    let topics = missing.iter().map(|name| NewTopic::with_defaults(name));
    cx.broker.create(&cx.connection, topics.collect()).await
}

fn one<'r>(
    cx: &Context,
    image: &MetadataImage,
    wanted: Wanted<'r>,
    refusals: &BTreeMap<String, ErrorCode>,
) -> MetadataResponseTopic<'r> {
    let topic = match &wanted {
        Wanted::Name(name) => image.topics().by_name(name),
        Wanted::Id(id) => image.topics().by_id(*id),
    };
    match (topic.filter(|topic| may_describe(cx, topic)), wanted) {
        (Some(topic), _) => found(cx, image, topic),
        (None, Wanted::Id(id)) => MetadataResponseTopic {
            error_code: ErrorCode::UnknownTopicId,
            name: None,
            topic_id: id.uuid(),
            ..MetadataResponseTopic::default()
        },
        (None, Wanted::Name(name)) => MetadataResponseTopic {
            error_code: if !authorize(cx, Operation::Describe, Resource::Topic(&name)) {
                ErrorCode::TopicAuthorizationFailed
            } else if check_name(&name).is_err() {
                ErrorCode::InvalidTopicException
            } else {
                let refusal = refusals.get(&*name).copied();
                refusal.unwrap_or(ErrorCode::UnknownTopicOrPartition)
            },
            is_internal: is_internal(&name),
            name: Some(name),
            ..MetadataResponseTopic::default()
        },
    }
}

fn found(
    cx: &Context,
    image: &MetadataImage,
    topic: &TopicImage,
) -> MetadataResponseTopic<'static> {
    let partitions = topic.partitions();
    let partitions = partitions.map(|(index, state)| partition(cx, image, index, state));
    MetadataResponseTopic {
        error_code: ErrorCode::None,
        name: Some(topic.name().to_string().into()),
        topic_id: topic.id().uuid(),
        is_internal: is_internal(topic.name()),
        partitions: partitions.collect(),
        ..MetadataResponseTopic::default()
    }
}

fn partition(
    cx: &Context,
    image: &MetadataImage,
    index: PartitionIndex,
    state: &PartitionImage,
) -> MetadataResponsePartition {
    let listener = &cx.connection.listener;
    let live_leader = state.leader.filter(|leader| is_alive(image, *leader));
    let leader = live_leader.filter(|leader| {
        image
            .brokers()
            .find(*leader)
            .is_some_and(|broker| broker.endpoint(listener).is_some())
    });
    let mut replica_nodes = raw(&state.replicas);
    let mut isr_nodes = raw(&state.isr);
    let mut error_code = match (leader, live_leader) {
        (Some(_), _) => ErrorCode::None,
        (None, Some(_)) if cx.version >= LISTENER_ERROR_SINCE => ErrorCode::ListenerNotFound,
        (None, _) => ErrorCode::LeaderNotAvailable,
    };
    if cx.version == 0 {
        // Clients of that time take a replica that is named for one that is there.
        let is_named = |id: &i32| {
            let broker = BrokerId::from_wire(*id);
            broker.is_some_and(|broker| is_alive(image, broker))
        };
        let all = replica_nodes.len() + isr_nodes.len();
        replica_nodes.retain(is_named);
        isr_nodes.retain(is_named);
        if error_code == ErrorCode::None && replica_nodes.len() + isr_nodes.len() < all {
            error_code = ErrorCode::ReplicaNotAvailable;
        }
    }
    MetadataResponsePartition {
        error_code,
        partition_index: index.get(),
        leader_id: BrokerId::to_wire(leader),
        leader_epoch: state.leader_epoch.get(),
        replica_nodes,
        isr_nodes,
        offline_replicas: offline_replicas(image, state),
    }
}

fn about_cluster(cx: &Context) -> MetadataResponse<'static> {
    let image = cx.broker.metadata.image();
    let listener = &cx.connection.listener;
    let is_live = |broker: &BrokerImage| is_shown(broker) && broker.endpoint(listener).is_some();
    // A client that hears of no broker at all forgets those that it knew; this one is there, fenced or not.
    let is_nobody_live = !image.brokers().iter().any(|broker| is_live(broker));
    let shown = image
        .brokers()
        .iter()
        .filter(|broker| is_live(broker) || (is_nobody_live && broker.id == cx.broker.id));
    let brokers = shown.filter_map(|broker| {
        let endpoint = broker.endpoint(listener)?;
        Some(MetadataResponseBroker {
            node_id: broker.id.get(),
            host: endpoint.host.clone().into(),
            port: i32::from(endpoint.port),
            rack: broker.rack.clone().map(Into::into),
        })
    });
    MetadataResponse {
        brokers: brokers.collect(),
        cluster_id: Some(cx.broker.admin.cluster_id.to_string().into()),
        controller_id: cx.broker.controller_id(&image).get(),
        ..MetadataResponse::default()
    }
}
