//! Regular expressions: linear in the text, bounded in size. Classes are those of ASCII; there are no look-arounds.

pub(super) use regex_lite::Regex as Pattern;
use regex_lite::RegexBuilder;

use crate::log::NodeError;

/// Most characters of a pattern.
const LONGEST: usize = 2_000;
/// Least and most bytes of a compiled pattern, and the product of its size and the text's: matching may take that long.
const SMALLEST: usize = 8 * 1024;
const LARGEST: usize = 256 * 1024;
const MOST_WORK: u64 = 16 * 1024 * 1024 * 1024;

/// Compiles a pattern, named by its field, for a text of so many bytes.
pub(super) fn compile(
    field: &str,
    text: &str,
    ignore_case: bool,
    length: usize,
) -> Result<Pattern, NodeError> {
    if text.len() > LONGEST {
        return Err(NodeError::config(format!(
            "/{field}: the pattern is longer than {LONGEST} characters"
        )));
    }
    let size = usize::try_from(MOST_WORK / length.max(1) as u64).unwrap_or(LARGEST);
    let built = RegexBuilder::new(text)
        .case_insensitive(ignore_case)
        .size_limit(size.clamp(SMALLEST, LARGEST))
        .nest_limit(50)
        .build();
    built.map_err(|error| NodeError::config(format!("/{field}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_patterns_are_refused() {
        assert!(compile("p", "a{1000}{1000}", false, 0).is_err());
        assert!(compile("p", &"a".repeat(LONGEST + 1), false, 0).is_err());
        assert!(compile("p", &"(".repeat(60), false, 0).is_err());
        assert!(
            compile("p", "(?i)[a-z]+", false, 0)
                .expect("fine")
                .is_match("ABC")
        );
    }

    #[test]
    fn patterns_that_hang_others_do_not_hang() {
        let pattern = compile("p", "(a+)+$", false, 0).expect("fine");
        assert!(!pattern.is_match(&format!("{}b", "a".repeat(20_000))));
    }
}
