//! The fixtures on 127.0.0.1: prints its address and serves until it is killed.

use bytes::Bytes;
use futures::StreamExt;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use mcp_conformance::fixtures::Fixtures;
use nodeai_mcp::server::{Answer, Nowhere, Played, Received, Rules, answer, receive, stage};
use serde_json::Value;
use std::convert::Infallible;
use tokio::net::TcpListener;
use tokio::task::{LocalSet, spawn_local};

type Body = UnsyncBoxBody<Bytes, Infallible>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("http://{}/mcp", listener.local_addr()?);
    let fixtures = Fixtures::default();
    LocalSet::new()
        .run_until(async move {
            loop {
                let (stream, _) = listener.accept().await?;
                let fixtures = fixtures.clone();
                spawn_local(async move {
                    let service = service_fn(move |request| serve(fixtures.clone(), request));
                    let http = hyper::server::conn::http1::Builder::new();
                    // Who breaks off hears nothing more.
                    let _ = http.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        })
        .await
}

async fn serve(
    fixtures: Fixtures,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let (parts, body) = request.into_parts();
    let body = body
        .collect()
        .await
        .map(|body| body.to_bytes())
        .unwrap_or_default();
    let received = receive(&parts.method, &parts.headers, &body, &Rules::default());
    Ok(match received {
        Received::Answer(answer) => plain(&answer),
        Received::Batch(all) => {
            let mut answers = Vec::new();
            for request in all {
                answers.push(match request {
                    Ok(request) => answer(&fixtures, &request, &Nowhere)
                        .await
                        .body
                        .unwrap_or_default(),
                    Err(refusal) => refusal,
                });
            }
            plain(&Answer {
                body: Some(Value::Array(answers)),
                status: 200,
                allow: None,
            })
        }
        Received::One(request) => {
            let (actor, mut played) = stage();
            spawn_local(async move {
                let answered = answer(&fixtures, &request, &actor).await;
                actor.finish(answered);
            });
            match played.next().await {
                Some(Played::Answer(answer)) => plain(&answer),
                Some(first) => {
                    let all = futures::stream::once(async move { first }).chain(played);
                    let frames = all.map(|one| Ok(Frame::data(one.event())));
                    let mut response = Response::new(StreamBody::new(frames).boxed_unsync());
                    let media = HeaderValue::from_static("text/event-stream");
                    response.headers_mut().insert(header::CONTENT_TYPE, media);
                    response
                }
                None => plain(&Answer::accepted()),
            }
        }
    })
}

fn plain(answer: &Answer) -> Response<Body> {
    let text = answer
        .body
        .as_ref()
        .map(Value::to_string)
        .unwrap_or_default();
    let mut response = Response::new(Full::new(Bytes::from(text)).boxed_unsync());
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    if answer.body.is_some() {
        let media = HeaderValue::from_static("application/json");
        response.headers_mut().insert(header::CONTENT_TYPE, media);
    }
    if let Some(allow) = answer.allow {
        response
            .headers_mut()
            .insert(header::ALLOW, HeaderValue::from_static(allow));
    }
    response
}
