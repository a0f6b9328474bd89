//! How long to wait before another attempt.

use crate::settings::Retry;

/// Longest wait that a provider may ask for, in ms.
const LONGEST_RETRY_AFTER_MS: u64 = 60_000;

/// Exponential backoff with full jitter (Marc Brooker, "Exponential Backoff And Jitter",
/// AWS Architecture Blog, 2015): uniform between 0 and min(max, base · 2^(n-1)). The
/// provider's own wish is the least.
pub(super) fn wait_ms(
    retry: &Retry,
    seed: u32,
    node: usize,
    attempt: u32,
    asked_ms: Option<u64>,
) -> u64 {
    let doubled = 1u64.checked_shl(attempt - 1).unwrap_or(u64::MAX);
    let ceiling = retry
        .backoff_ms
        .saturating_mul(doubled)
        .min(retry.max_backoff_ms);
    let wait = if retry.jitter {
        draw(seed, node, attempt) % (ceiling + 1)
    } else {
        ceiling
    };
    wait.max(asked_ms.unwrap_or(0).min(LONGEST_RETRY_AFTER_MS))
}

/// SplitMix64 (Steele, Lea, Flood 2014) of the seed, node and attempt.
fn draw(seed: u32, node: usize, attempt: u32) -> u64 {
    let mut x = (u64::from(seed) << 32) ^ ((node as u64) << 8) ^ u64::from(attempt);
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
