//! Reading vectors, ranks and counts of tokens from answers.

use serde_json::Value;

use super::Rank;
use crate::{Error, Usage};

/// One vector for each of `count` texts: OpenAI's `data[].embedding` by `index`, or Gemini's `embeddings[].values`.
pub(super) fn vectors(json: &Value, count: usize) -> Result<Vec<Vec<f64>>, Error> {
    let list = |name: &str| json.get(name).and_then(Value::as_array);
    let (items, member) = match (list("data"), list("embeddings")) {
        (Some(items), _) => (items, "embedding"),
        (None, Some(items)) => (items, "values"),
        (None, None) => return Err(Error::malformed("the provider's answer has no vectors")),
    };
    let mut found: Vec<Option<Vec<f64>>> = vec![None; count];
    for (position, item) in items.iter().enumerate() {
        let index = item.get("index").and_then(Value::as_u64);
        let index = index.map_or(position, |at| usize::try_from(at).unwrap_or(usize::MAX));
        let place = found.get_mut(index);
        let place = place.ok_or_else(|| Error::malformed("a vector of no text"))?;
        *place = Some(numbers(&item[member])?);
    }
    let found: Option<Vec<Vec<f64>>> = found.into_iter().collect();
    let found = found.ok_or_else(|| Error::malformed("a text without a vector"))?;
    let length = found.first().map_or(0, Vec::len);
    if found.iter().any(|vector| vector.len() != length) || (count > 0 && length == 0) {
        return Err(Error::malformed("the vectors have unlike lengths"));
    }
    Ok(found)
}

fn numbers(json: &Value) -> Result<Vec<f64>, Error> {
    let list = json.as_array();
    let list = list.ok_or_else(|| Error::malformed("a vector is no list of numbers"))?;
    let numbers: Option<Vec<f64>> = list.iter().map(Value::as_f64).collect();
    numbers.ok_or_else(|| Error::malformed("a vector is no list of numbers"))
}

/// The ranks of `count` documents, the best first: `results[]` of Cohere, Jina and Together, `data[]` of Voyage.
pub(super) fn ranks(json: &Value, count: usize, top: Option<usize>) -> Result<Vec<Rank>, Error> {
    let list = |name: &str| json.get(name).and_then(Value::as_array);
    let items = list("results").or_else(|| list("data"));
    let items = items.ok_or_else(|| Error::malformed("the provider's answer has no results"))?;
    let mut ranks = Vec::with_capacity(items.len());
    let mut seen = vec![false; count];
    for item in items {
        let index = item.get("index").and_then(Value::as_u64);
        let index = index.and_then(|at| usize::try_from(at).ok());
        let score = ["relevance_score", "score"];
        let score = score
            .iter()
            .find_map(|name| item.get(*name).and_then(Value::as_f64));
        let (Some(index), Some(score)) = (index, score) else {
            return Err(Error::malformed("a result has no index or no score"));
        };
        match seen.get_mut(index) {
            Some(seen) if !*seen => *seen = true,
            _ => return Err(Error::malformed("a result of no document")),
        }
        ranks.push(Rank { index, score });
    }
    sort(&mut ranks);
    let most = top.unwrap_or(count).min(count);
    if ranks.len() < most {
        return Err(Error::malformed("a document without a result"));
    }
    ranks.truncate(most);
    Ok(ranks)
}

/// The highest score first; equals stay in the order of the documents.
pub(super) fn sort(ranks: &mut [Rank]) {
    ranks.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.index.cmp(&b.index)));
}

/// Tokens read, where the provider says.
pub(super) fn usage(json: &Value) -> Option<Usage> {
    let pointers = [
        "/usage/prompt_tokens",
        "/usage/total_tokens",
        "/meta/billed_units/input_tokens",
        "/meta/tokens/input_tokens",
    ];
    let number = |pointer: &&str| json.pointer(pointer).and_then(Value::as_i64);
    Some(Usage {
        prompt_tokens: pointers.iter().find_map(number)?,
        ..Usage::default()
    })
}
