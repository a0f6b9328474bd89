//! A private cluster: made once, started on a free loopback port, its owner's secret kept beside it.
use std::fs::OpenOptions;
use std::io::{Read, Seek};
use std::net::TcpListener;
use std::os::unix::fs::{OpenOptionsExt, chown};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::binaries::{self, Binaries};
use super::place::Place;
use super::process::{self, Process};
use crate::bootstrap::random_hex;
use crate::database::{self, DatabaseUrl};
use crate::log;
use crate::project::{Project, write_secret};

/// The cluster's owner and its database.
const OWNER: &str = "nodeai_owner";
const DATABASE: &str = "nodeai";
/// How long a start may take; recovery after a crash can be long.
const START_LIMIT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(10);

/// A running cluster; dropping it stops the server and, if ephemeral, removes the data.
#[derive(Debug)]
pub struct Cluster {
    // Fields drop in order: the server stops before its folder goes.
    process: Process,
    url: DatabaseUrl,
    _place: Place,
}

#[derive(Debug, Serialize, Deserialize)]
struct Owner {
    password: String,
    port: Option<u16>,
}

impl Cluster {
    /// Starts the cluster at `place`, making it first when it is not there.
    ///
    /// # Errors
    /// One sentence when there are no binaries, or the server does not come up.
    pub async fn start(place: Place) -> Result<Self> {
        let (place, process, url) = tokio::task::spawn_blocking(move || launch(place)).await??;
        let cluster = Self {
            process,
            url,
            _place: place,
        };
        cluster.wait_until_ready().await?;
        cluster.process.keep_up();
        Ok(cluster)
    }

    /// The owner's URL.
    pub fn url(&self) -> &DatabaseUrl {
        &self.url
    }

    async fn wait_until_ready(&self) -> Result<()> {
        let since = Instant::now();
        loop {
            match try_connect(&self.url).await {
                Ok(()) => return Ok(()),
                Err(error) if self.process.has_ended() => {
                    bail!(
                        "the embedded Postgres ended at its start: {}",
                        last_words(&self._place).unwrap_or(format!("{error:#}"))
                    )
                }
                Err(error) if since.elapsed() > START_LIMIT => {
                    return Err(error.context("the embedded Postgres does not answer"));
                }
                Err(_) => tokio::time::sleep(POLL).await,
            }
        }
    }
}

/// Connects to the database, which is made at the first start.
async fn try_connect(url: &DatabaseUrl) -> Result<()> {
    let maintenance =
        DatabaseUrl::parse(&url.as_str().replace(&format!("/{DATABASE}?"), "/postgres?"))?;
    let client = database::connect(&maintenance, &[]).await?;
    let there = client
        .query_opt("SELECT 1 FROM pg_database WHERE datname = $1", &[&DATABASE])
        .await?;
    if there.is_none() {
        client
            .batch_execute(&format!("CREATE DATABASE {DATABASE}"))
            .await?;
    }
    Ok(())
}

/// The URL of the project's cluster while a host runs it.
///
/// # Errors
/// When the cluster's secret cannot be read.
pub fn running_url(project: &Project) -> Result<DatabaseUrl> {
    let place = Place::lasting(project)?;
    let owner =
        read_owner(&place)?.context("the project has no database yet; start it with nodeai up")?;
    let port = owner
        .port
        .context("the project's database was never started")?;
    url(&owner.password, port)
}

fn url(password: &str, port: u16) -> Result<DatabaseUrl> {
    DatabaseUrl::parse(&format!(
        "postgres://{OWNER}:{password}@127.0.0.1:{port}/{DATABASE}?sslmode=disable"
    ))
}

fn launch(place: Place) -> Result<(Place, Process, DatabaseUrl)> {
    let data = place.data();
    let wanted = std::fs::read_to_string(data.join("PG_VERSION"))
        .ok()
        .and_then(|text| text.trim().parse().ok());
    let binaries = binaries::find(wanted, &place.fetched)?;
    let mut owner = match (wanted, read_owner(&place)?) {
        (Some(_), Some(owner)) => owner,
        _ => init(&place, &binaries)?,
    };
    process::clear_stale(&data)?;
    let port = free_port(owner.port)?;
    owner.port = Some(port);
    keep_owner(&place, &owner)?;
    let process = Process::start(server(&place, &binaries, port)?)?;
    Ok((place, process, url(&owner.password, port)?))
}

fn owner_file(place: &Place) -> std::path::PathBuf {
    place.folder.join("owner.json")
}

fn read_owner(place: &Place) -> Result<Option<Owner>> {
    match std::fs::read_to_string(owner_file(place)) {
        Ok(text) => Ok(Some(serde_json::from_str(&text).with_context(|| {
            format!("{} is damaged", owner_file(place).display())
        })?)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => {
            Err(error).with_context(|| format!("cannot read {}", owner_file(place).display()))
        }
    }
}

fn keep_owner(place: &Place, owner: &Owner) -> Result<()> {
    write_secret(&owner_file(place), &serde_json::to_string(owner)?)
}

/// Makes the cluster. A half-made one (the host was killed meanwhile) is made anew.
fn init(place: &Place, binaries: &Binaries) -> Result<Owner> {
    let data = place.data();
    let unfinished = place.folder.join("data.new");
    for leftover in [&data, &unfinished] {
        if leftover.exists() {
            std::fs::remove_dir_all(leftover)
                .with_context(|| format!("cannot remove {}", leftover.display()))?;
        }
    }
    log::info(&format!(
        "making a database with Postgres {} (once, a few seconds)",
        binaries.major
    ));
    let owner = Owner {
        password: random_hex(),
        port: None,
    };
    let locale = ["C.UTF-8", "C"]
        .iter()
        .map(|locale| run_initdb(place, binaries, &unfinished, &owner.password, locale));
    let mut outcome = Err(anyhow::anyhow!("no locale"));
    for attempt in locale {
        outcome = attempt;
        if outcome.is_ok() {
            break;
        }
    }
    outcome?;
    keep_owner(place, &owner)?;
    std::fs::rename(&unfinished, &data).context("the new database cannot be put in its place")?;
    Ok(owner)
}

fn run_initdb(
    place: &Place,
    binaries: &Binaries,
    data: &Path,
    password: &str,
    locale: &str,
) -> Result<()> {
    let secret = place.folder.join("initial-password");
    write_secret(&secret, password)?;
    if let Some(user) = place.run_as {
        chown(&secret, Some(user.uid), Some(user.gid))?;
    }
    let mut command = process::command(&binaries.program("initdb"), place.run_as);
    command
        .arg("--pgdata")
        .arg(data)
        .arg("--pwfile")
        .arg(&secret);
    command.args([
        "--username",
        OWNER,
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--no-instructions",
    ]);
    command.arg(format!("--locale={locale}"));
    if place.ephemeral {
        command.arg("--no-sync");
    }
    let output = command.stdin(Stdio::null()).output();
    std::fs::remove_file(&secret)?;
    let output = output.context("initdb cannot be started")?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        bail!(
            "initdb failed: {}",
            text.lines()
                .filter(|line| line.contains("error"))
                .collect::<Vec<_>>()
                .join("; ")
        );
    }
    Ok(())
}

fn server(place: &Place, binaries: &Binaries, port: u16) -> Result<std::process::Command> {
    let mut command = process::command(&binaries.program("postgres"), place.run_as);
    command.arg("-D").arg(place.data());
    let mut settings = vec![
        format!("port={port}"),
        "listen_addresses=127.0.0.1".into(),
        "unix_socket_directories=".into(),
        "max_connections=60".into(),
        "shared_buffers=64MB".into(),
        "timezone=UTC".into(),
        "log_timezone=UTC".into(),
        "log_min_messages=warning".into(),
        "log_min_error_statement=panic".into(),
    ];
    if place.ephemeral {
        settings.extend(
            [
                "fsync=off",
                "synchronous_commit=off",
                "full_page_writes=off",
            ]
            .map(str::to_owned),
        );
    }
    for setting in settings {
        command.arg("-c").arg(setting);
    }
    let log = log_file(place)?;
    command.stdout(log.try_clone()?).stderr(log);
    Ok(command)
}

/// The server's log, begun anew when it has grown past a few megabytes.
fn log_file(place: &Place) -> Result<std::fs::File> {
    const LARGEST: u64 = 8 << 20;
    let path = place.folder.join("postgres.log");
    let large = path.metadata().is_ok_and(|meta| meta.len() > LARGEST);
    let mut options = OpenOptions::new();
    options.create(true).mode(0o600);
    if large {
        options.write(true).truncate(true)
    } else {
        options.append(true)
    };
    options
        .open(&path)
        .with_context(|| format!("cannot write {}", path.display()))
}

/// The last thing that the server's log says is wrong.
fn last_words(place: &Place) -> Option<String> {
    let mut file = std::fs::File::open(place.folder.join("postgres.log")).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(std::io::SeekFrom::Start(length.saturating_sub(4096)))
        .ok()?;
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    let line = text
        .lines()
        .rev()
        .find(|line| line.contains("FATAL") || line.contains("ERROR"))?;
    Some(
        line.split_once(": ")
            .map_or(line, |(_, rest)| rest)
            .trim()
            .to_owned(),
    )
}

/// The port of the last start when it is free, or any.
fn free_port(last: Option<u16>) -> Result<u16> {
    let listener = last
        .and_then(|port| TcpListener::bind(("127.0.0.1", port)).ok())
        .map_or_else(|| TcpListener::bind(("127.0.0.1", 0)), Ok)
        .context("no free port on 127.0.0.1")?;
    Ok(listener.local_addr()?.port())
}
