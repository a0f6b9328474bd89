//! Seeded randomness for the simulator: SplitMix64.

/// A source of numbers that a seed repeats.
#[derive(Clone)]
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ 0x5bd1_e995)
    }

    /// Other numbers for the same seed.
    #[allow(dead_code, reason = "not every test forks")]
    pub fn fork(&self, stream: u64) -> Self {
        Self::new(self.0 ^ (stream + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    /// 0 to `sides` - 1.
    pub fn roll(&mut self, sides: usize) -> usize {
        (self.next() % sides.max(1) as u64) as usize
    }

    pub fn percent(&mut self, chance: usize) -> bool {
        self.roll(100) < chance
    }
}
