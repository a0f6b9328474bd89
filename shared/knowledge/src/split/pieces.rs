//! Pieces that are small enough, and neighbours of them put together again. Places are bytes.

use crate::quarters;
use crate::settings::Unit;
use std::collections::VecDeque;
use std::ops::Range;
use unicode_segmentation::UnicodeSegmentation;

/// Where a text may be cut, the best places first.
#[derive(Clone, Copy)]
enum Level {
    Paragraph,
    Line,
    Sentence,
    Word,
    Character,
}

impl Level {
    fn next(self) -> Option<Self> {
        Some(match self {
            Self::Paragraph => Self::Line,
            Self::Line => Self::Sentence,
            Self::Sentence => Self::Word,
            Self::Word => Self::Character,
            Self::Character => return None,
        })
    }

    /// Pieces that together are the whole of it.
    fn cut(self, text: &str, within: Range<usize>) -> Vec<Range<usize>> {
        let part = &text[within.clone()];
        let ends: Vec<usize> = match self {
            Self::Paragraph => part
                .match_indices("\n\n")
                .map(|(at, m)| at + m.len())
                .collect(),
            Self::Line => part
                .match_indices('\n')
                .map(|(at, m)| at + m.len())
                .collect(),
            Self::Sentence => part
                .split_sentence_bound_indices()
                .map(|(at, s)| at + s.len())
                .collect(),
            Self::Word => part
                .split_word_bound_indices()
                .map(|(at, s)| at + s.len())
                .collect(),
            Self::Character => part
                .grapheme_indices(true)
                .map(|(at, s)| at + s.len())
                .collect(),
        };
        between(within, ends)
    }
}

fn between(within: Range<usize>, ends: Vec<usize>) -> Vec<Range<usize>> {
    let mut pieces = Vec::with_capacity(ends.len() + 1);
    let mut from = within.start;
    let ends = ends.into_iter().map(|end| within.start + end);
    for end in ends.chain([within.end]) {
        if end > from {
            pieces.push(from..end);
            from = end;
        }
    }
    pieces
}

/// How big a text is, in quarters of a unit, so that sums are exact.
fn measure(text: &str, unit: Unit) -> usize {
    match unit {
        Unit::Characters => text.chars().count() * 4,
        Unit::Tokens => text.chars().map(quarters).sum(),
    }
}

/// Pieces of at most `size`, cut at the best places that there are; together they are the whole.
pub(super) fn pieces(
    text: &str,
    within: Range<usize>,
    unit: Unit,
    size: usize,
) -> Vec<Range<usize>> {
    let mut done = Vec::new();
    let mut open = vec![(within, Some(Level::Paragraph))];
    while let Some((piece, level)) = open.pop() {
        let small = measure(&text[piece.clone()], unit) <= size * 4;
        match level {
            Some(level) if !small => {
                let next = level.next();
                let cut = level.cut(text, piece);
                open.extend(cut.into_iter().rev().map(|piece| (piece, next)));
            }
            _ if small => done.push(piece),
            // A single character with more marks on it than fit.
            _ => {
                let ends = text[piece.clone()]
                    .char_indices()
                    .map(|(at, c)| at + c.len_utf8());
                let ends: Vec<usize> = ends.collect();
                done.extend(between(piece, ends));
            }
        }
    }
    done
}

/// Words and what is between them, those that are too long in characters.
pub(super) fn words(
    text: &str,
    within: Range<usize>,
    unit: Unit,
    size: usize,
) -> Vec<Range<usize>> {
    let words = Level::Word.cut(text, within);
    let small = words
        .into_iter()
        .flat_map(|word| pieces(text, word, unit, size));
    small.collect()
}

/// Neighbours put together while they are at most `size`; each begins with what the one before ended with, as whole pieces of
/// at most `overlap`. Blanks around are left out, and what is blank is no chunk.
pub(super) fn merge(
    text: &str,
    pieces: &[Range<usize>],
    unit: Unit,
    size: usize,
    overlap: usize,
) -> Vec<Range<usize>> {
    let (size, overlap) = (size * 4, overlap * 4);
    let mut merged: Vec<Range<usize>> = Vec::new();
    let mut held: VecDeque<(Range<usize>, usize)> = VecDeque::new();
    let mut sum = 0;
    let mut fresh = false;
    let give = |held: &VecDeque<(Range<usize>, usize)>, merged: &mut Vec<Range<usize>>| {
        if let (Some((first, _)), Some((last, _))) = (held.front(), held.back())
            && let Some(place) = trimmed(text, first.start..last.end)
            && merged.last().is_none_or(|before| before.end < place.end)
        {
            merged.push(place);
        }
    };
    for piece in pieces {
        let weight = measure(&text[piece.clone()], unit);
        if sum + weight > size && fresh {
            give(&held, &mut merged);
            while sum > overlap || (sum + weight > size && sum > 0) {
                let Some((_, weight)) = held.pop_front() else {
                    break;
                };
                sum -= weight;
            }
        }
        held.push_back((piece.clone(), weight));
        sum += weight;
        fresh = true;
    }
    if fresh {
        give(&held, &mut merged);
    }
    merged
}

/// Without blanks around; none when there is nothing else.
pub(super) fn trimmed(text: &str, place: Range<usize>) -> Option<Range<usize>> {
    let part = &text[place.clone()];
    let start = place.start + (part.len() - part.trim_start().len());
    let end = place.start + part.trim_end().len();
    (start < end).then_some(start..end)
}
