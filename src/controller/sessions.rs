//! Which brokers were heard of lately: what the controller knows and no image has.
//!
//! - It begins anew with each leadership: every registered broker gets a whole session, so a change of
//!   controllers fences nobody by itself.
//! - A session belongs to a registration. What is heard of an older one changes nothing.
//! - Only an unfenced broker has a session that can end. They end one at a time, the longest silent
//!   first, so that each fencing is decided over what the one before has left.
//! - Who was fenced because nothing answered at its address, and is heard of all the same, is not
//!   fenced for that reason again for a session: something stands between it and us, and the broker lives.

use std::collections::BTreeMap;
use std::time::Duration;

use ottla_storage::time::MonoMillis;

use crate::controller::command::{Heartbeat, RegisterBroker};
use crate::metadata::image::BrokerImage;
use crate::metadata::{BrokerEpoch, BrokerId, ImageVersion, MetadataImage};

/// A fence that did not come about is tried again after this long.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// The sessions of one leadership.
#[derive(Clone, Debug, Default)]
pub struct Sessions {
    timeout: Duration,
    by_broker: BTreeMap<BrokerId, Session>,
}

#[derive(Clone, Copy, Debug)]
struct Session {
    epoch: BrokerEpoch,
    /// When it ends unless something is heard.
    deadline: MonoMillis,
    /// The image that the broker works by, as far as it has said.
    applied: ImageVersion,
    /// The image in which it was first seen to be stopping and to lead nothing any more: leaderships go in several steps.
    stopping_since: Option<ImageVersion>,
    probe: ProbeFence,
}

/// What fencing by probe has to do with a broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ProbeFence {
    /// Nothing yet.
    Possible,
    /// It was done, and nothing was heard since.
    Done,
    /// It was wrong: the broker was heard of afterwards.
    BarredUntil(MonoMillis),
}

impl Session {
    fn new(broker: &BrokerImage, deadline: MonoMillis) -> Self {
        Self {
            epoch: broker.epoch,
            deadline,
            applied: ImageVersion::default(),
            stopping_since: None,
            probe: ProbeFence::Possible,
        }
    }
}

impl Sessions {
    /// No session yet.
    pub const fn new(timeout: Duration) -> Self {
        Self {
            timeout,
            by_broker: BTreeMap::new(),
        }
    }

    /// Begins anew: nobody has been silent.
    pub fn activate(&mut self, now: MonoMillis, image: &MetadataImage) {
        self.by_broker.clear();
        self.observe(now, image);
    }

    /// Follows the image: registrations that are new get a whole session, others end.
    pub fn observe(&mut self, now: MonoMillis, image: &MetadataImage) {
        let brokers = image.brokers();
        self.by_broker.retain(|id, session| {
            brokers
                .find(*id)
                .is_some_and(|broker| broker.epoch == session.epoch)
        });
        let deadline = now.saturating_add(self.timeout);
        for broker in brokers.iter() {
            let begin = || Session::new(broker, deadline);
            let session = self.by_broker.entry(broker.id).or_insert_with(begin);
            if !broker.in_controlled_shutdown {
                session.stopping_since = None;
            } else if session.stopping_since.is_none() && !image.leads_any(broker.id) {
                session.stopping_since = Some(image.version());
            }
        }
    }

    /// A broker was heard of, however long its words have waited.
    pub fn touch(&mut self, now: MonoMillis, heartbeat: &Heartbeat) {
        let Some(session) = self.renew(now, heartbeat.broker, heartbeat.epoch) else {
            return;
        };
        session.applied = heartbeat.applied;
        if session.probe == ProbeFence::Done {
            session.probe = ProbeFence::BarredUntil(session.deadline);
        }
    }

    /// A broker has asked for something else than to be heard of.
    pub fn heard_of(&mut self, now: MonoMillis, broker: BrokerId, epoch: BrokerEpoch) {
        self.renew(now, broker, epoch);
    }

    fn renew(
        &mut self,
        now: MonoMillis,
        broker: BrokerId,
        epoch: BrokerEpoch,
    ) -> Option<&mut Session> {
        let deadline = now.saturating_add(self.timeout);
        let session = self.find_mut(broker, epoch)?;
        session.deadline = deadline;
        Some(session)
    }

    /// The unfenced broker whose session ended first, if one did. It is named again only after a pause,
    /// should it still be unfenced then.
    pub fn take_expired(
        &mut self,
        now: MonoMillis,
        image: &MetadataImage,
    ) -> Option<(BrokerId, BrokerEpoch)> {
        let (id, deadline) = self.first_to_end(image)?;
        if deadline > now {
            return None;
        }
        let session = self.by_broker.get_mut(&id)?;
        session.deadline = now.saturating_add(RETRY_PAUSE);
        Some((id, session.epoch))
    }

    /// When a registration's session ends if nothing is heard of it.
    pub fn deadline(&self, broker: BrokerId, epoch: BrokerEpoch) -> Option<MonoMillis> {
        self.find(broker, epoch).map(|session| session.deadline)
    }

    /// When the next session ends.
    pub fn next_deadline(&self, image: &MetadataImage) -> Option<MonoMillis> {
        self.first_to_end(image).map(|(_, deadline)| deadline)
    }

    fn first_to_end(&self, image: &MetadataImage) -> Option<(BrokerId, MonoMillis)> {
        let unfenced = image.brokers().iter().filter(|broker| !broker.is_fenced);
        let ends = unfenced.filter_map(|broker| {
            let session = self.find(broker.id, broker.epoch)?;
            Some((broker.id, session.deadline))
        });
        ends.min_by_key(|(id, deadline)| (*deadline, *id))
    }

    /// Whether a broker's process has to be taken for alive: unfenced and heard of lately.
    pub fn is_valid(&self, now: MonoMillis, broker: &BrokerImage) -> bool {
        let session = self.find(broker.id, broker.epoch);
        !broker.is_fenced && session.is_some_and(|session| session.deadline > now)
    }

    /// The registration that has to be probed before another process takes its place.
    pub fn rival<'a>(
        &self,
        now: MonoMillis,
        image: &'a MetadataImage,
        command: &RegisterBroker,
    ) -> Option<&'a BrokerImage> {
        let old = image.brokers().find(command.broker)?;
        // A disk has one process: its lock has shown that the old one is gone.
        let is_same_disk = old
            .directories
            .iter()
            .any(|dir| command.directories.contains(dir));
        let is_rival = old.incarnation != command.incarnation && !is_same_disk;
        (is_rival && self.is_valid(now, old)).then_some(old)
    }

    /// The registration, if a probe that nothing answers may fence it.
    pub fn suspect<'a>(
        &self,
        now: MonoMillis,
        image: &'a MetadataImage,
        broker: BrokerId,
        epoch: BrokerEpoch,
    ) -> Option<&'a BrokerImage> {
        let found = image.brokers().find(broker)?;
        let session = self.find(broker, epoch)?;
        let is_barred = match session.probe {
            ProbeFence::Possible => false,
            ProbeFence::Done => true,
            ProbeFence::BarredUntil(until) => now < until,
        };
        let is_suspect = found.epoch == epoch && !found.is_fenced && !is_barred;
        is_suspect.then_some(found)
    }

    /// A broker's process is known to be gone, and another one wants its place.
    pub fn end(&mut self, broker: BrokerId, epoch: BrokerEpoch) {
        if let Some(session) = self.find_mut(broker, epoch) {
            session.deadline = MonoMillis::ZERO;
        }
    }

    /// A broker is being fenced because nothing answers at its address. Its session is over with that, so a fence
    /// that did not come about is tried again.
    pub fn fenced_by_probe(&mut self, now: MonoMillis, broker: BrokerId, epoch: BrokerEpoch) {
        if let Some(session) = self.find_mut(broker, epoch) {
            session.probe = ProbeFence::Done;
            session.deadline = now.saturating_add(RETRY_PAUSE);
        }
    }

    /// Whether a broker was fenced, or is about to be, because nothing answers at its address.
    pub fn is_gone(&self, broker: BrokerId, epoch: BrokerEpoch) -> bool {
        let session = self.find(broker, epoch);
        session.is_some_and(|session| session.probe == ProbeFence::Done)
    }

    /// Whether every active broker works by an image that shows this one stopping, so that nobody
    /// needs it any more.
    pub fn is_departure_known(&self, image: &MetadataImage, broker: &BrokerImage) -> bool {
        let session = self.find(broker.id, broker.epoch);
        let Some(since) = session.and_then(|session| session.stopping_since) else {
            return false;
        };
        let mut active = image.brokers().iter().filter(|other| other.is_active());
        active.all(|other| {
            let session = self.find(other.id, other.epoch);
            session.is_some_and(|session| session.applied >= since)
        })
    }

    fn find(&self, broker: BrokerId, epoch: BrokerEpoch) -> Option<&Session> {
        let session = self.by_broker.get(&broker)?;
        (session.epoch == epoch).then_some(session)
    }

    fn find_mut(&mut self, broker: BrokerId, epoch: BrokerEpoch) -> Option<&mut Session> {
        let session = self.by_broker.get_mut(&broker)?;
        (session.epoch == epoch).then_some(session)
    }
}

#[cfg(test)]
mod tests;
