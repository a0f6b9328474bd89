//! What a run of the target came to: the answer, the contexts that it rests on, what was retrieved.

use nodeai_rag::metrics::Hit;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Most contexts that count, and characters of one.
pub const MOST_CONTEXTS: usize = 20;
const LONGEST: usize = 20_000;
/// Where a context's text is, and its id, when it is an object.
const TEXTS: [&str; 6] = [
    "text",
    "content",
    "page_content",
    "body",
    "chunk",
    "snippet",
];
const IDS: [&str; 5] = ["id", "chunk_id", "document_id", "doc_id", "source"];

/// Where things are among the outputs of a run, as JSON pointers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Places {
    /// The answer; the only output unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// The contexts: texts, or objects with a `text` (or `content`, …) and maybe an `id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contexts: Option<String>,
    /// What was retrieved, best first: ids, or objects with an `id` and maybe a `score`; the ids of the contexts unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retrieved: Option<String>,
}

/// An answer with what it rests on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Answered {
    /// The answer: any value.
    pub answer: Value,
    /// The texts that it rests on; null when they are not known.
    #[serde(default)]
    pub contexts: Option<Vec<String>>,
    /// Ids of what was retrieved, best first; null when they are not known.
    #[serde(default)]
    pub retrieved: Option<Vec<String>>,
}

/// Why there is no answer, for a person.
pub type Missing = String;

impl Places {
    /// Reads the outputs of a run.
    ///
    /// # Errors
    /// Where nothing is found, as a sentence.
    pub fn read(&self, outputs: &Value) -> Result<Answered, Missing> {
        let answer = match &self.answer {
            Some(place) => at(outputs, place)?.clone(),
            None => only(outputs)?,
        };
        let contexts = self.contexts.as_deref();
        let contexts = contexts.map(|place| list(outputs, place)).transpose()?;
        let retrieved = match self.retrieved.as_deref() {
            Some(place) => Some(ids(list(outputs, place)?)),
            None => contexts.map(ids).filter(|ids| !ids.is_empty()),
        };
        Ok(Answered {
            answer,
            contexts: contexts.map(texts),
            retrieved,
        })
    }
}

fn at<'a>(outputs: &'a Value, place: &str) -> Result<&'a Value, Missing> {
    outputs
        .pointer(place)
        .ok_or_else(|| format!("the run's outputs have nothing at {place}"))
}

fn list<'a>(outputs: &'a Value, place: &str) -> Result<&'a [Value], Missing> {
    let found = at(outputs, place)?.as_array();
    found
        .map(Vec::as_slice)
        .ok_or_else(|| format!("what the run's outputs have at {place} is no list"))
}

fn only(outputs: &Value) -> Result<Value, Missing> {
    let all = outputs.as_object();
    let all = all.ok_or_else(|| "the run has no outputs".to_owned())?;
    match (all.len(), all.values().next()) {
        (1, Some(value)) => Ok(value.clone()),
        (0, _) => Err("the run has no outputs".to_owned()),
        _ => Err(
            "the run has several outputs: say in target.places.answer which is the answer"
                .to_owned(),
        ),
    }
}

fn texts(items: &[Value]) -> Vec<String> {
    let text = |item: &Value| match item {
        Value::String(text) => text.clone(),
        Value::Object(fields) => {
            let named = TEXTS.iter().find_map(|name| fields.get(*name)?.as_str());
            named.map_or_else(|| item.to_string(), str::to_owned)
        }
        other => other.to_string(),
    };
    let cut = |text: String| match text.char_indices().nth(LONGEST) {
        Some((end, _)) => text[..end].to_owned(),
        None => text,
    };
    items.iter().map(text).map(cut).collect()
}

fn ids(items: &[Value]) -> Vec<String> {
    let plain = |value: &Value| match value {
        Value::String(id) => Some(id.clone()),
        Value::Number(id) => Some(id.to_string()),
        _ => None,
    };
    let id = |item: &Value| match item {
        Value::Object(fields) => IDS.iter().find_map(|name| plain(fields.get(*name)?)),
        other => plain(other),
    };
    items.iter().filter_map(id).collect()
}

impl Answered {
    /// The answer as text.
    pub fn text(&self) -> String {
        as_text(&self.answer)
    }

    /// What was retrieved, in its order.
    pub fn hits(&self) -> Option<Vec<Hit>> {
        let ids = self.retrieved.as_ref()?;
        let mut seen = std::collections::BTreeSet::new();
        let once = ids.iter().filter(|id| seen.insert(id.as_str()));
        let hit = |(rank, id): (usize, &String)| Hit {
            id: id.clone(),
            score: -(rank as f64),
        };
        Some(once.enumerate().map(hit).collect())
    }
}

/// A value as text: a string as it is, nothing as an empty one, anything else as JSON.
pub fn as_text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn places(answer: Option<&str>, contexts: Option<&str>) -> Places {
        Places {
            answer: answer.map(str::to_owned),
            contexts: contexts.map(str::to_owned),
            retrieved: None,
        }
    }

    #[test]
    fn outputs_are_read_at_their_places() {
        let outputs = json!({"out": {"answer": "At nine.", "found": [{"id": "d1", "text": "opens at nine"}, {"id": 7, "x": 1}]}});
        let read = places(Some("/out/answer"), Some("/out/found")).read(&outputs);
        let read = read.expect("read");
        assert_eq!(read.text(), "At nine.");
        assert_eq!(
            read.contexts.as_ref().expect("contexts")[0],
            "opens at nine"
        );
        assert_eq!(read.retrieved, Some(vec!["d1".into(), "7".into()]));
        let alone = places(None, None).read(&json!({"out": "yes"}));
        assert_eq!(alone.expect("read").answer, "yes");
    }

    #[test]
    fn what_is_not_there_is_said() {
        let why = |places: Places, outputs| places.read(&outputs).expect_err("missing");
        assert!(why(places(Some("/x"), None), json!({"out": 1})).contains("/x"));
        assert!(why(places(None, None), json!({"a": 1, "b": 2})).contains("several"));
        assert!(why(places(None, Some("/out")), json!({"out": "text"})).contains("no list"));
        assert!(why(places(None, None), json!({})).contains("no outputs"));
    }

    #[test]
    fn a_document_counts_where_it_came_first() {
        let answered = Answered {
            retrieved: Some(vec!["a".into(), "b".into(), "a".into()]),
            ..Answered::default()
        };
        let hits = answered.hits().expect("hits");
        assert_eq!(hits.len(), 2);
        assert!(hits[0].score > hits[1].score);
    }
}
