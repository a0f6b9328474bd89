//! The tests' own view into the database: what the API does not show.

use tokio_postgres::{Client, Config, NoTls, Row};

/// A database URL for `config` and `name`.
pub fn url(config: &Config, name: &str) -> String {
    let port = config.get_ports().first().copied().unwrap_or(5432);
    format!("postgres://postgres@127.0.0.1:{port}/{name}")
}

/// Runs one query that gives one text value.
pub fn text(url: &str, sql: &str) -> Option<String> {
    let row: Option<Row> = with_client(url, async |client| {
        client.query_opt(sql, &[]).await.unwrap()
    });
    row.and_then(|row| row.get(0))
}

/// Runs statements.
pub fn execute(url: &str, sql: &str) {
    with_client(url, async |client| client.batch_execute(sql).await.unwrap());
}

/// Whether statements are refused.
pub fn refuses(url: &str, sql: &str) -> bool {
    with_client(url, async |client| client.batch_execute(sql).await.is_err())
}

/// Every row of every table of ours, partitions included, as text.
pub fn dump(url: &str) -> String {
    with_client(url, async |client| {
        let tables = "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c
            JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname IN ('public', 'nodeai') AND c.relkind = 'r'";
        let mut text = String::new();
        for table in client.query(tables, &[]).await.unwrap() {
            let name: String = table.get(0);
            let rows = client
                .query(&format!("SELECT t::text FROM {name} t"), &[])
                .await
                .unwrap();
            for row in rows {
                text.push_str(row.get(0));
                text.push('\n');
            }
        }
        text
    })
}

/// On a thread of its own: the caller may be inside a runtime.
fn with_client<T: Send>(url: &str, work: impl AsyncFnOnce(Client) -> T + Send) -> T {
    std::thread::scope(|scope| {
        let worker = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
                tokio::spawn(connection);
                work(client).await
            })
        });
        worker.join().unwrap()
    })
}
