//! A project folder of its own for each application: same manifest, components and migrations, other state.

use crate::process::{binary, root};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// A temporary project; removed with this value.
pub struct Project(PathBuf);

impl Project {
    /// A project on the built components.
    pub fn new() -> Self {
        Self::new_with(&read_manifest())
    }

    /// The same with this `spin.toml`, which may add to the project's own.
    pub fn new_with(manifest: &str) -> Self {
        build();
        Self::with_manifest(manifest)
    }

    /// A project with this `spin.toml`.
    pub fn with_manifest(manifest: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("nodeai-e2e-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("spin.toml"), manifest).unwrap();
        for shared in ["target", "migrations", "examples"] {
            std::os::unix::fs::symlink(root().join(shared), folder.join(shared)).unwrap();
        }
        share_cache(&folder);
        Self(folder)
    }

    /// Its folder.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Where its host logs to.
    pub fn log_file(&self) -> PathBuf {
        self.0.join("host.log")
    }

    /// `nodeai up` in it, listening on a free port; `ready` is its ready file.
    pub fn up(&self, ready: &Path) -> Command {
        self.up_on(ready, "127.0.0.1:0")
    }

    /// The same on a given address.
    pub fn up_on(&self, ready: &Path, listen: &str) -> Command {
        let mut command = Command::new(binary("nodeai"));
        command
            .current_dir(&self.0)
            .args(["up", "--quiet", "--no-build", "--listen", listen])
            .args(["--allow-private", "127.0.0.1", "--ready-file"])
            .arg(ready)
            .env("SPIN_VARIABLE_NODEAI_POSTGRES_HOSTS", "127.0.0.1");
        command
    }
}

/// Compiled components depend on the components alone: one cache serves all projects of the tests.
fn share_cache(folder: &Path) {
    let cache = root().join("target/e2e-cache");
    std::fs::create_dir_all(&cache).unwrap();
    std::fs::create_dir_all(folder.join(".nodeai")).unwrap();
    std::os::unix::fs::symlink(cache, folder.join(".nodeai/cache")).unwrap();
}

impl Drop for Project {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The project's own `spin.toml`.
pub fn read_manifest() -> String {
    std::fs::read_to_string(root().join("spin.toml")).unwrap()
}

/// Builds the components once; cargo itself keeps test processes out of each other's way.
fn build() {
    static BUILT: OnceLock<()> = OnceLock::new();
    BUILT.get_or_init(|| {
        let status = Command::new(binary("nodeai"))
            .current_dir(root())
            .args(["build", "--quiet"])
            .status();
        assert!(
            status.expect("nodeai build runs").success(),
            "the components do not build"
        );
    });
}
