//! Asking the component that runs workflows to take a run up at once. What it does not take up, or cannot be asked for, the
//! operator's schedule finds in the queue.

use bytes::Bytes;
use futures::StreamExt;
use futures::future::LocalBoxFuture;
use http::header;
use http_body_util::BodyDataStream;
use nodeai_app::Cx;
use nodeai_app::errors::log;
use nodeai_edge::http_client;

/// Where it is for the application's own components, by service chaining; nobody's URL leads there.
const EXECUTE: &str = "http://execute.spin.internal/api/v1/workflows/execute";

/// Has a run taken up. Ends when the run has ended or rests, or when nobody could be asked.
pub fn asking(cx: &Cx, execution_id: &str) -> LocalBoxFuture<'static, ()> {
    let (env, execution_id) = (cx.env().clone(), execution_id.to_owned());
    Box::pin(async move {
        if let Some(token) = env.get("nodeai_drain_token").await
            && let Err(error) = ask(&execution_id, &token).await
        {
            log("hooks", &error);
        }
    })
}

async fn ask(execution_id: &str, token: &str) -> Result<(), String> {
    let request = http::Request::post(format!("{EXECUTE}/{execution_id}/drain"))
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .header(header::CONTENT_TYPE, "application/json")
        .body(Bytes::from_static(b"{}"));
    let request = request.map_err(|error| error.to_string())?;
    let answer = http_client::send(request).await;
    let (parts, body) = answer.map_err(|error| error.to_string())?.into_parts();
    // It ends with the run, or with the run's slice.
    let mut chunks = BodyDataStream::new(body);
    while let Some(Ok(_)) = chunks.next().await {}
    match parts.status.as_u16() {
        // Somebody else has taken it up already.
        200 | 404 => Ok(()),
        status => Err(format!("the run was not taken up: {status}")),
    }
}
