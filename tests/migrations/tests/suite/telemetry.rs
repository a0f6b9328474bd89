//! Telemetry: sums by the hour equal a recount of the spans, whatever was retried or folded; payloads; spend by the day.

use migrations_tests::{Database, Session};
use serde_json::{Value, json};

/// 2026-11-24T12:59:59Z: the second half of a batch is in the next hour.
const AT_US: i64 = 1_795_525_199_000_000;

/// What the sums must be, from the spans alone; the difference to what they are.
const DIFFERENCE: &str = "
  WITH recount AS (
    SELECT date_trunc('hour', started_at, 'UTC') AS hour, workflow_id, CASE WHEN measure <> 'run' THEN node_id END AS node_id,
      CASE WHEN measure <> 'run' THEN coalesce(nullif(node_type, ''), measure) END AS node_type,
      CASE WHEN measure = 'model' THEN provider END AS provider, CASE WHEN measure = 'model' THEN model END AS model, user_id,
      count(*) AS calls, count(*) FILTER (WHERE status = 'error') AS errors,
      coalesce(sum(prompt_tokens) FILTER (WHERE measure <> 'run'), 0) AS prompt,
      coalesce(sum(completion_tokens) FILTER (WHERE measure <> 'run'), 0) AS completion,
      coalesce(sum(cache_read_tokens) FILTER (WHERE measure <> 'run'), 0) AS cached,
      coalesce(sum(cache_write_tokens) FILTER (WHERE measure <> 'run'), 0) AS written,
      coalesce(sum(cache_write_1h_tokens) FILTER (WHERE measure <> 'run'), 0) AS written_1h,
      coalesce(sum(reasoning_tokens) FILTER (WHERE measure <> 'run'), 0) AS reasoned,
      coalesce(sum(audio_input_tokens) FILTER (WHERE measure <> 'run'), 0) AS heard,
      coalesce(sum(audio_output_tokens) FILTER (WHERE measure <> 'run'), 0) AS spoken,
      coalesce(sum(image_input_tokens) FILTER (WHERE measure <> 'run'), 0) AS seen,
      coalesce(sum(cost_pusd) FILTER (WHERE measure <> 'run'), 0) AS cost,
      count(*) FILTER (WHERE measure = 'model' AND NOT coalesce(priced, cost_pusd IS NOT NULL)) AS unpriced
    FROM public.spans WHERE measure IS NOT NULL GROUP BY 1, 2, 3, 4, 5, 6, 7
  ), told AS (
    SELECT c.hour, c.workflow_id, c.node_id, c.node_type, c.provider, c.model, c.user_id, sum(c.calls) AS calls,
      sum(c.errors) AS errors, sum(c.prompt_tokens) AS prompt, sum(c.completion_tokens) AS completion,
      sum(c.cache_read_tokens) AS cached, sum(c.cache_write_tokens) AS written, sum(c.cache_write_1h_tokens) AS written_1h,
      sum(c.reasoning_tokens) AS reasoned, sum(c.audio_input_tokens) AS heard, sum(c.audio_output_tokens) AS spoken,
      sum(c.image_input_tokens) AS seen, sum(c.cost_pusd) AS cost, sum(c.unpriced_calls) AS unpriced
    FROM nodeai.usage_cells((nodeai.claims() ->> 'org_id')::uuid, 0, 4102444800000000) c GROUP BY 1, 2, 3, 4, 5, 6, 7
  ), histogram AS (
    SELECT h.i, sum(h.n) AS n
    FROM nodeai.usage_cells((nodeai.claims() ->> 'org_id')::uuid, 0, 4102444800000000) c,
      unnest(c.hist_idx, c.hist_n) AS h(i, n) GROUP BY 1
  ), buckets AS (
    SELECT nodeai.hist_bucket(duration_us) AS i, count(*) AS n FROM public.spans WHERE measure IS NOT NULL GROUP BY 1
  )
  SELECT (SELECT count(*) FROM ((TABLE recount EXCEPT ALL TABLE told) UNION ALL (TABLE told EXCEPT ALL TABLE recount)) d)
       + (SELECT count(*) FROM ((TABLE histogram EXCEPT ALL TABLE buckets) UNION ALL (TABLE buckets EXCEPT ALL TABLE histogram)) d)";

/// The same of the sums by the day, once nothing waits to be folded.
const DIFFERENCE_OF_DAYS: &str = "
  WITH s AS (
    SELECT (started_at AT TIME ZONE 'UTC')::date AS on_day, measure = 'run' AS runs,
      coalesce(workflow_id, '00000000-0000-0000-0000-000000000000') AS of_workflow,
      coalesce(user_id, '00000000-0000-0000-0000-000000000000') AS of_user, p.*
    FROM public.spans p WHERE measure IS NOT NULL
  ), recount AS (
    SELECT on_day, of_workflow, CASE WHEN runs THEN '' ELSE coalesce(node_id, '') END,
      CASE WHEN runs THEN '' ELSE coalesce(nullif(node_type, ''), measure) END,
      CASE WHEN measure = 'model' THEN coalesce(provider, '') ELSE '' END,
      CASE WHEN measure = 'model' THEN coalesce(model, '') ELSE '' END, of_user,
      count(*), count(*) FILTER (WHERE status = 'error'),
      coalesce(sum(prompt_tokens) FILTER (WHERE NOT runs), 0), coalesce(sum(completion_tokens) FILTER (WHERE NOT runs), 0),
      coalesce(sum(cache_read_tokens) FILTER (WHERE NOT runs), 0), coalesce(sum(cache_write_tokens) FILTER (WHERE NOT runs), 0),
      coalesce(sum(cache_write_1h_tokens) FILTER (WHERE NOT runs), 0),
      coalesce(sum(reasoning_tokens) FILTER (WHERE NOT runs), 0),
      coalesce(sum(audio_input_tokens) FILTER (WHERE NOT runs), 0),
      coalesce(sum(audio_output_tokens) FILTER (WHERE NOT runs), 0),
      coalesce(sum(image_input_tokens) FILTER (WHERE NOT runs), 0), coalesce(sum(cost_pusd) FILTER (WHERE NOT runs), 0),
      count(*) FILTER (WHERE measure = 'model' AND NOT coalesce(priced, cost_pusd IS NOT NULL))
    FROM s GROUP BY 1, 2, 3, 4, 5, 6, 7
  ), told AS (
    SELECT u.day, u.workflow_id, u.node_id, u.node_type, u.provider, u.model, u.user_id, u.calls, u.errors, u.prompt_tokens,
      u.completion_tokens, u.cache_read_tokens, u.cache_write_tokens, u.cache_write_1h_tokens, u.reasoning_tokens,
      u.audio_input_tokens, u.audio_output_tokens, u.image_input_tokens, u.cost_pusd, u.unpriced_calls
    FROM public.usage_days u
  ), histogram AS (
    SELECT u.day, h.i, sum(h.n) AS n FROM public.usage_days u, unnest(u.hist_idx, u.hist_n) AS h(i, n) GROUP BY 1, 2
  ), by_none AS (
    SELECT u.day, h.i, sum(h.n) AS n FROM public.usage_day_hists u, unnest(u.hist_idx, u.hist_n) AS h(i, n)
    WHERE u.dim = '' GROUP BY 1, 2
  ), buckets AS (
    SELECT on_day, nodeai.hist_bucket(duration_us) AS i, count(*) AS n FROM s GROUP BY 1, 2
  )
  SELECT (SELECT count(*) FROM ((TABLE recount EXCEPT ALL TABLE told) UNION ALL (TABLE told EXCEPT ALL TABLE recount)) d)
       + (SELECT count(*) FROM ((TABLE histogram EXCEPT ALL TABLE buckets) UNION ALL (TABLE buckets EXCEPT ALL TABLE histogram)) d)
       + (SELECT count(*) FROM ((TABLE by_none EXCEPT ALL TABLE buckets) UNION ALL (TABLE buckets EXCEPT ALL TABLE by_none)) d)";

fn span(number: i64) -> Value {
    let (node_id, node_type, model) = match number % 4 {
        0 => (None, None, None),
        1 => (Some("ask"), Some("llm"), Some("gpt-4o")),
        2 => (Some("find"), Some("retrieval"), None),
        _ => (None, None, Some("claude")),
    };
    json!({"trace_id": format!("{:032x}", number / 8 + 1), "span_id": format!("{:016x}", number + 1),
        "parent_span_id": if number % 8 == 0 { Value::Null } else { json!(format!("{:016x}", number / 8 * 8 + 1)) },
        "name": if number % 8 == 0 { "invoke_workflow w" } else { "step" }, "kind": "internal",
        "status": if number % 5 == 0 { "error" } else { "ok" }, "start_us": AT_US + number * 100_000,
        "duration_us": 1 + number * 977 % 100_000, "node_id": node_id, "node_type": node_type, "model": model,
        "provider": model.map(|_| "p"), "prompt_tokens": model.map(|_| number * 3), "completion_tokens": model.map(|_| number),
        "cache_read_tokens": model.map(|_| number), "cache_write_tokens": model.map(|_| number * 2),
        "cache_write_1h_tokens": model.map(|_| number * 5), "reasoning_tokens": model.map(|_| number * 7),
        "audio_input_tokens": model.map(|_| number * 13), "audio_output_tokens": model.map(|_| number * 17),
        "image_input_tokens": model.map(|_| number * 19), "cost_pusd": if number % 7 == 0 { Value::Null } else { json!(number * 11) }})
}

async fn difference(session: &Session) -> i64 {
    session.count(DIFFERENCE).await
}

#[tokio::test]
async fn the_sums_by_the_hour_equal_a_recount_of_the_spans() {
    let db = Database::fresh().await;
    let session = db.tenant("a").await.session(&db).await;
    let owner = db.owner().await;
    // Every batch overlaps with the one before, as retries do.
    for first in (0..120).step_by(20) {
        let spans: Vec<Value> = (first..first + 35).map(span).collect();
        session.call("spans_flush", json!({"spans": spans})).await;
        if first % 40 == 0 {
            owner
                .batch_execute("SELECT nodeai.fold_usage(7)")
                .await
                .expect("folded");
        }
        assert_eq!(difference(&session).await, 0, "after {first}");
    }
    let kept = "SELECT (nodeai.housekeeping('{}') ->> 'usage_folded')::bigint";
    assert!(
        owner
            .query_one(kept, &[])
            .await
            .expect("a count")
            .get::<_, i64>(0)
            > 0
    );
    assert_eq!(difference(&session).await, 0);
    assert_eq!(
        session
            .count("SELECT count(*) FROM public.usage_deltas")
            .await,
        0
    );
    assert!(
        session
            .count("SELECT count(*) FROM public.usage_hours")
            .await
            > 3
    );
    let stranger = db.tenant("b").await.session(&db).await;
    assert_eq!(
        stranger
            .count("SELECT count(*) FROM public.usage_hours")
            .await,
        0
    );
}

#[tokio::test]
async fn the_sums_by_the_day_equal_a_recount_of_the_spans() {
    let db = Database::fresh().await;
    let session = db.tenant("a").await.session(&db).await;
    let owner = db.owner().await;
    // Two hours before midnight to two after it, some of them sent twice.
    let spread = |number: i64| {
        let mut span = span(number);
        span["start_us"] = json!(AT_US + 9 * 3_600_000_000 + number * 120_000_000);
        span
    };
    for first in (0..120).step_by(20) {
        let spans: Vec<Value> = (first..first + 35).map(spread).collect();
        session.call("spans_flush", json!({"spans": spans})).await;
        let folded = "SELECT nodeai.fold_usage(3)";
        owner.batch_execute(folded).await.expect("folded");
    }
    let all = "SELECT nodeai.fold_usage()";
    owner.batch_execute(all).await.expect("folded");
    let days = "SELECT count(DISTINCT day) FROM public.usage_days";
    assert_eq!(session.count(days).await, 2);
    assert_eq!(session.count(DIFFERENCE_OF_DAYS).await, 0);
    assert_eq!(difference(&session).await, 0);
}

#[tokio::test]
async fn what_is_big_is_stored_aside_and_read_back_whole() {
    let db = Database::fresh().await;
    let session = db.tenant("a").await.session(&db).await;
    let mut big = span(1);
    big["attributes"] = json!({"prompt": "長い".repeat(2_000), "small": 1});
    big["events"] =
        json!([{"name": "e", "at_us": AT_US, "attributes": {"text": "x".repeat(5_000)}}]);
    session
        .call("spans_flush", json!({"spans": [big.clone(), span(2)]}))
        .await;
    let tree = session
        .call("trace_tree", json!({"trace_id": format!("{:032x}", 1)}))
        .await;
    assert_eq!(tree["spans"][0]["attributes"], big["attributes"]);
    assert_eq!(tree["spans"][0]["events"], big["events"]);
    assert_eq!(
        session
            .count("SELECT count(*) FROM public.spans WHERE attributes = '{\"small\": 1}'")
            .await,
        1
    );
    assert_eq!(
        session
            .count("SELECT count(*) FROM public.span_payloads")
            .await,
        1
    );
}

#[tokio::test]
async fn spend_has_a_number_for_every_day() {
    let db = Database::fresh().await;
    let session = db.tenant("a").await.session(&db).await;
    let spans: Vec<Value> = (0..40).map(span).collect();
    session.call("spans_flush", json!({"spans": spans})).await;
    let ask = |by: &str| json!({"from": "2026-11-23", "to": "2026-11-26", "by": by});
    let total = session.call("spend_daily", ask("total")).await;
    let sum = session
        .count("SELECT sum(cost_pusd)::bigint FROM public.spans WHERE measure <> 'run'")
        .await;
    assert_eq!(
        total["series"][0]["pusd"],
        json!(["0", sum.to_string(), "0"])
    );
    let models = session.call("spend_daily", ask("model")).await;
    let keys: Vec<&Value> = models["series"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|s| &s["key"])
        .collect();
    assert_eq!(keys, [&Value::Null, &json!("gpt-4o"), &json!("claude")]);
    let mut one = ask("total");
    one["filter"] = json!({"model": "gpt-4o"});
    let one = session.call("spend_daily", one).await;
    assert_eq!(one["series"][0]["calls"], json!([0, 10, 0]));
    let none = session
        .call(
            "spend_daily",
            json!({"from": "2020-01-01", "to": "2020-01-03", "by": "total"}),
        )
        .await;
    assert_eq!(none["series"][0]["pusd"], json!(["0", "0"]));
    assert!(
        session
            .try_call(
                "spend_daily",
                json!({"from": "2026-11-26", "to": "2026-11-26"})
            )
            .await
            .is_err()
    );
}
