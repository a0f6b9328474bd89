//! Texts into chunks. Places count characters (Unicode code points): the characters from `start` to `end` of the text are
//! exactly the chunk.

mod markdown;
mod pieces;
pub mod semantic;
#[cfg(test)]
mod tests;

use crate::settings::{Chunking, Strategy};
use serde_json::{Map, Value, json};
use std::ops::Range;
use unicode_segmentation::UnicodeSegmentation;

/// Most chunks of a document.
pub const MOST_CHUNKS: usize = 50_000;

/// A part of a text.
#[derive(Debug, Clone, PartialEq)]
pub struct Chunk {
    /// Its place in the text, characters.
    pub place: Range<usize>,
    /// What it says.
    pub text: String,
    /// What it belongs to, and which one of those that is.
    pub parent: Option<(usize, Range<usize>)>,
    /// What is known of it: `headings`, the way to it in a document with sections.
    pub metadata: Map<String, Value>,
}

/// A part of a text while places are bytes.
#[derive(Debug, Clone)]
struct Part {
    place: Range<usize>,
    parent: Option<(usize, Range<usize>)>,
    headings: Vec<String>,
}

/// Cuts a text. `semantic` needs vectors: [`semantic::Sentences`] cuts by them, this as `recursive`.
pub fn split(text: &str, how: &Chunking) -> Vec<Chunk> {
    let parts = match how.strategy {
        Strategy::Sentence => sentences(text, how),
        _ => match how.parent_size {
            Some(size) => families(text, how, size),
            None => cut(text, 0..text.len(), how, how.size, how.overlap),
        },
    };
    in_characters(text, parts)
}

fn cut(text: &str, within: Range<usize>, how: &Chunking, size: usize, overlap: usize) -> Vec<Part> {
    let plain = |within: Range<usize>, headings: &[String]| {
        let pieces = match how.strategy {
            Strategy::Token => pieces::words(text, within, how.unit, size),
            _ => pieces::pieces(text, within, how.unit, size),
        };
        let merged = pieces::merge(text, &pieces, how.unit, size, overlap);
        let part = |place| Part {
            place,
            parent: None,
            headings: headings.to_vec(),
        };
        merged.into_iter().map(part).collect::<Vec<_>>()
    };
    match how.strategy {
        Strategy::Markdown => {
            let sections = markdown::sections(text);
            let inside = sections.into_iter().filter_map(|section| {
                let place =
                    section.place.start.max(within.start)..section.place.end.min(within.end);
                (place.start < place.end).then_some((place, section.headings))
            });
            inside
                .flat_map(|(place, headings)| plain(place, &headings))
                .collect()
        }
        _ => plain(within, &[]),
    }
}

/// Parents, and the chunks of each.
fn families(text: &str, how: &Chunking, size: usize) -> Vec<Part> {
    let parents = cut(text, 0..text.len(), how, size, 0);
    // A parent lies within a section already: the whole need not be read again for each.
    let within = Chunking {
        strategy: match how.strategy {
            Strategy::Markdown => Strategy::Recursive,
            other => other,
        },
        ..how.clone()
    };
    let children = parents
        .into_iter()
        .enumerate()
        .flat_map(|(number, parent)| {
            let place = parent.place.clone();
            let children = cut(text, place, &within, how.size, how.overlap);
            children.into_iter().map(move |child| Part {
                parent: Some((number, parent.place.clone())),
                headings: parent.headings.clone(),
                ..child
            })
        });
    children.collect()
}

/// A chunk for each sentence (in pieces where it is too long), with those around it as its parent.
fn sentences(text: &str, how: &Chunking) -> Vec<Part> {
    let all: Vec<Range<usize>> = text
        .split_sentence_bound_indices()
        .filter_map(|(at, sentence)| pieces::trimmed(text, at..at + sentence.len()))
        .collect();
    let mut parts = Vec::with_capacity(all.len());
    for (i, sentence) in all.iter().enumerate() {
        let first = &all[i.saturating_sub(how.window)];
        let last = &all[(i + how.window).min(all.len() - 1)];
        let pieces = pieces::pieces(text, sentence.clone(), how.unit, how.size);
        let pieces = pieces::merge(text, &pieces, how.unit, how.size, 0);
        parts.extend(pieces.into_iter().map(|place| Part {
            place,
            parent: Some((i, first.start..last.end)),
            headings: Vec::new(),
        }));
    }
    parts
}

/// Bytes into characters, in one walk over the text.
fn in_characters(text: &str, parts: Vec<Part>) -> Vec<Chunk> {
    let mut wanted: Vec<usize> = parts
        .iter()
        .flat_map(|part| {
            let parent = part
                .parent
                .iter()
                .flat_map(|(_, place)| [place.start, place.end]);
            [part.place.start, part.place.end].into_iter().chain(parent)
        })
        .collect();
    wanted.sort_unstable();
    wanted.dedup();
    let mut places = Vec::with_capacity(wanted.len());
    let (mut bytes, mut characters) = (0, 0);
    for at in &wanted {
        characters += text[bytes..*at].chars().count();
        bytes = *at;
        places.push(characters);
    }
    let place = |at: usize| wanted.binary_search(&at).map_or(0, |i| places[i]);
    let range = |range: &Range<usize>| place(range.start)..place(range.end);
    let chunk = |part: Part| {
        let mut metadata = Map::new();
        if !part.headings.is_empty() {
            metadata.insert("headings".to_owned(), json!(part.headings));
        }
        Chunk {
            place: range(&part.place),
            text: text[part.place.clone()].to_owned(),
            parent: part
                .parent
                .as_ref()
                .map(|(number, place)| (*number, range(place))),
            metadata,
        }
    };
    parts.into_iter().map(chunk).collect()
}
