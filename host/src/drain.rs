//! The queue's ticker: asks the application to work on queued runs that are due. Elsewhere a schedule does (see deploy/).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

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
    let at_work = Arc::new(AtomicUsize::new(0));
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if at_work.load(Ordering::Relaxed) >= MOST {
            continue;
        }
        let place = Place::take(at_work.clone());
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

struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(at_work: Arc<AtomicUsize>) -> Self {
        at_work.fetch_add(1, Ordering::Relaxed);
        Self(at_work)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
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
