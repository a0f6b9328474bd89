//! What serves the components: `nodeai up`, or stock Spin with the set-up that the README gives for it.

use crate::app::{migrate, ready_file, wait_for};
use crate::process::{Running, binary, free_address, root};
use crate::project::Project;
use crate::{Tenant, database};
use std::fs::{File, OpenOptions};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A host.
pub enum Host {
    /// `nodeai up`.
    Nodeai,
    /// `spin up` of the binary at this path.
    Spin(PathBuf),
}

/// An application that a host serves.
pub struct Served {
    /// The host.
    pub process: Running,
    /// The application's URL.
    pub url: String,
    /// A key that may do everything, in the local user's organisation.
    pub api_key: Option<String>,
}

/// A variable of the application and its value.
pub type Variable = (&'static str, String);

impl Host {
    /// Stock Spin when `NODEAI_E2E_SPIN` names its binary, else `nodeai up`.
    pub fn chosen() -> Self {
        match std::env::var_os("NODEAI_E2E_SPIN") {
            Some(path) => Self::Spin(path.into()),
            None => Self::Nodeai,
        }
    }

    /// Serves `project` on the database behind the owner's URL; comes back when it answers.
    pub fn serve(&self, project: &Project, owner_url: &str, variables: &[Variable]) -> Served {
        match self {
            Self::Nodeai => nodeai(project, owner_url, variables),
            Self::Spin(binary) => spin(binary, project, owner_url, variables),
        }
    }
}

fn nodeai(project: &Project, owner_url: &str, variables: &[Variable]) -> Served {
    let ready = ready_file();
    let mut command = project.up(&ready);
    command
        .args(["--database-url", owner_url])
        .stderr(log(project));
    set(&mut command, variables);
    let mut process = Running::start(command);
    let told = wait_for(&ready, &mut process);
    let url = told["url"].as_str().expect("a URL");
    Served {
        url: url.trim_end_matches('/').to_owned(),
        api_key: told["api_key"].as_str().map(str::to_owned),
        process,
    }
}

fn spin(spin: &PathBuf, project: &Project, owner_url: &str, variables: &[Variable]) -> Served {
    const PASSWORD: &str = "of-the-tests";
    migrate(owner_url);
    let login = format!("ALTER ROLE nodeai_app LOGIN PASSWORD '{PASSWORD}'");
    database::execute(owner_url, &login);
    let guest_url = owner_url.replacen("postgres@", &format!("nodeai_app:{PASSWORD}@"), 1);
    let address = free_address();
    // What `nodeai up` draws for itself.
    let master_keys = format!("1:{}", "5a".repeat(32));
    let mut command = Command::new(spin);
    command
        .current_dir(project.path())
        .args(["up", "--listen", &address])
        .stdout(log(project))
        .stderr(log(project))
        .env("SPIN_VARIABLE_NODEAI_DATABASE_URL", guest_url)
        .env("SPIN_VARIABLE_NODEAI_MASTER_KEYS", master_keys)
        .env("SPIN_VARIABLE_NODEAI_ALLOW_PRIVATE_HOSTS", "127.0.0.1")
        .env("SPIN_VARIABLE_NODEAI_POSTGRES_HOSTS", "127.0.0.1");
    set(&mut command, variables);
    let mut process = Running::start(command);
    let url = format!("http://{address}");
    wait_until_alive(&url, &mut process);
    Served {
        process,
        url,
        api_key: Some(create_key(owner_url)),
    }
}

/// The application's log, to be appended to.
fn log(project: &Project) -> File {
    let mut options = OpenOptions::new();
    let file = options.create(true).append(true).open(project.log_file());
    file.expect("the log's file")
}

fn set(command: &mut Command, variables: &[Variable]) {
    for (name, value) in variables {
        let name = format!("SPIN_VARIABLE_{}", name.to_ascii_uppercase());
        command.env(name, value);
    }
}

/// Waits until the application at `url` is alive.
fn wait_until_alive(url: &str, process: &mut Running) {
    let anybody = Tenant::new(url, String::new(), String::new());
    let deadline = Instant::now() + Duration::from_secs(180);
    while anybody.try_get("/healthz").is_none_or(|r| r.status != 200) {
        if let Ok(Some(status)) = process.0.try_wait() {
            panic!("the host ended with {status}");
        }
        assert!(Instant::now() < deadline, "the host does not come up");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

fn create_key(owner_url: &str) -> String {
    let output = Command::new(binary("nodeai"))
        .current_dir(root())
        .args(["key", "create", "--quiet", "--database-url", owner_url])
        .stderr(Stdio::inherit())
        .output()
        .expect("nodeai key create runs");
    assert!(output.status.success(), "no key was made");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
