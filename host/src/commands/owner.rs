//! The owner's connection for commands: the configured database, the running host's, or the project's
//! own cluster, started for as long as the command lasts.
use anyhow::{Context, Result, bail};
use tokio_postgres::Client;

use crate::cli::DatabaseArgs;
use crate::database::{self, DatabaseUrl};
use crate::postgres::{self, Cluster, Place};
use crate::project::{Lock, Project};
use crate::settings::Environment;

/// A connection as the owner; what it stands on is kept with it.
pub struct Owner {
    /// The connection.
    pub client: Client,
    _cluster: Option<(Cluster, Lock)>,
}

/// Connects as the owner.
///
/// # Errors
/// When the database cannot be reached, or is configured with the guests' role.
pub async fn open(
    project: &Project,
    environment: &Environment,
    args: &DatabaseArgs,
) -> Result<Owner> {
    let ca = root_ca(args)?;
    if let Some(url) = configured(environment, args)? {
        if url.is_app() {
            bail!(
                "the database URL logs in as {}, which may not do this; give the owner's with --database-url",
                database::APP_ROLE
            );
        }
        return Ok(Owner {
            client: database::connect(&url, &ca).await?,
            _cluster: None,
        });
    }
    match Lock::try_new(&project.state_file("host.lock"))? {
        None => {
            let url = postgres::running_url(project)?;
            Ok(Owner {
                client: database::connect(&url, &[]).await?,
                _cluster: None,
            })
        }
        Some(lock) => {
            let cluster = Cluster::start(Place::lasting(project)?).await?;
            let client = database::connect(cluster.url(), &[]).await?;
            Ok(Owner {
                client,
                _cluster: Some((cluster, lock)),
            })
        }
    }
}

/// The configured owner's URL: the flag, `NODEAI_MIGRATE_URL`, or the application's variable.
///
/// # Errors
/// When it is not usable.
pub fn configured(environment: &Environment, args: &DatabaseArgs) -> Result<Option<DatabaseUrl>> {
    let named = args.database_url.as_deref().filter(|url| !url.is_empty());
    let url = named
        .or_else(|| environment.get("NODEAI_MIGRATE_URL"))
        .or_else(|| environment.variable("nodeai_database_url"));
    url.map(DatabaseUrl::parse).transpose()
}

/// The CA certificates to trust, or nothing.
///
/// # Errors
/// When the named file cannot be read.
pub fn root_ca(args: &DatabaseArgs) -> Result<Vec<u8>> {
    match &args.database_ca {
        Some(path) => {
            std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
        }
        None => Ok(Vec::new()),
    }
}
