//! Evaluations without I/O.
//!
//! - [`items`] reads the items of a dataset from JSON Lines and CSV.
//! - [`retrieval`] scores what retrievers found, and compares two of them.

pub mod items;
pub mod retrieval;
