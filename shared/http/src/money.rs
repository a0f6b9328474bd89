//! Money: int64 pico-USD inside, rounded once for micro-USD fields, exact as a decimal string.

const PICO: i64 = 1_000_000_000_000;
const PICO_PER_MICRO: i64 = 1_000_000;

/// Pico-USD as micro-USD, rounded half away from zero.
pub fn usd_micros(pico: i64) -> i64 {
    let half = PICO_PER_MICRO / 2 * pico.signum();
    pico.saturating_add(half) / PICO_PER_MICRO
}

/// Pico-USD as exact USD, without trailing zeros: `0.000012`.
pub fn usd(pico: i64) -> String {
    let sign = if pico < 0 { "-" } else { "" };
    let (whole, part) = (
        pico.unsigned_abs() / PICO as u64,
        pico.unsigned_abs() % PICO as u64,
    );
    let text = format!("{sign}{whole}.{part:012}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn micros_are_rounded_once() {
        assert_eq!(usd_micros(499_999), 0);
        assert_eq!(usd_micros(500_000), 1);
        assert_eq!(usd_micros(-500_000), -1);
        assert_eq!(usd_micros(3 * PICO), 3_000_000);
    }

    #[test]
    fn usd_is_exact() {
        assert_eq!(usd(0), "0");
        assert_eq!(usd(1), "0.000000000001");
        assert_eq!(usd(1_500_000_000_000), "1.5");
        assert_eq!(usd(-12_000_000), "-0.000012");
    }
}
