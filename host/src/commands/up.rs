//! `nodeai up`: build, database, migrations, first key, serve, drain.
use std::collections::HashMap;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::{owner, ready};
use crate::bootstrap::{self, LocalKey, Secrets};
use crate::builder;
use crate::capabilities::{http::Outbound, kv::Stores, pg::pool::Pools};
use crate::cli::{LimitArgs, UpArgs};
use crate::database::{self, DatabaseUrl};
use crate::manifest::Manifest;
use crate::net::vet::Vetting;
use crate::postgres::{Cluster, Place};
use crate::project::Project;
use crate::router::Router;
use crate::runtime::{self, Compiled, Resources, Shared, limits::Limits};
use crate::settings::{Environment, Variables};
use crate::spans::SpanFiles;
use crate::{drain, housekeeping, log, migrate, serve};

/// Runs the application until Ctrl-C or SIGTERM.
///
/// # Errors
/// One sentence for whatever keeps it from starting.
pub async fn run(dir: Option<&Path>, args: UpArgs, quiet: bool, format: log::Format) -> Result<()> {
    let since = Instant::now();
    let project = Project::open(dir)?;
    let environment = Environment::load(&project.root)?;
    let manifest = Manifest::load(&project.root)?;
    let router = Router::build(&manifest)?;
    let listener = serve::bind(&args.listen).await?;
    let _lock = if args.ephemeral {
        None
    } else {
        Some(project.lock()?)
    };
    forget_readiness(args.ready_file.as_deref());
    let secrets = Secrets::load(&project)?;
    let (compiled, database) = tokio::try_join!(
        build_and_compile(&project, &manifest, &args),
        Database::open(&project, &environment, &args, &secrets)
    )?;
    let shared = load(
        &project,
        &manifest,
        compiled,
        &environment,
        &args,
        &secrets,
        &database,
    )?;
    let url = ready::local_url(listener.local_addr()?);
    let app = serve::App::new(router, shared);
    let keeping = database
        .owner
        .clone()
        .map(|owner| tokio::spawn(housekeeping::run(owner, database.root_ca.clone())));
    let serving = tokio::spawn(serve::run(listener, app, stop_requested()));
    let token = environment.variable("nodeai_drain_token");
    let token = token.unwrap_or(&secrets.drain_token).to_owned();
    let draining = tokio::spawn(drain::run(url.clone(), token));
    let announced = tokio::spawn(announce(
        url,
        args.ready_file.clone(),
        database.local.clone(),
        since,
        quiet || format == log::Format::Json,
    ));
    serving.await?;
    log::stopping();
    announced.abort();
    draining.abort();
    if let Some(keeping) = keeping {
        keeping.abort();
    }
    forget_readiness(args.ready_file.as_deref());
    tokio::task::spawn_blocking(move || drop(database)).await?;
    Ok(())
}

/// Removes a ready file, this start's or that of one that was killed; there may be none.
fn forget_readiness(file: Option<&Path>) {
    if let Some(path) = file {
        let _ = std::fs::remove_file(path);
    }
}

/// Builds what has changed and compiles it for this machine.
async fn build_and_compile(
    project: &Project,
    manifest: &Manifest,
    args: &UpArgs,
) -> Result<Compiled> {
    if !args.no_build {
        builder::build_in_background(project.clone(), manifest.clone(), false).await?;
    }
    let (project, manifest, limits) = (project.clone(), manifest.clone(), limits(&args.limits));
    let compile = move || {
        runtime::compile(
            &manifest,
            &project.root,
            &project.state_file("cache"),
            &limits,
        )
    };
    tokio::task::spawn_blocking(compile).await?
}

async fn announce(
    url: String,
    file: Option<std::path::PathBuf>,
    local: Option<LocalKey>,
    since: Instant,
    silent: bool,
) {
    ready::wait(&url).await;
    if let Some(path) = &file
        && let Err(error) = ready::write_file(path, &url, local.as_ref())
    {
        log::error(&format!("{error:#}"));
    }
    if silent {
        log::info(&format!("listening on {url}"));
    } else {
        // Nobody may be reading.
        let _ = writeln!(
            std::io::stdout(),
            "{}",
            ready::banner(&url, local.as_ref(), since)
        );
    }
}

/// Ready at the first Ctrl-C or SIGTERM; a second one ends the process at once.
async fn stop_requested() {
    interrupted().await;
    log::info("stopping; running requests may finish (again to stop at once)");
    tokio::spawn(async {
        interrupted().await;
        std::process::exit(130);
    });
}

async fn interrupted() {
    let terminate = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminate => {}
    }
}

/// The database of a start, and what guests get of it.
struct Database {
    /// What `nodeai_database_url` is; empty when guests are to use Supabase.
    guest_url: String,
    local: Option<LocalKey>,
    /// The owner's URL; none when the application may not act as owner.
    owner: Option<DatabaseUrl>,
    root_ca: Vec<u8>,
    _cluster: Option<Cluster>,
}

impl Database {
    async fn open(
        project: &Project,
        environment: &Environment,
        args: &UpArgs,
        secrets: &Secrets,
    ) -> Result<Self> {
        let root_ca = owner::root_ca(&args.database)?;
        let supabase = supabase_url(environment, args).is_some();
        let configured = owner::configured(environment, &args.database)?;
        let cluster = match (&configured, supabase) {
            (None, false) => Some(Cluster::start(place(project, args)?).await?),
            _ => None,
        };
        let Some(url) = configured.as_ref().or(cluster.as_ref().map(Cluster::url)) else {
            return Ok(Self {
                guest_url: String::new(),
                local: None,
                owner: None,
                root_ca,
                _cluster: None,
            });
        };
        let for_guests = !supabase || explicit_url(environment, args);
        let (guest_url, local) = prepare(project, url, &root_ca, secrets).await?;
        let guest_url = if for_guests { guest_url } else { String::new() };
        Ok(Self {
            guest_url,
            local,
            owner: (!url.is_app()).then(|| url.clone()),
            root_ca,
            _cluster: cluster,
        })
    }
}

/// The Supabase project's URL. A host under `.invalid` (RFC 2606) is how the manifest says "none".
fn supabase_url<'a>(environment: &'a Environment, args: &'a UpArgs) -> Option<&'a str> {
    let url = args
        .supabase_url
        .as_deref()
        .or_else(|| environment.variable("nodeai_supabase_url"))?;
    let host = url
        .parse::<url::Url>()
        .ok()
        .and_then(|url| Some(url.host_str()?.to_owned()));
    host.is_none_or(|host| !host.ends_with(".invalid"))
        .then_some(url)
}

/// Whether the operator gave a database URL for the application itself, not only for migrations.
fn explicit_url(environment: &Environment, args: &UpArgs) -> bool {
    args.database.database_url.is_some() || environment.variable("nodeai_database_url").is_some()
}

fn place(project: &Project, args: &UpArgs) -> Result<Place> {
    if args.ephemeral {
        Place::ephemeral()
    } else {
        Place::lasting(project)
    }
}

/// Migrates, opens the guests' role and makes the local key; gives the guests' URL.
async fn prepare(
    project: &Project,
    url: &DatabaseUrl,
    root_ca: &[u8],
    secrets: &Secrets,
) -> Result<(String, Option<LocalKey>)> {
    let migrations = migrate::load(&project.root.join("migrations"))?;
    let mut owner = database::connect(url, root_ca).await?;
    if url.is_app() {
        check_as_guest(&owner, &migrations).await;
        return Ok((url.for_guests(None)?, None));
    }
    let applied = migrate::apply(&mut owner, &migrations).await?;
    if !applied.is_empty() {
        log::info(&format!(
            "applied {} migrations, up to {}",
            applied.len(),
            applied.last().map_or("", String::as_str)
        ));
    }
    let password = database::open_app_role(&owner, url, &secrets.database_key).await?;
    let local = bootstrap::local_key(&owner, project).await?;
    Ok((url.for_guests(Some(&password))?, local))
}

/// The guests' role may not migrate; it is only asked how things stand.
async fn check_as_guest(client: &tokio_postgres::Client, migrations: &[migrate::Migration]) {
    match migrate::status(client, migrations).await {
        Ok(status) if status.pending.is_empty() => {}
        Ok(status) => log::warn(&format!(
            "the database lacks {} migrations; run nodeai migrate as its owner",
            status.pending.len()
        )),
        Err(error) => log::info(&format!(
            "whether the migrations are applied is not known: {error:#}"
        )),
    }
}

fn load(
    project: &Project,
    manifest: &Manifest,
    compiled: Compiled,
    environment: &Environment,
    args: &UpArgs,
    secrets: &Secrets,
    database: &Database,
) -> Result<Arc<Shared>> {
    let own = own_variables(environment, args, secrets, database);
    let variables = Variables::resolve(manifest, environment, &own)?;
    let resources = Resources {
        pools: Pools::new(
            args.limits.database_connections.into(),
            database.root_ca.clone(),
        ),
        stores: Stores::new((!args.ephemeral).then(|| project.state_file("kv.redb"))),
        outbound: Outbound::new(vetting(environment, args)?)?,
        spans: SpanFiles::new(&project.state),
        limits: limits(&args.limits),
    };
    runtime::load(manifest, compiled, &variables, resources)
}

/// The variables that the host itself sets: what it knows better, and secrets that nobody configured.
fn own_variables(
    environment: &Environment,
    args: &UpArgs,
    secrets: &Secrets,
    database: &Database,
) -> HashMap<String, String> {
    let mut own = HashMap::from([("nodeai_database_url".to_owned(), database.guest_url.clone())]);
    if let Some(url) = &args.supabase_url {
        own.insert("nodeai_supabase_url".to_owned(), url.clone());
    }
    if let Some(list) = &args.allow_private {
        own.insert("nodeai_allow_private_hosts".to_owned(), list.clone());
    }
    for (name, value) in [
        ("nodeai_master_keys", &secrets.master_keys),
        ("nodeai_jwt_secret", &secrets.jwt_secret),
        ("nodeai_drain_token", &secrets.drain_token),
    ] {
        if environment.variable(name).is_none() {
            own.insert(name.to_owned(), value.clone());
        }
    }
    own
}

/// Private addresses that the operator named, and the operator's own Supabase project.
fn vetting(environment: &Environment, args: &UpArgs) -> Result<Vetting> {
    let list = args
        .allow_private
        .as_deref()
        .or_else(|| environment.variable("nodeai_allow_private_hosts"));
    let mut vetting = Vetting::parse(list.unwrap_or_default().split(','))
        .context("the list of private addresses")?;
    let jwks = environment.variable("nodeai_supabase_jwks_url");
    let urls = [supabase_url(environment, args), jwks];
    for url in urls.into_iter().flatten() {
        let url: url::Url = url.parse().with_context(|| format!("{url:?} is no URL"))?;
        if let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) {
            vetting.permit(host, port);
        }
    }
    Ok(vetting)
}

fn limits(args: &LimitArgs) -> Limits {
    Limits {
        memory: usize::from(args.memory_mb) << 20,
        request: Duration::from_secs_f64(args.request_timeout),
        stream: Duration::from_secs_f64(args.stream_timeout),
        concurrency: args.concurrency as usize,
        reuse: args.instance_reuse as usize,
        idle: Duration::from_secs_f64(args.instance_idle),
        ..Limits::default()
    }
}
