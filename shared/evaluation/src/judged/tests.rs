//! Judged metrics against ragas, and what judges are asked against the engine.

use super::*;
use crate::answer::Answered;
use crate::items::Item;
use crate::metric::{Kind, MetricInput, Spec};
use serde_json::{Value, json};

fn judged(spec: Value) -> Judged {
    let spec: MetricInput = serde_json::from_value(spec).expect("metric");
    match spec.spec().kind() {
        Some(Kind::Judged(judged)) => judged,
        other => panic!("{other:?} is not judged"),
    }
}

/// What ragas 0.4.3 makes of the same verdicts, 25 random ones of each metric: `tools/ragas_vectors.py`.
#[test]
fn ragas_fed_with_the_same_verdicts_gives_our_scores() {
    let cases: Vec<Value> =
        serde_json::from_str(include_str!("vectors/ragas.json")).expect("vectors");
    assert!(cases.len() >= 200, "{}", cases.len());
    for case in cases {
        let spec: Spec = serde_json::from_value(case["spec"].clone()).expect("spec");
        let judgement = read(&judged(json!(spec)), &case["outputs"]);
        let (ours, theirs) = (
            judgement.score.expect("a score"),
            case["score"].as_f64().expect("one"),
        );
        assert!((ours - theirs).abs() < 1e-9, "{ours} {case}");
    }
}

#[test]
fn a_judgement_that_failed_has_a_reason_and_no_number() {
    let reason = |metric: Value, outputs: Value| {
        let judgement = read(&judged(metric), &outputs);
        assert_eq!(judgement.score, None, "{outputs}");
        judgement.reason.expect("a reason")
    };
    let none = json!({"answer": {"statements": []}, "support": {"verdicts": []}});
    assert!(reason(json!("faithfulness"), none).contains("no statements"));
    assert!(reason(json!("faithfulness"), json!({})).contains("not as asked for"));
    let zero = json!({"vectors": [[0.0, 0.0], [1.0, 0.0]]});
    assert!(reason(json!("semantic_similarity"), zero).contains("cannot be compared"));
    let rubric = json!({"metric": "rubric", "rubric": "Polite?"});
    let off = json!({"rubric": {"feedback": "f", "score": 7}});
    assert!(reason(rubric, off).contains("off the scale"));
    assert!(reason(json!("context_precision"), json!({})).contains("no verdicts"));
}

#[test]
fn a_rubrics_feedback_is_its_reason_and_vectors_are_not_kept() {
    let rubric = json!({"metric": "rubric", "rubric": "Polite?", "scale": "0-1"});
    let said = read(
        &judged(rubric),
        &json!({"rubric": {"feedback": "kind", "score": 0.75}}),
    );
    assert_eq!(
        (said.score, said.reason.as_deref()),
        (Some(0.75), Some("kind"))
    );
    let vectors = json!({"vectors": [[1.0, 0.0], [1.0, 0.0]]});
    let near = read(&judged(json!("semantic_similarity")), &vectors);
    assert_eq!(near.verdicts, json!({"similarities": [1.0]}));
}

fn item() -> Item {
    serde_json::from_value(
        json!({"question": {"question": "When {{ does }} it open?"}, "expected": "At nine."}),
    )
    .expect("item")
}

fn answered(contexts: usize) -> Answered {
    Answered {
        answer: json!("At {% nine %}."),
        contexts: Some((0..contexts).map(|i| format!("context {i}")).collect()),
        retrieved: None,
    }
}

fn judge() -> Judge {
    serde_json::from_value(json!({"model": "openai/gpt-4o-mini", "base_url": "http://127.0.0.1:1/v1",
        "api_key": "{{ secrets.JUDGE }}", "embedding_model": "openai/text-embedding-3-small", "max_tokens": 900}))
    .expect("judge")
}

/// A definition that did not compile would fail every judgement.
#[test]
fn what_judges_are_asked_compiles() {
    for metric in [
        json!("faithfulness"),
        json!("answer_relevancy"),
        json!("context_precision"),
        json!("context_recall"),
        json!("factual_correctness"),
        json!("answer_correctness"),
        json!("semantic_similarity"),
        json!("noise_sensitivity"),
        json!({"metric": "rubric", "rubric": "Is it {{ polite }}?"}),
    ] {
        let ask = build(&judged(metric.clone()), &judge(), &item(), &answered(20)).expect("asked");
        if let Err(faults) = nodeai_engine::compile(&ask.definition) {
            panic!("{metric}: {faults:?}");
        }
        // What users have written goes in as data alone.
        let text = ask.definition.to_string();
        assert!(
            !text.contains("does }}") && !text.contains("polite"),
            "{text}"
        );
        assert_eq!(ask.inputs["question"], "When {{ does }} it open?");
    }
}

#[test]
fn what_cannot_be_asked_says_why() {
    let why = |metric: &str, answered: Answered| {
        build(&judged(json!(metric)), &judge(), &item(), &answered).expect_err("why")
    };
    assert!(why("faithfulness", answered(0)).contains("no contexts"));
    let unknown = Answered {
        contexts: None,
        ..answered(0)
    };
    assert!(why("context_recall", unknown).contains("places.contexts"));
    let empty = Answered {
        answer: json!("  "),
        ..answered(1)
    };
    assert!(why("factual_correctness", empty).contains("empty"));
    let mut item = item();
    item.expected = None;
    let why = build(
        &judged(json!("noise_sensitivity")),
        &judge(),
        &item,
        &answered(1),
    );
    assert!(why.expect_err("why").contains("expected"));
}

#[test]
fn a_key_goes_to_the_server_of_the_model_alone() {
    let key = |judge: Value| {
        let judge: Judge = serde_json::from_value(judge).expect("judge");
        judge.embedding_key().map(str::to_owned)
    };
    let same = json!({"model": "openai/a", "embedding_model": "openai/b", "api_key": "k"});
    assert_eq!(key(same).as_deref(), Some("k"));
    let other = json!({"model": "openai/a", "embedding_model": "voyage/b", "api_key": "k"});
    assert_eq!(key(other), None);
    let elsewhere = json!({"model": "a", "base_url": "https://a", "embedding_base_url": "https://b", "api_key": "k"});
    assert_eq!(key(elsewhere), None);
}

#[test]
fn a_judge_is_checked_for_what_asks_it() {
    let pointers = |judge: Value, metrics: &[Value]| -> Vec<String> {
        let judge: Judge = serde_json::from_value(judge).expect("judge");
        let metrics: Vec<Judged> = metrics.iter().cloned().map(judged).collect();
        let mut c = Checker::default();
        judge.check(&mut c, &metrics);
        let errors = c.finish().err().map(|p| p.errors).unwrap_or_default();
        errors.into_iter().filter_map(|e| e.pointer).collect()
    };
    let model = json!({"model": "openai/gpt-4o-mini"});
    assert!(pointers(model.clone(), &[json!("faithfulness")]).is_empty());
    let needs = pointers(model, &[json!("semantic_similarity")]);
    assert_eq!(needs, ["/judge/embedding_model"]);
    assert_eq!(
        pointers(json!({}), &[json!("context_recall")]),
        ["/judge/model"]
    );
    let plain_key = json!({"model": "m", "api_key": "sk-123", "base_url": "ftp://x"});
    let wrong = pointers(plain_key, &[json!("context_recall")]);
    assert_eq!(wrong, ["/judge/base_url", "/judge/api_key"]);
}
