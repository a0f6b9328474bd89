//! Nodes whose models give numbers, by the test model.

use nodeai_llm::vectors::{Measured, Numbers};
use nodeai_llm::{Prices, Usage};
use serde_json::{Map, Value, json};

use super::measure::MeasureCall;
use crate::fault::Faults;
use crate::log::NodeError;
use crate::nodes::{Effect, decide, kind};
use crate::scope::Surroundings;
use crate::template::Templates;

fn decided(name: &str, data: Value) -> Result<Effect, NodeError> {
    let data = data.as_object().cloned().unwrap();
    let kind = kind(name).unwrap();
    let mut faults = Faults::default();
    (kind.check)(&data, "", &mut faults);
    assert_eq!(faults.into_vec(), Vec::new(), "{name}");
    let templates = Templates::default();
    let around = Surroundings {
        inputs: json!({"texts": ["red car", "blue whale"]}),
        ..Surroundings::default()
    };
    decide(
        name,
        kind,
        &data,
        &templates,
        &around.scope(),
        &Value::Null,
        &[],
    )
}

fn call(name: &str, data: Value) -> MeasureCall {
    match decided(name, data) {
        Ok(Effect::Measure(call)) => *call,
        other => panic!("{other:?}"),
    }
}

fn output(call: &MeasureCall) -> Value {
    let answers = call.batches().iter().map(|work| call.made_here(work));
    call.finish(answers.collect(), 0, &Prices::default())
        .1
        .unwrap()
        .output
}

#[test]
fn texts_are_embedded_in_batches() {
    let data = json!({"model": "builtin/hash", "texts": "{{ inputs.texts }}", "batch_size": 1, "dimensions": 8});
    let many = call("embed", data);
    assert_eq!(many.batches().len(), 2);
    let output = output(&many);
    assert_eq!(output["vectors"].as_array().map(Vec::len), Some(2));
    assert_eq!(output["dimensions"], 8);
    assert_eq!(
        output["usage"],
        json!({"prompt_tokens": 4, "cost_usd_micros": 0})
    );
    assert_eq!(output["model"], "builtin/hash");
}

#[test]
fn one_text_has_one_vector() {
    let one = call("embed", json!({"model": "builtin/hash", "text": "red car"}));
    let output = output(&one);
    assert_eq!(output["vector"].as_array().map(Vec::len), Some(256));
    assert!(output.get("vectors").is_none());
}

#[test]
fn what_cannot_be_embedded_is_refused_with_its_place() {
    let refused = |data: Value| decided("embed", data).unwrap_err().message;
    let both = json!({"model": "builtin/hash", "texts": ["a", " "]});
    assert!(refused(both).starts_with("/texts/1:"));
    assert!(refused(json!({"model": "builtin/hash", "text": ""})).starts_with("/text:"));
    let mut faults = Faults::default();
    let data = Map::from_iter([("model".to_owned(), json!("nobody/x"))]);
    (kind("embed").unwrap().check)(&data, "/nodes/0/data", &mut faults);
    assert_eq!(faults.into_vec()[0].pointer, "/nodes/0/data/model");
}

#[test]
fn documents_are_ranked_as_they_were_given() {
    let documents = json!([{"id": 1, "body": {"text": "a red car"}}, "a blue whale", {"id": 3, "body": {"text": "whale whale"}}]);
    let data = json!({"model": "builtin/hash", "query": "whale", "documents": documents, "text_at": "/body/text", "top_n": 2});
    let output = output(&call("rerank", data));
    assert_eq!(output["documents"], json!([documents[2], documents[1]]));
    assert_eq!(output["results"][0]["index"], 2);
    assert!(output["results"][0]["score"].as_f64() > output["results"][1]["score"].as_f64());
    let none = json!({"model": "builtin/hash", "query": "whale", "documents": []});
    let Ok(Effect::Done(outcome)) = decided("rerank", none) else {
        panic!("nothing is asked about nothing");
    };
    assert_eq!(outcome.output, json!({"documents": [], "results": []}));
    let bad = json!({"model": "builtin/hash", "query": "whale", "documents": [{"id": 1}]});
    let message = decided("rerank", bad).unwrap_err().message;
    assert_eq!(message, "/documents/0: has no text at /text");
}

#[test]
fn what_was_spent_is_the_sum_and_unknown_where_one_part_is() {
    let data =
        json!({"model": "openai/text-embedding-3-small", "texts": ["a", "b"], "batch_size": 1});
    let call = call("embed", data);
    let answer = |tokens: Option<i64>, size: usize| Measured {
        numbers: Numbers::Vectors(vec![vec![0.5; size]]),
        model: None,
        usage: tokens.map(|prompt_tokens| Usage {
            prompt_tokens,
            ..Usage::default()
        }),
    };
    let now_us = 1_790_000_000_000_000;
    let (meta, result) = call.finish(
        vec![answer(Some(600), 2), answer(Some(400), 2)],
        now_us,
        &Prices::default(),
    );
    assert_eq!(meta.usage.unwrap().prompt_tokens, 1_000);
    // 0.02 USD per million.
    assert_eq!(meta.cost_pusd, Some(20_000_000));
    assert_eq!(result.unwrap().output["usage"]["cost_usd_micros"], 20);
    let unknown = call.spent(
        &[answer(Some(600), 2), answer(None, 2)],
        now_us,
        &Prices::default(),
    );
    assert_eq!(
        (unknown.usage.unwrap().prompt_tokens, unknown.cost_pusd),
        (600, None)
    );
    let unlike = call.finish(
        vec![answer(Some(1), 2), answer(Some(1), 3)],
        now_us,
        &Prices::default(),
    );
    assert_eq!(unlike.1.unwrap_err().kind, "malformed_response");
}
