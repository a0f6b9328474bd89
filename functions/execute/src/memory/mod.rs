//! `/api/v1/workflows/execute/memory`: conversations that models remember.

pub mod forget;
pub mod get;
pub mod list;
mod model;
