//! Writes what is generated: `cargo run -p tidy`.

use sha2::{Digest, Sha256};

fn main() -> std::io::Result<()> {
    let root = tidy::root();
    std::fs::write(root.join("functions/system/openapi.json"), tidy::openapi())?;
    let sums: String = tidy::files("migrations", ".sql")
        .iter()
        .map(|path| {
            let bytes = std::fs::read(path).expect("a migration");
            let sum: String = Sha256::digest(&bytes)
                .iter()
                .map(|b| format!("{b:02x}"))
                .collect();
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            format!("{sum}  {name}\n")
        })
        .collect();
    std::fs::write(root.join("migrations/SHA256SUMS"), sums)
}
