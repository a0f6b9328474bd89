//! The suite itself, `@modelcontextprotocol/conformance`, by the requirements of a revision: both sides of the protocol.

use e2e::packages;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// The revision whose requirements are met.
const REVISION: &str = "2026-07-28";

fn suite() -> (Command, PathBuf) {
    let folder = packages::npm("mcp", &["client.mjs", "key.mjs", "server.mjs"]);
    let script = "node_modules/@modelcontextprotocol/conformance/dist/index.js";
    (packages::node(&folder, script), folder)
}

/// The server with the fixtures, until it is dropped.
struct Server {
    child: Child,
    url: String,
}

impl Server {
    fn start() -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mcp-server"));
        let mut child = command
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let mut url = String::new();
        let output = child.stdout.take().expect("its output");
        BufReader::new(output)
            .read_line(&mut url)
            .expect("its address");
        Self {
            child,
            url: url.trim().to_owned(),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn passes(mut command: Command) {
    let output = command.output().expect("Node.js runs");
    let said = String::from_utf8_lossy(&output.stdout);
    let wrong = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{wrong}");
}

#[test]
fn every_scenario_for_servers_passes() {
    let server = Server::start();
    let (mut command, folder) = suite();
    command.args(["server", "--url", &server.url, "--requirements", REVISION]);
    command.current_dir(folder);
    passes(command);
}

#[test]
fn every_scenario_for_clients_passes() {
    let (mut command, folder) = suite();
    let client = env!("CARGO_BIN_EXE_mcp-client");
    command.args(["client", "--command", client, "--requirements", REVISION]);
    command.current_dir(folder);
    passes(command);
}
