//! Closed-loop load over kept-alive HTTP/1.1 connections.

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::fmt;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

/// One kind of request.
#[derive(Clone)]
pub struct Case {
    /// What the table calls it.
    pub name: String,
    method: Method,
    path: String,
    kind: &'static str,
    body: Bytes,
}

impl Case {
    /// A GET.
    pub fn get(name: &str, path: &str) -> Self {
        Self {
            name: name.to_owned(),
            method: Method::GET,
            path: path.to_owned(),
            kind: "application/json",
            body: Bytes::new(),
        }
    }

    /// A POST of protobuf.
    pub fn protobuf(path: &str, body: Vec<u8>) -> Self {
        Self {
            method: Method::POST,
            kind: "application/x-protobuf",
            body: body.into(),
            ..Self::get("", path)
        }
    }

    /// A POST of JSON.
    pub fn post(name: &str, path: &str, body: Value) -> Self {
        Self {
            method: Method::POST,
            body: body.to_string().into(),
            ..Self::get(name, path)
        }
    }

    fn request(&self, key: &str) -> Result<Request<Full<Bytes>>> {
        let request = Request::builder()
            .method(self.method.clone())
            .uri(&self.path)
            .header("host", "localhost")
            .header("authorization", format!("Bearer {key}"))
            .header("content-type", self.kind);
        Ok(request.body(Full::new(self.body.clone()))?)
    }
}

/// Latencies of one or more rounds.
#[derive(Default)]
pub struct Measured {
    latencies: Vec<Duration>,
    time: Duration,
}

impl Measured {
    /// Adds a round.
    pub fn add(&mut self, other: Self) {
        self.latencies.extend(other.latencies);
        self.time += other.time;
    }

    /// Adds one request.
    pub fn push(&mut self, latency: Duration) {
        self.latencies.push(latency);
        self.time += latency;
    }

    /// Requests per second.
    pub fn rate(&self) -> f64 {
        self.latencies.len() as f64 / self.time.as_secs_f64()
    }

    /// Requests that were answered.
    pub fn count(&self) -> usize {
        self.latencies.len()
    }

    /// The latency that this part of the requests did not exceed, ms.
    pub fn quantile_ms(&self, q: f64) -> f64 {
        let mut sorted = self.latencies.clone();
        sorted.sort_unstable();
        // Nearest rank: the smallest value with at least q of the values at or below it.
        let rank = (q * sorted.len() as f64).ceil() as usize;
        sorted
            .get(rank.saturating_sub(1))
            .map_or(0.0, |d| d.as_secs_f64() * 1e3)
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.0} | {:.2} | {:.2}",
            self.rate(),
            self.quantile_ms(0.5),
            self.quantile_ms(0.99)
        )
    }
}

/// A connection of its own.
pub async fn connect(address: &str) -> Result<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

/// One request and its answer; gives `server-timing`. Fails unless it was accepted.
pub async fn exchange(
    sender: &mut SendRequest<Full<Bytes>>,
    case: &Case,
    key: &str,
) -> Result<String> {
    Ok(answer(sender, case, key).await?.0)
}

/// As [`exchange`], and the body.
pub async fn answer(
    sender: &mut SendRequest<Full<Bytes>>,
    case: &Case,
    key: &str,
) -> Result<(String, Bytes)> {
    sender.ready().await?;
    let response = sender.send_request(case.request(key)?).await?;
    let status = response.status();
    let timing = response
        .headers()
        .get("server-timing")
        .and_then(|v| v.to_str().ok());
    let timing = timing.unwrap_or_default().to_owned();
    let body = response.into_body().collect().await?.to_bytes();
    ensure!(
        [StatusCode::OK, StatusCode::ACCEPTED].contains(&status),
        "{} answers {status}: {}",
        case.path,
        String::from_utf8_lossy(&body)
    );
    Ok((timing, body))
}

/// One request on a connection of its own; gives the number of statements that the application counted.
pub async fn once(address: &str, key: &str, case: &Case) -> Result<String> {
    let timing = exchange(&mut connect(address).await?, case, key).await?;
    let count = timing
        .split('"')
        .nth(1)
        .and_then(|desc| desc.split(' ').next());
    Ok(count.unwrap_or("0").to_owned())
}

/// Keeps `connections` busy for `length`.
pub async fn run(
    address: &str,
    key: &str,
    case: &Case,
    connections: usize,
    length: Duration,
) -> Result<Measured> {
    let mut tasks = Vec::new();
    let start = Instant::now();
    for _ in 0..connections {
        let (address, key, case) = (address.to_owned(), key.to_owned(), case.clone());
        tasks.push(tokio::spawn(async move {
            let mut sender = connect(&address).await?;
            let mut latencies = Vec::new();
            while start.elapsed() < length {
                let began = Instant::now();
                exchange(&mut sender, &case, &key).await?;
                latencies.push(began.elapsed());
            }
            anyhow::Ok(latencies)
        }));
    }
    let mut measured = Measured::default();
    for task in tasks {
        measured
            .latencies
            .extend(task.await.context("a connection's task")??);
    }
    measured.time = start.elapsed();
    Ok(measured)
}
