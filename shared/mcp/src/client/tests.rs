//! The calling side against our own serving side, and against servers of the earlier eras that are played here.

use super::*;
use crate::rpc::{self, RpcError};
use crate::server::{self, Call, Nowhere, Provider, Received, Rules};
use crate::version::{Era, MODERN};
use futures::executor::block_on;
use futures::{StreamExt, stream};
use http::{HeaderMap, HeaderValue, Method};
use serde_json::Map;
use std::cell::RefCell;

/// A server of both eras.
struct Ours;

impl Provider for Ours {
    fn info(&self) -> Value {
        json!({"name": "ours", "version": "1"})
    }
    fn capabilities(&self, _: Era) -> Value {
        json!({"tools": {}})
    }
    async fn list_tools(&self, cursor: Option<&str>) -> Result<Value, RpcError> {
        let marked = json!({"type": "object", "properties": {"at": {"type": "string", "x-mcp-header": "At"}}});
        let bad = json!({"type": "object", "properties": {"at": {"type": "number", "x-mcp-header": "At"}}});
        Ok(match cursor {
            None => json!({"tools": [{"name": "echo", "inputSchema": marked}], "nextCursor": "2"}),
            Some(_) => json!({"tools": [{"name": "bad", "inputSchema": bad}], "ttlMs": 5}),
        })
    }
    async fn input_schema(&self, _: &str) -> Option<Value> {
        let listed = self.list_tools(None).await.ok()?;
        Some(listed["tools"][0]["inputSchema"].clone())
    }
    async fn call_tool(&self, call: &Call<'_>) -> Result<Value, RpcError> {
        if call.name() == "ask" {
            return Ok(match (call.input("who"), call.state()) {
                (Some(who), Some("s1")) => {
                    json!({"content": [{"type": "text", "text": who["content"]["name"]}]})
                }
                _ => json!({"resultType": "input_required", "requestState": "s1",
                    "inputRequests": {"who": {"method": "elicitation/create", "params": {}}}}),
            });
        }
        Ok(json!({"content": [], "structuredContent": call.arguments(), "isError": false}))
    }
}

/// Carries requests to it, and keeps what they said.
#[derive(Default)]
struct Wire {
    sent: RefCell<Vec<(HeaderMap, Value)>>,
}

fn incoming(status: u16, media: &str, body: String) -> Incoming {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_str(media).unwrap());
    // Cut anywhere.
    let pieces: Vec<_> = body
        .as_bytes()
        .chunks(7)
        .map(Bytes::copy_from_slice)
        .map(Ok)
        .collect();
    Incoming {
        status,
        headers,
        body: stream::iter(pieces).boxed_local(),
    }
}

impl Wire {
    fn note(&self, request: &Request<Bytes>) -> Value {
        let message: Value = serde_json::from_slice(request.body()).unwrap_or_default();
        let said = (request.headers().clone(), message.clone());
        self.sent.borrow_mut().push(said);
        message
    }
    fn methods(&self) -> Vec<String> {
        let sent = self.sent.borrow();
        let method =
            |(_, message): &(HeaderMap, Value)| message["method"].as_str().unwrap_or("").to_owned();
        sent.iter().map(method).collect()
    }
}

impl Transport for Wire {
    async fn send(&self, request: Request<Bytes>) -> Result<Incoming, Fault> {
        self.note(&request);
        let received = server::receive(
            request.method(),
            request.headers(),
            request.body(),
            &Rules::default(),
        );
        let answer = match received {
            Received::One(request) => server::answer(&Ours, &request, &Nowhere).await,
            Received::Answer(answer) => answer,
            Received::Batch(_) => unreachable!("nobody sends lists"),
        };
        let body = answer.body.map(|body| body.to_string()).unwrap_or_default();
        Ok(incoming(answer.status, "application/json", body))
    }
}

/// A server of 2025, with sessions, that answers by events.
struct Old {
    wire: Wire,
    /// What it says to what it does not know.
    unknown: u16,
    sessions: RefCell<u32>,
}

impl Old {
    fn new(unknown: u16) -> Self {
        Self {
            wire: Wire::default(),
            unknown,
            sessions: RefCell::new(0),
        }
    }
}

impl Transport for Old {
    async fn send(&self, request: Request<Bytes>) -> Result<Incoming, Fault> {
        let message = self.wire.note(&request);
        let id = message["id"].clone();
        let session = request
            .headers()
            .get("mcp-session-id")
            .map(|v| v.to_str().unwrap().to_owned());
        let current = format!("session-{}", self.sessions.borrow());
        let result = match message["method"].as_str().unwrap_or_default() {
            "initialize" => {
                *self.sessions.borrow_mut() += 1;
                let said =
                    json!({"protocolVersion": "2025-06-18", "capabilities": {}, "serverInfo": {}});
                let mut answer = incoming(
                    200,
                    "application/json",
                    rpc::answer(&id, Ok(said)).to_string(),
                );
                let session = format!("session-{}", self.sessions.borrow());
                answer
                    .headers
                    .insert("mcp-session-id", HeaderValue::from_str(&session).unwrap());
                return Ok(answer);
            }
            "server/discover" => return Ok(incoming(self.unknown, "text/plain", "what?".into())),
            _ if request.method() == Method::DELETE => {
                return Ok(incoming(405, "text/plain", String::new()));
            }
            _ if session.as_deref() != Some(current.as_str()) => {
                return Ok(incoming(404, "text/plain", String::new()));
            }
            "tools/list" => json!({"tools": [{"name": "old", "inputSchema": {"type": "object"}}]}),
            "tools/call" => {
                json!({"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]})
            }
            _ => return Ok(incoming(202, "text/plain", String::new())),
        };
        let events = [
            ": hello\n\nid: 0\ndata:\n\n".to_owned(),
            format!(
                "event: message\ndata: {}\n\n",
                rpc::notification("notifications/progress", json!({}))
            ),
            format!(
                "data: {}\n\n",
                rpc::request(&json!("s"), "sampling/createMessage", Map::new())
            ),
            format!("data: {}\n\n", rpc::answer(&id, Ok(result))),
        ];
        Ok(incoming(200, "text/event-stream", events.concat()))
    }
}

#[test]
fn a_stateless_server_needs_no_handshake() {
    let wire = Wire::default();
    let client = Client::new(&wire, "http://x/mcp", "test", "1");
    let listing = block_on(client.list_tools()).unwrap();
    assert_eq!(listing.tools.len(), 1);
    assert_eq!(listing.left_out[0].0, "bad");
    assert_eq!(client.spoken().unwrap().version, MODERN);
    assert_eq!(
        wire.methods(),
        ["server/discover", "tools/list", "tools/list"]
    );
    let schema = listing.tools[0].input_schema.clone();
    let arguments = json!({"at": "héré"});
    let result = block_on(client.call_tool("echo", &arguments, Some(&schema), &NoInputs)).unwrap();
    assert_eq!(result.structured, Some(arguments));
    let sent = wire.sent.borrow();
    let fields = &sent.last().unwrap().0;
    assert_eq!(fields["mcp-method"], "tools/call");
    assert_eq!(fields["mcp-name"], "echo");
    assert_eq!(fields["mcp-param-at"], "=?base64?aMOpcsOp?=");
}

#[test]
fn marks_that_were_not_known_are_looked_up() {
    let wire = Wire::default();
    let client = Client::new(&wire, "http://x/mcp", "test", "1");
    let result = block_on(client.call_tool("echo", &json!({"at": "x"}), None, &NoInputs)).unwrap();
    assert_eq!(result.structured, Some(json!({"at": "x"})));
    let methods = wire.methods();
    assert_eq!(methods.iter().filter(|m| *m == "tools/call").count(), 2);
}

struct Ada;

impl Inputs for Ada {
    async fn answer(&self, request: &Value) -> Option<Value> {
        assert_eq!(request["method"], "elicitation/create");
        Some(json!({"action": "accept", "content": {"name": "Ada"}}))
    }
}

#[test]
fn a_tool_that_asks_is_answered_or_named() {
    let wire = Wire::default();
    let client = Client::new(&wire, "http://x/mcp", "test", "1");
    let result = block_on(client.call_tool("ask", &json!({}), None, &Ada)).unwrap();
    assert_eq!(result.text(), "Ada");
    let ids: Vec<Value> = wire
        .sent
        .borrow()
        .iter()
        .map(|(_, m)| m["id"].clone())
        .collect();
    assert_ne!(ids[1], ids[2], "each round is a request of its own");
    let refused = block_on(client.call_tool("ask", &json!({}), None, &NoInputs));
    assert_eq!(
        refused,
        Err(Fault::InputRequired("elicitation/create".into()))
    );
}

#[test]
fn an_earlier_server_gets_its_handshake_and_its_session() {
    for unknown in [400, 404, 405, 422, 500] {
        let old = Old::new(unknown);
        let client = Client::new(&old, "http://x/mcp", "test", "1");
        assert_eq!(block_on(client.list_tools()).unwrap().tools[0].name, "old");
        let spoken = client.spoken().unwrap();
        assert_eq!(
            (spoken.version.as_str(), spoken.session.as_deref()),
            ("2025-06-18", Some("session-1"))
        );
        let result = block_on(client.call_tool("old", &json!({}), None, &NoInputs)).unwrap();
        assert_eq!(result.text(), "a\nb");
        let sent = old.wire.sent.borrow();
        let (fields, message) = sent
            .iter()
            .find(|(_, m)| m["method"] == "tools/call")
            .unwrap();
        assert_eq!(fields["mcp-protocol-version"], "2025-06-18");
        assert!(message["params"].get("_meta").is_none());
        assert!(fields.get("mcp-method").is_none());
        let declined = sent.iter().find(|(_, m)| m["id"] == "s").unwrap();
        assert_eq!(declined.1["error"]["code"], -32_601);
    }
}

#[test]
fn a_session_that_has_ended_is_opened_anew() {
    let old = Old::new(400);
    let client = Client::new(&old, "http://x/mcp", "test", "1");
    block_on(client.connect()).unwrap();
    *old.sessions.borrow_mut() = 5;
    block_on(client.list_tools()).unwrap();
    assert_eq!(
        client.spoken().unwrap().session.as_deref(),
        Some("session-6")
    );
    block_on(client.close());
    assert_eq!(client.spoken(), None);
}

/// Says the same to everybody.
struct Says(u16, &'static str, String);

impl Transport for Says {
    async fn send(&self, _: Request<Bytes>) -> Result<Incoming, Fault> {
        let mut answer = incoming(self.0, self.1, self.2.clone());
        if self.0 == 401 {
            let challenge = HeaderValue::from_static("Bearer scope=\"a b\"");
            answer.headers.insert("www-authenticate", challenge);
        }
        Ok(answer)
    }
}

#[test]
fn what_is_no_answer_is_named() {
    let list = |says: Says| {
        let client = Client::new(&says, "http://x/mcp", "test", "1").with_most(1_000);
        let spoken = Spoken {
            version: MODERN.to_owned(),
            session: None,
        };
        let client = client.with_spoken(spoken);
        block_on(client.list_tools())
    };
    let challenge = Some("Bearer scope=\"a b\"".to_owned());
    assert_eq!(
        list(Says(401, "text/plain", String::new())),
        Err(Fault::Unauthorized {
            status: 401,
            challenge
        })
    );
    assert!(matches!(
        list(Says(503, "text/html", String::new())),
        Err(Fault::Http { status: 503, .. })
    ));
    assert!(matches!(
        list(Says(200, "text/html", String::new())),
        Err(Fault::Protocol(_))
    ));
    assert!(matches!(
        list(Says(200, "application/json", "{".into())),
        Err(Fault::Protocol(_))
    ));
    assert!(matches!(
        list(Says(200, "text/event-stream", String::new())),
        Err(Fault::Protocol(_))
    ));
    let big = "x".repeat(2_000);
    assert_eq!(
        list(Says(200, "application/json", big)),
        Err(Fault::TooLarge(1_000))
    );
}
