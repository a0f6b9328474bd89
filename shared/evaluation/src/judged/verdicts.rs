//! What a judge's answers come to: a score with the verdicts behind it, or why there is none.

use serde::Deserialize;
use serde_json::{Value, json};

use super::formulas::{Counts, Grid, average_precision, cosine, fbeta, noise_sensitivity};
use crate::metric::{Judged, Noise, Part, Scale};

/// A score with what it rests on.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// The score; none has a reason.
    pub score: Option<f64>,
    /// Why there is no score, or what the judge said about it.
    pub reason: Option<String>,
    /// The judge's verdicts.
    pub verdicts: Value,
}

type Read<T> = Result<T, String>;

/// Reads the outputs of a judge's run. A judgement that cannot be scored has a reason in place of the score: never NaN.
pub fn read(metric: &Judged, outputs: &Value) -> Judgement {
    let verdicts = kept(outputs);
    let (score, reason) = match scored(metric, outputs) {
        Ok((score, said)) if score.is_finite() => (Some(score), said),
        Ok(_) => (
            None,
            Some("the judge's verdicts come to no number".to_owned()),
        ),
        Err(why) => (None, Some(why)),
    };
    Judgement {
        score,
        reason,
        verdicts,
    }
}

/// What is kept of the outputs: vectors would be most of it, and are no verdicts.
fn kept(outputs: &Value) -> Value {
    let mut kept = outputs.clone();
    if let Some(all) = kept.as_object_mut()
        && all.remove("vectors").is_some()
        && let Ok(similarities) = similarities(outputs)
    {
        all.insert("similarities".to_owned(), json!(similarities));
    }
    kept
}

#[derive(Deserialize)]
struct Statements {
    statements: Vec<String>,
}

#[derive(Deserialize)]
struct Verdict {
    verdict: i64,
}

#[derive(Deserialize)]
struct Verdicts {
    verdicts: Vec<Verdict>,
}

#[derive(Deserialize)]
struct Question {
    noncommittal: i64,
}

#[derive(Deserialize)]
struct Classification {
    attributed: i64,
}

#[derive(Deserialize)]
struct Classifications {
    classifications: Vec<Classification>,
}

#[derive(Deserialize)]
struct Classes {
    #[serde(rename = "TP")]
    tp: Vec<Value>,
    #[serde(rename = "FP")]
    fp: Vec<Value>,
    #[serde(rename = "FN")]
    fn_: Vec<Value>,
}

#[derive(Deserialize)]
struct Rubric {
    feedback: String,
    score: f64,
}

fn part<T: serde::de::DeserializeOwned>(outputs: &Value, name: &str) -> Read<T> {
    let found = outputs.get(name).cloned().unwrap_or_default();
    serde_json::from_value(found)
        .map_err(|error| format!("the judge's answer {name} is not as asked for: {error}"))
}

fn statements(outputs: &Value, name: &str) -> Read<usize> {
    Ok(part::<Statements>(outputs, name)?.statements.len())
}

/// Verdicts on so many statements, each of them judged.
fn support(outputs: &Value, name: &str, statements: usize) -> Read<Vec<bool>> {
    let verdicts = part::<Verdicts>(outputs, name)?.verdicts;
    let n = verdicts.len();
    match n == statements {
        true => Ok(verdicts.iter().map(|one| one.verdict != 0).collect()),
        false => Err(format!(
            "the judge gave {n} verdicts on {statements} statements"
        )),
    }
}

fn ratio(verdicts: &[bool]) -> Option<f64> {
    let yes = verdicts.iter().filter(|yes| **yes).count();
    (!verdicts.is_empty()).then(|| yes as f64 / verdicts.len() as f64)
}

/// Cosines of the first vector with each of the others.
fn similarities(outputs: &Value) -> Read<Vec<f64>> {
    let vectors: Vec<Vec<f64>> = part(outputs, "vectors")?;
    let (first, others) = vectors
        .split_first()
        .ok_or_else(|| "there are no embeddings".to_owned())?;
    let near = others.iter().map(|other| cosine(first, other));
    near.collect::<Option<Vec<f64>>>()
        .filter(|near| !near.is_empty())
        .ok_or_else(|| "the embeddings cannot be compared".to_owned())
}

fn scored(metric: &Judged, outputs: &Value) -> Read<(f64, Option<String>)> {
    let plain = |score: f64| Ok((score, None));
    match metric {
        Judged::Faithfulness => {
            let n = statements(outputs, "answer")?;
            let verdicts = support(outputs, "support", n)?;
            plain(ratio(&verdicts).ok_or("the judge found no statements in the answer")?)
        }
        Judged::AnswerRelevancy { questions } => {
            let committal = (0..*questions).map(|i| part::<Question>(outputs, &format!("q{i}")));
            let committal = committal
                .map(|one| Ok(one?.noncommittal == 0))
                .collect::<Read<Vec<bool>>>()?;
            let near = similarities(outputs)?;
            let mean = near.iter().sum::<f64>() / near.len() as f64;
            match committal.iter().any(|committal| *committal) {
                true => plain(mean),
                false => Ok((0.0, Some("the answer is noncommittal".to_owned()))),
            }
        }
        Judged::ContextPrecision => plain(average_precision(&each_context(outputs)?)),
        Judged::ContextRecall => {
            let found = part::<Classifications>(outputs, "recall")?.classifications;
            let attributed: Vec<bool> = found.iter().map(|one| one.attributed != 0).collect();
            plain(ratio(&attributed).ok_or("the judge found no sentences in the expected answer")?)
        }
        Judged::FactualCorrectness { part, beta } => plain(factual(outputs, *part, *beta)?),
        Judged::AnswerCorrectness { weights, beta } => {
            plain(answer_correctness(outputs, *weights, *beta)?)
        }
        Judged::SemanticSimilarity => plain(similarities(outputs)?[0]),
        Judged::NoiseSensitivity { contexts } => {
            let score = noise(outputs, *contexts == Noise::Relevant)?;
            plain(score.ok_or("the judge found no statements in the answer")?)
        }
        Judged::Rubric { scale, .. } => rubric(outputs, *scale),
    }
}

/// The verdicts `context_0`, `context_1`, …
fn each_context(outputs: &Value) -> Read<Vec<bool>> {
    let names = (0..).map(|i| format!("context_{i}"));
    let there = names.take_while(|name| outputs.get(name).is_some());
    let verdicts = there.map(|name| Ok(part::<Verdict>(outputs, &name)?.verdict != 0));
    let verdicts = verdicts.collect::<Read<Vec<bool>>>()?;
    match verdicts.is_empty() {
        true => Err("the judge gave no verdicts".to_owned()),
        false => Ok(verdicts),
    }
}

/// Rounded to two digits, as ragas does (numpy rounds halves to even).
fn factual(outputs: &Value, part: Part, beta: f64) -> Read<f64> {
    let n = statements(outputs, "answer")?;
    let precision = support(outputs, "precision", n)?;
    let n = statements(outputs, "expected")?;
    let recall = support(outputs, "recall", n)?;
    let count = |verdicts: &[bool], wanted: bool| verdicts.iter().filter(|v| **v == wanted).count();
    let counts = Counts {
        tp: count(&precision, true),
        fp: count(&precision, false),
        fn_: count(&recall, false),
    };
    let tp = counts.tp as f64;
    let score = match part {
        Part::Precision => tp / (tp + counts.fp as f64 + 1e-8),
        Part::Recall => tp / (tp + counts.fn_ as f64 + 1e-8),
        Part::F1 => fbeta(counts, beta),
    };
    Ok((score * 100.0).round_ties_even() / 100.0)
}

fn answer_correctness(outputs: &Value, weights: (f64, f64), beta: f64) -> Read<f64> {
    let none = statements(outputs, "answer")? + statements(outputs, "expected")? == 0;
    let facts = match none {
        // Two answers that state nothing agree.
        true => 1.0,
        false => {
            let classes: Classes = part(outputs, "classes")?;
            let counts = Counts {
                tp: classes.tp.len(),
                fp: classes.fp.len(),
                fn_: classes.fn_.len(),
            };
            fbeta(counts, beta)
        }
    };
    let similarity = match weights.1 > 0.0 {
        true => similarities(outputs)?[0],
        false => 0.0,
    };
    Ok((facts * weights.0 + similarity * weights.1) / (weights.0 + weights.1))
}

fn noise(outputs: &Value, relevant: bool) -> Read<Option<f64>> {
    let (said, wanted) = (
        statements(outputs, "answer")?,
        statements(outputs, "expected")?,
    );
    let grid = |of: &str, n: usize| -> Read<Grid> {
        let names = (0..).map(|i| format!("{of}_{i}"));
        let there = names.take_while(|name| outputs.get(name).is_some());
        there.map(|name| support(outputs, &name, n)).collect()
    };
    let (expected, answer) = (grid("expected", wanted)?, grid("answer", said)?);
    if expected.len() != answer.len() || answer.is_empty() {
        return Err("the judge gave no verdicts on some contexts".to_owned());
    }
    let correct = support(outputs, "correct", said)?;
    Ok(noise_sensitivity(&expected, &answer, &correct, relevant))
}

fn rubric(outputs: &Value, scale: Scale) -> Read<(f64, Option<String>)> {
    let said: Rubric = part(outputs, "rubric")?;
    let fits = match scale {
        Scale::Five => (1.0..=5.0).contains(&said.score) && said.score.fract() == 0.0,
        Scale::Unit => (0.0..=1.0).contains(&said.score),
    };
    match fits {
        true => Ok((said.score, Some(said.feedback))),
        false => Err(format!(
            "the judge gave {}, which is off the scale",
            said.score
        )),
    }
}
