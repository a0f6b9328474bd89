//! OTLP as JSON, both ways, by the OTLP 1.x specification's JSON mapping
//! (<https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>): ids as hex, 64-bit
//! integers as decimal strings, enums as numbers. Reading is lenient where other
//! exporters differ (numbers for strings, snake_case, enum names).

mod read;
mod write;

pub use read::{ReadError, from_json, from_line};
pub use write::{to_json, to_line};

/// Attribute names that carry the fields of [`crate::Span`] which OTLP has no place for.
/// The `gen_ai.*` names are those of the OpenTelemetry GenAI semantic conventions.
pub mod names {
    /// The workflow node.
    pub const NODE_ID: &str = "nodeai.node.id";
    /// The node's type.
    pub const NODE_TYPE: &str = "nodeai.node.type";
    /// The attempt at the node.
    pub const ATTEMPT: &str = "nodeai.node.attempt";
    /// Cost in pico-USD.
    pub const COST_PUSD: &str = "nodeai.cost_pusd";
    /// LLM provider.
    pub const PROVIDER: &str = "gen_ai.provider.name";
    /// LLM provider, as it was called before.
    pub const OLD_PROVIDER: &str = "gen_ai.system";
    /// Model asked for.
    pub const MODEL: &str = "gen_ai.request.model";
    /// Model that answered.
    pub const RESPONSE_MODEL: &str = "gen_ai.response.model";
    /// Tokens sent.
    pub const INPUT_TOKENS: &str = "gen_ai.usage.input_tokens";
    /// Tokens sent, as it was called before.
    pub const OLD_INPUT_TOKENS: &str = "gen_ai.usage.prompt_tokens";
    /// Tokens written.
    pub const OUTPUT_TOKENS: &str = "gen_ai.usage.output_tokens";
    /// Tokens written, as it was called before.
    pub const OLD_OUTPUT_TOKENS: &str = "gen_ai.usage.completion_tokens";
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{Attributes, Event, Kind, Link, Span, SpanId, Status, TraceId};

    fn rich_span() -> Span {
        let mut span = Span::new(
            TraceId::from_random([0x5b; 16]),
            SpanId::from_random([0xee; 8]),
            "chat gpt-4o-mini",
            1_700_000_000_000_001,
        );
        span.parent_span_id = Some(SpanId::from_random([0xea; 8]));
        span.kind = Kind::Client;
        span.end_us = span.start_us + 1_234;
        span.status = Status::Error;
        span.status_message = Some("429".into());
        span.node_id = Some("ask".into());
        span.node_type = Some("llm".into());
        span.attempt = Some(2);
        span.provider = Some("openai".into());
        span.model = Some("gpt-4o-mini".into());
        span.prompt_tokens = Some(12);
        span.completion_tokens = Some(34);
        span.cost_pusd = Some(22_200_000);
        span.set("a.list", json!([1, "two", {"three": 3.5}]));
        span.set("a.flag", true);
        span.events.push(Event {
            name: "retry".into(),
            at_us: span.start_us + 5,
            attributes: json!({"in_ms": 100})
                .as_object()
                .cloned()
                .unwrap_or_default(),
        });
        span.links.push(Link {
            trace_id: TraceId::from_random([1; 16]),
            span_id: SpanId::from_random([2; 8]),
            attributes: Default::default(),
        });
        span
    }

    #[test]
    fn a_line_reads_back_as_the_same_spans() {
        let spans = vec![rich_span()];
        let line = to_line(&spans, &Attributes::new());
        assert!(!line.contains('\n'));
        assert_eq!(from_line(&line).expect("own output"), spans);
    }

    #[test]
    fn reads_the_example_of_the_specification() {
        // Shortened from the OTLP examples: trace.json.
        let example = json!({"resourceSpans": [{
            "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "my.service"}}]},
            "scopeSpans": [{
                "scope": {"name": "my.library", "version": "1.0.0"},
                "spans": [{
                    "traceId": "5B8EFFF798038103D269B633813FC60C",
                    "spanId": "EEE19B7EC3C1B174",
                    "parentSpanId": "EEE19B7EC3C1B173",
                    "name": "I'm a server span",
                    "startTimeUnixNano": "1544712660000000000",
                    "endTimeUnixNano": "1544712661000000000",
                    "kind": 2,
                    "attributes": [{"key": "my.span.attr", "value": {"stringValue": "some value"}}]
                }]
            }]
        }]});
        let spans = from_json(&example).expect("valid");
        assert_eq!(spans[0].kind, Kind::Server);
        assert_eq!(spans[0].duration_us(), 1_000_000);
        assert_eq!(spans[0].attributes["service.name"], "my.service");
        assert_eq!(spans[0].attributes["my.span.attr"], "some value");
    }

    #[test]
    fn old_genai_names_fill_the_same_fields() {
        let old = json!({"resourceSpans": [{"scopeSpans": [{"spans": [{
            "traceId": "5b8efff798038103d269b633813fc60c", "spanId": "eee19b7ec3c1b174",
            "name": "chat", "startTimeUnixNano": 5000, "endTimeUnixNano": "7000", "kind": "SPAN_KIND_CLIENT",
            "status": {"code": "STATUS_CODE_OK"},
            "attributes": [
                {"key": "gen_ai.system", "value": {"stringValue": "openai"}},
                {"key": "gen_ai.usage.prompt_tokens", "value": {"intValue": "3"}},
                {"key": "gen_ai.usage.completion_tokens", "value": {"intValue": 4}}]
        }]}]}]});
        let span = &from_json(&old).expect("valid")[0];
        assert_eq!(span.provider.as_deref(), Some("openai"));
        assert_eq!(
            (span.prompt_tokens, span.completion_tokens),
            (Some(3), Some(4))
        );
        assert_eq!((span.kind, span.status), (Kind::Client, Status::Ok));
        assert!(!span.attributes.contains_key("gen_ai.system"));
    }

    #[test]
    fn names_the_pointer_of_a_bad_span() {
        let bad = json!({"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "zz"}]}]}]});
        let error = from_json(&bad).expect_err("bad id");
        assert_eq!(
            error.pointer,
            "/resourceSpans/0/scopeSpans/0/spans/0/traceId"
        );
    }
}
