//! Native ports for the runner's tests: reqwest, the tokio clock, a counter for randomness.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures::future::LocalBoxFuture;
use futures::{FutureExt, StreamExt};
use llm_standin::StandIn;
use nodeai_engine::{CancelReason, Compiled, NodeError, NodeOutcome, Session, Turn, compile};
use nodeai_runner::{
    Address, AddressPort, Amount, Body, BudgetPort, CachePort, CancelOn, Clock, Closed, Entropy,
    Finished, Granted, HttpPort, Live, MemoryPort, Options, Ports, Reservation, Secret,
    SecretError, SecretPort, Sink, Start, TransportError, UrlGuard,
};
use nodeai_telemetry::TraceContext;
use serde_json::Value;

/// Everything a test run needs.
pub struct App {
    pub standin: StandIn,
    pub http: Client,
    pub secrets: Vault,
    pub events: Events,
    pub cache: Kept,
    pub budget: Shared,
    pub memory: Notes,
    pub addresses: Doors,
    pub options: Options,
}

impl App {
    pub fn start() -> Self {
        let options = Options {
            guard: UrlGuard::allowing(["127.0.0.1".to_owned()]),
            ..Options::default()
        };
        Self {
            standin: StandIn::start().expect("a free port"),
            http: Client::default(),
            secrets: Vault::default(),
            events: Events::default(),
            cache: Kept::default(),
            budget: Shared::default(),
            memory: Notes::default(),
            addresses: Doors,
            options,
        }
    }

    /// Runs a document to its end.
    pub fn run(&self, document: &Value, inputs: Value) -> Finished {
        self.run_until(document, inputs, futures::future::pending())
    }

    pub fn run_until(
        &self,
        document: &Value,
        inputs: Value,
        cancel: impl Future<Output = CancelReason>,
    ) -> Finished {
        let plan = plan(document);
        let inputs = plan.check_inputs(inputs).expect("valid inputs");
        let start = Start {
            execution_id: "run-1".into(),
            name: "test".into(),
            inputs,
            trace: TraceContext::root([7; 24]),
            labels: Default::default(),
        };
        let counter = Counter(Cell::new(0));
        let ports = self.ports(&counter);
        block_on(nodeai_runner::run(
            plan,
            start,
            self.options.clone(),
            &ports,
            &CancelOn::new(cancel),
        ))
    }

    pub fn ports<'a>(
        &'a self,
        counter: &'a Counter,
    ) -> Ports<'a, Client, Tokio, Counter, Vault, Events, Kept> {
        Ports {
            http: &self.http,
            clock: &Tokio,
            entropy: counter,
            secrets: &self.secrets,
            sink: &self.events,
            cache: &self.cache,
            budget: &self.budget,
            databases: &nodeai_runner::NoDatabases,
            areas: &nodeai_runner::NoAreas,
            memory: &self.memory,
            addresses: &self.addresses,
        }
    }
}

pub fn plan(document: &Value) -> Arc<Compiled> {
    match compile(document) {
        Ok(plan) => Arc::new(plan),
        Err(faults) => panic!("{faults:#?}"),
    }
}

pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(future)
}

pub struct Client {
    client: reqwest::Client,
    /// No connection comes about.
    pub unreachable: bool,
}

impl Default for Client {
    fn default() -> Self {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .pool_max_idle_per_host(0)
            .build();
        Self {
            client: client.expect("a client"),
            unreachable: false,
        }
    }
}

impl HttpPort for Client {
    async fn send(
        &self,
        request: http::Request<Bytes>,
        _: u64,
    ) -> Result<http::Response<Body>, TransportError> {
        if request.uri().host() == Some("code.spin.internal") {
            return run_code(request).await;
        }
        if request.uri().host() == Some("node-lists.spin.internal") {
            return lists_of(&request);
        }
        let network =
            |error: reqwest::Error| TransportError::network(error.without_url().to_string());
        if self.unreachable {
            return Err(TransportError::unreachable("no connection"));
        }
        let request = reqwest::Request::try_from(request).map_err(network)?;
        let response = self.client.execute(request).await.map_err(network)?;
        let mut head = http::Response::builder().status(response.status());
        if let Some(headers) = head.headers_mut() {
            headers.clone_from(response.headers());
        }
        let body: Body = response
            .bytes_stream()
            .map(move |chunk| chunk.map_err(network))
            .boxed_local();
        head.body(body)
            .map_err(|error| TransportError::network(error.to_string()))
    }
}

/// A custom node that gives the lists of hosts that came with its call.
fn lists_of(request: &http::Request<Bytes>) -> Result<http::Response<Body>, TransportError> {
    let lists = request.headers().get_all("x-nodeai-egress").into_iter();
    let lists: Vec<&str> = lists.filter_map(|list| list.to_str().ok()).collect();
    let body = Bytes::from(serde_json::json!({"result": lists}).to_string());
    let body: Body = futures::stream::iter([Ok(body)]).boxed_local();
    let response = http::Response::builder().body(body);
    response.map_err(|error| TransportError::network(error.to_string()))
}

/// What the component does that runs code, in a thread of its own; the source `trap` ends it without an answer.
async fn run_code(request: http::Request<Bytes>) -> Result<http::Response<Body>, TransportError> {
    let (told, answer) = tokio::sync::oneshot::channel();
    let thread = std::thread::Builder::new().stack_size(256 << 20);
    let thread = thread.spawn(move || {
        let answer = match nodeai_js::answer::read(request.body()) {
            Ok(job) if job.source == "trap" => return,
            Ok(job) => nodeai_js::answer::of(&nodeai_js::run(&job)),
            Err(answer) => answer,
        };
        // Nobody may be there any more.
        let _ = told.send(answer);
    });
    thread.expect("a thread");
    let trapped = |_| TransportError::network("ErrorCode::InternalError");
    let answer = answer.await.map_err(trapped)?;
    let body = Bytes::from(answer.body.to_string());
    let body: Body = futures::stream::iter([Ok(body)]).boxed_local();
    let response = http::Response::builder().status(answer.status).body(body);
    response.map_err(|error| TransportError::network(error.to_string()))
}

pub struct Tokio;

impl Clock for Tokio {
    fn now_us(&self) -> i64 {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .expect("after 1970");
        now.as_micros() as i64
    }

    async fn sleep(&self, us: u64) {
        tokio::time::sleep(Duration::from_micros(us)).await;
    }
}

pub struct Counter(pub Cell<u8>);

impl Entropy for Counter {
    fn fill(&self, bytes: &mut [u8]) {
        for byte in bytes {
            self.0.set(self.0.get().wrapping_add(1));
            *byte = self.0.get();
        }
    }
}

#[derive(Default)]
pub struct Vault(pub BTreeMap<String, String>);

impl SecretPort for Vault {
    async fn open(
        &self,
        _node: &str,
        names: &[String],
    ) -> Result<BTreeMap<String, Secret>, SecretError> {
        let found = names.iter().filter_map(|name| {
            let value = self.0.get(name)?;
            Some((name.clone(), Secret::unbound(value.as_str())))
        });
        Ok(found.collect())
    }
}

/// Keeps live events; closes after `most` of them.
#[derive(Default)]
pub struct Events {
    pub listens: bool,
    pub most: Option<usize>,
    /// Whether it has gone when somebody looks after it.
    pub left: bool,
    pub seen: RefCell<Vec<Live>>,
}

impl Sink for Events {
    fn wants_events(&self) -> bool {
        self.listens
    }

    async fn send(&self, _: Option<u64>, event: Live) -> Result<(), Closed> {
        if self
            .most
            .is_some_and(|most| self.seen.borrow().len() >= most)
        {
            return Err(Closed);
        }
        self.seen.borrow_mut().push(event);
        Ok(())
    }

    async fn beat(&self) -> Result<(), Closed> {
        match self.left {
            true => Err(Closed),
            false => Ok(()),
        }
    }
}

/// Keeps results for ever.
#[derive(Default)]
pub struct Kept(RefCell<BTreeMap<String, NodeOutcome>>);

impl CachePort for Kept {
    async fn get(&self, key: &str) -> Option<NodeOutcome> {
        self.0.borrow().get(key).cloned()
    }

    async fn put(&self, key: &str, _: u64, outcome: &NodeOutcome) {
        self.0.borrow_mut().insert(key.to_owned(), outcome.clone());
    }
}

/// Turns of earlier runs, the same for every session; each question is noted.
#[derive(Debug, Default)]
pub struct Notes {
    pub turns: Vec<Turn>,
    pub asked: RefCell<Vec<(Session, usize)>>,
    /// The store is away.
    pub away: bool,
}

impl MemoryPort for Notes {
    fn recall<'a>(
        &'a self,
        session: &'a Session,
        most: usize,
    ) -> LocalBoxFuture<'a, Result<Vec<Turn>, NodeError>> {
        self.asked.borrow_mut().push((session.clone(), most));
        let turns = match self.away {
            true => Err(NodeError::new("memory_unavailable", "away", true)),
            false => Ok(self.turns.clone()),
        };
        async move { turns }.boxed_local()
    }
}

/// Addresses that say their node.
#[derive(Debug, Default)]
pub struct Doors;

impl AddressPort for Doors {
    fn address(&self, node: &str) -> Option<Address> {
        Some(Address {
            url: format!("https://here.test/hooks/wait/s3cr3t-run.{node}"),
            secret: "s3cr3t-run".into(),
        })
    }
}

/// A budget in tokens that several runs share; none without a limit.
#[derive(Debug, Default)]
pub struct Shared {
    pub limit: Option<i64>,
    pub spent: Cell<i64>,
    pub held: RefCell<BTreeMap<String, i64>>,
    /// Everything that was asked and told, in order.
    pub told: RefCell<Vec<String>>,
}

impl Shared {
    pub fn reserved(&self) -> i64 {
        self.held.borrow().values().sum()
    }
}

impl BudgetPort for Shared {
    fn apply(&self) -> LocalBoxFuture<'_, Result<bool, NodeError>> {
        async { Ok(self.limit.is_some()) }.boxed_local()
    }

    fn reserve<'a>(
        &'a self,
        call: &'a Reservation,
    ) -> LocalBoxFuture<'a, Result<Granted, NodeError>> {
        async move {
            let limit = self.limit.unwrap_or(i64::MAX);
            let most = call.most.tokens;
            self.told.borrow_mut().push("reserve".into());
            if self.spent.get() + most > limit {
                return Ok(Granted::No(nodeai_runner::exceeded("the shared budget")));
            }
            if self.spent.get() + self.reserved() + most > limit {
                return Ok(Granted::Busy("the shared budget".into()));
            }
            let ticket = format!("t{}", self.told.borrow().len());
            self.held.borrow_mut().insert(ticket.clone(), most);
            Ok(Granted::Yes(ticket))
        }
        .boxed_local()
    }

    fn settle<'a>(&'a self, ticket: &'a str, cost: Option<Amount>) -> LocalBoxFuture<'a, ()> {
        async move {
            let most = self
                .held
                .borrow_mut()
                .remove(ticket)
                .expect("a known ticket");
            let used = cost.map_or(most, |cost| cost.tokens);
            self.told.borrow_mut().push(format!("settle {used}"));
            self.spent.set(self.spent.get() + used);
        }
        .boxed_local()
    }
}
