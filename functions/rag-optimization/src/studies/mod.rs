//! `/api/v1/rag-optimization/studies`: parameters of workflows tried as jobs.

pub mod change;
pub mod create;
pub mod drain;
pub mod input;
pub mod model;
pub mod read;
pub mod trials;
