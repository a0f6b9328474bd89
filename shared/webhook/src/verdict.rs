//! What an answer means.

use crate::schedule::delay_after;
use chrono::DateTime;
use std::time::Duration;

/// How long a receiver has for its answer.
pub const TIMEOUT: Duration = Duration::from_secs(15);
/// The longest `Retry-After` that is honoured.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 3_600);
/// How long a receiver that is overloaded is left alone when it does not say.
const USUAL_SILENCE: Duration = Duration::from_secs(30);

/// What becomes of a delivery after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It was taken.
    Delivered,
    /// It is tried again.
    Retry {
        /// After so long.
        after: Duration,
        /// The receiver gets nothing at all for so long.
        silence: Option<Duration>,
    },
    /// It was the last attempt.
    Exhausted,
    /// The receiver wants nothing more, ever.
    Gone,
}

/// Judges the attempt at `step` (from 0): by the status of the answer, none when there was no answer, and its `Retry-After`.
/// 2xx alone is success: redirects are not followed, since the receiver that was chosen is not the one that would get it.
pub fn judge(
    status: Option<u16>,
    retry_after: Option<&str>,
    now_s: i64,
    step: usize,
    random: u32,
) -> Verdict {
    match status {
        Some(200..=299) => return Verdict::Delivered,
        Some(410) => return Verdict::Gone,
        _ => {}
    }
    let Some(usual) = delay_after(step, random) else {
        return Verdict::Exhausted;
    };
    let asked = retry_after
        .filter(|_| matches!(status, Some(429 | 502 | 503 | 504)))
        .and_then(|text| wait(text, now_s));
    let overloaded = matches!(status, Some(429 | 502 | 504));
    Verdict::Retry {
        after: usual.max(asked.unwrap_or_default()),
        silence: overloaded.then(|| asked.unwrap_or(USUAL_SILENCE.min(usual))),
    }
}

/// `Retry-After` (RFC 9110, section 10.2.3): seconds, or a date.
fn wait(text: &str, now_s: i64) -> Option<Duration> {
    let text = text.trim();
    let seconds = text.parse::<u64>().ok().or_else(|| {
        let at = DateTime::parse_from_rfc2822(text).ok()?.timestamp();
        Some(u64::try_from(at.saturating_sub(now_s)).unwrap_or(0))
    })?;
    Some(Duration::from_secs(seconds).min(LONGEST_WAIT))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIDDLE: u32 = u32::MAX / 2;

    fn seconds(verdict: Verdict) -> (u64, Option<u64>) {
        match verdict {
            Verdict::Retry { after, silence } => (
                after.as_secs_f64().round() as u64,
                silence.map(|wait| wait.as_secs_f64().round() as u64),
            ),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn only_2xx_is_success() {
        for status in [200, 201, 202, 204, 299] {
            assert_eq!(judge(Some(status), None, 0, 0, 0), Verdict::Delivered);
        }
        for status in [100, 301, 302, 307, 308, 400, 401, 404, 409, 422, 500, 503] {
            let verdict = judge(Some(status), None, 0, 0, MIDDLE);
            assert_eq!(seconds(verdict), (5, None), "{status}");
        }
        assert_eq!(seconds(judge(None, None, 0, 1, MIDDLE)), (300, None));
    }

    #[test]
    fn gone_is_gone_at_once_and_the_last_attempt_is_the_last() {
        assert_eq!(judge(Some(410), None, 0, 0, 0), Verdict::Gone);
        for status in [None, Some(500), Some(429)] {
            assert_eq!(judge(status, Some("1"), 0, 9, 0), Verdict::Exhausted);
        }
        assert_eq!(judge(Some(204), None, 0, 9, 0), Verdict::Delivered);
    }

    #[test]
    fn who_is_overloaded_is_left_alone() {
        for status in [429, 502, 504] {
            let said = |text| seconds(judge(Some(status), text, 1_000, 0, MIDDLE));
            assert_eq!(said(None), (5, Some(5)));
            assert_eq!(said(Some("120")), (120, Some(120)));
            assert_eq!(said(Some("1")), (5, Some(1)));
            assert_eq!(said(Some("9999999")), (86_400, Some(86_400)));
            assert_eq!(said(Some("soon")), (5, Some(5)));
        }
        let late = judge(Some(429), None, 0, 3, MIDDLE);
        assert_eq!(seconds(late), (7_200, Some(30)));
        // 503 says when to come back, not that it is too much.
        let down = judge(Some(503), Some("60"), 0, 0, MIDDLE);
        assert_eq!(seconds(down), (60, None));
        // Others may say what they like.
        let other = judge(Some(500), Some("60"), 0, 0, MIDDLE);
        assert_eq!(seconds(other), (5, None));
    }

    #[test]
    fn dates_are_read_too() {
        // RFC 9110's own example.
        let now_s = 941_932_740;
        let said = |text, now_s| seconds(judge(Some(429), Some(text), now_s, 0, MIDDLE));
        let date = "Sun, 07 Nov 1999 00:00:00 GMT";
        assert_eq!(said(date, now_s), (60, Some(60)));
        assert_eq!(said(date, now_s + 1_000), (5, Some(0)));
    }
}
