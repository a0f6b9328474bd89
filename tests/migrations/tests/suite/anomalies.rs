//! Anomalies of alert rules: the same statistic as the forecasts', by day and by hour of the week, and own prices.

use migrations_tests::{Database, id};
use nodeai_forecast::anomaly::anomalies;
use serde_json::{Value, json};

/// Days of weeks with quiet ends, with noise that differs from seed to seed; the last one is what it is.
fn days(seed: u64, last: f64) -> Vec<f64> {
    let week = [10.0, 11.0, 10.5, 10.0, 9.5, 4.0, 3.0];
    let mut state = seed;
    let mut noise = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) as f64 / f64::from(u32::MAX >> 1) - 0.5
    };
    let mut days: Vec<f64> = (0..57).map(|d| week[d % 7] + noise()).collect();
    days[56] = last;
    days
}

#[tokio::test]
async fn the_rules_statistic_is_the_forecasts() {
    let db = Database::fresh().await;
    let owner = db.owner().await;
    for seed in 0..40 {
        let y = days(seed, (seed * 3 % 40) as f64);
        let row = owner
            .query_one("SELECT expected, z FROM nodeai.seasonal_z($1, 7)", &[&y])
            .await
            .expect("a row");
        let (expected, z): (f64, f64) = (row.get(0), row.get(1));
        // Every day is one at this threshold, so the last one is told.
        let found = anomalies(&y, 56, 0.0);
        let theirs = found.last().expect("the last day");
        assert!((expected - theirs.expected).abs() < 1e-9, "seed {seed}");
        assert!((z - theirs.z).abs() < 1e-9, "seed {seed}: {z} {}", theirs.z);
    }
    let nothing: Vec<f64> = vec![0.0; 57];
    let row = owner
        .query_one("SELECT z FROM nodeai.seasonal_z($1, 7)", &[&nothing])
        .await
        .expect("a row");
    assert_eq!(row.get::<_, Option<f64>>(0), None);
}

/// When the rule is asked: at noon, so that the last whole hour is none of the last whole day, whatever the time is now.
const NOON: &str = "date_trunc('day', now(), 'UTC') + interval '12 hours 30 minutes'";

/// Calls of each of the 1,400 hours before noon: as many as the hour of the day says, and `more` in the last one.
const HOURS: &str = "
    INSERT INTO public.usage_hours SELECT '$ORG', h, nil, '', 'llm', 'p', 'm', nil,
      10 + extract(hour FROM h AT TIME ZONE 'UTC')::integer + CASE WHEN i = 1 THEN $MORE ELSE 0 END,
      0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, '{1}', '{1}'
    FROM generate_series(1, 1400) AS g(i), LATERAL (SELECT date_trunc('hour', $NOON) - i * interval '1 hour' AS h,
      '00000000-0000-0000-0000-000000000000'::uuid AS nil) x";

#[tokio::test]
async fn an_hour_that_is_like_its_hour_of_the_week_is_none() {
    let db = Database::fresh().await;
    let owner = db.owner().await;
    for (more, fires) in [("0", false), ("200", true)] {
        let tenant = db.tenant(&format!("a{more}")).await;
        let rows = HOURS.replace("$ORG", &tenant.org);
        let rows = rows.replace("$MORE", more).replace("$NOON", NOON);
        owner.batch_execute(&rows).await.expect("rows");
        let session = tenant.session(&db).await;
        let asked = |org: String, every: &'static str| {
            let condition = json!({"measure": "calls", "threshold": 4.0, "every": every});
            let sql = format!("SELECT nodeai.rule_fires($1::text::uuid, 'anomaly', $2, {NOON})");
            let client = session.client();
            async move {
                let row = client.query_one(&sql, &[&org, &condition]).await;
                row.expect("an answer").get::<_, Value>(0)
            }
        };
        let hour = asked(tenant.org.clone(), "hour").await;
        assert_eq!(hour["firing"], fires, "{hour}");
        assert_eq!(asked(tenant.org.clone(), "day").await["value"], 0.0);
        let unknown = asked(id(), "hour").await;
        assert_eq!(unknown["firing"], false, "{unknown}");
        assert!(unknown["reason"].is_string());
    }
}

#[tokio::test]
async fn spans_are_stored_only_at_the_prices_that_count() {
    let db = Database::fresh().await;
    let (tenant, other) = (db.tenant("a").await, db.tenant("b").await);
    let own = format!(
        "INSERT INTO public.model_overrides (id, org_id, model, entry) VALUES (gen_random_uuid(), '{}', 'p/m',
           '{{\"basis_points\": 9000}}')",
        tenant.org
    );
    db.owner().await.batch_execute(&own).await.expect("a price");
    let span = json!({"trace_id": "a".repeat(32), "span_id": "b".repeat(16), "name": "s",
        "start_us": 1_795_514_400_000_000_i64, "duration_us": 1, "trace_kind": "ingest"});
    let session = tenant.session(&db).await;
    let ask = |mark: Value| json!({"spans": [span], "prices": mark});
    let told = session.call("spans_ingest", ask(json!(""))).await;
    let (mark, rows) = (&told["prices"]["mark"], &told["prices"]["rows"]);
    assert_eq!(rows[0]["basis_points"], 9_000, "{told}");
    assert_eq!(told["inserted"], Value::Null);
    let stored = session.call("spans_ingest", ask(mark.clone())).await;
    assert_eq!(stored["inserted"], 1, "{stored}");
    let theirs = other.session(&db).await;
    let stored = theirs.call("spans_ingest", ask(json!(""))).await;
    assert_eq!(stored["inserted"], 1, "{stored}");
}

#[tokio::test]
async fn an_export_of_ones_own_has_what_was_too_big_for_its_span() {
    let db = Database::fresh().await;
    let own = "SELECT nodeai.export_own('span_payloads')";
    let row = db.owner().await.query_one(own, &[]).await.expect("a rule");
    let rule: String = row.get(0);
    assert!(rule.contains("x.user_id = $2"), "{rule}");
}
