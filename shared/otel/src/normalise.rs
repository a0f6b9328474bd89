//! A request's spans as the store takes them.

use crate::MAX_SPAN_BYTES;
use crate::names as n;
use crate::price::price;
use crate::prompt;
use crate::proto::{Event, ExportTraceServiceRequest, Link, Scope, Span};
use crate::value::{attributes, clean};
use nodeai_llm::{Prices, Tier, Usage};
use nodeai_pricing::is_usual_tier;
use serde_json::{Map, Value, json};
use std::collections::{HashMap, HashSet};

/// Times of this many µs before and after now are taken.
const OLDEST_US: i64 = 800 * 86_400_000_000;
const NEWEST_US: i64 = 86_400_000_000;
/// Longest name, provider, model, session and so on, characters.
const LONGEST: usize = 1_000;

/// Spans for the store, and those that it does not get.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Normalised {
    /// One object a span, as `nodeai.store_spans` takes it.
    pub spans: Vec<Value>,
    /// What was left out.
    pub rejected: Vec<Rejected>,
}

/// A span that was left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// Its name.
    pub name: String,
    /// Why.
    pub reason: &'static str,
}

impl Normalised {
    /// The reasons with their number, such as `2 spans: the trace id is not 16 bytes (first: "chat")`.
    pub fn reasons(&self) -> String {
        let mut by_reason: Vec<(&'static str, usize, &str)> = Vec::new();
        for span in &self.rejected {
            match by_reason
                .iter_mut()
                .find(|(reason, ..)| *reason == span.reason)
            {
                Some((_, count, _)) => *count += 1,
                None => by_reason.push((span.reason, 1, &span.name)),
            }
        }
        let parts = by_reason.iter().map(|(reason, count, first)| {
            let first: String = first.chars().take(80).collect();
            format!("{count} spans: {reason} (first: {first:?})")
        });
        parts.collect::<Vec<_>>().join("; ")
    }
}

/// Makes the store's spans; `now_us` is the time of the request. Calls cost what the catalogue says.
pub fn normalise(request: ExportTraceServiceRequest, now_us: i64) -> Normalised {
    normalise_at(request, now_us, &Prices::default())
}

/// The same, where calls cost what `prices` say.
pub fn normalise_at(
    request: ExportTraceServiceRequest,
    now_us: i64,
    prices: &Prices,
) -> Normalised {
    let mut out = Normalised::default();
    for resource in request.resource_spans {
        let shared = resource
            .resource
            .map(|r| Value::Object(attributes(r.attributes)));
        for scope in resource.scope_spans {
            let scope_json = scope.scope.map(scope_of);
            for span in scope.spans {
                let name = clean(span.name.clone());
                match one(span, shared.as_ref(), scope_json.as_ref(), now_us, prices) {
                    Ok(span) => out.spans.push(span),
                    Err(reason) => out.rejected.push(Rejected { name, reason }),
                }
            }
        }
    }
    count_once(&mut out.spans);
    out
}

fn scope_of(scope: Scope) -> Value {
    let mut json = json!({"name": clean(scope.name), "version": clean(scope.version)});
    if !scope.attributes.is_empty() {
        json["attributes"] = Value::Object(attributes(scope.attributes));
    }
    json
}

fn one(
    span: Span,
    resource: Option<&Value>,
    scope: Option<&Value>,
    now_us: i64,
    prices: &Prices,
) -> Result<Value, &'static str> {
    let trace_id =
        hex::<16>(&span.trace_id).ok_or("the trace id is not 16 bytes that are not all zero")?;
    let span_id =
        hex::<8>(&span.span_id).ok_or("the span id is not 8 bytes that are not all zero")?;
    let parent = match span.parent_span_id.is_empty() || span.parent_span_id.iter().all(|b| *b == 0)
    {
        true => None,
        false => Some(hex::<8>(&span.parent_span_id).ok_or("the parent's id is not 8 bytes")?),
    };
    let start_us = micros(span.start_time_unix_nano);
    if start_us < now_us - OLDEST_US || start_us > now_us + NEWEST_US {
        return Err("the start is more than 800 days ago or a day ahead");
    }
    let mut a = attributes(span.attributes);
    let mut json = json!({
        "trace_id": trace_id, "span_id": span_id, "parent_span_id": parent, "name": cut(clean(span.name)),
        "kind": kind(span.kind), "start_us": start_us, "end_us": micros(span.end_time_unix_nano).max(start_us),
        "trace_kind": "ingest", "events": span.events.into_iter().map(event).collect::<Value>(),
        "links": span.links.into_iter().filter_map(link).collect::<Value>(),
    });
    let status = span.status.unwrap_or_default();
    json["status"] = ["unset", "ok", "error"]
        .get(status.code as usize)
        .copied()
        .unwrap_or("unset")
        .into();
    if !status.message.is_empty() {
        json["status_message"] = clean(status.message).into();
    }
    let at_us = json["start_us"].as_i64().unwrap_or(0);
    let by = scope.and_then(|scope| scope["name"].as_str());
    let fields = fields(&a, by.unwrap_or_default(), parent.is_none(), at_us, prices);
    if let Some(object) = json.as_object_mut() {
        object.extend(fields);
    }
    let beside = [("otel.resource", resource), ("otel.scope", scope)];
    for (name, value) in beside
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
    {
        a.entry(name).or_insert_with(|| value.clone());
    }
    let numbers = [
        (
            "otel.dropped_attributes_count",
            span.dropped_attributes_count,
        ),
        ("otel.dropped_events_count", span.dropped_events_count),
        ("otel.dropped_links_count", span.dropped_links_count),
        ("otel.flags", span.flags),
    ];
    for (name, number) in numbers.into_iter().filter(|(_, number)| *number > 0) {
        a.insert(name.to_owned(), number.into());
    }
    if !span.trace_state.is_empty() {
        a.insert(
            "otel.trace_state".to_owned(),
            clean(span.trace_state).into(),
        );
    }
    json["attributes"] = Value::Object(a);
    match length(&json) > MAX_SPAN_BYTES {
        true => Err("attributes, events and links have more than 1 MiB"),
        false => Ok(json),
    }
}

/// How many bytes a span has as JSON, without making the text.
fn length(json: &Value) -> usize {
    struct Count(usize);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    // A value always is JSON, and counting cannot fail.
    serde_json::to_writer(&mut count, json).map_or(usize::MAX, |()| count.0)
}

/// The members that have a column of their own; `by` is the name of the scope.
fn fields(
    a: &Map<String, Value>,
    by: &str,
    root: bool,
    at_us: i64,
    prices: &Prices,
) -> Map<String, Value> {
    let mut out = Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            out.insert(name.to_owned(), value);
        }
    };
    let (provider, model) = (text(a, n::PROVIDER), text(a, n::MODEL));
    let measure = measure(a, root, model.is_some());
    let cache_write = number(a, n::CACHE_WRITE);
    let cache_write_1h = number(a, n::CACHE_WRITE_1H);
    let cache_read = number(a, n::CACHE_READ);
    let prompt = prompt::tokens(a, by);
    let completion = number(a, n::OUTPUT_TOKENS);
    let tier = tier(a);
    if measure == "model" {
        let count = |name: &[&str]| number(a, name).unwrap_or(0);
        let cache_write_1h_tokens = cache_write_1h.unwrap_or(0);
        let usage = Usage {
            prompt_tokens: prompt.unwrap_or(0),
            completion_tokens: completion.unwrap_or(0),
            cached_tokens: cache_read.unwrap_or(0),
            cache_write_tokens: (cache_write.unwrap_or(0) - cache_write_1h_tokens).max(0),
            cache_write_1h_tokens,
            audio_input_tokens: count(n::AUDIO_INPUT),
            image_input_tokens: count(n::IMAGE_INPUT),
            reasoning_tokens: count(n::REASONING),
            audio_output_tokens: count(n::AUDIO_OUTPUT),
            tier: tier.as_deref().and_then(Tier::read),
        };
        let known = prompt.is_some() || completion.is_some();
        let told = told_cost(a);
        let cost = told.map(|pusd| (pusd, None)).or_else(|| {
            let answered = text(a, n::RESPONSE_MODEL);
            let models = [answered.as_deref(), model.as_deref()];
            let provider = provider.as_deref().unwrap_or_default();
            let mut models = models.into_iter().flatten().filter(|_| known);
            let found = models.find_map(|model| price(prices, provider, model, &usage, at_us));
            found.map(|(pusd, version)| (pusd, Some(version)))
        });
        put("priced", Some(cost.is_some().into()));
        let (pusd, version) = cost.unzip();
        put("cost_pusd", pusd.map(Value::from));
        put("price_version", version.flatten().map(Value::from));
    }
    put("measure", Some(measure.into()));
    put("provider", provider.map(|p| p.to_lowercase().into()));
    put("model", model.map(Value::from));
    put("prompt_tokens", prompt.map(Value::from));
    put("completion_tokens", completion.map(Value::from));
    put("cache_read_tokens", cache_read.map(Value::from));
    // The conventions know the sum of both lives of a cached prefix.
    put(
        "cache_write_tokens",
        cache_write.map(|all| (all - cache_write_1h.unwrap_or(0)).max(0).into()),
    );
    put("cache_write_1h_tokens", cache_write_1h.map(Value::from));
    put("reasoning_tokens", number(a, n::REASONING).map(Value::from));
    put(
        "audio_input_tokens",
        number(a, n::AUDIO_INPUT).map(Value::from),
    );
    put(
        "audio_output_tokens",
        number(a, n::AUDIO_OUTPUT).map(Value::from),
    );
    put(
        "image_input_tokens",
        number(a, n::IMAGE_INPUT).map(Value::from),
    );
    put("service_tier", tier.map(Value::from));
    put("session_id", text(a, n::SESSION).map(Value::from));
    put("end_user", text(a, n::END_USER).map(Value::from));
    put("tags", tags(a));
    put("node_id", text(a, n::NODE_ID).map(Value::from));
    put(
        "node_type",
        text(a, n::NODE_TYPE)
            .or_else(|| node_type(a))
            .map(Value::from),
    );
    put(
        "workflow_id",
        text(a, n::WORKFLOW_ID)
            .filter(|id| is_uuid(id))
            .map(Value::from),
    );
    out
}

/// As what a span is counted: once, and tokens where they were used.
fn measure(a: &Map<String, Value>, root: bool, has_model: bool) -> &'static str {
    let operation = text(a, n::OPERATION).unwrap_or_default().to_lowercase();
    let kind = |name: &str| {
        a.get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_lowercase()
    };
    let (openinference, traceloop) = (kind(n::OPENINFERENCE_KIND), kind(n::TRACELOOP_KIND));
    let has_tokens = number(a, n::INPUT_TOKENS).is_some() || number(a, n::OUTPUT_TOKENS).is_some();
    match (
        operation.as_str(),
        openinference.as_str(),
        traceloop.as_str(),
    ) {
        (
            "chat" | "text_completion" | "generate_content" | "embeddings" | "completion"
            | "embedding" | "rerank",
            ..,
        ) => "model",
        ("execute_tool", ..) => "tool",
        ("retrieval", ..) => "retrieval",
        ("invoke_workflow", ..) => "run",
        (_, "llm" | "embedding", _) => "model",
        (_, "reranker", _) if has_model => "model",
        (_, "reranker" | "retriever", _) => "retrieval",
        (_, "tool", _) | (_, _, "tool") => "tool",
        (_, _, "workflow") if root => "run",
        ("invoke_agent" | "create_agent" | "plan", ..)
        | (_, "chain" | "agent", _)
        | (_, _, "workflow" | "task" | "agent") => match text(a, n::NODE_ID) {
            Some(_) => "node",
            None => "none",
        },
        _ if has_model && has_tokens => "model",
        _ => match text(a, &["nodeai.node.id"]) {
            Some(_) => "node",
            None => "none",
        },
    }
}

/// A model's span around another one of the same request is a wrapper: its tokens are those of the span inside it.
fn count_once(spans: &mut [Value]) {
    let key = |span: &Value, id: &str| {
        Some((
            span["trace_id"].as_str()?.to_owned(),
            span[id].as_str()?.to_owned(),
        ))
    };
    let parents: HashMap<_, _> = spans
        .iter()
        .filter_map(|span| Some((key(span, "span_id")?, key(span, "parent_span_id")?)))
        .collect();
    let mut above = HashSet::new();
    for span in spans.iter().filter(|span| span["measure"] == "model") {
        let mut at = key(span, "parent_span_id");
        while let Some(id) = at {
            at = parents.get(&id).cloned();
            if !above.insert(id) {
                break;
            }
        }
    }
    for span in spans.iter_mut().filter(|span| span["measure"] == "model") {
        if key(span, "span_id").is_some_and(|id| above.contains(&id)) {
            span["measure"] = "none".into();
        }
    }
}

/// The tier under one name: the usual one has several.
fn tier(a: &Map<String, Value>) -> Option<String> {
    let told = text(a, n::SERVICE_TIER)?.to_lowercase();
    match is_usual_tier(&told) {
        true => Some("standard".to_owned()),
        false => Some(told),
    }
}

fn node_type(a: &Map<String, Value>) -> Option<String> {
    let kind = [n::OPENINFERENCE_KIND, n::TRACELOOP_KIND];
    let kind = kind.iter().find_map(|name| a.get(*name)?.as_str());
    kind.map(str::to_lowercase)
}

/// A cost that the client says: exact, or in USD.
fn told_cost(a: &Map<String, Value>) -> Option<i64> {
    let exact = a.get(n::COST_PUSD).and_then(Value::as_i64);
    exact.filter(|pusd| *pusd >= 0).or_else(|| {
        let usd = n::COST_USD.iter().find_map(|name| a.get(*name)?.as_f64())?;
        let pusd = (usd * 1e12).round();
        (pusd.is_finite() && (0.0..9e18).contains(&pusd)).then_some(pusd as i64)
    })
}

fn tags(a: &Map<String, Value>) -> Option<Value> {
    let value = n::TAGS.iter().find_map(|name| a.get(*name))?;
    let list = match value {
        Value::Array(list) => list.clone(),
        // OpenInference writes lists as JSON where the SDK has no lists.
        Value::String(text) => serde_json::from_str(text).unwrap_or_else(|_| vec![value.clone()]),
        _ => return None,
    };
    let list: Vec<String> = list
        .iter()
        .filter_map(|tag| tag.as_str().map(|t| t.chars().take(100).collect()))
        .take(50)
        .collect();
    (!list.is_empty()).then(|| list.into())
}

pub(crate) fn text(a: &Map<String, Value>, names: &[&str]) -> Option<String> {
    let found = names.iter().find_map(|name| match a.get(*name)? {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    });
    found.map(cut)
}

/// A whole number that is not negative; some exporters send floats or texts.
pub(crate) fn number(a: &Map<String, Value>, names: &[&str]) -> Option<i64> {
    names.iter().find_map(|name| {
        let value = a.get(*name)?;
        let whole = value.as_i64().or_else(|| value.as_str()?.parse().ok());
        let whole = whole.or_else(|| {
            value
                .as_f64()
                .filter(|f| f.fract() == 0.0 && f.abs() < 9e15)
                .map(|f| f as i64)
        });
        whole.filter(|n| (0..=1_000_000_000_000).contains(n))
    })
}

fn cut(text: String) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((at, _)) => text[..at].to_owned(),
        None => text,
    }
}

fn is_uuid(text: &str) -> bool {
    let shape = text.split('-').map(str::len).collect::<Vec<_>>();
    shape == [8, 4, 4, 4, 12] && text.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit())
}

fn kind(number: i32) -> &'static str {
    match number {
        2 => "server",
        3 => "client",
        4 => "producer",
        5 => "consumer",
        _ => "internal",
    }
}

fn event(event: Event) -> Value {
    json!({"name": clean(event.name), "at_us": micros(event.time_unix_nano), "attributes": attributes(event.attributes)})
}

/// A link whose ids are none leads nowhere and is left out.
fn link(link: Link) -> Option<Value> {
    let mut attributes = attributes(link.attributes);
    if !link.trace_state.is_empty() {
        attributes.insert(
            "otel.trace_state".to_owned(),
            clean(link.trace_state).into(),
        );
    }
    Some(
        json!({"trace_id": hex::<16>(&link.trace_id)?, "span_id": hex::<8>(&link.span_id)?, "attributes": attributes}),
    )
}

fn micros(nanos: u64) -> i64 {
    i64::try_from(nanos / 1_000).unwrap_or(i64::MAX)
}

fn hex<const N: usize>(bytes: &[u8]) -> Option<String> {
    let valid = bytes.len() == N && bytes.iter().any(|b| *b != 0);
    valid.then(|| bytes.iter().map(|b| format!("{b:02x}")).collect())
}
