//! Knowledge bases without I/O.
//!
//! - [`settings`]: how a base cuts, analyses and embeds, and what is wrong with such settings.
//! - [`split`]: texts into chunks whose places are exact.
//! - [`analysis`]: texts into terms, for BM25.
//! - [`vector`]: vectors as bytes, and as bits by which the near ones are found.
//! - [`filter`]: conditions on metadata, as jsonpath.
//! - [`rank`]: lists of candidates made one, and why each is where it is.
//! - [`sitemap`]: URLs of a sitemap.

pub mod analysis;
pub mod filter;
pub mod rank;
pub mod settings;
pub mod sitemap;
pub mod split;
pub mod vector;

/// Something that is wrong in an input: where (a JSON pointer below its root), a stable code, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// JSON pointer.
    pub pointer: String,
    /// Stable name of the rule.
    pub code: &'static str,
    /// For a person.
    pub detail: String,
}

impl Fault {
    pub(crate) fn new(
        pointer: impl Into<String>,
        code: &'static str,
        detail: impl Into<String>,
    ) -> Self {
        Self {
            pointer: pointer.into(),
            code,
            detail: detail.into(),
        }
    }
}

/// Most estimated tokens that a text has: a character of Latin script is a quarter of one, other letters a half, an ideograph
/// or kana a whole one. The models' own tokenisers are in one component alone (`nodeai-tokens`); this is for sizes.
pub fn estimated_tokens(text: &str) -> usize {
    text.chars().map(quarters).sum::<usize>().div_ceil(4)
}

/// A character's part of a token, in quarters.
pub(crate) fn quarters(c: char) -> usize {
    match c {
        _ if c.is_ascii() => 1,
        _ if analysis::is_unspaced(c) => 4,
        _ => 2,
    }
}
