//! Finding out that everything answers, and telling so: the ready file and the banner.
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use bytes::Bytes;
use http::StatusCode;
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::json;

use crate::bootstrap::LocalKey;
use crate::log;
use crate::project::write_secret;

/// What must answer 200.
const CHECKS: [&str; 2] = ["/healthz", "/readyz"];
/// After this a start that does not answer is spoken of; it is still waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// The URL that a listening address is reached under from here.
pub fn local_url(address: SocketAddr) -> String {
    let host = match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => "127.0.0.1".to_owned(),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => "[::1]".to_owned(),
        SocketAddr::V4(v4) => v4.ip().to_string(),
        SocketAddr::V6(v6) => format!("[{}]", v6.ip()),
    };
    format!("http://{host}:{}", address.port())
}

/// Waits until the application answers through the whole stack.
pub async fn wait(url: &str) {
    let client: Client<HttpConnector, Empty<Bytes>> =
        Client::builder(TokioExecutor::new()).build_http();
    let (since, mut told) = (Instant::now(), false);
    let mut pause = Duration::from_millis(10);
    for path in CHECKS {
        loop {
            let outcome = ask(&client, &format!("{url}{path}")).await;
            if matches!(outcome, Ok((StatusCode::OK, _))) {
                break;
            }
            if !told && since.elapsed() > PATIENCE {
                told = true;
                log::warn(&format!(
                    "the application is served but not ready: GET {path} {}",
                    tell(&outcome)
                ));
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(1));
        }
    }
}

async fn ask(
    client: &Client<HttpConnector, Empty<Bytes>>,
    url: &str,
) -> Result<(StatusCode, String)> {
    let response = client.get(url.parse()?).await?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}

fn tell(outcome: &Result<(StatusCode, String)>) -> String {
    match outcome {
        Ok((status, body)) => format!("answers {status}: {}", body.trim()),
        Err(error) => format!("fails: {error:#}"),
    }
}

/// Writes the ready file, in one step.
///
/// # Errors
/// When it cannot be written.
pub fn write_file(path: &Path, url: &str, local: Option<&LocalKey>) -> Result<()> {
    let text = json!({
        "url": url,
        "api_key": local.map(|local| &local.api_key),
        "user_id": local.map(|local| local.user_id),
        "org_id": local.map(|local| local.org_id),
    });
    write_secret(path, &text.to_string())
}

/// The first run: needs no account, and gives a trace.
const FIRST_RUN: &str = r#"{"definition":{"nodes":[{"id":"in","type":"input","position":{"x":0,"y":0},"data":{}},{"id":"say","type":"llm","position":{"x":200,"y":0},"data":{"model":"builtin/echo","prompt":"Hello, {{ inputs.name }}!"}},{"id":"out","type":"output","position":{"x":400,"y":0},"data":{"value":"{{ nodes.say.output.text }}"}}],"edges":[{"id":"a","source":"in","target":"say"},{"id":"b","source":"say","target":"out"}]},"inputs":{"name":"world"}}"#;

/// What a person sees when everything answers.
pub fn banner(url: &str, local: Option<&LocalKey>, since: Instant) -> String {
    let key = local.map_or("<your API key>", |local| local.api_key.as_str());
    format!(
        "\n  NodeAI is up after {:.1} s\n\n  URL      {url}\n  API key  {key}\n\n  A first run:\n\n  curl -s {url}/api/v1/workflows/execute \\\n    -H 'Authorization: Bearer {key}' -H 'Content-Type: application/json' \\\n    -d '{FIRST_RUN}'\n",
        since.elapsed().as_secs_f64()
    )
}
