//! Sampled traces as questions and answers: what a rule evaluates is there already, nothing is run again.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::answer::{Answered, Places};
use crate::metric::Spec;

/// How a rule reads traces and what it measures. The store hands `metrics` and `places` on to the evaluations that it makes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// What is measured.
    pub metrics: Vec<Spec>,
    /// Where answer, contexts and what was retrieved are among a run's outputs.
    #[serde(default)]
    pub places: Places,
    /// Where the question is in what went in, as a JSON pointer; all of it unless given.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub question: String,
    /// Judges at once.
    pub concurrency: u32,
    /// Whether models whose price is not known are asked although there is a budget.
    #[serde(default)]
    pub allow_unpriced: bool,
}

/// A rule that was taken up.
#[derive(Debug, Clone, Deserialize)]
pub struct Taken {
    /// Its id.
    pub id: String,
    /// Whose it is.
    pub org_id: String,
    /// What fences whoever has lost the lease.
    pub lease_token: i64,
    /// How it reads traces.
    pub settings: Settings,
    /// When it was looked, µs.
    pub looked_us: i64,
}

/// A trace of its share.
#[derive(Debug, Clone, Deserialize)]
pub struct Sampled {
    trace_id: String,
    at_us: i64,
    #[serde(default)]
    input: Value,
    #[serde(default)]
    output: Value,
    /// What its retrievals gave: a list of documents each.
    #[serde(default)]
    found: Vec<Value>,
}

/// A batch as the store takes it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Batch {
    items: Vec<Value>,
    skipped: Vec<Value>,
    /// Whether there was nothing more.
    whole: bool,
    looked_us: i64,
}

/// Reads the traces of a batch; `most` is how many there could have been. One that cannot be read says why.
pub fn batch(taken: &Taken, traces: &[Sampled], most: usize) -> Batch {
    let mut batch = Batch {
        whole: traces.len() < most,
        looked_us: taken.looked_us,
        ..Batch::default()
    };
    for trace in traces {
        let id = &trace.trace_id;
        match trace.read(&taken.settings) {
            Ok((question, answered)) => batch
                .items
                .push(json!({"trace_id": id, "at_us": trace.at_us,
                "question": question, "answered": answered})),
            Err(reason) => batch
                .skipped
                .push(json!({"trace_id": id, "reason": reason})),
        }
    }
    batch
}

impl Sampled {
    fn read(&self, settings: &Settings) -> Result<(Value, Answered), String> {
        if self.input.is_null() || self.output.is_null() {
            return Err("the trace does not say what went in and what came out".to_owned());
        }
        let question = value(&self.input);
        let question = question.pointer(&settings.question).cloned();
        let question = question.filter(|q| match q {
            Value::String(text) => !text.trim().is_empty(),
            Value::Object(fields) => !fields.is_empty(),
            _ => false,
        });
        let question = question
            .ok_or_else(|| format!("what went in has no question at {:?}", settings.question))?;
        let outputs = value(&self.output);
        let mut answered = match (&outputs, &settings.places.answer) {
            // What other applications answer is a text.
            (Value::Object(_), _) | (_, Some(_)) => settings.places.read(&outputs)?,
            _ => Answered {
                answer: outputs,
                ..Answered::default()
            },
        };
        if settings.places.contexts.is_none() && answered.contexts.is_none() {
            self.rests_on(&mut answered)?;
        }
        Ok((question, answered))
    }

    /// Contexts are what the last retrieval gave, unless a place among the outputs is named.
    fn rests_on(&self, answered: &mut Answered) -> Result<(), String> {
        let Some(found) = self.found.iter().rev().find(|found| !found.is_null()) else {
            return Ok(());
        };
        let found = value(found);
        if !found.is_array() {
            return Ok(());
        }
        let places = Places {
            answer: Some("/answer".to_owned()),
            contexts: Some("/found".to_owned()),
            retrieved: None,
        };
        let read = places.read(&json!({"answer": "", "found": found}))?;
        answered.contexts = read.contexts;
        answered.retrieved = answered.retrieved.take().or(read.retrieved);
        Ok(())
    }
}

/// What attributes have as JSON inside a text is JSON.
fn value(given: &Value) -> Value {
    let text = given.as_str();
    let text = text.filter(|text| text.trim_start().starts_with(['{', '[']));
    let read = text.and_then(|text| serde_json::from_str(text).ok());
    read.unwrap_or_else(|| given.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(settings: Value) -> Taken {
        let mut settings = settings;
        settings["metrics"] = json!([{"metric": "faithfulness"}]);
        settings["concurrency"] = json!(1);
        let taken = json!({"id": "r", "org_id": "o", "lease_token": 1, "looked_us": 9, "settings": settings});
        serde_json::from_value(taken).expect("a rule")
    }

    fn sampled(rest: Value) -> Sampled {
        let mut trace = json!({"trace_id": "t", "at_us": 5});
        let members = trace.as_object_mut().expect("an object");
        members.extend(rest.as_object().expect("an object").clone());
        serde_json::from_value(trace).expect("a trace")
    }

    #[test]
    fn a_run_is_a_question_with_its_answer_and_what_it_retrieved() {
        let taken = taken(json!({"question": "/q"}));
        let trace = sampled(
            json!({"input": {"q": "When?"}, "output": {"out": "At nine."},
            "found": [null, [{"chunk_id": "c", "document_id": "d", "content": "It opens at nine."}]]}),
        );
        let batch = batch(&taken, &[trace], 10);
        assert!(batch.whole && batch.skipped.is_empty());
        assert_eq!(
            batch.items[0],
            json!({"trace_id": "t", "at_us": 5, "question": "When?",
            "answered": {"answer": "At nine.", "contexts": ["It opens at nine."], "retrieved": ["c"]}})
        );
    }

    #[test]
    fn texts_of_other_applications_are_read_as_they_wrote_them() {
        let trace = sampled(
            json!({"input": "{\"q\": \"When?\"}", "output": "At nine.", "found": ["[\"a text\"]"]}),
        );
        let batch = batch(&taken(json!({"question": "/q"})), &[trace], 1);
        assert!(!batch.whole, "there may be more");
        assert_eq!(batch.items[0]["question"], "When?");
        assert_eq!(batch.items[0]["answered"]["contexts"], json!(["a text"]));
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        let rule = taken(json!({"question": "/q", "places": {"answer": "/x"}}));
        let why = |rest| batch(&rule, &[sampled(rest)], 10).skipped[0]["reason"].clone();
        assert!(
            why(json!({}))
                .as_str()
                .is_some_and(|w| w.contains("went in"))
        );
        assert!(
            why(json!({"input": {"p": 1}, "output": {"x": 1}}))
                .as_str()
                .is_some_and(|w| w.contains("question"))
        );
        assert!(
            why(json!({"input": {"q": "?"}, "output": {"y": 1}}))
                .as_str()
                .is_some_and(|w| w.contains("/x"))
        );
    }
}
