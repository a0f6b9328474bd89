//! Requests and answers as the providers' references print them (shortened). The expected
//! values come from there, not from our own output.

use nodeai_llm::{
    ChatRequest, Delta, Endpoint, ErrorKind, FinishReason, Message, ResponseFormat, Role, Tool,
    ToolCall, Usage,
};
use serde_json::{Value, json};

fn chat() -> ChatRequest {
    let call = ToolCall {
        id: "call_1".into(),
        name: "weather".into(),
        arguments: "{\"city\":\"Oslo\"}".into(),
    };
    let mut asked = Message::new(Role::Assistant, "");
    asked.tool_calls.push(call);
    let mut result = Message::new(Role::Tool, "rain");
    result.tool_call_id = Some("call_1".into());
    ChatRequest {
        messages: vec![Message::new(Role::User, "Hello"), asked, result],
        system: Some("Be brief.".into()),
        temperature: Some(0.5),
        max_tokens: Some(100),
        stop: vec!["END".into()],
        tools: vec![Tool {
            name: "weather".into(),
            description: Some("d".into()),
            parameters: json!({"type": "object"}),
        }],
        response_format: Some(ResponseFormat::JsonObject),
        ..ChatRequest::default()
    }
}

fn sent(model: &str, stream: bool) -> (http::Request<bytes::Bytes>, Value) {
    let endpoint = Endpoint::resolve(model, None).expect("known");
    let request = endpoint
        .request(&chat(), Some("KEY"), stream)
        .expect("valid");
    let body = serde_json::from_slice(request.body()).expect("JSON");
    (request, body)
}

#[test]
fn openai_gets_what_its_reference_asks_for() {
    let (request, body) = sent("openai/gpt-4o-mini", true);
    assert_eq!(request.uri(), "https://api.openai.com/v1/chat/completions");
    assert_eq!(request.headers()["authorization"], "Bearer KEY");
    assert_eq!(body["model"], "gpt-4o-mini");
    assert_eq!(
        body["messages"][0],
        json!({"role": "system", "content": "Be brief."})
    );
    assert_eq!(
        body["messages"][2]["tool_calls"][0],
        json!({"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{\"city\":\"Oslo\"}"}})
    );
    assert_eq!(
        body["messages"][3],
        json!({"role": "tool", "content": "rain", "tool_call_id": "call_1"})
    );
    assert_eq!(body["tools"][0]["function"]["name"], "weather");
    assert_eq!(
        (&body["max_completion_tokens"], &body["max_tokens"]),
        (&json!(100), &Value::Null)
    );
    assert_eq!(body["response_format"], json!({"type": "json_object"}));
    assert_eq!(body["stream_options"], json!({"include_usage": true}));
}

#[test]
fn anthropic_gets_what_its_reference_asks_for() {
    let (request, body) = sent("anthropic/claude-sonnet-4-5", false);
    assert_eq!(request.uri(), "https://api.anthropic.com/v1/messages");
    assert_eq!(
        (
            &request.headers()["x-api-key"],
            &request.headers()["anthropic-version"]
        ),
        (
            &"KEY".parse().expect("value"),
            &"2023-06-01".parse().expect("value")
        )
    );
    assert!(
        body["system"]
            .as_str()
            .is_some_and(|system| system.starts_with("Be brief.") && system.contains("JSON"))
    );
    assert_eq!(body["max_tokens"], 100);
    assert_eq!(body["stop_sequences"], json!(["END"]));
    assert_eq!(
        body["messages"][1]["content"][0],
        json!({"type": "tool_use", "id": "call_1", "name": "weather", "input": {"city": "Oslo"}})
    );
    assert_eq!(
        body["messages"][2],
        json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call_1", "content": "rain"}]})
    );
    assert_eq!(
        body["tools"][0],
        json!({"name": "weather", "description": "d", "input_schema": {"type": "object"}})
    );
    assert_eq!(body.get("stream"), None);
}

#[test]
fn gemini_gets_what_its_reference_asks_for() {
    let (request, body) = sent("gemini/gemini-2.5-flash", true);
    assert_eq!(
        request.uri(),
        "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse"
    );
    assert_eq!(request.headers()["x-goog-api-key"], "KEY");
    assert_eq!(
        body["systemInstruction"],
        json!({"parts": [{"text": "Be brief."}]})
    );
    assert_eq!(
        body["contents"][0],
        json!({"role": "user", "parts": [{"text": "Hello"}]})
    );
    assert_eq!(
        body["contents"][1],
        json!({"role": "model", "parts": [{"functionCall": {"name": "weather", "args": {"city": "Oslo"}}}]})
    );
    assert_eq!(
        body["contents"][2]["parts"][0]["functionResponse"],
        json!({"name": "weather", "response": {"result": "rain"}})
    );
    assert_eq!(body["generationConfig"]["maxOutputTokens"], 100);
    assert_eq!(
        body["generationConfig"]["responseMimeType"],
        "application/json"
    );
    assert_eq!(
        body["tools"][0]["functionDeclarations"][0]["name"],
        "weather"
    );
}

#[test]
fn a_request_does_not_print_its_key() {
    for model in ["openai/x", "anthropic/x", "gemini/x"] {
        let (request, _) = sent(model, false);
        assert!(!format!("{request:?}").contains("KEY"), "{model}");
    }
}

#[test]
fn openai_cached_tokens_are_part_of_the_prompt() {
    let endpoint = Endpoint::resolve("openai/gpt-4o", None).expect("known");
    let answer = json!({
        "id": "chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT", "object": "chat.completion", "created": 1741569952, "model": "gpt-4o-2024-08-06",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello! How can I assist you today?", "refusal": null}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 19, "completion_tokens": 10, "total_tokens": 29, "prompt_tokens_details": {"cached_tokens": 8}}
    });
    let answer = endpoint
        .parse(answer.to_string().as_bytes())
        .expect("valid");
    assert_eq!(answer.text, "Hello! How can I assist you today?");
    assert_eq!(
        answer.usage,
        Some(Usage {
            prompt_tokens: 19,
            completion_tokens: 10,
            cached_tokens: 8,
            ..Usage::default()
        })
    );
    assert_eq!(answer.model, "gpt-4o-2024-08-06");
}

#[test]
fn anthropic_cached_tokens_are_added_to_the_prompt() {
    let endpoint = Endpoint::resolve("anthropic/claude-sonnet-4-5", None).expect("known");
    let answer = json!({
        "id": "msg_013Zva2CMHLNnXjNJJKqJ2EF", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5-20250929",
        "content": [{"type": "text", "text": "Hi! My name is Claude."}], "stop_reason": "end_turn", "stop_sequence": null,
        "usage": {"input_tokens": 50, "output_tokens": 503, "cache_read_input_tokens": 1000, "cache_creation_input_tokens": 248}
    });
    let answer = endpoint
        .parse(answer.to_string().as_bytes())
        .expect("valid");
    assert_eq!(
        answer.usage,
        Some(Usage {
            prompt_tokens: 1298,
            completion_tokens: 503,
            cached_tokens: 1000,
            cache_write_tokens: 248,
            ..Usage::default()
        })
    );
    assert_eq!(answer.finish_reason, FinishReason::Stop);
}

/// The stream of Anthropic's reference with a tool, shortened.
const ANTHROPIC: &str = r#"event: message_start
data: {"type":"message_start","message":{"id":"msg_014p7gG3wDgGV9EUtLvnow3U","type":"message","role":"assistant","model":"claude-x","stop_sequence":null,"usage":{"input_tokens":472,"output_tokens":2},"content":[],"stop_reason":null}}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}

event: ping
data: {"type": "ping"}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Okay"}}

event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: content_block_start
data: {"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"toolu_01T1x1fJ34qAmk2tNTrN7Up6","name":"get_weather","input":{}}}

event: content_block_delta
data: {"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"location\":"}}

event: content_block_delta
data: {"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":" \"San Francisco, CA\"}"}}

event: content_block_stop
data: {"type":"content_block_stop","index":1}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"output_tokens":89}}

event: message_stop
data: {"type":"message_stop"}

"#;

#[test]
fn a_tool_call_after_text_is_the_first_tool_call() {
    let endpoint = Endpoint::resolve("anthropic/claude-x", None).expect("known");
    let mut decoder = endpoint.decoder();
    for chunk in ANTHROPIC.as_bytes().chunks(7) {
        decoder.push(chunk).expect("valid");
    }
    let answer = decoder.finish().expect("whole");
    assert_eq!(answer.text, "Okay");
    assert_eq!(
        answer.tool_calls,
        [ToolCall {
            id: "toolu_01T1x1fJ34qAmk2tNTrN7Up6".into(),
            name: "get_weather".into(),
            arguments: "{\"location\": \"San Francisco, CA\"}".into(),
        }]
    );
    assert_eq!(
        answer.usage,
        Some(Usage {
            prompt_tokens: 472,
            completion_tokens: 89,
            ..Usage::default()
        })
    );
    assert_eq!(answer.finish_reason, FinishReason::ToolCalls);
}

#[test]
fn a_stream_cut_short_is_incomplete() {
    let endpoint = Endpoint::resolve("openai/x", None).expect("known");
    let mut decoder = endpoint.decoder();
    let deltas = decoder
        .push(b"data: {\"id\":\"1\",\"model\":\"x\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hel\"},\"finish_reason\":null}]}\n\n")
        .expect("valid");
    assert_eq!(deltas, [Delta::Text("Hel".into())]);
    let error = decoder.finish().expect_err("cut");
    assert_eq!((error.kind, error.retryable), (ErrorKind::Incomplete, true));
}

#[test]
fn an_error_inside_a_stream_is_an_error() {
    let endpoint = Endpoint::resolve("anthropic/x", None).expect("known");
    let event = b"event: error\ndata: {\"type\": \"error\", \"error\": {\"type\": \"overloaded_error\", \"message\": \"Overloaded\"}}\n\n";
    let error = endpoint.decoder().push(event).expect_err("an error");
    assert_eq!(
        (error.kind, error.retryable),
        (ErrorKind::Unavailable, true)
    );
    assert!(error.message.contains("Overloaded"));
}

#[test]
fn rubbish_is_malformed_not_a_panic() {
    for model in ["openai/x", "anthropic/x", "gemini/x"] {
        let endpoint = Endpoint::resolve(model, None).expect("known");
        for body in [
            "",
            "null",
            "[]",
            "{}",
            "{\"choices\":[]}",
            "{\"choices\":[{}]}",
            "{\"content\":1}",
            "{\"candidates\":{}}",
            "\u{0}",
        ] {
            assert!(endpoint.parse(body.as_bytes()).is_err(), "{model} {body}");
        }
        let mut decoder = endpoint.decoder();
        assert!(decoder.push(b"data: {oops\n\n").is_err(), "{model}");
    }
}
