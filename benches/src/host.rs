//! The application under measurement: `nodeai up` of the same build.

use anyhow::{Context, Result};
use e2e::Tenant;
use e2e::app::{ready_file, wait_for};
use e2e::process::{Running, root};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

/// A host that is up.
pub struct Host {
    /// `host:port`.
    pub address: String,
    /// A key for everything.
    pub api_key: String,
    /// From start to ready, ms.
    pub start_ms: u128,
    url: String,
    process: Running,
}

fn binary() -> Result<PathBuf> {
    let exe = std::env::current_exe()?;
    let path = exe.parent().context("no folder")?.join("nodeai");
    anyhow::ensure!(
        path.exists(),
        "{} is not there: run `cargo build --release` first",
        path.display()
    );
    Ok(path)
}

impl Host {
    /// Starts the host on a database. More requests per minute than anybody may have, so that the limit is not measured.
    pub fn start(database: &str, variables: &[(&str, &str)]) -> Result<Self> {
        let ready = ready_file();
        let mut command = Command::new(binary()?);
        command
            .current_dir(root())
            .args([
                "up",
                "--quiet",
                "--ephemeral",
                "--allow-private",
                "127.0.0.1",
                "--listen",
                "127.0.0.1:0",
                "--database-url",
                database,
            ])
            .arg("--ready-file")
            .arg(&ready)
            .envs(variables.iter().copied());
        let began = Instant::now();
        let mut process = Running::start(command);
        let told = wait_for(&ready, &mut process);
        let start_ms = began.elapsed().as_millis();
        let url = told["url"].as_str().context("url")?.to_owned();
        let api_key = told["api_key"].as_str().context("api_key")?.to_owned();
        unlimit(database);
        Ok(Self {
            address: url.trim_start_matches("http://").to_owned(),
            api_key,
            start_ms,
            url,
            process,
        })
    }

    /// Resident memory, KiB.
    pub fn memory_kb(&self) -> u64 {
        memory_kb(self.process.0.id())
    }

    /// Stores the five-node workflow of case (c) and gives its id.
    pub async fn store_workflow(&self) -> Result<String> {
        let me = Tenant::new(&self.url, String::new(), self.api_key.clone());
        let id = tokio::task::spawn_blocking(move || me.workflow("bench", &definition())).await?;
        Ok(id)
    }
}

/// Resident memory of a process, KiB.
pub fn memory_kb(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok())
        .unwrap_or(0)
}

fn unlimit(database: &str) {
    e2e::database::execute(
        database,
        "UPDATE public.api_keys SET rate_per_minute = 60000000, rate_burst = 60000000;
         UPDATE public.organizations SET rate_per_minute = 60000000, rate_burst = 60000000",
    );
}

fn definition() -> Value {
    json!({
        "nodes": [
            {"id": "in", "type": "input", "data": {}},
            {"id": "greet", "type": "template", "data": {"template": "Hello, {{ inputs.name }}!"}},
            {"id": "long", "type": "condition", "data": {"expression": "{{ nodes.greet.output.text | length > 5 }}"}},
            {"id": "shout", "type": "transform", "data": {"expression": "{{ nodes.greet.output.text | upper }}"}},
            {"id": "out", "type": "output", "data": {"value": "{{ nodes.shout.output }}"}},
        ],
        "edges": [
            {"id": "a", "source": "in", "target": "greet"},
            {"id": "b", "source": "greet", "target": "long"},
            {"id": "c", "source": "long", "sourceHandle": "true", "target": "shout"},
            {"id": "d", "source": "shout", "target": "out"},
        ],
    })
}

/// Names and bytes of the built components.
pub fn component_sizes() -> Result<Vec<(String, u64)>> {
    let folder = root().join("target/wasm32-wasip2/wasm");
    let mut sizes = Vec::new();
    for entry in std::fs::read_dir(folder)?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with(".wasm") {
            sizes.push((name, entry.metadata()?.len()));
        }
    }
    sizes.sort();
    Ok(sizes)
}
