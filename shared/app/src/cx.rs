//! One request: what came in, and what goes out beside the handler's answer.

use crate::app::App;
use crate::body::BodyStream;
use crate::clock;
use crate::errors::storage_problem;
use crate::settings::Settings;
use bytes::Bytes;
use http::{HeaderMap, Method};
use nodeai_guard::{EGRESS_FIELD, UrlGuard};
use nodeai_http::Problem;
use nodeai_ports::Env;
use nodeai_store::{Rate, Session, Store};
use nodeai_telemetry::{Buffer, TraceContext};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// The context of one request.
pub struct Cx {
    /// The area's application.
    pub app: Rc<App>,
    /// Its settings.
    pub settings: Rc<Settings>,
    /// Method.
    pub method: Method,
    /// Path without query.
    pub path: String,
    /// Query string, maybe empty.
    pub query: String,
    /// Header fields.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
    /// Path parameters.
    pub parameters: Vec<(String, String)>,
    /// Route pattern, of low cardinality.
    pub pattern: String,
    /// Place in the trace.
    pub trace: TraceContext,
    /// When the request came, µs since the epoch.
    pub started_us: i64,
    /// Spans to flush after the response.
    pub spans: Buffer,
    /// Set by areas that commit the request's trace themselves (runs).
    pub own_trace: Cell<bool>,
    pub(crate) session: RefCell<Option<Rc<Session>>>,
    pub(crate) rate: RefCell<Option<Rate>>,
    /// A body that the handler reads itself.
    pub(crate) incoming: RefCell<Option<BodyStream>>,
    /// Digest of a body that the handler has read itself: what `body` is to others.
    pub digest: RefCell<Option<String>>,
}

impl Cx {
    /// The context of work that no request waits for, such as a queued run: `pattern` names it, `trace` is its place.
    pub fn detached(
        app: Rc<App>,
        settings: Rc<Settings>,
        pattern: &str,
        trace: TraceContext,
    ) -> Self {
        Self {
            app,
            settings,
            method: Method::POST,
            path: pattern.to_owned(),
            query: String::new(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            parameters: Vec::new(),
            pattern: pattern.to_owned(),
            trace,
            started_us: clock::now_us(),
            spans: Buffer::new(),
            own_trace: Cell::new(true),
            session: RefCell::new(None),
            rate: RefCell::new(None),
            incoming: RefCell::new(None),
            digest: RefCell::new(None),
        }
    }

    /// The store, for work that is not a caller's. Errors: 503 where none is configured.
    pub fn store(&self) -> Result<Store, Problem> {
        let backend = self.settings.backend.as_ref().map_err(storage_problem)?;
        Ok(Store::new(backend.clone(), self.env().clone()))
    }

    /// The host.
    pub fn env(&self) -> &Rc<dyn Env> {
        &self.app.env
    }

    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Which URLs of users' may be called for this request: by the operator's rules, and by the hosts that a run which asks
    /// keeps to.
    pub async fn guard(&self) -> UrlGuard {
        let lists = self.headers.get_all(EGRESS_FIELD).into_iter();
        // What cannot be read allows nothing.
        let lists = lists.map(|list| list.to_str().unwrap_or_default());
        UrlGuard::configured(&**self.env()).await.narrowed(lists)
    }

    /// The client's address as the host saw it.
    pub fn client_ip(&self) -> Option<&str> {
        let address = self.header("spin-client-addr")?;
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
        Some(host.trim_matches(['[', ']']))
    }

    /// A path parameter, percent-decoded as far as ids need it: not at all.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.parameters.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Microseconds since the request came.
    pub fn elapsed_us(&self) -> i64 {
        (clock::now_us() - self.started_us).max(0)
    }

    /// SHA-256 over method, path, query and body: what makes two requests the same for an idempotency key.
    pub fn fingerprint(&self) -> String {
        use sha2::{Digest, Sha256};
        let mut hash = Sha256::new();
        for part in [self.method.as_str(), &self.path, &self.query] {
            hash.update(part.as_bytes());
            hash.update([0]);
        }
        hash.update(&self.body);
        if let Some(digest) = &*self.digest.borrow() {
            hash.update(digest.as_bytes());
        }
        clock::hex(&hash.finalize())
    }

    /// Method and pattern, such as `GET /api/v1/workflows/{id}`.
    pub fn route(&self) -> String {
        format!("{} {}", self.method, self.pattern)
    }

    /// The admitted session, when there is one.
    pub fn session(&self) -> Option<Rc<Session>> {
        self.session.borrow().clone()
    }
}
