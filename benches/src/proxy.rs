//! A TCP proxy in front of Postgres that counts bursts from the client: each is a round trip on the wire.

use anyhow::{Context, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A running proxy.
pub struct Proxy {
    /// The database URL that leads through it.
    pub url: String,
    bursts: Arc<AtomicU64>,
}

impl Proxy {
    /// Bursts so far.
    pub fn bursts(&self) -> u64 {
        self.bursts.load(Ordering::Relaxed)
    }
}

/// Starts a proxy to the server of `url`.
pub async fn start(url: &str) -> Result<Proxy> {
    let config: tokio_postgres::Config = url.parse()?;
    let server = *config.get_ports().first().context("a port")?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    let bursts = Arc::new(AtomicU64::new(0));
    let counter = bursts.clone();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(forward(client, server, counter.clone()));
        }
    });
    Ok(Proxy {
        url: url.replace(&format!(":{server}/"), &format!(":{port}/")),
        bursts,
    })
}

async fn forward(client: TcpStream, server: u16, bursts: Arc<AtomicU64>) -> Result<()> {
    let server = TcpStream::connect(("127.0.0.1", server)).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
    let mut buffer = vec![0; 64 << 10];
    loop {
        let n = from_client.read(&mut buffer).await?;
        if n == 0 {
            return Ok(());
        }
        bursts.fetch_add(1, Ordering::Relaxed);
        to_server.write_all(&buffer[..n]).await?;
    }
}
