//! What members subscribe to, and when a change of it or of the topics makes a new epoch of the group.
//!
//! - A pattern that is new is resolved at once, so that its member has partitions with its first answer. All patterns are
//!   resolved again at most every ten seconds, and only if topics changed or they are old.
//! - Resolving holds up all groups of the broker, and a member may bring another pattern with each heartbeat: after a few
//!   that were new, the next ones wait until all are resolved.
//! - The group's epoch rises if the topics that its members read came, went, grew or were made anew: their hash,
//!   which is in the log with the epoch, tells.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ottla_storage::time::MonoMillis;

use super::ConsumerGroup;
use super::pattern::Pattern;
use crate::coordinator::group::effects::{Cx, Effects};
use crate::coordinator::group::record::{
    ConsumerEpochValue, ConsumerMemberValue, ConsumerRegexValue, Fact,
};
use crate::metadata::{MetadataImage, TopicId};

/// How long after all patterns were resolved they are not resolved again, whatever happens.
const RESOLVE_INTERVAL_MIN: Duration = Duration::from_secs(10);
/// How many new patterns are resolved at once, from one time that all are resolved to the next.
const NEW_PATTERNS_MAX: usize = 4;

/// How far the patterns of a group are resolved. Nothing of it is durable: a group that was loaded resolves them all.
#[derive(Clone, Debug)]
pub(super) struct Resolving {
    /// Topics came or went since all patterns were resolved, or a new one waits.
    pub(super) is_due: bool,
    /// When all were last resolved.
    last: Option<MonoMillis>,
    /// How many new ones were resolved since.
    new_count: usize,
}

impl Default for Resolving {
    fn default() -> Self {
        Self {
            is_due: true,
            last: None,
            new_count: 0,
        }
    }
}

impl ConsumerGroup {
    /// The names of all topics that members read, whether they exist or not.
    pub fn subscribed_topics(&self) -> BTreeSet<&Arc<str>> {
        self.facts.subscribed_topics()
    }

    /// What a member reads, as far as it exists.
    pub(super) fn topics_of(
        &self,
        member: &ConsumerMemberValue,
        image: &MetadataImage,
    ) -> BTreeSet<TopicId> {
        let pattern = member.topics_regex.as_ref();
        let resolved = pattern.and_then(|pattern| self.facts.patterns().get(pattern));
        let names = member.topics.iter();
        let names = names.chain(resolved.into_iter().flat_map(|value| &value.topics));
        names
            .filter_map(|name| image.topics().by_name(name))
            .map(|topic| topic.id())
            .collect()
    }

    /// Resolves what a member brought anew, if it need not wait, and forgets what nobody wants any more.
    pub(super) fn change_pattern(
        &mut self,
        cx: &Cx<'_>,
        old: Option<&Arc<str>>,
        new: Option<(&Arc<str>, &Pattern)>,
        fx: &mut Effects,
    ) {
        if let Some(old) = old {
            self.drop_unused_pattern(old, fx);
        }
        let Some((text, pattern)) = new else { return };
        if self.resolving.new_count < NEW_PATTERNS_MAX {
            self.resolve(cx, text, pattern, fx);
            self.resolving.new_count += 1;
            self.resolving.last.get_or_insert(cx.now);
        } else {
            self.resolving.is_due = true;
        }
    }

    /// Forgets what a pattern means if no member has it.
    pub(super) fn drop_unused_pattern(&mut self, pattern: &Arc<str>, fx: &mut Effects) {
        if self.facts.patterns().contains_key(pattern) && !self.facts.is_pattern_used(pattern) {
            self.write(Fact::ConsumerRegex(pattern.clone(), None), fx);
        }
    }

    /// A new epoch if it must be, or if the topics that members read are not what they were.
    pub(super) fn refresh(&mut self, cx: &Cx<'_>, must: bool, fx: &mut Effects) {
        let have_patterns_changed = self.resolve_again(cx, fx);
        if !must && !have_patterns_changed && !self.are_topics_stale {
            return;
        }
        self.are_topics_stale = false;
        let hash = self.topics_hash(cx.image);
        if must || have_patterns_changed || hash != self.facts.metadata_hash() {
            self.begin_epoch(hash, fx);
        }
    }

    /// A new epoch of the group, whose topics have this hash.
    pub(super) fn begin_epoch(&mut self, metadata_hash: i64, fx: &mut Effects) {
        let value = ConsumerEpochValue {
            epoch: self.facts.epoch().saturating_add(1),
            metadata_hash,
        };
        let (epoch, count) = (value.epoch, self.facts.members().len());
        fx.note(format_args!("epoch {epoch} of {count} members"));
        self.write(Fact::ConsumerEpoch(Some(value)), fx);
    }

    /// Whether a pattern means other topics than before.
    fn resolve_again(&mut self, cx: &Cx<'_>, fx: &mut Effects) -> bool {
        if !self.must_resolve_again(cx) {
            return false;
        }
        self.resolving = Resolving {
            is_due: false,
            last: Some(cx.now),
            new_count: 0,
        };
        let texts = self.facts.used_patterns().into_iter();
        let texts: Vec<Arc<str>> = texts.cloned().collect();
        let mut has_changed = false;
        for text in texts {
            // What does not compile came with the log, from a version that knew more: it means what it meant.
            if let Ok(pattern) = Pattern::new(&text) {
                has_changed |= self.resolve(cx, &text, &pattern, fx);
            }
        }
        has_changed
    }

    fn must_resolve_again(&self, cx: &Cx<'_>) -> bool {
        let Some(last) = self.resolving.last else {
            return true;
        };
        let age = cx.now.since(last);
        let interval = cx.settings.consumer.regex_refresh_interval;
        age > RESOLVE_INTERVAL_MIN && (self.resolving.is_due || age > interval)
    }

    /// Notes what a pattern means, if that is news.
    fn resolve(
        &mut self,
        cx: &Cx<'_>,
        text: &Arc<str>,
        pattern: &Pattern,
        fx: &mut Effects,
    ) -> bool {
        let topics = pattern.topics(cx.image);
        let before = self.facts.patterns().get(text);
        if before.is_some_and(|before| before.topics == topics) {
            return false;
        }
        let value = ConsumerRegexValue {
            topics,
            version: i64::try_from(cx.image.version().0).unwrap_or(i64::MAX),
            at: cx.wall,
        };
        self.write(Fact::ConsumerRegex(text.clone(), Some(value)), fx);
        true
    }

    /// A hash of the topics that members read: their ids, names and sizes; 0 if there is none.
    pub(super) fn topics_hash(&self, image: &MetadataImage) -> i64 {
        let mut hash = Fnv::new();
        let mut is_any = false;
        let names = self.facts.subscribed_topics().into_iter();
        for topic in names.filter_map(|name| image.topics().by_name(name)) {
            is_any = true;
            hash.feed(&topic.id().to_bytes());
            hash.feed(&(topic.name().len() as u64).to_be_bytes());
            hash.feed(topic.name().as_bytes());
            hash.feed(&(topic.partition_count() as u64).to_be_bytes());
        }
        if is_any { hash.0.cast_signed() } else { 0 }
    }
}

/// FNV-1a of 64 bits: what is hashed is in the log, so that every version must hash alike.
struct Fnv(u64);

impl Fnv {
    const fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    fn feed(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}
