//! A runner without a network: answers by path, a clock that moves by itself, secrets from a map.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::LocalBoxFuture;
use futures::{FutureExt, StreamExt};
use nodeai_engine::{Compiled, NodeError, Session, Turn, compile};
use nodeai_runner::{
    Address, AddressPort, Body, CancelOn, Clock, Entropy, Finished, HttpPort, MemoryPort, NoCache,
    NoSink, Options, Ports, Secret, SecretError, SecretPort, Start, TransportError,
};
use nodeai_telemetry::TraceContext;
use serde_json::{Value, json};

/// The world outside.
#[derive(Debug, Default)]
pub struct Outside {
    /// What was asked, in order.
    pub asked: RefCell<Vec<String>>,
    /// What a session has, whichever it is.
    pub turns: RefCell<Vec<Turn>>,
    now_us: Cell<i64>,
    random: Cell<u8>,
}

pub fn plan(document: &Value) -> Compiled {
    compile(document).unwrap_or_else(|faults| panic!("{faults:#?}"))
}

impl Outside {
    /// Runs a workflow to its end.
    pub fn run(&self, plan: Arc<Compiled>, inputs: Value) -> Finished {
        self.now_us.set(1_764_028_799_000_000);
        let start = Start {
            execution_id: "01900000-0000-7000-8000-000000000001".into(),
            name: "test".into(),
            inputs: plan.check_inputs(inputs).expect("valid inputs"),
            trace: TraceContext::root([7; 24]),
            labels: Default::default(),
        };
        let ports = Ports {
            http: self,
            clock: self,
            entropy: self,
            secrets: self,
            sink: &NoSink,
            cache: &NoCache,
            budget: &nodeai_runner::NoBudget,
            databases: &nodeai_runner::NoDatabases,
            areas: &nodeai_runner::NoAreas,
            memory: self,
            addresses: self,
        };
        let never = CancelOn::new(futures::future::pending());
        let run = nodeai_runner::run(plan, start, Options::default(), &ports, &never);
        futures::executor::block_on(run)
    }

    /// How often a path was asked for.
    pub fn count(&self, path: &str) -> usize {
        let asked = self.asked.borrow();
        asked.iter().filter(|asked| *asked == path).count()
    }
}

impl MemoryPort for Outside {
    fn recall<'a>(
        &'a self,
        _: &'a Session,
        _: usize,
    ) -> LocalBoxFuture<'a, Result<Vec<Turn>, NodeError>> {
        async move { Ok(self.turns.borrow().clone()) }.boxed_local()
    }
}

impl AddressPort for Outside {
    fn address(&self, node: &str) -> Option<Address> {
        Some(Address {
            url: format!("https://here.example/hooks/wait/run-s3cr3t.{node}"),
            secret: "run-s3cr3t".into(),
        })
    }
}

impl HttpPort for Outside {
    async fn send(
        &self,
        request: http::Request<Bytes>,
        _: u64,
    ) -> Result<http::Response<Body>, TransportError> {
        let path = request.uri().path().to_owned();
        self.asked.borrow_mut().push(path.clone());
        let first = self.count(&path) == 1;
        let (status, answer) = match path.as_str() {
            "/flaky" if first => (503, json!({"error": "busy"})),
            "/v1/chat/completions" => (200, completion()),
            "/lost" => return Err(TransportError::network("connection reset")),
            path => (
                200,
                json!({"path": path, "b": 1e16, "a": [1.5, 0.1 + 0.2], "n": self.asked.borrow().len()}),
            ),
        };
        let body = Bytes::from(answer.to_string());
        let body: Body = futures::stream::iter([Ok(body)]).boxed_local();
        let head = http::Response::builder()
            .status(status)
            .header("content-type", "application/json");
        Ok(head.body(body).expect("a response"))
    }
}

fn completion() -> Value {
    json!({
        "id": "c1", "object": "chat.completion", "model": "gpt-4o-mini",
        "choices": [{"index": 0, "finish_reason": "stop",
            "message": {"role": "assistant", "content": "forty-two, s3cr3t-value"}}],
        "usage": {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14},
    })
}

impl Clock for Outside {
    fn now_us(&self) -> i64 {
        self.now_us.set(self.now_us.get() + 7);
        self.now_us.get()
    }

    /// Time limits never pass, short waits have passed already.
    async fn sleep(&self, us: u64) {
        if us >= 10_000_000 {
            return futures::future::pending().await;
        }
        self.now_us.set(self.now_us.get() + us as i64);
    }
}

impl Entropy for Outside {
    fn fill(&self, bytes: &mut [u8]) {
        for byte in bytes {
            self.random.set(self.random.get().wrapping_add(1));
            *byte = self.random.get();
        }
    }
}

impl SecretPort for Outside {
    async fn open(
        &self,
        _: &str,
        names: &[String],
    ) -> Result<BTreeMap<String, Secret>, SecretError> {
        let known = names.iter().filter(|name| *name == "KEY");
        let known = known.map(|name| (name.clone(), Secret::unbound("s3cr3t-value")));
        Ok(known.collect())
    }
}
