//! The queue's ticker: asks the application to work on queued runs that are due. Elsewhere a schedule does (see deploy/).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::sync::Semaphore;

use crate::log;

/// Time between two looks. One that finds nothing costs a statement.
const EVERY: Duration = Duration::from_secs(1);
/// Looks that may be at work at the same time: one that found work stays with it.
const MOST: usize = 4;
/// Where the application drains.
const PATH: &str = "/api/v1/workflows/execute/drain";

/// Asks once a second, as the operator's schedule (`token`).
pub async fn run(url: String, token: String) {
    let client: Client<HttpConnector, Full<Bytes>> =
        Client::builder(TokioExecutor::new()).build_http();
    let places = Arc::new(Semaphore::new(MOST));
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Ok(place) = places.clone().try_acquire_owned() else {
            continue;
        };
        let (client, url, token) = (client.clone(), url.clone(), token.clone());
        tokio::spawn(async move {
            let _place = place;
            // The application says in its own log what went wrong; the next look tries again.
            if let Err(error) = look(&client, &url, &token).await {
                log::info(&format!("the queue was not looked at: {error:#}"));
            }
        });
    }
}

async fn look(
    client: &Client<HttpConnector, Full<Bytes>>,
    url: &str,
    token: &str,
) -> anyhow::Result<()> {
    let request = http::Request::post(format!("{url}{PATH}"))
        .header(AUTHORIZATION, format!("Bearer {token}"))
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from_static(b"{}")))?;
    client.request(request).await?.into_body().collect().await?;
    Ok(())
}
