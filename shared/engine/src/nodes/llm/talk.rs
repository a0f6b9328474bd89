//! What follows a model's answer or failure: the next question (a repair, the results of tools, another model) or the end. The
//! runner asks; what to ask is decided here.

use nodeai_llm::{
    ChatRequest, ChatResponse, Message, Prices, ResponseFormat, Role, ToolCall, Usage,
};
use serde_json::{Value, json};

use super::{LlmCall, Model, Shape, to_micros};
use crate::fault::Faults;
use crate::log::{CallMeta, NodeError};
use crate::nodes::{Effect, Outcome};
use crate::schema::{Checker, Templates};

/// Most characters of a tool's result that the model gets.
const LONGEST_RESULT: usize = 50_000;

/// A conversation that is going on.
#[derive(Debug, Clone)]
pub struct Talk {
    /// What is asked next.
    pub chat: ChatRequest,
    at: usize,
    repairs: u32,
    steps: u32,
    usage: Option<Usage>,
    cost_pusd: Option<i64>,
    unpriced: bool,
    /// When it began, µs since the epoch: the prices of that time count.
    at_us: i64,
    prices: Prices,
    price_version: Option<String>,
    calls: Vec<Value>,
}

/// What comes next.
#[derive(Debug)]
pub enum Next {
    /// Ask again: `talk.chat`, at `talk.model()`.
    Ask,
    /// Call these tools, then say what they gave by [`LlmCall::results`].
    Tools(Vec<(ToolCall, Result<Effect, NodeError>)>),
    /// The end.
    Done(CallMeta, Result<Outcome, NodeError>),
}

impl LlmCall {
    /// Begins, at a time in µs since the epoch; its answers cost what `prices` say.
    pub fn talk(&self, at_us: i64, prices: Prices) -> Talk {
        Talk {
            chat: self.chat.clone(),
            at: 0,
            repairs: 0,
            steps: 0,
            usage: None,
            cost_pusd: Some(0),
            unpriced: false,
            at_us,
            prices,
            price_version: None,
            calls: Vec::new(),
        }
    }

    /// The model that is asked next.
    pub fn model(&self, talk: &Talk) -> &Model {
        &self.models[talk.at]
    }

    /// After a failure: whether another model is asked. What it cost so far is kept.
    pub fn fall_back(&self, talk: &mut Talk, error: &NodeError) -> bool {
        let goes_on = talk.at + 1 < self.models.len() && error.kind != "cancelled";
        if goes_on {
            talk.at += 1;
        }
        goes_on
    }

    /// The end after a failure that nothing follows.
    pub fn failed(&self, talk: &Talk, error: NodeError) -> (CallMeta, Result<Outcome, NodeError>) {
        (self.meta_of(talk, None), Err(error))
    }

    /// What follows an answer.
    pub fn follow(&self, talk: &mut Talk, answer: ChatResponse) -> Next {
        talk.steps += 1;
        talk.count(&self.model(talk).endpoint.reference(), answer.usage);
        if let Some(agent) = &self.agent
            && !answer.tool_calls.is_empty()
        {
            if let Some(error) = agent.exceeded(talk.steps, talk.total_pusd()) {
                return Next::Done(self.meta_of(talk, Some(&answer)), Err(error));
            }
            let effects = answer
                .tool_calls
                .iter()
                .map(|call| (call.clone(), agent.call(call)));
            let effects = effects.collect();
            talk.say(answer);
            return Next::Tools(effects);
        }
        match self.json_of(&answer) {
            Ok(json) => {
                let meta = self.meta_of(talk, Some(&answer));
                let output = self.output(talk, answer, json);
                Next::Done(meta, Ok(Outcome::new(output)))
            }
            Err(fault) if talk.repairs < self.repairs => {
                talk.repairs += 1;
                talk.say(answer);
                let words = format!(
                    "That answer cannot be used: {fault}. Answer again, with the JSON alone."
                );
                talk.chat.messages.push(Message::new(Role::User, words));
                Next::Ask
            }
            Err(fault) => {
                let meta = self.meta_of(talk, Some(&answer));
                let message =
                    format!("the model was asked for JSON, and its answer cannot be used: {fault}");
                Next::Done(
                    meta,
                    Err(NodeError::new("malformed_response", message, true)),
                )
            }
        }
    }

    /// Tells the model what its tools gave.
    pub fn results(&self, talk: &mut Talk, results: Vec<(ToolCall, Result<Value, NodeError>)>) {
        for (call, result) in results {
            let (content, failed) = match result {
                Ok(Value::String(text)) => (text, false),
                Ok(value) => (value.to_string(), false),
                Err(error) => (json!({"error": error.message}).to_string(), true),
            };
            let content: String = content.chars().take(LONGEST_RESULT).collect();
            talk.calls.push(json!({
                "name": call.name,
                "arguments": serde_json::from_str::<Value>(&call.arguments).unwrap_or_else(|_| call.arguments.clone().into()),
                "result": content,
                "failed": failed,
            }));
            let mut message = Message::new(Role::Tool, content);
            message.tool_call_id = Some(call.id);
            talk.chat.messages.push(message);
        }
    }

    /// The JSON of an answer, where some was asked for; or what is wrong with it.
    fn json_of(&self, answer: &ChatResponse) -> Result<Option<Value>, String> {
        let format = self.chat.response_format.as_ref();
        if matches!(format, None | Some(ResponseFormat::Text)) || !answer.tool_calls.is_empty() {
            return Ok(None);
        }
        let parsed = serde_json::from_str::<Value>(without_fence(&answer.text));
        let value = parsed.map_err(|error| format!("it is no JSON ({error})"))?;
        if let Some(ResponseFormat::JsonSchema { schema }) = format {
            let mut faults = Faults::default();
            let templates = Templates::Plain;
            Checker {
                templates,
                faults: &mut faults,
            }
            .check(schema, &value, "");
            let faults = faults.into_vec();
            if !faults.is_empty() {
                let words = faults.iter().take(10).map(|fault| {
                    let at = if fault.pointer.is_empty() {
                        "/"
                    } else {
                        &fault.pointer
                    };
                    format!("{at}: {}", fault.message)
                });
                return Err(words.collect::<Vec<_>>().join("; "));
            }
        }
        Ok(Some(value))
    }

    fn meta_of(&self, talk: &Talk, answer: Option<&ChatResponse>) -> CallMeta {
        let endpoint = &self.model(talk).endpoint;
        CallMeta {
            provider: Some(endpoint.name.clone()),
            request_model: Some(endpoint.model.clone()),
            response_model: answer
                .map(|answer| answer.model.clone())
                .filter(|model| !model.is_empty()),
            response_id: answer.and_then(|answer| answer.id.clone()),
            finish_reason: answer.map(|answer| answer.finish_reason.as_str().to_owned()),
            usage: talk.usage,
            cost_pusd: talk.usage.and(talk.total_pusd()),
            price_version: talk.price_version.clone(),
            ..CallMeta::default()
        }
    }

    fn output(&self, talk: &Talk, answer: ChatResponse, json: Option<Value>) -> Value {
        let usage = talk.usage.unwrap_or_default();
        let endpoint = &self.model(talk).endpoint;
        let model = Some(answer.model).filter(|model| !model.is_empty());
        let mut output = json!({
            "text": answer.text,
            "model": model.unwrap_or_else(|| endpoint.model.clone()),
            "provider": endpoint.name,
            "finish_reason": answer.finish_reason,
            "usage": {
                "prompt_tokens": usage.prompt_tokens,
                "completion_tokens": usage.completion_tokens,
                "cached_tokens": usage.cached_tokens,
                "cache_write_tokens": usage.cache_write_tokens + usage.cache_write_1h_tokens,
                "reasoning_tokens": usage.reasoning_tokens,
                "cost_usd_micros": talk.usage.and(talk.total_pusd()).map(to_micros),
            },
        });
        if !answer.tool_calls.is_empty() {
            output["tool_calls"] = json!(answer.tool_calls);
        }
        if self.agent.is_some() {
            output["calls"] = talk.calls.clone().into();
            output["steps"] = talk.steps.into();
        }
        match (&self.shape, json) {
            (Shape::Chat, Some(json)) => output["json"] = json,
            (Shape::Classify, Some(Value::Object(answer))) => {
                let map = output.as_object_mut();
                map.into_iter().for_each(|map| {
                    map.shift_remove("text");
                    map.extend(answer.clone());
                });
            }
            (Shape::Extract, Some(json)) => {
                output["data"] = json;
                output.as_object_mut().map(|map| map.shift_remove("text"));
            }
            _ => {}
        }
        output
    }
}

impl Talk {
    fn count(&mut self, reference: &str, usage: Option<Usage>) {
        let Some(new) = usage else {
            self.unpriced = true;
            return;
        };
        let sum = self.usage.get_or_insert_default();
        sum.add(&new);
        match self.prices.cost_at(reference, &new, self.at_us) {
            Some(more) => {
                self.cost_pusd = self.cost_pusd.map(|sum| sum.saturating_add(more.pusd));
                self.price_version = Some(more.version);
            }
            None => self.unpriced = true,
        }
    }

    /// What all answers cost; none when the price of one is not known.
    fn total_pusd(&self) -> Option<i64> {
        self.cost_pusd.filter(|_| !self.unpriced)
    }

    fn say(&mut self, answer: ChatResponse) {
        let mut message = Message::new(Role::Assistant, answer.text);
        message.tool_calls = answer.tool_calls;
        self.chat.messages.push(message);
    }
}

/// Models like to put JSON into a Markdown fence.
fn without_fence(text: &str) -> &str {
    let text = text.trim();
    let inner = text
        .strip_prefix("```json")
        .or_else(|| text.strip_prefix("```"));
    inner
        .and_then(|inner| inner.strip_suffix("```"))
        .map_or(text, str::trim)
}
