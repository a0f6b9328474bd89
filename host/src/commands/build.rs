//! `nodeai build`.
use std::path::Path;

use anyhow::Result;

use crate::builder;
use crate::manifest::Manifest;
use crate::project::Project;

/// Builds all components.
///
/// # Errors
/// As [`builder::build`].
pub async fn run(dir: Option<&Path>) -> Result<()> {
    let project = Project::open(dir)?;
    let manifest = Manifest::load(&project.root)?;
    builder::build_in_background(project, manifest, true).await
}
