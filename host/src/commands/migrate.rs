//! `nodeai migrate`.
use std::path::Path;

use anyhow::Result;

use super::owner;
use crate::cli::{MigrateAction, MigrateArgs};
use crate::migrate;
use crate::project::Project;
use crate::settings::Environment;

/// Applies migrations or says how things stand.
///
/// # Errors
/// When the database cannot be reached, or a migration was changed or fails.
pub async fn run(dir: Option<&Path>, args: &MigrateArgs) -> Result<()> {
    let project = Project::open(dir)?;
    let environment = Environment::load(&project.root)?;
    let migrations = migrate::load(&project.root.join("migrations"))?;
    let mut owner = owner::open(&project, &environment, &args.database).await?;
    match args.action {
        MigrateAction::Status => {
            let status = migrate::status(&owner.client, &migrations).await?;
            for (word, labels) in [
                ("applied", status.applied),
                ("pending", status.pending),
                ("unknown", status.unknown),
            ] {
                labels.iter().for_each(|label| println!("{word:8} {label}"));
            }
        }
        MigrateAction::Apply => {
            let applied = migrate::apply(&mut owner.client, &migrations).await?;
            applied
                .iter()
                .for_each(|label| println!("applied  {label}"));
            if applied.is_empty() {
                println!("nothing to apply");
            }
        }
    }
    Ok(())
}
