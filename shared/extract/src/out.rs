//! A text that grows up to its limit, and the sections of it.

use crate::{Extracted, Limits, Section};

/// A text in the making.
pub(crate) struct Out {
    text: String,
    characters: usize,
    most: usize,
    sections: Vec<Section>,
    truncated: bool,
}

impl Out {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            text: String::new(),
            characters: 0,
            most: limits.characters,
            sections: Vec::new(),
            truncated: false,
        }
    }

    /// Adds text; what is too much is left out.
    pub(crate) fn push(&mut self, text: &str) {
        let room = self.most - self.characters;
        let fitting = match text.char_indices().nth(room) {
            Some((at, _)) => &text[..at],
            None => text,
        };
        self.truncated |= fitting.len() < text.len();
        self.characters += fitting.chars().count();
        self.text.push_str(fitting);
    }

    /// Ends the line, if there is one.
    pub(crate) fn end_line(&mut self) {
        if !self.text.is_empty() && !self.text.ends_with('\n') {
            self.push("\n");
        }
    }

    /// Keeps what comes next apart from what is there.
    pub(crate) fn space(&mut self) {
        if !self.text.is_empty() && !self.text.ends_with(char::is_whitespace) {
            self.push(" ");
        }
    }

    /// Whether the limit is reached: going on would add nothing.
    pub(crate) fn is_full(&self) -> bool {
        self.truncated
    }

    pub(crate) fn is_blank(&self) -> bool {
        self.text.trim().is_empty()
    }

    /// Characters so far.
    pub(crate) fn at(&self) -> usize {
        self.characters
    }

    /// Notes a part that began at `start` and ends here. A heading goes on to the next one of its level or above, as
    /// [`Out::finish`] sees.
    pub(crate) fn section(&mut self, kind: &str, title: &str, level: Option<u8>, start: usize) {
        self.sections.push(Section {
            kind: kind.to_owned(),
            title: title.trim().to_owned(),
            level,
            start,
            end: self.characters,
        });
    }

    pub(crate) fn finish(mut self, format: &str) -> Extracted {
        for i in 0..self.sections.len() {
            let Some(level) = self.sections[i].level else {
                continue;
            };
            let later = self.sections[i + 1..].iter();
            let next = later.clone().find(|s| s.level.is_some_and(|l| l <= level));
            self.sections[i].end = next.map_or(self.characters, |next| next.start);
        }
        Extracted {
            format: format.to_owned(),
            text: self.text,
            sections: self.sections,
            truncated: self.truncated,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters() {
        let limits = Limits {
            characters: 3,
            ..Limits::default()
        };
        let mut out = Out::new(limits);
        out.push("aä");
        assert!(!out.is_full());
        out.push("öx");
        assert!(out.is_full());
        let done = out.finish("text");
        assert_eq!((done.text.as_str(), done.truncated), ("aäö", true));
    }

    #[test]
    fn a_heading_goes_on_to_the_next_of_its_level() {
        let mut out = Out::new(Limits::default());
        for (title, level) in [("A", 1), ("B", 2), ("C", 2), ("D", 1)] {
            let start = out.at();
            out.push(title);
            out.section("heading", title, Some(level), start);
        }
        let ends: Vec<usize> = out.finish("text").sections.iter().map(|s| s.end).collect();
        assert_eq!(ends, [3, 2, 3, 4]);
    }
}
