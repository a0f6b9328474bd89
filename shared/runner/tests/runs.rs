//! Whole runs against the stand-in, over real HTTP.

mod documents;
mod support;

use std::time::Instant;

use documents::{around, ask, edge};
use llm_standin::Behaviour;
use nodeai_engine::{AttemptResult, CancelReason, Run, Status, What};
use nodeai_runner::{CancelOn, Clock, Finished, Live};
use serde_json::{Value, json};
use support::{App, Tokio, block_on, plan};

fn error_kind(finished: &Finished) -> &str {
    finished
        .error
        .as_ref()
        .map_or("none", |error| error.kind.as_str())
}

#[test]
fn the_test_model_answers_without_network() {
    let app = App::start();
    let finished = app.run(
        &around(
            "llm",
            json!({"model": "builtin/echo", "prompt": "{{ inputs.q }}"}),
        ),
        json!({"q": "hi you"}),
    );
    assert_eq!(finished.status, Status::Succeeded);
    assert_eq!(finished.outputs["out"]["text"], "echo: hi you");
    assert_eq!(
        (
            finished.usage.prompt_tokens,
            finished.usage.completion_tokens
        ),
        (2, 3)
    );
    assert_eq!(finished.usage.cost_pusd, 0);
    assert!(app.standin.requests().is_empty());
}

#[test]
fn every_provider_answers_whole_and_streamed() {
    for listens in [false, true] {
        for (model, base) in [
            ("openai/gpt-4o-mini", "v1"),
            ("anthropic/claude-sonnet-4-5", "v1"),
            ("gemini/gemini-2.5-flash", "v1beta"),
        ] {
            let mut app = App::start();
            app.events.listens = listens;
            let base = format!("{}/{base}", app.standin.url);
            let data = json!({"model": model, "base_url": base, "api_key": "k-12345", "prompt": "{{ inputs.q }}", "system": "s"});
            let finished = app.run(&around("llm", data), json!({"q": "one two three"}));
            assert_eq!(
                finished.status,
                Status::Succeeded,
                "{model}: {:?}",
                finished.error
            );
            assert_eq!(
                finished.outputs["out"]["text"], "You said: one two three",
                "{model}"
            );
            assert_eq!(finished.usage.completion_tokens, 5, "{model}");
            assert!(finished.usage.cost_pusd > 0, "{model}");
            assert_eq!(tokens(&app).is_empty(), !listens, "{model}");
            if listens {
                assert_eq!(tokens(&app).concat(), "You said: one two three", "{model}");
            }
        }
    }
}

fn tokens(app: &App) -> Vec<String> {
    let seen = app.events.seen.borrow();
    let texts = seen.iter().filter_map(|event| match event {
        Live::Token { text, .. } => Some(text.clone()),
        _ => None,
    });
    texts.collect()
}

#[test]
fn tool_calls_come_through_every_provider() {
    for listens in [false, true] {
        for (model, base) in [
            ("openai/x", "v1"),
            ("anthropic/x", "v1"),
            ("gemini/x", "v1beta"),
        ] {
            let mut app = App::start();
            app.events.listens = listens;
            let call = json!({"name": "weather", "arguments": {"city": "Oslo"}});
            app.standin.script([Behaviour {
                tool_call: Some(call),
                ..Behaviour::default()
            }]);
            let data = json!({
                "model": model, "base_url": format!("{}/{base}", app.standin.url), "prompt": "?",
                "tools": [{"name": "weather", "parameters": {"type": "object"}}],
            });
            let output = &app.run(&around("llm", data), json!({})).outputs["out"];
            assert_eq!(
                output["finish_reason"], "tool_calls",
                "{model} {listens}: {output}"
            );
            assert_eq!(output["tool_calls"][0]["name"], "weather", "{model}");
            let arguments = output["tool_calls"][0]["arguments"]
                .as_str()
                .unwrap_or_default();
            assert_eq!(
                serde_json::from_str::<Value>(arguments).expect("JSON"),
                json!({"city": "Oslo"})
            );
        }
    }
}

#[test]
fn a_failure_that_may_pass_is_tried_again() {
    for listens in [false, true] {
        let mut app = App::start();
        app.events.listens = listens;
        app.standin.script([
            Behaviour::status(503),
            Behaviour {
                malformed: true,
                ..Behaviour::default()
            },
            Behaviour {
                drop_connection: true,
                ..Behaviour::answer("lost words here now")
            },
            Behaviour::answer("at last"),
        ]);
        let retry = json!({"retry": {"max_attempts": 4, "backoff_ms": 1}});
        let finished = app.run(&ask(&app, "m", retry), json!({"q": "x"}));
        assert_eq!(
            finished.outputs["out"]["text"], "at last",
            "{:?}",
            finished.error
        );
        let attempts = finished
            .spans
            .iter()
            .filter(|span| span.node_id.as_deref() == Some("n"));
        assert_eq!(attempts.count(), 4);
    }
}

#[test]
fn a_rate_limit_is_waited_out() {
    let app = App::start();
    app.standin.script([Behaviour {
        retry_after: Some(1),
        ..Behaviour::status(429)
    }]);
    let begun = Instant::now();
    let retry = json!({"retry": {"max_attempts": 2, "backoff_ms": 1}});
    let finished = app.run(&ask(&app, "m", retry), json!({"q": "x"}));
    assert_eq!(finished.status, Status::Succeeded);
    assert!(begun.elapsed().as_millis() >= 1_000);
}

#[test]
fn a_run_says_which_node_failed_and_why() {
    let app = App::start();
    app.standin.script([Behaviour::status(400)]);
    let finished = app.run(
        &ask(&app, "m", json!({"retry": {"max_attempts": 5}})),
        json!({"q": "x"}),
    );
    assert_eq!(
        (finished.status, error_kind(&finished)),
        (Status::Failed, "invalid_request")
    );
    let error = finished.error.expect("failed");
    assert_eq!(error.node_id.as_deref(), Some("n"));
    assert_eq!(
        error.message,
        "the provider answered 400: scripted failure 400"
    );
    assert_eq!(app.standin.requests().len(), 1);
}

#[test]
fn a_slow_node_runs_into_its_own_time_limit() {
    let app = App::start();
    app.standin.script([Behaviour {
        latency_ms: 30_000,
        ..Behaviour::default()
    }]);
    let finished = app.run(
        &ask(&app, "m", json!({"timeout_ms": 50})),
        json!({"q": "x"}),
    );
    assert_eq!(error_kind(&finished), "timeout");
}

#[test]
fn a_slow_run_runs_into_its_time_limit() {
    let mut app = App::start();
    app.options.timeout_ms = 50;
    app.standin.script([Behaviour {
        latency_ms: 30_000,
        ..Behaviour::default()
    }]);
    let finished = app.run(&ask(&app, "m", json!({})), json!({"q": "x"}));
    assert_eq!(
        (finished.status, error_kind(&finished)),
        (Status::Failed, "run_timeout")
    );
    assert!(
        finished
            .spans
            .iter()
            .all(|span| span.end_us >= span.start_us)
    );
}

#[test]
fn a_cancelled_run_stops_at_once_with_its_trace() {
    let app = App::start();
    app.standin.script([Behaviour {
        latency_ms: 30_000,
        ..Behaviour::default()
    }]);
    let cancel = async {
        Tokio.sleep(20_000).await;
        CancelReason::Requested
    };
    let finished = app.run_until(&ask(&app, "m", json!({})), json!({"q": "x"}), cancel);
    assert_eq!(finished.status, Status::Cancelled);
    let span = finished
        .spans
        .iter()
        .find(|span| span.node_id.as_deref() == Some("n"))
        .expect("span");
    assert_eq!(span.attributes["error.type"], "cancelled");
}

#[test]
fn a_listener_that_goes_away_cancels_the_run() {
    let mut app = App::start();
    app.events.listens = true;
    app.events.most = Some(5);
    app.standin
        .script([Behaviour::answer(&"word ".repeat(500))]);
    let finished = app.run(&ask(&app, "m", json!({})), json!({"q": "x"}));
    assert_eq!(
        (finished.status, error_kind(&finished)),
        (Status::Cancelled, "cancelled")
    );
}

#[test]
fn a_listener_that_goes_away_in_silence_is_missed_within_a_second_or_two() {
    let mut app = App::start();
    app.events.listens = true;
    app.events.left = true;
    let slow = Behaviour {
        latency_ms: 30_000,
        ..Behaviour::default()
    };
    app.standin.script([slow]);
    let waits = json!({
        "nodes": [
            {"id": "in", "type": "input", "data": {}},
            {"id": "n", "type": "wait", "data": {"webhook": {}}},
            {"id": "out", "type": "output", "data": {"value": "{{ nodes.n.output }}"}},
        ],
        "edges": [{"source": "in", "target": "n"}, {"source": "n", "target": "out"}],
    });
    for document in [ask(&app, "m", json!({})), waits] {
        let begun = Instant::now();
        let finished = app.run(&document, json!({"q": "x"}));
        assert_eq!(
            (finished.status, error_kind(&finished)),
            (Status::Cancelled, "cancelled")
        );
        assert!(begun.elapsed().as_secs() < 5, "{:?}", begun.elapsed());
    }
}

#[test]
fn independent_branches_run_at_the_same_time() {
    let app = App::start();
    let slow = |id: &str| json!({"id": id, "type": "http", "data": {"url": format!("{}/web/slow/1500", app.standin.url)}});
    let document = json!({
        "nodes": [
            {"id": "in", "type": "input"}, slow("a"), slow("b"), slow("c"),
            {"id": "join", "type": "merge", "data": {"mode": "array"}},
            {"id": "out", "type": "output", "data": {"value": "{{ nodes.join.output | length }}"}},
        ],
        "edges": [edge("in", "a"), edge("in", "b"), edge("in", "c"), edge("a", "join"), edge("b", "join"), edge("c", "join"), edge("join", "out")],
    });
    let begun = Instant::now();
    let finished = app.run(&document, json!({}));
    assert_eq!(finished.outputs, json!({"out": 3}));
    assert!(begun.elapsed().as_millis() < 4_000, "{:?}", begun.elapsed());
}

#[test]
fn secrets_reach_the_server_and_nothing_else() {
    let mut app = App::start();
    app.events.listens = true;
    app.secrets
        .0
        .insert("TOKEN".into(), "hunter2-hunter2".into());
    let data = json!({
        "url": format!("{}/web/echo", app.standin.url), "method": "POST", "query": {"key": "{{ secrets.TOKEN }}"},
        "headers": {"authorization": "Bearer {{ secrets.TOKEN }}"}, "body": {"password": "{{ secrets.TOKEN }}"},
    });
    let finished = app.run(&around("http", data), json!({}));
    let arrived = &app.standin.requests()[0];
    assert_eq!(arrived.headers["authorization"], "Bearer hunter2-hunter2");
    assert_eq!(arrived.body, json!({"password": "hunter2-hunter2"}));
    assert_eq!(
        finished.outputs["out"]["body"]["headers"]["authorization"],
        "Bearer [redacted]"
    );
    let kept = json!({"log": finished.log, "spans": finished.spans, "outputs": finished.outputs, "live": *app.events.seen.borrow()});
    assert!(!kept.to_string().contains("hunter2"), "{kept}");
}

#[test]
fn a_missing_secret_or_key_is_named() {
    let app = App::start();
    let data = json!({"url": format!("{}/web/echo", app.standin.url), "headers": {"x": "{{ secrets.NOPE }}"}});
    let finished = app.run(&around("http", data), json!({}));
    assert_eq!(
        finished.error.expect("failed").message,
        "there is no secret \"NOPE\""
    );
    let finished = app.run(
        &around("llm", json!({"model": "openai/gpt-4o", "prompt": "x"})),
        json!({}),
    );
    let error = finished.error.expect("failed");
    assert_eq!(error.kind, "secret_missing");
    assert!(
        error.message.contains("OPENAI_API_KEY"),
        "{}",
        error.message
    );
}

#[test]
fn private_addresses_are_refused_also_behind_redirects() {
    let app = App::start();
    let run = |url: String| app.run(&around("http", json!({"url": url})), json!({}));
    assert_eq!(
        error_kind(&run("http://169.254.169.254/latest".into())),
        "url_refused"
    );
    let away = format!("{}/web/away?to=http://10.0.0.1/", app.standin.url);
    assert_eq!(error_kind(&run(away)), "url_refused");
    let away = format!("{}/web/away?to=file:///etc/passwd", app.standin.url);
    assert_eq!(error_kind(&run(away)), "url_refused");
}

#[test]
fn redirects_are_followed_five_times() {
    let app = App::start();
    let run = |count: u32, method: &str| {
        let url = format!("{}/web/redirect/{count}", app.standin.url);
        app.run(
            &around("http", json!({"url": url, "method": method, "body": "x"})),
            json!({}),
        )
    };
    // /web/redirect/4 redirects five times.
    let finished = run(4, "POST");
    assert_eq!(
        finished.outputs["out"]["body"]["method"], "GET",
        "{:?}",
        finished.error
    );
    assert_eq!(error_kind(&run(5, "GET")), "too_many_redirects");
}

#[test]
fn big_answers_are_cut_off_and_bad_statuses_fail() {
    let app = App::start();
    let url = format!("{}/web/big/5000", app.standin.url);
    let finished = app.run(
        &around("http", json!({"url": url, "max_response_bytes": 4_999})),
        json!({}),
    );
    assert_eq!(error_kind(&finished), "response_too_large");
    let url = format!("{}/web/status/404", app.standin.url);
    let finished = app.run(&around("http", json!({"url": url})), json!({}));
    assert_eq!(error_kind(&finished), "http_status");
    let finished = app.run(
        &around("http", json!({"url": url, "fail_on_status": false})),
        json!({}),
    );
    assert_eq!(finished.outputs["out"]["status"], 404);
}

#[test]
fn spans_carry_the_semantic_conventions() {
    let app = App::start();
    let finished = app.run(
        &ask(&app, "openai/gpt-4o-mini", json!({"api_key": "k-12345"})),
        json!({"q": "a b"}),
    );
    let root = &finished.spans[0];
    assert_eq!(
        (root.name.as_str(), root.parent_span_id),
        ("invoke_workflow test", None)
    );
    assert_eq!(root.cost_pusd, Some(2 * 150_000 + 4 * 600_000));
    assert_eq!(finished.spans.len(), 4);
    assert!(
        finished.spans[1..]
            .iter()
            .all(|span| span.parent_span_id == Some(root.span_id))
    );
    let chat = finished
        .spans
        .iter()
        .find(|span| span.name == "chat gpt-4o-mini")
        .expect("chat span");
    assert_eq!(chat.provider.as_deref(), Some("openai"));
    assert_eq!(chat.attributes["gen_ai.operation.name"], "chat");
    assert_eq!(chat.attributes["gen_ai.usage.input_tokens"], 2);
    assert_eq!(chat.attributes["gen_ai.usage.output_tokens"], 4);
    assert_eq!(
        chat.attributes["gen_ai.response.finish_reasons"],
        json!(["stop"])
    );
    assert_eq!(chat.attributes["nodeai.output"]["text"], "You said: a b");
}

#[test]
fn a_run_taken_up_again_finishes_what_was_lost() {
    let app = App::start();
    let document = ask(&app, "m", json!({}));
    let whole = app.run(&document, json!({"q": "x"}));
    let started = |node: &str, event: &What| matches!(event, What::AttemptStarted { node: of, .. } if of == node);
    let cut = whole
        .log
        .iter()
        .position(|event| started("n", &event.what))
        .expect("started");
    let log = whole.log[..=cut].to_vec();
    let counter = support::Counter(Default::default());
    let ports = app.ports(&counter);
    let never = CancelOn::new(std::future::pending());
    let resumed = nodeai_runner::resume(plan(&document), log, app.options.clone(), &ports, &never);
    let resumed = block_on(resumed).expect("its own log");
    assert_eq!(resumed.outputs, whole.outputs);
    let lost = resumed.log.iter().filter(|event| {
        matches!(&event.what, What::AttemptFinished { result: AttemptResult::Error { error }, .. } if error.kind == "lost")
    });
    assert_eq!(lost.count(), 1);
    assert!(Run::replay(plan(&document), &resumed.log).is_ok());
}
