//! Time, randomness and ids of a request.

use chrono::DateTime;
use std::time::{SystemTime, UNIX_EPOCH};

/// Now, µs since the epoch.
pub fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |d| i64::try_from(d.as_micros()).unwrap_or(i64::MAX))
}

/// `us` since the epoch as RFC 3339 in UTC, exactly as PostgreSQL writes a `timestamptz` into JSON: up to six decimals
/// without trailing zeros. An answer that was built here and one that is read back must not differ.
pub fn rfc3339(us: i64) -> String {
    let time = DateTime::from_timestamp_micros(us).unwrap_or_default();
    let text = time.format("%Y-%m-%dT%H:%M:%S%.6f").to_string();
    let text = text.trim_end_matches('0').trim_end_matches('.');
    format!("{text}+00:00")
}

/// A time in RFC 3339 as µs since the epoch; `None` when it is none.
pub fn parse_rfc3339(text: &str) -> Option<i64> {
    let time = DateTime::parse_from_rfc3339(text).ok()?;
    Some(time.timestamp_micros())
}

/// A new id (UUIDv7, RFC 9562).
pub fn new_id() -> String {
    uuid::Uuid::now_v7().to_string()
}

/// `N` random bytes from the host's cryptographic source.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    if getrandom::fill(&mut bytes).is_err() {
        // A host without randomness cannot be used safely: no key, nonce or id could be trusted.
        std::process::abort();
    }
    bytes
}

/// Lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_postgres_writes_them() {
        // SELECT to_json(to_timestamp(x / 1e6)) with the time zone UTC.
        let cases = [
            (0, "1970-01-01T00:00:00+00:00"),
            (10_000_000, "1970-01-01T00:00:10+00:00"),
            (1_795_566_592_249_470, "2026-11-25T00:29:52.24947+00:00"),
            (1_795_566_592_249_474, "2026-11-25T00:29:52.249474+00:00"),
            (1_795_566_592_000_001, "2026-11-25T00:29:52.000001+00:00"),
        ];
        for (us, want) in cases {
            assert_eq!(rfc3339(us), want);
        }
    }
}
