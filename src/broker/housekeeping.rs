//! What needs doing from time to time: retention, forgetting producers that are gone, letting followers that lag go.
//!
//! One task for all partitions, on the thread that also applies metadata, so that no core waits for
//! it. A log is opened for it only if retention may take something: an idle partition costs nothing.

use std::time::Duration;

use super::Broker;
use crate::replica::Replica;

/// Partitions that are looked at before other work of the thread has its turn.
const TURN_COUNT: usize = 16;

pub(super) async fn run(broker: &Broker) {
    let storage = &broker.config.storage;
    // So a follower is let go after one and a half times the lag at the latest.
    let isr_check_interval = broker.config.replica.lag_max / 2;
    tokio::join!(
        every(broker, isr_check_interval, Replica::check_isr),
        every(broker, storage.retention_check_interval, Replica::retain),
        every(
            broker,
            storage.producer_id_expiration_check_interval,
            Replica::expire_producers
        ),
    );
}

async fn every(broker: &Broker, interval: Duration, work: impl Fn(&Replica)) {
    loop {
        tokio::time::sleep(interval.max(Duration::from_millis(1))).await;
        for (count, replica) in broker.replicas.all().iter().enumerate() {
            work(replica);
            if count % TURN_COUNT == 0 {
                tokio::task::yield_now().await;
            }
        }
    }
}
