//! What the official Python SDK, OpenInference and OpenLLMetry send (`fixtures/make.py` made it) is read whole: every
//! attribute, event and link, from protobuf and from JSON.

use nodeai_otel::{Encoding, content_of, normalise, read};
use serde_json::{Map, Value, json};

struct Fixture {
    spans: Vec<Value>,
    expected: Vec<Value>,
}

fn load(name: &str, encoding: Encoding) -> Fixture {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");
    let file = |ending: &str| std::fs::read(format!("{folder}/{name}.{ending}")).unwrap();
    let body = match encoding {
        Encoding::Protobuf => file("pb"),
        Encoding::Json => file("json"),
    };
    let expected: Vec<Value> = serde_json::from_slice(&file("expected.json")).unwrap();
    let now_us = expected[0]["start_us"].as_i64().unwrap() + 1_000_000;
    let normalised = normalise(read(&body, encoding, None).unwrap(), now_us);
    assert_eq!(normalised.rejected, []);
    Fixture {
        spans: normalised.spans,
        expected,
    }
}

impl Fixture {
    fn span(&self, name: &str) -> &Value {
        self.spans.iter().find(|span| span["name"] == name).unwrap()
    }
}

/// The members of `span` by these names.
fn of(span: &Value, names: &[&str]) -> Value {
    let some = names
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), span.get(*name)?.clone())));
    Value::Object(some.collect::<Map<_, _>>())
}

#[test]
fn everything_that_was_sent_can_be_read_back() {
    for name in ["sdk", "openinference", "openllmetry"] {
        for encoding in [Encoding::Protobuf, Encoding::Json] {
            let fixture = load(name, encoding);
            assert_eq!(fixture.spans.len(), fixture.expected.len());
            for want in &fixture.expected {
                let id = &want["span_id"];
                let got = fixture
                    .spans
                    .iter()
                    .find(|span| span["span_id"] == *id)
                    .unwrap();
                let same = [
                    "trace_id",
                    "parent_span_id",
                    "name",
                    "kind",
                    "status",
                    "start_us",
                    "end_us",
                    "events",
                    "links",
                ];
                assert_eq!(of(got, &same), of(want, &same), "{name} {encoding:?}");
                for (key, value) in want["attributes"].as_object().unwrap() {
                    assert_eq!(got["attributes"][key], *value, "{name} {encoding:?} {key}");
                }
                assert_eq!(got["attributes"]["otel.resource"], want["resource"]);
            }
        }
    }
}

#[test]
fn protobuf_and_json_give_the_same_spans() {
    for name in ["sdk", "openinference", "openllmetry"] {
        assert_eq!(
            load(name, Encoding::Protobuf).spans,
            load(name, Encoding::Json).spans,
            "{name}"
        );
    }
}

const CALL: &[&str] = &[
    "measure",
    "provider",
    "model",
    "prompt_tokens",
    "completion_tokens",
    "cache_read_tokens",
    "cost_pusd",
];

#[test]
fn old_and_new_names_mean_the_same() {
    let fixture = load("sdk", Encoding::Protobuf);
    let (new, old) = (fixture.span("chat new"), fixture.span("chat old"));
    let mut want = json!({"measure": "model", "provider": "openai", "model": "gpt-4o-mini", "prompt_tokens": 1000,
        "completion_tokens": 100, "cache_read_tokens": 400, "cost_pusd": 180_000_000});
    assert_eq!(of(new, CALL), want);
    // Without the cache: 1,000 × 0.15 + 100 × 0.60 USD per million.
    want["cost_pusd"] = json!(210_000_000);
    want.as_object_mut()
        .unwrap()
        .shift_remove("cache_read_tokens");
    assert_eq!(of(old, CALL), want);
    assert_eq!(fixture.span("invoke_workflow w")["measure"], "run");
    assert_eq!(fixture.span("invoke_workflow w")["end_user"], "u1");
    assert_eq!(fixture.span("retrieval kb")["measure"], "retrieval");
    assert_eq!(fixture.span("execute_tool f")["measure"], "tool");
}

#[test]
fn openinference_is_normalised() {
    let fixture = load("openinference", Encoding::Protobuf);
    let call = fixture.span("ChatCompletion");
    assert_eq!(
        of(
            call,
            &[
                CALL,
                &["reasoning_tokens", "session_id", "end_user", "tags"]
            ]
            .concat()
        ),
        json!({"measure": "model", "provider": "openai", "model": "gpt-4o-mini-2024-07-18", "prompt_tokens": 1000,
            "completion_tokens": 100, "cache_read_tokens": 400, "cost_pusd": 180_000_000, "reasoning_tokens": 7,
            "session_id": "s1", "end_user": "u1", "tags": ["a", "b"]})
    );
    let content = content_of(call["attributes"].as_object().unwrap());
    assert_eq!(
        content.input_messages[1],
        json!({"role": "user", "content": "hi"})
    );
    assert_eq!(content.output_messages[0]["content"], "こんにちは");
    let find = fixture.span("find");
    assert_eq!(
        of(find, &["measure", "node_id", "node_type"]),
        json!({"measure": "retrieval", "node_id": "find", "node_type": "retriever"})
    );
    let content = content_of(find["attributes"].as_object().unwrap());
    let document = json!({"id": "d0", "score": 0.5, "content": "text", "metadata": {"page": 3}});
    let names = ["id", "score", "content", "metadata"];
    assert_eq!(of(&content.documents[0], &names), document);
}

#[test]
fn openllmetry_is_normalised() {
    let fixture = load("openllmetry", Encoding::Json);
    assert_eq!(
        of(
            fixture.span("openai.chat"),
            &[CALL, &["reasoning_tokens", "service_tier"]].concat()
        ),
        json!({"measure": "model", "provider": "openai", "model": "gpt-4o-mini", "prompt_tokens": 1000,
            "completion_tokens": 100, "cache_read_tokens": 400, "cost_pusd": 180_000_000, "reasoning_tokens": 7,
            "service_tier": "standard"})
    );
    assert_eq!(fixture.span("joke.workflow")["measure"], "run");
    assert_eq!(fixture.span("joke.workflow")["session_id"], "s1");
    let content = content_of(
        fixture.span("openai.chat")["attributes"]
            .as_object()
            .unwrap(),
    );
    assert_eq!(content.input_messages[1]["parts"][0]["content"], "hi");
}
