//! Which chunks an answer refers to: markers, and quotes by their longest common word n-gram.

use crate::query::{Cite, How};
use crate::words::{longest_common, words};

/// Words in a row that answer and chunk must share for a quote. Eight is where runs of common words, which any two texts
/// on one subject share, have become rare.
pub const QUOTE_WORDS: usize = 8;
/// Longest marker, bytes.
const LONGEST_MARKER: usize = 200;

/// A chunk that could be cited.
#[derive(Debug, Clone, Copy)]
pub struct Citable<'a> {
    pub chunk_id: &'a str,
    pub content: Option<&'a str>,
    /// Whether it is in the prompt; numbers count those alone.
    pub in_prompt: bool,
}

/// Citations of `answer`, in the order of `chunks` (those of the prompt first, in its order). Numbers begin with 1,
/// unless the prompt or the answer has a `[0]`.
pub fn cites(answer: &str, prompt: &str, chunks: &[Citable<'_>]) -> Vec<Cite> {
    let first = usize::from(!(prompt.contains("[0]") || answer.contains("[0]")));
    let numbered: Vec<&str> = chunks
        .iter()
        .filter(|c| c.in_prompt)
        .map(|c| c.chunk_id)
        .collect();
    let marked: Vec<(&str, &str)> = markers(answer)
        .into_iter()
        .filter_map(|marker| {
            let by_id = chunks.iter().find(|c| c.chunk_id == marker);
            let by_number = || {
                let place = number(marker)?.checked_sub(first)?;
                numbered.get(place).copied()
            };
            let id = by_id.map(|c| c.chunk_id).or_else(by_number)?;
            Some((id, marker))
        })
        .collect();
    let said = words(answer);
    let cite = |chunk: &Citable<'_>| {
        let marker = marked.iter().find(|(id, _)| *id == chunk.chunk_id);
        if let Some((_, marker)) = marker {
            return Some((How::Marker, Some(format!("[{marker}]")), None));
        }
        let longest = longest_common(&said, &words(chunk.content?), QUOTE_WORDS);
        (longest > 0).then_some((How::Quote, None, Some(longest)))
    };
    let all = chunks.iter().filter_map(|chunk| {
        let (how, marker, words) = cite(chunk)?;
        Some(Cite {
            chunk_id: chunk.chunk_id.to_owned(),
            how,
            marker,
            words,
        })
    });
    all.collect()
}

/// What stands in brackets, `[a, b]` as two; both kinds that models use.
fn markers(answer: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for (open, close) in [('[', ']'), ('【', '】')] {
        for (at, _) in answer.match_indices(open) {
            let inner = &answer[at + open.len_utf8()..];
            let Some(end) = inner.find(close).filter(|end| *end <= LONGEST_MARKER) else {
                continue;
            };
            let parts = inner[..end].split([',', ';']);
            found.extend(parts.map(trimmed).filter(|part| !part.is_empty()));
            found.extend(Some(trimmed(&inner[..end])).filter(|all| all.contains([',', ';'])));
        }
    }
    found
}

/// Without what stands around an id: footnote signs, and what follows a dagger (`1†source`).
fn trimmed(part: &str) -> &str {
    let part = part.split('†').next().unwrap_or_default();
    part.trim().trim_start_matches(['^', '#']).trim()
}

/// `2`, `source 2`, `doc 2`.
fn number(marker: &str) -> Option<usize> {
    let (word, last) = marker.rsplit_once(' ').unwrap_or(("", marker));
    let known = [
        "", "doc", "document", "source", "chunk", "ref", "passage", "context",
    ];
    let fits = known.contains(&word.trim().to_lowercase().as_str());
    fits.then(|| last.parse().ok()).flatten()
}
