//! `/api/v1/webhooks/incoming`: paths that start runs, how their senders are verified, what has come.

pub mod create;
pub mod get;
pub mod list;
pub mod model;
pub mod remove;
pub mod requests;
pub mod rotate;
mod rules;
mod secret;
pub mod update;
