//! A provider's streamed answer: bytes in, deltas out, and the whole answer at the end.

use crate::endpoint::Provider;
use crate::{
    ChatResponse, Delta, Error, FinishReason, ServerEvent, SseDecoder, ToolCall, Usage, anthropic,
    gemini, openai,
};

const MOST_TOOL_CALLS: usize = 256;

/// Decodes one streamed answer.
#[derive(Debug)]
pub struct StreamDecoder {
    provider: Provider,
    sse: SseDecoder,
    text: String,
    tool_calls: Vec<ToolCall>,
    finish: Option<FinishReason>,
    usage: Option<Usage>,
    id: Option<String>,
    model: String,
    ended: bool,
}

/// What one event of the stream means.
pub(crate) enum Step {
    /// These deltas.
    Deltas(Vec<Delta>),
    /// The provider's own end mark.
    End,
}

impl StreamDecoder {
    pub(crate) fn new(provider: Provider, model: &str) -> Self {
        Self {
            provider,
            sse: SseDecoder::new(),
            text: String::new(),
            tool_calls: Vec::new(),
            finish: None,
            usage: None,
            id: None,
            model: model.to_owned(),
            ended: false,
        }
    }

    /// Takes the next bytes and gives the deltas that they complete.
    ///
    /// # Errors
    /// When the stream breaks the provider's contract or carries an error event.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<Delta>, Error> {
        let mut deltas = Vec::new();
        let events = self
            .sse
            .push(bytes)
            .map_err(|error| Error::malformed(format!("the provider sent {error}")))?;
        for event in events {
            match self.read(&event)? {
                Step::End => self.ended = true,
                Step::Deltas(more) => {
                    for delta in more {
                        self.take(&delta)?;
                        deltas.push(delta);
                    }
                }
            }
        }
        Ok(deltas)
    }

    /// The whole answer.
    ///
    /// # Errors
    /// When the stream ended before the model had finished.
    pub fn finish(mut self) -> Result<ChatResponse, Error> {
        let whole = self.ended || self.finish.is_some();
        if !whole {
            return Err(Error::incomplete(
                "the provider closed the stream before the answer's end",
            ));
        }
        // Anthropic numbers text blocks too, which leaves gaps.
        self.tool_calls.retain(|call| !call.name.is_empty());
        Ok(ChatResponse {
            text: self.text,
            tool_calls: self.tool_calls,
            finish_reason: self.finish.unwrap_or(FinishReason::Other),
            model: self.model,
            id: self.id,
            usage: self.usage,
        })
    }

    fn read(&self, event: &ServerEvent) -> Result<Step, Error> {
        if event.data.trim() == "[DONE]" {
            return Ok(Step::End);
        }
        if event.data.is_empty() {
            return Ok(Step::Deltas(Vec::new()));
        }
        let json: serde_json::Value = serde_json::from_str(&event.data)
            .map_err(|_| Error::malformed("the provider sent an event that is not JSON"))?;
        if event.event == "error" || json.get("error").is_some_and(|error| !error.is_null()) {
            return Err(Error::from_stream(&json));
        }
        match self.provider {
            Provider::OpenAiCompatible => openai::read_event(&json),
            Provider::Anthropic => anthropic::read_event(&json, self.usage),
            Provider::Gemini => gemini::read_event(&json, self.tool_calls.len()),
            Provider::Echo => Ok(Step::Deltas(Vec::new())),
        }
    }

    fn take(&mut self, delta: &Delta) -> Result<(), Error> {
        match delta {
            Delta::Text(text) => self.text.push_str(text),
            Delta::Usage(usage) => self.usage = Some(*usage),
            Delta::Finish(reason) => self.finish = Some(*reason),
            Delta::Start { id, model } => {
                self.id = id.clone().or(self.id.take());
                if let Some(model) = model {
                    self.model.clone_from(model);
                }
            }
            Delta::ToolCall {
                index,
                id,
                name,
                arguments,
            } => {
                if *index >= MOST_TOOL_CALLS {
                    return Err(Error::malformed(
                        "the provider asked for too many tools at once",
                    ));
                }
                if self.tool_calls.len() <= *index {
                    self.tool_calls.resize(index + 1, ToolCall::default());
                }
                let call = &mut self.tool_calls[*index];
                if let Some(id) = id {
                    call.id.clone_from(id);
                }
                if let Some(name) = name {
                    call.name.clone_from(name);
                }
                call.arguments.push_str(arguments);
            }
        }
        Ok(())
    }
}
