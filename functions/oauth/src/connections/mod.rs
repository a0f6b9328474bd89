//! Connections: see, share, refresh, disconnect.

pub mod get;
pub mod list;
pub mod refresh;
pub mod remove;
pub mod update;
