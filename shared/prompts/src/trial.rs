//! One prompt for several models: a run whose nodes ask them side by side. What was rendered goes in as inputs, so that
//! nothing in it is taken for a template once more.

use nodeai_llm::{Prices, Usage};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{Rendered, Settings, Template};

/// Characters of a usual token of English text: for estimates, which say that they are ones.
const CHARACTERS_PER_TOKEN: usize = 4;

/// A model to ask.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Candidate {
    /// `provider/model`.
    pub model: String,
    /// Another server that speaks the provider's protocol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    /// The name of the secret with its key; the provider's usual one unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_secret: Option<String>,
    /// What this model is told instead of the template's settings.
    #[serde(default)]
    pub settings: Settings,
}

/// A template, the models that it is tried with, and the rows of variables.
#[derive(Debug)]
pub struct Trial<'a> {
    /// The template.
    pub template: &'a Template,
    /// The models.
    pub candidates: &'a [Candidate],
    /// The template for each row of variables.
    pub rows: &'a [Rendered],
}

/// What one candidate is expected to cost for all rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Estimate {
    /// Tokens of the prompts, by their length.
    pub prompt_tokens: i64,
    /// Pico-USD of the prompts; none where the price is not known.
    pub prompt_pusd: Option<i64>,
    /// Pico-USD if every answer has as many tokens as it may; none where there is no limit, or no price.
    pub most_pusd: Option<i64>,
}

impl Trial<'_> {
    /// The id of the node that asks a candidate with a row's prompt.
    pub fn node_id(row: usize, candidate: usize) -> String {
        format!("r{row}m{candidate}")
    }

    /// The run's document. A candidate that fails leaves the others alone.
    pub fn definition(&self) -> Value {
        let mut nodes = vec![json!({"id": "in", "type": "input", "data": {}})];
        let mut edges = Vec::new();
        let mut value = Map::new();
        for row in 0..self.rows.len() {
            for (at, candidate) in self.candidates.iter().enumerate() {
                let id = Self::node_id(row, at);
                nodes.push(json!({"id": id, "type": "llm", "data": self.node(row, candidate)}));
                edges.push(edge("in", "output", &id));
                edges.push(edge(&id, "output", "out"));
                edges.push(edge(&id, "error", "out"));
                value.insert(id.clone(), json!(format!("{{{{ nodes.{id}.output }}}}")));
            }
        }
        nodes.push(json!({"id": "out", "type": "output", "data": {"value": value}}));
        json!({"nodes": nodes, "edges": edges})
    }

    /// The run's inputs.
    pub fn inputs(&self) -> Map<String, Value> {
        let mut inputs = Map::new();
        inputs.insert("rows".to_owned(), json!(self.rows));
        inputs
    }

    fn node(&self, row: usize, candidate: &Candidate) -> Value {
        let messages = self.template.messages.iter().enumerate();
        let messages: Vec<Value> = messages
            .map(|(i, message)| {
                let text = format!("{{{{ inputs.rows[{row}].texts[{i}] }}}}");
                let pictures = message.images.len();
                json!({"role": message.role, "content": content(&text, row, i, pictures)})
            })
            .collect();
        let settings = candidate.settings.over(&self.template.settings);
        let mut data = serde_json::to_value(settings).unwrap_or_default();
        data["model"] = json!(candidate.model);
        data["messages"] = json!(messages);
        data["repairs"] = json!(0);
        data["on_error"] = json!("error_edge");
        if !self.template.tools.is_empty() {
            data["tools"] = json!(self.template.tools);
        }
        if let Some(format) = &self.template.response_format {
            data["response_format"] = format.clone();
        }
        if let Some(url) = &candidate.base_url {
            data["base_url"] = json!(url);
        }
        if let Some(name) = &candidate.key_secret {
            data["api_key"] = json!(format!("{{{{ secrets.{name} }}}}"));
        }
        data
    }

    /// What each candidate is expected to cost at a time (µs since the epoch), in their order.
    pub fn estimates(&self, prices: &Prices, at_us: i64) -> Vec<Estimate> {
        let each = self.rows.iter();
        let characters = |row: &Rendered| row.texts.iter().map(|text| text.chars().count()).sum();
        let tokens = |row: &Rendered| {
            let characters: usize = characters(row);
            i64::try_from(characters.div_ceil(CHARACTERS_PER_TOKEN)).unwrap_or(i64::MAX)
        };
        let prompt_tokens: i64 = each.map(tokens).sum();
        let rows = i64::try_from(self.rows.len()).unwrap_or(i64::MAX);
        let estimate = |candidate: &Candidate| {
            let settings = candidate.settings.over(&self.template.settings);
            let usage = |completion_tokens| Usage {
                prompt_tokens,
                completion_tokens,
                ..Usage::default()
            };
            let most = settings
                .max_tokens
                .map(|most| i64::from(most).saturating_mul(rows));
            let cost = |usage: Usage| {
                let priced = prices.cost_at(&candidate.model, &usage, at_us);
                priced.map(|priced| priced.pusd)
            };
            Estimate {
                prompt_tokens,
                prompt_pusd: cost(usage(0)),
                most_pusd: most.and_then(|most| cost(usage(most))),
            }
        };
        self.candidates.iter().map(estimate).collect()
    }
}

fn edge(source: &str, handle: &str, target: &str) -> Value {
    json!({"id": format!("{source}-{handle}-{target}"), "source": source, "sourceHandle": handle, "target": target})
}

fn content(text: &str, row: usize, message: usize, pictures: usize) -> Value {
    if pictures == 0 {
        return json!(text);
    }
    let urls = (0..pictures)
        .map(|j| json!({"type": "image", "url": format!("{{{{ inputs.rows[{row}].images[{message}][{j}] }}}}")}));
    let mut parts = vec![json!({"type": "text", "text": text})];
    parts.extend(urls);
    json!(parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nodeai_engine::compile;

    const AT_US: i64 = 1_790_000_000_000_000;

    fn candidate(model: &str) -> Candidate {
        serde_json::from_value(json!({"model": model})).expect("a candidate")
    }

    fn template() -> Template {
        serde_json::from_value(json!({"messages": [
            {"role": "system", "content": "Be {{ inputs.how }}"},
            {"role": "user", "content": "What is this?", "images": ["https://a.example/x.png"]}],
            "tools": [{"name": "look_up"}], "response_format": "json", "settings": {"max_tokens": 100}}))
        .expect("a template")
    }

    #[test]
    fn the_document_is_one_that_runs() {
        let template = template();
        let variables = json!({"how": "{{ kind }}"});
        let row = template
            .render(variables.as_object().expect("an object"))
            .expect("renders");
        let candidates = [candidate("builtin/echo"), candidate("openai/gpt-5-mini")];
        let rows = [row.clone(), row];
        let trial = Trial {
            template: &template,
            candidates: &candidates,
            rows: &rows,
        };
        let document = trial.definition();
        let faults = compile(&document).err().unwrap_or_default();
        assert!(faults.is_empty(), "{faults:?}");
        assert_eq!(document["nodes"].as_array().map(Vec::len), Some(6));
        assert_eq!(trial.inputs()["rows"][1]["texts"][0], "Be {{ kind }}");
    }

    #[test]
    fn a_cost_is_estimated_where_there_is_a_price() {
        let template = template();
        let rows = [Rendered {
            texts: vec!["x".repeat(4_000)],
            images: vec![Vec::new()],
        }];
        let candidates = [candidate("openai/gpt-4o-mini"), candidate("acme/unknown")];
        let trial = Trial {
            template: &template,
            candidates: &candidates,
            rows: &rows,
        };
        let estimates = trial.estimates(&Prices::default(), AT_US);
        // 1,000 × 0.15 USD and 100 × 0.60 USD per million.
        assert_eq!(estimates[0].prompt_tokens, 1_000);
        assert_eq!(estimates[0].prompt_pusd, Some(150_000_000));
        assert_eq!(estimates[0].most_pusd, Some(210_000_000));
        assert_eq!(
            (estimates[1].prompt_pusd, estimates[1].most_pusd),
            (None, None)
        );
    }
}
