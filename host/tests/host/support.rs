//! Starts the built `nodeai` on the test application and talks to it.
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

/// How long anything may take before a test gives up on it.
const PATIENCE: Duration = Duration::from_secs(30);

/// A copy of the test application, removed at the end.
pub struct App {
    folder: tempfile::TempDir,
}

impl App {
    /// A fresh copy with the probe component in it.
    pub fn new() -> Self {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/app");
        let folder = tempfile::tempdir().expect("a temporary folder");
        // As root the database runs as another user, who must be able to come here.
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755))
            .expect("our folder");
        std::fs::create_dir(folder.path().join("migrations")).expect("a folder");
        for file in ["spin.toml", "migrations/001_fixture.sql"] {
            std::fs::copy(source.join(file), folder.path().join(file)).expect("a copy");
        }
        std::fs::copy(probe(), folder.path().join("probe.wasm")).expect("a copy");
        Self { folder }
    }

    /// Its folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A `nodeai` command in this project, apart from the tests' own environment.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nodeai"));
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy().into_owned();
            let configures = text.starts_with("SPIN_VARIABLE_") || text.starts_with("NODEAI_");
            if configures && text != "NODEAI_PG_BIN" {
                command.env_remove(name);
            }
        }
        command
            .args(args)
            .arg("--dir")
            .arg(self.path())
            .stdin(Stdio::null());
        command
    }

    /// Runs a command to its end; one that does not end is killed, and so fails.
    pub fn run(&self, args: &[&str]) -> Output {
        let mut command = self.command(args);
        let child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("nodeai starts");
        let pid = child.id().cast_signed();
        let (done, ended) = channel::<()>();
        std::thread::spawn(move || {
            if ended.recv_timeout(PATIENCE) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                // SAFETY: kill takes plain integers.
                unsafe { libc::kill(pid, libc::SIGKILL) };
            }
        });
        let output = child.wait_with_output().expect("an end");
        drop(done);
        output
    }

    /// Starts the host and waits until it is ready.
    pub fn start(&self, args: &[&str]) -> Host {
        let ready = self.path().join("ready.json");
        // A host that was killed has left its own.
        let _ = std::fs::remove_file(&ready);
        let mut command = self.command(&[
            "up",
            "--no-build",
            "--log",
            "json",
            "--listen",
            "127.0.0.1:0",
        ]);
        command.args(args).arg("--ready-file").arg(&ready);
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("nodeai starts");
        let lines = follow(child.stderr.take().expect("a pipe"));
        wait_for_line(&lines, "listening on");
        let text = std::fs::read_to_string(&ready).expect("the ready file");
        let info: Value = serde_json::from_str(&text).expect("JSON");
        let url = info["url"].as_str().expect("a URL").to_owned();
        Host {
            child,
            lines: Mutex::new(lines),
            url,
            info,
        }
    }

    /// An ephemeral host.
    pub fn ephemeral(&self) -> Host {
        self.start(&["--ephemeral"])
    }
}

fn follow(output: std::process::ChildStderr) -> Receiver<String> {
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    lines
}

fn wait_for_line(lines: &Receiver<String>, text: &str) {
    let since = Instant::now();
    let mut seen = Vec::new();
    loop {
        match lines.recv_timeout(PATIENCE.saturating_sub(since.elapsed())) {
            Ok(line) if line.contains(text) => return,
            Ok(line) => seen.push(line),
            Err(_) => panic!("no line with {text:?} in {seen:#?}"),
        }
    }
}

/// A running host; stopped at the end.
pub struct Host {
    child: Child,
    lines: Mutex<Receiver<String>>,
    /// Where it listens.
    pub url: String,
    /// The ready file.
    pub info: Value,
}

/// Status and body of an answer.
pub type Answer = (u16, String);

impl Host {
    /// GET.
    pub fn get(&self, path: &str) -> Answer {
        self.send(Request::get(format!("{}{path}", self.url)), Bytes::new())
    }

    /// POST.
    pub fn post(&self, path: &str, body: impl Into<Bytes>) -> Answer {
        self.send(Request::post(format!("{}{path}", self.url)), body.into())
    }

    /// Any request.
    pub fn send(&self, request: http::request::Builder, body: Bytes) -> Answer {
        let request = request.body(Full::new(body)).expect("a request");
        block_on(async {
            let response = client().request(request).await.expect("an answer");
            let status = response.status().as_u16();
            let body = response
                .into_body()
                .collect()
                .await
                .expect("a body")
                .to_bytes();
            (status, String::from_utf8_lossy(&body).into_owned())
        })
    }

    /// GET; reads `pieces` pieces of the body and then goes away.
    pub fn get_and_leave(&self, path: &str, pieces: usize) {
        let request = Request::get(format!("{}{path}", self.url))
            .body(Full::new(Bytes::new()))
            .expect("a request");
        block_on(async {
            let mut body = client()
                .request(request)
                .await
                .expect("an answer")
                .into_body();
            for _ in 0..pieces {
                body.frame().await.expect("a piece").expect("a piece");
            }
        });
    }

    /// Waits for a line of the log that holds `text`.
    pub fn wait_for_line(&self, text: &str) {
        wait_for_line(
            &self.lines.lock().expect("no panic while it was held"),
            text,
        );
    }

    /// Kills the host outright.
    pub fn kill(mut self) {
        self.child.kill().expect("it was running");
        self.child.wait().expect("a status");
    }

    /// Asks the host to stop; whether it stopped well.
    pub fn stop(mut self) -> bool {
        self.interrupt();
        self.child.wait().expect("a status").success()
    }

    fn interrupt(&self) {
        // SAFETY: kill takes plain integers.
        unsafe { libc::kill(self.child.id().cast_signed(), libc::SIGINT) };
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.interrupt();
            let _ = self.child.wait();
        }
    }
}

fn client() -> Client<HttpConnector, Full<Bytes>> {
    Client::builder(TokioExecutor::new()).build_http()
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(async { tokio::time::timeout(PATIENCE, work).await.expect("in time") })
}

/// The built probe component.
fn probe() -> &'static Path {
    static PROBE: OnceLock<PathBuf> = OnceLock::new();
    PROBE.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/components/probe");
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("probe");
        let built = Command::new(env!("CARGO"))
            .args([
                "build",
                "--quiet",
                "--profile",
                "wasm",
                "--target",
                "wasm32-wasip2",
                "--target-dir",
            ])
            .arg(&target)
            .current_dir(source)
            .status()
            .expect("cargo runs");
        assert!(built.success(), "the probe component does not build");
        target.join("wasm32-wasip2/wasm/probe.wasm")
    })
}
