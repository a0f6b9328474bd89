//! Decimal numbers as integers: a price of USD per million tokens is kept as pico-USD per million tokens, so that prices below
//! one pico-USD per token are exact too.

/// Pico-USD in a USD: 10¹².
const PICO: i64 = 1_000_000_000_000;

/// USD in decimal notation as whole pico-USD: at most 12 decimals, not negative, at most 9 million.
pub fn parse_usd(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || whole.len() > 7 || fraction.len() > 12 {
        return None;
    }
    let whole: i64 = whole.parse().ok()?;
    let fraction: i64 = format!("{fraction:0<12}").parse().ok()?;
    whole.checked_mul(PICO)?.checked_add(fraction)
}

/// Pico-USD as USD in decimal notation, exactly.
pub fn usd(pusd: i128) -> String {
    let pico = PICO.unsigned_abs();
    let (whole, rest) = (
        pusd.unsigned_abs() / u128::from(pico),
        pusd.unsigned_abs() % u128::from(pico),
    );
    let sign = if pusd < 0 { "-" } else { "" };
    let text = format!("{sign}{whole}.{rest:012}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimal_texts_are_exact_both_ways() {
        for (text, pusd) in [
            ("0", 0),
            ("0.15", 150_000_000_000),
            ("15", 15 * PICO),
            ("0.003625", 3_625_000_000),
            ("0.000000000001", 1),
        ] {
            assert_eq!(parse_usd(text), Some(pusd), "{text}");
            assert_eq!(usd(i128::from(pusd)), text);
        }
        assert_eq!(usd(-1_500_000_000_000), "-1.5");
        for wrong in [
            "",
            "-1",
            "1e3",
            ".5",
            "1.",
            "1.0000000000001",
            "99999999",
            "+1",
            "NaN",
        ] {
            assert_eq!(parse_usd(wrong), None, "{wrong}");
        }
    }
}
