//! Spans as a view of the run log: one for the run, one per attempt at a node. Names and
//! attributes follow OpenTelemetry's GenAI and HTTP semantic conventions.

use std::collections::HashMap;

use nodeai_telemetry::{Event as SpanEvent, Kind, Span, Status as SpanStatus};
use serde_json::{Value, json};

use crate::decide::cut;
use crate::log::{AttemptResult, CallMeta, Event, Labels, RunStarted, Status, What};
use crate::nodes::to_micros;

/// Most bytes of an input or output in a span.
const LONGEST: usize = 8 * 1024;

/// What a run used in all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Tokens read by models.
    pub prompt_tokens: i64,
    /// Tokens written by models.
    pub completion_tokens: i64,
    /// Known costs in pico-USD.
    pub cost_pusd: i64,
}

impl Totals {
    /// The cost in whole micro-USD, rounded once.
    pub fn cost_usd_micros(&self) -> i64 {
        to_micros(self.cost_pusd)
    }
}

/// Adds up what the attempts used, failed ones included.
pub fn totals_of(log: &[Event]) -> Totals {
    let mut totals = Totals::default();
    for event in log {
        if let What::AttemptFinished { call, .. } = &event.what {
            let usage = call.usage.unwrap_or_default();
            totals.prompt_tokens += usage.prompt_tokens;
            totals.completion_tokens += usage.completion_tokens;
            totals.cost_pusd = totals.cost_pusd.saturating_add(call.cost_pusd.unwrap_or(0));
        }
    }
    totals
}

/// The spans of a run, the root first. `kind_of` gives a node's type. A log without its start
/// has none; attempts without an end, end with the log.
pub fn spans_of(log: &[Event], kind_of: impl Fn(&str) -> Option<String>) -> Vec<Span> {
    let Some((first, started)) = log.first().and_then(|event| match &event.what {
        What::RunStarted(started) => Some((event, started)),
        _ => None,
    }) else {
        return Vec::new();
    };
    let mut view = View {
        started,
        spans: vec![root(started, first.at_us)],
        open: HashMap::new(),
    };
    for event in log {
        view.take(event, &kind_of);
    }
    view.close(log);
    view.spans
}

fn root(started: &RunStarted, at_us: i64) -> Span {
    let name = if started.name.is_empty() {
        "workflow"
    } else {
        &started.name
    };
    let mut span = Span::new(
        started.trace_id,
        started.span_id,
        format!("invoke_workflow {name}"),
        at_us,
    );
    span.parent_span_id = started.parent_span_id;
    span.set("gen_ai.operation.name", "invoke_workflow");
    span.set("gen_ai.workflow.name", name);
    span.set("nodeai.execution.id", started.execution_id.clone());
    span.set("nodeai.definition.hash", started.definition_hash.clone());
    span.set("nodeai.input", cut(started.inputs.clone(), LONGEST));
    label(&mut span, &started.labels);
    span
}

/// What the caller said of the run. Each span has it, since each is counted by itself.
fn label(span: &mut Span, labels: &Labels) {
    span.session_id.clone_from(&labels.session_id);
    span.end_user.clone_from(&labels.end_user);
    span.tags = Some(labels.tags.clone()).filter(|tags| !tags.is_empty());
    if let Some(version) = &labels.prompt_version {
        span.set("nodeai.prompt.version", version.clone());
    }
}

struct View<'a> {
    started: &'a RunStarted,
    spans: Vec<Span>,
    /// Spans without an end, by node.
    open: HashMap<String, usize>,
}

impl View<'_> {
    fn take(&mut self, event: &Event, kind_of: &impl Fn(&str) -> Option<String>) {
        match &event.what {
            What::AttemptStarted {
                node,
                attempt,
                span_id,
                input,
                recalled,
                ..
            } => {
                let kind = kind_of(node).unwrap_or_default();
                let trace = self.started.trace_id;
                let id = node.rsplit('/').next().unwrap_or_default();
                let mut span = Span::new(trace, *span_id, format!("{kind} {id}"), event.at_us);
                span.parent_span_id = Some(self.started.span_id);
                span.node_id = Some(id.to_owned());
                if id != node {
                    span.set("nodeai.node.path", node.clone());
                }
                span.node_type = Some(kind);
                span.attempt = Some(*attempt);
                label(&mut span, &self.started.labels);
                if let Some(input) = input {
                    span.set("nodeai.input", input.clone());
                }
                if !recalled.is_empty() {
                    span.set("nodeai.memory.recalled", 2 * recalled.len());
                }
                self.open.insert(node.clone(), self.spans.len());
                self.spans.push(span);
            }
            What::AttemptFinished {
                node, result, call, ..
            } => {
                if let Some(at) = self.open.remove(node) {
                    finish(&mut self.spans[at], event.at_us, result, call);
                }
            }
            What::NodeCancelled { node } => {
                if let Some(at) = self.open.remove(node) {
                    let span = &mut self.spans[at];
                    span.end_us = event.at_us;
                    fail(span, "cancelled", "the run ended while this was at work");
                }
            }
            What::RetryScheduled {
                node,
                attempt,
                due_us,
            } => {
                let detail = json!({"node": node, "attempt": attempt, "wait_ms": (due_us - event.at_us) / 1_000});
                self.note("retry_scheduled", event.at_us, detail);
            }
            What::NodeSuspended { node, until_us } => {
                let detail = json!({"node": node, "until_us": until_us});
                self.note("node_suspended", event.at_us, detail);
            }
            What::NodeResumed { node, handle, .. } => {
                let detail = json!({"node": node, "handle": handle});
                self.note("node_resumed", event.at_us, detail);
            }
            What::WaitDue { node } => {
                self.note("wait_due", event.at_us, json!({"node": node}));
            }
            What::ErrorWorkflowStarted => {
                self.note("error_workflow_started", event.at_us, json!({}));
            }
            What::NodeSkipped { node } => {
                self.note("node_skipped", event.at_us, json!({"node": node}));
            }
            What::RunCancelRequested { reason } => {
                self.note("cancel_requested", event.at_us, json!({"reason": reason}));
            }
            What::RunFinished {
                status,
                outputs,
                error,
            } => {
                let root = &mut self.spans[0];
                root.set("nodeai.status", status.as_str());
                root.set("nodeai.output", cut(outputs.clone(), LONGEST));
                match error {
                    Some(error) => fail(root, &error.kind, &error.message),
                    None => root.status = SpanStatus::Ok,
                }
                if *status == Status::Succeeded {
                    root.status = SpanStatus::Ok;
                }
            }
            _ => {}
        }
    }

    fn note(&mut self, name: &str, at_us: i64, attributes: Value) {
        let attributes = attributes.as_object().cloned().unwrap_or_default();
        self.spans[0].events.push(SpanEvent {
            name: name.to_owned(),
            at_us,
            attributes,
        });
    }

    fn close(&mut self, log: &[Event]) {
        let end_us = log.last().map_or(0, |event| event.at_us);
        for at in std::mem::take(&mut self.open).into_values() {
            self.spans[at].end_us = end_us;
        }
        let totals = totals_of(log);
        let root = &mut self.spans[0];
        root.end_us = end_us;
        root.prompt_tokens = Some(totals.prompt_tokens);
        root.completion_tokens = Some(totals.completion_tokens);
        root.cost_pusd = Some(totals.cost_pusd);
    }
}

fn finish(span: &mut Span, at_us: i64, result: &AttemptResult, call: &CallMeta) {
    span.end_us = at_us;
    describe(span, call);
    match result {
        AttemptResult::Ok { output, handle } => {
            span.status = SpanStatus::Ok;
            span.set("nodeai.output", cut(output.clone(), LONGEST));
            if handle != crate::graph::DEFAULT_HANDLE {
                span.set("nodeai.handle", handle.clone());
            }
        }
        AttemptResult::Enter { items } => {
            span.status = SpanStatus::Ok;
            span.set("nodeai.iterations", items.len());
        }
        AttemptResult::Wait { wait } => {
            span.status = SpanStatus::Ok;
            span.set("nodeai.wait", json!(wait.kind));
        }
        AttemptResult::Error { error } => {
            fail(span, &error.kind, &error.message);
            // HTTP's convention: the status itself is the type of the error.
            if let Some(status) = call.http_status.filter(|_| error.kind == "http_status") {
                span.set("error.type", status.to_string());
            }
        }
    }
}

fn fail(span: &mut Span, kind: &str, message: &str) {
    span.status = SpanStatus::Error;
    span.status_message = Some(message.to_owned());
    span.set("error.type", kind);
}

/// The buckets of tokens, those that are not empty, and whether their price was known.
fn count(span: &mut Span, call: &CallMeta) {
    let Some(usage) = call.usage else { return };
    let some = |tokens: i64| Some(tokens).filter(|tokens| *tokens != 0);
    span.cache_read_tokens = some(usage.cached_tokens);
    span.cache_write_tokens = some(usage.cache_write_tokens);
    span.cache_write_1h_tokens = some(usage.cache_write_1h_tokens);
    span.reasoning_tokens = some(usage.reasoning_tokens);
    span.audio_input_tokens = some(usage.audio_input_tokens);
    span.audio_output_tokens = some(usage.audio_output_tokens);
    span.image_input_tokens = some(usage.image_input_tokens);
    span.service_tier = usage.tier.map(|tier| tier.as_str().to_owned());
    span.price_version.clone_from(&call.price_version);
    span.priced = Some(call.cost_pusd.is_some());
    let written = usage.cache_write_tokens + usage.cache_write_1h_tokens;
    let attributes = [
        ("gen_ai.usage.cache_read.input_tokens", usage.cached_tokens),
        ("gen_ai.usage.cache_creation.input_tokens", written),
        (
            "gen_ai.usage.reasoning.output_tokens",
            usage.reasoning_tokens,
        ),
    ];
    for (name, tokens) in attributes {
        if tokens != 0 {
            span.set(name, tokens);
        }
    }
}

fn describe(span: &mut Span, call: &CallMeta) {
    if let Some(shortcut) = call.shortcut {
        span.set("nodeai.shortcut", json!(shortcut));
    }
    if let Some(model) = &call.request_model {
        span.kind = Kind::Client;
        let operation = match span.node_type.as_deref() {
            Some("embed") => "embeddings",
            Some("rerank") => "rerank",
            _ => "chat",
        };
        span.name = format!("{operation} {model}");
        span.set("gen_ai.operation.name", operation);
    }
    if let Some(method) = &call.http_method {
        span.kind = Kind::Client;
        span.name.clone_from(method);
        span.set("http.request.method", method.clone());
    }
    for line in &call.logs {
        // The code's clock stands still: its lines are those of its end, in order.
        let attributes = json!({"level": line.level, "message": line.text});
        span.events.push(SpanEvent {
            name: "console".to_owned(),
            at_us: span.end_us,
            attributes: attributes.as_object().cloned().unwrap_or_default(),
        });
    }
    span.provider.clone_from(&call.provider);
    span.model.clone_from(&call.request_model);
    span.prompt_tokens = call.usage.map(|usage| usage.prompt_tokens);
    span.completion_tokens = call.usage.map(|usage| usage.completion_tokens);
    span.cost_pusd = call.cost_pusd;
    count(span, call);
    let known = [
        (
            "gen_ai.provider.name",
            call.provider.clone().map(Value::from),
        ),
        (
            "gen_ai.request.model",
            call.request_model.clone().map(Value::from),
        ),
        (
            "gen_ai.response.model",
            call.response_model.clone().map(Value::from),
        ),
        (
            "gen_ai.response.id",
            call.response_id.clone().map(Value::from),
        ),
        (
            "gen_ai.response.finish_reasons",
            call.finish_reason.clone().map(|reason| json!([reason])),
        ),
        (
            "gen_ai.usage.input_tokens",
            call.usage.map(|usage| usage.prompt_tokens.into()),
        ),
        (
            "gen_ai.usage.output_tokens",
            call.usage.map(|usage| usage.completion_tokens.into()),
        ),
        (
            "gen_ai.response.time_to_first_chunk",
            call.first_token_us.map(|us| (us as f64 / 1e6).into()),
        ),
        ("url.full", call.url.clone().map(Value::from)),
        (
            "http.response.status_code",
            call.http_status.map(Value::from),
        ),
    ];
    for (name, value) in known {
        if let Some(value) = value {
            span.set(name, value);
        }
    }
}
