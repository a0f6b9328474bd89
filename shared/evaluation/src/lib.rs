//! Evaluations without I/O.
//!
//! - [`items`] reads the items of a dataset from JSON Lines and CSV.
//! - [`retrieval`] scores what retrievers found, and compares two of them.
//! - [`subject`] is what a request gives to be scored, and its rules.
//! - [`sweep`] tries fusions of stored candidates, which costs nothing.

pub mod items;
pub mod retrieval;
pub mod subject;
pub mod sweep;
