//! Texts whose words are as frequent as words are: by Zipf's law, with Mandelbrot's correction for the first of them.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// Different words.
const WORDS: usize = 50_000;
/// By which places of the first words are moved (Mandelbrot, 1953).
const SHIFT: f64 = 2.7;

/// The vocabulary.
pub struct Corpus {
    words: Vec<String>,
    /// Sums of the frequencies up to each word.
    sums: Vec<f64>,
}

impl Corpus {
    /// The vocabulary, the same each time.
    pub fn new() -> Self {
        let mut sum = 0.0;
        let sums = (1..=WORDS).map(|rank| {
            sum += 1.0 / (rank as f64 + SHIFT);
            sum
        });
        Self {
            sums: sums.collect(),
            words: (0..WORDS).map(word).collect(),
        }
    }

    /// A word as texts have it.
    fn usual(&self, random: &mut StdRng) -> &str {
        let whole = self.sums.last().copied().unwrap_or_default();
        let drawn = random.gen_range(0.0..whole);
        let at = self.sums.partition_point(|sum| *sum <= drawn);
        &self.words[at.min(WORDS - 1)]
    }

    /// A word whose rank has any order of magnitude.
    fn any(&self, random: &mut StdRng) -> &str {
        let rank = (WORDS as f64).powf(random.gen_range(0.0..1.0));
        &self.words[(rank as usize).min(WORDS - 1)]
    }

    /// A chunk's text: 60 to 120 words.
    pub fn text(&self, random: &mut StdRng) -> String {
        let count = random.gen_range(60..=120);
        let words: Vec<&str> = (0..count).map(|_| self.usual(random)).collect();
        words.join(" ")
    }

    /// Questions of 2 to 6 words: every other one in the words of texts, which are frequent ones, the others in frequent and rare ones.
    pub fn questions(&self, count: usize) -> Vec<String> {
        let mut random = StdRng::seed_from_u64(7);
        let mut question = |i: usize| {
            let length = random.gen_range(2..=6);
            let words: Vec<&str> = (0..length)
                .map(|_| match i % 2 {
                    0 => self.usual(&mut random),
                    _ => self.any(&mut random),
                })
                .collect();
            words.join(" ")
        };
        (0..count).map(&mut question).collect()
    }
}

/// Letters for a number; each number has its own.
fn word(number: usize) -> String {
    let mut rest = number + 26;
    let mut letters = Vec::new();
    while rest > 0 {
        letters.push(char::from(b'a' + (rest % 26) as u8));
        rest /= 26;
    }
    letters.into_iter().collect()
}
