//! What tests of files need from elsewhere: the tus client, and an S3-compatible server.

use crate::host::Variable;
use crate::packages::{node, npm};
use crate::process::Running;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

const SCRIPTS: [&str; 2] = ["tus.mjs", "s3.mjs"];

/// Uploads `size` bytes with `tus-js-client`, cut off `cuts` times: {"url","sha256","resumed"}.
pub fn upload(endpoint: &str, credential: &str, size: u64, cuts: u32) -> Value {
    let folder = npm("files", &SCRIPTS);
    let output = node(&folder, "tus.mjs")
        .args([endpoint, credential, &size.to_string(), &cuts.to_string()])
        .output()
        .expect("the client runs");
    let said = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{complaint}");
    serde_json::from_str(&said).expect("what the client says")
}

/// An S3-compatible server that checks signatures (`s3rver` from npm).
pub struct S3 {
    url: String,
    _process: Running,
}

impl S3 {
    /// Starts one, with the bucket `files`.
    pub fn start() -> Self {
        let folder = npm("files", &SCRIPTS);
        let mut command = node(&folder, "s3.mjs");
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

    /// The application's variables for it.
    pub fn variables(&self) -> Vec<Variable> {
        let key = "S3RVER".to_owned();
        vec![
            ("nodeai_files_backend", "s3".to_owned()),
            ("nodeai_files_s3_url", self.url.clone()),
            ("nodeai_files_s3_bucket", "files".to_owned()),
            ("nodeai_files_s3_access_key", key.clone()),
            ("nodeai_files_s3_secret_key", key),
        ]
    }
}

/// The application's variables for the stand-in of Supabase Storage at `url`.
pub fn supabase(url: &str) -> Vec<Variable> {
    vec![
        ("nodeai_files_backend", "supabase".to_owned()),
        ("nodeai_files_supabase_url", url.to_owned()),
        ("nodeai_files_supabase_key", "sb_secret_tests".to_owned()),
        ("nodeai_files_supabase_bucket", "files".to_owned()),
    ]
}
