//! Paths below a webhook's own: `orders/{id}` takes `orders/7` and gives `id` = `7`.

use serde_json::{Map, Value};

/// Most segments of a pattern.
pub const MOST_SEGMENTS: usize = 10;

/// A pattern that cannot be, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// An empty segment, or a slash at an end.
    #[error("segments are separated by one slash, with none before the first and after the last")]
    Empty,
    /// More than [`MOST_SEGMENTS`].
    #[error("a pattern has at most 10 segments")]
    TooMany,
    /// A literal with other characters.
    #[error("a segment has letters, digits and - . _ ~, or is a {{name}}")]
    Literal,
    /// A name with other characters.
    #[error("a name has small letters, digits and _, and begins with a letter")]
    Name,
    /// A name that is there twice.
    #[error("a name is there twice")]
    Twice,
}

/// A pattern that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(Vec<Segment>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Literal(String),
    Name(String),
}

impl Pattern {
    /// Reads a pattern; an empty one takes the webhook's own path alone.
    ///
    /// # Errors
    /// See [`enum@Error`].
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.is_empty() {
            return Ok(Self(Vec::new()));
        }
        let mut segments = Vec::new();
        for part in text.split('/') {
            let segment = segment(part)?;
            if matches!(segment, Segment::Name(_)) && segments.contains(&segment) {
                return Err(Error::Twice);
            }
            segments.push(segment);
        }
        match segments.len() <= MOST_SEGMENTS {
            true => Ok(Self(segments)),
            false => Err(Error::TooMany),
        }
    }

    /// The values of the names in a path, without a slash before it; `None` when it does not fit.
    pub fn find(&self, path: &str) -> Option<Map<String, Value>> {
        let given: Vec<&str> = match path.trim_end_matches('/') {
            "" => Vec::new(),
            path => path.split('/').collect(),
        };
        if given.len() != self.0.len() {
            return None;
        }
        let mut values = Map::new();
        for (segment, part) in self.0.iter().zip(given) {
            let part = decoded(part)?;
            match segment {
                Segment::Literal(text) if *text == part => {}
                Segment::Name(name) if !part.is_empty() => {
                    values.insert(name.clone(), Value::String(part));
                }
                _ => return None,
            }
        }
        Some(values)
    }
}

fn segment(part: &str) -> Result<Segment, Error> {
    let name = part
        .strip_prefix('{')
        .and_then(|part| part.strip_suffix('}'));
    if let Some(name) = name {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let begins = name.starts_with(|c: char| c.is_ascii_lowercase());
        return match begins && name.len() <= 50 && name.chars().all(plain) {
            true => Ok(Segment::Name(name.to_owned())),
            false => Err(Error::Name),
        };
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '~');
    match part {
        "" => Err(Error::Empty),
        "." | ".." => Err(Error::Literal),
        part if part.chars().all(plain) => Ok(Segment::Literal(part.to_owned())),
        _ => Err(Error::Literal),
    }
}

/// Percent-decoded once; `None` for what is not UTF-8 then.
fn decoded(part: &str) -> Option<String> {
    let decoded = percent_encoding::percent_decode_str(part).decode_utf8();
    decoded.ok().map(|text| text.replace('\0', "\u{fffd}"))
}
