//! The official libraries of Standard Webhooks, from npm and from PyPI: what they sign and whether they take what is signed.

use crate::packages;
use crate::process::root;
use serde_json::{Value, json};
use std::io::Write;
use std::process::{Command, Stdio};

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
        let mut command = match self {
            Self::Npm => {
                packages::node(&packages::npm("standardwebhooks", &["run.mjs"]), "run.mjs")
            }
            Self::Pypi => {
                let mut python = Command::new(packages::pip("standardwebhooks"));
                python.arg(root().join("tests/e2e/standardwebhooks/run.py"));
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
