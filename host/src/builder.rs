//! Builds the components whose sources have changed, all in one cargo call when they allow it.
mod fingerprint;
mod progress;

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::log;
use crate::manifest::{Component, Manifest};
use crate::project::Project;
use fingerprint::Fingerprint;

/// The target that components are built for.
pub const TARGET: &str = "wasm32-wasip2";

/// Builds what is stale; with `force` whatever the fingerprint says (cargo still decides for itself).
///
/// # Errors
/// When a build fails, or a component has neither an artefact nor a build command.
pub fn build(project: &Project, manifest: &Manifest, force: bool) -> Result<()> {
    let known = project.state_file("build.fingerprint");
    let now = Fingerprint::take(&project.root);
    let there = manifest
        .component
        .values()
        .all(|component| manifest.source_path(&project.root, component).is_file());
    if !force && there && now.equals(&known) {
        return Ok(());
    }
    ensure_target(manifest)?;
    let (packages, others) = sort(manifest);
    if !packages.is_empty() {
        cargo(project, &packages)?;
    }
    for (id, component) in others {
        run_command(project, id, component)?;
    }
    for (id, component) in &manifest.component {
        let path = manifest.source_path(&project.root, component);
        if !path.is_file() {
            bail!(
                "the component {id:?} was not built: {} is not there",
                path.display()
            );
        }
    }
    now.keep(&known)
}

/// Components with cargo's common form of command, and the others.
fn sort(manifest: &Manifest) -> (Vec<&str>, Vec<(&str, &Component)>) {
    let (mut packages, mut others) = (Vec::new(), Vec::new());
    for (id, component) in &manifest.component {
        match component.build.as_ref() {
            Some(build) if build.workdir.is_none() => match common_form(&build.command) {
                Some(package) => packages.push(package),
                None => others.push((id.as_str(), component)),
            },
            Some(_) => others.push((id.as_str(), component)),
            None => {}
        }
    }
    packages.dedup();
    (packages, others)
}

/// The package of `cargo build --profile wasm --target wasm32-wasip2 -p <package>`, in any order of flags.
fn common_form(command: &str) -> Option<&str> {
    let mut words = command.split_whitespace();
    if (words.next(), words.next()) != (Some("cargo"), Some("build")) {
        return None;
    }
    let (mut package, mut profile, mut target) = (None, false, false);
    while let Some(word) = words.next() {
        match word {
            "-p" | "--package" => package = words.next(),
            "--profile" => profile = words.next() == Some("wasm"),
            "--profile=wasm" => profile = true,
            "--target" => target = words.next() == Some(TARGET),
            "--target=wasm32-wasip2" => target = true,
            _ => return None,
        }
    }
    package.filter(|_| profile && target)
}

fn cargo(project: &Project, packages: &[&str]) -> Result<()> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["build", "--profile", "wasm", "--target", TARGET]);
    for package in packages {
        command.args(["-p", package]);
    }
    clean_environment(&mut command).current_dir(&project.root);
    progress::follow(command, &format!("building {}", count(packages.len())))
}

fn count(components: usize) -> String {
    format!(
        "{components} component{}",
        if components == 1 { "" } else { "s" }
    )
}

/// `cargo run` tells its child about the package it runs; a build started from there must not hear that.
fn clean_environment(command: &mut Command) -> &mut Command {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let told = text.starts_with("CARGO_PKG_")
            || text.starts_with("CARGO_MANIFEST_")
            || text == "CARGO_BIN_NAME"
            || text == "CARGO_CRATE_NAME";
        if told || text == "RUSTFLAGS" || text == "LD_LIBRARY_PATH" {
            command.env_remove(name);
        }
    }
    command
}

fn run_command(project: &Project, id: &str, component: &Component) -> Result<()> {
    let Some(build) = &component.build else {
        return Ok(());
    };
    let folder = project.root.join(build.workdir.as_deref().unwrap_or("."));
    let mut command = Command::new("sh");
    clean_environment(command.args(["-c", &build.command])).current_dir(folder);
    progress::follow(command, &format!("building {id}"))
}

/// Adds the wasm target when it is missing.
fn ensure_target(manifest: &Manifest) -> Result<()> {
    let needed = manifest.component.values().any(|component| {
        component
            .build
            .as_ref()
            .is_some_and(|b| b.command.contains(TARGET))
    });
    if !needed || target_is_there() {
        return Ok(());
    }
    log::info(&format!("adding the Rust target {TARGET}"));
    let added = Command::new("rustup")
        .args(["target", "add", TARGET])
        .stdin(Stdio::null())
        .output();
    match added {
        Ok(output) if output.status.success() => Ok(()),
        _ => bail!("the Rust target {TARGET} is missing; add it with: rustup target add {TARGET}"),
    }
}

/// Whether the standard library for the target is installed.
pub fn target_is_there() -> bool {
    let output = Command::new("rustc")
        .args(["--print", "target-libdir", "--target", TARGET])
        .output();
    output.is_ok_and(|output| Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_dir())
}

/// Reads the manifest and builds, off the async threads.
///
/// # Errors
/// As [`build`].
pub async fn build_in_background(project: Project, manifest: Manifest, force: bool) -> Result<()> {
    tokio::task::spawn_blocking(move || build(&project, &manifest, force))
        .await
        .context("the build was interrupted")?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_common_form_is_recognised() {
        assert_eq!(
            common_form("cargo build --profile wasm --target wasm32-wasip2 -p traces"),
            Some("traces")
        );
        assert_eq!(
            common_form("cargo build -p traces --target=wasm32-wasip2 --profile=wasm"),
            Some("traces")
        );
        for other in [
            "make",
            "cargo build --release -p x --target wasm32-wasip2",
            "cargo build --profile wasm --target wasm32-wasip2",
            "cargo build --profile wasm --target wasm32-wasip2 -p x --features y",
        ] {
            assert_eq!(common_form(other), None, "{other}");
        }
    }
}
