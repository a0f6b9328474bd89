//! `/api/v1/cost-intelligence/budgets`

pub mod create;
pub mod get;
pub mod list;
mod model;
pub mod remove;
pub mod update;
