//! The host as [`nodeai_ports::Env`].

use crate::{http_client, postgres};
use bytes::Bytes;
use nodeai_ports::{
    HttpClient, LocalBoxFuture, PgConnection, PgConnector, PgError, SendError, Tasks, Variables,
};
use std::time::Duration;

/// The Spin host that this component runs in.
#[derive(Debug, Clone, Copy)]
pub struct SpinEnv;

impl HttpClient for SpinEnv {
    fn send(
        &self,
        request: http::Request<Bytes>,
    ) -> LocalBoxFuture<'_, Result<http::Response<Bytes>, SendError>> {
        Box::pin(http_client::send_buffered(request))
    }
}

impl PgConnector for SpinEnv {
    fn open<'a>(
        &'a self,
        url: &'a str,
    ) -> LocalBoxFuture<'a, Result<Box<dyn PgConnection>, PgError>> {
        Box::pin(async move {
            let connection = postgres::SpinConnection::open(url).await?;
            Ok(Box::new(connection) as Box<dyn PgConnection>)
        })
    }
}

impl Variables for SpinEnv {
    fn get<'a>(&'a self, name: &'a str) -> LocalBoxFuture<'a, Option<String>> {
        Box::pin(async move {
            let value = spin_sdk::variables::get(name).await.ok();
            value.filter(|text| !text.is_empty())
        })
    }
}

impl Tasks for SpinEnv {
    fn spawn(&self, task: LocalBoxFuture<'static, ()>) {
        spin_sdk::wasip3::spawn(task);
    }

    fn sleep_ms(&self, ms: u64) -> LocalBoxFuture<'static, ()> {
        Box::pin(spin_sdk::time::sleep(Duration::from_millis(ms)))
    }
}
