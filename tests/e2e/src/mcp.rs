//! MCP servers and clients of the official SDKs.

use crate::packages;
use crate::process::{Running, root};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

/// The endpoint below an application.
pub const SERVER: &str = "/api/v1/tools/mcp";
/// Scripts beside the packages.
const SCRIPTS: [&str; 3] = ["client.mjs", "key.mjs", "server.mjs"];

/// A server that answers.
pub struct McpServer {
    /// Its URL.
    pub url: String,
    _process: Running,
}

impl McpServer {
    /// One of the SDK for Node.js, of the earlier eras, with sessions; it wants this token.
    pub fn node(token: &str) -> Self {
        let folder = packages::npm("mcp", &SCRIPTS);
        let mut command = packages::node(&folder, "server.mjs");
        command.arg(token);
        Self::start(command)
    }

    /// One of the SDK for Python, which speaks both eras.
    pub fn python() -> Self {
        let mut command = Command::new(packages::pip("mcp"));
        command.arg(root().join("tests/e2e/mcp/server.py"));
        Self::start(command)
    }

    /// The server at this URL, for clients that have no key: it is added on the way.
    pub fn with_key(url: &str, key: &str) -> Self {
        let folder = packages::npm("mcp", &SCRIPTS);
        let mut command = packages::node(&folder, "key.mjs");
        command.args([url, key]);
        Self::start(command)
    }

    fn start(mut command: Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = Running::start(command);
        let stdout = BufReader::new(process.0.stdout.take().expect("stdout"));
        let mut lines = stdout.lines().map_while(Result::ok);
        let url = lines.find(|line| line.starts_with("http://"));
        Self {
            url: url.expect("the server starts"),
            _process: process,
        }
    }
}

/// Lists and calls a tool with the SDK for Node.js; answers `{"version", "tools", "result", "heard"}`.
pub fn node_client(url: &str, token: &str, tool: &str, arguments: &Value) -> Value {
    let folder = packages::npm("mcp", &SCRIPTS);
    let command = packages::node(&folder, "client.mjs");
    told(command, &[url, token, tool, &arguments.to_string()])
}

/// The same with the SDK for Python; `mode` is `legacy` or `auto`.
pub fn python_client(mode: &str, url: &str, token: &str, tool: &str, arguments: &Value) -> Value {
    let mut command = Command::new(packages::pip("mcp"));
    command.arg(root().join("tests/e2e/mcp/client.py"));
    told(command, &[mode, url, token, tool, &arguments.to_string()])
}

/// Asks a server what a scenario of the protocol's conformance suite asks.
///
/// # Panics
/// When one of its checks fails.
pub fn conforms(url: &str, scenario: &str) {
    let folder = packages::npm("mcp", &SCRIPTS);
    let script = "node_modules/@modelcontextprotocol/conformance/dist/index.js";
    let mut command = packages::node(&folder, script);
    command.args(["server", "--url", url, "--scenario", scenario]);
    let output = command.output().expect("Node.js runs");
    let said = String::from_utf8_lossy(&output.stdout);
    let wrong = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{scenario}: {said}\n{wrong}");
}

fn told(mut command: Command, arguments: &[&str]) -> Value {
    let output = command.args(arguments).output().expect("the client runs");
    let wrong = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{wrong}");
    serde_json::from_slice(&output.stdout).expect("its answer is JSON")
}
