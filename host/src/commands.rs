//! The commands of `nodeai`.
mod build;
mod doctor;
mod eval;
mod key;
mod migrate;
mod owner;
mod ready;
mod secrets;
mod spans;
mod up;

use anyhow::Result;

use crate::cli::{Cli, Command, KeyCommand, SecretsCommand, SpansCommand};

/// Runs what the command line says.
///
/// # Errors
/// The command's; each reads as one sentence.
pub async fn run(cli: Cli) -> Result<()> {
    let dir = cli.dir.as_deref();
    match cli.command {
        None => up::run(dir, cli.up, cli.quiet, cli.log).await,
        Some(Command::Up(args)) => up::run(dir, *args, cli.quiet, cli.log).await,
        Some(Command::Build) => build::run(dir).await,
        Some(Command::Migrate(args)) => migrate::run(dir, &args).await,
        Some(Command::Key(KeyCommand::Create(args))) => key::run(dir, &args).await,
        Some(Command::Secrets(SecretsCommand::Rotate(args))) => secrets::rotate(dir, &args).await,
        Some(Command::Eval(args)) => eval::run(&args).await,
        Some(Command::Doctor(args)) => doctor::run(dir, &args).await,
        Some(Command::Spans(SpansCommand::Replay(args))) => spans::run(dir, &args).await,
    }
}
