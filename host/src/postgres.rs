//! The embedded Postgres: a real server, run as a private cluster of the project.
mod binaries;
mod cluster;
mod fetch;
mod place;
mod process;

pub use binaries::{install_command, installed};
pub use cluster::{Cluster, running_url};
pub use place::Place;
