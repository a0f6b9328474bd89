//! Synthetic questions: what a model is asked about a chunk, and which of its questions the chunk really answers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::judged::graph::{given, list, object, text};
use crate::judged::prompts::part;
use crate::judged::{Judge, alone};
use crate::run::Run;

/// Most questions of one chunk.
pub const MOST_OF_CHUNK: u32 = 5;
/// Fewest and most characters of a question.
const QUESTION: std::ops::RangeInclusive<usize> = 5..=2_000;
const TASK: &str = "Write questions that somebody who has never seen the text might ask, and that the text alone answers. Each is understood by itself: it names what it is about and never speaks of \"the text\", \"the document\" or \"the passage\". The questions differ in what they ask for. For each, give the answer in one or two sentences, and the shortest quote from the text, word by word, that the answer rests on. Write in the language of the text. Ask fewer questions rather than one that the text does not answer.";

/// What counts as relevant for a question.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Relevant {
    /// The document of the chunk: for experiments, and for retrieval that gives documents.
    #[default]
    Document,
    /// The chunk itself: for retrieval that gives chunks, as long as its index stays.
    Chunk,
}

/// How questions are made.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Of one chunk.
    pub questions: u32,
    /// What counts as relevant.
    #[serde(default)]
    pub relevant: Relevant,
    /// What else the model is told, such as who asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instructions: Option<String>,
    /// Whether a model whose price is not known is asked although there is a budget.
    #[serde(default)]
    pub allow_unpriced: bool,
}

/// A synthesis that was taken up.
#[derive(Debug, Clone, Deserialize)]
pub struct Taken {
    /// Its id.
    pub id: String,
    /// Whose it is.
    pub org_id: String,
    /// What fences whoever has lost the lease.
    pub lease_token: i64,
    /// How questions are made.
    pub settings: Settings,
    /// Who makes them.
    pub judge: Judge,
}

/// A chunk whose run has ended.
#[derive(Debug, Clone, Deserialize)]
pub struct Ended {
    number: i64,
    run: Run,
    #[serde(default)]
    content: Option<String>,
}

/// A chunk that waits.
#[derive(Debug, Clone, Deserialize)]
pub struct Waiting {
    number: i64,
    #[serde(default)]
    title: Option<String>,
    #[serde(default)]
    content: Option<String>,
}

/// What is stored, and asked next.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Step {
    ended: Vec<Value>,
    runs: Vec<Value>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Made {
    question: String,
    answer: String,
    quote: String,
}

/// Works out a step. A chunk that is not there any more is not asked about.
pub fn step(taken: &Taken, ended: &[Ended], waiting: &[Waiting]) -> Step {
    let mut step = Step {
        ended: ended.iter().map(|one| one.read(taken)).collect(),
        ..Step::default()
    };
    for chunk in waiting {
        match &chunk.content {
            Some(content) => step.runs.push(chunk.ask(taken, content)),
            None => step.ended.push(
                json!({"number": chunk.number, "cost_pusd": 0, "error": "the chunk is gone"}),
            ),
        }
    }
    step
}

impl Waiting {
    fn ask(&self, taken: &Taken, content: &str) -> Value {
        let title = self.title.as_deref().unwrap_or_default();
        let wishes = taken.settings.instructions.as_deref().unwrap_or("none");
        let count = taken.settings.questions;
        let inputs = [
            ("title", json!(title)),
            ("text", json!(content)),
            ("wishes", json!(wishes)),
            ("count", json!(count.to_string())),
        ];
        let inputs: Map<String, Value> = inputs
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        let prompt = [
            part("How many questions at most", &given("count")),
            part("Further wishes", &given("wishes")),
            part("Title", &given("title")),
            part("Text", &given("text")),
        ];
        let question = object(json!({"question": text(), "answer": text(), "quote": text()}));
        let schema = list("questions", question);
        let ask = alone(&taken.judge, TASK, inputs, &prompt, schema);
        json!({"number": self.number, "definition": ask.definition, "inputs": ask.inputs})
    }
}

impl Ended {
    fn read(&self, taken: &Taken) -> Value {
        let (number, cost) = (self.number, self.run.cost_pusd);
        let made = self.run.outputs("the run").and_then(|outputs| {
            let made = Vec::<Made>::deserialize(&outputs["ask"]["questions"]);
            made.map_err(|_| "the model gave no list of questions".to_owned())
        });
        let made = match made {
            Ok(made) => made,
            Err(why) => return json!({"number": number, "cost_pusd": cost, "error": why}),
        };
        let content = plain(self.content.as_deref().unwrap_or_default());
        let most = taken.settings.questions as usize;
        let (kept, rest): (Vec<Made>, Vec<Made>) = made
            .into_iter()
            .take(most)
            .partition(|one| one.rests_on(&content));
        json!({"number": number, "cost_pusd": cost, "made": kept, "unsupported": rest.len()})
    }
}

impl Made {
    /// Whether it asks something, says something, and quotes what is there: a model that makes things up does not.
    fn rests_on(&self, content: &str) -> bool {
        let quote = plain(&self.quote);
        let asks = QUESTION.contains(&self.question.trim().chars().count());
        asks && !self.answer.trim().is_empty() && !quote.is_empty() && content.contains(&quote)
    }
}

/// A text without its capitals and the kind of its blanks.
fn plain(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let trimmed = words.join(" ").to_lowercase();
    trimmed.trim_matches(['"', '“', '”', '…']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken() -> Taken {
        serde_json::from_value(
            json!({"id": "s", "org_id": "o", "lease_token": 1, "judge": {"model": "builtin/echo"},
            "settings": {"questions": 2, "instructions": "Ask as a {{ child }} would."}}),
        )
        .expect("taken")
    }

    #[test]
    fn a_chunk_is_asked_about_by_a_workflow_that_can_be_run() {
        let waiting = json!([{"number": 1, "title": "Hours", "content": "It opens at {{ nine }}."}, {"number": 2}]);
        let waiting: Vec<Waiting> = serde_json::from_value(waiting).expect("chunks");
        let step = step(&taken(), &[], &waiting);
        assert_eq!(step.runs.len(), 1);
        assert_eq!(step.ended[0]["error"], "the chunk is gone");
        let run = &step.runs[0];
        // What users have written is an input, never a template.
        assert_eq!(run["inputs"]["text"], "It opens at {{ nine }}.");
        assert!(!run["definition"].to_string().contains("child"));
        if let Err(faults) = nodeai_engine::compile(&run["definition"]) {
            panic!("{faults:?}");
        }
    }

    #[test]
    fn a_question_whose_quote_is_not_in_the_chunk_is_left_out() {
        let one = |quote: &str| json!({"question": "When does it open?", "answer": "At nine.", "quote": quote});
        let ended = |questions: Value| -> Ended {
            let run = json!({"status": "succeeded", "cost_pusd": 7, "outputs": {"ask": {"questions": questions}}});
            let ended =
                json!({"number": 3, "run": run, "content": "The museum\n opens at Nine. Always."});
            serde_json::from_value(ended).expect("ended")
        };
        let step = step(
            &taken(),
            &[
                ended(json!([
                    one("museum opens  at nine."),
                    one("opens at ten"),
                    one("Always")
                ])),
                ended(json!("no")),
            ],
            &[],
        );
        assert_eq!(step.ended[0]["made"].as_array().map(Vec::len), Some(1));
        // The third is more than was asked for.
        assert_eq!(step.ended[0]["unsupported"], 1);
        assert_eq!(step.ended[0]["cost_pusd"], 7);
        assert_eq!(
            step.ended[1]["error"],
            "the model gave no list of questions"
        );
    }
}
