//! The command line.
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::log;

/// Runs the application on this machine: builds it, brings a database, applies migrations, serves.
#[derive(Debug, Parser)]
#[command(name = "nodeai", version)]
pub struct Cli {
    /// The project's folder (with spin.toml); else the nearest one above the current folder.
    #[arg(long, global = true, value_name = "PATH")]
    pub dir: Option<PathBuf>,
    /// Says only warnings, errors and what functions write.
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// The form of log lines.
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        value_name = "FORMAT"
    )]
    pub log: log::Format,
    /// What to do; `up` when nothing is said.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The flags of `up`.
    #[command(flatten)]
    pub up: UpArgs,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Builds what has changed and serves the application.
    Up(Box<UpArgs>),
    /// Builds the components.
    Build,
    /// Applies migrations, or says which are applied.
    Migrate(MigrateArgs),
    /// API keys.
    #[command(subcommand)]
    Key(KeyCommand),
    /// The vault.
    #[command(subcommand)]
    Secrets(SecretsCommand),
    /// Runs an evaluation over the API, waits for it, and fails when it does not keep its limits.
    Eval(Box<EvalArgs>),
    /// Says what is missing on this machine and how to mend it.
    Doctor(DatabaseArgs),
    /// Spans that did not reach the database.
    #[command(subcommand)]
    Spans(SpansCommand),
}

/// Which database to use.
#[derive(Debug, Clone, Default, Args)]
pub struct DatabaseArgs {
    /// A Postgres URL (direct or session-pooled); without one an embedded Postgres is run.
    #[arg(
        long,
        env = "NODEAI_DATABASE_URL",
        value_name = "URL",
        hide_env_values = true
    )]
    pub database_url: Option<String>,
    /// A file with CA certificates (PEM) that the database's certificate may be signed by.
    #[arg(long, env = "NODEAI_DATABASE_CA", value_name = "PATH")]
    pub database_ca: Option<PathBuf>,
}

/// Flags of `up`.
#[derive(Debug, Clone, Args)]
pub struct UpArgs {
    /// Where to listen.
    #[arg(
        long,
        env = "NODEAI_LISTEN",
        default_value = "127.0.0.1:3000",
        value_name = "ADDRESS"
    )]
    pub listen: String,
    /// The database.
    #[command(flatten)]
    pub database: DatabaseArgs,
    /// A Supabase project's URL; its keys come from SPIN_VARIABLE_NODEAI_SUPABASE_*.
    #[arg(long, value_name = "URL")]
    pub supabase_url: Option<String>,
    /// Keeps the database in a temporary folder and removes it at the end.
    #[arg(long)]
    pub ephemeral: bool,
    /// Serves what is built, without looking for changes.
    #[arg(long)]
    pub no_build: bool,
    /// Writes {"url","api_key","user_id","org_id"} there once everything answers.
    #[arg(long, value_name = "PATH")]
    pub ready_file: Option<PathBuf>,
    /// Private addresses that functions may call: networks, addresses or host:port, separated by commas; all when nothing is named.
    #[arg(long, env = "NODEAI_ALLOW_PRIVATE", value_name = "LIST", num_args = 0..=1, default_missing_value = "*")]
    pub allow_private: Option<String>,
    /// Limits.
    #[command(flatten)]
    pub limits: LimitArgs,
}

/// Limits on requests and connections.
#[derive(Debug, Clone, Args)]
pub struct LimitArgs {
    /// Connections to the database, shared by all functions.
    #[arg(long, env = "NODEAI_DATABASE_CONNECTIONS", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=500), value_name = "N")]
    pub database_connections: u16,
    /// Memory of one instance, in MiB.
    #[arg(long, env = "NODEAI_MEMORY_MB", default_value_t = 256, value_parser = clap::value_parser!(u16).range(8..=4096), value_name = "MIB")]
    pub memory_mb: u16,
    /// Seconds until a response must have begun.
    #[arg(long, env = "NODEAI_REQUEST_TIMEOUT", default_value_t = 30.0, value_parser = seconds, value_name = "SECONDS")]
    pub request_timeout: f64,
    /// Seconds that a streaming response may last.
    #[arg(long, env = "NODEAI_STREAM_TIMEOUT", default_value_t = 3600.0, value_parser = seconds, value_name = "SECONDS")]
    pub stream_timeout: f64,
    /// Requests in flight; past it 503.
    #[arg(long, env = "NODEAI_CONCURRENCY", default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..=8192), value_name = "N")]
    pub concurrency: u32,
    /// Requests that one instance serves before it is replaced.
    #[arg(long, env = "NODEAI_INSTANCE_REUSE", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..), value_name = "N")]
    pub instance_reuse: u32,
    /// Seconds that an idle instance is kept.
    #[arg(long, env = "NODEAI_INSTANCE_IDLE", default_value_t = 60.0, value_parser = seconds, value_name = "SECONDS")]
    pub instance_idle: f64,
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.001..=1e9).contains(&seconds) => Ok(seconds),
        _ => Err("a number of seconds, more than 0".to_owned()),
    }
}

/// Flags of `migrate`.
#[derive(Debug, Args)]
pub struct MigrateArgs {
    /// What to do.
    #[arg(value_enum, default_value_t)]
    pub action: MigrateAction,
    /// The database.
    #[command(flatten)]
    pub database: DatabaseArgs,
}

/// What `migrate` does.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub enum MigrateAction {
    /// Applies what is pending.
    #[default]
    Apply,
    /// Says what is applied and what is pending.
    Status,
}

/// What can be done with keys.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Makes a key and shows it, this once.
    Create(KeyArgs),
}

/// Flags of `key create`.
#[derive(Debug, Args)]
pub struct KeyArgs {
    /// A name to tell it by.
    #[arg(long, default_value = "cli")]
    pub name: String,
    /// What it may do, such as workflows:read, separated by commas.
    #[arg(long, default_value = "*", value_delimiter = ',')]
    pub scopes: Vec<String>,
    /// When it stops working: a time (2030-01-31T00:00:00Z) or a number of days (30d).
    #[arg(long, value_name = "WHEN")]
    pub expires: Option<String>,
    /// Makes a test key.
    #[arg(long)]
    pub test: bool,
    /// Whose it is; the local user's when not said.
    #[arg(long, value_name = "UUID")]
    pub user: Option<uuid::Uuid>,
    /// The database.
    #[command(flatten)]
    pub database: DatabaseArgs,
}

/// What can be done with the vault.
#[derive(Debug, Subcommand)]
pub enum SecretsCommand {
    /// Wraps every data key with the newest of the master keys; then the older ones may go.
    Rotate(RotateArgs),
}

/// Flags of `secrets rotate`.
#[derive(Debug, Args)]
pub struct RotateArgs {
    /// The database.
    #[command(flatten)]
    pub database: DatabaseArgs,
}

/// Flags of `eval`.
#[derive(Debug, Args)]
pub struct EvalArgs {
    /// A file with the body of POST /api/v1/rag-evaluation/evaluations, or - for standard input.
    #[arg(value_name = "FILE", conflicts_with = "id")]
    pub file: Option<String>,
    /// Waits for this evaluation instead of making one.
    #[arg(long, value_name = "UUID")]
    pub id: Option<String>,
    /// Where the application is.
    #[arg(
        long,
        env = "NODEAI_URL",
        default_value = "http://127.0.0.1:3000",
        value_name = "URL"
    )]
    pub url: String,
    /// An API key with evaluations:run, evaluations:read and workflows:run.
    #[arg(long, env = "NODEAI_KEY", value_name = "KEY", hide_env_values = true)]
    pub key: String,
    /// Fails when a metric's mean is below, such as faithfulness=0.8; may be repeated.
    #[arg(long, value_name = "METRIC=MEAN")]
    pub fail_below: Vec<String>,
    /// Fails when a metric's mean is above, such as latency_ms=2000; may be repeated.
    #[arg(long, value_name = "METRIC=MEAN")]
    pub fail_above: Vec<String>,
    /// Fails when a metric is significantly worse than at this evaluation.
    #[arg(long, value_name = "UUID")]
    pub baseline: Option<String>,
    /// The share of items that may have no score by a metric with a limit; 0.1 unless given.
    #[arg(long, value_name = "SHARE")]
    pub max_failed: Option<f64>,
    /// Seconds to wait for its end.
    #[arg(long, default_value_t = 3_600, value_name = "SECONDS")]
    pub timeout: u64,
    /// Prints the evaluation as JSON instead of a table.
    #[arg(long)]
    pub json: bool,
}

/// What can be done with spans.
#[derive(Debug, Subcommand)]
pub enum SpansCommand {
    /// Brings spans from log files into the database.
    Replay(ReplayArgs),
}

/// Flags of `spans replay`.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// Log files, or - for standard input.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// The database.
    #[command(flatten)]
    pub database: DatabaseArgs,
}
