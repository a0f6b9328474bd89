//! The time that is looked at.

use nodeai_app::clock;
use nodeai_app::inputs::is_uuid;
use nodeai_http::{FieldError, Problem};

const HOUR_US: i64 = 3_600_000_000;
/// Longest time, in hours: 31 days.
const MOST: i64 = 31 * 24;

/// `[from, to)` in µs since the epoch, whole hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Time {
    pub from_us: i64,
    pub to_us: i64,
}

impl Time {
    /// The day up to the end of this hour, unless given. Errors: 400.
    pub fn read(from: Option<&str>, to: Option<&str>) -> Result<Self, Problem> {
        let at = |name: &str, text: Option<&str>| match text.map(clock::parse_rfc3339) {
            Some(None) => Err(bad(name, "format", "must be a time in RFC 3339")),
            Some(at) => Ok(at),
            None => Ok(None),
        };
        let hour = |us: i64| us.div_euclid(HOUR_US) * HOUR_US;
        let to_us = hour(at("to", to)?.unwrap_or_else(clock::now_us) + HOUR_US - 1);
        let from_us = hour(at("from", from)?.unwrap_or(to_us - 24 * HOUR_US));
        match (1..=MOST * HOUR_US).contains(&(to_us - from_us)) {
            true => Ok(Self { from_us, to_us }),
            false => Err(bad(
                "from",
                "out_of_range",
                "must be before to, by 31 days at most",
            )),
        }
    }

    /// Seconds of it that are over.
    pub fn seconds(&self) -> f64 {
        (self.to_us.min(clock::now_us()) - self.from_us).max(1) as f64 / 1e6
    }
}

/// 400 for a parameter of the query.
pub fn bad(name: &str, code: &str, detail: &str) -> Problem {
    Problem::fields(vec![FieldError::parameter(name, code, detail)])
}

/// Errors: 400 for an id that is none.
pub fn uuid(name: &str, id: Option<&str>) -> Result<(), Problem> {
    match id.is_none_or(is_uuid) {
        true => Ok(()),
        false => Err(bad(name, "format", "must be a UUID")),
    }
}

/// `limit` from 1 to 100, 20 unless given. Errors: 400.
pub fn limit(given: Option<u32>) -> Result<u32, Problem> {
    match given.unwrap_or(20) {
        n @ 1..=100 => Ok(n),
        _ => Err(bad("limit", "out_of_range", "must be from 1 to 100")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_are_whole() {
        let time = Time::read(Some("2026-11-01T10:20:00Z"), Some("2026-11-01T12:01:00Z")).unwrap();
        assert_eq!((time.to_us - time.from_us) / HOUR_US, 3);
        assert_eq!(time.seconds(), 10_800.0);
    }

    #[test]
    fn a_time_that_is_too_long_or_none_is_refused() {
        for (from, to) in [
            ("2026-01-01T00:00:00Z", "2026-03-01T00:00:00Z"),
            ("2026-03-01T00:00:00Z", "2026-01-01T00:00:00Z"),
            ("yesterday", "2026-01-01T00:00:00Z"),
        ] {
            let problem = Time::read(Some(from), Some(to)).unwrap_err();
            assert_eq!(problem.errors[0].parameter.as_deref(), Some("from"));
        }
    }
}
