//! What runs may spend and whom they may call: limits of a run, budgets that runs share, lists of hosts.

mod support;

use std::cell::Cell;

use futures::FutureExt;
use futures::future::LocalBoxFuture;
use llm_standin::Behaviour;
use nodeai_engine::{Event, RunBudget, Status, What, unsettled_of};
use nodeai_runner::{Begin, CancelOn, Ended, Finished, Journal, Journaling, Lost, Start, UrlGuard};
use nodeai_telemetry::TraceContext;
use serde_json::{Value, json};
use support::App;

/// input → `n` of this type → output of it.
fn one(kind: &str, data: Value) -> Value {
    json!({
        "nodes": [
            {"id": "in", "type": "input", "data": {}},
            {"id": "n", "type": kind, "data": data},
            {"id": "out", "type": "output", "data": {"value": "{{ nodes.n.output }}"}},
        ],
        "edges": [{"source": "in", "target": "n"}, {"source": "n", "target": "out"}],
    })
}

/// A question to the stand-in.
fn ask(app: &App, more: Value) -> Value {
    let mut data = json!({"model": "openai/gpt-4o-mini", "base_url": app.standin.openai(), "api_key": "k",
        "prompt": "one two three"});
    if let (Some(data), Some(more)) = (data.as_object_mut(), more.as_object()) {
        data.extend(more.clone());
    }
    data
}

/// Twenty questions, ten at once.
fn twenty(app: &App) -> Value {
    json!({
        "nodes": [
            {"id": "in", "type": "input", "data": {}},
            {"id": "each", "type": "for_each", "data": {"items": "{{ range(20) | list }}", "concurrency": 10}},
            {"id": "n", "type": "llm", "parentId": "each", "data": ask(app, json!({"max_tokens": 10}))},
            {"id": "out", "type": "output", "data": {"value": "{{ nodes.each.output | length }}"}},
        ],
        "edges": [{"source": "in", "target": "each"}, {"source": "each", "target": "out"}],
    })
}

fn tokens(limit: i64) -> RunBudget {
    RunBudget::new(None, Some(limit), false)
}

fn failure(finished: &Finished) -> (&str, &str) {
    finished.error.as_ref().map_or(("none", ""), |error| {
        (error.kind.as_str(), error.message.as_str())
    })
}

fn used(finished: &Finished) -> i64 {
    finished.usage.prompt_tokens + finished.usage.completion_tokens
}

/// What the stand-in counted: words of the prompt and of its answer.
fn counted(app: &App) -> i64 {
    // "one two three", and "You said: one two three".
    app.standin.requests().len() as i64 * (3 + 5)
}

#[test]
fn branches_wait_for_what_others_hold_of_the_runs_limit() {
    let mut app = App::start();
    // Each call may use about 250 and uses 8: not all can be at work at once, and all of them fit.
    app.options.budget = tokens(600);
    let finished = app.run(&twenty(&app), json!({}));
    assert_eq!(finished.status, Status::Succeeded, "{:?}", finished.error);
    assert_eq!((used(&finished), counted(&app)), (160, 160));
}

#[test]
fn a_runs_limit_is_never_passed_whatever_its_branches_do() {
    for limit in [0, 100, 200, 250, 300] {
        let mut app = App::start();
        app.options.budget = tokens(limit);
        let finished = app.run(&twenty(&app), json!({}));
        assert_eq!(finished.status, Status::Failed, "{limit}");
        assert_eq!(failure(&finished).0, "budget_exceeded", "{limit}");
        assert!(counted(&app) <= limit, "{limit}: {}", counted(&app));
    }
}

#[test]
fn the_documents_own_limit_counts_and_the_lower_of_two() {
    let app = App::start();
    let mut document = one("llm", ask(&app, json!({"max_tokens": 10})));
    document["settings"] = json!({"budget": {"usd_micros": 1}});
    let finished = app.run(&document, json!({}));
    let (kind, message) = failure(&finished);
    assert_eq!(kind, "budget_exceeded");
    assert!(message.contains("0.000001 USD"), "{message}");
    assert_eq!(app.standin.requests().len(), 0, "nothing was sent");
    document["settings"] = json!({"budget": {"usd_micros": 1_000}});
    let finished = app.run(&document, json!({}));
    assert_eq!(finished.status, Status::Succeeded, "{:?}", finished.error);
}

#[test]
fn a_call_without_a_limit_of_its_own_is_sent_with_one() {
    let mut app = App::start();
    let document = one("llm", ask(&app, json!({})));
    app.run(&document, json!({}));
    app.options.budget = tokens(100_000);
    app.run(&document, json!({}));
    let sent: Vec<Value> = app
        .standin
        .requests()
        .iter()
        .map(|request| request.body["max_completion_tokens"].clone())
        .collect();
    assert_eq!(sent, [Value::Null, json!(4_096)]);
}

#[test]
fn a_price_that_is_not_known_does_not_fit_a_limit_in_usd() {
    let mut app = App::start();
    let document = one("llm", ask(&app, json!({"model": "openai/own"})));
    app.options.budget = RunBudget::new(Some(1_000_000), None, false);
    assert_eq!(failure(&app.run(&document, json!({}))).0, "budget_unpriced");
    app.options.budget = RunBudget::new(Some(1_000_000), None, true);
    let finished = app.run(&document, json!({}));
    assert_eq!(finished.status, Status::Succeeded, "{:?}", finished.error);
}

#[test]
fn a_cheaper_model_stands_in_for_one_that_does_not_fit() {
    let mut app = App::start();
    app.options.budget = tokens(1_000);
    let dear =
        json!({"max_tokens": 400, "prompt": "word ".repeat(200), "fallbacks": ["builtin/echo"]});
    let finished = app.run(&one("llm", ask(&app, dear)), json!({}));
    assert_eq!(
        finished.outputs["out"]["provider"], "builtin",
        "{:?}",
        finished.error
    );
    assert_eq!(app.standin.requests().len(), 0);
    // The test model's tokens count as well: 200 read, 201 written.
    app.options.budget = tokens(400);
    let echo = json!({"model": "builtin/echo", "prompt": "word ".repeat(200)});
    assert_eq!(
        failure(&app.run(&one("llm", echo), json!({}))).0,
        "budget_exceeded"
    );
}

#[test]
fn each_step_of_an_agent_is_reserved_and_settled() {
    let mut app = App::start();
    app.budget.limit = Some(100_000);
    app.standin.script([
        Behaviour {
            tool_call: Some(json!({"name": "t", "arguments": {}})),
            ..Behaviour::default()
        },
        Behaviour::answer("done"),
    ]);
    let tools = json!([{"name": "t", "node": {"type": "template", "data": {"template": "x"}}}]);
    let finished = app.run(&one("agent", ask(&app, json!({"tools": tools}))), json!({}));
    assert_eq!(finished.status, Status::Succeeded, "{:?}", finished.error);
    let told = app.budget.told.borrow();
    let kinds: Vec<&str> = told.iter().map(|text| &text[..6]).collect();
    assert_eq!(kinds, ["reserv", "settle", "reserv", "settle"]);
    assert_eq!(app.budget.spent.get(), used(&finished));
    assert_eq!(app.budget.reserved(), 0);
}

#[test]
fn what_was_not_paid_for_is_given_back_and_what_may_have_been_is_kept() {
    let settled = |behaviour: Behaviour, more: Value| {
        let mut app = App::start();
        app.budget.limit = Some(100_000);
        app.standin.script([behaviour]);
        let finished = app.run(&one("llm", ask(&app, more)), json!({}));
        assert_eq!(finished.status, Status::Failed);
        (app.budget.spent.get(), app.budget.reserved())
    };
    let limit = json!({"max_tokens": 10});
    assert_eq!(settled(Behaviour::status(500), limit.clone()), (0, 0));
    let dropped = Behaviour {
        drop_connection: true,
        ..Behaviour::default()
    };
    let (spent, held) = settled(dropped, limit.clone());
    assert!(
        spent > 100 && held == 0,
        "all that was reserved counts: {spent}"
    );
    let malformed = Behaviour {
        malformed: true,
        ..Behaviour::default()
    };
    assert!(settled(malformed, limit).0 > 100);
    // Out of time: nobody is left to settle it in the attempt, and it stays reserved for the run's end.
    let slow = Behaviour {
        latency_ms: 2_000,
        ..Behaviour::default()
    };
    let (spent, held) = settled(slow, json!({"max_tokens": 10, "timeout_ms": 50}));
    assert!(spent == 0 && held > 100, "{spent} {held}");
}

/// Keeps nothing: what was kept is in the run's log anyway.
struct Nowhere;

impl Journal for Nowhere {
    fn append<'a>(&'a self, _: &'a [Event]) -> LocalBoxFuture<'a, Result<(), Lost>> {
        async { Ok(()) }.boxed_local()
    }
}

/// Runs a document, or goes on with a log of it, as the queue does.
fn queued(app: &App, document: &Value, log: Vec<Event>) -> Finished {
    let plan = support::plan(document);
    let begin = match log.is_empty() {
        true => Begin::New(Box::new(Start {
            execution_id: "run-1".into(),
            name: "test".into(),
            inputs: json!({}),
            trace: TraceContext::root([7; 24]),
            labels: Default::default(),
        })),
        false => Begin::Log(log),
    };
    let counter = support::Counter(Cell::new(0));
    let ports = app.ports(&counter);
    let never = CancelOn::new(std::future::pending());
    let journaling = Journaling {
        journal: &Nowhere,
        slice_end_us: i64::MAX,
        patience_us: 0,
    };
    let work = nodeai_runner::work(plan, begin, app.options.clone(), &ports, &never, journaling);
    match support::block_on(work).expect("its own log") {
        Ended::Finished { finished, .. } => *finished,
        other => panic!("{other:?}"),
    }
}

#[test]
fn whoever_goes_on_with_a_run_counts_what_may_have_been_spent() {
    let mut app = App::start();
    app.options.budget = tokens(100_000);
    let document = one("llm", ask(&app, json!({"max_tokens": 10})));
    let whole = queued(&app, &document, Vec::new());
    assert_eq!(whole.status, Status::Succeeded, "{:?}", whole.error);
    assert_eq!(unsettled_of(&whole.log).tokens, 0);
    // The host is lost in the middle of the call.
    let asks =
        |event: &Event| matches!(&event.what, What::AttemptStarted { node, .. } if node == "n");
    let cut = whole.log.iter().position(asks).expect("started");
    let log = whole.log[..=cut].to_vec();
    let most = unsettled_of(&log).tokens;
    assert!(most > 100, "{most}");
    let requests = app.standin.requests().len();
    for (limit, status) in [
        (most + most / 2, Status::Failed),
        (most * 2, Status::Succeeded),
    ] {
        app.options.budget = tokens(limit);
        let finished = queued(&app, &document, log.clone());
        assert_eq!(finished.status, status, "{:?}", finished.error);
    }
    assert_eq!(app.standin.requests().len(), requests + 1);

    // A call that ran out of time.
    app.standin.script([Behaviour {
        latency_ms: 2_000,
        ..Behaviour::default()
    }]);
    let limits = json!({"max_tokens": 10, "timeout_ms": 50});
    let finished = app.run(&one("llm", ask(&app, limits)), json!({}));
    assert_eq!(failure(&finished).0, "timeout");
    assert!(unsettled_of(&finished.log).tokens > 100);
}

#[test]
fn a_server_that_is_not_there_costs_nothing() {
    let mut app = App::start();
    app.budget.limit = Some(100_000);
    app.http.unreachable = true;
    let finished = app.run(&one("llm", ask(&app, json!({}))), json!({}));
    assert_eq!(failure(&finished).0, "connection");
    assert_eq!((app.budget.spent.get(), app.budget.reserved()), (0, 0));
}

#[test]
fn a_run_without_budgets_asks_and_tells_nothing() {
    let app = App::start();
    let finished = app.run(&one("llm", ask(&app, json!({}))), json!({}));
    assert_eq!(finished.status, Status::Succeeded);
    assert!(app.budget.told.borrow().is_empty());
}

#[test]
fn a_shared_budget_that_is_used_up_refuses_at_once() {
    let mut app = App::start();
    app.budget.limit = Some(5);
    let retrying = json!({"retry": {"max_attempts": 3, "backoff_ms": 1}});
    let finished = app.run(&one("llm", ask(&app, retrying)), json!({}));
    assert_eq!(failure(&finished).0, "budget_exceeded");
    assert_eq!(
        *app.budget.told.borrow(),
        ["reserve"],
        "it is not tried again"
    );
}

/// `document`, whose runs may call the stand-in by this name alone.
fn listed(app: &App, mut document: Value) -> Value {
    let host = app.standin.url.trim_start_matches("http://");
    document["settings"] = json!({"egress": [host]});
    document
}

#[test]
fn a_run_calls_the_hosts_of_its_list_alone() {
    let mut app = App::start();
    app.options.guard = UrlGuard::allowing(["127.0.0.1".to_owned(), "localhost".to_owned()]);
    let elsewhere = app.standin.url.replace("127.0.0.1", "localhost");
    let get = |url: String| {
        let document = listed(&app, one("http", json!({"url": "{{ inputs.url }}"})));
        let finished = app.run(&document, json!({"url": url}));
        failure(&finished).0.to_owned()
    };
    assert_eq!(get(format!("{}/web/page", app.standin.url)), "none");
    assert_eq!(get(format!("{elsewhere}/web/page")), "egress_refused");
    // Nor does a redirect lead out of it.
    let away = format!("{}/web/away?to={elsewhere}/web/page", app.standin.url);
    assert_eq!(get(away), "egress_refused");
    let seen = app.standin.requests();
    let local = |headers: &serde_json::Map<String, Value>| {
        headers["host"]
            .as_str()
            .is_some_and(|host| host.starts_with("localhost"))
    };
    assert!(!seen.iter().any(|request| local(&request.headers)));
}

#[test]
fn tools_and_fallbacks_are_held_to_the_list_too() {
    let mut app = App::start();
    app.options.guard = UrlGuard::allowing(["127.0.0.1".to_owned(), "localhost".to_owned()]);
    let elsewhere = app.standin.url.replace("127.0.0.1", "localhost");
    let call = Behaviour {
        tool_call: Some(
            json!({"name": "t", "arguments": {"url": format!("{elsewhere}/web/page")}}),
        ),
        ..Behaviour::default()
    };
    app.standin.script([call, Behaviour::answer("done")]);
    let tools = json!([{"name": "t", "node": {"type": "http", "data": {"url": "{{ args.url }}"}}}]);
    let agent = one("agent", ask(&app, json!({"tools": tools})));
    let finished = app.run(&listed(&app, agent), json!({}));
    let result = &finished.outputs["out"]["calls"][0];
    assert_eq!(result["failed"], true, "{:?}", finished.error);
    assert!(
        result["result"]
            .as_str()
            .is_some_and(|text| text.contains("settings.egress"))
    );
    app.standin.script([Behaviour::status(500)]);
    let fallback = json!({"fallbacks": [{"model": "m", "base_url": "{{ inputs.elsewhere }}/v1"}]});
    let chain = listed(&app, one("llm", ask(&app, fallback)));
    let finished = app.run(&chain, json!({"elsewhere": elsewhere}));
    assert_eq!(failure(&finished).0, "egress_refused");
}
