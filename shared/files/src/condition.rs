//! Conditional requests (RFC 9110, section 13), in the order of section 13.2.2.

use std::time::{Duration, UNIX_EPOCH};

/// The condition fields of a request.
#[derive(Debug, Clone, Copy, Default)]
pub struct Conditions<'a> {
    /// `If-Match`
    pub if_match: Option<&'a str>,
    /// `If-None-Match`
    pub if_none_match: Option<&'a str>,
    /// `If-Modified-Since`
    pub if_modified_since: Option<&'a str>,
    /// `If-Unmodified-Since`
    pub if_unmodified_since: Option<&'a str>,
    /// `If-Range`
    pub if_range: Option<&'a str>,
}

/// What a request with its conditions gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// What it asks for; `ranges`: whether its `Range` counts.
    Go {
        /// `If-Range` holds, or is not there.
        ranges: bool,
    },
    /// 304.
    NotModified,
    /// 412.
    Failed,
}

/// Seconds since the epoch as an HTTP date.
pub fn http_date(seconds: u64) -> String {
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds))
}

fn seconds(date: &str) -> Option<u64> {
    let since = httpdate::parse_http_date(date)
        .ok()?
        .duration_since(UNIX_EPOCH);
    since.ok().map(|d| d.as_secs())
}

impl Conditions<'_> {
    /// Asks about a representation with the strong `etag` (with its quotes), changed last at `modified` (seconds).
    pub fn ask(&self, etag: &str, modified: u64) -> Verdict {
        let later = |date: &str| seconds(date).is_some_and(|at| modified > at);
        let failed = match (self.if_match, self.if_unmodified_since) {
            (Some(tags), _) => !matches(tags, etag, false),
            (None, Some(date)) => later(date),
            (None, None) => false,
        };
        if failed {
            return Verdict::Failed;
        }
        let same = match (self.if_none_match, self.if_modified_since) {
            (Some(tags), _) => matches(tags, etag, true),
            // A date that cannot be read is ignored.
            (None, Some(date)) => seconds(date).is_some() && !later(date),
            (None, None) => false,
        };
        if same {
            return Verdict::NotModified;
        }
        let ranges = match self.if_range {
            None => true,
            Some(tag) if tag.starts_with(['"', 'W']) => tag.trim() == etag,
            Some(date) => seconds(date) == Some(modified),
        };
        Verdict::Go { ranges }
    }
}

/// Whether a list of entity tags has `etag`; weak ones count where `weakly`.
fn matches(list: &str, etag: &str, weakly: bool) -> bool {
    list.split(',').map(str::trim).any(|tag| {
        let strong = tag.strip_prefix("W/");
        tag == "*" || tag == etag || weakly && strong == Some(etag)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAG: &str = "\"abc\"";
    const AT: u64 = 784_111_777; // Sun, 06 Nov 1994 08:49:37 GMT
    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";

    fn go() -> Verdict {
        Verdict::Go { ranges: true }
    }

    #[test]
    fn dates_are_written_as_they_are_read() {
        assert_eq!(http_date(AT), DATE);
        assert_eq!(seconds(DATE), Some(AT));
    }

    #[test]
    fn tags_come_before_dates() {
        let ask = |if_none_match, if_modified_since| {
            Conditions {
                if_none_match,
                if_modified_since,
                ..Conditions::default()
            }
            .ask(TAG, AT)
        };
        assert_eq!(ask(Some("\"x\", W/\"abc\""), None), Verdict::NotModified);
        assert_eq!(ask(Some("*"), None), Verdict::NotModified);
        assert_eq!(ask(Some("\"x\""), Some(DATE)), go());
        assert_eq!(ask(None, Some(DATE)), Verdict::NotModified);
        assert_eq!(ask(None, Some(BEFORE)), go());
        assert_eq!(ask(None, Some("yesterday")), go());
    }

    #[test]
    fn preconditions_are_strong() {
        let ask = |if_match, if_unmodified_since| {
            Conditions {
                if_match,
                if_unmodified_since,
                ..Conditions::default()
            }
            .ask(TAG, AT)
        };
        assert_eq!(ask(Some(TAG), Some(BEFORE)), go());
        assert_eq!(ask(Some("W/\"abc\""), None), Verdict::Failed);
        assert_eq!(ask(None, Some(BEFORE)), Verdict::Failed);
        assert_eq!(ask(None, Some(DATE)), go());
    }

    #[test]
    fn a_range_of_another_version_is_the_whole() {
        let ask = |if_range| {
            Conditions {
                if_range: Some(if_range),
                ..Conditions::default()
            }
            .ask(TAG, AT)
        };
        assert_eq!(ask(TAG), go());
        assert_eq!(ask(DATE), go());
        for other in ["\"x\"", "W/\"abc\"", BEFORE, "nonsense"] {
            assert_eq!(ask(other), Verdict::Go { ranges: false }, "{other}");
        }
    }
}
