//! The embedded host: reads `spin.toml`, gives components the interfaces that Spin gives them,
//! and brings a Postgres, migrations and a first API key along, so that one command runs everything.

pub mod bootstrap;
pub mod builder;
pub mod capabilities;
pub mod cli;
pub mod commands;
pub mod database;
pub mod drain;
pub mod housekeeping;
pub mod keys;
pub mod log;
pub mod manifest;
pub mod migrate;
pub mod net;
pub mod postgres;
pub mod project;
pub mod router;
pub mod runtime;
pub mod serve;
pub mod settings;
pub mod spans;
pub mod template;
