//! How long a call's prompt was: whether what a span calls its input includes what the provider's cache read and wrote.
//!
//! OpenTelemetry's conventions ("this value MUST include cached tokens") and OpenInference's include it, and OpenLLMetry's
//! instrumentation of Anthropic adds it up so. Others hand on what Anthropic and Bedrock answer, whose input is what comes
//! after the cache.

use crate::names as n;
use crate::normalise::{number, text};
use serde_json::{Map, Value};

/// Scopes whose spans have Anthropic's or Bedrock's own count as the input, by the start of their names: OpenLIT's, of
/// either, and OpenLLMetry's of Bedrock.
const AS_ANSWERED: &[&str] = &["openlit", "opentelemetry.instrumentation.bedrock"];

/// Starts of providers' names whose own count of the input leaves the cache out.
const CACHE_BESIDE: &[&str] = &["anthropic", "aws", "bedrock", "amazon"];

/// The tokens of the prompt, with those of the cache; `scope` is the name of the instrumentation.
pub(crate) fn tokens(a: &Map<String, Value>, scope: &str) -> Option<i64> {
    let input = number(a, n::INPUT_TOKENS)?;
    let cached = [n::CACHE_READ, n::CACHE_WRITE]
        .iter()
        .filter_map(|names| number(a, names))
        .sum::<i64>();
    match cached > 0 && is_beside(a, scope, input, cached) {
        true => Some(input.saturating_add(cached)),
        false => Some(input),
    }
}

fn is_beside(a: &Map<String, Value>, scope: &str, input: i64, cached: i64) -> bool {
    // A part is never more than the whole.
    if cached > input {
        return true;
    }
    let scope = scope.to_lowercase();
    if AS_ANSWERED.iter().any(|name| scope.starts_with(name)) {
        let provider = text(a, n::PROVIDER).unwrap_or_default().to_lowercase();
        return CACHE_BESIDE.iter().any(|name| provider.starts_with(name));
    }
    // Whoever is not known may tell the sum of all: it shows what is part of what.
    let output = number(a, n::OUTPUT_TOKENS).unwrap_or(0);
    number(a, n::TOTAL_TOKENS) == Some(input + cached + output)
}
