//! A judge's work as a workflow: nodes that ask a model by JSON Schema, each about what the ones before it said.

use serde_json::{Map, Value, json};

use super::Judge;
use super::prompts::{self, part, system};
use crate::answer::{Answered, MOST_CONTEXTS, as_text};
use crate::items::Item;
use crate::metric::{Judged, Scale};

/// What is queued.
#[derive(Debug, Clone, PartialEq)]
pub struct Ask {
    /// The workflow.
    pub definition: Value,
    /// Its inputs.
    pub inputs: Value,
}

/// Temperature of generated questions, so that they are not all the same.
const VARIED: f64 = 0.3;

/// What the judge is asked for a metric.
///
/// # Errors
/// Why it cannot be asked, for a person: there are no contexts, say.
pub fn build(
    metric: &Judged,
    judge: &Judge,
    item: &Item,
    answered: &Answered,
) -> Result<Ask, String> {
    let needs = metric.needs();
    let expected = item.expected.as_ref().map(as_text).unwrap_or_default();
    let answer = answered.text();
    let contexts = answered.contexts.as_deref();
    if needs.answer && answer.trim().is_empty() {
        return Err("the answer is empty".to_owned());
    } else if needs.expected && expected.trim().is_empty() {
        return Err("the item has no expected answer".to_owned());
    } else if needs.contexts && contexts.is_none() {
        return Err(
            "nothing says what the answer rests on: name target.places.contexts".to_owned(),
        );
    } else if needs.contexts && contexts.is_some_and(<[String]>::is_empty) {
        return Err("the answer rests on no contexts".to_owned());
    }
    let contexts = contexts.unwrap_or_default();
    let contexts = &contexts[..contexts.len().min(MOST_CONTEXTS)];
    let mut graph = Graph::new(judge, question(&item.question));
    // Only what the metric asks about: an answer may rest on a megabyte.
    graph.input("answer", json!(answer));
    graph.input("expected", json!(expected));
    match metric {
        Judged::ContextPrecision | Judged::NoiseSensitivity { .. } => {
            for (i, context) in contexts.iter().enumerate() {
                graph.input(&format!("c{i}"), json!(context));
            }
        }
        Judged::Faithfulness | Judged::ContextRecall | Judged::Rubric { .. } => {
            graph.input("context", json!(contexts.join("\n")));
        }
        _ => {}
    }
    graph.of(metric, contexts.len());
    Ok(graph.done())
}

/// One node that asks the model alone; its answer is the output `ask`. Inputs are named in `prompt` as [`given`] has them.
pub(crate) fn alone(
    judge: &Judge,
    task: &str,
    inputs: Map<String, Value>,
    prompt: &[String],
    schema: Value,
) -> Ask {
    let mut graph = Graph::new(judge, String::new());
    graph.inputs = inputs;
    graph.ask("ask", &["in"], task, prompt, schema);
    graph.give("ask");
    graph.done()
}

/// A question as a judge reads it: of several inputs the one that is named so, or all of them.
pub(crate) fn question(question: &Value) -> String {
    let named = ["question", "query", "input", "prompt"];
    match question {
        Value::Object(inputs) => {
            let named = named.iter().find_map(|name| inputs.get(*name));
            match named.or_else(|| inputs.values().next().filter(|_| inputs.len() == 1)) {
                Some(value) => as_text(value),
                None => question.to_string(),
            }
        }
        other => as_text(other),
    }
}

struct Graph<'a> {
    judge: &'a Judge,
    nodes: Vec<Value>,
    edges: Vec<Value>,
    inputs: Map<String, Value>,
}

pub(crate) fn list(name: &str, item: Value) -> Value {
    object(json!({name: {"type": "array", "items": item}}))
}

pub(crate) fn object(properties: Value) -> Value {
    let names: Vec<&String> = properties
        .as_object()
        .map(|all| all.keys().collect())
        .unwrap_or_default();
    json!({"type": "object", "required": names, "additionalProperties": false, "properties": properties})
}

pub(crate) fn text() -> Value {
    json!({"type": "string"})
}

fn bit() -> Value {
    json!({"type": "integer", "enum": [0, 1]})
}

/// What a node said, as JSON inside a prompt.
fn said(node: &str, field: &str) -> String {
    format!("{{{{ nodes.{node}.output.json.{field} | tojson }}}}")
}

pub(crate) fn given(input: &str) -> String {
    format!("{{{{ inputs.{input} }}}}")
}

impl<'a> Graph<'a> {
    fn new(judge: &'a Judge, question: String) -> Self {
        let node = json!({"id": "in", "type": "input", "position": {"x": 0, "y": 0}, "data": {}});
        let inputs = Map::from_iter([("question".to_owned(), json!(question))]);
        Self {
            judge,
            nodes: vec![node],
            edges: Vec::new(),
            inputs,
        }
    }

    fn input(&mut self, name: &str, value: Value) {
        self.inputs.insert(name.to_owned(), value);
    }

    fn done(self) -> Ask {
        Ask {
            definition: json!({"nodes": self.nodes, "edges": self.edges}),
            inputs: Value::Object(self.inputs),
        }
    }

    fn node(&mut self, id: &str, kind: &str, after: &[&str], data: Value) {
        let x = 200 * self.nodes.len();
        let node = json!({"id": id, "type": kind, "position": {"x": x, "y": 0}, "data": data});
        self.nodes.push(node);
        for before in after {
            let edge = format!("e{}", self.edges.len());
            self.edges
                .push(json!({"id": edge, "source": before, "target": id}));
        }
    }

    /// Asks the model.
    fn ask(&mut self, id: &str, after: &[&str], task: &str, prompt: &[String], schema: Value) {
        let temperature = match task == prompts::QUESTION {
            true => VARIED,
            false => 0.0,
        };
        let mut data = json!({"model": self.judge.model, "system": system(task), "prompt": prompt.join("\n"),
            "temperature": self.judge.temperature.unwrap_or(temperature), "repairs": 1,
            "response_format": {"type": "json_schema", "schema": schema}});
        let optional = [
            ("base_url", self.judge.base_url.as_ref().map(|v| json!(v))),
            ("api_key", self.judge.api_key.as_ref().map(|v| json!(v))),
            ("max_tokens", self.judge.max_tokens.map(|v| json!(v))),
        ];
        for (name, value) in optional {
            if let Some(value) = value {
                data[name] = value;
            }
        }
        self.node(id, "llm", after, data);
    }

    /// Embeds texts.
    fn embed(&mut self, after: &[&str], texts: &[String]) {
        let mut data = json!({"model": self.judge.embedding_model, "texts": texts});
        let url = &self.judge.embedding_base_url;
        if let Some(url) = url.as_ref().or(self.judge.base_url.as_ref()) {
            data["base_url"] = json!(url);
        }
        if let Some(key) = self.judge.embedding_key() {
            data["api_key"] = json!(key);
        }
        self.node("embed", "embed", after, data);
        self.output("vectors", "embed", "vectors");
    }

    /// Gives `field` of what a node said back as an output of that node's name.
    fn give(&mut self, node: &str) {
        let value = format!("{{{{ nodes.{node}.output.json }}}}");
        let data = json!({"name": node, "value": value});
        self.node(&format!("out_{node}"), "output", &[node], data);
    }

    fn output(&mut self, name: &str, node: &str, field: &str) {
        let value = format!("{{{{ nodes.{node}.output.{field} }}}}");
        let data = json!({"name": name, "value": value});
        self.node(&format!("out_{name}"), "output", &[node], data);
    }

    /// Statements of the answer to the question that the input `of` has.
    fn statements(&mut self, id: &str, of: &str) {
        let prompt = [
            part("Question", &given("question")),
            part("Answer", &given(of)),
        ];
        let schema = list("statements", text());
        self.ask(id, &["in"], prompts::STATEMENTS, &prompt, schema);
        self.give(id);
    }

    fn claims(&mut self, id: &str, of: &str) {
        let prompt = [part("Text", &given(of))];
        let schema = list("statements", text());
        self.ask(id, &["in"], prompts::CLAIMS, &prompt, schema);
        self.give(id);
    }

    /// Verdicts on the statements of a node by the context that an input has.
    fn support(&mut self, id: &str, statements: &str, context: &str) {
        let prompt = [
            part("Context", &given(context)),
            part("Statements", &said(statements, "statements")),
        ];
        let verdict = object(json!({"statement": text(), "reason": text(), "verdict": bit()}));
        let schema = list("verdicts", verdict);
        self.ask(id, &[statements], prompts::SUPPORT, &prompt, schema);
        self.give(id);
    }

    fn of(&mut self, metric: &Judged, contexts: usize) {
        match metric {
            Judged::Faithfulness => {
                self.statements("answer", "answer");
                self.support("support", "answer", "context");
            }
            Judged::AnswerRelevancy { questions } => self.relevancy(*questions),
            Judged::ContextPrecision => self.context_precision(contexts),
            Judged::ContextRecall => self.context_recall(),
            Judged::FactualCorrectness { .. } => {
                self.claims("answer", "answer");
                self.support("precision", "answer", "expected");
                self.claims("expected", "expected");
                self.support("recall", "expected", "answer");
            }
            Judged::AnswerCorrectness { weights, .. } => self.answer_correctness(weights.1 > 0.0),
            Judged::SemanticSimilarity => {
                self.embed(&["in"], &[given("expected"), given("answer")]);
            }
            Judged::NoiseSensitivity { .. } => {
                self.statements("expected", "expected");
                self.statements("answer", "answer");
                for i in 0..contexts {
                    self.support(&format!("expected_{i}"), "expected", &format!("c{i}"));
                    self.support(&format!("answer_{i}"), "answer", &format!("c{i}"));
                }
                self.support("correct", "answer", "expected");
            }
            Judged::Rubric { text, scale } => self.rubric(text, *scale, contexts > 0),
        }
    }

    fn relevancy(&mut self, questions: u32) {
        let ids: Vec<String> = (0..questions).map(|i| format!("q{i}")).collect();
        let schema = object(json!({"question": text(), "noncommittal": bit()}));
        for id in &ids {
            let prompt = [part("Answer", &given("answer"))];
            self.ask(id, &["in"], prompts::QUESTION, &prompt, schema.clone());
            self.give(id);
        }
        let asked = ids
            .iter()
            .map(|id| format!("{{{{ nodes.{id}.output.json.question }}}}"));
        let texts: Vec<String> = std::iter::once(given("question")).chain(asked).collect();
        let after: Vec<&str> = ids.iter().map(String::as_str).collect();
        self.embed(&after, &texts);
    }

    fn context_precision(&mut self, contexts: usize) {
        let schema = object(json!({"reason": text(), "verdict": bit()}));
        for i in 0..contexts {
            let prompt = [
                part("Question", &given("question")),
                part("Context", &given(&format!("c{i}"))),
                part("Answer", &given("expected")),
            ];
            let id = format!("context_{i}");
            self.ask(&id, &["in"], prompts::USEFUL, &prompt, schema.clone());
            self.give(&id);
        }
    }

    fn context_recall(&mut self) {
        let prompt = [
            part("Question", &given("question")),
            part("Context", &given("context")),
            part("Answer", &given("expected")),
        ];
        let sentence = object(json!({"statement": text(), "reason": text(), "attributed": bit()}));
        let schema = list("classifications", sentence);
        self.ask("recall", &["in"], prompts::ATTRIBUTED, &prompt, schema);
        self.give("recall");
    }

    fn answer_correctness(&mut self, similarity: bool) {
        self.statements("answer", "answer");
        self.statements("expected", "expected");
        let prompt = [
            part("Question", &given("question")),
            part("Statements of the answer", &said("answer", "statements")),
            part(
                "Statements of the ground truth",
                &said("expected", "statements"),
            ),
        ];
        let statement = || {
            let one = object(json!({"statement": text(), "reason": text()}));
            json!({"type": "array", "items": one})
        };
        let schema = object(json!({"TP": statement(), "FP": statement(), "FN": statement()}));
        let after = ["answer", "expected"];
        self.ask("classes", &after, prompts::CLASSIFY, &prompt, schema);
        self.give("classes");
        if similarity {
            self.embed(&["in"], &[given("expected"), given("answer")]);
        }
    }

    fn rubric(&mut self, criteria: &str, scale: Scale, contexts: bool) {
        // One's own words are an input too: nothing in them is a template.
        let range = match scale {
            Scale::Five => "a whole number from 1 to 5",
            Scale::Unit => "a number from 0 to 1",
        };
        self.input(
            "criteria",
            json!(format!("{criteria}\n\nThe score is {range}.")),
        );
        let mut prompt = vec![
            part("Scoring criteria", &given("criteria")),
            part("Question", &given("question")),
            part("Answer", &given("answer")),
        ];
        if contexts {
            prompt.push(part("Contexts", &given("context")));
        }
        if self.inputs["expected"] != "" {
            prompt.push(part("Expected answer", &given("expected")));
        }
        let score = match scale {
            Scale::Five => json!({"type": "integer", "enum": [1, 2, 3, 4, 5]}),
            Scale::Unit => json!({"type": "number", "minimum": 0, "maximum": 1}),
        };
        let schema = object(json!({"feedback": text(), "score": score}));
        self.ask("rubric", &["in"], prompts::RUBRIC, &prompt, schema);
        self.give("rubric");
    }
}
