//! Version ETags (RFC 9110): strong, `"v<version>"`.

use crate::problem::Problem;

/// The ETag of version `version`.
pub fn of(version: i64) -> String {
    format!("\"v{version}\"")
}

/// The version that an `If-Match` value asks for; `None` for `*` (any version).
///
/// Errors: 400 when the value is not one of our ETags.
pub fn parse_if_match(value: &str) -> Result<Option<i64>, Problem> {
    let value = value.trim();
    if value == "*" {
        return Ok(None);
    }
    value
        .strip_prefix("\"v")
        .and_then(|rest| rest.strip_suffix('"'))
        .and_then(|digits| digits.parse().ok())
        .map(Some)
        .ok_or_else(|| {
            Problem::invalid_input("If-Match must be an ETag of this resource, such as \"v3\"")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_etag_reads_back_as_its_version() {
        assert_eq!(parse_if_match(&of(7)).unwrap(), Some(7));
        assert_eq!(parse_if_match("*").unwrap(), None);
    }

    #[test]
    fn foreign_and_weak_etags_are_refused() {
        for bad in ["W/\"v3\"", "v3", "\"3\"", "\"v3\", \"v4\"", ""] {
            assert_eq!(parse_if_match(bad).unwrap_err().status, 400, "{bad}");
        }
    }
}
