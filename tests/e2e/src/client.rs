//! Requests as a tenant, and their replies.

use reqwest::Method;
use reqwest::blocking::{Client, Response};
use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::sync::OnceLock;
use std::time::Duration;

fn client() -> &'static Client {
    static CLIENT: OnceLock<Client> = OnceLock::new();
    CLIENT.get_or_init(|| {
        Client::builder()
            .timeout(Duration::from_secs(60))
            .build()
            .unwrap()
    })
}

/// A caller.
#[derive(Clone)]
pub struct Tenant {
    url: String,
    /// The user, when it is known.
    pub user_id: String,
    /// What goes into `Authorization: Bearer`; nothing when it is empty.
    pub credential: String,
    /// The organisation that it chooses, for users of several.
    organization: Option<String>,
}

/// A reply that was read whole.
#[derive(Debug)]
pub struct Reply {
    /// Status.
    pub status: u16,
    /// Header fields.
    pub headers: HeaderMap,
    /// The body.
    pub bytes: Vec<u8>,
    /// The body as text.
    pub text: String,
    /// The body as JSON; null when it is none.
    pub json: Value,
}

impl Reply {
    fn read(response: Response) -> Self {
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let bytes = response.bytes().map(Vec::from).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let json = serde_json::from_str(&text).unwrap_or_default();
        Self {
            status,
            headers,
            bytes,
            text,
            json,
        }
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|v| v.to_str().ok())
            .unwrap_or_default()
    }
}

impl Tenant {
    /// A caller of the application at `url`.
    pub fn new(url: &str, user_id: String, credential: String) -> Self {
        Self {
            url: url.to_owned(),
            user_id,
            credential,
            organization: None,
        }
    }

    /// Any request; the body is sent as it is.
    pub fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Reply {
        let mut request = client()
            .request(method, format!("{}{path}", self.url))
            .body(body);
        if !self.credential.is_empty() {
            request = request.bearer_auth(&self.credential);
        }
        if let Some(org) = &self.organization {
            request = request.header("x-organization-id", org);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Reply::read(request.send().expect("the application answers"))
    }

    /// GET; `None` when the application does not answer.
    pub fn try_get(&self, path: &str) -> Option<Reply> {
        let request = client()
            .get(format!("{}{path}", self.url))
            .bearer_auth(&self.credential);
        request.send().ok().map(Reply::read)
    }

    /// POST of JSON; `None` when the application does not answer.
    pub fn try_post(&self, path: &str, body: &Value) -> Option<Reply> {
        self.try_post_with(path, &[], body)
    }

    /// POST of JSON with header fields; `None` when the application does not answer.
    pub fn try_post_with(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: &Value,
    ) -> Option<Reply> {
        let mut request = client()
            .post(format!("{}{path}", self.url))
            .bearer_auth(&self.credential)
            .json(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().ok().map(Reply::read)
    }

    fn json(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &Value) -> Reply {
        let mut all = vec![("content-type", "application/json")];
        all.extend(headers);
        self.send(method, path, &all, body.to_string().into_bytes())
    }

    /// GET.
    pub fn get(&self, path: &str) -> Reply {
        self.send(Method::GET, path, &[], Vec::new())
    }

    /// GET of server-sent events that go on: each as (name, data) as soon as it comes, for a minute at most.
    pub fn listen(&self, path: &str) -> impl Iterator<Item = (String, Value)> + use<> {
        let mut request = client()
            .get(format!("{}{path}", self.url))
            .bearer_auth(&self.credential);
        if let Some(org) = &self.organization {
            request = request.header("x-organization-id", org);
        }
        let response = request.send().expect("the application answers");
        assert_eq!(response.status().as_u16(), 200);
        let mut lines = BufReader::new(response).lines().map_while(Result::ok);
        std::iter::from_fn(move || {
            let mut block = String::new();
            loop {
                let line = lines.next()?;
                block += &format!("{line}\n");
                if line.is_empty() {
                    match events(&block).pop() {
                        Some(event) => return Some(event),
                        None => block.clear(),
                    }
                }
            }
        })
    }

    /// POST of JSON.
    pub fn post(&self, path: &str, body: &Value) -> Reply {
        self.json(Method::POST, path, &[], body)
    }

    /// POST of JSON with header fields.
    pub fn post_with(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> Reply {
        self.json(Method::POST, path, headers, body)
    }

    /// PUT of JSON with header fields.
    pub fn put_with(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> Reply {
        self.json(Method::PUT, path, headers, body)
    }

    /// PATCH of JSON.
    pub fn patch(&self, path: &str, body: &Value) -> Reply {
        self.json(Method::PATCH, path, &[], body)
    }

    /// PATCH of JSON with header fields.
    pub fn patch_with(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> Reply {
        self.json(Method::PATCH, path, headers, body)
    }

    /// DELETE.
    pub fn delete(&self, path: &str) -> Reply {
        self.send(Method::DELETE, path, &[], Vec::new())
    }

    /// Runs a definition with inputs.
    pub fn run(&self, definition: &Value, inputs: Value) -> Reply {
        self.post(
            "/api/v1/workflows/execute",
            &json!({"definition": definition, "inputs": inputs}),
        )
    }

    /// Runs with `stream: true` and collects the events as (name, data).
    pub fn stream(&self, definition: &Value, inputs: Value) -> Vec<(String, Value)> {
        let body = json!({"definition": definition, "inputs": inputs, "stream": true});
        events(&self.post("/api/v1/workflows/execute", &body).text)
    }

    /// The same caller in another of its organisations.
    pub fn in_organization(&self, org: &str) -> Self {
        Self {
            organization: Some(org.to_owned()),
            ..self.clone()
        }
    }

    /// Stores a workflow and gives its id.
    pub fn workflow(&self, name: &str, definition: &Value) -> String {
        let reply = self.post(
            "/api/v1/workflows",
            &json!({"name": name, "definition": definition}),
        );
        assert_eq!(reply.status, 201, "{}", reply.text);
        reply.json["id"].as_str().unwrap().to_owned()
    }
}

/// Reads server-sent events (WHATWG HTML, section 9.2), as far as this API uses them.
pub fn events(text: &str) -> Vec<(String, Value)> {
    let field = |block: &str, name: &str| {
        let line = block
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        line.map(str::to_owned)
    };
    text.split("\n\n")
        .filter_map(|block| {
            let data = serde_json::from_str(&field(block, "data")?).ok()?;
            Some((field(block, "event")?, data))
        })
        .collect()
}
