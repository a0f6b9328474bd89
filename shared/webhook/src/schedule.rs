//! When a delivery is tried: at once, then ever later, over about three days.

use std::time::Duration;

const SECOND: u64 = 1;
const MINUTE: u64 = 60;
const HOUR: u64 = 3_600;

/// Time before each attempt, counted from the one before, in seconds.
const DELAYS_S: [u64; 10] = [
    0,
    5 * SECOND,
    5 * MINUTE,
    30 * MINUTE,
    2 * HOUR,
    5 * HOUR,
    10 * HOUR,
    14 * HOUR,
    20 * HOUR,
    24 * HOUR,
];

/// Attempts of a delivery unless it is replayed.
pub const ATTEMPTS: usize = DELAYS_S.len();

/// How long to wait after the attempt at `step` (from 0) has failed; `None` when it was the last one. `random` moves it by
/// up to a tenth, later or earlier: what failed together must not come back together.
pub fn delay_after(step: usize, random: u32) -> Option<Duration> {
    let usual = Duration::from_secs(*DELAYS_S.get(step.checked_add(1)?)?);
    let share = f64::from(random) / f64::from(u32::MAX);
    Some(usual.mul_f64(0.9 + 0.2 * share))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_attempts_over_about_three_days() {
        let middle = u32::MAX / 2;
        let all: Vec<u64> = (0..20)
            .map_while(|step| delay_after(step, middle))
            .map(|delay| delay.as_secs_f64().round() as u64)
            .collect();
        assert_eq!(
            all,
            [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400]
        );
        assert_eq!(all.len() + 1, ATTEMPTS);
        assert_eq!(delay_after(usize::MAX, 0), None);
    }

    #[test]
    fn jitter_is_a_tenth_at_most() {
        for step in 0..ATTEMPTS - 1 {
            let usual = DELAYS_S[step + 1] as f64;
            for random in [0, 1, u32::MAX / 3, u32::MAX] {
                let delay = delay_after(step, random).unwrap().as_secs_f64();
                assert!(delay >= usual * 0.899 && delay <= usual * 1.101, "{delay}");
            }
        }
        assert!(delay_after(3, 0) < delay_after(3, u32::MAX));
    }
}
