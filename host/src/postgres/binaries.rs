//! Finds server binaries: those that the operator names, those on the machine, those fetched before.
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

/// A folder with `postgres` and `initdb`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binaries {
    /// The folder.
    pub folder: PathBuf,
    /// The server's major version.
    pub major: u32,
}

/// The oldest server that the migrations apply to.
const OLDEST: u32 = 14;

impl Binaries {
    /// The binaries in `folder`, when they run and are new enough.
    pub fn at(folder: &Path) -> Option<Self> {
        if !folder.join("initdb").is_file() {
            return None;
        }
        let output = Command::new(folder.join("postgres"))
            .arg("--version")
            .output()
            .ok()?;
        let major = parse_major(&String::from_utf8_lossy(&output.stdout))?;
        (major >= OLDEST).then(|| Self {
            folder: folder.to_owned(),
            major,
        })
    }

    /// One of the programs.
    pub fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

fn parse_major(text: &str) -> Option<u32> {
    let version = text.split_whitespace().nth(2)?;
    version
        .split(|c: char| !c.is_ascii_digit())
        .next()?
        .parse()
        .ok()
}

/// The newest binaries on this machine, or those of version `wanted` when data of that version is there;
/// fetched with the machine's own package client when there are none.
///
/// # Errors
/// One sentence with the command that installs a server.
pub fn find(wanted: Option<u32>, fetched: &Path) -> Result<Binaries> {
    let mut found = installed();
    found.extend(
        super::fetch::bin_folders(fetched)
            .iter()
            .filter_map(|folder| Binaries::at(folder)),
    );
    let fits = |binaries: &&Binaries| wanted.is_none_or(|major| binaries.major == major);
    if let Some(best) = found
        .iter()
        .filter(fits)
        .max_by_key(|binaries| binaries.major)
    {
        return Ok(best.clone());
    }
    let outcome = super::fetch::fetch(wanted, fetched);
    outcome.and_then(|folder| Binaries::at(&folder).context("the fetched Postgres does not run here")).with_context(|| match wanted {
        Some(major) => format!("the project's data needs Postgres {major}, which is not on this machine; install it"),
        None => format!(
            "there is no Postgres {OLDEST} or newer on this machine; install one ({}), or set SPIN_VARIABLE_NODEAI_DATABASE_URL",
            install_command()
        ),
    })
}

/// What installs a server here.
pub fn install_command() -> &'static str {
    if cfg!(target_os = "macos") {
        "brew install postgresql@17"
    } else {
        "apt-get install postgresql"
    }
}

/// Binaries on this machine; `NODEAI_PG_BIN` names their folder, or `none` to overlook all.
pub fn installed() -> Vec<Binaries> {
    if let Some(named) = std::env::var_os("NODEAI_PG_BIN").filter(|named| !named.is_empty()) {
        return Binaries::at(Path::new(&named)).into_iter().collect();
    }
    let mut folders: Vec<PathBuf> = Vec::new();
    for pattern in [
        "/usr/lib/postgresql",
        "/opt/homebrew/opt",
        "/usr/local/opt",
        "/usr/pgsql",
    ] {
        let entries = std::fs::read_dir(pattern).into_iter().flatten().flatten();
        folders.extend(
            entries
                .map(|entry| entry.path().join("bin"))
                .filter(|bin| bin.join("initdb").is_file()),
        );
    }
    folders.extend(std::env::split_paths(
        &std::env::var_os("PATH").unwrap_or_default(),
    ));
    folders
        .iter()
        .filter_map(|folder| Binaries::at(folder))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::parse_major;

    #[test]
    fn versions_are_read_from_what_the_server_says() {
        assert_eq!(
            parse_major("postgres (PostgreSQL) 15.19 (Debian 15.19-1)"),
            Some(15)
        );
        assert_eq!(parse_major("postgres (PostgreSQL) 18beta1"), Some(18));
        assert_eq!(parse_major("nonsense"), None);
    }
}
