//! Databases: migrated once into a template, cloned for each test.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio_postgres::{Client, Config, NoTls};

use crate::cluster::{owner_config, pgvector_config};
use crate::session::{Session, Tenant};

static TEMPLATE: OnceLock<String> = OnceLock::new();
static COUNTER: AtomicU32 = AtomicU32::new(0);

/// A database of its own for one test; dropped with it.
pub struct Database {
    name: String,
    server: Config,
}

impl Database {
    /// A clone of the migrated template.
    pub async fn fresh() -> Self {
        let template = tokio::task::spawn_blocking(|| TEMPLATE.get_or_init(build_template).clone())
            .await
            .expect("the template is built");
        Self::create(&format!("TEMPLATE {template}")).await
    }

    /// A database on a server that has pgvector, migrated after `first` was executed in it.
    pub async fn with_pgvector(first: &str) -> Self {
        let server = tokio::task::spawn_blocking(pgvector_config);
        let made = Self::create_on(server.await.expect("the server starts"), "").await;
        let owner = made.owner().await;
        owner.batch_execute(first).await.expect("the beginning");
        migrate(&owner).await;
        made
    }

    /// A database without anything in it. `options` go to `CREATE DATABASE`.
    pub async fn create(options: &str) -> Self {
        Self::create_on(owner_config(), options).await
    }

    async fn create_on(server: Config, options: &str) -> Self {
        let name = next_name();
        let owner = connect(&server, "postgres").await;
        let sql = format!("CREATE DATABASE {name} {options}");
        owner
            .batch_execute(&sql)
            .await
            .expect("the database is created");
        Self { name, server }
    }

    /// The database's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A connection with the owner's rights.
    pub async fn owner(&self) -> Client {
        connect(&self.server, &self.name).await
    }

    /// A connection as the functions have it, before admission.
    pub async fn session(&self) -> Session {
        let client = self.owner().await;
        client
            .batch_execute("SET SESSION AUTHORIZATION nodeai_app")
            .await
            .expect("nodeai_app exists");
        Session::new(client)
    }

    /// A user with an organisation and an API key that may do everything.
    pub async fn tenant(&self, name: &str) -> Tenant {
        Tenant::create(self, name).await
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let sql = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        let server = self.server.clone();
        run_apart(async move {
            // The private cluster goes as a whole; a failure here leaves nothing that matters.
            let owner = connect(&server, "postgres").await;
            owner.batch_execute(&sql).await.ok();
        });
    }
}

/// Every migration in order: file name and text.
pub fn migrations() -> Vec<(String, String)> {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../migrations");
    let mut files: Vec<_> = std::fs::read_dir(dir)
        .expect("migrations/")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.ends_with(".sql"))
        .collect();
    files.sort();
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../migrations");
    let text = |name: String| {
        let text = std::fs::read_to_string(dir.join(&name)).expect("a readable migration");
        (name, text)
    };
    files.into_iter().map(text).collect()
}

/// Connects and drives the connection in the background.
pub(crate) async fn connect(config: &Config, database: &str) -> Client {
    let mut config = config.clone();
    config.dbname(database);
    let (client, connection) = config.connect(NoTls).await.expect("a connection");
    tokio::spawn(connection);
    client
}

/// Applies every migration, each in a transaction of its own.
///
/// # Panics
/// When one fails, with its name.
pub(crate) async fn migrate(client: &Client) {
    for (name, text) in migrations() {
        let result = client
            .batch_execute(&format!("BEGIN;\n{text}\nCOMMIT;"))
            .await;
        result.unwrap_or_else(|error| panic!("{name}: {error:?}"));
    }
}

impl Database {
    /// Applies the migrations through `client`.
    pub async fn migrate(client: &Client) {
        migrate(client).await;
    }
}

fn build_template() -> String {
    let name = format!("{}_template", next_name());
    let created = name.clone();
    run_apart(async move {
        let owner = connect(&owner_config(), "postgres").await;
        owner
            .batch_execute(&format!("CREATE DATABASE {created}"))
            .await
            .expect("the template is created");
        migrate(&connect(&owner_config(), &created).await).await;
    });
    name
}

fn next_name() -> String {
    let number = COUNTER.fetch_add(1, Ordering::Relaxed);
    format!("nodeai_test_{}_{number}", std::process::id())
}

/// Runs a future on a runtime and a thread of its own, and waits.
fn run_apart(work: impl Future<Output = ()> + Send + 'static) {
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.expect("a runtime").block_on(work);
    });
    if thread.join().is_err() && !std::thread::panicking() {
        panic!("background work failed");
    }
}
