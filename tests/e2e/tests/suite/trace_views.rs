//! Searching traces, their views, comparison, scores and export.

use super::app;
use super::otlp::{chat, new_trace, send, span};
use e2e::{assert_problem, assert_status};
use serde_json::{Value, json};

fn found(reply: &e2e::Reply) -> Vec<String> {
    assert_status(reply, 200);
    let data = reply.json["data"].as_array().unwrap();
    data.iter()
        .map(|t| t["trace_id"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_search_finds_what_its_terms_say() {
    let me = app().tenant();
    let (paid, free) = (new_trace(), new_trace());
    send(
        &me,
        &[
            span(&paid, 1, None, json!({"session.id": "s 1"})),
            span(&paid, 2, Some(1), chat()),
        ],
    );
    send(
        &me,
        &[span(
            &free,
            1,
            None,
            json!({"user.id": "bob", "nodeai.tags": "t"}),
        )],
    );
    let search = |q: &str| {
        let q: String = url::form_urlencoded::byte_serialize(q.as_bytes()).collect();
        found(&me.get(&format!("/api/v1/traces?q={q}")))
    };
    for q in [
        "model:gpt-4o-mini",
        "cost>0.0001",
        "session:\"s 1\"",
        "日本",
        "attr.my.own=日本語",
        "kind:ingest tokens>=1100",
    ] {
        assert_eq!(search(q), [paid.clone()], "{q}");
    }
    for q in ["user:bob", "kind:ingest -model:gpt-4o-mini", "tag:t"] {
        assert_eq!(search(q), [free.clone()], "{q}");
    }
    assert_eq!(search("kind:ingest attr.service.name=shop").len(), 2);
    assert_eq!(search("status:error"), Vec::<String>::new());
    assert!(found(&app().tenant().get("/api/v1/traces?q=model:gpt-4o-mini")).is_empty());
}

#[test]
fn attributes_are_found_however_they_came() {
    let me = app().tenant();
    let (trace, many) = (new_trace(), new_trace());
    let long = "x".repeat(250);
    let first = json!({"part": "one", "n": 5, "plain": "007", "share": "0.50", "list": "[1]", "long": long});
    send(&me, &[span(&trace, 1, None, first)]);
    // A later batch of the same trace, and a trace of more attributes than are kept beside it.
    send(
        &me,
        &[span(
            &trace,
            2,
            Some(1),
            json!({"part": "two", "big": i64::MAX}),
        )],
    );
    let spans = |from: u8| -> Vec<Value> {
        (from..from + 150)
            .map(|i| {
                span(
                    &many,
                    i,
                    None,
                    json!({"id": format!("i{i}"), "more": format!("m{i}")}),
                )
            })
            .collect()
    };
    send(&me, &spans(1));
    let search = |q: &str| {
        let q: String = url::form_urlencoded::byte_serialize(q.as_bytes()).collect();
        found(&me.get(&format!("/api/v1/traces?q={q}")))
    };
    for q in [
        "attr.part=one".to_owned(),
        "attr.part=two".to_owned(),
        "attr.part=none,two attr.n=5".to_owned(),
        "attr.plain=007".to_owned(),
        "attr.share=0.50".to_owned(),
        "attr.list=[1]".to_owned(),
        format!("attr.long={long}"),
        format!("attr.big={}", i64::MAX),
        "kind:ingest -attr.id=i7".to_owned(),
    ] {
        assert_eq!(search(&q), [trace.clone()], "{q}");
    }
    for q in ["attr.id=i150", "attr.more=m1", "kind:ingest -attr.part=one"] {
        assert_eq!(search(q), [many.clone()], "{q}");
    }
    for q in [
        "attr.part=five",
        "attr.n=6",
        "attr.plain=7",
        "attr.share=0.5",
    ] {
        assert_eq!(search(q), Vec::<String>::new(), "{q}");
    }
}

#[test]
fn text_is_found_in_messages_that_were_sent_as_json() {
    let me = app().tenant();
    let trace = new_trace();
    // As OpenLLMetry sends messages: JSON in a text, with all that is not ASCII as escapes.
    let messages = r#"[{"role": "assistant", "parts": [{"content": "\u3053\u3093\u306b\u3061\u306f \"q\"\n\ud83d\ude00", "type": "text"}]}]"#;
    let mut call = chat();
    call["gen_ai.output.messages"] = json!(messages);
    send(&me, &[span(&trace, 1, None, call)]);
    let search = |q: &str| {
        let q: String = url::form_urlencoded::byte_serialize(q.as_bytes()).collect();
        found(&me.get(&format!("/api/v1/traces?q={q}")))
    };
    for q in [
        "こん",
        "kind:ingest にちは",
        r#""は \"q""#,
        "😀",
        "assistant",
    ] {
        assert_eq!(search(q), [trace.clone()], "{q}");
    }
    for q in ["kind:ingest んこ", "kind:ingest -こん", "kind:ingest 😁"] {
        assert_eq!(search(q), Vec::<String>::new(), "{q}");
    }
}

#[test]
fn the_tail_tells_every_trace_that_is_stored_once_whenever_it_began() {
    let me = app().tenant();
    let ingest = |traces: &[String], hours_ago: u64| {
        let early = |trace: &String| {
            let mut span = span(trace, 1, None, json!({}));
            let ns = |at: &Value| at.as_str().unwrap().parse::<u64>().unwrap();
            for at in ["startTimeUnixNano", "endTimeUnixNano"] {
                span[at] = json!((ns(&span[at]) - hours_ago * 3_600_000_000_000).to_string());
            }
            span
        };
        let spans: Vec<Value> = traces.iter().map(early).collect();
        assert_status(&send(&me, &spans), 200);
    };
    let new = |count: usize| -> Vec<String> { (0..count).map(|_| new_trace()).collect() };
    ingest(&new(1), 0);
    let tail = me.listen("/api/v1/traces/tail?kind=ingest");
    let mut tail = tail.map(|(name, trace)| {
        assert_eq!(name, "trace");
        trace["trace_id"].as_str().unwrap().to_owned()
    });
    // What began long before it was stored, and more than fit into one page.
    let (early, many) = (new(1), new(450));
    ingest(&early, 30);
    assert_eq!(tail.next(), Some(early[0].clone()));
    ingest(&early, 29);
    ingest(&many, 2);
    let mut told: Vec<String> = tail.by_ref().take(many.len()).collect();
    told.sort();
    let mut want = many;
    want.sort();
    assert_eq!(told, want, "each once, and none that was there before");
}

#[test]
fn a_search_that_is_none_says_where_it_is_wrong() {
    let me = app().tenant();
    let reply = me.get("/api/v1/traces?q=kind:ingest%20modle:x");
    assert_problem(&reply, 400, "invalid-input");
    assert_eq!(reply.json["errors"][0]["parameter"], "q");
    let detail = reply.json["errors"][0]["detail"].as_str().unwrap();
    assert!(detail.starts_with("column 13"), "{detail}");
}

#[test]
fn pages_of_a_search_have_every_trace_once() {
    let me = app().tenant();
    let mut want: Vec<String> = (0..7).map(|_| new_trace()).collect();
    for trace in &want {
        send(&me, &[span(trace, 1, None, json!({}))]);
    }
    let mut got = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = me.get(&format!("/api/v1/traces?q=kind:ingest&limit=3{cursor}"));
        got.extend(found(&page));
        match page.json["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    want.sort();
    got.sort();
    assert_eq!(got, want);
}

#[test]
fn a_trace_has_its_views_and_goes_out_as_it_came_in() {
    let me = app().tenant();
    let trace = new_trace();
    send(
        &me,
        &[
            span(&trace, 1, None, json!({})),
            span(&trace, 2, Some(1), chat()),
        ],
    );
    let waterfall = me.get(&format!("/api/v1/traces/{trace}/waterfall"));
    assert_eq!(waterfall.json["rows"].as_array().unwrap().len(), 2);
    assert_eq!(waterfall.json["rows"][1]["depth"], 1);
    let graph = me.get(&format!("/api/v1/traces/{trace}/graph"));
    assert_eq!(graph.json["edges"][0]["kind"], "child");
    let same = me.get(&format!("/api/v1/traces/diff?a={trace}&b={trace}"));
    assert!(
        same.json["steps"]
            .as_array()
            .unwrap()
            .iter()
            .all(|step| step["changed"] == json!([]))
    );
    let document = me.get(&format!("/api/v1/traces/{trace}/export"));
    let other = app().tenant();
    assert_status(&other.post("/v1/traces", &document.json), 200);
    let attributes = |me: &e2e::Tenant| {
        me.get(&format!("/api/v1/traces/{trace}")).json["spans"][0]["children"][0]["attributes"]["my.own"].clone()
    };
    assert_eq!(attributes(&other), attributes(&me));
    let lines = me.get("/api/v1/traces/export?q=kind:ingest");
    let last: Value = serde_json::from_str(lines.text.lines().last().unwrap()).unwrap();
    assert_eq!(last["end"], true);
    assert_eq!(lines.text.lines().count(), 2);
    assert_problem(
        &me.get(&format!(
            "/api/v1/traces/diff?a={trace}&b={}",
            "f".repeat(32)
        )),
        404,
        "not-found",
    );
}

#[test]
fn scores_are_written_changed_and_removed() {
    let me = app().tenant();
    let trace = new_trace();
    send(&me, &[span(&trace, 1, None, json!({}))]);
    let scores = format!("/api/v1/traces/{trace}/scores");
    let made = me.post(
        &scores,
        &json!({"name": "helpful", "source": "judge", "score": 0.5, "comment": "良い"}),
    );
    assert_status(&made, 201);
    let one = format!("{scores}/{}", made.json["id"].as_str().unwrap());
    let changed = me.patch_with(
        &one,
        &[("if-match", made.header("etag"))],
        &json!({"score": 1.0}),
    );
    assert_status(&changed, 200);
    let stale = me.patch_with(
        &one,
        &[("if-match", made.header("etag"))],
        &json!({"score": 0.0}),
    );
    assert_problem(&stale, 412, "stale-version");
    let list = me.get(&scores);
    assert_eq!(list.json["data"][0]["score"], 1.0);
    assert_eq!(list.json["data"][0]["comment"], "良い");
    assert_problem(
        &me.post(&scores, &json!({"name": "empty"})),
        400,
        "invalid-input",
    );
    assert_status(&me.delete(&one), 204);
    assert_eq!(me.get(&scores).json["data"], json!([]));
}
