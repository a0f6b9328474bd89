//! `builtin/hash`: a test model for vectors. It counts the words of a text by their hashes (the hashing trick: Weinberger et
//! al., "Feature Hashing for Large Scale Multitask Learning", 2009), so texts are near that share words. It knows no meaning.

use super::{Measured, Numbers, Rank, Work, read};
use crate::Usage;

/// How long its vectors are unless asked for otherwise.
pub const DIMENSIONS: u32 = 256;
/// How long they may be.
pub const MOST_DIMENSIONS: u32 = 4_096;

/// The answer. Tokens are words.
pub fn answer(work: &Work) -> Measured {
    let (numbers, tokens) = match work {
        Work::Embed {
            texts, dimensions, ..
        } => {
            let size = dimensions.unwrap_or(DIMENSIONS).clamp(1, MOST_DIMENSIONS);
            let vectors = texts.iter().map(|text| vector(text, size as usize));
            let tokens = texts.iter().map(|text| words(text).count()).sum();
            (Numbers::Vectors(vectors.collect()), tokens)
        }
        Work::Rerank {
            query,
            documents,
            top_n,
        } => {
            let tokens = |text: &String| words(text).count();
            let count = documents.iter().map(tokens).sum::<usize>() + tokens(query);
            (Numbers::Ranks(ranks(query, documents, *top_n)), count)
        }
    };
    Measured {
        numbers,
        model: Some("builtin/hash".to_owned()),
        usage: Some(Usage {
            prompt_tokens: i64::try_from(tokens).unwrap_or(i64::MAX),
            ..Usage::default()
        }),
    }
}

fn ranks(query: &str, documents: &[String], top_n: Option<usize>) -> Vec<Rank> {
    let size = DIMENSIONS as usize;
    let asked = vector(query, size);
    let scores = documents.iter().map(|document| {
        let found = vector(document, size);
        asked.iter().zip(&found).map(|(a, b)| a * b).sum::<f64>()
    });
    let ranks = scores.enumerate();
    let mut ranks: Vec<Rank> = ranks.map(|(index, score)| Rank { index, score }).collect();
    read::sort(&mut ranks);
    ranks.truncate(top_n.unwrap_or(documents.len()));
    ranks
}

/// Of length 1; of length 0 for a text without words.
fn vector(text: &str, size: usize) -> Vec<f64> {
    let mut vector = vec![0.0; size];
    for word in words(text) {
        let hash = fnv1a(&word);
        let sign = if hash >> 63 == 0 { 1.0 } else { -1.0 };
        let at = usize::try_from(hash % size as u64).unwrap_or(0);
        vector[at] += sign;
    }
    let length = vector.iter().map(|x| x * x).sum::<f64>().sqrt();
    if length > 0.0 {
        vector.iter_mut().for_each(|x| *x /= length);
    }
    vector
}

fn words(text: &str) -> impl Iterator<Item = String> {
    let words = text.split(|c: char| !c.is_alphanumeric());
    words.filter(|word| !word.is_empty()).map(str::to_lowercase)
}

/// FNV-1a, 64 bits (Fowler, Noll, Vo).
fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
