//! `/api/v1/rag-optimization/experiments`: experiments as jobs.

pub mod change;
pub mod create;
pub mod drain;
pub mod model;
pub mod read;
pub mod trials;
