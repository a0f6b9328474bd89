//! What happens when things die: the host or the database.

#[path = "resilience/mod.rs"]
mod resilience;
