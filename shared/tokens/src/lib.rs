//! How many tokens a text has: exactly by tokenisers that are public and may be handed on, those of OpenAI and of some models with open
//! weights; tokens of other models are estimated with the newest of OpenAI's, and the answer says so.

mod open;

use open::Open;
use serde::Serialize;
use tiktoken_rs::{
    CoreBPE, cl100k_base_singleton, o200k_base_singleton, o200k_harmony_singleton,
    p50k_base_singleton, r50k_base_singleton, tokenizer::Tokenizer, tokenizer::get_tokenizer,
};

/// Tokens around each message and before the answer, as OpenAI documents them for its chat models
/// (<https://cookbook.openai.com/examples/how_to_count_tokens_with_tiktoken>).
const PER_MESSAGE: usize = 3;
const PER_NAME: usize = 1;
const BEFORE_ANSWER: usize = 3;

/// How a count was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// By the model's own tokeniser.
    Exact,
    /// By another tokeniser, since the model's is not public, or may not be handed on.
    Estimate,
}

/// A count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Count {
    /// Tokens.
    pub tokens: usize,
    /// How it was made.
    pub method: Method,
    /// The tokeniser's name, such as `o200k_base`.
    pub tokenizer: &'static str,
}

/// A message of a conversation.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// Who speaks.
    pub role: &'a str,
    /// The speaker's name, where one is given.
    pub name: Option<&'a str>,
    /// What is said.
    pub content: &'a str,
}

/// A model's tokeniser, or what stands in for it.
pub struct Counter {
    model: String,
    by: By,
    tokenizer: &'static str,
    method: Method,
}

/// What counts.
enum By {
    OpenAi(&'static CoreBPE),
    Open(Open),
}

impl Counter {
    /// The tokeniser of a model (`provider/model`). Text that looks like a special token is counted as text.
    pub fn of(reference: &str) -> Self {
        let (provider, model) = reference.split_once('/').unwrap_or(("", reference));
        if let Some(open) = Open::of(model) {
            return Self {
                model: model.to_owned(),
                by: By::Open(open),
                tokenizer: open.name(),
                method: Method::Exact,
            };
        }
        let own = match provider {
            "openai" | "azure" => get_tokenizer(model),
            // Open weights with OpenAI's tokeniser, wherever they are served.
            _ => model.contains("gpt-oss").then_some(Tokenizer::O200kHarmony),
        };
        let (bpe, tokenizer) = match own {
            Some(Tokenizer::O200kHarmony) => (o200k_harmony_singleton(), "o200k_harmony"),
            Some(Tokenizer::Cl100kBase) => (cl100k_base_singleton(), "cl100k_base"),
            Some(Tokenizer::P50kBase | Tokenizer::P50kEdit) => (p50k_base_singleton(), "p50k_base"),
            Some(Tokenizer::R50kBase | Tokenizer::Gpt2) => (r50k_base_singleton(), "r50k_base"),
            _ => (o200k_base_singleton(), "o200k_base"),
        };
        let method = match own {
            Some(_) => Method::Exact,
            None => Method::Estimate,
        };
        Self {
            model: model.to_owned(),
            by: By::OpenAi(bpe),
            tokenizer,
            method,
        }
    }

    /// Tokens of a text.
    pub fn text(&self, text: &str) -> Count {
        self.count(self.tokens(text))
    }

    /// Tokens of a conversation: the texts', and what is put around messages, as OpenAI documents that for gpt-4o and gpt-4. Other models
    /// differ by a few tokens per message, so that theirs are estimates.
    pub fn messages(&self, messages: &[Message<'_>]) -> Count {
        let each = messages.iter().map(|message| {
            let name = message.name.map_or(0, |name| self.tokens(name) + PER_NAME);
            PER_MESSAGE + self.tokens(message.role) + self.tokens(message.content) + name
        });
        let framed = ["gpt-4", "gpt-3.5"]
            .iter()
            .any(|known| self.model.starts_with(known));
        let mut count = self.count(BEFORE_ANSWER + each.sum::<usize>());
        if !framed {
            count.method = Method::Estimate;
        }
        count
    }

    fn tokens(&self, text: &str) -> usize {
        match &self.by {
            By::OpenAi(bpe) => bpe.count_ordinary(text),
            By::Open(open) => open.count(text),
        }
    }

    fn count(&self, tokens: usize) -> Count {
        Count {
            tokens,
            method: self.method,
            tokenizer: self.tokenizer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The texts and counts of OpenAI's own example of counting tokens.
    #[test]
    fn counts_are_those_of_the_published_example() {
        for (text, cl100k, o200k) in [
            ("antidisestablishmentarianism", 6, 6),
            ("2 + 2 = 4", 7, 7),
            ("お誕生日おめでとう", 9, 8),
        ] {
            let old = Counter::of("openai/gpt-4").text(text);
            assert_eq!(
                (old.tokens, old.tokenizer),
                (cl100k, "cl100k_base"),
                "{text}"
            );
            let new = Counter::of("openai/gpt-4o").text(text);
            assert_eq!((new.tokens, new.tokenizer), (o200k, "o200k_base"), "{text}");
            assert_eq!(new.method, Method::Exact);
        }
    }

    /// OpenAI's example conversation, which its API counted as 124 tokens for gpt-4o and 129 for gpt-4.
    #[test]
    fn a_conversation_counts_as_the_provider_counts_it() {
        let pattern = "You are a helpful, pattern-following assistant that translates corporate jargon into plain English.";
        let message = |role, name, content| Message {
            role,
            name,
            content,
        };
        let messages = [
            message("system", None, pattern),
            message(
                "system",
                Some("example_user"),
                "New synergies will help drive top-line growth.",
            ),
            message(
                "system",
                Some("example_assistant"),
                "Things working well together will increase revenue.",
            ),
            message(
                "system",
                Some("example_user"),
                "Let's circle back when we have more bandwidth to touch base on opportunities for increased leverage.",
            ),
            message(
                "system",
                Some("example_assistant"),
                "Let's talk later when we're less busy about how to do better.",
            ),
            message(
                "user",
                None,
                "This late pivot means we don't have time to boil the ocean for the client deliverable.",
            ),
        ];
        assert_eq!(Counter::of("openai/gpt-4o").messages(&messages).tokens, 124);
        assert_eq!(Counter::of("openai/gpt-4").messages(&messages).tokens, 129);
        // What is put around messages is not documented for later models.
        let methods = ["gpt-4o", "gpt-5-mini"].map(|m| {
            Counter::of(&format!("openai/{m}"))
                .messages(&messages)
                .method
        });
        assert_eq!(methods, [Method::Exact, Method::Estimate]);
    }

    #[test]
    fn models_without_a_public_tokeniser_are_estimated() {
        let count = Counter::of("anthropic/claude-sonnet-5").text("hello");
        assert_eq!(count.method, Method::Estimate);
        let open = Counter::of("groq/openai/gpt-oss-20b").text("hello");
        assert_eq!(
            (open.method, open.tokenizer),
            (Method::Exact, "o200k_harmony")
        );
        let qwen = Counter::of("together/Qwen/Qwen3-235B-A22B").text("hello");
        assert_eq!((qwen.method, qwen.tokenizer), (Method::Exact, "qwen2"));
        // What is put around messages depends on the template of who serves it.
        let messages = [Message {
            role: "user",
            name: None,
            content: "hello",
        }];
        let framed = Counter::of("ollama/qwen3:8b").messages(&messages);
        assert_eq!(framed.method, Method::Estimate);
    }
}
