//! `/api/v1/rag-evaluation/rules`: evaluation of what production answers.

pub mod change;
pub mod create;
pub mod model;
pub mod read;
pub mod series;
