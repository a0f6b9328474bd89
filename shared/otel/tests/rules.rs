//! Which spans are rejected and why, what is counted once, whose cache is part of whose input.

use nodeai_otel::{Encoding, Normalised, failure, normalise, proto, read, success};
use prost::Message;
use serde_json::{Value, json};

const NOW_US: i64 = 1_795_525_199_000_000;
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

fn span(id: u8, parent: Option<u8>, attributes: Value) -> Value {
    let list: Vec<Value> = attributes
        .as_object()
        .unwrap()
        .iter()
        .map(|(key, value)| match value {
            Value::String(text) => json!({"key": key, "value": {"stringValue": text}}),
            Value::Number(n) if n.is_f64() => json!({"key": key, "value": {"doubleValue": n}}),
            other => json!({"key": key, "value": {"intValue": other.to_string()}}),
        })
        .collect();
    json!({"traceId": TRACE, "spanId": format!("{id:016x}"), "name": format!("s{id}"),
        "parentSpanId": parent.map(|p| format!("{p:016x}")).unwrap_or_default(),
        "startTimeUnixNano": (NOW_US * 1000).to_string(), "endTimeUnixNano": (NOW_US * 1000 + 5000).to_string(),
        "attributes": list})
}

fn of(spans: Vec<Value>) -> Normalised {
    by("", spans)
}

/// The same, made by the instrumentation of this name.
fn by(scope: &str, spans: Vec<Value>) -> Normalised {
    let spans = json!({"scope": {"name": scope}, "spans": spans});
    let body = json!({"resourceSpans": [{"scopeSpans": [spans]}]}).to_string();
    normalise(read(body.as_bytes(), Encoding::Json, None).unwrap(), NOW_US)
}

fn one(attributes: Value) -> Value {
    of(vec![span(1, None, attributes)]).spans.remove(0)
}

#[test]
fn bad_spans_are_rejected_one_by_one_with_their_reason() {
    let with = |field: &str, value: Value| {
        let mut bad = span(9, None, json!({}));
        bad[field] = value;
        bad
    };
    let got = of(vec![
        span(1, None, json!({})),
        with("traceId", json!("00000000000000000000000000000000")),
        with("traceId", json!("zz")),
        with("spanId", json!("")),
        with("parentSpanId", json!("12")),
        with("startTimeUnixNano", json!("0")),
        with(
            "attributes",
            json!([{"key": "k", "value": {"stringValue": "x".repeat(1 << 20)}}]),
        ),
    ]);
    assert_eq!(got.spans.len(), 1);
    assert_eq!(got.rejected.len(), 6);
    assert!(
        got.reasons()
            .starts_with("2 spans: the trace id is not 16 bytes"),
        "{}",
        got.reasons()
    );
    assert!(got.reasons().contains("1 MiB"));
}

#[test]
fn a_call_inside_another_one_is_counted_once() {
    let call = json!({"gen_ai.operation.name": "chat", "gen_ai.request.model": "m", "gen_ai.usage.input_tokens": 5});
    let agent = json!({"gen_ai.operation.name": "invoke_agent", "gen_ai.request.model": "m", "gen_ai.usage.input_tokens": 5});
    let got = of(vec![
        span(1, None, agent),
        span(2, Some(1), call.clone()),
        span(3, Some(2), json!({})),
        span(4, Some(3), call),
    ]);
    let measures: Vec<&Value> = got.spans.iter().map(|span| &span["measure"]).collect();
    assert_eq!(measures, ["none", "none", "none", "model"]);
}

#[test]
fn a_cycle_of_parents_ends() {
    let call = json!({"gen_ai.operation.name": "chat", "gen_ai.request.model": "m"});
    let got = of(vec![span(1, Some(2), call.clone()), span(2, Some(1), call)]);
    assert_eq!(got.spans.len(), 2);
}

#[test]
fn a_cache_beside_the_input_is_added_to_it() {
    let usage = |input: i64| {
        one(
            json!({"gen_ai.operation.name": "chat", "gen_ai.system": "anthropic", "gen_ai.request.model": "claude-sonnet-4",
            "gen_ai.usage.input_tokens": input, "gen_ai.usage.cache_read_input_tokens": 900,
            "gen_ai.usage.cache_creation_input_tokens": 50}),
        )
    };
    assert_eq!(usage(10)["prompt_tokens"], 960);
    assert_eq!(usage(960)["prompt_tokens"], 960);
    assert_eq!(usage(10)["cache_write_tokens"], 50);
}

/// The prompt of 1,000 input tokens and 900 that were read from the cache, as these tell it.
fn prompt(scope: &str, provider: &str, names: [&str; 2], total: Option<(&str, i64)>) -> Value {
    let mut attributes = json!({"gen_ai.operation.name": "chat", "gen_ai.provider.name": provider,
        "gen_ai.request.model": "m", "gen_ai.usage.output_tokens": 10});
    attributes[names[0]] = 1_000.into();
    attributes[names[1]] = 900.into();
    if let Some((name, total)) = total {
        attributes[name] = total.into();
    }
    let span = by(scope, vec![span(1, None, attributes)]).spans.remove(0);
    assert_eq!(span["cache_read_tokens"], 900);
    span["prompt_tokens"].clone()
}

#[test]
fn the_emitter_says_whether_the_input_includes_the_cache() {
    let input = "gen_ai.usage.input_tokens";
    let convention = [input, "gen_ai.usage.cache_read.input_tokens"];
    let earlier = [input, "gen_ai.usage.cache_read_input_tokens"];
    let openinference = [
        "llm.token_count.prompt",
        "llm.token_count.prompt_details.cache_read",
    ];
    // The conventions of OpenTelemetry and OpenInference, and OpenLLMetry's Anthropic under both names.
    assert_eq!(prompt("app", "anthropic", convention, None), 1_000);
    assert_eq!(prompt("", "anthropic", earlier, None), 1_000);
    let scope = "openinference.instrumentation.anthropic";
    assert_eq!(prompt(scope, "anthropic", openinference, None), 1_000);
    for names in [convention, earlier] {
        let scope = "opentelemetry.instrumentation.anthropic";
        let total = Some(("gen_ai.usage.total_tokens", 1_010));
        assert_eq!(prompt(scope, "anthropic", names, total), 1_000);
    }
    // Those that hand on what the provider answers; their total leaves the cache out as well.
    for (scope, provider) in [
        ("openlit.otel.tracing", "anthropic"),
        ("openlit.otel.tracing", "aws.bedrock"),
        ("opentelemetry.instrumentation.bedrock", "aws.bedrock"),
    ] {
        let total = Some(("gen_ai.usage.total_tokens", 1_010));
        assert_eq!(prompt(scope, provider, convention, total), 1_900, "{scope}");
    }
    // OpenAI's own count includes it, whoever hands it on.
    assert_eq!(
        prompt("openlit.otel.tracing", "openai", convention, None),
        1_000
    );
}

#[test]
fn a_total_shows_that_the_cache_is_beside_the_input() {
    let names = [
        "gen_ai.usage.input_tokens",
        "gen_ai.usage.cache_read_input_tokens",
    ];
    for (total, want) in [(1_910, 1_900), (1_010, 1_000), (1_500, 1_000)] {
        let total = Some(("gen_ai.usage.total_tokens", total));
        assert_eq!(prompt("by.hand", "anthropic", names, total), want);
    }
}

#[test]
fn a_cost_that_was_told_is_kept_and_an_unknown_model_is_unpriced() {
    let told = one(
        json!({"openinference.span.kind": "LLM", "llm.model_name": "x", "llm.cost.total": 0.000_123}),
    );
    assert_eq!(
        (&told["cost_pusd"], &told["priced"]),
        (&json!(123_000_000), &json!(true))
    );
    let unknown = one(
        json!({"openinference.span.kind": "LLM", "llm.model_name": "x", "llm.token_count.prompt": 1}),
    );
    assert_eq!(
        (unknown.get("cost_pusd"), &unknown["priced"]),
        (None, &json!(false))
    );
}

#[test]
fn answers_are_in_the_encoding_of_the_request() {
    assert_eq!(success(Encoding::Protobuf, 0, ""), b"");
    assert_eq!(success(Encoding::Json, 0, ""), b"{}");
    let partial =
        proto::ExportTraceServiceResponse::decode(&*success(Encoding::Protobuf, 2, "why")).unwrap();
    assert_eq!(partial.partial_success.unwrap().rejected_spans, 2);
    let status = proto::Status::decode(&*failure(Encoding::Protobuf, 413, "big")).unwrap();
    assert_eq!((status.code, status.message.as_str()), (8, "big"));
    let json: Value = serde_json::from_slice(&failure(Encoding::Json, 400, "bad")).unwrap();
    assert_eq!(json["code"], 3);
}
