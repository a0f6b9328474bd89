//! `Range` with one range of bytes (RFC 9110, section 14). Several ranges in one request are answered with the whole, which the
//! RFC allows.

/// The bytes that are asked for, of a file of a known size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// All of it.
    Whole,
    /// From `first` to `last`, both within the file.
    Part {
        /// First byte.
        first: u64,
        /// Last byte.
        last: u64,
    },
    /// Nothing that the file has: 416.
    Nothing,
}

/// What `value` asks for of `size` bytes. What cannot be read, is in another unit, or lists several ranges counts as not there.
pub fn asked(value: Option<&str>, size: u64) -> Asked {
    value
        .and_then(|text| one_range(text, size))
        .unwrap_or(Asked::Whole)
}

fn one_range(text: &str, size: u64) -> Option<Asked> {
    let (unit, set) = text.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") || set.contains(',') {
        return None;
    }
    let (first, last) = set.trim().split_once('-')?;
    let number = |text: &str| match text {
        "" => Some(None),
        digits if digits.bytes().all(|b| b.is_ascii_digit()) => {
            // More digits than a number has is past every file's end.
            Some(Some(digits.parse().unwrap_or(u64::MAX)))
        }
        _ => None,
    };
    Some(match (number(first)?, number(last)?) {
        (None, None) => return None,
        (None, Some(0)) => Asked::Nothing,
        (None, Some(_)) if size == 0 => Asked::Nothing,
        (None, Some(suffix)) => Asked::Part {
            first: size.saturating_sub(suffix),
            last: size - 1,
        },
        (Some(first), Some(last)) if last < first => return None,
        (Some(first), _) if first >= size => Asked::Nothing,
        (Some(first), last) => Asked::Part {
            first,
            last: last.unwrap_or(u64::MAX).min(size - 1),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(first: u64, last: u64) -> Asked {
        Asked::Part { first, last }
    }

    #[test]
    fn the_examples_of_rfc_9110() {
        // Section 14.1.2: a representation of 10000 bytes.
        for (range, want) in [
            ("bytes=0-499", part(0, 499)),
            ("bytes=500-999", part(500, 999)),
            ("bytes=-500", part(9500, 9999)),
            ("bytes=9500-", part(9500, 9999)),
        ] {
            assert_eq!(asked(Some(range), 10_000), want, "{range}");
        }
    }

    #[test]
    fn ends_are_cut_and_what_is_past_the_end_is_nothing() {
        assert_eq!(asked(Some("bytes=5-99999999999999999999"), 10), part(5, 9));
        assert_eq!(asked(Some("bytes=-100"), 10), part(0, 9));
        for nothing in ["bytes=10-", "bytes=99999999999999999999-", "bytes=-0"] {
            assert_eq!(asked(Some(nothing), 10), Asked::Nothing, "{nothing}");
        }
        assert_eq!(asked(Some("bytes=0-0"), 0), Asked::Nothing);
        assert_eq!(asked(Some("bytes=-1"), 0), Asked::Nothing);
    }

    #[test]
    fn what_is_no_single_range_is_ignored() {
        for odd in [
            "bytes=0-1,5-6",
            "lines=1-2",
            "bytes=a-b",
            "bytes=5-1",
            "bytes=-",
            "bytes",
            "bytes=+1-2",
        ] {
            assert_eq!(asked(Some(odd), 10), Asked::Whole, "{odd}");
        }
        assert_eq!(asked(None, 10), Asked::Whole);
    }
}
