//! What happens when things die: the host, the database, or the application's own care for tenants.

#[path = "resilience/mod.rs"]
mod resilience;
