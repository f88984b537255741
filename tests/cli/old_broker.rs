//! A broker without the consumer protocol: `consume --group` says so, and what to do.

use ottla::wire::api::ApiKey;

use crate::run::ottla;
use crate::scripted::{Broker, Fate, Script};

#[test]
fn a_broker_without_the_consumer_protocol_is_named_with_the_way_out() {
    let broker = Broker::start(Script {
        apis: &[ApiKey::Metadata, ApiKey::FindCoordinator],
        partitions: vec![Some(Vec::new())],
        fate: Box::new(|_, _| Fate::Answered),
    });
    let address = broker.address();
    let done = ottla(&["consume", "t", "--group", "g", "-b", &address]);
    done.assert_failed(&[&address, "KIP-848", "leave --group out"]);
    let done = ottla(&["group", "describe", "g", "-b", &address]);
    done.assert_failed(&["DescribeGroups", "upgrade"]);
}
