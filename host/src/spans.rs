//! Spans that did not reach the database: lines that guests wrote to their log, and those of requests
//! that the host had to end. Both are kept as OTLP JSON lines until `nodeai spans replay` brings them in.
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::log;

/// What guests put before a line of spans.
pub const LINE_PREFIX: &str = "nodeai-spans: ";

/// The files under `.nodeai/spans/`.
#[derive(Debug)]
pub struct SpanFiles {
    folder: PathBuf,
    unflushed: Mutex<Option<File>>,
    host: Mutex<Option<File>>,
}

/// A request that the host ended.
#[derive(Debug)]
pub struct EndedRequest<'a> {
    /// The component that served it.
    pub component: &'a str,
    /// Method and path.
    pub method: &'a str,
    /// The path, without its query.
    pub path: &'a str,
    /// Its trace id, 32 hex digits.
    pub trace: &'a str,
    /// The caller's span id, or nothing.
    pub parent: &'a str,
    /// When it began.
    pub started: SystemTime,
    /// The status that was answered.
    pub status: u16,
    /// Why it ended.
    pub reason: &'a str,
}

impl SpanFiles {
    /// The span files of a project; they are made when first needed.
    pub fn new(state: &Path) -> Self {
        Self {
            folder: state.join("spans"),
            unflushed: Mutex::default(),
            host: Mutex::default(),
        }
    }

    /// Keeps a line that a guest could not flush, on disk before this returns.
    pub fn keep_unflushed(&self, otlp: &str) {
        self.append(&self.unflushed, "unflushed.jsonl", otlp, true);
    }

    /// Keeps the span of a request that the host ended.
    pub fn keep_ended(&self, request: &EndedRequest<'_>) {
        self.append(
            &self.host,
            "host.jsonl",
            &ended_span(request).to_string(),
            false,
        );
    }

    fn append(&self, slot: &Mutex<Option<File>>, name: &str, line: &str, sync: bool) {
        let mut slot = slot
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let written = (|| -> std::io::Result<()> {
            let file = match slot.as_mut() {
                Some(file) => file,
                None => slot.insert(self.open(name)?),
            };
            file.write_all(format!("{line}\n").as_bytes())?;
            if sync { file.sync_data() } else { Ok(()) }
        })();
        if let Err(error) = written {
            log::error(&format!(
                "spans could not be kept in {}: {error}",
                self.folder.join(name).display()
            ));
        }
    }

    fn open(&self, name: &str) -> std::io::Result<File> {
        crate::project::make_dir(&self.folder)?;
        OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(self.folder.join(name))
    }
}

/// The OTLP object of one ended request: a server span with an error status.
fn ended_span(request: &EndedRequest<'_>) -> Value {
    json!({ "resourceSpans": [{
        "resource": { "attributes": [attribute("service.name", request.component)] },
        "scopeSpans": [{
            "scope": { "name": "nodeai.host" },
            "spans": [{
                "traceId": request.trace,
                "spanId": random_hex(8),
                "parentSpanId": request.parent,
                "name": format!("{} {}", request.method, request.path),
                "kind": 2,
                "startTimeUnixNano": nanos(request.started),
                "endTimeUnixNano": nanos(SystemTime::now()),
                "attributes": [
                    attribute("http.request.method", request.method),
                    attribute("url.path", request.path),
                    attribute("error.type", request.reason),
                    json!({ "key": "http.response.status_code", "value": { "intValue": request.status.to_string() } }),
                ],
                "status": { "code": 2, "message": request.reason },
            }],
        }],
    }] })
}

fn attribute(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}

fn nanos(time: SystemTime) -> String {
    time.duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos())
        .to_string()
}

/// `bytes` random bytes in hex, for ids.
pub fn random_hex(bytes: usize) -> String {
    let mut raw = vec![0u8; bytes];
    rand::Rng::fill(&mut rand::thread_rng(), raw.as_mut_slice());
    hex::encode(raw)
}

/// Trace id and parent span id of a W3C `traceparent`.
pub fn parse_traceparent(header: &str) -> Option<(String, String)> {
    let mut parts = header.split('-');
    let (version, trace, span) = (parts.next()?, parts.next()?, parts.next()?);
    let hex_of = |text: &str, length: usize| {
        text.len() == length
            && text.bytes().all(|b| b.is_ascii_hexdigit())
            && text.bytes().any(|b| b != b'0')
    };
    let known = version.len() == 2 && version != "ff";
    (known && hex_of(trace, 32) && hex_of(span, 16))
        .then(|| (trace.to_ascii_lowercase(), span.to_ascii_lowercase()))
}

/// The OTLP object in a log line, bare, after [`LINE_PREFIX`] (which anything may precede), or in a
/// JSON log object's `message`; `None` for every other line.
pub fn otlp_in_line(line: &str) -> Option<Value> {
    let text = match line.find(LINE_PREFIX) {
        Some(at) if !line.trim_start().starts_with('{') => &line[at + LINE_PREFIX.len()..],
        _ => line,
    };
    let value: Value = serde_json::from_str(text.trim()).ok()?;
    if value.get("resourceSpans").is_some_and(Value::is_array) {
        return Some(value);
    }
    value
        .get("message")
        .and_then(Value::as_str)
        .filter(|m| m.starts_with(LINE_PREFIX))
        .and_then(otlp_in_line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_spans_in_log_lines() {
        let bare = r#"{"resourceSpans":[]}"#;
        assert!(otlp_in_line(bare).is_some());
        assert!(otlp_in_line(&format!("[traces] {LINE_PREFIX}{bare}")).is_some());
        let json =
            json!({ "level": "guest", "message": format!("{LINE_PREFIX}{bare}") }).to_string();
        assert!(otlp_in_line(&json).is_some());
        for other in [
            "",
            "hello",
            "{}",
            r#"{"message":"x"}"#,
            "nodeai-spans: not json",
        ] {
            assert!(otlp_in_line(other).is_none(), "{other}");
        }
    }

    #[test]
    fn an_ended_request_joins_its_trace() {
        let span = ended_span(&EndedRequest {
            component: "execute",
            method: "POST",
            path: "/x",
            trace: "0af7651916cd43dd8448eb211c80319c",
            parent: "b7ad6b7169203331",
            started: UNIX_EPOCH,
            status: 504,
            reason: "timeout",
        });
        let span = &span["resourceSpans"][0]["scopeSpans"][0]["spans"][0];
        assert_eq!(span["traceId"], "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(span["parentSpanId"], "b7ad6b7169203331");
        assert_eq!(span["startTimeUnixNano"], "0");
    }

    #[test]
    fn refuses_broken_traceparents() {
        for wrong in [
            "",
            "00-0-0-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            assert!(parse_traceparent(wrong).is_none(), "{wrong}");
        }
    }
}
