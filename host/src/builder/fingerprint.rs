//! A cheap answer to "has any source changed since the last build": names, sizes and times.
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::Result;
use sha2::{Digest, Sha256};

/// What components are made from, below the project's root.
const SOURCES: [&str; 8] = [
    "functions",
    "shared",
    "wit",
    "Cargo.toml",
    "Cargo.lock",
    "spin.toml",
    "rust-toolchain.toml",
    ".cargo",
];
/// Folders that are results, not sources.
const RESULTS: [&str; 3] = ["target", "node_modules", ".git"];

/// The state of all sources.
#[derive(Debug)]
pub struct Fingerprint(String);

impl Fingerprint {
    /// Looks at the sources of the project; what cannot be read counts as not there.
    pub fn take(root: &Path) -> Self {
        let mut hasher = Sha256::new();
        for source in SOURCES {
            visit(&root.join(source), &mut hasher);
        }
        Self(hex::encode(hasher.finalize()))
    }

    /// Whether the last build was of these sources.
    pub fn equals(&self, known: &Path) -> bool {
        std::fs::read_to_string(known).is_ok_and(|text| text == self.0)
    }

    /// Notes that these sources were built.
    ///
    /// # Errors
    /// When the note cannot be written.
    pub fn keep(&self, known: &Path) -> Result<()> {
        crate::project::write_secret(known, &self.0)
    }
}

fn visit(path: &Path, hasher: &mut Sha256) {
    let Ok(meta) = path.metadata() else { return };
    if meta.is_file() {
        note(path, &meta, hasher);
        return;
    }
    let mut children: Vec<_> = std::fs::read_dir(path)
        .into_iter()
        .flatten()
        .flatten()
        .collect();
    children.sort_by_key(std::fs::DirEntry::file_name);
    for child in children {
        if !RESULTS.iter().any(|result| child.file_name() == *result) {
            visit(&child.path(), hasher);
        }
    }
}

fn note(path: &Path, meta: &Metadata, hasher: &mut Sha256) {
    hasher.update(path.as_os_str().as_encoded_bytes());
    for number in [meta.size(), meta.mtime() as u64, meta.mtime_nsec() as u64] {
        hasher.update(number.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_source_is_noticed_and_a_result_is_not() {
        let root = tempfile::tempdir().unwrap();
        let source = root.path().join("functions/a/src");
        std::fs::create_dir_all(&source).unwrap();
        std::fs::create_dir_all(root.path().join("functions/target")).unwrap();
        std::fs::write(source.join("lib.rs"), "one").unwrap();
        let known = root.path().join("known");
        let first = Fingerprint::take(root.path());
        first.keep(&known).unwrap();
        std::fs::write(root.path().join("functions/target/x"), "result").unwrap();
        assert!(Fingerprint::take(root.path()).equals(&known));
        std::fs::write(source.join("lib.rs"), "three").unwrap();
        assert!(!Fingerprint::take(root.path()).equals(&known));
    }
}
