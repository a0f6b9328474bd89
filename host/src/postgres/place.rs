//! Where a cluster lies and as whom it runs. Postgres refuses to run as root, so root's clusters run as
//! `postgres` or `nobody`, with their data where that user can go.
use std::ffi::CString;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use crate::log;
use crate::project::{Lock, Project, make_dir};

/// A user to run as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunAs {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

/// A cluster's folders.
#[derive(Debug)]
pub struct Place {
    /// Holds `data`, the log and the owner's secret.
    pub folder: PathBuf,
    /// Where fetched binaries are kept, shared by all projects.
    pub fetched: PathBuf,
    /// The user to run as, when it is not ourselves.
    pub run_as: Option<RunAs>,
    /// Whether the data is thrown away.
    pub ephemeral: bool,
    _lock: Option<Lock>,
}

impl Place {
    /// The place of the project's lasting cluster.
    ///
    /// # Errors
    /// When no folder can be made.
    pub fn lasting(project: &Project) -> Result<Self> {
        let run_as = other_user()?;
        let inside = project.state_file("postgres");
        let folder = match run_as {
            Some(user) if !can_reach(user, &project.state) => {
                let folder = shared_root().join(short_hash(&project.root));
                log::info(&format!(
                    "the database is kept in {} (Postgres may not run as root)",
                    folder.display()
                ));
                folder
            }
            _ => inside,
        };
        prepare(&folder, run_as)?;
        Ok(Self {
            folder,
            fetched: fetched_folder(run_as),
            run_as,
            ephemeral: false,
            _lock: None,
        })
    }

    /// A new place in the temporary folder; those that killed hosts left behind are removed first.
    ///
    /// # Errors
    /// When no folder can be made.
    pub fn ephemeral() -> Result<Self> {
        let run_as = other_user()?;
        let temporary = std::env::temp_dir();
        sweep(&temporary);
        let folder = temporary.join(format!(
            "{EPHEMERAL_PREFIX}{}-{:08x}",
            std::process::id(),
            rand::random::<u32>()
        ));
        make_dir(&folder).with_context(|| format!("cannot write in {}", temporary.display()))?;
        let lock = Lock::try_new(&folder.join("host.lock"))?;
        prepare(&folder, run_as)?;
        Ok(Self {
            folder,
            fetched: fetched_folder(run_as),
            run_as,
            ephemeral: true,
            _lock: lock,
        })
    }

    /// The data directory.
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.ephemeral {
            // What stays is swept by the next ephemeral start.
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
}

const EPHEMERAL_PREFIX: &str = "nodeai-ephemeral-";

/// Removes the ephemeral folders that no living host holds.
fn sweep(temporary: &Path) {
    for entry in std::fs::read_dir(temporary).into_iter().flatten().flatten() {
        let folder = entry.path();
        let ours = entry
            .file_name()
            .to_string_lossy()
            .starts_with(EPHEMERAL_PREFIX)
            && folder.is_dir();
        let lock = folder.join("host.lock");
        if ours
            && lock.is_file()
            && matches!(Lock::try_new(&lock), Ok(Some(_)))
            && !super::process::is_running(&folder.join("data"))
        {
            // Somebody else's folder is theirs to remove.
            let _ = std::fs::remove_dir_all(&folder);
        }
    }
}

fn prepare(folder: &Path, run_as: Option<RunAs>) -> Result<()> {
    make_dir(folder).with_context(|| format!("cannot write {}", folder.display()))?;
    if let Some(user) = run_as {
        chown(folder, Some(user.uid), Some(user.gid))
            .with_context(|| format!("cannot give {} to Postgres's user", folder.display()))?;
    }
    Ok(())
}

/// Whom to run Postgres as: nobody else, unless we are root.
fn other_user() -> Result<Option<RunAs>> {
    // SAFETY: geteuid has no preconditions.
    if unsafe { libc::geteuid() } != 0 {
        return Ok(None);
    }
    let user = ["postgres", "nobody"].iter().find_map(|name| look_up(name));
    user.map(Some).context("Postgres may not run as root, and there is neither a user postgres nor nobody to run it as")
}

fn look_up(name: &str) -> Option<RunAs> {
    let name = CString::new(name).ok()?;
    // SAFETY: the name is a C string; the answer is read before any other call could replace it.
    let entry = unsafe { libc::getpwnam(name.as_ptr()).as_ref() }?;
    Some(RunAs {
        uid: entry.pw_uid,
        gid: entry.pw_gid,
    })
}

/// Whether `user` may pass through every folder down to `path`.
fn can_reach(user: RunAs, path: &Path) -> bool {
    path.ancestors().all(|folder| {
        folder.metadata().is_ok_and(|meta| {
            let mode = meta.permissions().mode();
            mode & 0o001 != 0
                || (meta.uid() == user.uid && mode & 0o100 != 0)
                || (meta.gid() == user.gid && mode & 0o010 != 0)
        })
    })
}

fn shared_root() -> PathBuf {
    PathBuf::from("/var/lib/nodeai")
}

/// Fetched binaries must be where the user that runs them can read.
fn fetched_folder(run_as: Option<RunAs>) -> PathBuf {
    if run_as.is_some() {
        return shared_root().join("postgres");
    }
    let home = std::env::var_os("HOME")
        .map(PathBuf::from)
        .unwrap_or_else(std::env::temp_dir);
    let cache =
        std::env::var_os("XDG_CACHE_HOME").map_or_else(|| home.join(".cache"), PathBuf::from);
    cache.join("nodeai").join("postgres")
}

fn short_hash(path: &Path) -> String {
    hex::encode(&Sha256::digest(path.as_os_str().as_encoded_bytes())[..8])
}
