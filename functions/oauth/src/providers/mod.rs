//! Providers: configure, see, change, remove. Admins only change them.

pub mod check;
pub mod create;
pub mod get;
pub mod list;
pub mod remove;
pub mod update;
