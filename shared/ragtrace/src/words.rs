//! Texts as words.

use std::collections::HashMap;

/// Most words of a text that are compared.
const MOST_WORDS: usize = 20_000;
/// Words of a run that are counted.
const LONGEST_RUN: usize = 512;

/// Blanks made one, none at the ends.
pub fn one_blank(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Words in lower case: runs of letters and digits.
pub fn words(text: &str) -> Vec<String> {
    let parts = text
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty());
    parts.take(MOST_WORDS).map(str::to_lowercase).collect()
}

/// Words of the longest run that both have, if it has at least `least`; 0 otherwise. Runs are found by their first
/// `least` words and grown from there, up to 512.
pub fn longest_common(a: &[String], b: &[String], least: usize) -> usize {
    if least == 0 || a.len() < least || b.len() < least {
        return 0;
    }
    let mut places: HashMap<&[String], Vec<usize>> = HashMap::new();
    for (at, gram) in a.windows(least).enumerate() {
        let at_gram = places.entry(gram).or_default();
        // A text that repeats itself a thousand times says nothing more the seventeenth time.
        if at_gram.len() < 16 {
            at_gram.push(at);
        }
    }
    let mut longest = 0;
    for (at_b, gram) in b.windows(least).enumerate() {
        for &at_a in places.get(gram).into_iter().flatten() {
            // What goes on from a word before was grown from there.
            let goes_on = at_a > 0 && at_b > 0 && a[at_a - 1] == b[at_b - 1];
            if !goes_on {
                longest = longest.max(grow(&a[at_a..], &b[at_b..]));
            }
        }
    }
    longest
}

fn grow(a: &[String], b: &[String]) -> usize {
    let both = a.iter().zip(b).take(LONGEST_RUN);
    both.take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_common_run_is_found() {
        let of = |a: &str, b: &str| longest_common(&words(a), &words(b), 3);
        assert_eq!(of("a b c d e", "x a b c d y"), 4);
        assert_eq!(
            of("a b c x a b c d", "a b c d"),
            4,
            "the second place is longer"
        );
        assert_eq!(of("A, b: C!", "a b c"), 3);
        assert_eq!(of("a b", "a b"), 0);
        assert_eq!(of("", "a b c"), 0);
        assert_eq!(of("a b x c", "a b c"), 0);
    }
}
