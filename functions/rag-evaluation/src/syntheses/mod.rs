//! `/api/v1/rag-evaluation/syntheses`: questions that a model makes of documents.

pub mod cancel;
pub mod create;
pub mod model;
pub mod read;
