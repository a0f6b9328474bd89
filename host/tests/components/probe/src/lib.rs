//! A component for the host's tests: each path does one thing that the host must cope with.
use std::time::Duration;

use anyhow::{Context, Result};
use futures::{SinkExt, StreamExt};
use spin_sdk::http::{FullBody, Request, Response, body, body::IncomingBodyExt, box_body};
use spin_sdk::pg::{Connection, ParameterValue, Row};
use spin_sdk::{http_service, key_value, time, variables};

type Answer = Response<spin_sdk::http::BoxBody>;

#[http_service]
async fn handle(request: Request) -> Answer {
    route(request).await.unwrap_or_else(|error| text(500, format!("{error:#}")))
}

async fn route(request: Request) -> Result<Answer> {
    let path = request.uri().path().to_owned();
    let query = request.uri().query().unwrap_or_default().to_owned();
    let path = path.strip_prefix("/inner").unwrap_or(&path);
    Ok(match path {
        "/healthz" | "/readyz" => text(200, "ok".to_owned()),
        "/headers" => text(200, headers(&request)),
        "/query" => query_rows(request).await?,
        "/fail-stream" => fail_stream().await?,
        "/types" => types().await?,
        "/claim" => claim(&query).await?,
        "/who" => who().await?,
        "/begin" => begin().await?,
        "/spin" => spin(),
        "/leak" => leak(),
        "/trap" => panic!("on purpose"),
        "/wait" => wait(&query).await,
        "/stream" => stream(&query),
        "/stream-trap" => stream_trap(),
        "/echo" => echo(request),
        "/kv" => kv(request, &query).await?,
        "/var" => text(200, variables::get(&query).await.map_err(|error| anyhow::anyhow!("{error:?}"))?),
        "/fetch" => fetch(&query).await,
        "/spans" => spans(),
        _ => text(404, "no such path".to_owned()),
    })
}

fn text(status: u16, text: String) -> Answer {
    Response::builder()
        .status(status)
        .header("content-length", text.len())
        .body(box_body(FullBody::new(bytes::Bytes::from(text))))
        .expect("a valid response")
}

fn headers(request: &Request) -> String {
    let spin = request.headers().iter().filter(|(name, _)| name.as_str().starts_with("spin-"));
    spin.map(|(name, value)| format!("{name}={}\n", value.to_str().unwrap_or("?"))).collect()
}

async fn connect() -> Result<Connection> {
    let url = variables::get("database_url").await.map_err(|error| anyhow::anyhow!("{error:?}"))?;
    Ok(Connection::open(url).await?)
}

/// Runs the statement in the body; answers with its rows, one a line.
async fn query_rows(request: Request) -> Result<Answer> {
    let sql = String::from_utf8(request.into_body().bytes().await?.to_vec())?;
    let result = connect().await?.query(sql, &[]).await?;
    let width = result.columns().len();
    let rows = result.collect().await?;
    Ok(text(200, rows.iter().map(|row| show(row, width) + "\n").collect()))
}

fn show(row: &Row, width: usize) -> String {
    (0..width).map(|index| format!("{:?}", row[index])).collect::<Vec<_>>().join(", ")
}

async fn types() -> Result<Answer> {
    use ParameterValue as P;
    let db = connect().await?;
    let sql = "SELECT $1::bool, $2::int2, $3::int4, $4::int8, $5::float4, $6::float8, $7::text, $8::bytea, $9::date, \
        $10::time, $11::timestamp, $12::timestamptz, $13::uuid, $14::jsonb, $15::numeric, $16::int4[], $17::int8[], \
        $18::numeric[], $19::text[], $20::interval, $21::text, $22::int4range, $23::numrange, point(1, 2)";
    let parameters = [
        P::Boolean(true),
        P::Int16(2),
        P::Int32(3),
        P::Int64(4),
        P::Floating32(5.5),
        P::Floating64(6.5),
        P::Str("sieben".into()),
        P::Binary(vec![8]),
        P::Date((2024, 2, 29)),
        P::Time((1, 2, 3, 4000)),
        P::Datetime((2024, 2, 29, 1, 2, 3, 4000)),
        P::Timestamp(1_700_000_000),
        P::Uuid("0190a0a0-0000-7000-8000-000000000000".into()),
        P::Jsonb(br#"{"a":[1,2]}"#.to_vec()),
        P::Decimal("12.3400".into()),
        P::ArrayInt32(vec![Some(1), None]),
        P::ArrayInt64(vec![Some(2)]),
        P::ArrayDecimal(vec![Some("1.5".into())]),
        P::ArrayStr(vec![Some("x".into()), None]),
        P::Interval(spin_sdk::pg::Interval { micros: 1, days: 2, months: 3 }),
        P::DbNull,
        P::RangeInt32((Some((1, spin_sdk::pg::RangeBoundKind::Inclusive)), None)),
        P::RangeDecimal((None, Some(("2.5".into(), spin_sdk::pg::RangeBoundKind::Exclusive)))),
    ];
    let result = db.query(sql, &parameters).await?;
    let columns: String = result.columns().iter().map(|column| format!("{:?} ", column.data_type)).collect();
    let rows = result.collect().await?;
    Ok(text(200, format!("{columns}\n{}", show(&rows[0], 24))))
}

/// An error that comes only after rows.
async fn fail_stream() -> Result<Answer> {
    let db = connect().await?;
    let result = db.query("SELECT 10 / (5 - n) FROM generate_series(1, 9) n", &[]).await?;
    Ok(text(200, format!("{:?}", result.collect().await.map(|rows| rows.len()))))
}

/// Sets what admission sets, and holds the connection only for this request.
async fn claim(claims: &str) -> Result<Answer> {
    let sql = "SELECT set_config('request.jwt.claims', $1, false), set_config('role', 'probe_reader', false)";
    connect().await?.query(sql, &[claims.to_owned().into()]).await?.collect().await?;
    Ok(text(200, "set".to_owned()))
}

async fn who() -> Result<Answer> {
    let sql = "SELECT current_user::text, coalesce(current_setting('request.jwt.claims', true), ''), \
        to_regclass('pg_temp.left_behind') IS NOT NULL";
    let rows = connect().await?.query(sql, &[]).await?.collect().await?;
    Ok(text(200, show(&rows[0], 3)))
}

/// Leaves a transaction open.
async fn begin() -> Result<Answer> {
    let db = connect().await?;
    db.execute("BEGIN", &[]).await?;
    db.execute("CREATE TEMP TABLE left_behind (a int)", &[]).await?;
    Ok(text(200, "begun".to_owned()))
}

fn spin() -> Answer {
    let mut number = 0u64;
    loop {
        number = std::hint::black_box(number.wrapping_add(1));
    }
}

fn leak() -> Answer {
    let mut all = Vec::new();
    loop {
        all.push(std::hint::black_box(vec![1u8; 1 << 20]));
    }
}

async fn wait(milliseconds: &str) -> Answer {
    time::sleep(Duration::from_millis(milliseconds.parse().unwrap_or(1000))).await;
    text(200, "waited".to_owned())
}

/// Sends `n` numbered events, 20 ms apart; says on stderr how it ended.
fn stream(n: &str) -> Answer {
    let n: u64 = n.parse().unwrap_or(u64::MAX);
    let (mut sender, body) = body::stream::<String>();
    spin_sdk::wasip3::spawn(async move {
        for number in 0..n {
            if sender.send(format!("data: {number}\n\n")).await.is_err() {
                eprintln!("writer closed after {number}");
                return;
            }
            time::sleep(Duration::from_millis(20)).await;
        }
        eprintln!("stream done");
    });
    Response::builder().header("content-type", "text/event-stream").body(box_body(body)).expect("a valid response")
}

fn stream_trap() -> Answer {
    let (mut sender, body) = body::stream::<String>();
    spin_sdk::wasip3::spawn(async move {
        let _ = sender.send("data: first\n\n".to_owned()).await;
        time::sleep(Duration::from_millis(50)).await;
        panic!("on purpose");
    });
    Response::new(box_body(body))
}

fn echo(request: Request) -> Answer {
    let mut incoming = request.into_body().stream();
    let (mut sender, body) = body::stream::<bytes::Bytes>();
    spin_sdk::wasip3::spawn(async move {
        while let Some(Ok(piece)) = incoming.next().await {
            if sender.send(piece).await.is_err() {
                return;
            }
        }
    });
    Response::new(box_body(body))
}

async fn kv(request: Request, key: &str) -> Result<Answer> {
    let label = if key == "denied" { "other" } else { "default" };
    let store = key_value::Store::open(label).await.map_err(|error| anyhow::anyhow!("{error:?}"))?;
    if request.method() == "PUT" {
        let value = request.into_body().bytes().await?;
        store.set(key, value).await?;
        let keys = store.get_keys().await.collect().await?;
        return Ok(text(200, format!("{keys:?}")));
    }
    let value = store.get(key).await?.context("nothing there")?;
    Ok(text(200, String::from_utf8(value)?))
}

async fn fetch(url: &str) -> Answer {
    match spin_sdk::http::get(url).await {
        Ok(response) => {
            let status = response.status().as_u16();
            let body = response.into_body().bytes().await.map(|body| String::from_utf8_lossy(&body).into_owned());
            text(200, format!("{status} {body:?}"))
        }
        Err(error) => text(502, format!("{error:?}")),
    }
}

fn spans() -> Answer {
    eprintln!("nodeai-spans: {}", r#"{"resourceSpans":[]}"#);
    text(200, "said".to_owned())
}
