//! Metrics that need no judge.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::answer::{Answered, as_text};
use crate::items::Item;
use crate::metric::Kind;

/// What a run took and cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Effort {
    /// From its beginning to its end, µs; none for answers that were given.
    pub latency_us: Option<i64>,
    /// Pico-USD; none for answers that were given.
    pub cost_pusd: Option<i64>,
}

/// Most words of a text that ROUGE-L compares: its table is as large as their product.
const MOST_WORDS: usize = 4_000;

/// Scores an answer.
///
/// # Errors
/// Why it has no score, for a person.
pub fn score(kind: &Kind, item: &Item, answered: &Answered, effort: Effort) -> Result<f64, String> {
    let answer = || answered.text();
    let expected = || -> Result<String, String> {
        let expected = item.expected.as_ref().filter(|value| !value.is_null());
        expected
            .map(as_text)
            .ok_or_else(|| "the item has no expected answer".to_owned())
    };
    let truth = |holds: bool| f64::from(u8::from(holds));
    match kind {
        Kind::Exact { ignore_case } => {
            let (a, b) = folded(answer().trim(), expected()?.trim(), *ignore_case);
            Ok(truth(a == b))
        }
        Kind::Contains { ignore_case } => {
            let (a, b) = folded(&answer(), expected()?.trim(), *ignore_case);
            Ok(truth(a.contains(&b)))
        }
        Kind::Pattern(pattern) => {
            let pattern = regex_lite::Regex::new(pattern).map_err(|error| error.to_string())?;
            Ok(truth(pattern.is_match(&answer())))
        }
        Kind::Json => {
            let expected = item.expected.as_ref();
            let expected = expected.ok_or("the item has no expected answer")?;
            let parsed = |value: &Value| match value {
                Value::String(text) => serde_json::from_str(text).unwrap_or_else(|_| value.clone()),
                other => other.clone(),
            };
            Ok(truth(same_json(
                &parsed(&answered.answer),
                &parsed(expected),
            )))
        }
        Kind::Numeric { tolerance } => {
            let expected = number(&expected()?).ok_or("the expected answer has no number")?;
            let said = number(&answer()).ok_or("the answer has no number")?;
            Ok(truth(
                (said - expected).abs() <= tolerance * expected.abs() + f64::EPSILON,
            ))
        }
        Kind::TokenF1 => Ok(token_f1(&answer(), &expected()?)),
        Kind::RougeL => Ok(rouge_l(&answer(), &expected()?)),
        Kind::Latency => effort
            .latency_us
            .map(|us| us as f64 / 1_000.0)
            .ok_or_else(|| "an answer that was given has no duration".to_owned()),
        Kind::Cost => effort
            .cost_pusd
            .map(|pusd| pusd as f64 / 1e12)
            .ok_or_else(|| "an answer that was given has no cost".to_owned()),
        Kind::Retrieval(metric) => {
            let hits = answered
                .hits()
                .ok_or("nothing says what was retrieved: name target.places.retrieved")?;
            let grades = item.grades();
            if grades.values().all(|grade| *grade < 1) {
                return Err("the item has no relevant documents".to_owned());
            }
            Ok(metric.score(&grades, &hits))
        }
        Kind::Judged(_) => Err("it takes a judge".to_owned()),
    }
}

fn folded(a: &str, b: &str, ignore_case: bool) -> (String, String) {
    match ignore_case {
        true => (a.to_lowercase(), b.to_lowercase()),
        false => (a.to_owned(), b.to_owned()),
    }
}

/// Equal as JSON: 1 and 1.0 are the same number.
fn same_json(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_json(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            let same = |(name, a): (&String, &Value)| b.get(name).is_some_and(|b| same_json(a, b));
            a.len() == b.len() && a.iter().all(same)
        }
        (a, b) => a == b,
    }
}

/// The first number of a text; commas between digits group them.
fn number(text: &str) -> Option<f64> {
    let pattern = regex_lite::Regex::new(r"[-+]?\d[\d,]*(\.\d+)?([eE][-+]?\d+)?").ok()?;
    let found = pattern.find(text)?.as_str().replace(',', "");
    found.parse().ok()
}

/// F1 of the words in common, normalised as SQuAD's evaluation script does (P. Rajpurkar et al., 2016): lower case, without
/// punctuation and without `a`, `an`, `the`. Two texts without words are the same.
pub fn token_f1(answer: &str, expected: &str) -> f64 {
    let words = |text: &str| -> Vec<String> {
        let kept: String = text
            .to_lowercase()
            .chars()
            .filter(|c| !c.is_ascii_punctuation())
            .collect();
        let words = kept.split_whitespace();
        words
            .filter(|word| !["a", "an", "the"].contains(word))
            .map(str::to_owned)
            .collect()
    };
    let (said, wanted) = (words(answer), words(expected));
    if said.is_empty() || wanted.is_empty() {
        return f64::from(u8::from(said == wanted));
    }
    let mut left: BTreeMap<&str, usize> = BTreeMap::new();
    for word in &wanted {
        *left.entry(word).or_default() += 1;
    }
    let mut common = 0;
    for word in &said {
        if let Some(n) = left.get_mut(word.as_str()).filter(|n| **n > 0) {
            *n -= 1;
            common += 1;
        }
    }
    f1(common, said.len(), wanted.len())
}

/// ROUGE-L as F1 (C.-Y. Lin, 2004), without stemming; words are runs of letters and digits in lower case.
pub fn rouge_l(answer: &str, expected: &str) -> f64 {
    let words = |text: &str| -> Vec<String> {
        let lower = text.to_lowercase();
        let words = lower.split(|c: char| !c.is_alphanumeric());
        let words = words.filter(|word| !word.is_empty());
        words.take(MOST_WORDS).map(str::to_owned).collect()
    };
    let (said, wanted) = (words(answer), words(expected));
    f1(longest_common(&said, &wanted), said.len(), wanted.len())
}

fn longest_common(a: &[String], b: &[String]) -> usize {
    let mut row = vec![0_usize; b.len() + 1];
    for x in a {
        let mut diagonal = 0;
        for (j, y) in b.iter().enumerate() {
            let above = row[j + 1];
            row[j + 1] = match x == y {
                true => diagonal + 1,
                false => above.max(row[j]),
            };
            diagonal = above;
        }
    }
    row[b.len()]
}

fn f1(common: usize, said: usize, wanted: usize) -> f64 {
    match common {
        0 => 0.0,
        _ => 2.0 * common as f64 / (said + wanted) as f64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::{MetricInput, Spec};
    use serde_json::json;

    fn of(spec: Value, expected: Value, answer: Value) -> Result<f64, String> {
        let spec: MetricInput = serde_json::from_value(spec).expect("metric");
        let item: Item = serde_json::from_value(
            json!({"question": "q", "expected": expected, "relevant": ["d1"]}),
        )
        .expect("item");
        let answered = Answered {
            answer,
            retrieved: Some(vec!["d2".into(), "d1".into()]),
            ..Answered::default()
        };
        let effort = Effort {
            latency_us: Some(1_500),
            cost_pusd: Some(2_000_000_000),
        };
        score(&spec.spec().kind().expect("kind"), &item, &answered, effort)
    }

    #[test]
    fn texts_are_compared() {
        assert_eq!(
            of(json!("exact_match"), json!("Yes"), json!(" Yes ")),
            Ok(1.0)
        );
        assert_eq!(
            of(json!("exact_match"), json!("Yes"), json!("yes")),
            Ok(0.0)
        );
        let folded = json!({"metric": "exact_match", "ignore_case": true});
        assert_eq!(of(folded, json!("Yes"), json!("yes")), Ok(1.0));
        assert_eq!(
            of(json!("contains"), json!("nine"), json!("At nine.")),
            Ok(1.0)
        );
        let pattern = json!({"metric": "regex", "pattern": "^\\d+$"});
        assert_eq!(of(pattern, json!(null), json!("12")), Ok(1.0));
        assert!(of(json!("exact_match"), json!(null), json!("x")).is_err());
    }

    #[test]
    fn values_are_compared() {
        assert_eq!(
            of(
                json!("json_equal"),
                json!({"a": 1, "b": [2]}),
                json!("{\"b\": [2.0], \"a\": 1}")
            ),
            Ok(1.0)
        );
        assert_eq!(of(json!("json_equal"), json!([1]), json!([1, 2])), Ok(0.0));
        let near = json!({"metric": "numeric", "tolerance": 0.01});
        assert_eq!(
            of(near.clone(), json!(1000), json!("about 1,005 EUR")),
            Ok(1.0)
        );
        assert_eq!(of(near.clone(), json!(1000), json!("1,020")), Ok(0.0));
        assert!(of(near, json!(1000), json!("no idea")).is_err());
        assert_eq!(of(json!("latency_ms"), json!(null), json!("")), Ok(1.5));
        assert_eq!(of(json!("cost_usd"), json!(null), json!("")), Ok(0.002));
        assert_eq!(of(json!("mrr"), json!(null), json!("")), Ok(0.5));
    }

    /// By SQuAD's script: 4 of 5 and 4 words in common.
    #[test]
    fn words_in_common() {
        let f1 = token_f1("The cat sat on a mat, quietly", "cat sat on the mat");
        assert!((f1 - 2.0 * 4.0 / 9.0).abs() < 1e-12, "{f1}");
        assert_eq!(token_f1("the", "a"), 1.0);
        // The paper's example: ROUGE-L of both against the first is 3/4 and 2/4.
        let reference = "police killed the gunman";
        assert_eq!(rouge_l("police kill the gunman", reference), 0.75);
        assert_eq!(rouge_l("the gunman kill police", reference), 0.5);
        assert_eq!(rouge_l("", reference), 0.0);
    }

    #[test]
    fn a_metric_without_what_it_needs_says_so() {
        let spec = Spec {
            metric: "mrr".into(),
            ..Spec::default()
        };
        let item: Item = serde_json::from_value(json!({"question": "q"})).expect("item");
        let none = score(
            &spec.kind().expect("kind"),
            &item,
            &Answered::default(),
            Effort::default(),
        );
        assert!(none.expect_err("none").contains("retrieved"));
    }
}
