//! The project on disk: its root (the folder of `spin.toml`), the host's own folder `.nodeai/`, and
//! how files with secrets are written.
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// A project: where it is and where the host keeps its things.
#[derive(Debug, Clone)]
pub struct Project {
    /// The folder with `spin.toml`.
    pub root: PathBuf,
    /// `.nodeai/` in it.
    pub state: PathBuf,
}

impl Project {
    /// Finds the project in `dir`, or else in the nearest folder above the current one.
    ///
    /// # Errors
    /// When there is no `spin.toml`, or `.nodeai/` cannot be made.
    pub fn open(dir: Option<&Path>) -> Result<Self> {
        let root = match dir {
            Some(dir) if dir.join("spin.toml").is_file() => dir.canonicalize()?,
            Some(dir) => bail!("there is no spin.toml in {}", dir.display()),
            None => find_upward(&std::env::current_dir()?)?,
        };
        let state = root.join(".nodeai");
        make_dir(&state).with_context(|| format!("cannot write in {}", root.display()))?;
        Ok(Self { root, state })
    }

    /// A file in `.nodeai/`.
    pub fn state_file(&self, name: &str) -> PathBuf {
        self.state.join(name)
    }

    /// Claims the project for one running host.
    ///
    /// # Errors
    /// When another host holds it, or the lock file cannot be made.
    pub fn lock(&self) -> Result<Lock> {
        match Lock::try_new(&self.state_file("host.lock"))? {
            Some(lock) => Ok(lock),
            None => bail!("another nodeai is running in {}", self.root.display()),
        }
    }

    /// Whether a host runs in this project now.
    pub fn is_running(&self) -> bool {
        matches!(Lock::try_new(&self.state_file("host.lock")), Ok(None))
    }
}

/// An advisory lock that the system releases with the process, however it ends.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "held for its lock")] File);

impl Lock {
    /// The lock on `path`, or `None` while another process holds it.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn try_new(path: &Path) -> Result<Option<Self>> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(path)
            .with_context(|| format!("cannot write {}", path.display()))?;
        // SAFETY: the descriptor is open for as long as `file` lives.
        let taken = unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } == 0;
        Ok(taken.then_some(Self(file)))
    }
}

fn find_upward(start: &Path) -> Result<PathBuf> {
    for dir in start.ancestors() {
        if dir.join("spin.toml").is_file() {
            return Ok(dir.to_owned());
        }
    }
    bail!(
        "there is no spin.toml in {} nor above it; say --dir PATH",
        start.display()
    )
}

/// Makes a folder that others may pass through but not list, unless it is there.
///
/// # Errors
/// As [`std::fs::DirBuilder::create`].
pub fn make_dir(path: &Path) -> std::io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o711)
        .create(path)
}

/// Writes a file that only its owner may read, in one step: readers see the old or the new text.
///
/// # Errors
/// When the folder cannot be written.
pub fn write_secret(path: &Path, text: &str) -> Result<()> {
    let write = || -> std::io::Result<()> {
        let temporary = path.with_extension(format!("tmp{}", std::process::id()));
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}
