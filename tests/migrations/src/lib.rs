//! Support for the tests of the schema: a cluster, a migrated database per test, tenants and their sessions.

pub mod cluster;
mod database;
pub mod pgvector;
mod session;

pub use cluster::owner_config;
pub use database::{Database, migrations};
pub use session::{Session, Tenant, command, done, id, service};
