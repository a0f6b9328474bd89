//! Why a cost changed: by how much is called, of what, how long the requests are, how much the cache spares, and the prices.
//!
//! The change of each group (a node with its model) goes through states that differ in one thing: the old cost; with the new
//! number of calls in all (volume); with the group's own number of calls (mix); with the new lengths of prompts and answers
//! (length); with the new shares of cached and other tokens (cache); and the new cost (price). Each state is rounded to whole
//! pico-USD, an effect is the difference of two states next to each other, so the effects add up to the change exactly, for
//! each group and for any sum of groups. This is the successive-substitution decomposition of cost accounting; its order is
//! fixed, and a group that is new or gone is mix.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Bucket, Parts, Tokens};

/// What a group used and cost in a time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub struct Period {
    /// Calls.
    pub calls: i64,
    /// Tokens.
    pub tokens: Tokens,
    /// Pico-USD.
    pub pusd: i128,
}

/// A change in pico-USD by its reasons.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Effects {
    /// More or fewer calls in all.
    pub volume: i128,
    /// Other nodes and models were called.
    pub mix: i128,
    /// Longer or shorter prompts and answers.
    pub length: i128,
    /// Other shares of tokens from the cache, of reasoning, sound and pictures.
    pub cache: i128,
    /// Other prices of the same tokens.
    pub price: i128,
}

impl Effects {
    /// The whole change.
    pub fn sum(&self) -> i128 {
        self.volume + self.mix + self.length + self.cache + self.price
    }

    /// Adds another's.
    pub fn add(&mut self, other: &Self) {
        self.volume += other.volume;
        self.mix += other.mix;
        self.length += other.length;
        self.cache += other.cache;
        self.price += other.price;
    }
}

/// What one token of each bucket costs relative to the others. All alike where no list says: then nothing counts as cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weights(pub [i128; 9]);

impl Default for Weights {
    fn default() -> Self {
        Self([1; 9])
    }
}

impl Weights {
    /// From the price of one token in each bucket.
    pub fn of_parts(parts: &Parts) -> Self {
        let mut weights = [0; 9];
        weights.copy_from_slice(&parts[..9]);
        // Smaller numbers, same relations to a part in a thousand million.
        let shift = 1_000_000;
        Self(weights.map(|weight| weight / shift))
    }

    fn value(&self, tokens: &Tokens) -> i128 {
        let all = Bucket::ALL.into_iter().zip(self.0);
        all.map(|(bucket, weight)| i128::from(tokens.of(bucket).max(0)).saturating_mul(weight))
            .fold(0, i128::saturating_add)
    }
}

/// Explains the change of one group; `before_all` and `after_all` are the calls of all groups.
pub fn explain(
    before: &Period,
    after: &Period,
    before_all: i64,
    after_all: i64,
    weights: &Weights,
) -> Effects {
    let start = before.pusd;
    let volume = scaled(start, i128::from(after_all), i128::from(before_all));
    let mix = match before.calls {
        0 => after.pusd, // new: nothing to compare its calls with
        calls => scaled(start, i128::from(after.calls), i128::from(calls)),
    };
    if before.calls == 0 || after.calls == 0 {
        return Effects {
            volume: volume - start,
            mix: after.pusd - volume,
            ..Effects::default()
        };
    }
    let old = weights.value(&before.tokens);
    if old <= 0 {
        // No tokens then: what is new is their number.
        return Effects {
            volume: volume - start,
            mix: mix - volume,
            length: after.pusd - mix,
            ..Effects::default()
        };
    }
    let length = scaled(
        start,
        weights.value(&as_before(&before.tokens, &after.tokens)),
        old,
    );
    let cache = scaled(start, weights.value(&after.tokens), old);
    Effects {
        volume: volume - start,
        mix: mix - volume,
        length: length - mix,
        cache: cache - length,
        price: after.pusd - cache,
    }
}

/// Adds effects up by what `key` says of each.
pub fn by<K: Ord>(all: impl IntoIterator<Item = (K, Effects)>) -> BTreeMap<K, Effects> {
    let mut sums: BTreeMap<K, Effects> = BTreeMap::new();
    for (key, effects) in all {
        sums.entry(key).or_default().add(&effects);
    }
    sums
}

/// As many tokens as after, in the buckets of before.
fn as_before(before: &Tokens, after: &Tokens) -> Tokens {
    let mut made = Tokens::default();
    let fields = [
        (&mut made.uncached, Bucket::Uncached),
        (&mut made.cache_read, Bucket::CacheRead),
        (&mut made.cache_write, Bucket::CacheWrite),
        (&mut made.cache_write_1h, Bucket::CacheWrite1h),
        (&mut made.audio_input, Bucket::AudioInput),
        (&mut made.image_input, Bucket::ImageInput),
        (&mut made.output_text, Bucket::OutputText),
        (&mut made.reasoning, Bucket::Reasoning),
        (&mut made.audio_output, Bucket::AudioOutput),
    ];
    for (field, bucket) in fields {
        let side = |tokens: &Tokens| match bucket.is_input() {
            true => tokens.prompt(),
            false => tokens.completion(),
        };
        // What had no tokens before has no shares: its new ones keep theirs.
        *field = match side(before) {
            0 => after.of(bucket),
            all => {
                let scaled = scaled(
                    i128::from(before.of(bucket)),
                    i128::from(side(after)),
                    i128::from(all),
                );
                i64::try_from(scaled).unwrap_or(i64::MAX)
            }
        };
    }
    made
}

/// `value × up ÷ down`, rounded half up; `value` where `down` is nothing. Where the product would not fit, both lose the
/// same low bits: a rounded state may be off by a part in 2⁴⁰, the sum of the effects is exact all the same.
fn scaled(value: i128, up: i128, down: i128) -> i128 {
    let (mut up, mut down) = (up, down);
    while value.checked_mul(up).is_none() && down > 1 << 40 {
        up >>= 1;
        down >>= 1;
    }
    if down <= 0 {
        return value;
    }
    let product = value.saturating_mul(up);
    product.saturating_add(down / 2).div_euclid(down)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A small generator (SplitMix64), so that a failing case is found again by its number.
    struct Random(u64);

    impl Random {
        fn below(&mut self, most: i64) -> i64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((z ^ (z >> 31)) % most.unsigned_abs()) as i64
        }

        fn period(&mut self) -> Period {
            let size = 10_i64.pow(self.below(10) as u32) + 1;
            if self.below(6) == 0 {
                return Period::default();
            }
            Period {
                calls: self.below(size),
                tokens: Tokens {
                    uncached: self.below(size),
                    cache_read: self.below(size),
                    cache_write: self.below(size),
                    output_text: self.below(size),
                    reasoning: self.below(size),
                    ..Tokens::default()
                },
                pusd: i128::from(self.below(i64::MAX / 4)) * i128::from(self.below(1_000_000)),
            }
        }
    }

    #[test]
    fn effects_add_up_to_the_change_exactly() {
        for seed in 0..20_000 {
            let mut random = Random(seed);
            let groups: Vec<_> = (0..1 + seed % 4)
                .map(|_| (random.period(), random.period()))
                .collect();
            let calls = |side: fn(&(Period, Period)) -> i64| groups.iter().map(side).sum::<i64>();
            let (before, after) = (calls(|g| g.0.calls), calls(|g| g.1.calls));
            let weights = Weights(
                [5, 1, 6, 10, 5, 5, 25, 25, 25].map(|w| w * i128::from(random.below(1 << 40) + 1)),
            );
            let mut sum = Effects::default();
            for (old, new) in &groups {
                let effects = explain(old, new, before, after, &weights);
                assert_eq!(
                    effects.sum(),
                    new.pusd - old.pusd,
                    "seed {seed}: {old:?} {new:?}"
                );
                sum.add(&effects);
            }
            let change: i128 = groups.iter().map(|(old, new)| new.pusd - old.pusd).sum();
            assert_eq!(sum.sum(), change, "seed {seed}");
        }
    }

    fn at(calls: i64, uncached: i64, cache_read: i64, output_text: i64, pusd: i128) -> Period {
        let tokens = Tokens {
            uncached,
            cache_read,
            output_text,
            ..Tokens::default()
        };
        Period {
            calls,
            tokens,
            pusd,
        }
    }

    #[test]
    fn one_change_has_one_reason() {
        let weights = Weights([10, 1, 12, 20, 10, 10, 50, 50, 50]);
        let old = at(100, 1_000, 1_000, 100, 16_000);
        let only = |new: Period, all: i64| explain(&old, &new, 100, all, &weights);
        let volume = only(at(200, 2_000, 2_000, 200, 32_000), 200);
        assert_eq!(
            volume,
            Effects {
                volume: 16_000,
                ..Effects::default()
            }
        );
        let longer = only(at(100, 1_000, 1_000, 200, 21_000), 100);
        assert_eq!(
            longer,
            Effects {
                length: 5_000,
                ..Effects::default()
            }
        );
        let cache = only(at(100, 2_000, 0, 100, 25_000), 100);
        assert_eq!(
            cache,
            Effects {
                cache: 9_000,
                ..Effects::default()
            }
        );
        let price = only(at(100, 1_000, 1_000, 100, 8_000), 100);
        assert_eq!(
            price,
            Effects {
                price: -8_000,
                ..Effects::default()
            }
        );
        let mix = explain(&Period::default(), &old, 100, 100, &weights);
        assert_eq!(
            mix,
            Effects {
                mix: 16_000,
                ..Effects::default()
            }
        );
    }
}
