//! Shows how a build gets on: one line that changes on a terminal, one line in all elsewhere.
use std::io::{BufRead, BufReader, IsTerminal, Write};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::log;

/// Lines kept to show when the build fails.
const KEPT: usize = 200;

/// Runs a build and shows its progress.
///
/// # Errors
/// When it cannot be started or fails; its last lines are then written to stderr.
pub fn follow(mut command: Command, title: &str) -> Result<()> {
    log::info(title);
    let started = Instant::now();
    let program = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("{program} cannot be started"))?;
    let lines = child.stderr.take().map(read_lines).unwrap_or_default();
    clear();
    if !child
        .wait()
        .with_context(|| format!("{program} was lost"))?
        .success()
    {
        for line in &lines {
            // The sentence that follows says what failed; this is what the compiler says of it.
            let _ = writeln!(std::io::stderr(), "{line}");
        }
        bail!("{title} failed");
    }
    if started.elapsed().as_secs() >= 2 {
        log::info(&format!(
            "{title}: done in {} s",
            started.elapsed().as_secs()
        ));
    }
    Ok(())
}

fn read_lines(output: std::process::ChildStderr) -> Vec<String> {
    let mut kept = std::collections::VecDeque::new();
    let mut compiled = 0;
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        if line.trim_start().starts_with("Compiling") {
            compiled += 1;
            show(&format!("  {compiled} crates, {}", line.trim()));
        }
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(line);
    }
    kept.into()
}

fn show(text: &str) {
    if std::io::stderr().is_terminal() {
        // Progress is a courtesy; a closed terminal must not fail the build.
        let _ = write!(std::io::stderr(), "\r\x1b[K{text:.78}");
    }
}

fn clear() {
    if std::io::stderr().is_terminal() {
        // As above.
        let _ = write!(std::io::stderr(), "\r\x1b[K");
    }
}
