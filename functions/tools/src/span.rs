//! Each call as a span, by OpenTelemetry's conventions for generative AI (`execute_tool`).

use crate::call::CallOutput;
use crate::model::{Kind, Stored};
use nodeai_app::{Cx, clock};
use nodeai_telemetry::{Kind as SpanKind, Span, Status, TraceContext};
use serde_json::{Value, json};

/// Most bytes of arguments and of an output in a span.
const LONGEST: usize = 8 * 1_024;

/// A call that has begun.
pub struct Begun {
    /// Its place in the trace; goes along to parts of this application.
    pub trace: TraceContext,
    /// Its id.
    pub call_id: String,
    started_us: i64,
}

impl Begun {
    /// Begins a call within a request.
    pub fn in_request(cx: &Cx) -> Self {
        Self {
            trace: cx.trace.child(clock::random()),
            call_id: clock::new_id(),
            started_us: clock::now_us(),
        }
    }

    /// Milliseconds since.
    pub fn elapsed_ms(&self) -> f64 {
        (clock::now_us() - self.started_us).max(0) as f64 / 1_000.0
    }

    /// Leaves the call's span for the request's trace.
    pub fn end(
        &self,
        cx: &Cx,
        tool: &Stored,
        function: &str,
        arguments: &Value,
        output: &CallOutput,
    ) {
        let name = format!("execute_tool {function}");
        let mut span = Span::new(
            self.trace.trace_id,
            self.trace.span_id,
            name,
            self.started_us,
        );
        span.parent_span_id = Some(cx.trace.span_id);
        span.kind = SpanKind::Client;
        span.end_us = clock::now_us().max(self.started_us);
        span.set("gen_ai.operation.name", "execute_tool");
        span.set("gen_ai.tool.name", function);
        span.set("gen_ai.tool.call.id", self.call_id.as_str());
        let kind = if tool.kind == Kind::Function {
            "function"
        } else {
            "extension"
        };
        span.set("gen_ai.tool.type", kind);
        if let Some(text) = &tool.description {
            span.set(
                "gen_ai.tool.description",
                text.chars().take(500).collect::<String>(),
            );
        }
        span.set("nodeai.tool.id", tool.id.as_str());
        span.set("nodeai.tool.name", tool.name.as_str());
        span.set("nodeai.tool.kind", tool.kind.as_str());
        span.set("nodeai.input", cut(arguments));
        span.set("nodeai.output", cut(&output.output));
        if tool.kind == Kind::Mcp {
            span.set("mcp.method.name", "tools/call");
        }
        if let Some(status) = output.http_status {
            span.set("http.response.status_code", status);
        }
        if let Some(id) = &output.execution_id {
            span.set("nodeai.execution.id", id.as_str());
        }
        span.status = if output.is_error {
            Status::Error
        } else {
            Status::Ok
        };
        if let Some(error) = &output.error {
            span.status_message = Some(error.message.clone());
            span.set("error.type", error.kind.as_str());
        } else if output.is_error {
            span.set("error.type", "tool_error");
        }
        cx.spans.push(span);
    }
}

/// A value as a span has it: whole while it is small.
fn cut(value: &Value) -> Value {
    let text = value.to_string();
    if text.len() <= LONGEST {
        return value.clone();
    }
    let mut end = LONGEST;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    json!(format!("{}…", &text[..end]))
}
