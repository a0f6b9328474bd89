//! A fault in a document or in a run's inputs: where it is, a stable code, and words.

use serde::{Deserialize, Serialize};

/// One fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// JSON pointer (RFC 6901) into the document, such as `/nodes/3/data/prompt`.
    pub pointer: String,
    /// What is wrong, for programs.
    pub code: String,
    /// What is wrong and what would be right, for people.
    pub message: String,
}

/// No document has use for more; the rest would only repeat them.
pub(crate) const MOST_FAULTS: usize = 100;

/// Collects faults up to a limit.
#[derive(Debug, Default)]
pub(crate) struct Faults(Vec<Fault>);

impl Faults {
    pub(crate) fn add(
        &mut self,
        pointer: impl Into<String>,
        code: &str,
        message: impl Into<String>,
    ) {
        let (pointer, message) = (pointer.into(), message.into());
        let known = self
            .0
            .iter()
            .any(|fault| fault.pointer == pointer && fault.message == message);
        if !known && self.0.len() < MOST_FAULTS {
            self.0.push(Fault {
                pointer,
                code: code.to_owned(),
                message,
            });
        }
    }

    pub(crate) fn full(&self) -> bool {
        self.0.len() >= MOST_FAULTS
    }

    pub(crate) fn none(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether there is one with any of these codes.
    pub(crate) fn any(&self, codes: &[&str]) -> bool {
        self.0
            .iter()
            .any(|fault| codes.contains(&fault.code.as_str()))
    }

    /// `Ok` if nothing was found.
    pub(crate) fn into_result<T>(self, good: T) -> Result<T, Vec<Fault>> {
        if self.0.is_empty() {
            Ok(good)
        } else {
            Err(self.0)
        }
    }

    pub(crate) fn into_vec(self) -> Vec<Fault> {
        self.0
    }
}

/// Escapes one reference token of a JSON pointer.
pub(crate) fn token(text: &str) -> String {
    text.replace('~', "~0").replace('/', "~1")
}
