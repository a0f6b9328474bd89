//! By what a run's spans are found and counted, as a request says it.

use nodeai_engine::Labels;
use nodeai_http::{Checker, FieldError};
use schemars::JsonSchema;
use serde::Deserialize;

/// Longest of the texts, characters.
const LONGEST: usize = 200;
/// Longest tag, characters, and most of them: as in spans that clients send.
const LONGEST_TAG: usize = 100;
const MOST_TAGS: usize = 50;

/// What the caller says of a run, for its trace: searches, breakdowns of costs and metrics go by it.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TraceInput {
    /// The session or conversation that it belongs to: 1 to 200 characters.
    #[serde(default)]
    pub session_id: Option<String>,
    /// Your own user for whom it is made: 1 to 200 characters.
    #[serde(default)]
    pub end_user: Option<String>,
    /// Words to find it by, at most 50 of 1 to 100 characters each, such as a customer's name.
    #[serde(default)]
    pub tags: Vec<String>,
    /// The version of the prompt that it is made with: 1 to 200 characters.
    #[serde(default)]
    pub prompt_version: Option<String>,
}

impl TraceInput {
    /// Reports what is too long, too short or too many.
    pub fn check(&self, c: &mut Checker) {
        let texts = [
            ("session_id", &self.session_id),
            ("end_user", &self.end_user),
            ("prompt_version", &self.prompt_version),
        ];
        for (name, text) in texts {
            if let Some(text) = text {
                c.length(text, 1, LONGEST, &format!("/trace/{name}"));
            }
        }
        if self.tags.len() > MOST_TAGS {
            c.report(FieldError::body("/trace/tags", "too_many", "at most 50"));
        }
        for (at, tag) in self.tags.iter().enumerate() {
            c.length(tag, 1, LONGEST_TAG, &format!("/trace/tags/{at}"));
        }
    }

    /// As the engine takes them.
    pub fn labels(self) -> Labels {
        let mut tags = self.tags;
        tags.sort();
        tags.dedup();
        Labels {
            session_id: self.session_id,
            end_user: self.end_user,
            tags,
            prompt_version: self.prompt_version,
        }
    }
}
