//! Looking at configs and changing them.

use super::*;
use crate::wire::messages::alter_configs::{self as legacy, AlterConfigsRequest};
use crate::wire::messages::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResult,
};
use crate::wire::messages::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};

fn resource(kind: i8, name: &str) -> DescribeConfigsResource<'_> {
    DescribeConfigsResource {
        resource_type: kind,
        resource_name: name.into(),
        configuration_keys: None,
    }
}

fn describe(resources: Vec<DescribeConfigsResource<'_>>) -> DescribeConfigsRequest<'_> {
    DescribeConfigsRequest {
        resources,
        include_synonyms: true,
        include_documentation: false,
    }
}

fn value<'a>(result: &'a DescribeConfigsResult<'_>, key: &str) -> Option<(&'a str, i8)> {
    let config = result.configs.iter().find(|config| config.name == key)?;
    Some((config.value.as_deref()?, config.config_source))
}

fn change<'a>(
    kind: i8,
    name: &'a str,
    key: &'a str,
    op: i8,
    value: &'a str,
) -> AlterConfigsResource<'a> {
    AlterConfigsResource {
        resource_type: kind,
        resource_name: name.into(),
        configs: vec![AlterableConfig {
            name: key.into(),
            config_operation: op,
            value: Some(value.into()),
        }],
    }
}

#[test]
fn values_come_with_where_they_stand() {
    with_world(&[("log.retention.hours", "2")], |world| async move {
        world.create("t", 1).await;
        let resources = vec![
            change(2, "t", "segment.bytes", 0, "1MiB"),
            change(4, "", "message.max.bytes", 0, "2MiB"),
            change(4, "1", "log.index.interval.bytes", 0, "8192"),
        ];
        let request = IncrementalAlterConfigsRequest {
            resources,
            validate_only: false,
        };
        let response = answered!(
            world,
            IncrementalAlterConfigs,
            1,
            incremental_alter_configs::handle,
            request
        );
        assert!(
            response
                .responses
                .iter()
                .all(|r| r.error_code == ErrorCode::None)
        );
        for version in 1..=4 {
            let request = describe(vec![resource(2, "t"), resource(4, "1"), resource(4, "")]);
            let response = answered!(
                world,
                DescribeConfigs,
                version,
                describe_configs::handle,
                request
            );
            let [topic, broker, cluster] = response.results.as_slice() else {
                panic!()
            };
            assert_eq!(value(topic, "segment.bytes"), Some(("1048576", 1)));
            assert_eq!(value(topic, "index.interval.bytes"), Some(("8192", 2)));
            assert_eq!(value(topic, "max.message.bytes"), Some(("2097152", 3)));
            assert_eq!(value(topic, "retention.ms"), Some(("7200000", 4)));
            assert_eq!(value(topic, "cleanup.policy"), Some(("delete", 5)));
            assert_eq!(value(broker, "message.max.bytes"), Some(("2097152", 3)));
            assert_eq!(value(broker, "num.io.threads"), Some(("8", 5)));
            let names: Vec<_> = cluster.configs.iter().map(|config| &*config.name).collect();
            assert_eq!(names, ["message.max.bytes"]);
        }
    });
}

#[test]
fn only_the_wanted_keys_and_parts_are_shown() {
    with_world(&[], |world| async move {
        world.create("t", 1).await;
        let wanted = DescribeConfigsResource {
            configuration_keys: Some(vec!["retention.ms".into(), "no.such.key".into()]),
            ..resource(2, "t")
        };
        let request = DescribeConfigsRequest {
            resources: vec![wanted],
            include_synonyms: false,
            include_documentation: true,
        };
        let response = answered!(world, DescribeConfigs, 4, describe_configs::handle, request);
        let [only] = response.results[0].configs.as_slice() else {
            panic!()
        };
        assert_eq!((&*only.name, only.config_type), ("retention.ms", 5));
        assert!(only.synonyms.is_empty());
        assert!(
            only.documentation
                .as_ref()
                .is_some_and(|text| !text.is_empty())
        );
    });
}

#[test]
fn each_wrong_resource_has_its_code() {
    with_world(&[], |world| async move {
        let table = [
            (resource(2, "x"), ErrorCode::UnknownTopicOrPartition),
            (resource(2, ".."), ErrorCode::InvalidTopicException),
            (resource(4, "2"), ErrorCode::InvalidRequest),
            (resource(4, "x"), ErrorCode::InvalidRequest),
            (resource(8, "1"), ErrorCode::InvalidRequest),
            (resource(99, "1"), ErrorCode::InvalidRequest),
        ];
        let (resources, codes): (Vec<_>, Vec<_>) = table.into_iter().unzip();
        let response = answered!(
            world,
            DescribeConfigs,
            4,
            describe_configs::handle,
            describe(resources)
        );
        let found: Vec<_> = response
            .results
            .iter()
            .map(|result| result.error_code)
            .collect();
        assert_eq!(found, codes);
    });
}

#[test]
fn each_wrong_change_has_its_code_and_the_others_are_made() {
    with_world(&[], |world| async move {
        world.create("t", 1).await;
        let table = [
            (
                change(2, "t", "retention.ms", 9, "1"),
                ErrorCode::InvalidRequest,
            ),
            (
                change(2, "x", "retention.ms", 0, "1"),
                ErrorCode::UnknownTopicOrPartition,
            ),
            (
                change(4, "7", "message.max.bytes", 0, "1"),
                ErrorCode::BrokerIdNotRegistered,
            ),
            (
                change(4, "1", "num.partitions", 0, "1"),
                ErrorCode::InvalidRequest,
            ),
            (
                change(4, "", "num.partition", 0, "1"),
                ErrorCode::InvalidConfig,
            ),
            (change(16, "m", "k", 0, "1"), ErrorCode::InvalidRequest),
            (
                change(2, "t", "cleanup.policy", 2, "compact"),
                ErrorCode::None,
            ),
        ];
        let (resources, codes): (Vec<_>, Vec<_>) = table.into_iter().unzip();
        for version in 0..=1 {
            let request = IncrementalAlterConfigsRequest {
                resources: resources.clone(),
                validate_only: false,
            };
            let response = answered!(
                world,
                IncrementalAlterConfigs,
                version,
                incremental_alter_configs::handle,
                request
            );
            let found: Vec<_> = response
                .responses
                .iter()
                .map(|each| each.error_code)
                .collect();
            assert_eq!(found, codes);
            let names: Vec<_> = response
                .responses
                .iter()
                .map(|each| &each.resource_name)
                .collect();
            assert_eq!(names[6], "t");
        }
        let image = world.broker.metadata.image();
        let topic = image.topics().by_name("t").unwrap();
        assert_eq!(
            image.topic_overrides(topic.id()).unwrap()["cleanup.policy"],
            "delete,compact"
        );
    });
}

#[test]
fn the_old_api_replaces_all_overrides() {
    with_world(&[], |world| async move {
        world.create("t", 1).await;
        for version in 0..=2 {
            for (key, text) in [("retention.ms", "1"), ("segment.ms", "2")] {
                let resource = legacy::AlterConfigsResource {
                    resource_type: 2,
                    resource_name: "t".into(),
                    configs: vec![legacy::AlterableConfig {
                        name: key.into(),
                        value: Some(text.into()),
                    }],
                };
                let request = AlterConfigsRequest {
                    resources: vec![resource],
                    validate_only: false,
                };
                let response =
                    answered!(world, AlterConfigs, version, alter_configs::handle, request);
                assert_eq!(response.responses[0].error_code, ErrorCode::None);
            }
            let image = world.broker.metadata.image();
            let topic = image.topics().by_name("t").unwrap();
            let overrides = image.topic_overrides(topic.id()).unwrap();
            assert_eq!(
                overrides.iter().collect::<Vec<_>>(),
                [(&"segment.ms".to_owned(), &"2".to_owned())]
            );
        }
    });
}
