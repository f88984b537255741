//! Which partition a record goes to.
//!
//! - A keyed record goes where the Java client would send it: `murmur2(key) mod partitions`, so a
//!   topic written by both keeps every key in one partition.
//! - A record without a key stays on one partition until its batch is full (KIP-480): few large
//!   batches beat many small ones.
//! - The choice depends on the key, the partition count and the given randomness alone.

/// How partitions are chosen when the user names none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Partitioner {
    /// By the key's hash, equal to the Java client; without a key as `sticky`
    #[default]
    Murmur2,
    /// A random partition for every record
    Random,
    /// One partition until a batch is full, whatever the key
    Sticky,
}

/// The partitions of one topic and where the next record goes.
#[derive(Debug)]
pub(crate) struct Chooser {
    partitioner: Partitioner,
    partition_count: u32,
    sticky: Option<u32>,
}

impl Chooser {
    /// `partition_count` is at least one: a topic without partitions does not exist.
    pub(crate) fn new(partitioner: Partitioner, partition_count: u32) -> Self {
        assert!(partition_count > 0, "a topic has a partition");
        Self {
            partitioner,
            partition_count,
            sticky: None,
        }
    }

    /// The partition of the next record. `random` is drawn by the caller, so this stays a function.
    pub(crate) fn choose(&mut self, key: Option<&[u8]>, random: u32) -> u32 {
        match (self.partitioner, key) {
            (Partitioner::Murmur2, Some(key)) => keyed(key, self.partition_count),
            (Partitioner::Random, _) => random % self.partition_count,
            (Partitioner::Murmur2, None) | (Partitioner::Sticky, _) => {
                *self.sticky.get_or_insert(random % self.partition_count)
            }
        }
    }

    /// The sticky partition's batch is full: the next record without a key moves on.
    pub(crate) fn batch_filled(&mut self, partition: u32, random: u32) {
        if self.sticky == Some(partition) && self.partition_count > 1 {
            // Never the same one again: with few partitions that would leave some idle for long.
            let step = 1 + random % (self.partition_count - 1);
            self.sticky = Some((partition + step) % self.partition_count);
        }
    }

    /// The topic has grown; keys move as they do with the Java client.
    pub(crate) fn grow(&mut self, partition_count: u32) {
        self.partition_count = self.partition_count.max(partition_count);
    }
}

fn keyed(key: &[u8], partition_count: u32) -> u32 {
    // The Java client clears the sign bit ("toPositive") instead of taking an absolute value.
    (murmur2(key) & 0x7fff_ffff) % partition_count
}

/// `MurmurHash2`, 32 bit, with the seed that Kafka's clients agreed on.
fn murmur2(bytes: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;

    // Kafka's keys are below 2 GiB; the hash is defined on the low 32 bits of the length.
    let length = u32::try_from(bytes.len() & 0xffff_ffff).unwrap_or_default();
    let mut hash = SEED ^ length;
    let (words, tail) = bytes.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    if !tail.is_empty() {
        for (position, &byte) in (0_u32..).zip(tail) {
            hash ^= u32::from(byte) << (8 * position);
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Printed by `Utils.murmur2` and `Utils.toPositive` of kafka-clients 4.4.0.
    #[test]
    fn murmur2_equals_the_java_client() {
        let cases: [(&[u8], i32); 8] = [
            (b"", 275_646_681),
            (b"21", -973_932_308),
            (b"foobar", -790_332_482),
            (b"a-little-bit-long-string", -985_981_536),
            (b"a-little-bit-longer-string", -1_486_304_829),
            (
                b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8",
                -58_897_971,
            ),
            (b"abc", 479_470_107),
            (b"\xff\x80\x00\x7f\xfe", 768_357_719),
        ];
        for (key, expected) in cases {
            assert_eq!(murmur2(key).cast_signed(), expected, "{key:?}");
        }
    }

    #[test]
    fn a_key_has_one_partition_whatever_the_randomness() {
        let mut chooser = Chooser::new(Partitioner::Murmur2, 8);
        let first = chooser.choose(Some(b"key"), 1);
        assert_eq!(chooser.choose(Some(b"key"), 2), first);
        assert!(first < 8);
    }

    #[test]
    fn records_without_a_key_stay_until_the_batch_is_full() {
        let mut chooser = Chooser::new(Partitioner::Murmur2, 3);
        let first = chooser.choose(None, 7);
        assert_eq!(chooser.choose(None, 8), first);
        chooser.batch_filled(first, 11);
        assert_ne!(chooser.choose(None, 9), first);
    }

    #[test]
    fn sticky_ignores_keys_and_random_ignores_batches() {
        let mut sticky = Chooser::new(Partitioner::Sticky, 4);
        assert_eq!(sticky.choose(Some(b"a"), 2), sticky.choose(Some(b"b"), 3));
        let mut random = Chooser::new(Partitioner::Random, 4);
        assert_eq!((random.choose(None, 2), random.choose(None, 3)), (2, 3));
    }

    #[test]
    fn one_partition_takes_everything() {
        let mut chooser = Chooser::new(Partitioner::Sticky, 1);
        chooser.batch_filled(0, 5);
        assert_eq!(chooser.choose(None, u32::MAX), 0);
    }
}
