//! Phoenix, from its Python package, on a database of its own in the same PostgreSQL.

use anyhow::{Context, Result, bail, ensure};
use e2e::process::{Running, free_address, root};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const PACKAGE: &str = "arize-phoenix[pg]==20.26.0";

/// One that answers.
pub struct Phoenix {
    /// `host:port`.
    pub address: String,
    /// Its database.
    pub database: String,
    _process: Running,
    _folder: tempfile::TempDir,
}

impl Phoenix {
    /// Installs it when it is not there, and starts it.
    pub fn start(server: &str) -> Result<Self> {
        let folder = installed()?;
        e2e::database::execute(server, "CREATE DATABASE phoenix");
        let (base, _) = server.rsplit_once('/').context("a URL")?;
        let database = format!("{base}/phoenix");
        let (address, grpc) = (free_address(), free_address());
        let port = |address: &str| address.rsplit(':').next().unwrap_or_default().to_owned();
        let working = tempfile::tempdir()?;
        let mut command = Command::new(folder.join("venv/bin/phoenix"));
        command
            .arg("serve")
            .env("PHOENIX_HOST", "127.0.0.1")
            .env("PHOENIX_PORT", port(&address))
            .env("PHOENIX_GRPC_PORT", port(&grpc))
            .env("PHOENIX_WORKING_DIR", working.path())
            .env("PHOENIX_TELEMETRY_ENABLED", "false")
            .env(
                "PHOENIX_SQL_DATABASE_URL",
                database.replacen("postgres://", "postgresql://", 1),
            )
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let phoenix = Self {
            address,
            database,
            _process: Running::start(command),
            _folder: working,
        };
        phoenix.wait()?;
        Ok(phoenix)
    }

    fn wait(&self) -> Result<()> {
        let url = format!("http://{}/healthz", self.address);
        let until = Instant::now() + Duration::from_secs(300);
        let client = reqwest::blocking::Client::new();
        while Instant::now() < until {
            let answer = client.get(&url).send();
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
            std::thread::park_timeout(Duration::from_millis(500));
        }
        bail!("Phoenix did not come up within five minutes")
    }
}

fn installed() -> Result<PathBuf> {
    let folder = root().join("target/bench-phoenix");
    if folder.join("venv/bin/phoenix").exists() {
        return Ok(folder);
    }
    std::fs::create_dir_all(&folder)?;
    let run = |program: &str, arguments: &[&str]| -> Result<()> {
        let status = Command::new(program)
            .current_dir(&folder)
            .args(arguments)
            .status();
        ensure!(status?.success(), "{program} {arguments:?} failed");
        Ok(())
    };
    run("python3", &["-m", "venv", "venv"])?;
    run("venv/bin/pip", &["install", "--quiet", PACKAGE])?;
    Ok(folder)
}
