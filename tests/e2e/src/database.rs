//! The tests' own view into the database: what the API does not show.

use tokio_postgres::{Config, NoTls};

/// A database URL for `config` and `name`.
pub fn url(config: &Config, name: &str) -> String {
    let port = config.get_ports().first().copied().unwrap_or(5432);
    format!("postgres://postgres@127.0.0.1:{port}/{name}")
}

/// Runs one query that gives one text value.
pub fn text(url: &str, sql: &str) -> Option<String> {
    run(url, sql).and_then(|row| row.get(0))
}

/// Runs statements.
pub fn execute(url: &str, sql: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
        tokio::spawn(connection);
        client.batch_execute(sql).await.unwrap();
    });
}

fn run(url: &str, sql: &str) -> Option<tokio_postgres::Row> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
        tokio::spawn(connection);
        client.query_opt(sql, &[]).await.unwrap()
    })
}
