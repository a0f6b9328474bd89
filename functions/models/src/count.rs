//! `POST /api/v1/models/count-tokens`

use crate::ModelsRead;
use nodeai_app::{Caller, Valid};
use nodeai_http::{Check, Checker, Problem, reply::Json};
use nodeai_tokens::{Counter, Message, Method};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A message.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MessageInput {
    /// `system`, `user`, `assistant` or `tool`.
    role: String,
    /// The speaker's name.
    #[serde(default)]
    name: Option<String>,
    /// The text.
    content: String,
}

/// What to count: exactly one of `text`, `texts` and `messages`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CountInput {
    /// The model, `provider/model`.
    model: String,
    /// A text.
    #[serde(default)]
    text: Option<String>,
    /// Texts, each counted by itself; at most 10,000.
    #[serde(default)]
    texts: Option<Vec<String>>,
    /// A conversation.
    #[serde(default)]
    messages: Option<Vec<MessageInput>>,
}

impl Check for CountInput {
    fn check(&self, c: &mut Checker) {
        c.length(&self.model, 3, 200, "/model");
        let given = [
            self.text.is_some(),
            self.texts.is_some(),
            self.messages.is_some(),
        ];
        let one = given.into_iter().filter(|given| *given).count() == 1;
        let detail = "give exactly one of text, texts and messages";
        c.require(one, "/text", "one_of", detail);
        let few = self
            .texts
            .as_ref()
            .is_none_or(|texts| texts.len() <= 10_000);
        c.require(few, "/texts", "too_many", "at most 10000");
    }
}

/// A count.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Counted {
    /// Tokens in all; of messages with what is put around them.
    tokens: usize,
    /// Tokens of each of `texts`.
    #[serde(skip_serializing_if = "Option::is_none")]
    each: Option<Vec<usize>>,
    /// Whether the model's own tokeniser counted: `exact`, or `estimate`.
    method: &'static str,
    /// Which tokeniser counted.
    tokenizer: &'static str,
}

/// Counts tokens: exactly for models whose tokeniser is public, and otherwise as an estimate that says so.
pub async fn handle(
    caller: Caller<ModelsRead>,
    Valid(input): Valid<CountInput>,
) -> Result<Json<Counted>, Problem> {
    caller.session.release();
    let counter = Counter::of(&input.model);
    let texts = input.texts.as_deref().map(|texts| {
        let counts = texts.iter().map(|text| counter.text(text).tokens);
        counts.collect::<Vec<usize>>()
    });
    let messages: Vec<Message<'_>> = input
        .messages
        .iter()
        .flatten()
        .map(|message| Message {
            role: &message.role,
            name: message.name.as_deref(),
            content: &message.content,
        })
        .collect();
    let count = match messages.is_empty() {
        true => counter.text(input.text.as_deref().unwrap_or_default()),
        false => counter.messages(&messages),
    };
    Ok(Json::ok(Counted {
        tokens: texts
            .as_ref()
            .map_or(count.tokens, |each| each.iter().sum()),
        each: texts,
        method: match count.method {
            Method::Exact => "exact",
            Method::Estimate => "estimate",
        },
        tokenizer: count.tokenizer,
    }))
}
