//! `/api/v1/rag-evaluation/evaluations`: evaluations as jobs.

pub mod agreement;
pub mod cancel;
pub mod compare;
pub mod create;
pub mod gate;
pub mod labels;
pub mod metrics;
pub mod model;
pub mod read;
pub mod remove;
pub mod results;
