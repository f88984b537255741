//! Randomness as an argument: a generator that the driver seeds and decisions draw from.
//!
//! Equal seeds give equal draws on every build; what was drawn becomes facts, so replicas of the log
//! never draw. It is xoshiro256**, which is not for secrets.

/// The generator.
#[derive(Clone, Debug)]
pub struct Draw {
    state: [u64; 4],
}

impl Draw {
    /// A generator for one group of commands.
    pub fn new(seed: u128) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "both halves are used")]
        let mut low = seed as u64;
        let high = (seed >> 64) as u64;
        let mut state = [splitmix(&mut low), splitmix(&mut low), 0, 0];
        let mut other = high ^ low;
        state[2] = splitmix(&mut other);
        // An all-zero state would stay zero.
        state[3] = splitmix(&mut other) | 1;
        Self { state }
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        let [a, b, c, d] = self.state;
        let result = b.wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let (c, d) = (c ^ a, d ^ b);
        self.state = [a ^ d, b ^ c, c ^ (b << 17), d.rotate_left(45)];
        result
    }

    /// 128 random bits.
    pub fn wide_bits(&mut self) -> u128 {
        (u128::from(self.bits()) << 64) | u128::from(self.bits())
    }

    /// A position in a list of `len` items; 0 for an empty one.
    pub fn position(&mut self, len: usize) -> usize {
        let len = len as u64;
        // The bias of the remainder is below 2^-40 for lists that fit in memory.
        self.bits()
            .checked_rem(len)
            .and_then(|at| usize::try_from(at).ok())
            .unwrap_or(0)
    }

    /// Brings the items into a random order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.position(last + 1));
        }
    }
}

const fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_seeds_draw_alike_and_others_do_not() {
        let draws = |seed| {
            let mut draw = Draw::new(seed);
            [draw.bits(), draw.bits(), draw.bits()]
        };
        assert_eq!(draws(7), draws(7));
        assert_ne!(draws(7), draws(8));
        assert_ne!(draws(7), draws(7 << 64));
    }

    #[test]
    fn a_shuffle_keeps_the_items() {
        let mut items: Vec<u8> = (0..100).collect();
        Draw::new(1).shuffle(&mut items);
        assert!(!items.is_sorted());
        items.sort_unstable();
        assert!(items.iter().copied().eq(0..100));
        assert_eq!(Draw::new(1).position(0), 0);
    }
}
