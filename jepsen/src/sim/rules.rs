//! Rules that need nothing of the past but what they are given, and the words for what broke one.

use ottla::metadata::{BrokerId, MetadataImage, PartitionImage, RecoveryState};
use ottla::replica::ReplicaKey;
use ottla::replica::view::View;
use ottla_storage::{LeaderEpoch, LogView};

use super::check::{Scene, Violation, broken};
use super::history::History;
use super::log_content::{Batch, batches, raw};
use super::mark::{Left, Mark};

/// R3.
pub(super) fn check_minimum(
    scene: &Scene<'_>,
    (node, key): (usize, ReplicaKey),
    before: Mark,
    now: Mark,
) -> Result<(), Violation> {
    let Some(partition) = scene.partition(key) else {
        return Ok(());
    };
    let process = scene
        .nodes
        .get(node)
        .and_then(|machine| machine.process.as_ref());
    let knows_all = process.is_some_and(|process| process.applied() == scene.truth.version());
    let minimum = scene.min_insync.min(partition.replicas.len());
    if before.high_watermark < now.high_watermark
        && knows_all
        && partition.leader_epoch == now.epoch
        && partition.isr.len() < minimum
    {
        let text = format!(
            "its high watermark moved from {} to {} with {} in sync",
            before.high_watermark,
            now.high_watermark,
            partition.isr.len()
        );
        return Err(broken("R3", node, key, &text));
    }
    Ok(())
}

/// Who may lead cleanly if it lives: whoever is in sync, and only where nobody is, the ELR.
pub(super) fn eligible(partition: &PartitionImage) -> &[BrokerId] {
    if partition.isr.is_empty() {
        &partition.elr
    } else {
        &partition.isr
    }
}

/// A replica's standing in a few words.
pub(super) fn standing(view: &View) -> String {
    let (part, epoch, high_watermark, log) = match view {
        View::Led(led) => (
            "leads",
            led.reign.leader_epoch,
            led.reign.high_watermark,
            &led.log,
        ),
        View::Followed(followed) => {
            let (epoch, high_watermark) = (followed.leader_epoch, followed.high_watermark);
            ("follows", epoch, high_watermark, &followed.log)
        }
        View::Closed => return "closed".to_owned(),
        View::Refused(refusal) => return format!("refuses: {refusal}"),
    };
    format!(
        "{part} in epoch {epoch}, log {}..{}, committed {high_watermark}, last epoch {}",
        log.log_start(),
        log.log_end(),
        LeaderEpoch::to_wire(log.last_epoch()),
    )
}

/// A partition's state in a few words.
pub(super) fn state(partition: &PartitionImage) -> String {
    let ids = |ids: &[BrokerId]| {
        let ids = ids.iter().map(|id| id.get().to_string());
        ids.collect::<Vec<_>>().join(",")
    };
    format!(
        "leader {} epoch {}/{} replicas {} isr {} elr {} last {}{}",
        BrokerId::to_wire(partition.leader),
        partition.leader_epoch,
        partition.partition_epoch.get(),
        ids(&partition.replicas),
        ids(&partition.isr),
        ids(&partition.elr),
        ids(&partition.last_known_elr),
        match partition.recovery_state {
            RecoveryState::Recovered => "",
            RecoveryState::Recovering => " recovering",
        },
    )
}

/// S2, S3: offsets and epochs rise.
pub(super) fn check_order(
    (node, key): (usize, ReplicaKey),
    all: &[Batch],
) -> Result<(), Violation> {
    let pairs = all.iter().zip(all.iter().skip(1));
    for (one, next) in pairs {
        if next.base != one.last + 1 {
            return Err(broken(
                "S2",
                node,
                key,
                &format!("{next:?} follows {one:?}"),
            ));
        }
        if next.epoch < one.epoch {
            return Err(broken(
                "S3",
                node,
                key,
                &format!("{next:?} follows {one:?}"),
            ));
        }
    }
    Ok(())
}

/// S6: a prefix of what was appended that has all that was synced; all of it if only the process ended.
pub(super) fn check_recovered(
    left: &Left,
    history: Option<&History>,
    log: &LogView,
    (mark, node, key): (Mark, usize, ReplicaKey),
) -> Result<(), Violation> {
    // Where a log starts is written down in time, not at once: it may have moved back.
    let start = raw(log.log_start()).max(left.start);
    let mut now = batches(log, start, u64::MAX).map_err(|error| broken("S4", node, key, &error))?;
    now.retain(|batch| batch.last >= start);
    let was: Vec<Batch> = left
        .batches
        .iter()
        .copied()
        .filter(|batch| batch.last >= start)
        .collect();
    let same = was.iter().zip(&now).take_while(|(a, b)| a == b).count();
    let kept_to = same
        .checked_sub(1)
        .and_then(|last| now.get(last))
        .map_or(start, |batch| batch.last + 1);
    let is_safe = |batch: &&Batch| left.is_whole || batch.last < left.synced;
    let must = was.iter().take_while(is_safe).last();
    let must = must.map_or(start, |batch| batch.last + 1);
    if kept_to < must {
        let text = format!(
            "of a log up to {:?}, {} synced, page cache kept: {}, it kept what lies below {kept_to}",
            left.batches.last(),
            left.synced,
            left.is_whole
        );
        return Err(broken("S6", node, key, &text));
    }
    // What a truncation took away may be back after a crash; the fetch that asks by epochs takes it away again.
    let strange = now.iter().skip(same).find(|batch| {
        left.is_whole
            && batch.epoch != mark.epoch.get()
            && !history.is_some_and(|history| history.has_seen(batch))
    });
    if let Some(batch) = strange {
        let text = format!("{batch:?} was never in this log");
        return Err(broken("S6", node, key, &text));
    }
    Ok(())
}

/// M3 [6]: who is in sync is a replica and lives; who leads is in sync.
pub(super) fn check_members(
    image: &MetadataImage,
    index: i32,
    partition: &PartitionImage,
) -> Result<(), Violation> {
    let bad = |what: &str| {
        Violation::new(
            "M3",
            format!("partition {index}: {what}: {}", state(partition)),
        )
    };
    let is_replica = |id: &BrokerId| partition.replicas.contains(id);
    if !partition.isr.iter().all(is_replica) || !partition.elr.iter().all(is_replica) {
        return Err(bad("a member is no replica"));
    }
    if partition.isr.iter().any(|id| partition.elr.contains(id)) {
        return Err(bad("ISR and ELR overlap"));
    }
    if partition
        .leader
        .is_some_and(|leader| !partition.isr.contains(&leader))
    {
        return Err(bad("the leader is not in sync"));
    }
    let is_fenced = |id: &BrokerId| {
        image
            .brokers()
            .find(*id)
            .is_none_or(|found| found.is_fenced)
    };
    if partition.isr.iter().any(is_fenced) {
        return Err(bad("a fenced broker is in sync"));
    }
    Ok(())
}

/// [19]: another process of a broker never has the leadership of the one before.
pub(super) fn check_restart(
    before: &MetadataImage,
    after: &MetadataImage,
    broker: BrokerId,
) -> Result<(), Violation> {
    for topic in before.topics().iter() {
        for (index, old) in topic.partitions() {
            let new = after
                .topics()
                .by_id(topic.id())
                .and_then(|topic| topic.partition(index));
            if let Some(new) = new.filter(|_| old.leader == Some(broker))
                && new.leader == Some(broker)
                && new.leader_epoch == old.leader_epoch
            {
                let text = format!(
                    "broker {broker} came back and still leads partition {} in leader epoch {}",
                    index.get(),
                    old.leader_epoch
                );
                return Err(Violation::new("19", text));
            }
        }
    }
    Ok(())
}
